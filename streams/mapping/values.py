"""Values as texts, and as ids: an id is exactly what the shop wrote, or the row is bad.

Values are None, `str`, `int`, `bool`, `float`, `Decimal`, `JsonFraction` or `datetime`.
"""

from __future__ import annotations

import datetime as dt
import math
import re
from decimal import Decimal
from typing import Any

from streams.mapping.problems import BadValueError, Problem, shown

WHOLE_LIMIT = 10**15
"""From here on a spreadsheet, which keeps 15 digits, has made up the last ones; a float has from 2^53 on."""
_EXPONENT_FORM = re.compile(r"[+-]?\d+(?:[.,]\d*)?[eE][+-]\d+", re.ASCII)
"""As spreadsheets write a number that is too long for its cell. The hex id `7e10` has no sign behind its e."""


class JsonFraction(Decimal):
    """A number of a JSON file with a fraction or an exponent: exact as written, but mostly written from a float."""


class JsonExponent(JsonFraction):
    """One with an exponent that is not negative: digits were left out, so its value is not what was meant."""


def is_exponent_form(text: str) -> bool:
    """Return whether a text is a number that a spreadsheet has rounded, such as 2.01911E+17."""
    return _EXPONENT_FORM.fullmatch(text.strip()) is not None


def as_text(value: Any) -> str | None:  # noqa: ANN401 - whatever the file holds
    """Return a value as text, None for an empty one. Raises `BadValueError` for lists and objects.

    Whole numbers are written without a fraction, also those of a floating-point column: 330.0 is "330", NaN is empty.
    """
    if value is None or isinstance(value, str):
        return value or None
    if type(value) is int:
        return str(value)
    if isinstance(value, bool):
        return "true" if value else "false"
    if isinstance(value, float):
        if math.isnan(value):
            return None  # how programs write that a column of floats has nothing there
        if value.is_integer() and abs(value) < WHOLE_LIMIT:
            return str(int(value))
    if isinstance(value, (float, Decimal, dt.datetime)):
        return str(value)
    raise BadValueError(Problem.WRONG_TYPE, f"{shown(value)} is neither a text nor a number")


def as_id(value: Any) -> str | None:  # noqa: ANN401 - whatever the file holds
    """Return a value as an id, None for an empty one. Raises `BadValueError` for one that may have been rounded."""
    if isinstance(value, (float, JsonFraction)):
        raise BadValueError(
            Problem.WRONG_TYPE,
            f"{shown(value)} is a floating-point number, which rounds long ids: write the column as text",
        )
    if isinstance(value, str) and is_exponent_form(value):
        raise BadValueError(
            Problem.WRONG_TYPE,
            f"{shown(value)} is in exponent form, its digits are lost: format the column as text, and export again",
        )
    return as_text(value)
