"""A ledger in memory that hands out deltas as a follower of Kafka's does: for tests, and for a screen without Kafka."""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING

import numpy as np

from streams.board.tables import slots_per_page
from streams.domain.pages import HIGH_SHIFT, Cursor, Page, PageKey, encode_cursor, encode_page
from streams.domain.rollups import GROUPS_PER_PAGE, PAGE_MS, ROLLUPS, WINDOW_MS, Window

if TYPE_CHECKING:
    from collections.abc import Mapping

    from streams.board.tables import Group
    from streams.domain.festivals import Festival

_ROLLUPS = {rollup.name: rollup for rollup in ROLLUPS}
_LIMIT = 1 << 63


@dataclass(frozen=True, slots=True)
class MemoryDelta:
    """Whole checkpoints of a `MemoryLedger` (the board's `Delta`)."""

    generation: str
    changed_pages: Mapping[tuple[int, bytes], bytes]
    cursors: Mapping[int, bytes]
    partitions: int
    reset: bool


class MemoryLedger:
    """Cells of all partitions, written one by one; `drain` hands over what changed since the last time."""

    def __init__(self, partitions: int, generation: str = "g1") -> None:
        """Begin with no page and no cursor."""
        self.partitions = partitions
        self.generation = generation
        self._pages: dict[tuple[int, PageKey], dict[Group, list[list[int]]]] = {}
        self._places: dict[tuple[int, str, str, Group], int] = {}
        self._changed: set[tuple[int, PageKey]] = set()
        self._raw: dict[tuple[int, bytes], bytes] = {}
        self._cursors: dict[int, bytes] = {}
        self._is_first = True

    def add(
        self, partition: int, festival: Festival, rollup: str, group: Group, event_time_ms: int, **measures: int
    ) -> None:
        """Add to the cell of `group` in the window of `event_time_ms`."""
        declared = _ROLLUPS[rollup]
        slots = slots_per_page(declared)
        elapsed_ms = event_time_ms - festival.start_ms
        slot = 0
        if declared.window is Window.FESTIVAL:
            place = (partition, festival.id, rollup, group)
            known = sum(1 for p, f, r, _ in self._places if (p, f, r) == place[:3])
            number = self._places.setdefault(place, known) // GROUPS_PER_PAGE
        else:
            number = elapsed_ms // PAGE_MS[declared.window]
            slot = elapsed_ms % PAGE_MS[declared.window] // WINDOW_MS[declared.window]
        key = PageKey(self.generation, festival.id, rollup, number)
        groups = self._pages.setdefault((partition, key), {})
        cells = groups.setdefault(group, [[0] * slots for _ in declared.measures])
        names = [measure.name for measure in declared.measures]
        for name, value in measures.items():
            cells[names.index(name)][slot] += value
        self._changed.add((partition, key))

    def write(self, partition: int, key: bytes, value: bytes) -> None:
        """Write a record as it is, be it no page at all."""
        self._raw[partition, key] = value

    def commit(
        self,
        partition: int,
        positions: Mapping[str, int] | None = None,
        stream_times_ms: Mapping[str, int] | None = None,
        max_event_times_ms: Mapping[str, int] | None = None,
        outcomes: Mapping[str, Mapping[str, int]] | None = None,
    ) -> None:
        """Write the partition's cursor."""
        cursor = Cursor(
            positions=dict(positions or {}),
            started=dict.fromkeys(positions or {}, 0),
            stream_times_ms=dict(stream_times_ms or {}),
            max_event_times_ms=dict(max_event_times_ms or {}),
            outcomes={topic: dict(counts) for topic, counts in (outcomes or {}).items()},
            rejected={},
            sequence=1,
        )
        self._cursors[partition] = encode_cursor(cursor)

    def drain(self) -> MemoryDelta:
        """Return what changed since the last time."""
        changed = {(partition, key.encode()): self._encoded(partition, key) for partition, key in self._changed}
        delta = MemoryDelta(
            self.generation, {**changed, **self._raw}, dict(self._cursors), self.partitions, reset=self._is_first
        )
        self._changed.clear()
        self._raw.clear()
        self._cursors.clear()
        self._is_first = False
        return delta

    def _encoded(self, partition: int, key: PageKey) -> bytes:
        groups = self._pages[partition, key]
        declared = _ROLLUPS[key.rollup]
        rows = [[v for cells in groups.values() for v in cells[m]] for m in range(len(declared.measures))]
        slots = slots_per_page(declared)
        if all(-_LIMIT <= v < _LIMIT for row in rows for v in row):
            low, high = np.array(rows, dtype="<i8").tobytes(), None
        else:
            low = np.array([[v & ((1 << HIGH_SHIFT) - 1) for v in row] for row in rows], dtype="<i8").tobytes()
            high = np.array([[v >> HIGH_SHIFT for v in row] for row in rows], dtype="<i8").tobytes()
        return encode_page(Page(tuple(groups), slots, len(rows), low, high))
