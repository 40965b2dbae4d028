"""JSON as the contract wants it, by two parsers: a fast one that may only admit, a slow one that knows why not."""

from __future__ import annotations

import json
import re
from typing import Any, Final

import orjson

DEEPEST: Final = 128
"""Levels of arrays and objects in a record."""
_MOST_DIGITS: Final = 30
"""Longer integers are out of every range; Python refuses to convert those of thousands of digits."""
_HUGE: Final[int] = 10**_MOST_DIGITS
_STRING: Final = re.compile(r'"(?:[^"\\]|\\.)*"', re.DOTALL)


class NotJSONError(ValueError):
    """The text is not JSON, or JSON that the contract does not admit."""


def parse_plain(value: bytes) -> object:
    """Return the JSON value of a record that is beyond doubt, None where `parse` must decide."""
    if value.count(b"{") + value.count(b"[") > DEEPEST:
        return None
    try:
        return orjson.loads(value)
    except orjson.JSONDecodeError:
        return None


def parse(value: bytes) -> object:
    """Return the JSON value; the last value counts of a key that is given twice.

    Raises `UnicodeDecodeError` where a byte is not UTF-8, `NotJSONError` on anything else that is wrong.
    """
    text = value.decode()
    if _depth(text) > DEEPEST:
        raise NotJSONError("nested too deep")
    try:
        parsed = json.loads(text, parse_int=_integer, parse_constant=_refuse_constant, object_pairs_hook=_object)
    except json.JSONDecodeError as error:
        raise NotJSONError(str(error)) from error
    _refuse_surrogates(parsed)
    return parsed


def _depth(text: str) -> int:
    """Return how many arrays and objects lie within each other at most, whether or not `text` is JSON."""
    depth = deepest = 0
    for mark in re.findall(r"[\[\]{}]", _STRING.sub("", text)):
        depth += 1 if mark in "[{" else -1
        deepest = max(deepest, depth)
    return deepest


def _integer(digits: str) -> int:
    if len(digits) <= _MOST_DIGITS:
        return int(digits)
    return _HUGE if digits[0] != "-" else -_HUGE


def _refuse_constant(name: str) -> None:
    raise NotJSONError(name)


def _object(pairs: list[tuple[str, Any]]) -> dict[str, Any]:
    # Looked at here and not afterwards: the first value of a key given twice is gone then.
    for name, value in pairs:
        _refuse_surrogates(name)
        _refuse_surrogates(value)
    return dict(pairs)


def _refuse_surrogates(value: object) -> None:
    """Raise where a string in `value`, objects in it left out, holds half a surrogate pair."""
    if isinstance(value, str):
        try:
            value.encode()
        except UnicodeEncodeError as error:
            raise NotJSONError(str(error)) from None
    elif isinstance(value, list):
        for item in value:
            _refuse_surrogates(item)
