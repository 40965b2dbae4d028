"""One set of promises, two readers and two sources: logs of the in-memory Kafka and those of a broker."""

from __future__ import annotations

import asyncio
from contextlib import AsyncExitStack
from typing import TYPE_CHECKING, Protocol

import pytest
from aiokafka import AIOKafkaProducer
from aiokafka.errors import NotLeaderForPartitionError, OffsetOutOfRangeError
from aiokafka.structs import TopicPartition

from streams.engine.judgement import LogRange, Sources
from streams.engine.memory import Kafka, MemorySource, Producer, create_topics
from streams.engine.memory.source import NO_EPOCHS
from streams.engine.topic_names import LEDGER, SEEN
from streams.kafka.client.log_reader import LogReader
from streams.kafka.client.memory_reader import MemoryReader
from streams.kafka.cluster.topics import create_topics as create_on_kafka
from streams.kafka.ledger.log_intake import LogIntake
from streams.settings import Settings

if TYPE_CHECKING:
    from collections.abc import AsyncIterator, Sequence

    from streams.kafka.group.intake import Epochs

MEMORY, KAFKA = "memory", pytest.param("kafka", marks=pytest.mark.kafka)
ORDERS = [TopicPartition("orders", partition) for partition in range(2)]
TIME_MS = 1_573_401_600_000


class Surveyor(Protocol):
    """What the contract asks of a source."""

    async def survey(self, partition: int | None, topics: Sequence[str], epochs: Epochs) -> Sources:
        """Return the topics as they are now."""


class World(Protocol):
    """A cluster with the topics of a festival in two partitions, and what reads it."""

    async def write(self, *values: bytes, name: str, end: str) -> None:
        """Append orders to partition 0 in a transaction and `end` it: commit, abort, or leave it open."""

    async def reader(self, *, is_committed_only: bool = True) -> LogReader:
        """Return a reader."""

    async def source(self) -> Surveyor:
        """Return a source."""


class MemoryWorld:
    """The in-memory Kafka."""

    def __init__(self) -> None:
        self.kafka = Kafka(TIME_MS)
        create_topics(self.kafka, 2)

    async def write(self, *values: bytes, name: str, end: str) -> None:
        producer = Producer(self.kafka, name)
        producer.send("orders", 0, values)
        if end != "open":
            producer.commit() if end == "commit" else producer.abort()

    async def reader(self, *, is_committed_only: bool = True) -> LogReader:
        return MemoryReader(self.kafka, is_committed_only=is_committed_only)

    async def source(self) -> Surveyor:
        return MemorySource(self.kafka)


class KafkaWorld:
    """A broker."""

    def __init__(self, settings: Settings, stack: AsyncExitStack) -> None:
        self.settings, self.stack = settings, stack

    async def write(self, *values: bytes, name: str, end: str) -> None:
        options = self.settings.client_options()
        producer = AIOKafkaProducer(**options, transactional_id=self.settings.prefix + name)
        await producer.start()
        self.stack.push_async_callback(producer.stop)
        await producer.begin_transaction()
        for value in values:
            await producer.send_and_wait(f"{self.settings.prefix}orders", value, partition=0)
        if end != "open":
            await (producer.commit_transaction() if end == "commit" else producer.abort_transaction())

    async def reader(self, *, is_committed_only: bool = True) -> LogReader:
        reader = await LogReader.open(self.settings, is_committed_only=is_committed_only)
        self.stack.push_async_callback(reader.close)
        return reader

    async def source(self) -> Surveyor:
        source = await LogIntake.open(self.settings)
        self.stack.push_async_callback(source.close)
        return source


@pytest.fixture(params=[MEMORY, KAFKA])
async def world(request: pytest.FixtureRequest) -> AsyncIterator[World]:
    if request.param == "memory":
        yield MemoryWorld()
        return
    settings = Settings(broker=request.getfixturevalue("kafka"), prefix=request.getfixturevalue("prefix"))
    await create_on_kafka(settings, 2)
    async with AsyncExitStack() as stack:
        yield KafkaWorld(settings, stack)


async def values(reader: LogReader, ends: dict[TopicPartition, int]) -> list[bytes | None]:
    """Return what is read up to `ends`."""
    return [value async for batch in reader.read_to(ends) for value in batch.values]


async def test_a_reader_gives_what_is_committed_and_its_position_covers_the_rest(world: World) -> None:
    await world.write(b"1", b"2", name="a", end="commit")
    await world.write(b"3", name="b", end="abort")
    await world.write(b"4", name="c", end="commit")
    reader = await world.reader()
    assert (await reader.partition_count("orders"), await reader.partition_count("elsewhere")) == (2, 0)
    assert await reader.beginning_offsets(ORDERS) == dict.fromkeys(ORDERS, 0)
    ends = await reader.end_offsets(ORDERS)
    assert ends == {ORDERS[0]: 7, ORDERS[1]: 0}  # each transaction ends with a control record
    await reader.assign_from_beginning(ORDERS)
    assert await values(reader, ends) == [b"1", b"2", b"4"]
    assert reader.positions == ends
    assert reader.is_at_end()
    reader.assign({ORDERS[0]: 1})
    assert await values(reader, {ORDERS[0]: 7}) == [b"2", b"4"]
    await reader.close()


async def test_an_open_transaction_ends_what_is_committed_and_others_read_on(world: World) -> None:
    await world.write(b"1", name="a", end="commit")
    await world.write(b"2", name="b", end="open")
    committed, everything = await world.reader(), await world.reader(is_committed_only=False)
    assert await committed.end_offsets(ORDERS[:1]) == {ORDERS[0]: 2}
    assert (ends := await everything.end_offsets(ORDERS[:1])) == {ORDERS[0]: 3}
    await everything.assign_from_beginning(ORDERS[:1])
    assert await values(everything, ends) == [b"1", b"2"]
    await committed.assign_from_beginning(ORDERS[:1])
    assert await values(committed, {ORDERS[0]: 2}) == [b"1"]
    assert await committed.fetch(0.1) == []
    await committed.close()
    await everything.close()


async def test_a_position_outside_the_log_is_raised_or_told(world: World) -> None:
    await world.write(b"1", name="a", end="commit")
    reader = await world.reader()
    reader.assign({ORDERS[0]: 9})
    with pytest.raises(OffsetOutOfRangeError):
        await values(reader, {ORDERS[0]: 10})
    told: list[tuple[TopicPartition, type]] = []
    reader.on_fault = lambda partition, error: told.append((partition, type(error)))
    reader.assign({ORDERS[0]: 8})
    while not told:
        assert await reader.fetch(1) == []
    assert told[0] == (ORDERS[0], OffsetOutOfRangeError)
    await reader.close()


async def surveyed(
    source: Surveyor, partition: int | None, topics: Sequence[str], epochs: Epochs = NO_EPOCHS
) -> Sources:
    """Return what a source sees, once the partitions of topics just made have a leader."""
    while True:
        try:
            return await source.survey(partition, topics, epochs)
        except NotLeaderForPartitionError:
            await asyncio.sleep(0.1)


async def test_a_source_tells_what_the_topics_hold(world: World) -> None:
    await world.write(b"1", name="a", end="commit")
    await world.write(b"2", name="b", end="open")
    source = await world.source()
    orders, nothing = LogRange(0, 2, 3), LogRange(0, 0, 0)
    found = await surveyed(source, 0, ["orders", "payments", "elsewhere"])
    assert found.counts == {"orders": 2, "payments": 2, "elsewhere": 0}
    assert found.ranges == {("orders", 0): orders, ("payments", 0): nothing}
    assert (found.ledger_partitions, found.epoch_ends) == (2, {})
    assert found.leaders(0) == found.leaders(1).fromkeys(("orders", "payments"), 0)
    assert (set(found.identity.topics), set(found.identity.own)) == ({"orders", "payments"}, {LEDGER, SEEN})
    ids = [*found.identity.topics.values(), *found.identity.own.values(), found.identity.cluster]
    assert len(set(ids)) == len(ids)
    found = await surveyed(source, None, ["orders"])
    assert found.ranges == {("orders", 0): orders, ("orders", 1): nothing}


async def test_a_source_tells_where_the_leader_of_a_batch_that_was_read_ends_and_knows_no_later_one(
    world: World,
) -> None:
    await world.write(b"1", name="a", end="commit")
    await world.write(b"2", name="b", end="abort")
    reader = await world.reader()
    await reader.assign_from_beginning(ORDERS[:1])
    batches = [batch async for batch in reader.read_to({ORDERS[0]: 4})]
    await reader.close()
    epoch = batches[-1].leader_epoch
    assert epoch is not None, "what is left out at the end has one as well"
    source = await world.source()
    here, elsewhere = ("orders", 0), ("payments", 7)
    assert (await surveyed(source, 0, ["orders"], {here: epoch, elsewhere: 0})).epoch_ends == {here: 4}
    assert (await surveyed(source, 0, ["orders"], {here: epoch + 3})).epoch_ends == {here: -1}
