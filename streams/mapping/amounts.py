"""Numbers and money: exact, or a bad row. No amount is ever calculated in floating point."""

from __future__ import annotations

import re
import unicodedata
from decimal import Context, Decimal, DecimalException
from typing import TYPE_CHECKING, Any

from streams.domain.currencies import EXPONENTS
from streams.mapping.problems import BadValueError, Problem, shown
from streams.mapping.values import JsonExponent, JsonFraction, is_exponent_form

if TYPE_CHECKING:
    from collections.abc import Mapping

NEAR = Decimal("0.000001")
"""How far a floating-point amount may be from a whole number of minor units, in the unit of its column."""
_EXACT = Context(prec=100)
"""Digits enough that no admitted amount is rounded: `NUMBER_LENGTH` bounds a text, and a float needs 17."""
NUMBER_LENGTH = 60
LARGEST = 10**18
"""Beyond all ranges of the fields, and still an integer that JSON encoders write."""
_NUMBER = re.compile(r"[+-]?(?:\d+(?:\.\d*)?|\.\d+)", re.ASCII)
_SMALL = re.compile(rf"{_NUMBER.pattern}[eE]-\d{{1,2}}", re.ASCII)
"""What a program writes for a float near 0, such as 5.5e-17."""
_EXPONENT = re.compile(rf"{_NUMBER.pattern}[eE][+-]?\d+", re.ASCII)


def as_number(value: Any) -> Decimal | None:  # noqa: ANN401 - whatever the file holds
    """Return a value as an exact number, None for an empty one. Raises `BadValueError`."""
    if value is None or (isinstance(value, str) and not value.strip()):
        return None
    if isinstance(value, str):
        return parse_number(value)
    if isinstance(value, JsonExponent):
        raise BadValueError(Problem.BAD_AMOUNT, _rounded(str(value)))
    if isinstance(value, (int, float, Decimal)) and not isinstance(value, bool):
        # The digits a float is written with: its binary value may be 0.000002 beside a large amount it stands for.
        number = Decimal(repr(value)) if isinstance(value, float) else Decimal(value)
        if number.is_finite():
            return number
    raise BadValueError(Problem.BAD_NUMBER, f"{shown(value)} is not a number")


def parse_number(text: str, decimal: str = ".", thousands: str = "", *, is_floating: bool = False) -> Decimal:
    """Return the number in a text, exactly; `thousands` may stand between groups of three digits only.

    One currency sign before or after the number is taken off. With `is_floating` a negative exponent is admitted:
    programs write floats near 0 with one. Raises `BadValueError`.
    """
    plain = _without_sign(text.strip())
    if thousands and thousands in plain:
        whole, point, fraction = plain.partition(decimal)
        head, *groups = whole.lstrip("+-").split(thousands)
        if not 1 <= len(head) <= 3 or any(len(group) != 3 for group in groups):  # noqa: PLR2004 - groups of three
            raise BadValueError(Problem.BAD_NUMBER, f"{shown(text)} is not grouped by threes")
        plain = whole.replace(thousands, "") + point + fraction
    if decimal != ".":
        # A point would be the other notation's, not a second way to write this one.
        plain = plain.replace(".", "?").replace(decimal, ".")
    if len(plain) <= NUMBER_LENGTH and (_NUMBER.fullmatch(plain) or (is_floating and _SMALL.fullmatch(plain))):
        return Decimal(plain)
    if _EXPONENT.fullmatch(plain) or is_exponent_form(plain):
        raise BadValueError(Problem.BAD_AMOUNT, _rounded(text))
    raise BadValueError(Problem.BAD_NUMBER, f"{shown(text)} is not a number")


def _rounded(text: str) -> str:
    return f"{shown(text)} is in exponent form, its digits may be lost: export the column as plain numbers"


def _without_sign(text: str) -> str:
    """Return a number's text without one currency sign: ¥12.50, 12.50 €, -$5."""
    minus = text[:1] if text[:1] in {"+", "-"} else ""
    body = text[len(minus) :].lstrip()
    if body and unicodedata.category(body[0]) == "Sc":
        return minus + body[1:].lstrip()
    if body and unicodedata.category(body[-1]) == "Sc":
        return minus + body[:-1].rstrip()
    return text


class Amounts:
    """Reads the money of one field, in major units of a currency or already in minor ones."""

    def __init__(
        self,
        *,
        is_major: bool,
        decimal: str = ".",
        thousands: str = "",
        is_floating: bool = False,
        digits: Mapping[str, int] | None = None,
    ) -> None:
        """`is_floating`: texts too were written from floating-point numbers, and are rounded like those.

        `digits`: how many digits the minor unit has where the numbers come from, by currency; of others ISO 4217's.
        """
        self._is_major = is_major
        self._decimal = decimal
        self._thousands = thousands
        self._is_floating = is_floating
        self._digits = dict(digits or {})

    def read(self, value: Any, currency: str) -> int | None:  # noqa: ANN401 - whatever the file holds
        """Return a value in minor units of `currency`, None for an empty one. Raises `BadValueError`.

        Floating-point numbers are rounded to the minor unit they mean; decimals must be whole minor units exactly.
        """
        if type(value) is float and not value:
            return 0  # most discounts are 0, and this is half of their cost
        if isinstance(value, str) and value.strip():
            amount: Decimal | None = parse_number(value, self._decimal, self._thousands, is_floating=self._is_floating)
        else:
            amount = as_number(value)
        if amount is None:
            return None
        exponent = self._exponent(currency)
        try:
            minor = _EXACT.scaleb(amount, exponent)
            whole = _EXACT.to_integral_value(minor)
        except DecimalException:
            raise BadValueError(Problem.BAD_AMOUNT, f"{shown(value)} is not an amount") from None
        if abs(whole) > LARGEST:
            raise BadValueError(Problem.OUT_OF_RANGE, f"{shown(value)} is out of range")
        if minor != whole:
            is_floating = isinstance(value, float | JsonFraction) or (self._is_floating and isinstance(value, str))
            distance = abs(_EXACT.scaleb(_EXACT.subtract(minor, whole), -exponent))
            if not is_floating or distance > NEAR:
                is_minor = not self._is_major and currency not in self._digits
                unit = "one minor unit" if is_minor else f"the minor unit of {currency}"
                raise BadValueError(Problem.BAD_AMOUNT, f"{shown(value)} is finer than {unit}")
        return int(whole)

    def _exponent(self, currency: str) -> int:
        """Return the power of ten that makes minor units of what the field holds."""
        if self._is_major:
            return EXPONENTS[currency]
        if currency in self._digits:
            return EXPONENTS[currency] - self._digits[currency]
        return 0
