"""The compiled reader takes every well-formed event itself; what it leaves over costs ten times as much."""

from __future__ import annotations

import json
from typing import Any

import pytest

from streams.domain.decoding import Decoder
from streams.domain.facts import FACTS
from tests.unit.domain.samples import box, encode, order, parcel, payment

EVENTS = {
    "orders": [
        order(),
        order(type="order_cancelled", ordered_ts=5, coupon_minor=7, credit_minor=0),
        order(category="toys", brand="小米", buyer="u1", merchant="é" * 64, event_id="x" * 64),
        order(amount_minor=10**13),
    ],
    "payments": [
        payment(),
        payment(type="payment_failed", reason="limit"),
        payment(payer_currency="USD", duty_minor=1),
    ],
    "parcels": [parcel(), parcel(type="parcel_cleared", shipped_ts=1)],
    "recycling": [box(), box(flash=True), box(flash=False, user="u1", operator="partner")],
}


def are_read(topic: str, values: list[bytes | None]) -> list[bool]:
    """Return which records the compiled reader takes."""
    from streams.native.records import Values  # noqa: PLC0415 - where it is built

    decoder = Decoder(FACTS[topic], coded=("merchant", "brand", "city"), hashed=("event_id", "buyer", "user"))
    assert decoder._reader is not None
    is_read: list[bool] = decoder._reader.read(Values.of(values))[0].tolist()
    return is_read


@pytest.mark.parametrize("topic", FACTS)
@pytest.mark.parametrize("indent", [None, 2])
def test_it_takes_whatever_is_well_formed(topic: str, indent: int | None) -> None:
    values = [json.dumps(event, indent=indent, ensure_ascii=False).encode() for event in EVENTS[topic]]
    assert are_read(topic, list(values)) == [True] * len(values)


@pytest.mark.parametrize(
    "unknown", [1, -1.5e300, True, None, "", "京", [], {}, [1, [2, {"a": [None, "b"]}]], {"a": {"b": [0.25]}}]
)
def test_it_passes_over_fields_that_nobody_reads(unknown: Any) -> None:  # noqa: ANN401 - any JSON
    first, last = {"note": unknown, **order()}, {**order(), "note": unknown}
    assert are_read("orders", [json.dumps(e, ensure_ascii=False).encode() for e in (first, last)]) == [True, True]


GOOD = encode(order())


@pytest.mark.parametrize(
    "value",
    [
        None,
        b"",
        b"{}",
        GOOD + b"x",
        GOOD[:-1],
        GOOD.replace(b'"CNY"', b'"CN\\u0059"'),
        GOOD.replace(b'"CNY"', b'"XXX"'),
        GOOD.replace(b'"m1"', b'"__m"'),
        GOOD.replace(b'"m1"', b'""'),
        GOOD.replace(b'"m1"', b'"' + b"x" * 65 + b'"'),
        GOOD.replace(b'"m1"', b'"\xff"'),
        GOOD.replace(b'"m1"', b'"\xed\xa0\x80"'),
        GOOD.replace(b'"m1"', b'"\t"'),
        GOOD.replace(b'"amount_minor":100', b'"amount_minor":1e2'),
        GOOD.replace(b'"amount_minor":100', b'"amount_minor":100.0'),
        GOOD.replace(b'"amount_minor":100', b'"amount_minor":0100'),
        GOOD.replace(b'"amount_minor":100', b'"amount_minor":-0'),
        GOOD.replace(b'"amount_minor":100', b'"amount_minor":' + b"9" * 400),
        GOOD.replace(b'"amount_minor":100', b'"amount_minor":10000000000001'),
        GOOD.replace(b'"amount_minor":100', b'"amount_minor":100,"amount_minor":100'),
        GOOD.replace(b'"amount_minor":100', b'"amount_minor":null'),
        GOOD.replace(b"{", b'{"a":' + b"[" * 40 + b"]" * 40 + b",", 1),
        GOOD.replace(b"{", b'{"a":01,', 1),
        GOOD.replace(b"{", b'{"a":[1,],', 1),
        GOOD.replace(b"{", b'{"a":{"b"},', 1),
        GOOD.replace(b"{", b'{"a":tru,', 1),
        GOOD.replace(b"{", b'{"a":"\xff",', 1),
        GOOD.replace(b"{", b'{"\\u0061":1,', 1),
    ],
)
def test_it_leaves_over_what_is_unusual_or_wrong(value: bytes | None) -> None:
    assert are_read("orders", [GOOD, value, GOOD]) == [True, False, True]
