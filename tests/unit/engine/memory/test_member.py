"""A member as a client has it: what it is told, turn by turn."""

from __future__ import annotations

import pytest

from streams.engine.memory import Assignment, Fate, Kafka, Member, Request, Revoked, at_request
from streams.engine.memory.errors import FencedInstanceError

GROUP = "group"


@pytest.fixture
def kafka() -> Kafka:
    kafka = Kafka()
    kafka.create_topic("orders", 4)
    return kafka


def member(kafka: Kafka, name: str | None) -> Member:
    return Member(kafka, GROUP, ["orders"], instance_id=name)


def test_a_member_gives_back_what_it_has_when_another_one_joins(kafka: Kafka) -> None:
    one, two = member(kafka, "one"), member(kafka, "two")
    assert one.turn() == Assignment(1, (0, 1, 2, 3))
    assert one.turn() is None
    assert two.turn() is None
    assert one.turn() == Revoked((0, 1, 2, 3), is_lost=False)
    assert [m.generation for m in (one, two)] == [None, None]
    assert one.turn() == Assignment(2, (0, 2))
    assert two.turn() == Assignment(2, (1, 3))
    assert [m.generation for m in (one, two)] == [2, 2]


def test_a_member_that_stood_still_has_lost_its_partitions_and_joins_as_a_new_one(kafka: Kafka) -> None:
    one = member(kafka, None)
    one.turn()
    before = one.member_id
    kafka.tick(6_000)
    assert one.turn() == Revoked((0, 1, 2, 3), is_lost=True)
    assert one.turn() == Assignment(3, (0, 1, 2, 3))
    assert one.member_id != before


def test_a_member_of_an_instance_id_that_another_one_has_must_end(kafka: Kafka) -> None:
    older, newer = member(kafka, "one"), member(kafka, "one")
    older.turn()
    assert newer.turn() == Assignment(1, (0, 1, 2, 3))
    with pytest.raises(FencedInstanceError):
        older.turn()


def test_a_broker_that_is_away_is_asked_again(kafka: Kafka) -> None:
    one = member(kafka, "one")
    kafka.faults.is_away = True
    assert one.turn() is None
    kafka.faults.is_away = False
    kafka.faults.on_request = at_request(Request.JOIN, Fate.UNANSWERED)
    assert one.turn() is None
    assert one.turn() == Assignment(1, (0, 1, 2, 3))
    assert kafka.groups.members(GROUP) == {one.member_id: (0, 1, 2, 3)}


def test_a_member_that_sees_more_partitions_joins_again(kafka: Kafka) -> None:
    one = member(kafka, "one")
    assert one.join_again() is None
    one.turn()
    kafka.add_partitions("orders", 5)
    assert one.join_again() == Revoked((0, 1, 2, 3), is_lost=False)
    assert one.turn() == Assignment(2, (0, 1, 2, 3, 4))
