"""The committed ledger of all partitions, put together from the records of its topic: no IO, no clock.

Fed by `streams.kafka.follower`. A checkpoint becomes part of the view as a whole, when its cursor is met: a fetch may
end in the middle of a committed transaction.
"""

from __future__ import annotations

import logging
from dataclasses import dataclass, field
from typing import TYPE_CHECKING

from streams.kafka.generations import Generations, decode
from streams.kafka.ledger_keys import CURSOR_ENDS, Kind, newest_places, parse_key

if TYPE_CHECKING:
    from collections.abc import Sequence

    from streams.engine.batch import RecordBatch

log = logging.getLogger("festival.ledger")


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


@dataclass(slots=True)
class _Generation:
    """What is known of one generation and was not yet handed over."""

    pages: dict[tuple[int, bytes], bytes] = field(default_factory=dict)
    cursors: dict[int, bytes] = field(default_factory=dict)
    pending: dict[int, dict[bytes, bytes]] = field(default_factory=dict)
    """Pages by partition whose cursor has not come yet."""


class LedgerView:
    """Collects checkpoints of every generation, hands over those of the current one.

    Of the current generation only what changed is kept: the board has the rest. A generation that a recount is
    counting is kept whole until it becomes current, an older one is forgotten.
    """

    def __init__(self, partitions: int) -> None:
        """Begin with nothing read of a ledger topic with `partitions` partitions."""
        self.partitions = partitions
        self.generations = Generations()
        self._shown = self.generations.current
        self._by_name: dict[str, _Generation] = {}
        self._is_reset = True
        self._told: set[int] = set()

    def add(self, batch: RecordBatch) -> bool:
        """Take the records of one partition, in log order; return whether another generation became current.

        It is shown from the next `show_current` on. Records that are none of ours are skipped, and told once.
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

    def show_current(self) -> None:
        """Show the current generation from now on; forget older ones, and those a newer recount has left behind."""
        if self.generations.current != self._shown:
            self._shown = self.generations.current
            self._is_reset = True
        following = self.generations.next
        from_number = _number(following.id if following else self._shown)
        self._by_name = {
            name: kept for name, kept in self._by_name.items() if name == self._shown or _number(name) >= from_number
        }

    def drain(self) -> FollowerDelta | None:
        """Hand over what has changed since the last call, None where nothing has."""
        shown = self._by_name.get(self._shown, _Generation())
        if not (self._is_reset or shown.cursors or shown.pages):
            return None
        delta = FollowerDelta(self._shown, self.partitions, self._is_reset, shown.pages, shown.cursors)
        shown.pages, shown.cursors, self._is_reset = {}, {}, False
        return delta

    def _add(self, name: str, kind: Kind, partition: int, key: bytes, value: bytes | None) -> None:
        # Tombstones are written only for generations that nobody shows any more.
        if value is None or (_number(name) < _number(self._shown) and not self._is_reset):
            return
        generation = self._by_name.setdefault(name, _Generation())
        pending = generation.pending.setdefault(partition, {})
        if kind is not Kind.CURSOR:
            pending[key] = value
            return
        generation.pages.update({(partition, page): changed for page, changed in pending.items()})
        pending.clear()
        generation.cursors[partition] = value

    def _tell(self, partition: int, offset: int, error: ValueError) -> None:
        if partition not in self._told:
            self._told.add(partition)
            log.error("skipped on the ledger", extra={"partition": partition, "offset": offset, "error": str(error)})


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


def _number(name: str) -> int:
    return int(name[1:])
