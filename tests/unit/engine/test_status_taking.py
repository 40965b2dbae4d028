"""What the status says while partitions are taken over."""

from __future__ import annotations

from streams.engine.status import PartitionState, WorkerStatus


def test_a_partition_that_counted_is_restoring_while_it_is_taken_over_afresh() -> None:
    status = WorkerStatus(["orders"])
    status.assigned([3], 0)
    status.consuming(3)
    status.restoring(3, 5_000)
    assert status.snapshot().partitions[3].state is PartitionState.RESTORING
    status.consuming(3)
    assert status.snapshot().partitions[3].state is PartitionState.CONSUMING
