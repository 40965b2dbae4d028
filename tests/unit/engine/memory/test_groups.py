"""Consumer groups: rebalances, sessions, static members, and what is said to a member that is out."""

from __future__ import annotations

import pytest

from streams.engine.memory import Assignment, Kafka
from streams.engine.memory.cluster import REBALANCE_TIMEOUT_MS, SESSION_TIMEOUT_MS
from streams.engine.memory.errors import (
    FencedInstanceError,
    IllegalGenerationError,
    RebalanceInProgressError,
    UnknownMemberError,
)

GROUP, TOPICS = "group", ("orders", "payments")


@pytest.fixture
def kafka() -> Kafka:
    kafka = Kafka()
    kafka.create_topic("orders", 3)
    kafka.create_topic("payments", 3)
    return kafka


def dealt(kafka: Kafka, member: str) -> tuple[int, ...] | None:
    assignment = kafka.sync(GROUP, member)
    return None if assignment is None else assignment.partitions


def rejoin(kafka: Kafka, member: str, session_timeout_ms: int = 6_000) -> None:
    assert kafka.join(GROUP, TOPICS, member_id=member, session_timeout_ms=session_timeout_ms) == member


def test_a_second_member_waits_until_the_first_has_given_its_partitions_back(kafka: Kafka) -> None:
    one = kafka.join(GROUP, TOPICS, instance_id="one")
    assert kafka.sync(GROUP, one) == Assignment(1, (0, 1, 2))
    kafka.heartbeat(GROUP, one, 1)
    two = kafka.join(GROUP, TOPICS, instance_id="two")
    assert dealt(kafka, two) is None
    with pytest.raises(RebalanceInProgressError):
        kafka.heartbeat(GROUP, one, 1)
    with pytest.raises(RebalanceInProgressError):
        kafka.sync(GROUP, one)
    rejoin(kafka, one)
    assert kafka.sync(GROUP, one) == Assignment(2, (0, 2))
    assert kafka.sync(GROUP, two) == Assignment(2, (1,))
    assert kafka.groups.members(GROUP) == {one: (0, 2), two: (1,)}
    with pytest.raises(IllegalGenerationError):
        kafka.heartbeat(GROUP, one, 1)


def test_a_silent_member_is_put_out_after_its_session(kafka: Kafka) -> None:
    silent = kafka.join(GROUP, TOPICS, instance_id="a", session_timeout_ms=1_000)
    other = kafka.join(GROUP, TOPICS, instance_id="b", session_timeout_ms=1_000)
    rejoin(kafka, silent, 1_000)
    kafka.tick(900)
    with pytest.raises(IllegalGenerationError):
        kafka.heartbeat(GROUP, other, 1)
    kafka.tick(1_000)
    with pytest.raises(RebalanceInProgressError):
        kafka.sync(GROUP, other)
    with pytest.raises(UnknownMemberError):
        kafka.sync(GROUP, silent)
    rejoin(kafka, other)
    assert dealt(kafka, other) == (0, 1, 2)
    kafka.tick(9_000)
    assert kafka.groups.members(GROUP) == {}


def test_a_static_member_that_comes_back_keeps_its_partitions_and_fences_its_older_self(kafka: Kafka) -> None:
    older = kafka.join(GROUP, TOPICS, instance_id="a")
    newer = kafka.join(GROUP, TOPICS, instance_id="a")
    assert kafka.sync(GROUP, newer) == Assignment(1, (0, 1, 2))
    with pytest.raises(FencedInstanceError):
        kafka.heartbeat(GROUP, older, 1)
    with pytest.raises(FencedInstanceError):
        kafka.join(GROUP, TOPICS, member_id=older)
    with pytest.raises(FencedInstanceError):
        kafka.commit_offsets(GROUP, {("orders", 0): 1}, older, 1)
    kafka.commit_offsets(GROUP, {("orders", 0): 1}, newer, 1)
    with pytest.raises(IllegalGenerationError):
        kafka.commit_offsets(GROUP, {("orders", 0): 2}, newer, 0)
    assert kafka.committed_offsets(GROUP) == {("orders", 0): 1}


def test_a_static_member_that_comes_back_with_other_topics_begins_a_rebalance(kafka: Kafka) -> None:
    kafka.join(GROUP, TOPICS, instance_id="a")
    kafka.create_topic("parcels", 1)
    newer = kafka.join(GROUP, ["parcels"], instance_id="a")
    assert kafka.sync(GROUP, newer) == Assignment(2, (0,))
    assert kafka.join(GROUP, TOPICS, member_id=newer) == newer
    assert kafka.sync(GROUP, newer) == Assignment(3, (0, 1, 2))


def test_a_member_without_instance_id_leaves_at_once(kafka: Kafka) -> None:
    one, two = kafka.join(GROUP, TOPICS), kafka.join(GROUP, TOPICS)
    rejoin(kafka, one)
    assert (dealt(kafka, one), dealt(kafka, two)) == ((0, 2), (1,))
    kafka.leave(GROUP, one)
    rejoin(kafka, two)
    assert dealt(kafka, two) == (0, 1, 2)
    with pytest.raises(UnknownMemberError):
        kafka.leave(GROUP, one)


def test_a_third_member_joins_a_rebalance_that_is_under_way(kafka: Kafka) -> None:
    one = kafka.join(GROUP, TOPICS)
    two, three = kafka.join(GROUP, TOPICS), kafka.join(GROUP, TOPICS)
    assert (dealt(kafka, two), dealt(kafka, three)) == (None, None)
    rejoin(kafka, one)
    assert [dealt(kafka, member) for member in (one, two, three)] == [(0,), (1,), (2,)]


def test_a_member_that_sees_an_added_partition_joins_again_and_all_are_dealt_anew(kafka: Kafka) -> None:
    one = kafka.join(GROUP, TOPICS)
    kafka.add_partitions("orders", 4)
    assert dealt(kafka, one) == (0, 1, 2)
    rejoin(kafka, one)
    assert dealt(kafka, one) == (0, 1, 2, 3)


def test_a_group_that_nobody_joined_knows_nobody(kafka: Kafka) -> None:
    with pytest.raises(UnknownMemberError):
        kafka.sync(GROUP, "x")
    with pytest.raises(UnknownMemberError):
        kafka.heartbeat(GROUP, "x", 1)
    with pytest.raises(UnknownMemberError):
        kafka.leave(GROUP, "x")
    assert kafka.groups.members(GROUP) == {}
    kafka.commit_offsets(GROUP, {("orders", 0): 5})
    assert kafka.committed_offsets(GROUP) == {("orders", 0): 5}
    assert kafka.join(GROUP, ["missing"]) == "member-1"
    assert kafka.sync(GROUP, "member-1") == Assignment(1, ())


def test_a_member_that_is_heard_of_and_does_not_join_is_put_out_after_its_rebalance_timeout(kafka: Kafka) -> None:
    kafka.tick(1_000)
    stuck = kafka.join(GROUP, TOPICS, rebalance_timeout_ms=2_000)
    other = kafka.join(GROUP, TOPICS)
    kafka.tick(2_999)
    with pytest.raises(RebalanceInProgressError):
        kafka.heartbeat(GROUP, stuck, 1)
    assert dealt(kafka, other) is None
    kafka.tick(3_000)
    with pytest.raises(UnknownMemberError):
        kafka.heartbeat(GROUP, stuck, 1)
    assert dealt(kafka, other) == (0, 1, 2)


def test_each_word_of_a_member_begins_its_session_anew(kafka: Kafka) -> None:
    kafka.tick(5_000)
    member = kafka.join(GROUP, TOPICS, session_timeout_ms=1_000)
    words = (
        lambda: kafka.heartbeat(GROUP, member, 1),
        lambda: kafka.sync(GROUP, member),
        lambda: kafka.join(GROUP, TOPICS, member_id=member, session_timeout_ms=1_000),
    )
    for word in words:
        kafka.tick(kafka.now_ms + 999)
        word()
    kafka.tick(kafka.now_ms + 999)
    assert list(kafka.groups.members(GROUP)) == [member]
    kafka.tick(kafka.now_ms + 1)
    assert kafka.groups.members(GROUP) == {}


def test_a_member_that_names_no_timeouts_has_six_seconds_and_a_minute_to_join(kafka: Kafka) -> None:
    member = kafka.join(GROUP, TOPICS)
    kafka.tick(SESSION_TIMEOUT_MS - 1)
    assert list(kafka.groups.members(GROUP)) == [member]
    kafka.tick(SESSION_TIMEOUT_MS)
    assert kafka.groups.members(GROUP) == {}
    assert (SESSION_TIMEOUT_MS, REBALANCE_TIMEOUT_MS) == (6_000, 60_000)


def test_partitions_are_dealt_in_the_order_of_names_whoever_came_first(kafka: Kafka) -> None:
    later, first = kafka.join(GROUP, TOPICS, instance_id="b"), kafka.join(GROUP, TOPICS, instance_id="a")
    rejoin(kafka, later)
    assert (dealt(kafka, first), dealt(kafka, later)) == ((0, 2), (1,))


def test_a_deleted_topic_takes_its_own_offsets_with_it_from_every_group(kafka: Kafka) -> None:
    for group in ("one", "two"):
        kafka.commit_offsets(group, {("orders", 0): 1, ("payments", 0): 2})
    kafka.delete_topic("orders")
    for group in ("one", "two"):
        assert kafka.committed_offsets(group) == {("payments", 0): 2}


def test_a_name_that_left_comes_back_as_a_new_member(kafka: Kafka) -> None:
    first = kafka.join(GROUP, TOPICS, instance_id="a")
    kafka.leave(GROUP, first)
    again = kafka.join(GROUP, TOPICS, instance_id="a")
    assert again != first
    assert dealt(kafka, again) == (0, 1, 2)
