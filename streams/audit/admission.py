"""Which records are valid, and why not: the contract's rules, written a second time for the audit.

`admit` takes the bytes of one record and gives its fields or the reason it is rejected for. A record that
meets every rule on a short path is admitted there; anything else is judged again, field by field, on the value
another parser gave. The short path never rejects.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from enum import Enum
from typing import Any, Final

from streams.audit.currencies import CURRENCIES, is_over
from streams.audit.strict_json import NotJSONError, parse, parse_plain

MOST_BYTES: Final = 64 * 1024
"""A larger record is rejected (contract 1)."""
MOST_MINOR: Final = 10**13
"""The largest amount of money in one field, in minor units."""
MOST_COUNTED: Final = 10**13
"""The largest number of boxes or points in one record."""
LATEST_MS: Final = 253_402_300_799_999
"""The last millisecond of the year 9999."""
LONGEST_TEXT: Final = 64
"""Code points of an identifier."""
AHEAD_MS: Final = 5 * 60_000
"""How far event time may run ahead of record time."""

Fields = dict[str, Any]


class Kind(Enum):
    """What a field may hold; integers with their bounds."""

    TEXT = "text"
    CURRENCY = "currency"
    FLAG = "flag"
    OPERATOR = "operator"
    TIME = (0, LATEST_MS)
    MONEY = (0, MOST_MINOR)
    COUNT = (1, MOST_COUNTED)
    POINTS = (0, MOST_COUNTED)


OPERATORS: Final = ("cainiao", "partner")


@dataclass(frozen=True)
class Shape:
    """The fields of one event type, in the order they are judged in."""

    fields: dict[str, Kind]
    optional: frozenset[str]
    texts: tuple[str, ...]
    integers: tuple[tuple[str, int, int], ...]
    others: tuple[tuple[str, Kind], ...]
    """Fields that are neither plain text nor integers."""
    currencies: tuple[str, ...]
    declared: str
    """The words it was made of."""


def _shape(declared: str) -> Shape:
    """Return the shape declared as words `name`, `name:kind` or `name:kind?` (optional)."""
    fields = {}
    optional = set()
    for word in declared.split():
        name, _, kind = word.rstrip("?").partition(":")
        fields[name] = Kind[kind.upper()] if kind else Kind.TEXT
        if word.endswith("?"):
            optional.add(name)
    return Shape(
        fields,
        frozenset(optional),
        tuple(name for name, kind in fields.items() if kind is Kind.TEXT),
        tuple((name, *kind.value) for name, kind in fields.items() if isinstance(kind.value, tuple)),
        tuple((name, kind) for name, kind in fields.items() if isinstance(kind.value, str) and kind is not Kind.TEXT),
        tuple(name for name, kind in fields.items() if kind is Kind.CURRENCY),
        declared,
    )


_PAYMENT = """
    event_id ts:time ordered_ts:time? order_id payment_id platform merchant market method currency:currency
    amount_minor:money payer_currency:currency? payer_amount_minor:money? transport_minor:money? duty_minor:money?
    brand?"""
_ORDER = """
    event_id ts:time ordered_ts:time? order_id platform merchant market currency:currency amount_minor:money
    coupon_minor:money? credit_minor:money? category? brand? buyer?"""
_PARCEL = "event_id ts:time ordered_ts:time order_id parcel_id carrier origin market"
_BOX = """
    event_id ts:time ordered_ts:time? station operator:operator city district boxes:count points:points
    flash:flag? user?"""

Shapes = Mapping[str, Mapping[str, Shape]]
SHAPES: Final[Shapes] = {
    "orders": {"order_placed": _shape(_ORDER), "order_cancelled": _shape(_ORDER)},
    "payments": {
        "payment_captured": _shape(_PAYMENT),
        "payment_failed": _shape(_PAYMENT + " reason"),
        "payment_refunded": _shape(_PAYMENT),
    },
    "parcels": {
        "parcel_shipped": _shape(_PARCEL),
        "parcel_cleared": _shape(_PARCEL + " shipped_ts:time?"),
        "parcel_delivered": _shape(_PARCEL + " shipped_ts:time?"),
    },
    "recycling": {"box_recycled": _shape(_BOX)},
}
"""Event types per topic, without what a shop declares."""


def with_declared(declared: Mapping[str, Mapping[str, str]]) -> Shapes:
    """Return the shapes with declared fields (topic → name → kind), each optional, behind all others by name."""
    words = {topic: "".join(f" {n}:{kind}?" for n, kind in sorted(of.items())) for topic, of in declared.items()}
    return {
        topic: {event_type: _shape(shape.declared + words.get(topic, "")) for event_type, shape in types.items()}
        for topic, types in SHAPES.items()
    }


def admit(topic: str, value: bytes | None, record_time_ms: int, shapes: Shapes = SHAPES) -> Fields | str:
    """Return the fields of a valid record, or the reason (a word of the contract's list) it is rejected for."""
    if value is not None and len(value) <= MOST_BYTES:
        fields = parse_plain(value)
        if type(fields) is dict:
            name = fields.get("type")
            shape = shapes[topic].get(name) if type(name) is str else None
            if shape is not None and _is_plain(shape, fields) and _broken_rule(shape, fields, record_time_ms) is None:
                return fields
    return _judge(topic, value, record_time_ms, shapes)


def _is_plain(shape: Shape, fields: Fields) -> bool:
    """Say whether every field is there, of its type and in range."""
    optional = shape.optional
    for name in shape.texts:
        text = fields.get(name)
        if type(text) is str:
            if not 0 < len(text) <= LONGEST_TEXT or text[:2] == "__":
                return False
        elif name in fields or name not in optional:
            return False
    for name, least, most in shape.integers:
        number = fields.get(name)
        if type(number) is int:
            if not least <= number <= most:
                return False
        elif name in fields or name not in optional:
            return False
    return all(
        name in optional if name not in fields else _fault(kind, fields[name]) is None for name, kind in shape.others
    )


def _broken_rule(shape: Shape, fields: Fields, record_time_ms: int) -> str | None:
    """Return the reason for which fields that are each valid do not go together.

    Only declared fields are looked at: of another type's field this type knows nothing.
    """
    get = fields.get
    ts = fields["ts"]
    if any(is_over(get(name), ts) for name in shape.currencies):
        return "unknown_currency"
    if "payer_currency" in shape.fields:
        has_payer = "payer_currency" in fields
        if has_payer != ("payer_amount_minor" in fields):
            return "missing_field"
        if not has_payer and (get("transport_minor", 0) or get("duty_minor", 0)):
            return "missing_field"
    if "coupon_minor" in shape.fields and get("coupon_minor", 0) + get("credit_minor", 0) > fields["amount_minor"]:
        return "discount_exceeds_amount"
    if get("ordered_ts", 0) > ts or ("shipped_ts" in shape.fields and get("shipped_ts", 0) > ts):
        return "time_order"
    return "future_event" if ts > record_time_ms + AHEAD_MS else None


def _judge(topic: str, value: bytes | None, record_time_ms: int, shapes: Shapes = SHAPES) -> Fields | str:
    """Judge a record by every rule in turn."""
    if not value:
        return "null_value" if value is None else "empty"
    if len(value) > MOST_BYTES:
        return "too_large"
    try:
        fields = parse(value)
    except UnicodeDecodeError:
        return "not_utf8"
    except NotJSONError:
        return "not_json"
    return _judge_object(shapes[topic], fields, record_time_ms) if isinstance(fields, dict) else "not_an_object"


def _judge_object(types: Mapping[str, Shape], fields: Fields, record_time_ms: int) -> Fields | str:
    if "type" not in fields:
        return "missing_field"
    if not isinstance(fields["type"], str):
        return "wrong_type"
    shape = types.get(fields["type"])
    if shape is None:
        return "unknown_type"
    for name, kind in shape.fields.items():
        absent = None if name in shape.optional else "missing_field"
        fault = _fault(kind, fields[name]) if name in fields else absent
        if fault is not None:
            return fault
    return _broken_rule(shape, fields, record_time_ms) or fields


def _fault(kind: Kind, value: Any) -> str | None:  # noqa: ANN401 (any JSON)
    """Return what is wrong with one field."""
    if isinstance(kind.value, tuple):
        if type(value) is not int:
            return "wrong_type"
        least, most = kind.value
        return None if least <= value <= most else "out_of_range"
    if kind is Kind.FLAG:
        return None if type(value) is bool else "wrong_type"
    if type(value) is not str:
        return "wrong_type"
    if kind is Kind.CURRENCY:
        return None if value in CURRENCIES else "unknown_currency"
    is_fit = 0 < len(value) <= LONGEST_TEXT and value[:2] != "__" and (kind is Kind.TEXT or value in OPERATORS)
    return None if is_fit else "out_of_range"
