"""Counts partitions from where their ledger ends up to given offsets: a worker's takeover and loop, without Faust.

Used by the recount, in one process for all partitions. The engine and the store are the worker's.
"""

from __future__ import annotations

import asyncio
import logging
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

from aiokafka.structs import TopicPartition

from streams.engine.batch import RecordBatch
from streams.engine.checkpoint import FencedError
from streams.engine.processor import PartitionProcessor, restore_processor
from streams.kafka.log_reader import LogReader
from streams.kafka.store import KafkaLedgerStore, KafkaPartitionStore

if TYPE_CHECKING:
    from collections.abc import Callable, Coroutine, Iterable, Mapping

    from streams.domain.declarations import Declarations
    from streams.engine.clock import Clock
    from streams.settings import Settings

log = logging.getLogger("festival.recount")

CHECKPOINT_EVERY_MS = 2_000
"""Nobody watches these totals yet; a kill costs the counting of this span."""
PENDING_REJECTED_BYTES = 8 * 1024 * 1024
FETCH_BYTES = 2 * 1024 * 1024
WAIT_SECONDS = 1.0


class LogMovedError(Exception):
    """The log starts above a position: records that were not counted yet are deleted, this ledger cannot go on."""


@dataclass(slots=True)
class _Counting:
    store: KafkaPartitionStore
    processor: PartitionProcessor


class CatchUp:
    """Call order: `open`, `take_over`, then `count_to` as often as needed, `close`.

    A partition that a newer owner takes over is `handed_over` and left alone from then on.
    """

    def __init__(
        self,
        settings: Settings,
        declarations: Declarations,
        generation: str,
        *,
        counts_beside: bool,
        on_counted: Callable[[int], None],
        clock: Clock,
    ) -> None:
        """`counts_beside`: see `KafkaLedgerStore`. `on_counted` is told how many offsets were passed."""
        self._settings = settings
        self._declarations = declarations
        self._generation = generation
        self._counts_beside = counts_beside
        self._store = KafkaLedgerStore(settings, counts_beside=counts_beside)
        self._on_counted = on_counted
        self._clock = clock
        self._counting: dict[int, _Counting] = {}
        self.handed_over: set[int] = set()

    @property
    def positions(self) -> dict[TopicPartition, int]:
        """Return the next offset of every source partition that is still ours."""
        return {
            TopicPartition(topic, partition): offset
            for partition, counting in self._counting.items()
            for topic, offset in counting.processor.positions.items()
        }

    @property
    def read_by_others(self) -> dict[TopicPartition, int]:
        """Return the largest next offset in the cursors of other generations, as of the takeover."""
        return {
            TopicPartition(topic, partition): offset
            for partition, counting in self._counting.items()
            for topic, offset in counting.store.read_by_others.items()
        }

    async def take_over(self, partitions: Iterable[int], *, forget_all_but: Iterable[str] = ()) -> None:
        """Fence, restore and commit a first checkpoint of each partition, so that each has a cursor.

        `forget_all_but` names generations; given, the records of all others are removed from the ledger. Raises
        `UnreadableError`, `FingerprintError`, `LogMovedError`, `OutcomeUnknownError`, and `FencedError` where
        another process takes over at the same time.
        """
        keep = frozenset(forget_all_but)
        await _all(self._take_over(partition, keep) for partition in partitions)
        await self._start_topics()
        await self._checkpoint()

    async def count_to(self, targets: Mapping[TopicPartition, int]) -> None:
        """Count up to, not including, the offsets of `targets`, and commit.

        Raises `OutcomeUnknownError`: what was committed stays, a new `CatchUp` goes on from there.
        """
        reader = await LogReader.open(self._settings, max_partition_fetch_bytes=FETCH_BYTES)
        try:
            remaining = self._remaining(targets)
            assigned = 0
            next_ms = self._clock.monotonic_ms() + CHECKPOINT_EVERY_MS
            while remaining:
                if assigned != len(remaining):
                    reader.assign({tp: self.positions[tp] for tp in remaining})
                    assigned = len(remaining)
                for batch in await reader.fetch(WAIT_SECONDS):
                    self._apply(batch, remaining)
                if self._clock.monotonic_ms() >= next_ms or self._has_many_rejected():
                    await self._checkpoint()
                    next_ms = self._clock.monotonic_ms() + CHECKPOINT_EVERY_MS
                remaining = self._remaining(targets)
        finally:
            await reader.close()
        await self._checkpoint()

    async def close(self) -> None:
        """Release all connections. Never raises."""
        await asyncio.gather(*(counting.store.close() for counting in self._counting.values()))
        self._counting.clear()
        await self._store.close()

    async def _take_over(self, partition: int, keep: frozenset[str]) -> None:
        try:
            store = await self._store.fence(partition, self._generation)
        except FencedError:
            if self._counts_beside:
                raise
            self.handed_over.add(partition)
            return
        try:
            restored = await store.restore()
            processor = restore_processor(self._declarations, partition, self._generation, restored)
            if keep:
                await store.forget_all_but(keep)
        except BaseException:
            await store.close()
            raise
        self._counting[partition] = _Counting(store, processor)

    async def _start_topics(self) -> None:
        """Start topics never read at the beginning of their logs; raise where others start above their position."""
        wanted = [TopicPartition(topic, p) for topic in self._declarations.topics for p in self._counting]
        reader = await LogReader.open(self._settings)
        try:
            beginnings = await reader.beginning_offsets(wanted)
        finally:
            await reader.close()
        for tp, beginning in beginnings.items():
            processor = self._counting[tp.partition].processor
            position = processor.positions.get(tp.topic)
            if position is None:
                processor.start_at(tp.topic, beginning)
            elif position < beginning:
                raise LogMovedError(f"{tp.topic} partition {tp.partition} begins at {beginning}, not {position}")

    def _remaining(self, targets: Mapping[TopicPartition, int]) -> dict[TopicPartition, int]:
        positions = self.positions
        return {tp: target for tp, target in targets.items() if positions.get(tp, target) < target}

    def _apply(self, batch: RecordBatch, remaining: Mapping[TopicPartition, int]) -> None:
        target = remaining.get(TopicPartition(batch.topic, batch.partition))
        if target is None:
            return
        processor = self._counting[batch.partition].processor
        before = processor.positions[batch.topic]
        if batch.start < target:
            processor.apply(up_to(batch, target))
            self._on_counted(processor.positions[batch.topic] - before)

    def _has_many_rejected(self) -> bool:
        pending = sum(counting.processor.pending_rejected_bytes for counting in self._counting.values())
        return pending > PENDING_REJECTED_BYTES

    async def _checkpoint(self) -> None:
        await _all(self._commit(partition) for partition in list(self._counting))

    async def _commit(self, partition: int) -> None:
        counting = self._counting[partition]
        checkpoint = counting.processor.cut()
        if checkpoint is None:
            return
        try:
            await counting.store.commit(checkpoint)
        except FencedError:
            log.info("partition handed over", extra={"partition": partition, "generation": self._generation})
            self.handed_over.add(partition)
            del self._counting[partition]
            await counting.store.close()


async def _all(works: Iterable[Coroutine[Any, Any, None]]) -> None:
    """Wait for all, then raise what the first to fail raised: nothing may go on behind the back of a failure."""
    for outcome in await asyncio.gather(*works, return_exceptions=True):
        if isinstance(outcome, BaseException):
            raise outcome


def up_to(batch: RecordBatch, offset: int) -> RecordBatch:
    """Return the part of the batch below `offset`."""
    if batch.next_offset <= offset:
        return batch
    end = next((i for i, found in enumerate(batch.offsets) if found >= offset), len(batch.offsets))
    return RecordBatch(
        batch.topic,
        batch.partition,
        batch.start,
        offset,
        batch.offsets[:end],
        batch.keys[:end],
        batch.values[:end],
        batch.record_times_ms[:end],
    )
