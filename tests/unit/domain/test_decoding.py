"""Which records are admitted, which are rejected, and for what reason."""

from __future__ import annotations

import json
from typing import Any

import pytest

from streams.domain.decoding import Decoder
from streams.domain.facts import ABSENT, FACTS
from streams.domain.limits import VALUE_LIMIT_BYTES
from streams.domain.rejections import Reason
from streams.domain.texts import Coded, hash_texts
from streams.native import IS_BUILT
from tests.unit.domain.samples import START_MS, encode, order, payment

RECORD_TIME_MS = START_MS + 1000
TEXTS = {"platform", "merchant", "market", "currency", "category", "brand", "method", "payer_currency"}


def verdict(value: bytes | None, topic: str = "orders", record_time_ms: int = RECORD_TIME_MS) -> str | None:
    """Return why a record is rejected, None if it is admitted; alone and amid good ones must agree."""
    good = encode(order() if topic == "orders" else payment())
    decoder = Decoder(FACTS[topic], TEXTS)
    _, alone = decoder.decode([value], [record_time_ms])
    columns, amid = decoder.decode([good, value, good], [record_time_ms] * 3)
    assert [index for index, _ in amid] == [1] * len(alone)
    assert len(columns) == 3 - len(amid)
    assert [r.reason for _, r in amid] == [r.reason for _, r in alone]
    assert all(rejection.detail for _, rejection in alone)
    return alone[0][1].reason if alone else None


@pytest.mark.parametrize(
    ("value", "reason"),
    [
        (None, Reason.NULL_VALUE),
        (b"", Reason.EMPTY),
        (b"\xff\xfe", Reason.NOT_UTF8),
        (b"\xef\xbb\xbf{}", Reason.NOT_JSON),
        (b"nonsense", Reason.NOT_JSON),
        (b"{}{}", Reason.NOT_JSON),
        (b'{"a":NaN}', Reason.NOT_JSON),
        (b'{"a":-Infinity}', Reason.NOT_JSON),
        (b"[1]", Reason.NOT_AN_OBJECT),
        (b"null", Reason.NOT_AN_OBJECT),
        (b"12", Reason.NOT_AN_OBJECT),
        (b"{}", Reason.MISSING_FIELD),
        (b'{"type":7}', Reason.WRONG_TYPE),
        (b'{"type":"payment_captured"}', Reason.UNKNOWN_TYPE),
        (b"[" * 40_000, Reason.NOT_JSON),
        (b"x" * (VALUE_LIMIT_BYTES + 1), Reason.TOO_LARGE),
    ],
)
def test_a_value_that_is_no_event_is_rejected(value: bytes | None, reason: Reason) -> None:
    assert verdict(value) is reason


@pytest.mark.parametrize("wrong", ["12", 1.5, 1.0, 1e3, True, None, [], {}])
def test_an_integer_is_never_read_out_of_another_type(wrong: Any) -> None:  # noqa: ANN401
    event = {**order(), "amount_minor": wrong}
    assert verdict(encode(event)) is Reason.WRONG_TYPE


def test_an_exponent_makes_no_integer() -> None:
    assert verdict(encode(order()).replace(b'"amount_minor":100', b'"amount_minor":1e2')) is Reason.WRONG_TYPE


@pytest.mark.parametrize(
    ("fields", "reason"),
    [
        ({"amount_minor": -1}, Reason.OUT_OF_RANGE),
        ({"amount_minor": 10**13}, None),
        ({"amount_minor": 10**13 + 1}, Reason.OUT_OF_RANGE),
        ({"amount_minor": 10**4400}, Reason.OUT_OF_RANGE),
        ({"amount_minor": -(10**40)}, Reason.OUT_OF_RANGE),
        ({"ts": -1}, Reason.OUT_OF_RANGE),
        ({"ts": "2019"}, Reason.WRONG_TYPE),
        ({"event_id": ""}, Reason.OUT_OF_RANGE),
        ({"event_id": "x" * 64}, None),
        ({"event_id": "x" * 65}, Reason.OUT_OF_RANGE),
        ({"merchant": "😀" * 64}, None),
        ({"merchant": "__other__"}, Reason.OUT_OF_RANGE),
        ({"merchant": "_x"}, None),
        ({"merchant": 5}, Reason.WRONG_TYPE),
        ({"buyer": "__none__"}, Reason.OUT_OF_RANGE),
        ({"currency": "cny"}, Reason.UNKNOWN_CURRENCY),
        ({"currency": "XXX"}, Reason.UNKNOWN_CURRENCY),
        ({"currency": ""}, Reason.UNKNOWN_CURRENCY),
        ({"currency": 156}, Reason.WRONG_TYPE),
        ({"coupon_minor": 60, "credit_minor": 40}, None),
        ({"coupon_minor": 60, "credit_minor": 41}, Reason.DISCOUNT_EXCEEDS_AMOUNT),
        ({"ordered_ts": START_MS}, None),
        ({"ordered_ts": START_MS + 1}, Reason.TIME_ORDER),
        ({"ts": RECORD_TIME_MS + 300_000}, None),
        ({"ts": RECORD_TIME_MS + 300_001}, Reason.FUTURE_EVENT),
        ({"unknown": "__anything goes__"}, None),
        ({"unknown": [[{}]] * 60}, None),
    ],
)
def test_a_field_out_of_its_range_is_rejected(fields: dict[str, Any], reason: Reason | None) -> None:
    event = {**order(), **fields}
    text = "9" * 4400 if event["amount_minor"] == 10**4400 else json.dumps(event["amount_minor"])
    event["amount_minor"] = 0
    assert verdict(encode(event).replace(b'"amount_minor":0', b'"amount_minor":' + text.encode())) is reason


@pytest.mark.parametrize("name", sorted(order()))
def test_a_required_field_is_missed(name: str) -> None:
    assert verdict(encode(order(**{name: None}))) is Reason.MISSING_FIELD


@pytest.mark.parametrize("name", ["coupon_minor", "category", "ordered_ts"])
def test_null_is_no_way_to_leave_an_optional_field_out(name: str) -> None:
    assert verdict(encode({**order(), name: None})) is Reason.WRONG_TYPE


def test_the_last_value_of_a_key_given_twice_counts() -> None:
    good = encode(order())
    assert verdict(b'{"amount_minor":"x",' + good[1:]) is None
    assert verdict(good[:-1] + b',"amount_minor":"x"}') is Reason.WRONG_TYPE


@pytest.mark.parametrize(
    ("text", "reason"),
    [
        (rb"\ud83d\ude00", None),
        (rb"\\ud800", None),
        (rb"\ud800", Reason.NOT_JSON),
        (rb"\ude00", Reason.NOT_JSON),
        (rb"\ud83d\\\ude00", Reason.NOT_JSON),
        (rb"\u005f\u005fx", None),
    ],
)
def test_a_lone_surrogate_is_not_json_wherever_it_stands(text: bytes, reason: Reason | None) -> None:
    good = encode(order())
    assert verdict(good[:-1] + b',"note":"' + text + b'"}') is reason
    assert verdict(b'{"coupon_minor":"first","' + text + b'":1,"coupon_minor":0,' + good[1:]) is reason


def test_an_escaped_underscore_does_not_hide_a_reserved_name() -> None:
    assert verdict(encode(order()).replace(b'"m1"', rb'"\u005f_other"')) is Reason.OUT_OF_RANGE


def test_bytes_that_are_not_utf8_are_seen_in_fields_nobody_reads() -> None:
    assert verdict(encode(order())[:-1] + b',"note":"\xc3"}') is Reason.NOT_UTF8


def test_two_records_do_not_complete_each_others_characters() -> None:
    head, tail = encode(order())[:-1] + b',"note":"\xc3', b'\xa9"}'
    _, rejections = Decoder(FACTS["orders"], ()).decode([head, tail], [RECORD_TIME_MS] * 2)
    assert [(i, r.reason) for i, r in rejections] == [(0, Reason.NOT_UTF8), (1, Reason.NOT_UTF8)]


@pytest.mark.parametrize(("depth", "reason"), [(126, None), (127, None), (128, Reason.NOT_JSON)])
def test_nesting_is_limited_at_one_depth_for_every_stack(depth: int, reason: Reason | None) -> None:
    nested = b"[" * depth + b'"]{"' + b"]" * depth
    assert verdict(encode(order())[:-1] + b',"note":' + nested + b"}") is reason


@pytest.mark.parametrize(
    ("fields", "reason"),
    [
        ({}, None),
        ({"payer_currency": "CNY", "payer_amount_minor": 0}, None),
        ({"payer_currency": "CNY"}, Reason.MISSING_FIELD),
        ({"payer_amount_minor": 0}, Reason.MISSING_FIELD),
        ({"transport_minor": 0}, None),
        ({"transport_minor": 1}, Reason.MISSING_FIELD),
        ({"duty_minor": 1}, Reason.MISSING_FIELD),
        ({"duty_minor": 1, "payer_currency": "USD", "payer_amount_minor": 2}, None),
        ({"payer_currency": ""}, Reason.UNKNOWN_CURRENCY),
        ({"type": "payment_failed"}, Reason.MISSING_FIELD),
        ({"type": "payment_failed", "reason": "declined"}, None),
        ({"type": "order_placed"}, Reason.UNKNOWN_TYPE),
    ],
)
def test_fields_of_a_payment_that_need_each_other(fields: dict[str, Any], reason: Reason | None) -> None:
    assert verdict(encode(payment(**fields)), "payments") is reason


def test_columns_hold_events_in_log_order_with_defaults_for_what_was_not_given() -> None:
    values = [encode(order(event_id="a", ordered_ts=5)), b"{", encode(order(event_id="b", category="toys"))]
    columns, rejections = Decoder(FACTS["orders"], TEXTS).decode(values, [RECORD_TIME_MS] * 3)
    assert [index for index, _ in rejections] == [1]
    assert columns.indexes.tolist() == [0, 2]
    assert columns.hashes["event_id"].tolist() == hash_texts(["a", "b"]).tolist()
    assert columns.texts["category"].appearing() == ["__none__", "toys"]
    assert columns.numbers["ordered_ts"].tolist() == [5, ABSENT]


def merchants(decoder: Decoder, *records: bytes) -> Coded:
    """Return the merchants of records, all of which are events."""
    columns, rejections = decoder.decode(records, [RECORD_TIME_MS] * len(records))
    assert rejections == []
    return columns.texts["merchant"]


def from_merchant(merchant: str) -> bytes:
    return encode(order(merchant=merchant))


@pytest.mark.parametrize("is_compiled", {IS_BUILT, False})
def test_a_text_has_one_code_in_all_batches_whichever_way_it_was_read(is_compiled: bool) -> None:  # noqa: FBT001 - a parameter of the test
    decoder = Decoder(FACTS["orders"], TEXTS, is_compiled=is_compiled)
    names = [
        "m1",
        "m" * 8,
        "m" * 9,
        "m" * 16,
        "m" * 17,
        "京" * 5,
        "京" * 6,
        "m" * 9 + "0" + "m" * 9,
        "m" * 9 + "1" + "m" * 9,
    ]
    first = merchants(decoder, *map(from_merchant, names))
    assert first.appearing() == names
    # An escape is left over by the compiled reader; the others are found again when the bytes they came in are gone.
    escaped = [from_merchant(name).replace(b'"m', b'"\\u006d').replace("京".encode(), b"\\u4eac") for name in names]
    again = merchants(decoder, *escaped, from_merchant("new"), from_merchant("new").replace(b'"new', b'"\\u006eew'))
    last = merchants(decoder, from_merchant("new"), *map(from_merchant, names))
    assert again.texts is last.texts is first.texts
    assert first.codes.tolist() == again.codes.tolist()[:-2] == last.codes.tolist()[1:]
    assert again.codes.tolist()[-2:] == last.codes.tolist()[:1] * 2


@pytest.mark.parametrize("is_compiled", {IS_BUILT, False})
def test_texts_that_producers_make_up_are_forgotten_when_there_are_too_many(is_compiled: bool) -> None:  # noqa: FBT001
    decoder = Decoder(FACTS["orders"], TEXTS, is_compiled=is_compiled, vocabulary_limit=100)
    before = merchants(decoder, from_merchant("m0"))
    for number in range(0, 1_000, 30):
        names = [f"m{n}" for n in range(number, number + 30)]
        column = merchants(decoder, *map(from_merchant, names))
        assert column.appearing() == names
        assert len(column.texts) < 130
    assert column.texts is not before.texts
    assert before.appearing() == ["m0"]


def test_no_records_make_no_events() -> None:
    columns, rejections = Decoder(FACTS["orders"], TEXTS).decode([], [])
    assert len(columns) == 0
    assert rejections == []


JANUARY_2025_MS = 1_735_689_600_000
"""The kuna (HRK), withdrawn in January 2023, is good no more from here on."""


@pytest.mark.parametrize("is_compiled", [IS_BUILT, False])
def test_a_withdrawn_currency_is_judged_by_each_events_time_also_where_it_was_met_before(*, is_compiled: bool) -> None:
    """A text that was admitted once is known to the decoder, which must not admit it for ever."""
    times_ms = [JANUARY_2025_MS - 1, JANUARY_2025_MS, JANUARY_2025_MS - 5, JANUARY_2025_MS + 5]
    values = [encode(order(currency="HRK", ts=ts)) for ts in times_ms]
    values += [encode(order(currency="HRK", ts=times_ms[1], note="__x")), encode(order(ts=times_ms[1]))]
    decoder = Decoder(FACTS["orders"], TEXTS, is_compiled=is_compiled)
    for _ in range(2):
        columns, rejected = decoder.decode(values, [JANUARY_2025_MS] * 6)
        assert columns.indexes.tolist() == [0, 2, 5]
        assert [index for index, _ in rejected] == [1, 3, 4]
        for _, rejection in rejected:
            assert rejection.reason is Reason.UNKNOWN_CURRENCY
            assert rejection.detail == "currency: HRK was withdrawn in 2023-01, so it is good up to the end of 2024"


@pytest.mark.parametrize("is_compiled", [IS_BUILT, False])
def test_a_payers_withdrawn_currency_is_judged_too(*, is_compiled: bool) -> None:
    good = payment(ts=1_416_000_000_000, payer_currency="LTL", payer_amount_minor=5)
    decoder = Decoder(FACTS["payments"], TEXTS, is_compiled=is_compiled)
    columns, rejected = decoder.decode([encode(good), encode({**good, "ts": RECORD_TIME_MS})], [RECORD_TIME_MS] * 2)
    assert columns.indexes.tolist() == [0]
    assert [(index, rejection.reason) for index, rejection in rejected] == [(1, Reason.UNKNOWN_CURRENCY)]
