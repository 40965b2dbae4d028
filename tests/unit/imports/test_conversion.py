"""Rows into orders: what is sent is what the counter admits, everything else is a bad row or left out."""

from __future__ import annotations

import json
from typing import TYPE_CHECKING, Any

import pytest

from streams.domain.decoding import Decoder
from streams.domain.facts import FACTS
from streams.errors import UsageError
from streams.festivals import load_festivals
from streams.imports.conversion import Conversion
from streams.imports.mapping import NO_MAPPING, parse_mapping
from streams.imports.rows import Row

if TYPE_CHECKING:
    from collections.abc import Sequence

    from streams.imports.progress import Part

FESTIVALS = load_festivals()
DAY = FESTIVALS["singles-day-2019"]
NOW_MS = DAY.end_ms
HEADER = ("when", "ordered", "shop", "state", "currency", "price", "postage", "coupon")
FIELDS = """
timezone = "Asia/Shanghai"
[fields]
ts = "when"
platform = { constant = "tmall" }
merchant = { template = "shop-{shop}", default = "unknown" }
market = { constant = "CN" }
currency = { column = "currency", default = "CNY" }
amount = { columns = ["price", "postage"] }
coupon = { column = "coupon", default = "0" }
"""


def convert(mapping: str, rows: Sequence[dict[str, Any]], header: tuple[str, ...] | None = HEADER) -> Part:
    conversion = Conversion(parse_mapping(mapping, "map.toml", FESTIVALS), header, "id", FESTIVALS.values())
    cells = [[row.get(column) for column in conversion.columns] for row in rows]
    return conversion.convert([Row(n, n + 1, found) for n, found in enumerate(cells, 1)], NOW_MS)


def values(part: Part) -> list[dict[str, Any]]:
    return [json.loads(value) for _, value in part.records]


GOOD = {"when": "2019-11-11 00:00:00", "shop": 7, "currency": "USD", "price": "12.30", "postage": "1", "coupon": 0.5}


def test_a_row_becomes_an_order_with_an_identity_of_its_own() -> None:
    part = convert(FIELDS, [GOOD])
    assert values(part) == [
        {
            "type": "order_placed",
            "event_id": "id-1",
            "order_id": "id-1",
            "ts": DAY.start_ms,
            "platform": "tmall",
            "merchant": "shop-7",
            "market": "CN",
            "currency": "USD",
            "amount_minor": 1330,
            "coupon_minor": 50,
        }
    ]
    assert part.records[0][0] == b"id-1", "keyed by the order"
    sums = {"gross": 1330, "coupons": 50, "credits": 0, "net": 1280, "cancelled_net": 0}
    assert part.festivals == {DAY.id: {"orders": 1, "cancelled": 0, "money": {"USD": sums}}}
    assert (part.rows, part.bad, part.left_out) == (1, [], {})


def test_empty_cells_take_the_default_or_leave_an_optional_field_out() -> None:
    part = convert(FIELDS + 'brand = "state"', [{**GOOD, "shop": None, "currency": "", "postage": "", "state": ""}])
    (event,) = values(part)
    assert (event["merchant"], event["currency"], event["amount_minor"]) == ("unknown", "CNY", 1230)
    assert "brand" not in event


@pytest.mark.parametrize(
    ("cells", "reason", "detail"),
    [
        ({"when": None}, "missing_field", "ts: empty"),
        ({"price": None, "postage": ""}, "missing_field", "amount_minor: empty"),
        ({"price": "12.345"}, "bad_amount", "amount: '12.345' is finer than the minor unit of USD"),
        ({"price": "free"}, "bad_number", "amount: 'free' is not a number"),
        ({"price": "-13"}, "out_of_range", "amount_minor"),
        ({"price": "1000000000000"}, "out_of_range", "amount_minor"),
        ({"price": "1.23457E+06"}, "bad_amount", "amount: '1.23457E+06' is in exponent form"),
        ({"coupon": "99"}, "discount_exceeds_amount", "together exceed"),
        ({"currency": "XXX"}, "unknown_currency", "currency: 'XXX'"),
        ({"when": "11.11.2019"}, "bad_time", "ts: '11.11.2019' is not ISO 8601"),
        ({"when": "1969-12-31"}, "bad_time", "ts: '1969-12-31' is not of the years 1990 to 2100"),
        ({"when": "2019-11-12T00:05:01"}, "future_event", "5 minutes ahead"),
        ({"shop": "x" * 70}, "out_of_range", "merchant"),
        ({"shop": "\udcff"}, "not_utf8", "encoding"),
        ({"shop": ["a"]}, "wrong_type", "merchant"),
    ],
)
def test_a_bad_row_is_told_with_its_number_and_the_others_are_sent(
    cells: dict[str, Any], reason: str, detail: str
) -> None:
    part = convert(FIELDS, [GOOD, {**GOOD, **cells}, GOOD])
    (bad,) = part.bad
    assert (bad.row, bad.line, bad.reason) == (2, 3, reason)
    assert detail in bad.detail
    assert [event["event_id"] for event in values(part)] == ["id-1", "id-3"]
    assert part.festivals[DAY.id]["orders"] == 2


def test_what_is_sent_is_never_rejected() -> None:
    decoder = Decoder(FACTS["orders"], ())
    prices = ["1", "-1", "1e3", "0.001", "99999999999.99", "100000000000", "100000000001", None, "x", 1.0, 2.5e-7]
    part = convert(FIELDS, [{**GOOD, "price": price, "coupon": coupon} for price in prices for coupon in (0, "1.01")])
    columns, rejections = decoder.decode([value for _, value in part.records], [NOW_MS] * len(part.records))
    assert rejections == []
    assert len(columns) + len(part.bad) == 2 * len(prices)
    assert len(columns) >= 5


def test_filters_leave_rows_out_before_anything_else_is_looked_at() -> None:
    filters = """
        [[only]]
        column = "state"
        is = ["paid", "sent"]
        [[only]]
        column = "price"
        at_least = "1.00"
        below = 100
        [[only]]
        column = "ordered"
        is_empty = true
        [[only]]
        column = "shop"
        is_not = "9"
    """
    rows = [
        {**GOOD, "state": "paid"},
        {**GOOD, "state": "open", "when": "never"},
        {**GOOD, "state": None},
        {**GOOD, "state": "sent", "price": "0.99"},
        {**GOOD, "state": "sent", "price": 100},
        {**GOOD, "state": "sent", "price": None},
        {**GOOD, "state": "sent", "ordered": "x"},
        {**GOOD, "state": "sent", "shop": 9},
        {**GOOD, "state": "sent", "price": "many"},
    ]
    part = convert(FIELDS + filters, rows)
    assert len(part.records) == 1
    assert part.left_out == {"filter": 7}
    assert [(bad.row, bad.detail) for bad in part.bad] == [(9, "price: 'many' is not a number")]


def test_a_year_fits_into_the_day() -> None:
    fit = '[fit]\nfrom = 2017-01-01\nto = 2018-01-01\nfestival = "singles-day-2019"\n'
    times = ["2016-12-31T23:59:59.999", "2017-01-01", "2017-07-02T12:00", "2017-12-31T23:59:59.999", "2018-01-01"]
    part = convert(FIELDS + fit, [{**GOOD, "when": time} for time in times])
    assert [event["ts"] for event in values(part)] == [
        DAY.start_ms,
        (DAY.start_ms + DAY.end_ms) // 2,
        DAY.end_ms - 1,
    ]
    assert part.left_out == {"outside the span": 2}
    ordered = convert(FIELDS + 'ordered_ts = "ordered"\n' + fit, [{**GOOD, "when": times[3], "ordered": times[1]}])
    assert values(ordered)[0]["ordered_ts"] == DAY.start_ms


def test_texts_are_translated_by_the_mapping() -> None:
    kinds = 'type = { column = "state", values = { done = "order_placed", void = "order_cancelled" } }'
    rows = [{**GOOD, "state": state} for state in ("done", "void", "lost", None)]
    part = convert(FIELDS + kinds, rows)
    assert [event["type"] for event in values(part)] == ["order_placed", "order_cancelled"]
    assert [(bad.row, bad.reason) for bad in part.bad] == [(3, "unknown_value"), (4, "missing_field")]
    assert part.festivals[DAY.id]["cancelled"] == 1
    assert part.festivals[DAY.id]["money"]["USD"]["cancelled_net"] == 1280
    lenient = kinds.replace("}", '}, default = "order_placed"', 1)
    assert len(convert(FIELDS + lenient, rows).records) == 4


def test_constants_stand_in_every_row() -> None:
    mapping = (
        FIELDS.replace('"when"', "{ constant = 2019-11-11T10:00:00Z }")
        .replace('{ columns = ["price", "postage"] }', '{ constant = "9.90" }')
        .replace('{ column = "coupon", default = "0" }', '{ constant = "1" }')
    )
    (event,) = values(convert(mapping, [{}]))
    assert (event["ts"], event["amount_minor"], event["coupon_minor"]) == (1_573_466_400_000, 990, 100)


def test_columns_that_are_missing_are_told_before_a_row_is_read() -> None:
    with pytest.raises(UsageError, match=r"no column coupon, price; there are when"):
        convert(FIELDS, [], ("when", "postage", "currency", "shop"))
    with pytest.raises(UsageError, match=r"no column is called platform, .*--map"):
        Conversion(NO_MAPPING, ("ts", "order_id"), "id", ())


def test_without_a_mapping_columns_are_called_as_the_fields_are() -> None:
    row = {
        "order_id": "o1",
        "event_id": "e1",
        "ts": NOW_MS - 1,
        "platform": "tmall",
        "merchant": "m",
        "market": "CN",
        "currency": "CNY",
        "amount_minor": "1250",
        "credit_minor": 50,
        "unknown": "left alone",
    }
    for header in (tuple(row), None):
        conversion = Conversion(NO_MAPPING, header, "id", FESTIVALS.values())
        part = conversion.convert([Row(1, 2, [row.get(name) for name in conversion.columns])], NOW_MS)
        (event,) = values(part)
        assert event == {
            **{name: cell for name, cell in row.items() if name != "unknown"},
            "type": "order_placed",
            "amount_minor": 1250,
        }
