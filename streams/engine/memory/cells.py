"""A ledger on the in-memory Kafka whose cells are named one by one, followed as a board follows any ledger.

For tests and measurements of what is shown: nothing is counted. What is committed goes through the store, what is
handed over comes out of `LedgerView`.
"""

from __future__ import annotations

from typing import TYPE_CHECKING

import numpy as np

from streams.domain.built_in import ROLLUPS
from streams.domain.declarations import Declarations
from streams.domain.pages import HIGH_SHIFT, Cursor, Identity, Page, PageKey, encode_page, fingerprint_key
from streams.domain.rollups import GROUPS_PER_PAGE, PAGE_MS, WINDOW_MS, Window
from streams.engine.checkpoint import Checkpoint
from streams.engine.generations import Generations, encode
from streams.engine.judgement import note_key
from streams.engine.ledger_keys import GENERATIONS_KEY
from streams.engine.ledger_view import FollowerDelta, LedgerView
from streams.engine.memory.cluster import Kafka
from streams.engine.memory.ledger import MemoryLedgerStore, create_topics
from streams.engine.memory.producer import Producer
from streams.engine.memory.source import survey
from streams.engine.topic_names import LEDGER, SOURCES

if TYPE_CHECKING:
    from collections.abc import Mapping

    from streams.domain.festivals import Festival

Group = tuple[str, ...]
_ROLLUPS = {rollup.name: rollup for rollup in ROLLUPS}
_LIMIT = 1 << 63
_NOTHING = Cursor(
    positions={},
    started={},
    stream_times_ms={},
    max_event_times_ms={},
    outcomes={},
    rejected={},
    sequence=0,
    identity=Identity(cluster="", own={}, topics={}),
    epochs={},
)


class CellLedger:
    """Add cells, commit, and drain, in any order; what was added and not committed is committed by `drain`."""

    def __init__(self, partitions: int, generation: str = "g1") -> None:
        """Begin with no page and no cursor."""
        self.partitions = partitions
        self.generation = generation
        self.kafka = Kafka()
        create_topics(self.kafka, partitions)
        store = MemoryLedgerStore(kafka=self.kafka)
        self._owners = [store.fence_now(partition, generation) for partition in range(partitions)]
        self._cells: dict[tuple[int, PageKey], dict[Group, list[list[int]]]] = {}
        self._places: dict[tuple[int, str, str, Group], int] = {}
        self._changed: dict[int, set[PageKey]] = {}
        """By partition with something that no cursor has followed yet."""
        self._cursors = dict.fromkeys(range(partitions), _NOTHING)
        self._view = LedgerView(partitions)
        self._next = dict.fromkeys(range(partitions), 0)
        if generation != self._view.generations.current:
            self._send(0, GENERATIONS_KEY, encode(Generations(current=generation)))

    def add(
        self, partition: int, festival: Festival, rollup: str, group: Group, event_time_ms: int, **measures: int
    ) -> None:
        """Add to the cell of `group` in the window of `event_time_ms`."""
        declared = _ROLLUPS[rollup]
        elapsed_ms = event_time_ms - festival.start_ms
        slots, slot = 1, 0
        if declared.window is Window.FESTIVAL:
            place = (partition, festival.id, rollup, group)
            known = sum(1 for p, f, r, _ in self._places if (p, f, r) == place[:3])
            number = self._places.setdefault(place, known) // GROUPS_PER_PAGE
        else:
            slots = PAGE_MS[declared.window] // WINDOW_MS[declared.window]
            number = elapsed_ms // PAGE_MS[declared.window]
            slot = elapsed_ms % PAGE_MS[declared.window] // WINDOW_MS[declared.window]
        key = PageKey(self.generation, festival.id, rollup, number)
        names = [measure.name for measure in declared.measures]
        cells = self._cells.setdefault((partition, key), {}).setdefault(group, [[0] * slots for _ in names])
        for name, value in measures.items():
            cells[names.index(name)][slot] += value
        self._changed.setdefault(partition, set()).add(key)

    def write(self, partition: int, key: bytes, value: bytes) -> None:
        """Write a record of the ledger's topic as it is, be it no page at all."""
        self._send(partition, key, value)
        self._owners[partition].live.take({key: value})
        self._changed.setdefault(partition, set())

    def hold(self, partition: int, note: bytes) -> None:
        """Leave a note that the partition is held, until its next commit."""
        self._send(partition, note_key(self.generation), note)

    def count_only(self, *festivals: Festival) -> None:
        """Write the fingerprint of a generation that counts these festivals and no other."""
        declarations = Declarations({festival.id: festival for festival in festivals}, 0, 0)
        self.write(0, fingerprint_key(self.generation), declarations.fingerprint)

    def commit(
        self,
        partition: int,
        positions: Mapping[str, int] | None = None,
        stream_times_ms: Mapping[str, int] | None = None,
        max_event_times_ms: Mapping[str, int] | None = None,
        outcomes: Mapping[str, Mapping[str, int]] | None = None,
    ) -> None:
        """Write what has changed in the partition, and its cursor."""
        self._cursors[partition] = Cursor(
            positions=dict(positions or {}),
            started=dict.fromkeys(positions or {}, 0),
            stream_times_ms=dict(stream_times_ms or {}),
            max_event_times_ms=dict(max_event_times_ms or {}),
            outcomes={topic: dict(counts) for topic, counts in (outcomes or {}).items()},
            rejected={},
            sequence=self._cursors[partition].sequence + 1,
            identity=survey(self.kafka, SOURCES).identity,
            epochs={},
        )
        self._commit(partition)

    def drain(self) -> FollowerDelta:
        """Return what changed since the last time."""
        for partition in list(self._changed):
            self._commit(partition)
        for partition in range(self.partitions):
            while self._next[partition] < self.kafka.end_offset(LEDGER, partition):
                batch = self.kafka.fetch(LEDGER, partition, self._next[partition])
                self._view.add(batch)
                self._next[partition] = batch.next_offset
        self._view.show_current()
        nothing = FollowerDelta(self.generation, self.partitions, reset=False, changed_pages={}, cursors={})
        return self._view.drain() or nothing

    def _commit(self, partition: int) -> None:
        keys = sorted(self._changed.pop(partition, ()), key=PageKey.encode)
        pages = [(key, self._encoded(partition, key)) for key in keys]
        cursor = self._cursors[partition]
        self._owners[partition].commit_now(Checkpoint(partition, self.generation, None, pages, cursor, [], [], {}))

    def _send(self, partition: int, key: bytes, value: bytes) -> None:
        Producer(self.kafka).send(LEDGER, partition, [value], [key])

    def _encoded(self, partition: int, key: PageKey) -> bytes:
        groups = self._cells[partition, key]
        measures = len(_ROLLUPS[key.rollup].measures)
        rows = [[v for cells in groups.values() for v in cells[m]] for m in range(measures)]
        slots = len(rows[0]) // len(groups)
        if all(-_LIMIT <= v < _LIMIT for row in rows for v in row):
            low, high = np.array(rows, dtype="<i8").tobytes(), None
        else:
            low = np.array([[v & ((1 << HIGH_SHIFT) - 1) for v in row] for row in rows], dtype="<i8").tobytes()
            high = np.array([[v >> HIGH_SHIFT for v in row] for row in rows], dtype="<i8").tobytes()
        return encode_page(Page(tuple(groups), slots, measures, low, high))
