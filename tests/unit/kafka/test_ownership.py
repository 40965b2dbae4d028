"""One partition in a worker's hands, without Kafka: what is kept, thrown away, rewound, held."""

from __future__ import annotations

import asyncio
from dataclasses import dataclass, field
from typing import TYPE_CHECKING

import pytest
from aiokafka.errors import (
    CorruptRecordException,
    KafkaConnectionError,
    OffsetOutOfRangeError,
    TopicAuthorizationFailedError,
)

from streams.domain.declarations import FingerprintError
from streams.domain.pages import cursor_key, decode_cursor
from streams.engine.batch import RecordBatch
from streams.engine.checkpoint import OutcomeUnknownError
from streams.engine.clock import ManualClock
from streams.engine.memory import MemoryLedgerStore
from streams.engine.processor import WAITING_LIMIT_RECORDS, CountingError
from streams.engine.status import HeldReason, PartitionState, WorkerStatus
from streams.engine.steps import Step, crash_at
from streams.kafka import ownership as module
from streams.kafka.counting import Counting
from streams.kafka.ownership import Ownership
from streams.kafka.transport import LogRange
from tests.unit.domain.samples import START_MS, declarations, encode, festival, order

if TYPE_CHECKING:
    from collections.abc import Callable, Collection, Mapping

PARTITION = 3
TURNS = 2_000
GENERATION = "g1"


@dataclass
class FakeSource:
    """A source that remembers what it was asked; batches are handed over by the tests themselves."""

    ranges: dict[str, LogRange] = field(
        default_factory=lambda: {"orders": LogRange(0, 1_000), "payments": LogRange(5, 1_000)}
    )
    states: dict[str, tuple[int | None, int | None]] = field(default_factory=dict)
    releases: list[dict[str, int]] = field(default_factory=list)
    in_hand: set[str] = field(default_factory=set)
    made_again: set[str] = field(default_factory=set)
    failure: Exception | None = None

    async def release(self, partition: int, positions: Mapping[str, int]) -> None:
        """Remember the positions."""
        assert partition == PARTITION
        self.releases.append(dict(positions))

    async def hold_back(self, partition: int, topics: Collection[str]) -> None:
        """Do nothing."""

    async def log_ranges(self, _: int, topics: Collection[str]) -> dict[str, LogRange]:
        """Return the ranges, or fail once."""
        failure, self.failure = self.failure, None
        if failure is not None:
            raise failure
        return {topic: self.ranges[topic] for topic in topics}

    async def has_newer(self, _: int, topic: str, record_time_ms: int, below: int) -> bool:
        """Return whether the test made the topic again."""
        assert record_time_ms > 0
        return topic in self.made_again and below > 0

    def fetch_state(self, _: int, topic: str) -> tuple[int | None, int | None]:
        """Return what the test put there."""
        return self.states.get(topic, (None, None))

    def has_in_hand(self, _: int, topic: str) -> bool:
        """Return what the test put there."""
        return topic in self.in_hand


class Bench:
    """An ownership with everything around it."""

    def __init__(self, store: MemoryLedgerStore | None = None, generation: str = GENERATION) -> None:
        self.store = store or MemoryLedgerStore()
        self.source = FakeSource()
        self.status = WorkerStatus(("orders", "payments"))
        self.status.assigned([PARTITION], 0)
        self.clock = ManualClock(START_MS)
        self.failures: list[BaseException] = []
        self.held = 0
        self.counting = Counting(
            store=self.store,
            source=self.source,
            declarations=declarations(),
            generation=generation,
            topics=("orders", "payments"),
            status=self.status,
            clock=self.clock,
            checkpoint_interval_ms=3_600_000,  # by the clock none is made: only the first, the forced and the last
            session_timeout_ms=0,
            on_failure=self.failures.append,
            on_held=self._on_held,
            owned=lambda: 1,
        )
        self.ownership = Ownership(PARTITION, self.counting)

    def _on_held(self) -> None:
        self.held += 1

    async def start(self) -> None:
        """Start, and wait until it counts."""
        commits = self.store.commits
        self.ownership.start()
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
        self.ownership.apply(
            RecordBatch("orders", PARTITION, begin, first + count, offsets, [None] * count, values, times)
        )

    def committed(self) -> Mapping[str, int]:
        """Return the committed positions."""
        value = self.store.committed(PARTITION, GENERATION).pages[cursor_key(GENERATION)]
        return decode_cursor(value).positions


async def until(condition: Callable[[], bool]) -> None:
    """Let the loop turn until `condition` holds."""
    for _ in range(TURNS):
        if condition():
            return
        await asyncio.sleep(0)
    pytest.fail("it does not come to that")


@pytest.fixture(autouse=True)
def _no_pauses(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(module, "RETRY_SECONDS", 0)


def test_checkpoints_come_at_the_interval_and_slower_only_with_more_partitions_than_a_worker_can_commit_in_it() -> None:
    owned = [1, 8, 16, 32, 64]
    counting = Bench().counting._replace(checkpoint_interval_ms=500, owned=lambda: owned.pop(0))
    assert [counting.pause_seconds() for _ in range(5)] == [0.5, 0.5, 0.5, 1.0, 2.0]


def test_far_behind_a_checkpoint_is_made_only_every_fourth_time() -> None:
    counting = Bench().counting
    assert counting.is_due(pauses=1, behind_ms=9_999)
    assert [counting.is_due(pauses, behind_ms=10_000) for pauses in (1, 2, 3, 4)] == [False, False, False, True]


async def test_a_takeover_commits_at_once_from_the_beginning_of_each_log() -> None:
    """So the partition has a cursor although nothing was counted."""
    bench = Bench()
    await bench.start()
    assert bench.committed() == {"orders": 0, "payments": 5}
    assert bench.source.releases == [{"orders": 0, "payments": 5}]
    await bench.ownership.close()
    assert bench.store.commits == 1
    assert bench.failures == []


async def test_a_suspended_ledger_is_committed_and_goes_on_where_it_stood() -> None:
    """A rebalance that deals the same partition again costs no restore."""
    bench = Bench()
    await bench.start()
    bench.apply(0, 7)
    await bench.ownership.suspend()
    assert bench.committed()["orders"] == 7
    kept = bench.ownership.processor
    bench.apply(7, 1)
    assert bench.committed()["orders"] == 7, "nothing is counted while it is suspended"
    bench.ownership.start()
    await until(lambda: len(bench.source.releases) == 2)
    assert bench.ownership.processor is kept
    assert bench.source.releases[-1]["orders"] == 7
    await bench.ownership.close()


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
    await bench.ownership.close()
    assert bench.committed()["orders"] == 9


async def test_a_hole_at_the_tail_is_seen_by_the_second_look() -> None:
    """No batch tells of it; what is still on its way is no hole."""
    bench = Bench()
    await bench.start()
    bench.source.states["orders"] = (10, 40)
    bench.source.in_hand.add("orders")
    for _ in range(3):
        bench.ownership.tick()
    bench.source.in_hand.clear()
    assert len(bench.source.releases) == 1
    bench.ownership.tick()
    await until(lambda: len(bench.source.releases) == 2)
    assert bench.source.releases[-1] == {"orders": 0}
    assert bench.status.snapshot().end_offsets["orders", PARTITION] == 40
    await bench.ownership.close()


@pytest.mark.parametrize("step", list(Step))
async def test_a_checkpoint_of_unknown_outcome_is_followed_by_a_fresh_takeover(step: Step) -> None:
    """Whether it was committed or not, the ledger goes on from what is."""
    bench = Bench(MemoryLedgerStore(crash_at(step, nth=2)))
    await bench.start()
    bench.apply(0, 5)
    first = bench.ownership.processor
    bench.ownership._wake.set()
    await until(lambda: bench.ownership.processor not in {None, first} and len(bench.source.releases) == 2)
    position = bench.source.releases[-1]["orders"]
    assert position in {0, 5}
    assert bench.status.snapshot().checkpoint_failures == 1
    bench.apply(0, 9)
    await bench.ownership.close()
    assert bench.committed()["orders"] == 9
    value = bench.store.committed(PARTITION, GENERATION).pages[cursor_key(GENERATION)]
    assert decode_cursor(value).outcomes["orders"] == {"counted": 9}


async def test_a_fenced_owner_writes_nothing_and_takes_over_afresh_if_the_partition_stays_its_own() -> None:
    """The newer owner's checkpoints stand."""
    bench = Bench()
    await bench.start()
    other = Bench(bench.store)
    await other.start()
    other.apply(0, 4)
    await other.ownership.close()
    bench.apply(0, 2)
    bench.ownership._wake.set()
    await until(lambda: len(bench.source.releases) == 2)
    assert bench.source.releases[-1]["orders"] == 4
    await bench.ownership.close()
    assert bench.committed()["orders"] == 4


@pytest.mark.parametrize(
    ("log_range", "reason"), [(LogRange(6, 9), HeldReason.LOG_DELETED), (LogRange(0, 4), HeldReason.BEYOND_END)]
)
async def test_a_position_outside_the_log_holds_the_partition(log_range: LogRange, reason: HeldReason) -> None:
    """At the takeover; the sentence says which and what to do."""
    bench = Bench()
    await bench.start()
    bench.apply(0, 5)
    await bench.ownership.close()
    after = Bench(bench.store)
    after.source.ranges["orders"] = log_range
    after.ownership.start()
    await until(lambda: after.ownership.is_held)
    status = after.status.snapshot().partitions[PARTITION]
    assert (status.state, status.reason) == (PartitionState.HELD, reason)
    assert "orders[3]: the ledger stands at offset 5" in status.detail
    assert "festival recount" in status.detail
    assert after.held == 1
    await after.ownership.close()
    assert after.failures == []


async def test_a_log_that_is_not_the_one_that_was_read_holds_the_partition() -> None:
    """Made again and grown beyond the position, it could not be told by offsets."""
    bench = Bench()
    await bench.start()
    bench.apply(0, 5)
    await bench.ownership.close()
    after = Bench(bench.store)
    after.source.made_again = {"orders", "payments"}
    after.ownership.start()
    await until(lambda: after.ownership.is_held)
    assert after.status.snapshot().partitions[PARTITION].reason is HeldReason.LOG_REPLACED
    await after.ownership.close()


async def test_a_log_that_loses_records_while_it_is_read_holds_the_partition_after_a_last_checkpoint() -> None:
    """What was counted before is committed."""
    bench = Bench()
    await bench.start()
    bench.apply(0, 5)
    bench.source.ranges["orders"] = LogRange(50, 60)
    bench.ownership.fault("orders", OffsetOutOfRangeError({}))
    await until(lambda: bench.ownership.is_held)
    assert bench.committed()["orders"] == 5
    assert bench.status.snapshot().partitions[PARTITION].reason is HeldReason.LOG_DELETED
    await bench.ownership.close()


async def test_a_fetch_that_fails_for_a_time_is_tried_again() -> None:
    """Out of range, but the position is in the log; or the broker is away while we ask."""
    bench = Bench()
    await bench.start()
    bench.ownership.fault("orders", OffsetOutOfRangeError({}))
    await until(lambda: len(bench.source.releases) == 2)
    bench.source.failure = KafkaConnectionError("away")
    bench.ownership.fault("orders", OffsetOutOfRangeError({}))
    await until(lambda: len(bench.source.releases) == 3)
    assert bench.source.releases[1:] == [{"orders": 0}] * 2
    assert not bench.ownership.is_held
    await bench.ownership.close()


async def test_damaged_bytes_hold_the_partition_when_they_stay_damaged() -> None:
    """A few times may be the network's fault."""
    bench = Bench()
    await bench.start()
    for failed in range(module.FAULTS_LIMIT):
        bench.ownership.fault("orders", CorruptRecordException())
        await until(lambda failed=failed: len(bench.source.releases) == failed + 2)  # type: ignore[misc]
    bench.ownership.fault("orders", CorruptRecordException())
    await until(lambda: bench.ownership.is_held)
    assert bench.status.snapshot().partitions[PARTITION].reason is HeldReason.LOG_UNREADABLE
    await bench.ownership.close()


async def test_a_fault_in_the_program_leaves_nothing_of_its_batch_behind(monkeypatch: pytest.MonkeyPatch) -> None:
    """The final checkpoint of the worker's stop must not commit a ledger that counted half a batch."""
    bench = Bench()
    await bench.start()
    bench.apply(0, 5)
    processor = bench.ownership.processor
    assert processor is not None

    def fail(*_: object) -> None:
        raise ZeroDivisionError

    monkeypatch.setattr(processor.ledger, "apply", fail)
    with pytest.raises(CountingError):
        bench.apply(5, WAITING_LIMIT_RECORDS)
    await bench.ownership.close()
    assert bench.committed()["orders"] == 0
    assert bench.store.commits == 1


async def test_a_fault_found_by_a_checkpoint_ends_the_worker(monkeypatch: pytest.MonkeyPatch) -> None:
    """A few records wait for it to be counted."""
    bench = Bench()
    await bench.start()
    processor = bench.ownership.processor
    assert processor is not None

    def fail(*_: object) -> None:
        raise ZeroDivisionError

    monkeypatch.setattr(processor.ledger, "apply", fail)
    bench.apply(0, 5)
    await bench.ownership.close()
    assert isinstance(bench.failures[0], CountingError)
    assert "orders[3] offsets 0 to 4" in str(bench.failures[0])
    assert bench.committed()["orders"] == 0
    assert bench.store.commits == 1


async def test_a_ledger_counted_under_other_declarations_ends_the_worker() -> None:
    """Counting on would mix two contracts in one total."""
    bench = Bench()
    await bench.start()
    await bench.ownership.close()
    other = Bench(bench.store)
    other.ownership = Ownership(PARTITION, other.counting._replace(declarations=declarations(festival("another"))))
    other.ownership.start()
    await until(lambda: bool(other.failures))
    assert isinstance(other.failures[0], FingerprintError)
    await other.ownership.close()


async def test_many_rejected_records_force_a_checkpoint(monkeypatch: pytest.MonkeyPatch) -> None:
    """They wait in memory for it."""
    monkeypatch.setattr(module, "REJECTED_LIMIT_BYTES", 10)
    bench = Bench()
    await bench.start()
    bench.apply(0, WAITING_LIMIT_RECORDS, value=b"not JSON at all")
    await until(lambda: bench.store.commits == 2)
    assert [record.value for record in bench.store.rejected] == [b"not JSON at all"] * WAITING_LIMIT_RECORDS
    await bench.ownership.close()


async def test_delays_are_told_once_they_are_committed() -> None:
    """From the record's arrival on Kafka to the commit, weighted by records."""
    bench = Bench()
    await bench.start()
    bench.clock.advance(3_500)
    bench.apply(0, 100)
    assert bench.status.snapshot().delay_seconds.count == 0
    await bench.ownership.close()
    delays = bench.status.snapshot().delay_seconds
    assert (delays.count, delays.total) == (100, 250.0)
    assert bench.status.snapshot().outcomes["orders", "counted"] == 100


async def test_a_takeover_is_tried_again_while_kafka_is_away() -> None:
    """Whatever of it fails."""
    bench = Bench()
    bench.source.failure = KafkaConnectionError("away")
    await bench.start()
    assert bench.committed() == {"orders": 0, "payments": 5}
    await bench.ownership.close()
    assert bench.failures == []


async def test_a_takeover_that_is_under_way_when_the_partition_goes_is_given_up() -> None:
    """A rebalance in the middle of another."""
    bench = Bench()
    bench.ownership.start()
    await bench.ownership.suspend()
    assert bench.ownership.processor is None
    assert not bench.ownership.is_running
    await bench.start()
    await bench.ownership.close()
    assert bench.failures == []


async def test_a_final_checkpoint_that_takes_too_long_is_given_up(monkeypatch: pytest.MonkeyPatch) -> None:
    """The group waits for it; its outcome is unknown, so the ledger is thrown away."""
    monkeypatch.setattr(module, "FINAL_SECONDS", 0)
    bench = Bench()
    await bench.start()
    bench.apply(0, 5)
    store = bench.ownership._store
    assert store is not None

    async def never(_: object) -> None:
        await asyncio.Event().wait()
        raise OutcomeUnknownError

    monkeypatch.setattr(store, "commit", never)
    await bench.ownership.suspend()
    assert bench.ownership.processor is None
    monkeypatch.undo()
    await bench.start()
    assert bench.source.releases[-1]["orders"] == 0
    await bench.ownership.close()


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
    await bench.start()
    assert "the broker does not allow it (`festival check` names" in caplog.text
    assert "festival.ledger" in caplog.text
    await bench.ownership.close()
