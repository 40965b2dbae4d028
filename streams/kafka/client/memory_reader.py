"""Reads logs of the in-memory Kafka as `LogReader` reads those of a broker: what uses one cannot tell them apart.

For tests and for whoever wants to count without a broker. `tests/contract` runs the same cases on both.
"""

from __future__ import annotations

import asyncio
from typing import TYPE_CHECKING

from aiokafka.errors import CorruptRecordException, KafkaError, OffsetOutOfRangeError

from streams.engine.memory import COMMITTED, UNCOMMITTED, Kafka
from streams.engine.memory.errors import DamagedError, OutOfRangeError
from streams.kafka.client.log_reader import LogReader

if TYPE_CHECKING:
    from collections.abc import Iterable, Mapping

    from aiokafka.structs import TopicPartition

    from streams.engine.batch import RecordBatch


class MemoryReader(LogReader):
    """A `LogReader` without a connection. Names are without prefix, for the Kafka has none."""

    def __init__(
        self, kafka: Kafka, *, is_committed_only: bool = True, max_records: int | None = None, batches: int = 1
    ) -> None:
        """Let a fetch give at most `batches` batches of a partition with at most `max_records` each; None: all."""
        self.positions = {}
        self.on_fault = None
        self.is_closed = False
        self.batches = batches
        self._kafka = kafka
        self._isolation = COMMITTED if is_committed_only else UNCOMMITTED
        self._max_records = max_records

    async def partition_count(self, topic: str) -> int:
        """Return the number of partitions of `topic`, 0 where there is no such topic."""
        described = self._kafka.describe_topic(topic)
        return 0 if described is None else described.partitions

    async def end_offsets(self, partitions: Iterable[TopicPartition]) -> dict[TopicPartition, int]:
        """Return the end offset of each partition: reading committed, the last stable offset."""
        return {tp: self._kafka.end_offset(*tp, self._isolation) for tp in partitions}

    async def beginning_offsets(self, partitions: Iterable[TopicPartition]) -> dict[TopicPartition, int]:
        """Return the offset each partition's log starts at."""
        return {tp: self._kafka.beginning_offset(*tp) for tp in partitions}

    async def first_newer(self, partition: TopicPartition, record_time_ms: int) -> int | None:
        """Return the first offset, be it of a control record, whose record time is later; None where there is none."""
        found = self._kafka.offset_for_time(*partition, record_time_ms + 1, self._isolation)
        return None if found is None else found[0]

    def assign(self, positions: Mapping[TopicPartition, int]) -> None:
        """Read the partitions of `positions`, and only those, from there."""
        self.positions = dict(positions)

    def is_at_end(self) -> bool:
        """Return whether nothing committed is left to read."""
        return all(self.positions[tp] >= self._kafka.end_offset(*tp, self._isolation) for tp in self.positions)

    async def fetch(self, timeout_seconds: float) -> list[RecordBatch]:
        """Return what is there, at once; errors are those of a broker's reader."""
        assert timeout_seconds >= 0
        await asyncio.sleep(0)
        batches: list[RecordBatch] = []
        for tp in list(self.positions):
            try:
                batches += self._fetched(tp)
            except KafkaError as error:
                if self.on_fault is None:
                    raise
                self.on_fault(tp, error)
        return batches

    async def close(self) -> None:
        """Take note that nobody reads any more."""
        self.is_closed = True

    def _fetched(self, tp: TopicPartition) -> list[RecordBatch]:
        batches = []
        for _ in range(self.batches):
            try:
                batch = self._kafka.fetch(
                    *tp, self.positions[tp], isolation=self._isolation, max_records=self._max_records
                )
            except OutOfRangeError as error:
                raise OffsetOutOfRangeError(str(error)) from error
            except DamagedError as error:
                raise CorruptRecordException(str(error)) from error
            if batch.next_offset == self.positions[tp]:
                break
            self.positions[tp] = batch.next_offset
            batches.append(batch)
        return batches
