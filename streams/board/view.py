"""The committed view: what the ledgers of all partitions say, together. Fed by a follower, read by screens and scrapes.

Feeding stores bytes, packed, and decodes nothing; a page is decoded when a table that holds it is looked at, and only
if it changed since. A process that nobody asks thus spends next to nothing on its view.
"""

from __future__ import annotations

import threading
from dataclasses import dataclass, replace
from functools import cached_property
from typing import TYPE_CHECKING, Protocol

import msgspec
import orjson

from streams.board.packing import pack, unpack
from streams.board.tables import RawPages, Table, TableCache
from streams.domain.ledger import WATERMARK_LAG_MS
from streams.domain.pages import Cursor, decode_cursor, decode_page, fingerprint_key
from streams.domain.rollups import ROLLUPS, Rollup
from streams.domain.sketches import DISTINCTS, Estimate, estimate

if TYPE_CHECKING:
    from collections.abc import Iterable, Mapping

    from streams.domain.festivals import Festival

_PAGE_KEY_LENGTH = 5
_DISTINCTS = frozenset(distinct.name for distinct in DISTINCTS)


class Delta(Protocol):
    """What a follower hands over: whole checkpoints only (`streams.kafka.follower`)."""

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
    def partitions(self) -> int:
        """Return how many partitions the ledger has."""

    @property
    def reset(self) -> bool:
        """Return whether this delta is all there is: forget what came before."""


TableName = tuple[str, str]
"""Festival, rollup."""


class CountedFestival(msgspec.Struct, frozen=True):
    """A festival as the fingerprint has it: what decided the count, whatever its file says today."""

    start_ms: int
    end_ms: int
    facts: tuple[str, ...]


class Fingerprint(msgspec.Struct, frozen=True):
    """The part of a generation's fingerprint that reading needs (`streams.domain.declarations`)."""

    festivals: dict[str, CountedFestival] = {}
    rollups: tuple[Rollup, ...] = ()


_decode_fingerprint = msgspec.json.Decoder(Fingerprint).decode


class _Caches:
    """The table caches of one generation, shared by its snapshots."""

    def __init__(self, fingerprint: Fingerprint) -> None:
        counted = {rollup.name: rollup for rollup in fingerprint.rollups}
        self.rollups = {rollup.name: counted.get(rollup.name, rollup) for rollup in ROLLUPS}
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


def _estimated(raw: RawPages) -> Estimate | None:
    try:
        return estimate(decode_page(unpack(value)).low for value in raw.get(0, {}).values())
    except (msgspec.MsgspecError, ValueError):
        return None


@dataclass(frozen=True)
class Snapshot:
    """The committed totals at one moment: whole checkpoints, unchangeable, to be read from any thread."""

    generation: str
    partitions: int
    raw_cursors: Mapping[int, bytes]
    fingerprint: Fingerprint
    """What the generation was counted under; empty while no partition wrote it."""
    _raw: Mapping[TableName, RawPages]
    _caches: _Caches

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

    def table(self, festival: str, rollup: str) -> Table:
        """Return the totals of one rollup; raises `KeyError` for a rollup that is not declared."""
        return self._caches.table((festival, rollup), self._raw.get((festival, rollup), _NO_PAGES))

    def distinct(self, festival: str, name: str) -> Estimate | None:
        """Return how many different ones there are; None where a partition's sketch cannot be read."""
        return self._caches.distinct((festival, name), self._raw.get((festival, name), _NO_PAGES))

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
    def is_complete(self) -> bool:
        """Whether every partition has a committed cursor."""
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

    def lag_records(self, end_offsets: Mapping[str, Mapping[int, int]]) -> int:
        """Return how many records lie between the committed positions and `end_offsets`; never negative."""
        positions = self.positions()
        return sum(
            max(0, end - positions.get(topic, {}).get(partition, 0))
            for topic, ends in end_offsets.items()
            for partition, end in ends.items()
        )


_NO_PAGES: RawPages = {}


class CommittedView:
    """Collects deltas, hands out snapshots. One at a time may `feed` or ask; snapshots are everybody's."""

    def __init__(self) -> None:
        """Begin empty: no partition has a cursor yet."""
        self._forget("g1")
        self._snapshot = self._take()

    def feed(self, delta: Delta) -> None:
        """Take a delta over, whole. Costs one dictionary entry per changed page; never raises on bad records."""
        if delta.reset or delta.generation != self._generation:
            self._forget(delta.generation)
        self._partitions = delta.partitions
        for (partition, key), value in delta.changed_pages.items():
            self._place(partition, key, value)
        self._cursors.update(delta.cursors)
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
        self._cursors: dict[int, bytes] = {}
        self._pages: dict[TableName, RawPages] = {}
        self._shared: set[TableName] = set()
        self._caches = _Caches(self._fingerprint)
        self._is_changed = True

    def _place(self, partition: int, key: bytes, value: bytes) -> None:
        """File one record under its table; what is not a page of a declared rollup is none of our totals."""
        if key == fingerprint_key(self._generation):
            self._read_fingerprint(value)
            return
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

    def _read_fingerprint(self, value: bytes) -> None:
        """Read by the declarations of the ledger from now on; one that cannot be read changes nothing."""
        try:
            fingerprint = _decode_fingerprint(value)
        except msgspec.MsgspecError:
            return
        if fingerprint != self._fingerprint:
            self._fingerprint = fingerprint
            self._caches = _Caches(fingerprint)

    def _take(self) -> Snapshot:
        self._shared = set(self._pages)
        self._is_changed = False
        return Snapshot(
            self._generation,
            self._partitions,
            dict(self._cursors),
            self._fingerprint,
            dict(self._pages),
            self._caches,
        )
