"""Both judges of a record, the audit's and the counter's, come to one verdict, and it is the contract's."""

from __future__ import annotations

import json
from typing import TYPE_CHECKING, Any

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from streams.audit.admission import SHAPES, Kind, _judge, admit
from streams.audit.batch_admission import ABSENT, BatchJudge
from streams.audit.currencies import CURRENCIES, LAST_YEARS, is_over
from streams.domain.currencies import END_MS, EXPONENTS, WITHDRAWN_MONTHS, is_good
from streams.domain.decoding import Decoder
from streams.domain.facts import FACTS
from streams.domain.rejections import Reason
from tests.unit.audit.bench import RECORD_TIME_MS, START_MS, box, encode, order, parcel, payment

if TYPE_CHECKING:
    from collections.abc import Callable

DECODERS = {topic: Decoder(fact, ()) for topic, fact in FACTS.items()}


def counters_verdict(topic: str, value: bytes | None) -> str | None:
    """Return the reason the counter rejects a record for, None where it is admitted."""
    columns, rejections = DECODERS[topic].decode([value], [RECORD_TIME_MS])
    assert len(columns) + len(rejections) == 1
    return rejections[0][1].reason.value if rejections else None


FIELDS = {topic: sorted({name for shape in SHAPES[topic].values() for name in shape.fields}) for topic in SHAPES}
BATCH_JUDGES = {topic: BatchJudge(topic, FIELDS[topic]) for topic in SHAPES}


def audits_verdict(topic: str, value: bytes | None, record_time_ms: int = RECORD_TIME_MS) -> str | None:
    """Return the same by the audit, having checked that its ways from the shortest to the longest agree."""
    verdict = admit(topic, value, record_time_ms)
    assert _declared(topic, _judge(topic, value, record_time_ms)) == _declared(topic, verdict)
    assert judged_in_a_batch(topic, value, record_time_ms) == _declared(topic, verdict)
    return verdict if isinstance(verdict, str) else None


def judged_in_a_batch(topic: str, value: bytes | None, record_time_ms: int) -> dict[str, Any] | str:
    """Return the reason for which a record is rejected between two good ones, or its type's fields."""
    good = encode(VALID[topic]())
    times_ms = np.array([RECORD_TIME_MS, record_time_ms, RECORD_TIME_MS])
    found, rejected = BATCH_JUDGES[topic].judge([good, value, good], times_ms)
    assert sorted([row for admitted in found for row in admitted.rows.tolist()] + list(rejected)) == [0, 1, 2]
    if rejected:
        return rejected[1]
    (admitted,) = [admitted for admitted in found if 1 in admitted.rows]
    place = admitted.rows.tolist().index(1)
    flags = {"true": True, "false": False}
    fields = {name: column[place] for name, column in admitted.columns.items() if column[place] not in {None, ABSENT}}
    return {name: flags[field] if name == "flash" else field for name, field in fields.items()}


def _declared(topic: str, verdict: dict[str, Any] | str) -> dict[str, Any] | str:
    """Return an admitted record without its unknown fields, in which the two parsers read huge numbers differently."""
    if isinstance(verdict, str):
        return verdict
    fields = SHAPES[topic][verdict["type"]].fields
    return {name: value for name, value in verdict.items() if name in fields}


HOSTILE: list[tuple[str, bytes | None, str | None]] = [
    ("no value at all", None, "null_value"),
    ("no bytes", b"", "empty"),
    ("blank", b"  ", "not_json"),
    ("larger than 64 KiB", encode(order("a", note="x" * 70_000)), "too_large"),
    ("exactly 64 KiB", encode(order("a", note="")).replace(b'""', b'"' + b"x" * 65_209 + b'"'), None),
    ("not UTF-8 in an unknown field", encode(order("a", note="?")).replace(b"?", b"\xff"), "not_utf8"),
    ("a surrogate written as UTF-8", encode(order("a", note="?")).replace(b"?", b"\xed\xa0\x80"), "not_utf8"),
    ("a byte-order mark", b"\xef\xbb\xbf" + encode(order("a")), "not_json"),
    ("NaN in an unknown field", encode(order("a", note=float("nan"))), "not_json"),
    ("half a surrogate pair", encode(order("a", note="?")).replace(b"?", rb"\ud83d"), "not_json"),
    ("half a pair in a name", encode(order("a", note=1)).replace(b"note", rb"\ud83d"), "not_json"),
    ("half a pair that is overwritten", encode(order("a")).replace(b"{", rb'{"n":"\udc00","n":1,', 1), "not_json"),
    ("a whole pair", encode(order("a", note="?")).replace(b"?", rb"\ud83d\ude00"), None),
    ("an escaped backslash before ud83d", encode(order("a", note="?")).replace(b"?", rb"\\ud83d"), None),
    ("an array", b"[1]", "not_an_object"),
    ("null", b"null", "not_an_object"),
    ("128 levels", encode(order("a", note=0)).replace(b'"note": 0', b'"note":' + b"[" * 127 + b"]" * 127), None),
    ("129 levels", encode(order("a", note=0)).replace(b'"note": 0', b'"note":' + b"[" * 128 + b"]" * 128), "not_json"),
    ("nested 30,000 deep", b"[" * 30_000 + b"]" * 30_000, "not_json"),
    ("brackets in a text", encode(order("a", note="[{" * 300)), None),
    ("no type", encode({"event_id": "a"}), "missing_field"),
    ("a type that is no text", encode(order("a", type=1)), "wrong_type"),
    ("another topic's type", encode(order("a", type="payment_captured")), "unknown_type"),
    ("no merchant", encode({k: v for k, v in order("a").items() if k != "merchant"}), "missing_field"),
    ("a text for an integer", encode(order("a", amount_minor="12")), "wrong_type"),
    ("1.5", encode(order("a", amount_minor=1.5)), "wrong_type"),
    ("1.0", encode(order("a", amount_minor=1.0)), "wrong_type"),
    ("1e3", encode(order("a")).replace(b"1000,", b"1e3,", 1), "wrong_type"),
    ("true for an integer", encode(order("a", amount_minor=True)), "wrong_type"),
    ("null for an optional field", encode(order("a", brand=None)), "wrong_type"),
    ("400 digits", encode(order("a", amount_minor=0)).replace(b": 0,", b": " + b"9" * 400 + b",", 1), "out_of_range"),
    ("5,000 digits nobody reads", encode(order("a", n=0)).replace(b'"n": 0', b'"n": ' + b"9" * 5000), None),
    ("a negative amount", encode(order("a", amount_minor=-1)), "out_of_range"),
    ("the largest amount", encode(order("a", amount_minor=10**13)), None),
    ("more than the largest", encode(order("a", amount_minor=10**13 + 1)), "out_of_range"),
    ("an empty id", encode(order("")), "out_of_range"),
    ("64 code points", encode(order("é" * 64)), None),
    ("65 code points", encode(order("é" * 65)), "out_of_range"),
    ("an id of ours", encode(order("__other__")), "out_of_range"),
    ("an id of ours in disguise", encode(order("?")).replace(b"?", rb"\u005f\u005f"), "out_of_range"),
    ("an unknown currency", encode(order("a", currency="XXX")), "unknown_currency"),
    ("small letters", encode(order("a", currency="cny")), "unknown_currency"),
    ("discounts above the amount", encode(order("a", coupon_minor=900, credit_minor=101)), "discount_exceeds_amount"),
    ("discounts of the amount", encode(order("a", coupon_minor=900, credit_minor=100)), None),
    ("ordered after it happened", encode(order("a", ordered_ts=START_MS + 1_001)), "time_order"),
    ("5 minutes ahead", encode(order("a", ts=RECORD_TIME_MS + 300_000)), None),
    ("more than 5 minutes ahead", encode(order("a", ts=RECORD_TIME_MS + 300_001)), "future_event"),
    ("a key given twice, the last is good", encode(order("a")).replace(b"{", b'{"ts": "x", ', 1), None),
    ("a key given twice, the last is bad", encode(order("a")).replace(b"}", b', "ts": "x"}'), "wrong_type"),
    ("an id given twice", encode(order("a")).replace(b"{", b'{"event_id": "b", ', 1), None),
    ("a type given twice", encode(order("a")).replace(b"}", b', "type": "order_cancelled"}'), None),
    ("a type given twice, the last is bad", encode(order("a")).replace(b"}", b', "type": "no"}'), "unknown_type"),
    ("minus zero", encode(order("a")).replace(b'"credit_minor": 7', b'"credit_minor": -0'), None),
    ("a control character", encode(order("a")).replace(b"tmall", b"tm\nall"), "not_json"),
    ("an escaped null", encode(order("a", platform="t\x00")), None),
    ("two objects", encode(order("a")) + b"{}", "not_json"),
    ("a comma too many", encode(order("a")).replace(b"}", b",}"), "not_json"),
]


@pytest.mark.parametrize(("value", "verdict"), [case[1:] for case in HOSTILE], ids=[case[0] for case in HOSTILE])
def test_a_hostile_order_gets_the_same_verdict_twice(value: bytes | None, verdict: str | None) -> None:
    """Each rule of the contract, at its edge."""
    assert audits_verdict("orders", value) == verdict
    assert counters_verdict("orders", value) == verdict


@pytest.mark.parametrize(
    ("changes", "verdict"),
    [
        ({}, None),
        ({"payer_currency": ...}, "missing_field"),
        ({"payer_amount_minor": ...}, "missing_field"),
        ({"payer_currency": ..., "payer_amount_minor": ...}, "missing_field"),
        ({"payer_currency": ..., "payer_amount_minor": ..., "transport_minor": 0, "duty_minor": ...}, None),
        ({"payer_currency": ..., "payer_amount_minor": ..., "transport_minor": ..., "duty_minor": 1}, "missing_field"),
        ({"type": "payment_failed"}, "missing_field"),
        ({"type": "payment_failed", "reason": "declined"}, None),
        ({"type": "payment_failed", "reason": ""}, "out_of_range"),
        ({"payer_currency": "XAU"}, "unknown_currency"),
    ],
)
def test_a_payment_gets_the_same_verdict_twice(changes: dict[str, Any], verdict: str | None) -> None:
    """The rules between the fields of a payment; `...` takes a field away."""
    value = encode({k: v for k, v in payment("a", **changes).items() if v is not ...})
    assert audits_verdict("payments", value) == verdict
    assert counters_verdict("payments", value) == verdict


ODD = st.one_of(
    st.none(),
    st.booleans(),
    st.integers(-(10**20), 10**20),
    st.sampled_from([0, -1, 10**13, 10**13 + 1, RECORD_TIME_MS + 300_001, 2**63, 2**64, 253_402_300_800_000]),
    st.floats(),
    st.text(max_size=70),
    st.sampled_from(["", "__x", "x" * 64, "x" * 65, "CNY", "XXX", "order_placed", "payment_failed", "é", "\x00"]),
    st.lists(st.integers(), max_size=2),
    st.dictionaries(st.text(max_size=3), st.integers(), max_size=2),
)


EARLY = {"ts": START_MS + 1_000, "ordered_ts": START_MS, "shipped_ts": START_MS + 500}
VALID: dict[str, Callable[[], dict[str, Any]]] = {
    "orders": lambda: order("a"),
    "payments": lambda: payment("a", reason="declined"),
    "parcels": lambda: parcel("a", **EARLY),
    "recycling": lambda: box("a", ts=START_MS),
}
"""A valid record of each topic, no later than the record's time."""


@st.composite
def mutated_records(draw: st.DrawFn) -> tuple[str, bytes]:
    """Return a topic and a valid record of it with fields changed, taken away or added, and perhaps bytes changed."""
    topic = draw(st.sampled_from(sorted(SHAPES)))
    fields = VALID[topic]()
    fields["type"] = draw(st.sampled_from(sorted(SHAPES[topic])))
    names = sorted(fields.keys() | {"ordered_ts", "note"})
    for name in draw(st.lists(st.sampled_from(names), max_size=3)):
        if draw(st.booleans()):
            fields[name] = draw(ODD)
        else:
            fields.pop(name, None)
    value = json.dumps(fields, ensure_ascii=draw(st.booleans())).encode("utf-8", "surrogatepass")
    for _ in range(draw(st.integers(0, 2))):
        at = draw(st.integers(0, len(value)))
        value = value[:at] + draw(st.binary(max_size=3)) + value[at + draw(st.integers(0, 3)) :]
    return topic, value


@settings(max_examples=800, deadline=None)
@given(mutated_records())
def test_mutated_records_get_the_same_verdict_twice(record: tuple[str, bytes]) -> None:
    """Whatever is done to a valid record."""
    topic, value = record
    assert audits_verdict(topic, value) == counters_verdict(topic, value)


@settings(max_examples=300, deadline=None)
@given(st.sampled_from(sorted(SHAPES)), st.binary(max_size=40))
def test_arbitrary_bytes_get_the_same_verdict_twice(topic: str, value: bytes) -> None:
    """Whatever lies on the topic."""
    assert audits_verdict(topic, value) == counters_verdict(topic, value)


def test_every_verdict_is_on_the_closed_list() -> None:
    """The words of the cases above are the counter's reasons, all of them."""
    told = {verdict for _, _, verdict in HOSTILE if verdict} | {"out_of_range"}
    assert told == set(Reason)


def test_the_two_currency_lists_agree() -> None:
    """Each was typed in by itself: codes, digits, and until when a withdrawn one is good."""
    assert CURRENCIES == EXPONENTS
    assert {code: int(month[:4]) + 1 for code, month in WITHDRAWN_MONTHS.items()} == LAST_YEARS
    for code, end_ms in END_MS.items():
        assert not is_over(code, end_ms - 1)
        assert is_good(code, end_ms - 1)
        assert is_over(code, end_ms)
        assert not is_good(code, end_ms)


_OVER = {"ts": 1_735_689_600_000, "currency": "HRK"}
"""2025-01-01T00:00:00Z; the kuna was withdrawn in January 2023."""


@pytest.mark.parametrize(
    ("topic", "event", "expected"),
    [
        ("orders", order("a", **_OVER), "unknown_currency"),
        ("orders", order("a", **_OVER | {"ts": 1_735_689_599_999}), None),
        ("orders", order("a", **_OVER | {"ordered_ts": 1_700_000_000_000}), "unknown_currency"),
        ("orders", order("a", **_OVER | {"ordered_ts": 1_800_000_000_000}), "unknown_currency"),
        ("orders", order("a", **_OVER | {"amount_minor": -1}), "out_of_range"),
        ("orders", order("a", **_OVER | {"coupon_minor": 10**13}), "unknown_currency"),
        ("payments", payment("a", **_OVER), "unknown_currency"),
        ("payments", payment("a", ts=_OVER["ts"], payer_currency="HRK"), "unknown_currency"),
        ("payments", payment("a", **_OVER | {"payer_amount_minor": ...}), "unknown_currency"),
        ("payments", payment("a", ts=1_700_000_000_000, ordered_ts=..., payer_currency="HRK"), None),
    ],
)
def test_both_judge_a_withdrawn_currency_by_the_time_of_the_event(
    topic: str, event: dict[str, Any], expected: str | None
) -> None:
    """By `ts`, not by the time of the order, and before what fields say about each other."""
    value = encode({name: field for name, field in event.items() if field is not ...})
    record_time_ms = 1_790_000_000_000
    assert audits_verdict(topic, value, record_time_ms) == expected
    _, rejections = DECODERS[topic].decode([value], [record_time_ms])
    assert [rejection.reason.value for _, rejection in rejections] == ([expected] if expected else [])


@pytest.mark.parametrize("topic", sorted(FACTS))
def test_the_two_field_lists_agree(topic: str) -> None:
    """A field added to a fact must be added to the audit, which shares no declaration with it."""
    theirs = {field.name for field in FACTS[topic].fields}
    assert {name for shape in SHAPES[topic].values() for name in shape.fields} == theirs
    assert set(SHAPES[topic]) == set(FACTS[topic].types)


def test_parcels_and_boxes_are_judged_by_the_contract() -> None:
    """The facts that have their own rules: what must follow an order, operators, flags, counts."""
    parcel = {"type": "parcel_delivered", "event_id": "a", "ts": 10, "ordered_ts": 5, "order_id": "o",
              "parcel_id": "p", "carrier": "c", "origin": "CN", "market": "RU", "shipped_ts": 7}  # fmt: skip
    box = {"type": "box_recycled", "event_id": "a", "ts": 10, "station": "s", "operator": "cainiao", "city": "c",
           "district": "d", "boxes": 1, "points": 0, "flash": True}  # fmt: skip
    for topic, fields, verdict in (
        ("parcels", parcel, None),
        ("parcels", parcel | {"shipped_ts": 11}, "time_order"),
        ("parcels", parcel | {"shipped_ts": "x"}, "wrong_type"),
        ("parcels", parcel | {"type": "parcel_shipped", "shipped_ts": 11}, None),
        ("parcels", parcel | {"type": "parcel_shipped", "shipped_ts": "x"}, None),
        ("parcels", {k: v for k, v in parcel.items() if k != "ordered_ts"}, "missing_field"),
        ("recycling", box, None),
        ("recycling", box | {"boxes": 0}, "out_of_range"),
        ("recycling", box | {"points": 10**13 + 1}, "out_of_range"),
        ("recycling", box | {"operator": "me"}, "out_of_range"),
        ("recycling", box | {"operator": 1}, "wrong_type"),
        ("recycling", box | {"flash": 1}, "wrong_type"),
        ("recycling", box | {"boxes": True}, "wrong_type"),
    ):
        assert audits_verdict(topic, encode(fields)) == verdict, fields
        assert counters_verdict(topic, encode(fields)) == verdict, fields
    assert {kind for shapes in SHAPES.values() for shape in shapes.values() for kind in shape.fields.values()} == set(
        Kind
    )
