"""The worker's status: what metrics and readiness are told."""

from __future__ import annotations

import pytest

from streams.domain.pages import Cursor
from streams.engine.histogram import BATCH_BOUNDS, CHECKPOINT_BOUNDS, DELAY_BOUNDS, Histogram
from streams.engine.status import (
    GRACE_MS,
    HeldReason,
    PartitionState,
    WorkerStatus,
)
from tests.unit.domain.samples import IDENTITY


def _cursor(sequence: int, position: int, counted: int, *, late: int = 0, rejected: int = 0) -> Cursor:
    return Cursor(
        positions={"orders": position},
        started={"orders": 0},
        stream_times_ms={},
        max_event_times_ms={},
        outcomes={"orders": {"counted": counted, "rejected": rejected, "late": late}},
        rejected={"orders": {"not_json": rejected}} if rejected else {},
        sequence=sequence,
        identity=IDENTITY,
        epochs={},
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
    status.committed(0, 1_000)
    status.rebalance_started(1_000)
    assert status.snapshot().partitions[0].state is PartitionState.SUSPENDED
    assert status.readiness(1_000 + GRACE_MS - 1)[0]
    assert not status.readiness(1_000 + GRACE_MS)[0]
    status.assigned([0], 40_000)
    assert not status.readiness(40_000)[0], "the grace is counted from the beginning of the rebalance"
    status.consuming(0)
    status.committed(0, 40_001)
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


def test_a_held_partition_says_whose_log_is_the_reason_and_since_when() -> None:
    status = WorkerStatus()
    status.assigned([0], 0)
    status.held(0, HeldReason.LOG_DELETED, "gone", "orders", 77)
    held = status.snapshot().partitions[0]
    assert (held.state, held.reason, held.detail, held.topic, held.since_ms) == (
        PartitionState.HELD,
        HeldReason.LOG_DELETED,
        "gone",
        "orders",
        77,
    )
    status.consuming(0)
    assert (status.snapshot().partitions[0].reason, status.readiness(78)[0]) == (None, True)


def test_each_reason_of_rejections_is_told_by_the_checkpoint_that_meets_it_first() -> None:
    status = WorkerStatus()
    status.assigned([0, 1], 0)
    assert status.observe_checkpoint(0, _cursor(1, position=3, counted=3), 0.01) == set()
    assert status.observe_checkpoint(0, _cursor(2, position=4, counted=3, rejected=1), 0.01) == {("orders", "not_json")}
    assert status.observe_checkpoint(0, _cursor(3, position=6, counted=3, rejected=3), 0.01) == set()
    assert status.observe_checkpoint(1, _cursor(1, position=2, counted=0, rejected=2), 0.01) == set()
    assert status.snapshot().rejected == {("orders", "not_json"): 5}


def test_what_an_earlier_worker_rejected_is_met_for_the_first_time_when_it_comes_again_here() -> None:
    status = WorkerStatus()
    status.assigned([0], 0)
    status.restored(0, _cursor(7, position=9, counted=0, rejected=9), 0.1)
    assert status.observe_checkpoint(0, _cursor(8, position=10, counted=1, rejected=9), 0.1) == set()
    assert status.observe_checkpoint(0, _cursor(9, position=11, counted=1, rejected=10), 0.1) == {
        ("orders", "not_json")
    }


@pytest.mark.parametrize("has_left", [True, False])
def test_a_partition_that_left_or_lost_its_cursor_is_counted_from_nothing(*, has_left: bool) -> None:
    status = WorkerStatus()
    status.assigned([0], 0)
    status.restored(0, _cursor(7, position=90, counted=90), 0.1)
    if has_left:
        status.assigned([], 5)
    else:
        status.restored(0, None, 0.1)
    status.assigned([0], 9)
    status.observe_checkpoint(0, _cursor(1, position=3, counted=3), 0.01)
    assert status.snapshot().outcomes["orders", "counted"] == 3


def test_checkpoints_and_delays_are_observed_with_how_long_they_took_and_how_many_waited() -> None:
    status = WorkerStatus()
    status.assigned([0], 0)
    for sequence, seconds in ((1, 0.004), (2, 0.3)):
        status.observe_checkpoint(0, _cursor(sequence, position=sequence, counted=sequence), seconds)
    status.observe_delay(0.2, 30)
    status.observe_delay(100.0, 5)
    snapshot = status.snapshot()
    assert snapshot.checkpoints == 2
    assert (snapshot.checkpoint_seconds.count, round(snapshot.checkpoint_seconds.total, 3)) == (2, 0.304)
    assert (snapshot.delay_seconds.count, snapshot.delay_seconds.total) == (35, 506.0)


def test_a_worker_that_was_never_ready_has_no_grace_and_one_that_was_has_it_anew_each_time() -> None:
    status = WorkerStatus()
    status.assigned([0], 1_000)
    assert status.readiness(1_001) == (False, "partitions [0] are not restored yet")
    status.consuming(0)
    status.committed(0, 100_000)
    status.restoring(0, 100_000)
    assert status.readiness(100_000 + GRACE_MS - 1) == (True, "taking over partitions [0]")
    assert not status.readiness(100_000 + GRACE_MS)[0]
    status.consuming(0)
    status.committed(0, 200_000)
    status.restoring(0, 200_000)
    assert status.readiness(200_001)[0]


def test_a_rebalance_keeps_what_is_committed_and_an_assignment_too() -> None:
    status = WorkerStatus()
    status.assigned([0], 0)
    status.restored(0, _cursor(1, position=50, counted=50), 0.1)
    status.rebalance_started(1)
    status.assigned([0, 1], 2)
    partitions = status.snapshot().partitions
    assert (partitions[0].positions, partitions[1].positions) == ({"orders": 50}, {})
    assert {partition.state for partition in partitions.values()} == {PartitionState.RESTORING}


def test_the_bounds_of_histograms_ascend_so_that_each_observation_has_one_bucket() -> None:
    for bounds in (DELAY_BOUNDS, CHECKPOINT_BOUNDS, BATCH_BOUNDS):
        assert list(bounds) == sorted(set(bounds))
        assert bounds[0] > 0


def test_a_worker_may_take_half_a_minute_to_take_over_what_it_was_dealt() -> None:
    """Contract 4: a rebalance under 30 s stays ready."""
    assert GRACE_MS == 30_000


def test_the_bounds_are_those_that_panels_and_alerts_ask_for() -> None:
    assert DELAY_BOUNDS == (0.05, 0.1, 0.25, 0.5, 0.75, 1.0, 1.5, 2.0, 3.0, 5.0, 10.0, 30.0, 60.0, 300.0, 3600.0)
    assert CHECKPOINT_BOUNDS == (0.005, 0.01, 0.025, 0.05, 0.1, 0.25, 0.5, 1.0, 2.0, 5.0, 10.0, 30.0)
    assert BATCH_BOUNDS == (1, 10, 50, 100, 500, 1_000, 2_500, 5_000, 10_000, 20_000)


def test_a_checkpoint_that_waits_for_half_a_minute_makes_a_worker_not_ready_and_says_why() -> None:
    status = WorkerStatus()
    status.assigned([3], 0)
    status.consuming(3)
    status.checkpoint_waits(3, GRACE_MS - 1)
    assert status.readiness(0)[0]
    status.checkpoint_waits(3, GRACE_MS + 1_000)
    status.checkpoint_waits(4, GRACE_MS + 1_000)
    is_ready, why = status.readiness(0)
    assert not is_ready
    assert why.startswith("a checkpoint of partition 3 waits for Kafka since 31 s: look at the broker")
    status.checkpoint_waits(3, 0)
    assert status.readiness(0)[0]
