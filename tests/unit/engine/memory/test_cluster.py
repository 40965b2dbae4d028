"""Topics, and the faults of a broker as its clients meet them."""

from __future__ import annotations

from typing import TYPE_CHECKING

import pytest

from streams.engine.memory import Fate, Kafka, Producer, Request, Right, TopicDescription, at_request
from streams.engine.memory.errors import (
    AnswerLostError,
    BrokerAwayError,
    NotAuthorizedError,
    TopicExistsError,
    UnknownTopicError,
)

if TYPE_CHECKING:
    from collections.abc import Callable

PLACE = ("orders", 0)


@pytest.fixture
def kafka() -> Kafka:
    kafka = Kafka(cluster_id="c")
    kafka.create_topic("orders", 1)
    return kafka


def test_a_topic_made_again_has_another_id(kafka: Kafka) -> None:
    assert kafka.describe_topic("orders") == TopicDescription("c-1", 1)
    with pytest.raises(TopicExistsError):
        kafka.create_topic("orders", 1)
    kafka.delete_topic("orders")
    assert kafka.describe_topic("orders") is None
    with pytest.raises(UnknownTopicError):
        kafka.fetch(*PLACE, 0)
    kafka.create_topic("orders", 2)
    assert kafka.describe_topic("orders") == TopicDescription("c-2", 2)
    for partition in (2, -1):
        with pytest.raises(UnknownTopicError):
            kafka.log("orders", partition)


def test_a_topic_never_loses_partitions_and_only_a_compacted_one_is_compacted(kafka: Kafka) -> None:
    with pytest.raises(AssertionError):
        kafka.add_partitions("orders", 0)
    with pytest.raises(AssertionError):
        kafka.compact(*PLACE)


def requests(kafka: Kafka) -> dict[Request, Callable[[], object]]:
    """Return one call of each kind of request; each is made of a cluster prepared for it."""
    producer = kafka.init_producer("a")
    kafka.produce(*PLACE, [b"0"], producer=producer, is_transactional=True)
    member = kafka.join("group", ["orders"])
    return {
        Request.INIT_PRODUCER: lambda: kafka.init_producer("b"),
        Request.PRODUCE: lambda: kafka.produce(*PLACE, [b"1"]),
        Request.ADD_OFFSETS: lambda: kafka.add_offsets(producer, "group", {PLACE: 1}),
        Request.END_TRANSACTION: lambda: kafka.end_transaction(producer, is_commit=True),
        Request.FETCH: lambda: kafka.fetch(*PLACE, 0),
        Request.OFFSETS: lambda: kafka.end_offset(*PLACE),
        Request.METADATA: kafka.list_transactions,
        Request.JOIN: lambda: kafka.join("other", ["orders"]),
        Request.SYNC: lambda: kafka.sync("group", member),
        Request.HEARTBEAT: lambda: kafka.heartbeat("group", member, 1),
        Request.COMMIT_OFFSETS: lambda: kafka.commit_offsets("group", {PLACE: 5}),
        Request.FETCH_OFFSETS: lambda: kafka.committed_offsets("group"),
        Request.LEAVE: lambda: kafka.leave("group", member),
    }


@pytest.mark.parametrize("request_", Request)
def test_each_request_may_not_arrive_or_lose_its_answer(kafka: Kafka, request_: Request) -> None:
    ask = requests(kafka)[request_]
    kafka.faults.is_away = True
    with pytest.raises(BrokerAwayError):
        ask()
    kafka.faults.is_away = False
    kafka.faults.on_request = at_request(request_, Fate.UNREACHED)
    with pytest.raises(BrokerAwayError):
        ask()
    kafka.faults.on_request = at_request(request_, Fate.UNANSWERED, nth=1)
    with pytest.raises(AnswerLostError):
        ask()
    assert kafka.committed_offsets("group") == {PLACE: 5} or request_ is not Request.COMMIT_OFFSETS


def test_a_hook_counts_only_its_own_kind_of_request(kafka: Kafka) -> None:
    kafka.faults.on_request = at_request(Request.PRODUCE, Fate.UNREACHED, nth=2)
    for ask in (lambda: kafka.produce(*PLACE, [b"0"]), lambda: kafka.fetch(*PLACE, 0)):
        ask()
    with pytest.raises(BrokerAwayError):
        kafka.produce(*PLACE, [b"1"])
    kafka.produce(*PLACE, [b"2"])
    assert list(kafka.fetch(*PLACE, 0).values) == [b"0", b"2"]


def test_a_right_that_is_missing_refuses_and_comes_back(kafka: Kafka) -> None:
    kafka.faults.denied.add((Right.WRITE, "orders"))
    with pytest.raises(NotAuthorizedError, match="no right to write"):
        kafka.produce(*PLACE, [b"0"])
    assert kafka.end_offset(*PLACE) == 0
    kafka.faults.denied.clear()
    kafka.produce(*PLACE, [b"0"])
    assert (kafka.beginning_offset(*PLACE), kafka.end_offset(*PLACE)) == (0, 1)


def test_a_send_whose_answer_was_lost_may_be_sent_again(kafka: Kafka) -> None:
    producer = Producer(kafka, "a")
    kafka.faults.on_request = at_request(Request.PRODUCE, Fate.UNANSWERED)
    with pytest.raises(AnswerLostError):
        producer.send(*PLACE, [b"0"])
    assert producer.send(*PLACE, [b"0"]) == 0
    kafka.faults.on_request = at_request(Request.END_TRANSACTION, Fate.UNANSWERED)
    with pytest.raises(AnswerLostError):
        producer.commit()
    producer.commit()
    assert list(kafka.fetch(*PLACE, 0).values) == [b"0"]
