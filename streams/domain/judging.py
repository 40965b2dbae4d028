"""The verdict on one record, by the contract's rules field by field: slow, and the only place that names reasons."""

from __future__ import annotations

import json
import re
from typing import TYPE_CHECKING, Any, NoReturn

from streams.domain.currencies import EXPONENTS
from streams.domain.facts import Fact, Field, Kind
from streams.domain.limits import DEPTH_LIMIT, TEXT_LIMIT, VALUE_LIMIT_BYTES
from streams.domain.rejections import Reason, Rejection

if TYPE_CHECKING:
    from collections.abc import Mapping

    import msgspec

_INTEGER_DIGITS = 30
_HUGE = int("9" * _INTEGER_DIGITS)
"""Integers with more digits are out of any range; Python refuses to parse very long ones."""

_NOT_BRACKETS = re.compile(r'"(?:[^"\\]|\\.)*"?|[^\[\]{}"]+', re.DOTALL)
_PAIR = re.compile(r"\\u[dD][89abAB][0-9a-fA-F]{2}\\u[dD][c-fC-F][0-9a-fA-F]{2}")
_SURROGATE = re.compile(r"\\u[dD][89a-fA-F]")


def judge(fact: Fact, value: bytes | None) -> msgspec.Struct | Rejection:
    """Return the event in one record, or why there is none."""
    parsed = parse_object(value)
    if isinstance(parsed, Rejection):
        return parsed
    rejection = _check_type(fact, parsed)
    if rejection is not None:
        return rejection
    given: dict[str, Any] = {"type": parsed["type"]}
    for field in fact.fields:
        if not field.is_of(parsed["type"]):
            continue
        if field.name in parsed:
            rejection = _check(field, parsed[field.name])
            if rejection is not None:
                return rejection
            given[field.name] = parsed[field.name]
        elif field.is_required:
            return Rejection(Reason.MISSING_FIELD, f"{field.name}: missing")
    return fact.event(**given)


def _check_type(fact: Fact, parsed: Mapping[str, object]) -> Rejection | None:
    if "type" not in parsed:
        return Rejection(Reason.MISSING_FIELD, "type: missing")
    event_type = parsed["type"]
    if not isinstance(event_type, str):
        return Rejection(Reason.WRONG_TYPE, f"type: expected a text, found {_found(event_type)}")
    if event_type not in fact.types:
        expected = ", ".join(fact.types)
        return Rejection(Reason.UNKNOWN_TYPE, f"type: {_found(event_type)} is not one of {expected}")
    return None


def parse_object(value: bytes | None) -> dict[str, Any] | Rejection:  # noqa: PLR0911 - one return per verdict
    """Return the JSON object of a record value; the last value counts of a key that is given twice."""
    if value is None:
        return Rejection(Reason.NULL_VALUE, "the record has no value")
    if not value:
        return Rejection(Reason.EMPTY, "the record's value has no bytes")
    if len(value) > VALUE_LIMIT_BYTES:
        return Rejection(Reason.TOO_LARGE, f"{len(value)} bytes, at most {VALUE_LIMIT_BYTES}")
    try:
        text = value.decode()
    except UnicodeDecodeError as error:
        return Rejection(Reason.NOT_UTF8, f"byte {error.start} is not UTF-8")
    if _depth(text) > DEPTH_LIMIT:
        return Rejection(Reason.NOT_JSON, f"nested deeper than {DEPTH_LIMIT} levels")
    if _SURROGATE.search(_PAIR.sub("", text.replace("\\\\", " "))):
        return Rejection(Reason.NOT_JSON, "a lone surrogate in a text")
    try:
        parsed = _JSON.decode(text)
    except ValueError as error:
        return Rejection(Reason.NOT_JSON, str(error))
    if not isinstance(parsed, dict):
        return Rejection(Reason.NOT_AN_OBJECT, f"expected a JSON object, found {_found(parsed)}")
    return parsed


def _depth(text: str) -> int:
    """Return how deep brackets nest, counting those inside strings out."""
    depth = deepest = 0
    bracket: str
    for bracket in _NOT_BRACKETS.sub("", text):
        depth += 1 if bracket in "[{" else -1
        deepest = max(deepest, depth)
    return deepest


def _refuse_constant(name: str) -> NoReturn:
    raise ValueError(f"{name} is not JSON")


def _integer(digits: str) -> int:
    """Return an integer, or for one of very many digits another that is out of every range too."""
    if len(digits) > _INTEGER_DIGITS:
        return -_HUGE if digits.startswith("-") else _HUGE
    return int(digits)


class _Fraction(float):
    """A JSON number with a fraction or an exponent: never an integer here, whatever its value."""


_JSON = json.JSONDecoder(parse_constant=_refuse_constant, parse_int=_integer, parse_float=_Fraction)


def _found(value: object) -> str:
    """Return what a value is, short, for a sentence."""
    return json.dumps(value, ensure_ascii=False)[:60]


def _check(field: Field, value: object) -> Rejection | None:
    """Return why `value` is not admitted in `field`, or None."""
    limits = field.number_limits()
    sentence = f"{field.name}: expected {_expected(field)}, found {_found(value)}"
    if limits is not None:
        least, most = limits
        if type(value) is not int:
            return Rejection(Reason.WRONG_TYPE, sentence)
        return None if least <= value <= most else Rejection(Reason.OUT_OF_RANGE, sentence)
    if field.kind is Kind.FLAG:
        return None if isinstance(value, bool) else Rejection(Reason.WRONG_TYPE, sentence)
    if not isinstance(value, str):
        return Rejection(Reason.WRONG_TYPE, sentence)
    if field.kind is Kind.CURRENCY:
        return None if value in EXPONENTS else Rejection(Reason.UNKNOWN_CURRENCY, sentence)
    fits = 0 < len(value) <= TEXT_LIMIT and not value.startswith("__") and (not field.choices or value in field.choices)
    return None if fits else Rejection(Reason.OUT_OF_RANGE, sentence)


def _expected(field: Field) -> str:
    """Return what a field admits, for a sentence."""
    return f"one of {', '.join(field.choices)}" if field.choices else field.kind.value
