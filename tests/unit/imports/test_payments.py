"""Payments and refunds out of files, and rows of one event: the sums told are those the totals will show."""

from __future__ import annotations

import json
from typing import TYPE_CHECKING, Any

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from streams.errors import UsageError
from streams.festivals import load_festivals
from streams.imports.conversion import Conversion
from streams.imports.identities import SeenIds
from streams.imports.mapping import NO_MAPPING, parse_mapping
from streams.imports.rows import Row

if TYPE_CHECKING:
    from collections.abc import Sequence

    from streams.imports.progress import Part

FESTIVALS = load_festivals()
DAY = FESTIVALS["singles-day-2019"]
HEADER = ("id", "order", "when", "state", "amount", "currency", "payer", "payer_amount", "duty", "why")
PAYMENTS = """
to = "payments"
timezone = "Asia/Shanghai"
[type]
column = "state"
values = { ok = "payment_captured", no = "payment_failed", back = "payment_refunded" }
others = "ignore"
[fields]
payment_id = "id"
order_id = "order"
ts = "when"
platform = { constant = "webshop" }
merchant = { constant = "own" }
market = { constant = "DE" }
method = { constant = "card" }
currency = { column = "currency", upper = true }
amount = "amount"
payer_currency = "payer"
payer_amount = "payer_amount"
duty = "duty"
reason = { column = "why", default = "unknown" }
"""
GOOD = {"id": "p1", "order": "o1", "when": "2019-11-11 10:00:00", "state": "ok", "amount": "12.50", "currency": "eur"}


def convert(mapping: str, *parts: Sequence[dict[str, Any]]) -> list[Part]:
    conversion = Conversion(parse_mapping(mapping, "map.toml", FESTIVALS), HEADER, "id", FESTIVALS.values())
    number, found = 0, []
    for rows in parts:
        cells = [[row.get(column) for column in conversion.columns] for row in rows]
        found.append(conversion.convert([Row(number + n, None, c) for n, c in enumerate(cells, 1)], DAY.end_ms))
        number += len(rows)
    return found


def events(part: Part) -> list[dict[str, Any]]:
    return [json.loads(value) for _, value in part.records]


def test_a_row_becomes_a_payment_keyed_by_its_order() -> None:
    (part,) = convert(PAYMENTS, [{**GOOD, "payer": "JPY", "payer_amount": "1500", "duty": "7"}])
    assert events(part) == [
        {
            "type": "payment_captured",
            "event_id": "id-1",
            "payment_id": "p1",
            "order_id": "o1",
            "ts": DAY.start_ms + 10 * 3_600_000,
            "platform": "webshop",
            "merchant": "own",
            "market": "DE",
            "method": "card",
            "currency": "EUR",
            "amount_minor": 1250,
            "payer_currency": "JPY",
            "payer_amount_minor": 1500,
            "duty_minor": 7,
        }
    ]
    assert part.records[0][0] == b"o1"
    assert part.festivals == {
        DAY.id: {
            "payments": {"captured": 1, "failed": 0, "refunded": 0},
            "money": {"EUR": {"paid": 1250, "failed": 0, "refunded": 0}},
            "payer": {"JPY": {"paid": 1500, "refunded": 0, "transport": 0, "duty": 7}},
        }
    }


def test_what_was_not_paid_and_what_went_back_is_told_apart() -> None:
    rows = [
        GOOD,
        {**GOOD, "state": "no", "why": "funds"},
        {**GOOD, "state": "back", "amount": "2"},
        {**GOOD, "state": "?"},
    ]
    (part,) = convert(PAYMENTS, rows)
    assert [(event["type"], event.get("reason")) for event in events(part)] == [
        ("payment_captured", None),
        ("payment_failed", "funds"),
        ("payment_refunded", None),
    ]
    assert part.left_out == {"type": 1}
    assert part.festivals[DAY.id]["payments"] == {"captured": 1, "failed": 1, "refunded": 1}
    assert part.festivals[DAY.id]["money"] == {"EUR": {"paid": 1250, "failed": 1250, "refunded": 200}}
    assert part.festivals[DAY.id]["payer"] == {}


@pytest.mark.parametrize(
    ("cells", "reason", "detail"),
    [
        ({"payer_amount": "15"}, "missing_field", "payer_amount: payer_currency is empty"),
        ({"payer": "JPY"}, "missing_field", "payer_amount_minor"),
        ({"payer": "JPY", "payer_amount": "1.5"}, "bad_amount", "finer than the minor unit of JPY"),
        ({"payer": "yen", "payer_amount": "15"}, "unknown_currency", "payer_currency: 'yen'"),
        ({"id": 12.0}, "wrong_type", "payment_id: 12.0 is a floating-point number"),
        ({"order": "2.01911E+17"}, "wrong_type", "order_id: '2.01911E+17' is in exponent form"),
    ],
)
def test_a_bad_payment_is_told(cells: dict[str, Any], reason: str, detail: str) -> None:
    (part,) = convert(PAYMENTS, [{**GOOD, **cells}])
    assert [bad.reason for bad in part.bad] == [reason]
    assert detail in part.bad[0].detail


def test_a_refund_of_long_after_adds_nothing_as_it_will_not_be_counted() -> None:
    mapping = PAYMENTS + 'ordered_ts = { column = "when", default = 2019-11-11T10:00:00 }\n'
    mapping = mapping.replace('ts = "when"', 'ts = { column = "why", default = 2019-11-11T11:00:00 }', 1)
    conversion = Conversion(parse_mapping(mapping, "map.toml", FESTIVALS), HEADER, "id", FESTIVALS.values())
    last = "2019-12-12T00:00:00"
    cells = [[{**GOOD, "why": why}.get(column) for column in conversion.columns] for why in (last, f"{last}.001", "")]
    part = conversion.convert([Row(n, None, c) for n, c in enumerate(cells, 1)], DAY.end_ms + 40 * 86_400_000)
    assert [event["ts"] - DAY.end_ms for event in events(part)][:2] == [30 * 86_400_000, 30 * 86_400_000 + 1]
    assert part.festivals[DAY.id]["payments"]["captured"] == 2


def test_duties_of_nothing_need_no_currency() -> None:
    (part,) = convert(PAYMENTS, [{**GOOD, "duty": "0.00"}])
    assert "duty_minor" not in events(part)[0]


def test_the_first_good_one_of_rows_with_one_event_id_is_sent() -> None:
    mapping = PAYMENTS + 'event_id = "id"\n'
    first, second = convert(
        mapping,
        [{**GOOD, "id": "a", "amount": "free"}, {**GOOD, "id": "a"}, {**GOOD, "id": "b"}, {**GOOD, "id": "a"}],
        [{**GOOD, "id": "b", "amount": "99"}, {**GOOD, "id": "c"}, {**GOOD, "id": "a", "state": "?"}],
    )
    assert [(bad.row, bad.reason) for bad in first.bad] == [(1, "bad_number"), (4, "duplicate")]
    assert [(bad.row, bad.reason) for bad in second.bad] == [(5, "duplicate")]
    assert [event["event_id"] for part in (first, second) for event in events(part)] == ["a", "b", "c"]
    assert second.left_out == {"type": 1}
    assert second.festivals[DAY.id]["money"]["EUR"]["paid"] == 1250, "what is not sent is not summed"


@given(st.lists(st.lists(st.integers(0, 30), max_size=12), max_size=12))
def test_ids_are_new_once(batches: list[list[int]]) -> None:
    seen, known = SeenIds(), set[int]()
    for batch in batches:
        expected = []
        for number in batch:
            expected.append(number not in known)
            known.add(number)
        assert seen.take(np.array(batch, dtype=np.uint64)).tolist() == expected


def test_the_first_of_several_columns_that_holds_something_is_taken() -> None:
    mapping = PAYMENTS.replace('order_id = "order"', 'order_id = ["why", "order"]').replace(
        'amount = "amount"', 'amount = ["duty", "amount"]'
    )
    mapping = mapping.replace('duty = "duty"\n', "")
    (part,) = convert(mapping, [GOOD, {**GOOD, "why": "w", "duty": "1"}, {**GOOD, "why": ""}])
    assert [(event["order_id"], event["amount_minor"]) for event in events(part)] == [
        ("o1", 1250),
        ("w", 100),
        ("o1", 1250),
    ]


def test_columns_named_twice_are_an_error_where_a_mapping_reads_them() -> None:
    mapping = parse_mapping(PAYMENTS, "map.toml", FESTIVALS)
    assert Conversion(mapping, (*HEADER, "", "", "x", "x"), "id", ()).columns
    with pytest.raises(UsageError, match="columns named twice: amount:"):
        Conversion(mapping, (*HEADER, "amount"), "id", ())
    header = ("ts", "platform", "merchant", "market", "currency", "amount_minor", "", "", "x", "x")
    assert Conversion(NO_MAPPING, header, "id", ()).columns


def test_a_mapping_to_orders_is_the_same_with_and_without_saying_so() -> None:
    text = PAYMENTS[PAYMENTS.index("[fields]") :]
    text = "\n".join(line for line in text.splitlines() if line.split(" ")[0] not in {"payment_id", "method", "reason"})
    text = "\n".join(line for line in text.splitlines() if not line.startswith(("payer", "duty")))
    plain = parse_mapping(text, "a", FESTIVALS)
    assert plain.digest == parse_mapping('to = "orders"\n' + text, "b", FESTIVALS).digest
    assert plain.to == "orders"


def test_a_type_is_said_once() -> None:
    with pytest.raises(UsageError, match=r"`type`: stands under \[fields\] too"):
        parse_mapping(PAYMENTS + 'type = "state"\n', "map.toml", FESTIVALS)
