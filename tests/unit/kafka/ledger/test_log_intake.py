"""What a lone crew is given to count: released topics only, in order, and nothing at or beyond a target."""

from __future__ import annotations

from types import SimpleNamespace
from typing import TYPE_CHECKING, Any

import pytest
from aiokafka.errors import CorruptRecordException, KafkaConnectionError, KafkaError
from aiokafka.structs import TopicPartition

from streams.engine.judgement import Sources
from streams.engine.memory import Kafka, create_topics
from streams.kafka.client.log_reader import LogReader
from streams.kafka.ledger.log_intake import LogIntake
from streams.settings import Settings
from tests.unit.domain.samples import IDENTITY
from tests.unit.kafka.ledger.logs import KafkaSource, Reader, fill

if TYPE_CHECKING:
    from collections.abc import Sequence

ORDERS = TopicPartition("orders", 1)
PAYMENTS = TopicPartition("payments", 1)


@pytest.fixture(autouse=True)
def no_pauses(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("streams.kafka.ledger.log_intake.POLL_SECONDS", 0)


class Bench:
    """A source on two logs of ten records."""

    def __init__(self) -> None:
        self.kafka = Kafka()
        create_topics(self.kafka, 2)
        fill(self.kafka, {ORDERS: 10, PAYMENTS: 10})
        self.source = KafkaSource(self.kafka)
        self.reader = self.source.reader
        self.source.on_fault = self.fault
        self.faults: list[tuple[TopicPartition, KafkaError]] = []

    def fault(self, partition: TopicPartition, error: KafkaError) -> None:
        self.faults.append((partition, error))

    async def fetch(self) -> list[tuple[str, int, int]]:
        return [(batch.topic, batch.start, batch.next_offset) for batch in await self.source.fetch()]


async def test_nothing_comes_without_a_target_or_a_release() -> None:
    bench = Bench()
    assert await bench.fetch() == []
    await bench.source.release(1, {"orders": 2})
    assert await bench.fetch() == []
    bench.source.targets = {PAYMENTS: 5}
    assert await bench.fetch() == []
    assert bench.reader.assigned == []


async def test_batches_follow_each_other_and_the_last_is_cut_at_the_target() -> None:
    bench = Bench()
    bench.source.targets = {ORDERS: 8, PAYMENTS: 3}
    await bench.source.release(1, {"orders": 2, "payments": 0})
    assert await bench.fetch() == [("orders", 2, 6), ("payments", 0, 3)]
    # What has reached its target is not read any more, the other goes on where it was.
    assert await bench.fetch() == [("orders", 6, 8)]
    assert bench.reader.assigned == [{ORDERS: 2, PAYMENTS: 0}, {ORDERS: 6}]
    assert await bench.fetch() == []
    bench.source.targets = {ORDERS: 9, PAYMENTS: 3}
    assert await bench.fetch() == [("orders", 8, 9)]


async def test_a_batch_that_begins_at_the_target_is_left_out() -> None:
    bench = Bench()
    bench.source.targets = {ORDERS: 4}
    bench.reader.batches = 2
    await bench.source.release(1, {"orders": 0})
    assert await bench.fetch() == [("orders", 0, 4)]
    assert await bench.fetch() == []


async def test_a_topic_released_again_is_read_from_there() -> None:
    bench = Bench()
    bench.source.targets = {ORDERS: 10}
    await bench.source.release(1, {"orders": 0})
    assert await bench.fetch() == [("orders", 0, 4)]
    await bench.source.release(1, {"orders": 1})
    assert await bench.fetch() == [("orders", 1, 5)]


async def test_what_was_fetched_before_a_release_is_read_again(monkeypatch: pytest.MonkeyPatch) -> None:
    bench = Bench()
    bench.source.targets = {ORDERS: 10, PAYMENTS: 10}
    await bench.source.release(1, {"orders": 4, "payments": 0})
    fetch = bench.reader.fetch

    async def fetch_and_rewind(seconds: float) -> object:
        batches = await fetch(seconds)
        await bench.source.release(1, {"orders": 2})
        return batches

    monkeypatch.setattr(bench.reader, "fetch", fetch_and_rewind)
    assert await bench.fetch() == []
    monkeypatch.setattr(bench.reader, "fetch", fetch)
    assert await bench.fetch() == [("orders", 2, 6), ("payments", 0, 4)]


async def test_what_is_held_back_is_read_no_more() -> None:
    bench = Bench()
    bench.source.targets = {ORDERS: 10, PAYMENTS: 10}
    await bench.source.release(1, {"orders": 0, "payments": 0})
    await bench.source.hold_back(1, ["orders", "parcels"])
    assert await bench.fetch() == [("payments", 0, 4)]
    await bench.source.hold_back(1, ["payments"])
    assert await bench.fetch() == []


async def test_a_topic_that_cannot_be_fetched_is_told_of_once_and_waits_for_its_release() -> None:
    bench = Bench()
    bench.source.targets = {ORDERS: 10, PAYMENTS: 10}
    await bench.source.release(1, {"orders": 0, "payments": 0})
    bench.kafka.log("orders", 1).damaged.add(0)
    assert await bench.fetch() == []
    ((place, error),) = bench.faults
    assert place == ORDERS
    assert isinstance(error, CorruptRecordException)
    assert await bench.fetch() == [("payments", 0, 4)]
    bench.kafka.log("orders", 1).damaged.clear()
    await bench.source.release(1, {"orders": 0})
    assert ("orders", 0, 4) in await bench.fetch()


async def test_it_closes_its_readers() -> None:
    bench = Bench()
    await bench.source.close()
    assert bench.reader.is_closed
    assert bench.source.looks.is_closed


async def test_an_opened_intake_fetches_by_one_reader_and_asks_by_another_and_waits_for_no_broker(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    kafka = Bench().kafka
    opened: list[Reader] = []

    async def open_reader(_: object, *, is_patient: bool, **options: object) -> Reader:
        assert not is_patient
        opened.append(Reader(kafka))
        assert bool(options) is (len(opened) == 1), "the fetches alone are large"
        return opened[-1]

    monkeypatch.setattr(LogReader, "open", open_reader)
    source = await LogIntake.open(Settings(broker="127.0.0.1:1"))
    await source.release(1, {"orders": 0})
    source.targets = {ORDERS: 4}
    assert [batch.next_offset for batch in await source.fetch()] == [4]
    assert (opened[0].assigned, opened[1].assigned) == ([{ORDERS: 0}], [])
    await source.close()
    assert [reader.is_closed for reader in opened] == [True, True]


async def test_an_intake_whose_second_reader_finds_no_broker_leaves_none_open(monkeypatch: pytest.MonkeyPatch) -> None:
    first = Reader(Bench().kafka)
    readers = [first]

    async def open_reader(_: object, **__: object) -> Reader:
        if not readers:
            raise KafkaConnectionError("away")
        return readers.pop()

    monkeypatch.setattr(LogReader, "open", open_reader)
    with pytest.raises(KafkaConnectionError):
        await LogIntake.open(Settings(broker="127.0.0.1:1"))
    assert first.is_closed


async def test_what_could_not_be_fetched_is_not_read_again_by_itself_though_it_could_be_by_then() -> None:
    """Whoever was told decides from where, and when."""
    bench = Bench()
    bench.source.targets = {ORDERS: 10, PAYMENTS: 10}
    await bench.source.release(1, {"orders": 0, "payments": 0})
    damaged = bench.kafka.log("orders", 1).damaged
    damaged.add(0)
    await bench.fetch()
    assert [partition for partition, _ in bench.faults] == [ORDERS]
    damaged.clear()
    for _ in range(3):
        assert all(topic == "payments" for topic, _, _ in await bench.fetch())
    await bench.source.release(1, {"orders": 0})
    assert ("orders", 0, 4) in await bench.fetch()


async def test_a_look_is_at_the_topics_of_the_prefix(monkeypatch: pytest.MonkeyPatch) -> None:
    asked: list[object] = []

    async def look(client: object, prefix: str, topics: Sequence[str], **_: object) -> Sources:
        asked.append((client, prefix, topics))
        return Sources({}, {}, 0, IDENTITY)

    monkeypatch.setattr("streams.kafka.ledger.log_intake.survey", look)
    reader: Any = SimpleNamespace(client="of the fetches")
    looks: Any = SimpleNamespace(client="of the looks")
    source = LogIntake(Settings(prefix="p-"), reader, looks)
    assert await source.survey(1, ["orders"], {}) == Sources({}, {}, 0, IDENTITY)
    assert asked == [("of the looks", "p-", ["orders"])]
