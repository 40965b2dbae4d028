"""The committed view: what the ledgers of all partitions say, together. Fed by a follower, read by screens and scrapes.

Feeding stores bytes, packed, and decodes nothing; a page is decoded when a table that holds it is looked at, and only
if it changed since. A process that nobody asks thus spends next to nothing on its view.
"""

from __future__ import annotations

import threading
from dataclasses import dataclass, field, replace
from functools import cached_property
from typing import TYPE_CHECKING, Protocol

import msgspec
import orjson

from streams.board.view.counted import Fingerprint, Knowledge, decode_fingerprint, together
from streams.board.view.packing import pack, unpack
from streams.board.view.tables import RawPages, Table, TableCache
from streams.domain.built_in import ROLLUPS
from streams.domain.declared import declared_amounts
from streams.domain.limits import WATERMARK_LAG_MS
from streams.domain.pages import Cursor, decode_cursor, decode_page, fingerprint_key
from streams.domain.sketches import DISTINCTS, Estimate, estimate
from streams.engine.judgement import Note, decode_note
from streams.engine.status import HeldReason

if TYPE_CHECKING:
    from collections.abc import Collection, Iterable, Mapping

    from streams.domain.festivals import Festival
    from streams.domain.rollups import Rollup

_PAGE_KEY_LENGTH = 5
_DISTINCTS = frozenset(distinct.name for distinct in DISTINCTS)


class Delta(Protocol):
    """What a follower hands over: whole checkpoints only (`streams.kafka.ledger.follower`)."""

    @property
    def generation(self) -> str:
        """Return the generation that is shown."""

    @property
    def changed_pages(self) -> Mapping[tuple[int, bytes], bytes]:
        """Return the newest value per (partition, key) since the delta before."""

    @property
    def cursors(self) -> Mapping[int, bytes]:
        """Return the newest cursor per partition, of the partitions that have moved."""

    @property
    def notes(self) -> Mapping[int, bytes]:
        """Return the notes of all partitions that their workers hold."""

    @property
    def counted_from(self) -> Mapping[str, Mapping[str, int]]:
        """Return where the generation begins later than its log did: topic, partition, first offset."""

    @property
    def misfits(self) -> Mapping[int, str]:
        """Return the partitions that hold something else than their cursors were committed with, and what is wrong."""

    @property
    def partitions(self) -> int:
        """Return how many partitions the ledger has."""

    @property
    def reset(self) -> bool:
        """Return whether this delta is all there is: forget what came before."""


TableName = tuple[str, str]
"""Festival, rollup."""


class _Caches:
    """The table caches of one generation, shared by its snapshots."""

    def __init__(self, fingerprint: Fingerprint, own: Iterable[Rollup]) -> None:
        counted = fingerprint.rollups or own
        self.rollups = {rollup.name: rollup for rollup in (*ROLLUPS, *counted)}
        self.amounts = declared_amounts(self.rollups.values())
        self._lock = threading.Lock()
        self._caches: dict[TableName, TableCache] = {}
        self._estimates: dict[TableName, tuple[RawPages, Estimate | None]] = {}

    def distinct(self, name: TableName, raw: RawPages) -> Estimate | None:
        """Return the estimate out of the sketches in `raw`, None where one cannot be read."""
        with self._lock:
            known = self._estimates.get(name)
            if known is None or known[0] is not raw:
                known = self._estimates[name] = raw, _estimated(raw)
        return known[1]

    def table(self, name: TableName, raw: RawPages) -> Table:
        """Return the table of `raw`."""
        with self._lock:
            cache = self._caches.setdefault(name, TableCache(self.rollups[name[1]]))
        return cache.table(raw)


def _sketch(value: bytes) -> bytes:
    try:
        return decode_page(unpack(value)).low
    except msgspec.MsgspecError:
        return b""


def _estimated(raw: RawPages) -> Estimate | None:
    try:
        # In the order of the partitions: the union of sketches is the same in any, its estimate not to the last digit.
        return estimate(decode_page(unpack(value)).low for _, value in sorted(raw.get(0, {}).items()))
    except (msgspec.MsgspecError, ValueError):
        return None


@dataclass(frozen=True, slots=True)
class Seal:
    """What a sealed file says of itself."""

    digest: str
    """SHA-256, in hexadecimal."""
    sealed_ms: int
    is_complete: bool
    is_exact: bool | None
    """The verdict of the audit of the state that was sealed; None: it was not audited."""


@dataclass(frozen=True)
class Snapshot:
    """The committed totals at one moment: whole checkpoints, unchangeable, to be read from any thread."""

    generation: str
    partitions: int
    raw_cursors: Mapping[int, bytes]
    raw_notes: Mapping[int, bytes]
    lost: Mapping[str, Mapping[str, int]]
    """Where the generation begins later than its log did: topic, partition, first offset."""
    fingerprint: Fingerprint
    """What the generation was counted under, all partitions together; empty while none wrote it."""
    _by_partition: Mapping[int, Fingerprint]
    _raw: Mapping[TableName, RawPages]
    _caches: _Caches
    seal: Seal | None = None
    """Where it is of no ledger, but of a sealed file."""
    misfits: Mapping[int, str] = field(default_factory=dict)
    """Partitions that hold something else than their cursors were committed with, and what is wrong."""

    @cached_property
    def cursors(self) -> Mapping[int, Cursor]:
        """Return the readable cursors per partition."""
        cursors = {}
        for partition, value in self.raw_cursors.items():
            try:
                cursors[partition] = decode_cursor(value)
            except msgspec.MsgspecError:
                continue  # a partition without a cursor makes the view incomplete, and that is shown
        return cursors

    @cached_property
    def notes(self) -> Mapping[int, Note]:
        """Return why workers hold partitions, as far as this version reads it, and what does not fit its cursor."""
        notes = {p: Note(HeldReason.LEDGER_UNREADABLE, None, 0, detail) for p, detail in self.misfits.items()}
        for partition, value in self.raw_notes.items():
            try:
                notes[partition] = decode_note(value)
            except msgspec.MsgspecError:
                detail = "the note of the worker that holds it is of another version: its log says why"
                notes[partition] = Note(HeldReason.LEDGER_UNREADABLE, None, 0, detail)
        return notes

    @cached_property
    def committed(self) -> Mapping[int, Mapping[str, int]]:
        """Return the next offset per topic of each partition number that has a cursor."""
        return {partition: cursor.positions for partition, cursor in self.cursors.items()}

    def table(self, festival: str, rollup: str) -> Table:
        """Return the totals of one rollup; raises `KeyError` for a rollup that is not declared."""
        return self._caches.table((festival, rollup), self._raw.get((festival, rollup), _NO_PAGES))

    def distinct(self, festival: str, name: str) -> Estimate | None:
        """Return how many different ones there are; None where a partition's sketch cannot be read."""
        return self._caches.distinct((festival, name), self._raw.get((festival, name), _NO_PAGES))

    @property
    def rollups(self) -> Collection[Rollup]:
        """Return every rollup: the built-in ones, and what was declared when this generation was counted."""
        return self._caches.rollups.values()

    @property
    def dimensions(self) -> tuple[str, ...]:
        """Return every dimension, in the order of the rollups."""
        return tuple(dict.fromkeys(rollup.dimension for rollup in self.rollups if rollup.dimension is not None))

    @property
    def amounts(self) -> tuple[tuple[str, str], ...]:
        """Return fact and name of each amount that was declared."""
        return self._caches.amounts

    def rollups_of(self, festival: Festival) -> list[Rollup]:
        """Return what is kept of a festival, as it was counted."""
        counted = {rollup.name for rollup in self.fingerprint.rollups}
        return [r for r in self._caches.rollups.values() if r.name in counted and r.fact in festival.facts]

    def sketches(self, festival: str) -> dict[str, dict[int, bytes]]:
        """Return the sketches by name and partition; empty bytes stand for one that cannot be read."""
        return {
            name: {partition: _sketch(value) for partition, value in sorted(raw.get(0, {}).items())}
            for (of, name), raw in sorted(self._raw.items())
            if of == festival and name in _DISTINCTS
        }

    @property
    def festivals(self) -> frozenset[str]:
        """Return the festivals that have a page."""
        return frozenset(festival for festival, _ in self._raw)

    def as_counted(self, festival: Festival) -> Festival:
        """Return the festival with the interval and facts it was counted under: pages are placed by its old start."""
        counted = self.fingerprint.festivals.get(festival.id)
        if counted is None:
            return festival
        return replace(festival, start_ms=counted.start_ms, end_ms=counted.end_ms, facts=counted.facts)

    @property
    def has_state(self) -> bool:
        """Whether a committed state was read: without one there is nothing to show, and zero would be a lie."""
        return bool(self.raw_cursors)

    def counts(self, festival_id: str) -> bool:
        """Return whether the ledger counts a festival: whether it stands in the fingerprint.

        While nothing is committed there is no fingerprint, and every festival is one that the first worker may bring.
        """
        return not self.fingerprint.festivals or festival_id in self.fingerprint.festivals

    def late_partitions(self, festival_id: str) -> list[int]:
        """Return the partitions that may have counted records of a festival before they knew all that is told of it.

        A festival, a dimension, an amount may be declared while a ledger is counted. A partition that nobody has taken
        over since knows nothing of it: that is right for as long as none of its records can belong to the festival.
        """
        return self._knowledge.late_partitions(festival_id)

    @cached_property
    def _knowledge(self) -> Knowledge:
        return Knowledge(self._by_partition, self.fingerprint, self.cursors)

    def counted_from(self, festival: Festival) -> dict[str, dict[str, int]]:
        """Return where the count of what a festival counts begins later than the log did."""
        return {topic: dict(places) for topic, places in self.lost.items() if topic in festival.facts}

    @property
    def is_complete(self) -> bool:
        """Whether every partition of the ledger has a committed cursor: not yet that the totals are complete."""
        return self.partitions > 0 and len(self.cursors) == self.partitions

    @property
    def committed_ms(self) -> int | None:
        """Return the record time of the newest committed record, None where none was counted."""
        times = [time_ms for cursor in self.cursors.values() for time_ms in cursor.stream_times_ms.values()]
        return max(times, default=None)

    def watermark_ms(self, topics: Iterable[str]) -> int | None:
        """Return the event time below which `topics` are taken as complete: the smallest of all partitions.

        A topic-partition that never held a valid event keeps nobody waiting. None where a partition
        has no cursor, or where no event was seen at all.
        """
        if not self.is_complete:
            return None
        wanted = frozenset(topics)
        seen = [
            time_ms
            for cursor in self.cursors.values()
            for topic, time_ms in cursor.max_event_times_ms.items()
            if topic in wanted
        ]
        return min(seen) - WATERMARK_LAG_MS if seen else None

    def positions(self) -> dict[str, dict[int, int]]:
        """Return the next offset per topic and partition."""
        positions: dict[str, dict[int, int]] = {}
        for partition in sorted(self.cursors):
            for topic, offset in self.cursors[partition].positions.items():
                positions.setdefault(topic, {})[partition] = offset
        return positions

    def outcome_records(self, outcome: str) -> int:
        """Return how many records of all topics came to `outcome` in this generation."""
        return sum(
            outcomes.get(outcome, 0) for cursor in self.cursors.values() for outcomes in cursor.outcomes.values()
        )


_NO_PAGES: RawPages = {}


class CommittedView:
    """Collects deltas, hands out snapshots. One at a time may `feed` or ask; snapshots are everybody's."""

    def __init__(self, rollups: Iterable[Rollup] = ROLLUPS) -> None:
        """Begin empty: no partition has a cursor yet. `rollups` are this process's, until the ledger says its own."""
        self._own = tuple(rollups)
        self._forget("g1")
        self._snapshot = self._take()

    def feed(self, delta: Delta) -> None:
        """Take a delta over, whole. Costs one dictionary entry per changed page; never raises on bad records."""
        if delta.reset or delta.generation != self._generation:
            self._forget(delta.generation)
        self._partitions = delta.partitions
        # What was declared says which pages are ours, and its record may stand behind them.
        own = fingerprint_key(delta.generation)
        for (partition, key), value in delta.changed_pages.items():
            if key == own:
                self._read_fingerprint(partition, value)
        for (partition, key), value in delta.changed_pages.items():
            self._place(partition, key, value)
        self._cursors.update(delta.cursors)
        self._notes.clear()
        self._notes.update(delta.notes)
        self._lost.clear()
        self._lost.update(delta.counted_from)
        self._misfits.clear()
        self._misfits.update(delta.misfits)
        self._is_changed = True

    def snapshot(self) -> Snapshot:
        """Return the state of now; the same object as long as nothing was fed."""
        if self._is_changed:
            self._snapshot = self._take()
        return self._snapshot

    def _forget(self, generation: str) -> None:
        self._generation = generation
        self._partitions = 0
        self._fingerprint = Fingerprint()
        self._fingerprints: dict[int, Fingerprint] = {}
        self._cursors: dict[int, bytes] = {}
        self._notes: dict[int, bytes] = {}
        self._misfits: dict[int, str] = {}
        self._lost: dict[str, Mapping[str, int]] = {}
        self._pages: dict[TableName, RawPages] = {}
        self._shared: set[TableName] = set()
        self._caches = _Caches(self._fingerprint, self._own)
        self._is_changed = True

    def _place(self, partition: int, key: bytes, value: bytes) -> None:
        """File one record under its table; what is not a page of a declared rollup is none of our totals."""
        try:
            parts = orjson.loads(key)
        except orjson.JSONDecodeError:
            return
        if not isinstance(parts, list) or len(parts) != _PAGE_KEY_LENGTH:
            return
        generation, kind, festival, rollup, number = parts
        if (
            (generation, kind) != (self._generation, "page")
            or (rollup not in self._caches.rollups and rollup not in _DISTINCTS)
            or type(number) is not int
        ):
            return
        name = (festival, rollup)
        if name in self._shared:  # a snapshot holds it: go on with a copy
            self._pages[name] = dict(self._pages[name])
            self._shared.discard(name)
        pages = self._pages.setdefault(name, {})
        pages[number] = {**pages.get(number, {}), partition: pack(value)}

    def _read_fingerprint(self, partition: int, value: bytes) -> None:
        """Read by the declarations of the ledger from now on; one that cannot be read changes nothing."""
        try:
            fingerprint = decode_fingerprint(value)
        except msgspec.MsgspecError:
            return
        self._fingerprints[partition] = fingerprint
        merged = together(self._fingerprints.values())
        if merged.rollups != self._fingerprint.rollups:
            self._caches = _Caches(merged, self._own)
        self._fingerprint = merged

    def _take(self) -> Snapshot:
        self._shared = set(self._pages)
        self._is_changed = False
        return Snapshot(
            self._generation,
            self._partitions,
            dict(self._cursors),
            dict(self._notes),
            dict(self._lost),
            self._fingerprint,
            dict(self._fingerprints),
            dict(self._pages),
            self._caches,
            misfits=dict(self._misfits),
        )
