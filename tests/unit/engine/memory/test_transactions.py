"""Transactions: who may write, how one ends, and what a producer is answered whose epoch is over."""

from __future__ import annotations

from typing import TYPE_CHECKING

import pytest

from streams.engine.memory import Kafka, Producer, Right
from streams.engine.memory.errors import (
    InvalidRecordError,
    InvalidTransactionStateError,
    ProducerFencedError,
    TransactionTimedOutError,
)

if TYPE_CHECKING:
    from collections.abc import Callable

ORDERS, LEDGER = ("orders", 0), ("ledger", 0)


@pytest.fixture
def kafka() -> Kafka:
    kafka = Kafka()
    kafka.create_topic("orders", 1)
    kafka.create_topic("ledger", 1, is_compacted=True)
    return kafka


def seen(kafka: Kafka, place: tuple[str, int] = ORDERS) -> list[bytes | None]:
    return list(kafka.fetch(*place, 0).values)


def test_a_newer_producer_is_told_from_a_timeout(kafka: Kafka) -> None:
    replaced, late = Producer(kafka, "a"), Producer(kafka, "b", timeout_ms=1_000)
    late.send(*ORDERS, [b"late"])
    newer = Producer(kafka, "a")
    assert newer.identity == (replaced.identity[0], replaced.identity[1] + 1)
    kafka.tick(999)
    assert kafka.end_offset(*ORDERS) == 0
    kafka.tick(1_000)
    assert kafka.end_offset(*ORDERS) == 2
    with pytest.raises(ProducerFencedError) as fenced:
        replaced.send(*ORDERS, [b"zombie"])
    assert not isinstance(fenced.value, TransactionTimedOutError)
    with pytest.raises(TransactionTimedOutError, match="longer than 1000 ms"):
        late.commit()
    # Once somebody else has the id, the older one is simply fenced.
    Producer(kafka, "b")
    with pytest.raises(ProducerFencedError) as fenced:
        late.commit()
    assert not isinstance(fenced.value, TransactionTimedOutError)
    assert seen(kafka) == []


def test_a_newer_producer_waits_for_what_the_older_had_committed(kafka: Kafka) -> None:
    kafka.coordinator.marker_delay_ms = 10
    older = Producer(kafka, "a")
    older.send(*ORDERS, [b"1"])
    older.commit()
    assert seen(kafka) == []
    Producer(kafka, "a")
    assert seen(kafka) == [b"1"]


def test_control_records_may_come_late_and_one_after_another(kafka: Kafka) -> None:
    kafka.coordinator.marker_delay_ms = 10
    producer = Producer(kafka, "a")
    producer.send(*ORDERS, [b"1"])
    producer.send(*LEDGER, [b"1"], [b"k"])
    producer.add_offsets("group", {ORDERS: 7})
    producer.commit()
    kafka.tick(9)
    assert (seen(kafka), seen(kafka, LEDGER)) == ([], [])
    kafka.tick(10)
    assert (seen(kafka), seen(kafka, LEDGER), kafka.committed_offsets("group")) == ([b"1"], [], {})
    kafka.tick(20)
    assert (seen(kafka, LEDGER), kafka.committed_offsets("group")) == ([b"1"], {ORDERS: 7})
    producer.send(*ORDERS, [b"2"])
    producer.abort()
    # The next transaction begins only when the one before has ended.
    producer.send(*ORDERS, [b"3"])
    assert kafka.log(*ORDERS).aborted[0].first_offset == 2


def test_a_commit_asked_again_says_the_same_and_an_abort_of_it_is_refused(kafka: Kafka) -> None:
    producer = Producer(kafka, "a")
    with pytest.raises(InvalidTransactionStateError):
        kafka.end_transaction(producer.identity, is_commit=True)
    producer.send(*ORDERS, [b"1"])
    producer.commit()
    kafka.end_transaction(producer.identity, is_commit=True)
    with pytest.raises(InvalidTransactionStateError):
        kafka.end_transaction(producer.identity, is_commit=False)
    assert kafka.log(*ORDERS).end == 2


def test_a_deleted_topic_leaves_its_transactions_and_groups(kafka: Kafka) -> None:
    producer = Producer(kafka, "a")
    producer.send(*ORDERS, [b"1"])
    producer.send(*LEDGER, [b"1"], [b"k"])
    producer.add_offsets("group", {ORDERS: 7, LEDGER: 1})
    kafka.delete_topic("orders")
    producer.commit()
    assert seen(kafka, LEDGER) == [b"1"]
    assert kafka.committed_offsets("group") == {LEDGER: 1}


def test_open_transactions_are_listed_to_whoever_may_describe_them(kafka: Kafka) -> None:
    for name in ("a", "b"):
        Producer(kafka, name).send(*ORDERS, [b"1"])
    kafka.faults.denied.add((Right.DESCRIBE, "a"))
    [pending] = kafka.list_transactions()
    assert (pending.transactional_id, pending.begun_ms, pending.places) == ("b", 0, (ORDERS,))


def test_a_producer_without_transactional_id_has_no_transactions(kafka: Kafka) -> None:
    producer = Producer(kafka)
    producer.send(*ORDERS, [b"1"])
    producer.commit()
    assert (seen(kafka), producer.is_in_transaction) == ([b"1"], False)
    assert Producer(kafka).identity[0] != producer.identity[0]
    with pytest.raises(AssertionError, match="no transactions"):
        producer.add_offsets("group", {})


def test_a_compacted_topic_refuses_records_without_a_key(kafka: Kafka) -> None:
    for keys in (None, [b"k", None]):
        with pytest.raises(InvalidRecordError):
            kafka.produce(*LEDGER, [b"1", b"2"], keys)


@pytest.mark.parametrize("end", [Producer.commit, Producer.abort])
def test_a_transaction_that_has_ended_is_none_any_more(kafka: Kafka, end: Callable[[Producer], None]) -> None:
    """Ending it again asks the broker for nothing, as there is nothing to end."""
    producer = Producer(kafka, "a")
    producer.send(*ORDERS, [b"1"])
    assert producer.is_in_transaction
    end(producer)
    assert not producer.is_in_transaction
    end_offset = kafka.end_offset(*ORDERS)
    end(producer)
    assert kafka.end_offset(*ORDERS) == end_offset
