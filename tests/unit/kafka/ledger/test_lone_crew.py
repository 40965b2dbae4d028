"""A crew without a group counts up to its targets, commits, and says why where it cannot."""

from __future__ import annotations

import asyncio
from typing import TYPE_CHECKING

import pytest
from aiokafka.errors import KafkaConnectionError, KafkaError
from aiokafka.structs import TopicPartition

from streams.domain.built_in import ROLLUPS
from streams.domain.declarations import FingerprintError
from streams.engine import bounds
from streams.engine.checkpoint import OutcomeUnknownError
from streams.engine.clock import ManualClock
from streams.engine.lone_count import CHECKPOINT_MS, ROUNDS, TRIES
from streams.engine.memory import MemoryPartitionStore
from streams.engine.status import HeldReason
from streams.engine.steps import Step, crash_at
from streams.kafka.client.log_reader import STALL_SECONDS, StalledError
from streams.kafka.group.intake import HeldError
from streams.kafka.ledger.log_intake import LogIntake
from streams.kafka.ledger.lone_crew import TAKEOVER_STALL_SECONDS, LoneCrew, open_lone_crew
from streams.kafka.ledger.store import KafkaLedgerStore
from streams.settings import Settings
from tests.unit.domain.samples import START_MS, declarations, festival
from tests.unit.kafka.ledger.logs import TOPICS, KafkaSource, Store, ends, fill

if TYPE_CHECKING:
    from collections.abc import Callable

    from streams.domain.declarations import Declarations
    from streams.engine.batch import RecordBatch
    from streams.engine.memory.log import PartitionLog

NUMBERS = (1, 2)
ORDERS = TopicPartition("orders", 1)
DECLARATIONS = declarations(rollups=tuple(rollup for rollup in ROLLUPS if rollup.fact in TOPICS))
PAYMENTS_END = 0


@pytest.fixture(autouse=True)
def no_pauses(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("streams.kafka.ledger.log_intake.POLL_SECONDS", 0)
    monkeypatch.setattr(bounds, "RETRY_MS", 0)
    monkeypatch.setattr(bounds, "LOOK_MS", 0)


class Bench:
    """Two partitions of which the orders have twenty records."""

    def __init__(self, store: Store | None = None, declared: Declarations = DECLARATIONS) -> None:
        self.store = store or Store()
        self.kafka = self.store.kafka
        if store is None:
            fill(self.kafka, ends(NUMBERS, 20, ["orders"]))
        self.source = KafkaSource(self.kafka)
        self.clock = ManualClock(START_MS)
        self.passed: list[int] = []
        self.lone = LoneCrew(
            declared,
            "g2",
            store=self.store,
            source=self.source,
            on_counted=self.passed.append,
            clock=self.clock,
        )

    async def count_to(self, end: int) -> None:
        await self.lone.count_to({**ends(NUMBERS, PAYMENTS_END), **ends(NUMBERS, end, ["orders"])})

    def orders(self) -> dict[int, int]:
        """Return how far the orders are committed."""
        return {tp.partition: offset for tp, offset in self.lone.positions.items() if tp.topic == "orders"}


async def test_a_takeover_leaves_a_checkpoint_of_every_partition_and_counts_nothing() -> None:
    bench = Bench()
    await bench.lone.take_over(NUMBERS)
    assert bench.lone.positions == ends(NUMBERS, 0)
    assert bench.store.commits == len(NUMBERS)
    assert bench.passed == []
    assert bench.lone.began == ends(NUMBERS, 0)
    assert bench.lone._crew.pause_ms() == CHECKPOINT_MS
    await bench.lone.close()
    assert (bench.store.is_closed, bench.source.reader.is_closed) == (True, True)


async def test_it_counts_up_to_targets_and_then_up_to_further_ones_with_the_ledgers_it_has() -> None:
    bench = Bench()
    await bench.lone.take_over(NUMBERS)
    await bench.count_to(7)
    assert bench.orders() == dict.fromkeys(NUMBERS, 7)
    assert sum(bench.passed) == 7 * len(NUMBERS)
    takeovers = {number: tenure.takeover for number, tenure in bench.lone._crew.tenures.items()}
    await bench.count_to(20)
    assert bench.orders() == dict.fromkeys(NUMBERS, 20)
    assert sum(bench.passed) == 20 * len(NUMBERS)
    assert {number: tenure.takeover for number, tenure in bench.lone._crew.tenures.items()} == takeovers
    await bench.lone.close()


async def test_what_was_committed_is_gone_on_with() -> None:
    bench = Bench()
    await bench.lone.take_over(NUMBERS)
    await bench.count_to(7)
    await bench.lone.close()
    after = Bench(bench.store)
    await after.lone.take_over(NUMBERS)
    assert after.orders() == dict.fromkeys(NUMBERS, 7)
    await after.count_to(9)
    assert sum(after.passed) == 2 * len(NUMBERS)
    await after.lone.close()


async def test_without_a_partition_nothing_is_done() -> None:
    bench = Bench()
    await bench.lone.take_over(())
    await bench.count_to(20)
    assert bench.lone.positions == {}
    await bench.lone.close()


async def test_a_partition_that_a_newer_owner_takes_is_left_and_the_other_counted() -> None:
    bench = Bench()
    await bench.lone.take_over(NUMBERS)
    await bench.store.fence(1, "g2")
    await bench.count_to(20)
    assert bench.lone.handed_over == {1}
    assert bench.orders() == {2: 20}
    await bench.count_to(20)
    await bench.lone.close()
    assert bench.lone.handed_over == {1}


@pytest.mark.parametrize(
    ("accident", "reason"),
    [
        (lambda log: log.delete_below(8), HeldReason.LOG_DELETED),
        (lambda log: log.truncate(6), HeldReason.LOG_TRUNCATED),
    ],
)
async def test_a_log_without_the_position_holds(accident: Callable[[PartitionLog], None], reason: HeldReason) -> None:
    bench = Bench()
    await bench.lone.take_over(NUMBERS)
    await bench.count_to(7)
    await bench.lone.close()
    accident(bench.kafka.log("orders", 1))
    after = Bench(bench.store)
    with pytest.raises(HeldError) as raised:
        await after.lone.take_over(NUMBERS)
    assert raised.value.verdict.reason is reason
    await after.lone.close()


async def test_a_log_that_loses_its_beginning_while_it_is_counted_holds() -> None:
    bench = Bench()
    await bench.lone.take_over(NUMBERS)
    bench.kafka.log("orders", 1).delete_below(5)
    with pytest.raises(HeldError) as raised:
        await bench.count_to(20)
    assert raised.value.verdict.reason is HeldReason.LOG_DELETED
    await bench.lone.close()


async def test_a_fetch_that_failed_once_is_made_again() -> None:
    bench = Bench()
    await bench.lone.take_over(NUMBERS)
    damaged = bench.kafka.log("orders", 1).damaged
    damaged.add(3)
    told = bench.source.on_fault

    def heal(partition: TopicPartition, error: KafkaError) -> None:
        damaged.clear()
        told(partition, error)

    bench.source.on_fault = heal
    await bench.count_to(20)
    assert not damaged
    assert bench.orders() == dict.fromkeys(NUMBERS, 20)
    await bench.lone.close()


async def test_a_ledger_of_other_declarations_is_refused() -> None:
    bench = Bench()
    await bench.lone.take_over(NUMBERS)
    await bench.lone.close()
    other = declarations(festival("morning", hours=6), rollups=DECLARATIONS.rollups)
    after = Bench(bench.store, other)
    with pytest.raises(FingerprintError, match="festival day: the ledger counts it, and no file here declares it"):
        await after.lone.take_over(NUMBERS)
    await after.lone.close()


async def test_a_broker_that_is_away_for_a_moment_is_waited_for_and_not_for_ever() -> None:
    bench = Bench()
    bench.source.failures = [KafkaConnectionError("away")] * (TRIES - 1)
    await bench.lone.take_over([1])
    assert bench.orders() == {1: 0}
    await bench.lone.close()
    after = Bench()
    after.source.failures = [KafkaConnectionError("away")] * TRIES
    with pytest.raises(OutcomeUnknownError, match="away"):
        await after.lone.take_over([1])
    await after.lone.close()


async def test_a_checkpoint_whose_outcome_is_not_known_is_counted_again() -> None:
    bench = Bench()
    await bench.lone.take_over(NUMBERS)
    bench.store.at_step = crash_at(Step.AFTER_COMMIT)
    await bench.count_to(20)
    assert bench.orders() == dict.fromkeys(NUMBERS, 20)
    await bench.lone.close()


def late(bench: Bench, seconds: float) -> Callable[[], object]:
    """Return a fetch that gives nothing and takes long."""

    async def fetch() -> list[RecordBatch]:
        bench.clock.advance(int(seconds * 1000) + 1)
        await asyncio.sleep(0)
        return []

    return fetch


async def test_a_log_that_gives_nothing_ends_it(monkeypatch: pytest.MonkeyPatch) -> None:
    bench = Bench()
    await bench.lone.take_over(NUMBERS)
    await bench.count_to(7)
    monkeypatch.setattr(bench.source, "fetch", late(bench, STALL_SECONDS / 4))
    with pytest.raises(StalledError, match=r"orders\[1\] at offset 7 of 20"):
        await bench.count_to(20)
    await bench.lone.close()


async def test_a_takeover_in_which_nothing_happens_ends_it(monkeypatch: pytest.MonkeyPatch) -> None:
    bench = Bench()
    never = asyncio.Event()
    monkeypatch.setattr(bench.source, "survey", lambda *_: never.wait())
    monkeypatch.setattr(bench.source, "fetch", late(bench, TAKEOVER_STALL_SECONDS))
    with pytest.raises(KafkaConnectionError, match="no answer for 60 s"):
        await bench.lone.take_over(NUMBERS)
    await bench.lone.close()


async def test_a_takeover_may_take_longer_than_a_fetch(monkeypatch: pytest.MonkeyPatch) -> None:
    bench = Bench()
    await bench.lone.take_over(NUMBERS)
    await bench.count_to(7)
    never = asyncio.Event()
    monkeypatch.setattr(bench.source, "survey", lambda *_: never.wait())
    monkeypatch.setattr(bench.source, "fetch", late(bench, STALL_SECONDS))
    with pytest.raises(KafkaConnectionError, match="no answer for 60 s"):
        await bench.count_to(20)
    await bench.lone.close()


async def test_of_two_reasons_to_end_the_first_is_told() -> None:
    bench = Bench()
    await bench.lone.take_over([1])
    for what in ("first", "second"):
        bench.lone._fail(ValueError(what))
    with pytest.raises(ValueError, match="first"):
        await bench.count_to(20)
    await bench.lone.close()


async def test_last_checkpoints_that_never_end_end_it(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(bounds, "FINAL_MS", 0)
    bench = Bench()
    await bench.lone.take_over([1])
    tried = []

    async def commit(*_: object) -> None:
        tried.append(1)
        await asyncio.Event().wait()

    monkeypatch.setattr(MemoryPartitionStore, "commit", commit)
    with pytest.raises(OutcomeUnknownError, match="takes no checkpoint"):
        await bench.lone.count_to({ORDERS: 20})
    assert len(tried) == ROUNDS
    assert bench.orders() == {1: 0}
    await bench.lone.close()


async def test_a_fault_in_the_last_checkpoint_is_told_as_what_it_is(monkeypatch: pytest.MonkeyPatch) -> None:
    """And not as a ledger that takes none."""
    monkeypatch.setattr("streams.engine.lone_count.ROUNDS", 1)
    bench = Bench()
    await bench.lone.take_over([1])

    async def commit(*_: object) -> None:
        raise ValueError("a fault")

    monkeypatch.setattr(MemoryPartitionStore, "commit", commit)
    with pytest.raises(ValueError, match="a fault"):
        await bench.lone.count_to({ORDERS: 20})
    await bench.lone.close()


async def test_what_was_counted_is_committed_at_the_close() -> None:
    bench = Bench()
    await bench.lone.take_over([1])
    bench.source.targets = {ORDERS: 3}
    for batch in await bench.source.fetch():
        bench.lone._deliver(batch)
    assert bench.passed == [3]
    assert bench.orders() == {1: 0}
    await bench.lone.close()
    after = Bench(bench.store)
    await after.lone.take_over([1])
    assert after.orders() == {1: 3}
    await after.lone.close()


async def test_a_crew_on_kafka_takes_batches_from_logs_and_commits_to_the_ledger(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    bench = Bench()

    async def open_intake(_: Settings) -> LogIntake:
        return bench.source

    monkeypatch.setattr(LogIntake, "open", open_intake)
    lone = await open_lone_crew(
        Settings(broker="127.0.0.1:1"),
        DECLARATIONS,
        "g2",
        counts_beside=True,
        on_counted=bench.passed.append,
        clock=bench.clock,
    )
    assert lone.positions == {}
    assert lone._source is bench.source
    assert isinstance(lone._store, KafkaLedgerStore)
