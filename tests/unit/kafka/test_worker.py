"""Which partitions a worker owns after each turn of the group, without Kafka."""

from __future__ import annotations

import asyncio
from typing import TYPE_CHECKING, Any

import pytest
from aiokafka.errors import KafkaConnectionError
from faust.types import TP

from streams.app import build_app
from streams.domain.rollups import ROLLUPS
from streams.engine.batch import RecordBatch
from streams.engine.checkpoint import UnreadableError
from streams.engine.clock import ManualClock
from streams.engine.memory import MemoryLedgerStore
from streams.engine.processor import WAITING_LIMIT_RECORDS
from streams.engine.status import HeldReason, PartitionState, WorkerStatus
from streams.errors import UnreachableError
from streams.kafka.generations import Generations
from streams.kafka.transport import LogRange
from streams.kafka.worker import FailStopError, Worker
from streams.settings import Settings
from tests.unit.domain.samples import START_MS, declarations, encode, order
from tests.unit.kafka.test_ownership import until

if TYPE_CHECKING:
    from collections.abc import Collection, Mapping
    from pathlib import Path

BOTH = ("orders", "payments")
DECLARATIONS = declarations(rollups=tuple(rollup for rollup in ROLLUPS if rollup.fact in BOTH))


class FakeSource:
    """A source whose logs hold offsets 0 to 99, in every partition."""

    def __init__(self) -> None:
        self.releases: list[tuple[int, dict[str, int]]] = []

    async def release(self, partition: int, positions: Mapping[str, int]) -> None:
        """Remember the positions."""
        self.releases.append((partition, dict(positions)))

    async def hold_back(self, partition: int, topics: Collection[str]) -> None:
        """Do nothing."""

    async def log_ranges(self, _: int, topics: Collection[str]) -> dict[str, LogRange]:
        """Return the same range for all."""
        return dict.fromkeys(topics, LogRange(0, 100))

    async def has_newer(self, _: int, topic: str, record_time_ms: int, below: int) -> bool:
        """Have nothing newer."""
        assert topic in BOTH
        assert record_time_ms > 0
        return below < 0

    def fetch_state(self, _: int, topic: str) -> tuple[int | None, int | None]:
        """Know nothing."""
        assert topic in BOTH
        return None, None

    def has_in_hand(self, _: int, topic: str) -> bool:
        """Hold nothing."""
        assert topic in BOTH
        return False

    def done(self, batch: RecordBatch) -> None:
        """Do nothing."""

    def check(self) -> None:
        """Find nothing wrong."""


class GenerationalStore(MemoryLedgerStore):
    """A store that says which generation is current."""

    current: Generations | Exception = Generations()

    async def generations(self) -> Generations:
        """Return it, or raise it."""
        if isinstance(self.current, Exception):
            raise self.current
        return self.current


class Bench:
    """A worker of a group that the test plays."""

    def __init__(self, directory: Path) -> None:
        self.store = GenerationalStore()
        self.source = FakeSource()
        self.status = WorkerStatus(BOTH)
        settings = Settings(broker="127.0.0.1:1", prefix="p-", name="one", checkpoint_interval_ms=3_600_000)
        self.app: Any = build_app(settings, directory)
        self.clock = ManualClock(START_MS)
        self.worker = Worker(self.app, self.store, DECLARATIONS, "g1", status=self.status, clock=self.clock)
        self.worker._counting = self.worker._counting._replace(source=self.source)
        self.worker._source = self.source  # type: ignore[assignment]
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
                and all(ownership._is_counting for ownership in self.worker._ownerships.values())
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

        await self.worker._count(stream())


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
    kept = bench.worker._ownerships[0].processor
    await bench.deal(0, 2)
    await bench.counting(0, 2)
    assert bench.worker._ownerships[0].processor is kept
    assert (0, {"orders": 7, "payments": 0}) in bench.source.releases
    await bench.worker.stop()
    assert not bench.worker.failure.done()


async def test_a_worker_that_missed_a_turn_of_the_group_takes_everything_over_afresh(directory: Path) -> None:
    """While it stood still another one may have counted."""
    bench = Bench(directory)
    await bench.deal(0)
    await bench.counting(0)
    before = bench.worker._ownerships[0].processor
    await bench.deal(0, generations=2)
    await bench.counting(0)
    assert bench.worker._ownerships[0].processor is not before
    await bench.worker.stop()


async def test_a_partition_whose_topics_are_on_different_workers_is_held(directory: Path) -> None:
    """Its ledger would have two owners. With nothing else to count the worker ends with status 3."""
    bench = Bench(directory)
    await bench.deal(4, topics=("orders",))
    assert bench.states() == {4: PartitionState.HELD}
    partition = bench.status.snapshot().partitions[4]
    assert partition.reason is HeldReason.NOT_COLOCATED
    assert "payments" in partition.detail
    assert isinstance(bench.worker.failure.result(), UnreachableError)
    await bench.deal(4)
    await bench.counting(4)
    await bench.worker.stop()


async def test_a_held_partition_leaves_the_others_counting(directory: Path) -> None:
    """Also where it is the first of them."""
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


async def test_a_fault_while_counting_ends_the_worker_with_a_sentence(
    directory: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Faust would acknowledge the batch and go on."""
    bench = Bench(directory)
    await bench.deal(0)
    await bench.counting(0)
    processor = bench.worker._ownerships[0].processor
    assert processor is not None

    def fail(*_: object) -> None:
        raise ZeroDivisionError

    monkeypatch.setattr(processor.ledger, "apply", fail)
    await bench.count(0, 0, WAITING_LIMIT_RECORDS)
    failure = bench.worker.failure.result()
    assert isinstance(failure, FailStopError)
    assert f"orders[0] offsets 0 to {WAITING_LIMIT_RECORDS - 1} failed (ZeroDivisionError" in str(failure)
    await bench.worker.stop()


async def test_a_new_generation_is_taken_over_at_once(directory: Path) -> None:
    """A recount has switched; what was counted into the old one is committed there."""
    bench = Bench(directory)
    await bench.deal(0)
    await bench.counting(0)
    await bench.count(0, 0, 7)
    bench.store.current = Generations(current="g2")
    await bench.worker._follow_generation()
    await bench.counting(0)
    assert bench.source.releases[-1] == (0, {"orders": 0, "payments": 0})
    assert bench.store.group_offsets["orders", 0] in {0, 7}
    assert bench.store.committed(0, "g2").pages
    await bench.worker.stop()


@pytest.mark.parametrize("error", [KafkaConnectionError("away"), UnreadableError("broken")])
async def test_a_generation_that_is_not_known_changes_nothing(directory: Path, error: Exception) -> None:
    """There will be a next time."""
    bench = Bench(directory)
    await bench.deal(0)
    await bench.counting(0)
    bench.store.current = error
    await bench.worker._follow_generation()
    assert bench.states() == {0: PartitionState.CONSUMING}
    await bench.worker.stop()


async def test_a_loop_that_stood_still_is_told_with_its_seconds(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, caplog: pytest.LogCaptureFixture
) -> None:
    """Else a total that came late looks like a slow broker's."""
    monkeypatch.setattr("streams.kafka.worker.TICK_SECONDS", 0)
    bench = Bench(tmp_path)
    watching = asyncio.create_task(bench.worker._watch_partitions())
    await asyncio.sleep(0)
    assert not caplog.records
    bench.clock.advance(2_500)
    await until(lambda: bool(caplog.records))
    watching.cancel()
    await asyncio.gather(watching, return_exceptions=True)
    assert vars(caplog.records[0])["seconds"] == 2.5
