"""Up to where a ledger is audited, and when the log cannot tell it any more."""

from __future__ import annotations

from streams.audit.spans import left_of, spans_of, why_beyond, why_deleted, why_missing
from streams.domain.pages import Cursor
from tests.unit.domain.samples import IDENTITY

ORDERS, PAYMENTS = ("orders", 1), ("payments", 1)
SPANS = {ORDERS: (3, 9), PAYMENTS: (0, 0)}


def test_a_ledger_is_audited_from_where_it_began_up_to_where_it_stands_in_the_topics_that_it_counts() -> None:
    cursor = Cursor(
        positions={"orders": 9, "payments": 0, "parcels": 4},
        started={"orders": 3},
        stream_times_ms={},
        max_event_times_ms={},
        outcomes={},
        rejected={},
        sequence=1,
        identity=IDENTITY,
        epochs={},
    )
    assert spans_of({1: cursor}, ("orders", "payments")) == SPANS


def test_a_partition_that_is_not_there_is_named() -> None:
    assert why_missing(SPANS, {"orders": 2, "payments": 2}) is None
    told = why_missing(SPANS, {"orders": 1, "payments": 0})
    assert told is not None
    assert told.startswith("the ledger counted orders[1], payments[1]: no such partition")


def test_a_log_without_what_was_counted_first_is_audited_from_where_it_begins() -> None:
    assert left_of(SPANS, {ORDERS: 3, PAYMENTS: 0}) == SPANS
    assert left_of(SPANS, {ORDERS: 2, PAYMENTS: 7}) == SPANS
    assert left_of(SPANS, {ORDERS: 4, PAYMENTS: 7}) == {ORDERS: (4, 9), PAYMENTS: (0, 0)}
    assert left_of(SPANS, {ORDERS: 12, PAYMENTS: 0}) == {ORDERS: (9, 9), PAYMENTS: (0, 0)}


def test_a_log_without_what_was_counted_first_is_named() -> None:
    assert why_deleted(SPANS, {ORDERS: 3, PAYMENTS: 7}) is None
    told = why_deleted(SPANS, {ORDERS: 4, PAYMENTS: 7})
    assert told is not None
    assert told.endswith("orders[1] begins at offset 4, the ledger at 3")


def test_a_log_that_ends_before_the_ledger_is_named() -> None:
    assert why_beyond(SPANS, {ORDERS: 9, PAYMENTS: 0}) is None
    told = why_beyond(SPANS, {ORDERS: 8, PAYMENTS: 0})
    assert told is not None
    assert "orders[1] ends at offset 8, the ledger stands at 9. What was counted there cannot" in told
