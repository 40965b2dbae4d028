"""The driver of a crew, without Kafka: each effect is performed, each answer handed back.

What is decided, and when, is tested in tests/unit/engine.
"""

from __future__ import annotations

import asyncio
from typing import TYPE_CHECKING

import pytest
from aiokafka.errors import (
    KafkaConnectionError,
    TopicAuthorizationFailedError,
)

from streams.domain.built_in import ROLLUPS
from streams.domain.declarations import Declarations, FingerprintError
from streams.engine import bounds
from streams.engine import signals as sig
from streams.engine.batch import RecordBatch
from streams.engine.checkpoint import OutcomeUnknownError
from streams.engine.clock import ManualClock
from streams.engine.crew import Crew, Dealt, Due, TakenBack, To
from streams.engine.memory import Fate, Kafka, MemoryLedgerStore, MemorySource, Request, at_request
from streams.engine.processor import WAITING_LIMIT_RECORDS, CountingError, PartitionProcessor
from streams.engine.status import HeldReason, PartitionState, WorkerStatus
from streams.engine.steps import Step, crash_at
from streams.errors import UnreachableError
from streams.kafka.group.driver import Driver
from tests.unit.domain.samples import START_MS, declarations, encode, festival, order

if TYPE_CHECKING:
    from collections.abc import Callable, Mapping

    from streams.engine.memory.log import PartitionLog

PARTITION = 3
TURNS = 2_000
TOPICS = ("orders", "payments")
PAUSE_MS = 3_600_000
"""No checkpoint comes by itself: only the first, the forced and the last."""
DECLARATIONS = declarations(rollups=tuple(rollup for rollup in ROLLUPS if rollup.fact in TOPICS))
GENERATION = "g1"


LOG_RECORDS = 1_000
FIRST_PAYMENT = 5


class Source(MemorySource):
    """A source that remembers what was released; batches are handed over by the tests themselves."""

    def __init__(self, kafka: Kafka) -> None:
        super().__init__(kafka)
        self.releases: list[dict[str, int]] = []

    async def release(self, partition: int, positions: Mapping[str, int]) -> None:
        """Remember the positions."""
        assert partition == PARTITION
        self.releases.append(dict(positions))
        await super().release(partition, positions)


def fill(kafka: Kafka, topic: str) -> None:
    """Let the log of a topic hold a thousand records."""
    kafka.tick(START_MS + 1_000)
    kafka.produce(topic, PARTITION, [encode(order(event_id=f"e{offset}")) for offset in range(LOG_RECORDS)])


class Bench:
    """A driver of one partition with everything around it."""

    def __init__(
        self,
        store: MemoryLedgerStore | None = None,
        generation: str = GENERATION,
        declared: Declarations | None = None,
    ) -> None:
        declared = declared or DECLARATIONS
        self.store = store or MemoryLedgerStore()
        self.kafka = self.store.kafka
        if not self.kafka.log("orders", PARTITION).end:
            fill(self.kafka, "orders")
            fill(self.kafka, "payments")
            self.kafka.log("payments", PARTITION).delete_below(FIRST_PAYMENT)
        self.source = Source(self.kafka)
        self.status = WorkerStatus(("orders", "payments"))
        self.status.assigned([PARTITION], 0)
        self.clock = ManualClock(START_MS)
        self.failures: list[BaseException] = []
        self.crew = Crew(declared, generation, session_timeout_ms=0, checkpoint_interval_ms=PAUSE_MS)
        self.driver = Driver(
            self.crew,
            store=self.store,
            source=self.source,
            status=self.status,
            clock=self.clock,
            on_failure=self.failures.append,
        )
        self.group_generation = 0

    @property
    def processor(self) -> PartitionProcessor | None:
        """The ledger in memory."""
        processor = self.crew.tenures[PARTITION].processor
        assert processor is None or isinstance(processor, PartitionProcessor)
        return processor

    @property
    def is_held(self) -> bool:
        """Whether the partition stands still."""
        return self.crew.tenures[PARTITION].held is not None

    def deal(self) -> None:
        """Let the group deal the partition."""
        self.group_generation += 1
        self.driver.on(Dealt({PARTITION: frozenset(TOPICS)}, self.group_generation))

    async def take_back(self) -> None:
        """Let a rebalance begin."""
        self.driver.on(TakenBack())
        await self.driver.until_away()

    def to(self, signal: sig.Signal) -> None:
        """Hand a signal to the partition."""
        self.driver.on(To(PARTITION, signal))

    def wake(self) -> None:
        """Let the time of the next checkpoint come."""
        self.clock.advance(PAUSE_MS)
        self.driver.on(Due())

    async def start(self) -> None:
        """Start, and wait until it counts."""
        commits = self.store.commits
        self.deal()
        await until(lambda: self.state is PartitionState.CONSUMING and self.store.commits > commits)

    @property
    def state(self) -> PartitionState:
        """The partition's state, as the status tells it."""
        return self.status.snapshot().partitions[PARTITION].state

    def apply(self, first: int, count: int = 1, *, start: int | None = None, value: bytes | None = None) -> None:
        """Hand over a batch of orders."""
        offsets = range(first, first + count)
        values = [value or encode(order(event_id=f"e{offset}")) for offset in offsets]
        begin = first if start is None else start
        times = [START_MS + 1_000] * count
        batch = RecordBatch(
            "orders", PARTITION, begin, first + count, offsets, [None] * count, values, times, leader_epoch=0
        )
        self.to(sig.Delivered(batch, 0))

    def committed(self) -> Mapping[str, int]:
        """Return the committed positions."""
        cursor = self.store.committed(PARTITION, GENERATION).cursor
        assert cursor is not None
        return cursor.positions


async def until(condition: Callable[[], bool]) -> None:
    """Let the loop turn until `condition` holds."""
    for _ in range(TURNS):
        if condition():
            return
        await asyncio.sleep(0)
    pytest.fail("it does not come to that")


@pytest.fixture(autouse=True)
def _no_pauses(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(bounds, "RETRY_MS", 0)
    monkeypatch.setattr(bounds, "LOOK_MS", 0)
    monkeypatch.setattr(bounds, "NOTE_MS", 0)


async def test_a_takeover_commits_at_once_from_the_beginning_of_each_log() -> None:
    """So the partition has a cursor although nothing was counted."""
    bench = Bench()
    await bench.start()
    assert bench.committed() == {"orders": 0, "payments": 5}
    assert bench.source.releases == [{"orders": 0, "payments": 5}]
    await bench.driver.close()
    assert bench.store.commits == 1
    assert bench.failures == []


async def test_a_suspended_ledger_is_committed_and_goes_on_where_it_stood() -> None:
    """A rebalance that deals the same partition again costs no restore."""
    bench = Bench()
    await bench.start()
    bench.apply(0, 7)
    await bench.take_back()
    assert bench.committed()["orders"] == 7
    kept = bench.processor
    bench.apply(7, 1)
    assert bench.committed()["orders"] == 7, "nothing is counted while it is suspended"
    bench.deal()
    await until(lambda: len(bench.source.releases) == 2)
    assert bench.processor is kept
    assert bench.source.releases[-1]["orders"] == 7
    await bench.driver.close()


async def test_a_hole_is_read_again_once() -> None:
    """Batches behind it are dropped: counting past a hole would lose what lies in it."""
    bench = Bench()
    await bench.start()
    bench.apply(0, 3)
    bench.apply(5, 2)
    bench.apply(7, 2)
    await until(lambda: len(bench.source.releases) == 2)
    assert bench.source.releases[-1] == {"orders": 3}
    bench.apply(3, 6)
    await bench.driver.close()
    assert bench.committed()["orders"] == 9


@pytest.mark.parametrize("step", list(Step))
async def test_a_checkpoint_of_unknown_outcome_is_followed_by_a_fresh_takeover(step: Step) -> None:
    """Whether it was committed or not, the ledger goes on from what is."""
    bench = Bench(MemoryLedgerStore(crash_at(step, nth=2)))
    await bench.start()
    bench.apply(0, 5)
    first = bench.processor
    bench.wake()
    await until(lambda: bench.processor not in {None, first} and len(bench.source.releases) == 2)
    position = bench.source.releases[-1]["orders"]
    assert position in {0, 5}
    assert bench.status.snapshot().checkpoint_failures == 1
    bench.apply(0, 9)
    await bench.driver.close()
    assert bench.committed()["orders"] == 9
    cursor = bench.store.committed(PARTITION, GENERATION).cursor
    assert cursor is not None
    assert cursor.outcomes["orders"] == {"counted": 9}


async def test_a_fenced_owner_writes_nothing_and_takes_over_afresh_if_the_partition_stays_its_own() -> None:
    """The newer owner's checkpoints stand."""
    bench = Bench()
    await bench.start()
    other = Bench(bench.store)
    await other.start()
    other.apply(0, 4)
    await other.driver.close()
    bench.apply(0, 2)
    bench.wake()
    await until(lambda: len(bench.source.releases) == 2)
    assert bench.source.releases[-1]["orders"] == 4
    await bench.driver.close()
    assert bench.committed()["orders"] == 4


@pytest.mark.parametrize(
    ("accident", "reason"),
    [
        (lambda log: log.delete_below(6), HeldReason.LOG_DELETED),
        (lambda log: log.truncate(4), HeldReason.LOG_TRUNCATED),
    ],
)
async def test_a_position_outside_the_log_holds_the_partition(
    accident: Callable[[PartitionLog], None], reason: HeldReason
) -> None:
    """At the takeover; the sentence says which and what to do."""
    bench = Bench()
    await bench.start()
    bench.apply(0, 5)
    await bench.driver.close()
    accident(bench.kafka.log("orders", PARTITION))
    after = Bench(bench.store)
    after.deal()
    await until(lambda: after.is_held)
    status = after.status.snapshot().partitions[PARTITION]
    assert (status.state, status.reason) == (PartitionState.HELD, reason)
    assert "orders[3]: the ledger stands at offset 5" in status.detail
    assert "festival recount" in status.detail
    assert after.store.note(PARTITION, GENERATION) is None
    await until(lambda: bool(after.failures))
    assert isinstance(after.failures[0], UnreachableError), "it has nothing else, and others can know why"
    await after.driver.close()
    bench.kafka.delete_topic("orders")
    bench.kafka.create_topic("orders", PARTITION + 1)
    again = Bench(bench.store)
    again.deal()
    await until(lambda: again.is_held)
    assert again.status.snapshot().partitions[PARTITION].reason is HeldReason.LOG_REPLACED
    await again.driver.close()


async def test_a_held_partition_that_a_newer_owner_has_gets_no_note() -> None:
    """What the newer one finds holds."""
    bench = Bench()
    await bench.start()
    bench.apply(0, 5)
    await bench.store.fence(PARTITION, GENERATION)
    bench.kafka.log("orders", PARTITION).delete_below(50)
    bench.to(sig.FetchFailed("orders", is_outside=True, detail="gone"))
    await until(lambda: bench.processor is None)
    assert bench.store.note(PARTITION, GENERATION) is None
    await bench.driver.close()


async def test_a_note_is_written_once_kafka_is_back(monkeypatch: pytest.MonkeyPatch) -> None:
    """With a right to write of its own, as nobody has counted before."""
    bench = Bench()
    await bench.start()
    (store,) = bench.driver._stores.values()
    failures = [KafkaConnectionError("away")]

    async def fail(*_: object) -> None:
        raise failures.pop()

    monkeypatch.setattr(store, "leave_note", fail)
    for _ in range(bounds.FAULTS_LIMIT + 1):
        bench.to(sig.FetchFailed("orders", is_outside=False, detail="bad checksum"))
    await until(lambda: bench.store.note(PARTITION, GENERATION) is not None)
    note = bench.store.note(PARTITION, GENERATION)
    assert note is not None
    assert (note.reason, note.topic, note.since_ms) == (HeldReason.LOG_UNREADABLE, "orders", START_MS)
    assert note.detail == bench.status.snapshot().partitions[PARTITION].detail
    await bench.driver.close()


async def test_a_log_that_loses_records_while_it_is_read_holds_the_partition_after_a_last_checkpoint() -> None:
    """What was counted before is committed."""
    bench = Bench()
    await bench.start()
    bench.apply(0, 5)
    bench.kafka.log("orders", PARTITION).delete_below(50)
    bench.to(sig.FetchFailed("orders", is_outside=True, detail="gone"))
    await until(lambda: bench.is_held)
    assert bench.committed()["orders"] == 5
    assert bench.status.snapshot().partitions[PARTITION].reason is HeldReason.LOG_DELETED
    await bench.driver.close()


async def test_a_fault_in_the_program_leaves_nothing_of_its_batch_behind(monkeypatch: pytest.MonkeyPatch) -> None:
    """The final checkpoint of the worker's stop must not commit a ledger that counted half a batch."""
    bench = Bench()
    await bench.start()
    bench.apply(0, 5)
    processor = bench.processor
    assert processor is not None

    def fail(*_: object) -> None:
        raise ZeroDivisionError

    monkeypatch.setattr(processor.count_waiting(), "apply", fail)
    bench.apply(5, WAITING_LIMIT_RECORDS)
    assert isinstance(bench.failures[0], CountingError)
    await bench.driver.close()
    assert bench.committed()["orders"] == 0
    assert bench.store.commits == 1


async def test_a_fault_found_by_a_checkpoint_ends_the_worker(monkeypatch: pytest.MonkeyPatch) -> None:
    """A few records wait for it to be counted."""
    bench = Bench()
    await bench.start()
    processor = bench.processor
    assert processor is not None

    def fail(*_: object) -> None:
        raise ZeroDivisionError

    monkeypatch.setattr(processor.count_waiting(), "apply", fail)
    bench.apply(0, 5)
    await bench.driver.close()
    assert isinstance(bench.failures[0], CountingError)
    assert "orders[3] offsets 0 to 4" in str(bench.failures[0])
    assert bench.committed()["orders"] == 0
    assert bench.store.commits == 1


async def test_a_ledger_counted_under_other_declarations_ends_the_worker() -> None:
    """Counting on would mix two contracts in one total."""
    bench = Bench()
    await bench.start()
    await bench.driver.close()
    another = declarations(festival("another"), rollups=DECLARATIONS.rollups)
    other = Bench(bench.store, declared=another)
    other.deal()
    await until(lambda: bool(other.failures))
    assert isinstance(other.failures[0], FingerprintError)
    await other.driver.close()


async def test_delays_are_told_once_they_are_committed() -> None:
    """From the record's arrival on Kafka to the commit, weighted by records."""
    bench = Bench()
    await bench.start()
    bench.clock.advance(3_500)
    bench.apply(0, 100)
    assert bench.status.snapshot().delay_seconds.count == 0
    await bench.driver.close()
    delays = bench.status.snapshot().delay_seconds
    assert (delays.count, delays.total) == (100, 250.0)
    assert bench.status.snapshot().outcomes["orders", "counted"] == 100


async def test_a_takeover_is_tried_again_while_kafka_is_away() -> None:
    """Whatever of it fails."""
    bench = Bench()
    bench.kafka.faults.on_request = at_request(Request.OFFSETS, Fate.UNREACHED)
    await bench.start()
    assert bench.committed() == {"orders": 0, "payments": 5}
    await bench.driver.close()
    assert bench.failures == []


async def test_a_takeover_that_is_under_way_when_the_partition_goes_is_given_up() -> None:
    """A rebalance in the middle of another."""
    bench = Bench()
    bench.deal()
    await bench.take_back()
    assert bench.processor is None
    assert bench.crew.is_away
    await bench.start()
    await bench.driver.close()
    assert bench.failures == []


async def test_a_final_checkpoint_that_takes_too_long_is_given_up(monkeypatch: pytest.MonkeyPatch) -> None:
    """The group waits for it; its outcome is unknown, so the ledger is thrown away."""
    monkeypatch.setattr(bounds, "FINAL_MS", 0)
    bench = Bench()
    await bench.start()
    bench.apply(0, 5)
    (store,) = bench.driver._stores.values()

    async def never(_: object) -> None:
        await asyncio.Event().wait()
        raise OutcomeUnknownError

    monkeypatch.setattr(store, "commit", never)
    await bench.take_back()
    assert bench.processor is None
    monkeypatch.undo()
    await bench.start()
    assert bench.source.releases[-1]["orders"] == 0
    await bench.driver.close()


async def test_what_the_broker_does_not_allow_is_said_and_tried_again(
    monkeypatch: pytest.MonkeyPatch, caplog: pytest.LogCaptureFixture
) -> None:
    """Rights may come back without a restart; nobody should have to guess which one went."""
    bench = Bench()
    fence = bench.store.fence
    errors = [TopicAuthorizationFailedError("festival.ledger")]

    async def refuse_once(partition: int, generation: str) -> object:
        if errors:
            raise errors.pop()
        return await fence(partition, generation)

    monkeypatch.setattr(bench.store, "fence", refuse_once)
    with monkeypatch.context() as patch:
        patch.setattr(bench.status, "goes_on", lambda _: False)
        await bench.start()
    (waiting,) = bench.status.waiting().values()
    assert (waiting.reason, waiting.detail) == ("not_allowed", "this user may not Read on topic festival.ledger")
    assert not [record for record in caplog.records if record.levelname == "WARNING"], "it is told once for all"
    await bench.driver.close()


async def test_who_is_refused_asks_the_group_whether_the_partition_is_still_its_own() -> None:
    """A transaction that the broker has ended by its timeout looks like the fence of a newer owner."""
    bench = Bench()
    await bench.start()
    bench.source.is_dealt = True
    await bench.store.fence(PARTITION, GENERATION)  # what the broker does by itself, as seen from here
    bench.apply(0, 5)
    commits = bench.store.commits
    bench.wake()
    await until(lambda: bench.store.commits > commits)
    assert bench.state is PartitionState.CONSUMING
    assert bench.committed()["orders"] in {0, 5}
    await bench.driver.close()
