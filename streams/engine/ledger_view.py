"""The committed ledger of all partitions, put together from the records of its topic: no IO, no clock.

Fed by `streams.kafka.ledger.follower`. A checkpoint becomes part of the view as a whole, when its cursor is met: a
fetch may end in the middle of a committed transaction.
"""

from __future__ import annotations

from dataclasses import dataclass, field
from typing import TYPE_CHECKING

import msgspec

from streams.domain.pages import decode_cursor
from streams.engine.digest import Digest, misfit
from streams.engine.generations import Generations, decode, number_of
from streams.engine.judgement import verdict
from streams.engine.ledger_keys import CURSOR_ENDS, Kind, newest_places, parse_key
from streams.engine.status import HeldReason
from streams.engine.topic_names import LEDGER

if TYPE_CHECKING:
    from collections.abc import Mapping, Sequence

    from streams.engine.batch import RecordBatch
    from streams.engine.generations import Remade


@dataclass(frozen=True, slots=True)
class FollowerDelta:
    """What has changed in the shown generation since the last hand-over, whole checkpoints only."""

    generation: str
    partitions: int
    reset: bool
    """Forget what was handed over before: this is all there is, of another generation or of another topic."""
    changed_pages: dict[tuple[int, bytes], bytes]
    """Newest value by partition and key, also of the fingerprint."""
    cursors: dict[int, bytes]
    """Newest cursor of each partition that has a new one."""
    notes: dict[int, bytes] = field(default_factory=dict)
    """Why partitions are held, of all partitions whose note no cursor has overruled."""
    counted_from: Mapping[str, Mapping[str, int]] = field(default_factory=dict)
    """Where the generation begins later than its log did: topic, partition, first offset."""
    misfits: Mapping[int, str] = field(default_factory=dict)
    """Partitions that hold something else than their cursors were committed with, and what is wrong."""
    remade: tuple[Remade, ...] = ()
    """Logs that were made again or lost their tail, of all generations."""


@dataclass(slots=True)
class _Generation:
    """What is known of one generation and was not yet handed over."""

    pages: dict[tuple[int, bytes], bytes] = field(default_factory=dict)
    cursors: dict[int, bytes] = field(default_factory=dict)
    notes: dict[int, bytes] = field(default_factory=dict)
    """Kept as long as they hold."""
    is_noted_anew: bool = False
    pending: dict[int, dict[bytes, bytes | None]] = field(default_factory=dict)
    """Pages by partition whose cursor has not come yet; None: it is there no more."""
    live: dict[int, Digest] = field(default_factory=dict)
    """The digest of what lies beside the newest cursor, by partition."""
    misfits: dict[int, str] = field(default_factory=dict)
    """What is wrong with each partition whose cursor was committed with something else."""

    def check(self) -> None:
        """Compare what lies beside the new cursors with what these were committed with."""
        for partition, value in self.cursors.items():
            try:
                committed, found = decode_cursor(value).digests.ledger, self.live[partition].total
            except msgspec.MsgspecError:
                continue  # it covers nothing
            if found == committed:
                self.misfits.pop(partition, None)
                continue
            self.misfits[partition] = verdict(
                HeldReason.LEDGER_UNREADABLE, None, misfit(LEDGER, committed, found)
            ).detail


class LedgerView:
    """Collects checkpoints of every generation, hands over those of the current one.

    It keeps only what changed in the current generation: the board has the rest. A generation that a recount is
    counting is kept whole until it becomes current. Older ones are forgotten.
    """

    def __init__(self, partitions: int) -> None:
        """Begin with nothing read of a ledger topic with `partitions` partitions."""
        self.partitions = partitions
        self.generations = Generations()
        self._shown = self.generations.current
        self._current = self.generations
        """Those of the generation that is shown."""
        self._by_name: dict[str, _Generation] = {}
        self._is_reset = True
        self._told: set[int] = set()
        self._strange: list[tuple[int, int, str]] = []

    def add(self, batch: RecordBatch) -> bool:
        """Take the records of one partition, in log order; return whether another generation became current.

        It is shown from the next `show_current` on. Records that are none of ours are skipped.
        """
        current = self.generations.current
        keys = list(batch.keys)
        for place in _not_overtaken(keys):
            key = keys[place]
            try:
                name, kind = parse_key(key)
            except ValueError as error:
                self._tell(batch.partition, batch.offsets[place], error)
                continue
            value = batch.values[place]
            if kind is Kind.GENERATIONS:
                self.generations = Generations() if value is None else decode(value)
                continue
            assert key is not None, "parsed"
            self._add(name, kind, batch.partition, key, value)
        return self.generations.current != current

    def take_strange(self) -> list[tuple[int, int, str]]:
        """Return partition, offset and fault of records that are none of ours: the first of each partition, once."""
        strange, self._strange = self._strange, []
        return strange

    def show_current(self) -> None:
        """Show the current generation from now on; forget older ones, and those a newer recount has left behind."""
        if self.generations.current != self._shown:
            self._shown = self.generations.current
            self._is_reset = True
        self._current = self.generations
        following = self.generations.next
        from_number = number_of(following.id if following else self._shown)
        self._by_name = {
            name: kept for name, kept in self._by_name.items() if name == self._shown or number_of(name) >= from_number
        }

    @property
    def is_misfit(self) -> bool:
        """Return whether a partition that is shown holds something else than its cursor was committed with."""
        shown = self._by_name.get(self._shown, _Generation())
        shown.check()
        return bool(shown.misfits)

    def drain(self) -> FollowerDelta | None:
        """Hand over what has changed since the last call, None where nothing has."""
        shown = self._by_name.get(self._shown, _Generation())
        if not (self._is_reset or shown.cursors or shown.pages or shown.is_noted_anew):
            return None
        shown.check()
        notes = dict(shown.notes)
        delta = FollowerDelta(
            self._shown,
            self.partitions,
            self._is_reset,
            shown.pages,
            shown.cursors,
            notes,
            self._current.counted_from,
            dict(shown.misfits),
            self._current.remade,
        )
        shown.pages, shown.cursors, shown.is_noted_anew, self._is_reset = {}, {}, False, False
        return delta

    def _add(self, name: str, kind: Kind, partition: int, key: bytes, value: bytes | None) -> None:
        if number_of(name) < number_of(self._shown) and not self._is_reset:
            return
        generation = self._by_name.setdefault(name, _Generation())
        pending = generation.pending.setdefault(partition, {})
        if kind not in {Kind.NOTE, Kind.CURSOR}:
            pending[key] = value
            return
        if value is None:
            return  # of a generation that nobody shows any more
        if kind is Kind.NOTE:
            generation.notes[partition], generation.is_noted_anew = value, True
            return
        generation.live.setdefault(partition, Digest()).write(pending)
        generation.pages.update({(partition, page): new for page, new in pending.items() if new is not None})
        pending.clear()
        generation.cursors[partition] = value
        generation.notes.pop(partition, None)

    def _tell(self, partition: int, offset: int, error: ValueError) -> None:
        if partition not in self._told:
            self._told.add(partition)
            self._strange.append((partition, offset, str(error)))


def _not_overtaken(keys: Sequence[bytes | None]) -> Sequence[int]:
    """Return the places of the records that decide what a batch leaves behind, in order.

    Who reads half an hour of checkpoints at once need not look at pages that a later checkpoint replaces: of each key
    the newest record up to the last cursor matters, and the newest one after it, whose cursor is still to come.
    """
    cursors = [place for place in newest_places(keys, 0, len(keys)) if (keys[place] or b"").endswith(CURSOR_ENDS)]
    if len(cursors) > 1:
        return range(len(keys))  # a recount counts another generation beside this one
    end = cursors[0] + 1 if cursors else 0
    return newest_places(keys, 0, end) + newest_places(keys, end, len(keys))
