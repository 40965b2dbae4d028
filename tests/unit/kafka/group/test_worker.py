"""Which partitions a worker owns after each turn of the group, without Kafka."""

from __future__ import annotations

import asyncio
import dataclasses
from typing import TYPE_CHECKING, Any

import pytest
from aiokafka.errors import KafkaConnectionError
from faust.types import TP

from streams.domain.built_in import ROLLUPS
from streams.domain.declarations import FingerprintError
from streams.engine import bounds
from streams.engine.batch import RecordBatch
from streams.engine.checkpoint import UnreadableError
from streams.engine.clock import ManualClock
from streams.engine.generations import Generations
from streams.engine.generations import encode as encode_generations
from streams.engine.ledger_keys import GENERATIONS_KEY
from streams.engine.lifecycle import State
from streams.engine.memory import Kafka, MemoryLedgerStore, MemorySource, Producer
from streams.engine.processor import WAITING_LIMIT_RECORDS, CountingError, PartitionProcessor
from streams.engine.status import HeldReason, PartitionState, WorkerStatus
from streams.engine.topic_names import LEDGER, SEEN
from streams.errors import UnreachableError
from streams.kafka.group.faust_app import build_app
from streams.kafka.group.worker import FailStopError, Worker, declare_festivals
from streams.settings import Settings
from tests.unit.domain.samples import START_MS, declarations, encode, festival, order
from tests.unit.kafka.group.test_driver import until

if TYPE_CHECKING:
    from collections.abc import Mapping
    from pathlib import Path

BOTH = ("orders", "payments")
DECLARATIONS = declarations(rollups=tuple(rollup for rollup in ROLLUPS if rollup.fact in BOTH))


VALUES = [encode(order(event_id=f"e{offset}")) for offset in range(100)]


class Source(MemorySource):
    """A source that remembers what was released; batches are handed over by the tests themselves."""

    def __init__(self, kafka: Kafka) -> None:
        super().__init__(kafka)
        self.releases: list[tuple[int, dict[str, int]]] = []

    async def release(self, partition: int, positions: Mapping[str, int]) -> None:
        """Remember the positions."""
        self.releases.append((partition, dict(positions)))
        await super().release(partition, positions)


def grow(kafka: Kafka, partitions: Mapping[str, int]) -> None:
    """Let topics have so many partitions; each new one of a source holds a hundred records."""
    for topic, count in partitions.items():
        if topic not in kafka.topics:
            kafka.create_topic(topic, 0)
        before = len(kafka.topics[topic].logs)
        kafka.add_partitions(topic, count)
        for partition in range(before, count) if topic in BOTH else ():
            kafka.produce(topic, partition, VALUES)


def switch(kafka: Kafka, generation: str) -> None:
    """Make another generation current, as a recount does."""
    Producer(kafka).send(LEDGER, 0, [encode_generations(Generations(current=generation))], [GENERATIONS_KEY])


def sizes(sources: int = 8, ledger: int = 8, **others: int) -> dict[str, int]:
    """Return the number of partitions of each topic."""
    return {**dict.fromkeys(BOTH, sources), LEDGER: ledger, SEEN: ledger, **others}


class Bench:
    """A worker of a group that the test plays."""

    def __init__(self, directory: Path, partitions: Mapping[str, int] | None = None) -> None:
        self.kafka = Kafka(START_MS)
        grow(self.kafka, partitions or sizes())
        self.store = MemoryLedgerStore(kafka=self.kafka)
        self.source = Source(self.kafka)
        self.status = WorkerStatus(BOTH)
        settings = Settings(broker="127.0.0.1:1", prefix="p-", name="one", checkpoint_interval_ms=3_600_000)
        self.app: Any = build_app(settings, directory)
        self.clock = ManualClock(START_MS)
        self.worker = Worker(self.app, self.store, DECLARATIONS, "g1", status=self.status, clock=self.clock)
        self.worker._source = self.source
        self.worker._driver._source = self.source
        self.group_generation = 0
        self.dealt: set[TP] = set()

    async def deal(self, *partitions: int, topics: tuple[str, ...] = BOTH, generations: int = 1) -> None:
        """Revoke everything and deal anew, `generations` of the group later."""
        await self.worker._revoked(self.app, self.dealt)
        self.group_generation += generations
        self.app.consumer_generation_id = self.group_generation
        self.dealt = {TP(f"p-{topic}", partition) for topic in topics for partition in partitions}
        await self.worker._assigned(self.app, self.dealt)

    async def counting(self, *partitions: int) -> None:
        """Wait until exactly these are counted."""
        await until(
            lambda: (
                self.states() == dict.fromkeys(partitions, PartitionState.CONSUMING)
                and all(tenure.state is State.COUNTING for tenure in self.worker._crew.tenures.values())
            )
        )

    def states(self) -> dict[int, PartitionState]:
        """Return the state of each partition of this worker."""
        return {number: partition.state for number, partition in self.status.snapshot().partitions.items()}

    async def count(self, partition: int, first: int, count: int) -> None:
        """Hand a batch of orders to the agent."""
        offsets = range(first, first + count)
        values = [encode(order(event_id=f"e{offset}")) for offset in offsets]
        batch = RecordBatch(
            "orders", partition, first, first + count, offsets, [None] * count, values, [START_MS] * count
        )

        async def stream() -> Any:  # noqa: ANN401
            yield batch

        await self.worker._take(stream())


@pytest.fixture
def directory(tmp_path: Path) -> Path:
    """Return a directory for the app."""
    return tmp_path


async def test_a_ledger_is_kept_through_a_rebalance_that_deals_it_again(directory: Path) -> None:
    """And given up where another worker gets it."""
    bench = Bench(directory)
    await bench.deal(0, 1)
    await bench.counting(0, 1)
    await bench.count(0, 0, 7)
    kept = bench.worker._crew.tenures[0].processor
    await bench.deal(0, 2)
    await bench.counting(0, 2)
    assert bench.worker._crew.tenures[0].processor is kept
    assert (0, {"orders": 7, "payments": 0}) in bench.source.releases
    await bench.worker.stop()
    assert not bench.worker.failure.done()


async def test_a_worker_that_missed_a_turn_of_the_group_takes_everything_over_afresh(directory: Path) -> None:
    """While it stood still another one may have counted."""
    bench = Bench(directory)
    await bench.deal(0)
    await bench.counting(0)
    before = bench.worker._crew.tenures[0].processor
    await bench.deal(0, generations=2)
    await bench.counting(0)
    assert bench.worker._crew.tenures[0].processor is not before
    await bench.worker.stop()


async def test_a_partition_whose_topics_are_on_different_workers_is_held(
    directory: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Its ledger would have two owners. With nothing else to count the worker ends with status 3."""
    monkeypatch.setattr(bounds, "COLOCATED_MS", 0)
    bench = Bench(directory)
    await bench.deal(4, topics=("orders",))
    await until(lambda: bench.states() == {4: PartitionState.HELD})
    partition = bench.status.snapshot().partitions[4]
    assert partition.reason is HeldReason.NOT_COLOCATED
    assert "payments" in partition.detail
    await until(bench.worker.failure.done)
    assert isinstance(bench.worker.failure.result(), UnreachableError)
    assert bench.store.note(4, "g1") is not None  # before the worker ends
    await bench.deal(4)
    await bench.counting(4)
    assert bench.store.note(4, "g1") is None
    await bench.worker.stop()


@pytest.mark.parametrize(
    ("ledger_partitions", "counts", "dealt", "reason"),
    [
        (2, {}, BOTH, HeldReason.NOT_IN_LEDGER),
        (2, {"payments": 2}, ("orders",), HeldReason.UNEQUAL_PARTITIONS),
        (4, {"payments": 2}, ("orders",), HeldReason.UNEQUAL_PARTITIONS),
    ],
)
async def test_added_partitions_are_held_and_counted_once_all_topics_have_them(
    directory: Path, ledger_partitions: int, counts: dict[str, int], dealt: tuple[str, ...], reason: HeldReason
) -> None:
    """The others go on; a worker that has nothing else waits for it."""
    bench = Bench(directory, sizes(4, ledger_partitions, **counts))
    await bench.deal(3, topics=dealt)
    await until(lambda: bench.states() == {3: PartitionState.HELD})
    assert bench.status.snapshot().partitions[3].reason is reason
    assert not bench.worker.failure.done()
    await bench.worker._follow_sources()
    assert bench.states() == {3: PartitionState.HELD}
    assert bench.status.snapshot().end_offsets["orders", 3] == 100
    grow(bench.kafka, sizes(4, 4))
    if dealt == BOTH:
        await bench.worker._follow_sources()
    else:
        await bench.deal(3)  # the group deals what has grown anew
    await bench.counting(3)
    assert bench.source.releases[-1] == (3, {"orders": 0, "payments": 0})
    await bench.worker.stop()


async def test_a_topic_that_is_gone_is_told_as_what_it_is(directory: Path) -> None:
    """And not as partitions that are apart; nothing that was counted goes on."""
    bench = Bench(directory)
    await bench.deal(0)
    await bench.counting(0)
    bench.kafka.delete_topic("orders")
    await bench.deal(0, topics=("payments",))
    await until(lambda: bench.states() == {0: PartitionState.HELD})
    partition = bench.status.snapshot().partitions[0]
    assert (partition.reason, partition.topic) == (HeldReason.LOG_MISSING, "orders")
    assert "the topic orders is not there" in partition.detail
    assert "festival topics" in partition.detail
    await until(bench.worker.failure.done)
    assert isinstance(bench.worker.failure.result(), UnreachableError)
    await bench.worker.stop()


async def test_a_held_partition_leaves_the_others_counting(directory: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """Also where it is the first of them."""
    monkeypatch.setattr(bounds, "COLOCATED_MS", 0)
    bench = Bench(directory)
    orders = {TP("p-orders", 0), TP("p-orders", 1), TP("p-payments", 1)}
    bench.app.consumer_generation_id = 1
    await bench.worker._assigned(bench.app, orders)
    await until(lambda: bench.states() == {0: PartitionState.HELD, 1: PartitionState.CONSUMING})
    assert not bench.worker.failure.done()
    await bench.worker.stop()


async def test_batches_of_partitions_that_went_are_dropped(directory: Path) -> None:
    """They were on their way to the agent."""
    bench = Bench(directory)
    await bench.deal()
    await bench.count(5, 0, 3)
    assert bench.status.readiness(START_MS) == (True, "counting 0 partitions")
    await bench.worker.stop()


async def test_a_worker_that_lacks_a_declared_festival_ends_and_one_that_brings_it_declares_it(
    directory: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    bench = Bench(directory)
    await bench.worker._follow_generation()
    assert (await bench.store.generations()).declared == DECLARATIONS.read_back()
    assert not bench.worker.failure.done()
    more = dataclasses.replace(DECLARATIONS, festivals={**DECLARATIONS.festivals, "next": festival("next")})
    await declare_festivals(bench.store, more)
    await bench.worker._follow_generation()
    error = bench.worker.failure.result()
    assert isinstance(error, FingerprintError)
    assert "festival next: the ledger counts it" in str(error)

    async def away(_: object) -> None:
        raise KafkaConnectionError

    monkeypatch.setattr(bench.store, "declare", away)
    await declare_festivals(bench.store, more)  # it is tried again in a moment
    await bench.worker.stop()


async def test_a_fault_while_counting_ends_the_worker_with_a_sentence(
    directory: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Faust would acknowledge the batch and go on."""
    bench = Bench(directory)
    await bench.deal(0)
    await bench.counting(0)
    processor = bench.worker._crew.tenures[0].processor
    assert isinstance(processor, PartitionProcessor)

    def fail(*_: object) -> None:
        raise ZeroDivisionError

    monkeypatch.setattr(processor.count_waiting(), "apply", fail)
    await bench.count(0, 0, WAITING_LIMIT_RECORDS)
    failure = bench.worker.failure.result()
    assert isinstance(failure, FailStopError)
    assert f"orders[0] offsets 0 to {WAITING_LIMIT_RECORDS - 1} failed (ZeroDivisionError" in str(failure)
    assert isinstance(failure.__cause__, CountingError), "the log tells where it came from"
    await bench.worker.stop()


async def test_a_new_generation_is_taken_over_at_once(directory: Path) -> None:
    """A recount has switched; what was counted into the old one is committed there."""
    bench = Bench(directory)
    await bench.deal(0)
    await bench.counting(0)
    await bench.count(0, 0, 7)
    switch(bench.kafka, "g2")
    await bench.worker._follow_generation()
    await bench.counting(0)
    assert bench.source.releases[-1] == (0, {"orders": 0, "payments": 0})
    assert bench.store.group_offsets["orders", 0] in {0, 7}
    assert bench.store.committed(0, "g2").cursor is not None
    await bench.worker.stop()


@pytest.mark.parametrize("error", [KafkaConnectionError("away"), UnreadableError("broken")])
async def test_a_generation_that_is_not_known_changes_nothing(
    directory: Path, monkeypatch: pytest.MonkeyPatch, error: Exception
) -> None:
    """There will be a next time."""

    async def fail() -> Generations:
        raise error

    bench = Bench(directory)
    await bench.deal(0)
    await bench.counting(0)
    monkeypatch.setattr(bench.store, "generations", fail)
    await bench.worker._follow_generation()
    assert bench.states() == {0: PartitionState.CONSUMING}
    await bench.worker.stop()


async def test_a_loop_that_stood_still_is_told_with_its_seconds(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, caplog: pytest.LogCaptureFixture
) -> None:
    """Else a total that came late looks like a slow broker's."""
    monkeypatch.setattr("streams.kafka.group.membership.TICK_SECONDS", 0)
    bench = Bench(tmp_path)
    watching = asyncio.create_task(bench.worker._watch_partitions())
    await asyncio.sleep(0)
    assert not caplog.records
    bench.clock.advance(2_500)
    await until(lambda: bool(caplog.records))
    watching.cancel()
    await asyncio.gather(watching, return_exceptions=True)
    assert vars(caplog.records[0])["seconds"] == 2.5
