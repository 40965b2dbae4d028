"""Reads whole partitions as record batches, without a group: the ledger by its readers, the sources by a recount.

Topics are named without prefix on this side. The private aiokafka names used are those of the batch transport, held
by tests/contract/test_ledger_names.py.
"""

from __future__ import annotations

import asyncio
from typing import TYPE_CHECKING, Any, Self

from aiokafka.errors import CorruptRecordException, KafkaConnectionError, KafkaError
from aiokafka.structs import TopicPartition

from streams.kafka import clients
from streams.kafka.unpack import unpack

if TYPE_CHECKING:
    from collections.abc import Iterable, Mapping

    from aiokafka import AIOKafkaConsumer

    from streams.engine.batch import RecordBatch
    from streams.settings import Settings


class LogReader:
    """Call order: `open`, then offsets at any time; `assign` before `fetch`; `close` at the end."""

    def __init__(self, consumer: AIOKafkaConsumer, prefix: str) -> None:
        """Made by `open`."""
        self._consumer: Any = consumer
        self._prefix = prefix
        self.positions: dict[TopicPartition, int] = {}
        """Next offset of each assigned partition; covers control records, aborted ones and holes."""

    @classmethod
    async def open(
        cls,
        settings: Settings,
        *,
        is_committed_only: bool = True,
        is_patient: bool = True,
        **options: Any,  # noqa: ANN401 - aiokafka's options
    ) -> Self:
        """Connect; waits through an outage of the broker, or, not patient, raises `KafkaConnectionError`."""
        consumer = await clients.start_consumer(
            settings, is_committed_only=is_committed_only, is_patient=is_patient, **options
        )
        return cls(consumer, settings.prefix)

    async def partition_count(self, topic: str) -> int:
        """Return the number of partitions of `topic`, 0 where there is no such topic."""
        full = self._prefix + topic
        await self._consumer._client.add_topic(full)  # noqa: SLF001
        return len(self._consumer.partitions_for_topic(full) or ())

    async def end_offsets(self, partitions: Iterable[TopicPartition]) -> dict[TopicPartition, int]:
        """Return the end offset of each partition: reading committed, the last stable offset.

        Raises `KafkaError` where the broker does not answer in time.
        """
        return self._plain(await self._consumer.end_offsets(await self._found(partitions)))

    async def beginning_offsets(self, partitions: Iterable[TopicPartition]) -> dict[TopicPartition, int]:
        """Return the offset each partition's log starts at. Raises like `end_offsets`."""
        return self._plain(await self._consumer.beginning_offsets(await self._found(partitions)))

    async def assign_from_beginning(self, partitions: Iterable[TopicPartition]) -> None:
        """Read `partitions`, and only those, from where their logs start. Raises like `end_offsets`."""
        self.assign(await self.beginning_offsets(partitions))

    def assign(self, positions: Mapping[TopicPartition, int]) -> None:
        """Read the partitions of `positions`, and only those, from there."""
        self.positions = dict(positions)
        self._consumer.assign([self._full(tp) for tp in positions])
        for tp, offset in positions.items():
            self._consumer.seek(self._full(tp), offset)

    def is_at_end(self) -> bool:
        """Return whether nothing committed was left to read when the broker last answered for each partition."""
        ends = ((tp, self._consumer.last_stable_offset(self._full(tp))) for tp in self.positions)
        return all(end is not None and self.positions[tp] >= end for tp, end in ends)

    async def fetch(self, timeout_seconds: float) -> list[RecordBatch]:
        """Return what has been fetched; waits up to `timeout_seconds` for something, then returns an empty list.

        Silent through an outage of the broker. Raises `OffsetOutOfRangeError` where a position is not in the log,
        `CorruptRecordException` for damaged bytes, `KafkaConnectionError` where this reader is of no use any more.
        """
        fetching = self._consumer._fetcher._fetch_task  # noqa: SLF001 - see the module's docstring
        if fetching.done():
            raise KafkaConnectionError("aiokafka's fetcher has died")
        batches = self._take()
        if not batches:
            waiter = self._consumer._fetcher._create_fetch_waiter()  # noqa: SLF001 - see the module's docstring
            await asyncio.wait([waiter], timeout=timeout_seconds)
            batches = self._take()
        return batches

    async def close(self) -> None:
        """Release the connections. Never raises."""
        await clients.stop(self._consumer)

    def _take(self) -> list[RecordBatch]:
        fetcher = self._consumer._fetcher  # noqa: SLF001 - see the module's docstring
        batches: list[RecordBatch] = []
        for full, fetched in list(fetcher._records.items()):  # noqa: SLF001
            del fetcher._records[full]  # noqa: SLF001
            fetcher._notify(fetcher._wait_consume_future)  # noqa: SLF001
            if not hasattr(fetched, "_partition_records"):
                fetched.check_raise()
            if fetched.check_assignment(full) and fetched.has_more():
                tp = TopicPartition(full.topic.removeprefix(self._prefix), full.partition)
                try:
                    batches += unpack(tp.topic, tp.partition, fetched._partition_records)  # noqa: SLF001
                except KafkaError:
                    raise
                except Exception as error:
                    raise CorruptRecordException(f"{tp.topic} partition {tp.partition}: {error!r}") from error
                fetched._update_position()  # noqa: SLF001
                self.positions[tp] = fetched._partition_records.next_fetch_offset  # noqa: SLF001
        return batches

    async def _found(self, partitions: Iterable[TopicPartition]) -> list[TopicPartition]:
        """Look up the partitions' leaders first: asked for offsets without, aiokafka pauses 200 ms in between."""
        found = [self._full(tp) for tp in partitions]
        await asyncio.gather(*(self._consumer._client.add_topic(topic) for topic in {tp.topic for tp in found}))  # noqa: SLF001
        return found

    def _full(self, tp: TopicPartition) -> TopicPartition:
        return TopicPartition(self._prefix + tp.topic, tp.partition)

    def _plain(self, offsets: Mapping[TopicPartition, int]) -> dict[TopicPartition, int]:
        return {
            TopicPartition(tp.topic.removeprefix(self._prefix), tp.partition): offset for tp, offset in offsets.items()
        }


async def source_end_offsets(settings: Settings, topics: Iterable[str], partitions: int) -> dict[str, dict[int, int]]:
    """Return the end offset (last stable) of each partition of `topics`, by topic and partition.

    Raises `KafkaError` where the broker is not reachable.
    """
    reader = await LogReader.open(settings, is_patient=False)
    try:
        return await end_offsets_by_topic(reader, topics, partitions)
    finally:
        await reader.close()


async def end_offsets_by_topic(reader: LogReader, topics: Iterable[str], partitions: int) -> dict[str, dict[int, int]]:
    """Return the end offset of each partition of `topics`, by topic and partition. Raises like `end_offsets`."""
    names = list(topics)
    ends = await reader.end_offsets(TopicPartition(topic, p) for topic in names for p in range(partitions))
    return {topic: {p: ends[TopicPartition(topic, p)] for p in range(partitions)} for topic in names}
