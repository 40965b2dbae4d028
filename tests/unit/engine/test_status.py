"""The worker's status: what metrics and readiness are told."""

from __future__ import annotations

from streams.domain.pages import Cursor
from streams.engine.status import GRACE_MS, HeldReason, Histogram, PartitionState, WorkerStatus


def _cursor(sequence: int, position: int, counted: int, *, late: int = 0, rejected: int = 0) -> Cursor:
    return Cursor(
        positions={"orders": position},
        started={"orders": 0},
        stream_times_ms={},
        max_event_times_ms={},
        outcomes={"orders": {"counted": counted, "rejected": rejected, "late": late}},
        rejected={"orders": {"not_json": rejected}} if rejected else {},
        sequence=sequence,
    )


def test_a_worker_is_ready_once_it_counts_what_it_was_dealt() -> None:
    """Not before it joined, not while the first restore runs."""
    status = WorkerStatus(["orders"])
    assert status.readiness(0) == (False, "not joined the consumer group yet")
    status.assigned([0, 1], 10)
    assert not status.readiness(11)[0]
    status.consuming(0)
    assert "[1]" in status.readiness(12)[1]
    status.consuming(1)
    assert status.readiness(13) == (True, "counting 2 partitions")


def test_a_worker_that_was_dealt_nothing_is_ready() -> None:
    """More workers than partitions is no fault."""
    status = WorkerStatus()
    status.assigned([], 0)
    assert status.readiness(10**9)[0]


def test_a_short_rebalance_leaves_a_worker_ready() -> None:
    """Until the grace has passed."""
    status = WorkerStatus()
    status.assigned([0], 0)
    status.consuming(0)
    status.rebalance_started(1_000)
    assert status.snapshot().partitions[0].state is PartitionState.SUSPENDED
    assert status.readiness(1_000 + GRACE_MS - 1)[0]
    assert not status.readiness(1_000 + GRACE_MS)[0]
    status.assigned([0], 40_000)
    assert not status.readiness(40_000)[0], "the grace is counted from the beginning of the rebalance"
    status.consuming(0)
    assert status.readiness(40_001)[0]
    status.restoring(0, 50_000)
    assert status.readiness(50_001)[0]


def test_a_held_partition_is_told_with_its_reason_until_it_is_dealt_anew() -> None:
    """It is no rebalance: there is no grace."""
    status = WorkerStatus()
    status.assigned([0, 1], 0)
    status.consuming(0)
    status.held(1, HeldReason.LOG_DELETED, "orders[1]: deleted")
    assert status.readiness(1) == (False, "partition 1 is held (log_deleted): orders[1]: deleted")
    assert status.snapshot().partitions[1].reason is HeldReason.LOG_DELETED
    status.assigned([0, 1], 5)
    assert status.snapshot().partitions[1].reason is None


def test_counts_are_those_of_this_process_and_of_committed_checkpoints() -> None:
    """They begin at zero where the ledger goes on from an earlier worker's counts."""
    status = WorkerStatus()
    status.assigned([0], 0)
    status.restored(0, _cursor(7, position=100, counted=90, late=5, rejected=10), 0.5)
    status.observe_checkpoint(0, _cursor(8, position=120, counted=105, late=6, rejected=15), 0.01)
    snapshot = status.snapshot()
    assert snapshot.outcomes == {("orders", "counted"): 15, ("orders", "rejected"): 5}
    assert snapshot.rejected == {("orders", "not_json"): 5}
    assert snapshot.late == {"orders": 1}
    assert snapshot.restore_seconds == 0.5
    assert snapshot.checkpoints == 1
    assert snapshot.partitions[0].positions == {"orders": 120}


def test_a_new_generation_is_counted_from_nothing() -> None:
    """Without a cursor in the ledger all of the first checkpoint is new."""
    status = WorkerStatus()
    status.assigned([0], 0)
    status.restored(0, None, 0.1)
    status.observe_checkpoint(0, _cursor(1, position=3, counted=3), 0.01)
    assert status.snapshot().outcomes["orders", "counted"] == 3


def test_lag_is_never_negative_and_a_partition_that_left_has_none() -> None:
    """An end offset may be older than the position."""
    status = WorkerStatus()
    status.assigned([0, 1], 0)
    for partition in (0, 1):
        status.restored(partition, _cursor(1, position=50, counted=50), 0.1)
        status.end_offset("orders", partition, 40 + 30 * partition)
    assert status.snapshot().lag_records() == {("orders", 0): 0, ("orders", 1): 20}
    status.assigned([0], 1)
    snapshot = status.snapshot()
    assert snapshot.lag_records() == {("orders", 0): 0}
    assert list(snapshot.end_offsets) == [("orders", 0)]


def test_news_of_a_partition_that_left_is_forgotten() -> None:
    """A task that ends late must not bring it back as counted."""
    status = WorkerStatus()
    status.assigned([], 0)
    status.consuming(3)
    status.observe_checkpoint(3, _cursor(1, position=1, counted=1), 0.1)
    status.restoring(4, 0)
    status.held(5, HeldReason.BEYOND_END, "x")
    assert status.snapshot().partitions == {}


def test_observations_fall_into_the_bucket_whose_bound_they_do_not_exceed() -> None:
    """Prometheus counts `le`: less or equal."""
    histogram = Histogram.empty((1.0, 2.0)).add(1.0).add(1.5, 3).add(9.0)
    assert histogram.counts == (1, 3, 1)
    assert (histogram.count, histogram.total) == (5, 14.5)


def test_delays_batches_and_failures_are_counted() -> None:
    """A clock that runs behind the broker's makes no negative delay."""
    status = WorkerStatus()
    status.observe_delay(-0.2, 10)
    status.observe_batch(500)
    status.checkpoint_failed()
    status.rebalance_started(0)
    snapshot = status.snapshot()
    assert snapshot.delay_seconds.counts[0] == 10
    assert snapshot.delay_seconds.total == 0
    assert snapshot.batch_records.count == 1
    assert (snapshot.checkpoint_failures, snapshot.rebalances) == (1, 1)
