"""Readiness goes by what moves: a takeover, a rebalance and a failure that comes again and again move nothing."""

from __future__ import annotations

from streams.engine.judgement import LogRange
from streams.engine.standstill import LONG_MS
from streams.engine.status import WorkerStatus

NOTHING = {("orders", 0): LogRange(0, 0, 0)}
BEHIND = {("orders", 0): LogRange(0, 5, 5)}
OPEN = {("orders", 0): LogRange(0, 0, 5)}


def counting() -> WorkerStatus:
    status = WorkerStatus(["orders"])
    status.assigned([0], 0)
    status.consuming(0)
    status.contacted(0)
    return status


def test_where_records_wait_and_nothing_is_committed_it_is_not_ready() -> None:
    status = counting()
    status.looked(NOTHING, 1_000)
    for at_ms in range(2_000, LONG_MS + 1_000, 1_000):
        status.looked(BEHIND, at_ms)
        assert status.readiness(at_ms)[0]
    status.looked(BEHIND, LONG_MS + 1_000)
    is_ready, why = status.readiness(LONG_MS + 1_000)
    assert not is_ready
    assert why == "partition 0 stands still since 00:00:01 UTC: records wait, and nothing is committed"
    status.committed(0, LONG_MS + 2_000)
    assert status.readiness(LONG_MS + 2_000)[0]


def test_takeovers_do_not_make_it_ready() -> None:
    """Each of them began the count of seconds anew, so it said "counting" for minutes."""
    status = counting()
    for at_ms in range(0, LONG_MS + 1, 2_000):
        status.waits(0, "not_allowed", "User:ann may not Write on topic orders.rejected", at_ms)
        status.restoring(0, at_ms)
        status.looked(BEHIND, at_ms)
        status.consuming(0)
    is_ready, why = status.readiness(LONG_MS)
    assert not is_ready
    assert "since 00:00:00 UTC: User:ann may not Write on topic orders.rejected (not_allowed)" in why
    status.goes_on(0)
    status.committed(0, LONG_MS + 1)
    assert status.readiness(LONG_MS + 1)[0]


def test_a_partition_without_anything_to_count_stands_still_for_nobody() -> None:
    status = counting()
    for at_ms in range(0, 10 * LONG_MS, 2_000):
        status.looked(NOTHING, at_ms)
        assert status.readiness(at_ms)[0]


def test_what_waits_behind_a_producers_transaction_is_not_this_workers_fault() -> None:
    status = counting()
    for at_ms in range(0, 10 * LONG_MS, 2_000):
        status.looked(OPEN, at_ms)
        assert status.readiness(at_ms)[0]


def test_kafka_that_does_not_answer_is_told_with_what_came_in_place_of_an_answer() -> None:
    status = counting()
    status.looked(NOTHING, 0)
    status.unanswered("node 2 is not ready")
    assert status.readiness(LONG_MS - 1)[0]
    is_ready, why = status.readiness(LONG_MS)
    assert not is_ready
    assert why.endswith("since 00:00:00 UTC: node 2 is not ready")
    status.looked(NOTHING, LONG_MS + 1)
    assert status.readiness(LONG_MS + 1)[0]


def test_a_worker_without_a_partition_tells_too_that_kafka_does_not_answer() -> None:
    status = WorkerStatus()
    status.assigned([], 0)
    status.contacted(0)
    status.unanswered("no answer")
    assert status.readiness(LONG_MS) == (False, "Kafka has not answered since 00:00:00 UTC: no answer")


def test_a_group_that_does_not_let_it_in_is_told() -> None:
    status = counting()
    for at_ms in range(0, LONG_MS + 1, 1_000):
        status.group_denies("User:ann may not Read on group festival", at_ms)
        status.looked(NOTHING, at_ms)
    is_ready, why = status.readiness(LONG_MS)
    assert not is_ready
    assert "User:ann may not Read on group festival (not_allowed), since 00:00:00 UTC" in why
    status.group_denies(None, LONG_MS + 1)
    assert status.readiness(LONG_MS + 1)[0]


def test_a_partition_that_went_to_another_worker_stands_still_here_no_more() -> None:
    status = counting()
    status.waits(0, "broker_away", "no answer", 0)
    status.assigned([], 1_000)
    assert status.waiting() == {}
    assert status.readiness(LONG_MS - 1)[0]


def test_a_partition_that_waits_longer_is_told_by_its_first_begin() -> None:
    status = counting()
    assert status.waits(0, "broker_away", "no answer", 5_000)
    assert not status.waits(0, "broker_away", "node 2 is away", 9_000)
    assert status.waits(0, "not_allowed", "Write", 10_000)
    assert status.waiting()[0] == ("not_allowed", "Write", 5_000)
    assert status.goes_on(0)
    assert not status.goes_on(0)
