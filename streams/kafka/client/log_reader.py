"""Reads whole partitions as record batches, without a group: the ledger by its readers, the sources by a recount.

Topics are named without prefix on this side.
"""

from __future__ import annotations

import asyncio
from typing import TYPE_CHECKING, Any, Self

from aiokafka.errors import CorruptRecordException, KafkaConnectionError, KafkaError
from aiokafka.structs import TopicPartition

from streams.kafka.client import clients
from streams.kafka.client.raw_consumer import RawConsumer, client_of, partition_count

if TYPE_CHECKING:
    from collections.abc import AsyncIterator, Callable, Iterable, Mapping

    from aiokafka import AIOKafkaConsumer

    from streams.engine.batch import RecordBatch
    from streams.settings import Settings


WAIT_SECONDS = 1.0
STALL_SECONDS = 15.0
"""Longest wait for anything more of a log whose end is known."""


class StalledError(KafkaConnectionError):
    """A log does not give what it should hold."""

    def __init__(self, positions: Mapping[TopicPartition, int], ends: Mapping[TopicPartition, int]) -> None:
        """Name the places where nothing comes any more."""
        places = "; ".join(
            f"{tp.topic}[{tp.partition}] at offset {positions[tp]} of {end}"
            for tp, end in sorted(ends.items())
            if positions[tp] < end
        )
        super().__init__(f"nothing came for {STALL_SECONDS:.0f} s: {places}; look at the broker's log")


class LogReader:
    """Call order: `open`, then offsets at any time; `assign` before `fetch`; `close` at the end."""

    def __init__(self, consumer: AIOKafkaConsumer, prefix: str, *, with_headers: bool = False) -> None:
        """Made by `open`."""
        self._consumer: Any = consumer
        self._prefix = prefix
        self._with_headers = with_headers
        self.positions: dict[TopicPartition, int] = {}
        """Next offset of each assigned partition; covers control records, aborted ones and holes."""
        self.on_fault: Callable[[TopicPartition, KafkaError], None] | None = None
        """Told of a partition that cannot be fetched; without it, `fetch` raises the error."""

    @classmethod
    async def open(
        cls,
        settings: Settings,
        *,
        is_committed_only: bool = True,
        is_patient: bool = True,
        is_foreign: bool = False,
        **options: Any,  # noqa: ANN401 - aiokafka's options
    ) -> Self:
        """Connect; waits through an outage of the broker, or, not patient, raises `KafkaConnectionError`.

        Topics that are foreign have no prefix; their records are read with their headers.
        """
        consumer = await clients.start_consumer(
            settings, is_committed_only=is_committed_only, is_patient=is_patient, **options
        )
        return cls(consumer, "" if is_foreign else settings.prefix, with_headers=is_foreign)

    @property
    def client(self) -> Any:  # noqa: ANN401 - aiokafka's client has no public type
        """Return the client behind the reader, for requests of one's own."""
        return client_of(self._consumer)

    async def partition_count(self, topic: str) -> int:
        """Return the number of partitions of `topic`, 0 where there is no such topic."""
        return await partition_count(self._consumer, self._prefix + topic)

    async def end_offsets(self, partitions: Iterable[TopicPartition]) -> dict[TopicPartition, int]:
        """Return the end offset of each partition: reading committed, the last stable offset.

        Raises `KafkaError` where the broker does not answer in time.
        """
        return self._plain(await self._consumer.end_offsets(await self._found(partitions)))

    async def beginning_offsets(self, partitions: Iterable[TopicPartition]) -> dict[TopicPartition, int]:
        """Return the offset each partition's log starts at. Raises like `end_offsets`."""
        return self._plain(await self._consumer.beginning_offsets(await self._found(partitions)))

    async def first_newer(self, partition: TopicPartition, record_time_ms: int) -> int | None:
        """Return the first offset, be it of a control record, whose record time is later; None where there is none."""
        full = self._full(partition)
        found = (await self._consumer.offsets_for_times({full: record_time_ms + 1}))[full]
        return found.offset if found is not None else None

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
        raw = RawConsumer(self._consumer)
        if not raw.is_fetching:
            raise KafkaConnectionError("aiokafka's fetcher has died")
        batches = self._take(raw)
        if not batches:
            await raw.wait(timeout_seconds)
            batches = self._take(raw)
        return batches

    async def read_to(self, ends: Mapping[TopicPartition, int]) -> AsyncIterator[RecordBatch]:
        """Yield batches until every position has reached its end in `ends`.

        Raises `StalledError` where nothing comes for `STALL_SECONDS`, and like `fetch`.
        """
        clock = asyncio.get_running_loop().time
        moved_at = clock()
        while any(self.positions[tp] < end for tp, end in ends.items()):
            batches = await self.fetch(WAIT_SECONDS)
            if batches:
                moved_at = clock()
            elif clock() - moved_at > STALL_SECONDS:
                raise StalledError(self.positions, ends)
            for batch in batches:
                yield batch

    async def records(
        self, partition: TopicPartition, end: int | None = None
    ) -> AsyncIterator[tuple[bytes | None, bytes | None]]:
        """Yield key and value of all records of one partition below `end`, by default below where it ends now.

        Raises like `read_to`.
        """
        if end is None:
            end = (await self.end_offsets([partition]))[partition]
        await self.assign_from_beginning([partition])
        async for batch in self.read_to({partition: end}):
            for record in zip(batch.keys, batch.values, strict=True):
                yield record

    async def close(self) -> None:
        """Release the connections. Never raises."""
        await clients.stop(self._consumer)

    def _take(self, raw: RawConsumer) -> list[RecordBatch]:
        batches: list[RecordBatch] = []
        for full in raw.fetched():
            raw.wake()
            tp = TopicPartition(full.topic.removeprefix(self._prefix), full.partition)
            try:
                batches += self._taken(raw, full, tp)
            except KafkaError as error:
                if self.on_fault is None:
                    raise
                self.on_fault(tp, error)
        return batches

    def _taken(self, raw: RawConsumer, full: TopicPartition, tp: TopicPartition) -> list[RecordBatch]:
        try:
            batches = raw.take(full, tp.topic, with_headers=self._with_headers)
        except KafkaError:
            raise
        except Exception as error:
            raise CorruptRecordException(f"{tp.topic} partition {tp.partition}: {error!r}") from error
        if batches:
            self.positions[tp] = batches[-1].next_offset
        return batches

    async def _found(self, partitions: Iterable[TopicPartition]) -> list[TopicPartition]:
        """Look up the partitions' leaders first: asked for offsets without, aiokafka pauses 200 ms in between."""
        found = [self._full(tp) for tp in partitions]
        await asyncio.gather(*(partition_count(self._consumer, topic) for topic in {tp.topic for tp in found}))
        return found

    def _full(self, tp: TopicPartition) -> TopicPartition:
        return TopicPartition(self._prefix + tp.topic, tp.partition)

    def _plain(self, offsets: Mapping[TopicPartition, int]) -> dict[TopicPartition, int]:
        return {
            TopicPartition(tp.topic.removeprefix(self._prefix), tp.partition): offset for tp, offset in offsets.items()
        }
