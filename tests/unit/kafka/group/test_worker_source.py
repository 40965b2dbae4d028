"""What a worker asks of the transport, what it tells its driver, and how it looks after both; without Kafka."""

from __future__ import annotations

import asyncio
from collections import Counter
from types import SimpleNamespace
from typing import TYPE_CHECKING, Any

import pytest
from aiokafka import TopicPartition
from aiokafka.errors import KafkaConnectionError, KafkaError, OffsetOutOfRangeError
from faust.types import TP

from streams.engine.batch import RecordBatch
from streams.engine.crew import Dealt, Seen, Switched, TakenBack, To
from streams.engine.judgement import LogRange, Sources
from streams.engine.signals import Delivered, Fetched, FetchFailed, Looked
from streams.kafka.client.log_reader import LogReader
from streams.kafka.group import membership
from streams.kafka.group import worker as module
from streams.kafka.group.faust_app import build_app
from streams.kafka.group.transport import BatchConsumer
from streams.kafka.group.worker import BatchSource
from streams.settings import Settings
from tests.unit.domain.samples import IDENTITY, START_MS
from tests.unit.kafka.group.test_driver import until
from tests.unit.kafka.group.test_worker import Bench, directory, switch
from tests.unit.kafka.ledger.kafka_logs import logs

if TYPE_CHECKING:
    from collections.abc import AsyncIterator, Collection, Mapping, Sequence
    from pathlib import Path

__all__ = ["directory", "logs"]

ORDERS, PAYMENTS = TopicPartition("p-orders", 3), TopicPartition("p-payments", 3)


class Thread:
    """The consumer's thread: remembers what it was asked, and knows one partition."""

    def __init__(self) -> None:
        self.asked: list[Any] = []

    async def release(self, positions: Mapping[TopicPartition, int]) -> None:
        self.asked.append(dict(positions))

    async def hold_back(self, partitions: Collection[TopicPartition]) -> None:
        self.asked.append(list(partitions))

    def fetch_state(self, partition: TopicPartition) -> tuple[int | None, int | None]:
        return (7, 9) if partition == ORDERS else (None, None)

    def check(self) -> None:
        raise KafkaConnectionError("dead")


class Consumer(BatchConsumer):
    """Faust's consumer, as far as a source needs it."""

    def __init__(self) -> None:
        self.in_hand = Counter({ORDERS: 2})
        self._thread: Any = Thread()


@pytest.fixture
def thread() -> Thread:
    return Thread()


@pytest.fixture
def source(tmp_path: Path, thread: Thread) -> BatchSource:
    app: Any = build_app(Settings(broker="127.0.0.1:1", prefix="p-", name="one"), tmp_path)
    consumer: Any = object.__new__(type("Made", (Consumer,), {"__abstractmethods__": frozenset()}))
    consumer.in_hand, consumer._thread = Counter({ORDERS: 2}), thread
    app._consumer = consumer
    return BatchSource(app)


async def test_topics_carry_their_prefix_on_the_transport(source: BatchSource, thread: Thread) -> None:
    await source.release(3, {"orders": 5, "payments": 0})
    await source.hold_back(3, ["orders", "payments"])
    assert thread.asked == [{ORDERS: 5, PAYMENTS: 0}, [ORDERS, PAYMENTS]]
    assert source.fetch_state(3, "orders") == (7, 9)
    assert source.fetch_state(3, "payments") == (None, None)


async def test_a_survey_is_of_one_partition_or_of_all(source: BatchSource, monkeypatch: pytest.MonkeyPatch) -> None:
    asked: list[tuple[list[str], tuple[int, ...] | None]] = []

    async def opened(_: object, *, is_patient: bool) -> Any:  # noqa: ANN401 - a reader, as far as a look needs it
        assert not is_patient, "there will be a next look"
        return SimpleNamespace(client=None)

    nothing = Sources({}, {}, 0, IDENTITY)

    async def look(
        _: object, __: str, topics: Sequence[str], *, own: object, only: tuple[int, ...] | None, epochs: object
    ) -> Sources:
        assert own
        assert epochs == {("orders", 0): 3}
        asked.append((list(topics), only))
        return nothing

    monkeypatch.setattr(module, "survey", look)
    monkeypatch.setattr(LogReader, "open", opened)
    assert await source.survey(0, ["orders"], {("orders", 0): 3}) is nothing
    await source.survey(None, ["orders"], {("orders", 0): 3})
    assert asked == [(["orders"], (0,)), (["orders"], None)]


async def test_after_a_look_that_failed_the_next_one_connects_anew(
    source: BatchSource, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Else it would ask a broker that has left the cluster for ever."""
    told: list[str] = []

    async def closing() -> None:
        told.append("closed")

    async def opened(_: object, *, is_patient: bool) -> Any:  # noqa: ANN401 - a reader, as far as a look needs it
        assert not is_patient
        told.append("opened")
        return SimpleNamespace(client=None, close=closing)

    async def look(*_: object, **__: object) -> Sources:
        if len(told) == 1:
            raise KafkaConnectionError
        return Sources({}, {}, 0, IDENTITY)

    monkeypatch.setattr(module, "survey", look)
    monkeypatch.setattr(LogReader, "open", opened)
    with pytest.raises(KafkaConnectionError):
        await source.survey(0, ["orders"], {})
    await source.survey(0, ["orders"], {})
    assert told == ["opened", "closed", "opened"]


async def test_batches_in_hand_are_those_that_nobody_has_counted(source: BatchSource) -> None:
    batch = RecordBatch("orders", 3, 0, 1, [0], [None], [b""], [1])
    assert source.has_in_hand(3, "orders")
    assert not source.has_in_hand(3, "payments")
    source.done(batch)
    assert source.has_in_hand(3, "orders")
    source.done(batch)
    assert not source.has_in_hand(3, "orders")


async def test_a_dead_task_of_the_consumer_is_raised(source: BatchSource) -> None:
    with pytest.raises(KafkaConnectionError, match="dead"):
        source.check()


class Heard:
    """A bench whose worker's driver is heard, and does nothing."""

    def __init__(self, bench: Bench, monkeypatch: pytest.MonkeyPatch) -> None:
        self.bench, self.worker = bench, bench.worker
        self.signals: list[Any] = []
        monkeypatch.setattr(self.worker._driver, "on", self.signals.append)


@pytest.fixture
async def heard(directory: Path, monkeypatch: pytest.MonkeyPatch) -> AsyncIterator[Heard]:
    """Return a worker that counts partition 0, and from now on is only heard."""
    bench = Bench(directory)
    await bench.deal(0)
    await bench.counting(0)
    with monkeypatch.context() as patch:
        yield Heard(bench, patch)
    await bench.worker.stop()


def batch_of(times_ms: list[int]) -> RecordBatch:
    count = len(times_ms)
    return RecordBatch("orders", 0, 0, count, range(count), [None] * count, [b""] * count, times_ms)


async def test_a_tenure_hears_how_far_its_topics_were_fetched(heard: Heard, monkeypatch: pytest.MonkeyPatch) -> None:
    states = {"orders": (7, 120), "payments": (None, None)}
    monkeypatch.setattr(heard.bench.source, "fetch_state", lambda _, topic: states[topic])
    monkeypatch.setattr(heard.bench.source, "has_in_hand", lambda *_: True)
    heard.worker._look_at(heard.worker.charges[0], 0)
    assert heard.signals == [To(0, Looked({"orders": Fetched(7, True)}))]
    assert heard.bench.status.snapshot().end_offsets["orders", 0] == 120


async def test_a_batch_is_delivered_with_the_age_of_its_last_record(heard: Heard) -> None:
    heard.bench.clock.advance(5_000)
    late, empty = batch_of([START_MS, START_MS + 2_000]), batch_of([])
    heard.worker._deliver(late)
    heard.worker._deliver(empty)
    assert heard.signals == [To(0, Delivered(late, 3_000)), To(0, Delivered(empty, 0))]


async def test_a_counted_batch_is_no_longer_in_hand_and_others_get_their_turns(
    heard: Heard, monkeypatch: pytest.MonkeyPatch
) -> None:
    done: list[RecordBatch] = []
    turns = 0
    monkeypatch.setattr(heard.bench.source, "done", done.append)

    async def others() -> None:
        nonlocal turns
        while True:
            turns += 1
            await asyncio.sleep(0)

    async def stream() -> AsyncIterator[RecordBatch]:
        yield batch_of([START_MS])

    beside = asyncio.create_task(others())
    await heard.worker._take(stream())
    beside.cancel()
    assert done == [batch_of([START_MS])]
    assert turns == membership.TURNS


@pytest.mark.parametrize(
    ("error", "is_outside", "text"),
    [
        (OffsetOutOfRangeError({}), True, str(OffsetOutOfRangeError({}))),
        (KafkaError("it broke"), False, "KafkaError: it broke"),
        (ValueError(), False, "ValueError"),
    ],
)
async def test_a_fetch_that_failed_is_told_to_the_tenure_with_its_reason(
    heard: Heard, error: Exception, text: str, *, is_outside: bool
) -> None:
    heard.bench.app.on_fault(TP("p-orders", 0), error)
    assert heard.signals == [To(0, FetchFailed("orders", is_outside, text))]


async def test_only_ends_of_partitions_that_are_counted_here_are_noted(heard: Heard) -> None:
    sources = await heard.bench.source.survey(None, ("orders", "payments"), {})
    before = dict(heard.bench.status.snapshot().end_offsets)
    await heard.worker._follow_sources()
    assert {number for _, number in heard.bench.status.snapshot().end_offsets} == {0}
    assert before.keys() <= heard.bench.status.snapshot().end_offsets.keys()
    assert heard.bench.status.snapshot().end_offsets["payments", 0] == sources.ranges["payments", 0].end
    (seen,) = heard.signals
    assert isinstance(seen, Seen)
    assert seen.sources.ranges["orders", 1] == LogRange(0, 100, 100)


@pytest.mark.parametrize("error", [KafkaConnectionError("away"), OSError("away")])
async def test_sources_that_cannot_be_surveyed_change_nothing(
    heard: Heard, monkeypatch: pytest.MonkeyPatch, error: Exception
) -> None:
    async def survey(*_: object) -> Sources:
        raise error

    monkeypatch.setattr(heard.bench.source, "survey", survey)
    await heard.worker._follow_sources()
    assert heard.signals == []


async def test_the_generation_that_is_counted_already_is_no_news(heard: Heard) -> None:
    await heard.worker._follow_generation()
    assert heard.signals == []
    switch(heard.bench.kafka, "g2")
    await heard.worker._follow_generation()
    assert heard.signals == [Switched("g2")]
    assert heard.worker.generation == "g1"


async def test_what_is_revoked_and_dealt_reaches_status_and_driver(
    heard: Heard, monkeypatch: pytest.MonkeyPatch
) -> None:
    """The group waits until all is given up; topics that are not counted are nobody's."""
    told, away = [], []
    monkeypatch.setattr(heard.bench.status, "rebalance_started", lambda now: told.append(("revoked", now)))
    monkeypatch.setattr(heard.bench.status, "assigned", lambda numbers, now: told.append((numbers, now)))

    async def until_away() -> None:
        away.append(list(heard.signals))

    monkeypatch.setattr(heard.worker._driver, "until_away", until_away)
    await heard.worker._revoked(heard.bench.app, set())
    assert away == [[TakenBack()]]
    heard.bench.app.consumer_generation_id = 5
    dealt = {TP("p-orders", 1), TP("p-orders", 0), TP("p-payments", 0), TP("p-elsewhere", 2)}
    await heard.worker._assigned(heard.bench.app, dealt)
    assert heard.signals[1:] == [Dealt({0: frozenset({"orders", "payments"}), 1: frozenset({"orders"})}, 5)]
    assert told == [("revoked", START_MS), ([0, 1], START_MS)]


async def test_a_worker_that_stops_has_committed_what_it_counted(directory: Path) -> None:
    bench = Bench(directory)
    await bench.deal(0)
    await bench.counting(0)
    await bench.count(0, 0, 7)
    await bench.worker.stop()
    assert bench.store.group_offsets["orders", 0] == 7
    assert bench.worker._driver.crew.is_away


async def test_only_the_first_reason_to_end_counts(heard: Heard) -> None:
    first = ValueError("first")
    heard.worker.fail(first)
    heard.worker.fail(ValueError("second"))
    assert heard.worker.failure.result() is first


async def test_a_worker_that_nobody_looks_after_ends(heard: Heard, monkeypatch: pytest.MonkeyPatch) -> None:
    """Whichever of its watches fails."""
    monkeypatch.setattr(membership, "TICK_SECONDS", 0)

    def dead() -> None:
        raise KafkaConnectionError("dead")

    monkeypatch.setattr(heard.bench.source, "check", dead)
    await heard.worker.watch()
    assert "dead" in str(heard.worker.failure.result())


async def test_partitions_generation_and_sources_are_looked_at_again_and_again(
    heard: Heard, monkeypatch: pytest.MonkeyPatch
) -> None:
    for name in ("TICK_SECONDS", "SOURCES_SECONDS"):
        monkeypatch.setattr(membership, name, 0)
    monkeypatch.setattr(module, "GENERATION_SECONDS", 0)
    switch(heard.bench.kafka, "g2")
    watching = asyncio.create_task(heard.worker.watch())
    await until(lambda: all(count > 1 for count in kinds(heard).values()) and len(kinds(heard)) == 3)
    watching.cancel()
    await asyncio.gather(watching, return_exceptions=True)
    assert kinds(heard).keys() == {"To", "Seen", "Switched"}
    assert not heard.worker.failure.done()


def kinds(heard: Heard) -> Counter[str]:
    return Counter(type(signal).__name__ for signal in heard.signals)


async def test_a_short_pause_of_the_loop_is_not_told(
    directory: Path, monkeypatch: pytest.MonkeyPatch, caplog: pytest.LogCaptureFixture
) -> None:
    monkeypatch.setattr(membership, "TICK_SECONDS", 0)
    bench = Bench(directory)
    watching = asyncio.create_task(bench.worker._watch_partitions())
    await asyncio.sleep(0)
    bench.clock.advance(1_000)
    await asyncio.sleep(0.01)
    watching.cancel()
    await asyncio.gather(watching, return_exceptions=True)
    assert not caplog.records


async def test_a_batch_that_nothing_can_be_done_with_ends_the_worker(
    heard: Heard, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Faust would acknowledge it and go on with the next one."""
    error = ValueError("planted")

    def fail(_: object) -> None:
        raise error

    monkeypatch.setattr(heard.worker._driver, "on", fail)
    heard.worker._deliver(batch_of([START_MS]))
    assert heard.worker.failure.result() is error
    monkeypatch.setattr(heard.worker._driver, "on", heard.signals.append)
