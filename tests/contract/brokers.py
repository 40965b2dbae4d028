"""Two brokers with one face: the in-memory Kafka and a real one, for the cases of `test_broker.py`."""

from __future__ import annotations

import asyncio
from typing import TYPE_CHECKING, Any, Protocol

from aiokafka import AIOKafkaProducer
from aiokafka.admin import AIOKafkaAdminClient, NewPartitions, NewTopic
from aiokafka.admin.records_to_delete import RecordsToDelete
from aiokafka.client import CoordinationType
from aiokafka.errors import InvalidProducerEpoch, ProducerFenced, UnknownError
from aiokafka.errors import OffsetOutOfRangeError as KafkaOutOfRangeError
from aiokafka.producer.sender import EndTxnHandler
from aiokafka.producer.transaction_manager import TransactionResult
from aiokafka.structs import OffsetAndMetadata, TopicPartition
from confluent_kafka import Consumer as ConfluentConsumer
from confluent_kafka import KafkaError as ConfluentError
from confluent_kafka import KafkaException, TopicCollection
from confluent_kafka.admin import AdminClient

from streams.engine.memory import COMMITTED, UNCOMMITTED, Assignment, Kafka, Member, Producer
from streams.engine.memory.errors import (
    FencedInstanceError,
    InvalidRecordError,
    OutOfRangeError,
    ProducerFencedError,
)
from streams.kafka.client import clients
from streams.kafka.client.log_reader import LogReader
from streams.kafka.client.transaction import Transaction, stop_sender
from streams.settings import Settings

if TYPE_CHECKING:
    from collections.abc import Awaitable, Callable, Mapping, Sequence

    from streams.engine.batch import RecordBatch

Place = tuple[str, int]
SESSION_MS = 2_000
PATIENCE_SECONDS = 60
AT_ONCE = {
    "min.compaction.lag.ms": "0",
    "min.cleanable.dirty.ratio": "0.01",
    "segment.ms": "100",
}
"""Settings of a topic that the broker compacts as soon as it looks."""


class FencedError(Exception):
    """The epoch of the producer, or the group instance id of the member, is somebody else's."""


class OutsideError(Exception):
    """The offset lies outside the log."""


class RefusedError(Exception):
    """The topic does not take the record."""


class Sender(Protocol):
    """A transactional producer. Its transaction begins with the first record."""

    async def send(self, place: Place, *values: bytes, key: bytes | None = None) -> None: ...

    async def add_offsets(self, group: str, offsets: Mapping[Place, int]) -> None: ...

    async def commit(self) -> None: ...

    async def abort(self) -> None: ...


class GroupMember(Protocol):
    """A member of a consumer group, which heartbeats and rejoins by itself whenever it `turn`s."""

    async def turn(self) -> list[Place]:
        """Go on; returns what it is dealt now. Raises `FencedError`."""

    async def go(self) -> None:
        """End without telling the group, as a static member does."""


class Broker(Protocol):
    """A Kafka."""

    async def create(self, topic: str, partitions: int = 1, *, is_compacted: bool = False) -> None: ...

    async def delete(self, topic: str) -> None: ...

    async def add_partitions(self, topic: str, partitions: int) -> None: ...

    async def topic_id(self, topic: str) -> object: ...

    async def write(self, place: Place, *values: bytes, key: bytes | None = None) -> None:
        """Write outside of transactions."""

    async def sender(self, transactional_id: str, timeout_ms: int = 60_000) -> Sender: ...

    async def read(self, place: Place, offset: int, *, max_bytes: int | None = None) -> list[RecordBatch]:
        """Return what a `read_committed` reader gets, fetch by fetch, up to the last stable offset."""

    async def read_uncommitted(self, place: Place) -> list[bytes | None]: ...

    async def ends(self, place: Place) -> tuple[int, int, int]:
        """Return beginning, last stable offset and high watermark."""

    async def first_since(self, place: Place, time_ms: int) -> int | None: ...

    async def delete_below(self, place: Place, offset: int) -> None: ...

    async def roll(self) -> None:
        """Let the segment of a compacted topic grow old, so that the next record begins another one."""

    async def compact(self, place: Place, count: int) -> None:
        """Compact until `count` records are left for a reader."""

    async def group_offsets(self, group: str) -> dict[Place, int]: ...

    async def member(self, group: str, instance: str, topics: Sequence[str]) -> GroupMember: ...

    async def until(self, is_so: Callable[[], Awaitable[bool]]) -> None:
        """Let time pass until something is so."""

    async def close(self) -> None: ...


class MemorySender:
    """A `Sender` of the in-memory Kafka."""

    def __init__(self, producer: Producer) -> None:
        self._producer = producer

    async def send(self, place: Place, *values: bytes, key: bytes | None = None) -> None:
        self._do(lambda: self._producer.send(*place, values, [key] * len(values)))

    async def add_offsets(self, group: str, offsets: Mapping[Place, int]) -> None:
        self._do(lambda: self._producer.add_offsets(group, offsets))

    async def commit(self) -> None:
        self._do(self._producer.commit)

    async def abort(self) -> None:
        self._do(self._producer.abort)

    @staticmethod
    def _do(act: Callable[[], object]) -> None:
        try:
            act()
        except ProducerFencedError as error:
            raise FencedError from error


class MemoryMember:
    """A `GroupMember` of the in-memory Kafka."""

    def __init__(self, kafka: Kafka, group: str, instance: str, topics: Sequence[str]) -> None:
        self._topics = topics
        self._member = Member(kafka, group, topics, instance_id=instance, session_timeout_ms=SESSION_MS)
        self._has: tuple[int, ...] = ()

    async def turn(self) -> list[Place]:
        try:
            told = self._member.turn()
        except FencedInstanceError as error:
            raise FencedError from error
        if told is not None:
            self._has = told.partitions if isinstance(told, Assignment) else ()
        return [(topic, partition) for topic in self._topics for partition in self._has]

    async def go(self) -> None:
        pass


class MemoryBroker:
    """A `Broker` in memory."""

    def __init__(self, marker_delay_ms: int = 0) -> None:
        self.kafka = Kafka(1_000_000)
        self.kafka.coordinator.marker_delay_ms = marker_delay_ms

    async def create(self, topic: str, partitions: int = 1, *, is_compacted: bool = False) -> None:
        self.kafka.create_topic(topic, partitions, is_compacted=is_compacted)

    async def delete(self, topic: str) -> None:
        self.kafka.delete_topic(topic)

    async def add_partitions(self, topic: str, partitions: int) -> None:
        self.kafka.add_partitions(topic, partitions)

    async def topic_id(self, topic: str) -> object:
        description = self.kafka.describe_topic(topic)
        assert description is not None
        return description.topic_id

    async def write(self, place: Place, *values: bytes, key: bytes | None = None) -> None:
        self.kafka.tick(self.kafka.now_ms + 2)
        try:
            self.kafka.produce(*place, values, [key] * len(values))
        except InvalidRecordError as error:
            raise RefusedError from error

    async def sender(self, transactional_id: str, timeout_ms: int = 60_000) -> Sender:
        return MemorySender(Producer(self.kafka, transactional_id, timeout_ms))

    async def read(self, place: Place, offset: int, *, max_bytes: int | None = None) -> list[RecordBatch]:
        batches: list[RecordBatch] = []
        while not batches or offset < self.kafka.end_offset(*place):
            try:
                batches.append(self.kafka.fetch(*place, offset, max_bytes=max_bytes))
            except OutOfRangeError as error:
                raise OutsideError from error
            offset = batches[-1].next_offset
        return batches

    async def read_uncommitted(self, place: Place) -> list[bytes | None]:
        beginning = self.kafka.beginning_offset(*place)
        return list(self.kafka.fetch(*place, beginning, isolation=UNCOMMITTED).values)

    async def ends(self, place: Place) -> tuple[int, int, int]:
        kafka = self.kafka
        return (
            kafka.beginning_offset(*place),
            kafka.end_offset(*place, COMMITTED),
            kafka.end_offset(*place, UNCOMMITTED),
        )

    async def first_since(self, place: Place, time_ms: int) -> int | None:
        found = self.kafka.offset_for_time(*place, time_ms)
        return None if found is None else found[0]

    async def delete_below(self, place: Place, offset: int) -> None:
        self.kafka.log(*place).delete_below(offset)

    async def roll(self) -> None:
        pass

    async def compact(self, place: Place, count: int) -> None:
        self.kafka.compact(*place, below=self.kafka.log(*place).end - 1)
        assert len(list(self.kafka.log(*place).records())) == count

    async def group_offsets(self, group: str) -> dict[Place, int]:
        return dict(self.kafka.committed_offsets(group))

    async def member(self, group: str, instance: str, topics: Sequence[str]) -> GroupMember:
        return MemoryMember(self.kafka, group, instance, topics)

    async def until(self, is_so: Callable[[], Awaitable[bool]]) -> None:
        for _ in range(1_000):
            if await is_so():
                return
            self.kafka.tick(self.kafka.now_ms + SESSION_MS // 4)
        raise AssertionError

    async def close(self) -> None:
        pass


class RealSender:
    """A `Sender` on aiokafka, as the ledger's store uses it."""

    def __init__(self, producer: AIOKafkaProducer) -> None:
        self._producer = producer
        self._transaction: Transaction | None = None

    async def send(self, place: Place, *values: bytes, key: bytes | None = None) -> None:
        transaction = self._transaction = self._transaction or Transaction(self._producer)
        for value in values:
            transaction.add(TopicPartition(*place), key, value)
        await self._do(transaction.flush())

    async def add_offsets(self, group: str, offsets: Mapping[Place, int]) -> None:
        transaction = self._transaction = self._transaction or Transaction(self._producer)
        wanted = {TopicPartition(*place): OffsetAndMetadata(offset, "") for place, offset in offsets.items()}
        await self._do(transaction.add_offsets(wanted, group))

    async def commit(self) -> None:
        transaction, self._transaction = self._transaction or Transaction(self._producer), None
        await self._do(transaction.commit())

    async def abort(self) -> None:
        assert self._transaction is not None
        self._transaction = None
        await self._do(abort(self._producer))

    @staticmethod
    async def _do(work: Awaitable[None]) -> None:
        try:
            await asyncio.wait_for(work, 20)
        except (ProducerFenced, InvalidProducerEpoch) as error:
            raise FencedError from error


async def abort(producer: Any) -> None:  # noqa: ANN401 - untyped aiokafka
    """End the transaction of a producer whose sender was stopped."""
    manager, sender = producer._txn_manager, producer._sender
    manager.aborting_transaction()
    node = await sender._find_coordinator(CoordinationType.TRANSACTION, manager.transactional_id)
    while not await EndTxnHandler(sender, TransactionResult.ABORT).do(node):
        pass


class RealMember:
    """A `GroupMember` on librdkafka, which tells of its eviction; aiokafka 0.14 does not."""

    def __init__(self, address: str, group: str, instance: str, topics: Sequence[str]) -> None:
        self._consumer = ConfluentConsumer(
            {
                "bootstrap.servers": address,
                "group.id": group,
                "group.instance.id": instance,
                "session.timeout.ms": SESSION_MS,
                "heartbeat.interval.ms": 300,
                "partition.assignment.strategy": "range",
                "enable.auto.commit": False,
                "auto.offset.reset": "earliest",
                "error_cb": lambda _: None,
            }
        )
        self._consumer.subscribe(list(topics))

    async def turn(self) -> list[Place]:
        try:
            message = await asyncio.to_thread(self._consumer.poll, 0.1)
            found = [(tp.topic, tp.partition) for tp in self._consumer.assignment()]
        except KafkaException as exception:
            if exception.args[0].code() in {ConfluentError.FENCED_INSTANCE_ID, ConfluentError._FATAL}:
                raise FencedError from exception
            raise
        error = message.error() if message is not None else None
        if error is not None and error.code() in {ConfluentError.FENCED_INSTANCE_ID, ConfluentError._FATAL}:
            raise FencedError(str(error))
        return found

    async def go(self) -> None:
        await asyncio.to_thread(self._consumer.close)


class RealBroker:
    """A `Broker` behind an address."""

    def __init__(self, address: str) -> None:
        self.address = address
        self.settings = Settings(broker=address)
        self._admin = AIOKafkaAdminClient(**self.settings.client_options())
        self._confluent = AdminClient({"bootstrap.servers": address})
        self._producers: list[AIOKafkaProducer] = []
        self._members: list[RealMember] = []
        self._writer: AIOKafkaProducer | None = None

    async def start(self) -> None:
        await self._admin.start()

    async def create(self, topic: str, partitions: int = 1, *, is_compacted: bool = False) -> None:
        config = {"message.timestamp.type": "LogAppendTime"}
        if is_compacted:
            config |= {"cleanup.policy": "compact", **AT_ONCE}
        await self._admin.create_topics([NewTopic(topic, partitions, 1, topic_configs=config)])
        await self._await_partitions(topic, partitions)

    async def delete(self, topic: str) -> None:
        await self._admin.delete_topics([topic])
        async with asyncio.timeout(PATIENCE_SECONDS):
            while topic in await asyncio.to_thread(lambda: self._confluent.list_topics(timeout=5).topics):
                await asyncio.sleep(0.05)

    async def add_partitions(self, topic: str, partitions: int) -> None:
        await self._admin.create_partitions({topic: NewPartitions(partitions)})
        await self._await_partitions(topic, partitions)

    async def _await_partitions(self, topic: str, partitions: int) -> None:
        def count() -> int:
            found = self._confluent.list_topics(timeout=5).topics.get(topic)
            return sum(p.leader >= 0 for p in found.partitions.values()) if found else 0

        async with asyncio.timeout(PATIENCE_SECONDS):
            while await asyncio.to_thread(count) < partitions:
                await asyncio.sleep(0.05)

    async def topic_id(self, topic: str) -> object:
        described = self._confluent.describe_topics(TopicCollection([topic]))[topic]
        return str((await asyncio.to_thread(described.result)).topic_id)

    async def write(self, place: Place, *values: bytes, key: bytes | None = None) -> None:
        if self._writer is None:
            self._writer = AIOKafkaProducer(**self.settings.client_options(), acks="all")
            await self._writer.start()
        await asyncio.sleep(0.002)
        for value in values:
            try:
                await self._writer.send_and_wait(place[0], value, key=key, partition=place[1])
            except UnknownError as error:  # aiokafka 0.14 does not know the broker's INVALID_RECORD
                raise RefusedError from error

    async def sender(self, transactional_id: str, timeout_ms: int = 60_000) -> Sender:
        options = {"transactional_id": transactional_id, "transaction_timeout_ms": timeout_ms}
        producer = AIOKafkaProducer(**self.settings.client_options(), **options)
        await producer.start()
        self._producers.append(producer)
        await stop_sender(producer)
        return RealSender(producer)

    async def read(self, place: Place, offset: int, *, max_bytes: int | None = None) -> list[RecordBatch]:
        options = {} if max_bytes is None else {"max_partition_fetch_bytes": max_bytes}
        return await self._read(place, offset, is_committed_only=True, **options)

    async def read_uncommitted(self, place: Place) -> list[bytes | None]:
        beginning, _, _ = await self.ends(place)
        batches = await self._read(place, beginning, is_committed_only=False)
        return [value for batch in batches for value in batch.values]

    async def _read(
        self,
        place: Place,
        offset: int,
        *,
        is_committed_only: bool,
        **options: Any,  # noqa: ANN401 - aiokafka's options
    ) -> list[RecordBatch]:
        tp = TopicPartition(*place)
        reader = await LogReader.open(self.settings, is_committed_only=is_committed_only, **options)
        try:
            end = (await reader.end_offsets([tp]))[tp]
            reader.assign({tp: offset})
            batches = await reader.fetch(1.0)
            while reader.positions[tp] < end:
                batches += await reader.fetch(1.0)
        except KafkaOutOfRangeError as error:
            raise OutsideError from error
        finally:
            await reader.close()
        return batches

    async def ends(self, place: Place) -> tuple[int, int, int]:
        tp = TopicPartition(*place)
        found = []
        for is_committed_only in (True, False):
            reader = await LogReader.open(self.settings, is_committed_only=is_committed_only)
            try:
                beginning = (await reader.beginning_offsets([tp]))[tp]
                found.append((await reader.end_offsets([tp]))[tp])
            finally:
                await reader.close()
        return beginning, found[0], found[1]

    async def first_since(self, place: Place, time_ms: int) -> int | None:
        tp = TopicPartition(*place)
        consumer = await clients.start_consumer(self.settings)
        try:
            found = (await consumer.offsets_for_times({tp: time_ms}))[tp]
        finally:
            await clients.stop(consumer)
        return None if found is None else int(found.offset)

    async def delete_below(self, place: Place, offset: int) -> None:
        await self._admin.delete_records({TopicPartition(*place): RecordsToDelete(before_offset=offset)})

    async def roll(self) -> None:
        await asyncio.sleep(0.2)

    async def compact(self, place: Place, count: int) -> None:
        async with asyncio.timeout(PATIENCE_SECONDS):
            while sum(len(batch) for batch in await self.read(place, 0)) != count:
                await asyncio.sleep(0.2)

    async def group_offsets(self, group: str) -> dict[Place, int]:
        found = await self._admin.list_consumer_group_offsets(group)
        return {(tp.topic, tp.partition): offset.offset for tp, offset in found.items() if offset.offset >= 0}

    async def member(self, group: str, instance: str, topics: Sequence[str]) -> GroupMember:
        self._members.append(RealMember(self.address, group, instance, topics))
        return self._members[-1]

    async def until(self, is_so: Callable[[], Awaitable[bool]]) -> None:
        async with asyncio.timeout(PATIENCE_SECONDS):
            while not await is_so():
                await asyncio.sleep(0.05)

    async def close(self) -> None:
        await asyncio.gather(*(member.go() for member in self._members), return_exceptions=True)
        await asyncio.gather(*(clients.stop(p) for p in [*self._producers, self._writer] if p is not None))
        await self._admin.close()
