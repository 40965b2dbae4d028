"""One cell of a file into one value of an event: texts, instants, amounts. Exact, or a bad row.

Cells are what the readers of `streams.replay.imports.tables` hand over: None, `str`, `int`, `bool`, `float`, `Decimal`,
`JsonFraction` or `datetime`. No amount is ever calculated in floating point.
"""

from __future__ import annotations

import datetime as dt
import re
from decimal import Context, Decimal, DecimalException
from enum import StrEnum
from typing import TYPE_CHECKING, Any

from streams.domain.currencies import EXPONENTS

if TYPE_CHECKING:
    from collections.abc import Sequence
    from zoneinfo import ZoneInfo

EPOCH = dt.datetime(1970, 1, 1, tzinfo=dt.UTC)
MILLISECOND = dt.timedelta(milliseconds=1)
NEAR = Decimal("0.000001")
"""How far a floating-point amount may be from a whole number of minor units, in the unit of its column."""
_EXACT = Context(prec=100)
"""Digits enough that no admitted amount is rounded: `AMOUNT_LENGTH` bounds a text, and a float needs 17."""
AMOUNT_LENGTH = 60
LARGEST = 10**18
"""Beyond all ranges of the fields, and still an integer that JSON encoders write."""
_NUMBER = re.compile(r"[+-]?(?:\d+(?:\.\d*)?|\.\d+)(?:[eE][+-]?\d{1,2})?", re.ASCII)
_EPOCH_FORMATS = {"epoch_s": Decimal(1000), "epoch_ms": Decimal(1), "epoch_us": Decimal("0.001")}
_WHOLE = re.compile(r"[+-]?\d{1,18}", re.ASCII)


class Problem(StrEnum):
    """Why a row cannot be read; a row that can, but is no valid event, has a reason of `streams.domain.rejections`."""

    UNREADABLE = "unreadable"
    NOT_UTF8 = "not_utf8"
    MISSING_FIELD = "missing_field"
    UNKNOWN_VALUE = "unknown_value"
    BAD_TEXT = "bad_text"
    BAD_TIME = "bad_time"
    BAD_AMOUNT = "bad_amount"
    BAD_NUMBER = "bad_number"


class BadValueError(Exception):
    """A cell that is not what the mapping says; `reason` counts, `detail` is the sentence."""

    def __init__(self, reason: str, detail: str) -> None:
        """Remember both."""
        super().__init__(detail)
        self.reason = reason
        self.detail = detail


class JsonFraction(Decimal):
    """A number of a JSON file with a fraction or an exponent: exact as written, but mostly written from a float."""


def shown(cell: object) -> str:
    """Return a cell for a sentence, short."""
    text = repr(cell) if isinstance(cell, str) else str(cell)
    return text if len(text) <= AMOUNT_LENGTH else f"{text[:AMOUNT_LENGTH]}…"


def as_text(cell: Any) -> str | None:  # noqa: ANN401 - whatever the file holds
    """Return a cell as text, None for an empty one. Raises `BadValueError` for lists and objects.

    Whole numbers are written without a fraction, also those of a floating-point column: 330.0 is "330".
    """
    if cell is None or isinstance(cell, str):
        return cell or None
    if type(cell) is int:
        return str(cell)
    if isinstance(cell, bool):
        return "true" if cell else "false"
    if isinstance(cell, float) and cell.is_integer():
        return str(int(cell))
    if isinstance(cell, (float, Decimal, dt.datetime)):
        return str(cell)
    raise BadValueError(Problem.BAD_TEXT, f"{shown(cell)} is neither a text nor a number")


def as_number(cell: Any) -> Decimal | None:  # noqa: ANN401 - whatever the file holds
    """Return a cell as an exact number, None for an empty one. Raises `BadValueError`."""
    if cell is None or (isinstance(cell, str) and not cell.strip()):
        return None
    if isinstance(cell, str):
        return parse_number(cell)
    if isinstance(cell, (int, float, Decimal)) and not isinstance(cell, bool):
        # The digits a float is written with: its binary value may be 0.000002 beside a large amount it stands for.
        number = Decimal(repr(cell)) if isinstance(cell, float) else Decimal(cell)
        if number.is_finite():
            return number
    raise BadValueError(Problem.BAD_NUMBER, f"{shown(cell)} is not a number")


def parse_number(text: str, decimal: str = ".", thousands: str = "") -> Decimal:
    """Return the number in a text, exactly; `thousands` may stand between groups of three digits only.

    Raises `BadValueError`.
    """
    plain = text.strip()
    if thousands and thousands in plain:
        whole, point, fraction = plain.partition(decimal)
        head, *groups = whole.lstrip("+-").split(thousands)
        if not 1 <= len(head) <= 3 or any(len(group) != 3 for group in groups):  # noqa: PLR2004 - groups of three
            raise BadValueError(Problem.BAD_NUMBER, f"{shown(text)} is not grouped by threes")
        plain = whole.replace(thousands, "") + point + fraction
    if decimal != ".":
        # A point would be the other notation's, not a second way to write this one.
        plain = plain.replace(".", "?").replace(decimal, ".")
    if len(plain) > AMOUNT_LENGTH or not _NUMBER.fullmatch(plain):
        raise BadValueError(Problem.BAD_NUMBER, f"{shown(text)} is not a number")
    return Decimal(plain)


class Amounts:
    """Reads the money of one field, in major units of a currency or already in minor ones."""

    def __init__(self, *, is_major: bool, decimal: str = ".", thousands: str = "", is_floating: bool = False) -> None:
        """`is_floating`: texts too were written from floating-point numbers, and are rounded like those."""
        self._is_major = is_major
        self._decimal = decimal
        self._thousands = thousands
        self._is_floating = is_floating

    def read(self, cell: Any, currency: str) -> int | None:  # noqa: ANN401 - whatever the file holds
        """Return a cell in minor units of `currency`, None for an empty one. Raises `BadValueError`.

        Floating-point numbers are rounded to the minor unit they mean; decimals must be whole minor units exactly.
        """
        if type(cell) is float and not cell:
            return 0  # most discounts are 0, and this is half of their cost
        if isinstance(cell, str) and cell.strip():
            amount: Decimal | None = parse_number(cell, self._decimal, self._thousands)
        else:
            amount = as_number(cell)
        if amount is None:
            return None
        exponent = EXPONENTS[currency] if self._is_major else 0
        try:
            minor = _EXACT.scaleb(amount, exponent)
            whole = _EXACT.to_integral_value(minor)
        except DecimalException:
            raise BadValueError(Problem.BAD_AMOUNT, f"{shown(cell)} is not an amount") from None
        if abs(whole) > LARGEST:
            raise BadValueError(Problem.BAD_AMOUNT, f"{shown(cell)} is out of range")
        if minor != whole:
            is_floating = isinstance(cell, float | JsonFraction) or (self._is_floating and isinstance(cell, str))
            distance = abs(_EXACT.scaleb(_EXACT.subtract(minor, whole), -exponent))
            if not is_floating or distance > NEAR:
                unit = f"the minor unit of {currency}" if self._is_major else "one minor unit"
                raise BadValueError(Problem.BAD_AMOUNT, f"{shown(cell)} is finer than {unit}")
        return int(whole)


class Times:
    """Reads instants: of the formats given the first that fits, of none ISO 8601 or whole milliseconds."""

    def __init__(self, formats: Sequence[str] = (), zone: ZoneInfo | None = None) -> None:
        """`zone` is that of local times; without one, a time needs its own offset."""
        self._formats = tuple(formats)
        self._zone = zone

    def read(self, cell: Any) -> int | None:  # noqa: ANN401 - whatever the file holds
        """Return a cell in milliseconds since the epoch, None for an empty one. Raises `BadValueError`.

        Local times that a change of the clock repeats are the first of the two, those it skips go by the offset
        before it. Fractions of a millisecond are cut off.
        """
        if isinstance(cell, dt.datetime):
            return self._instant(cell)
        if cell is None or (isinstance(cell, str) and not cell.strip()):
            return None
        if isinstance(cell, bool) or not isinstance(cell, str | int | float | Decimal):
            raise BadValueError(Problem.BAD_TIME, f"{shown(cell)} is not a time")
        for name in self._formats or (None,):
            found = self._parse(cell, name)
            if found is not None and abs(found) <= LARGEST:
                return found
        formats = " or ".join(self._formats) or "ISO 8601, nor whole milliseconds since 1970"
        raise BadValueError(Problem.BAD_TIME, f"{shown(cell)} is not {formats}")

    def _parse(self, cell: str | float | Decimal, name: str | None) -> int | None:
        """Return the instant if the cell has the format, else None."""
        text = cell.strip() if isinstance(cell, str) else as_text(cell) or ""
        if name is None:
            if _WHOLE.fullmatch(text):
                return int(text)
            return self._parsed(dt.datetime.fromisoformat, text) if isinstance(cell, str) else None
        if name in _EPOCH_FORMATS:
            try:
                return int(parse_number(text) * _EPOCH_FORMATS[name] // 1)
            except (BadValueError, DecimalException):
                return None
        return self._parsed(lambda found: dt.datetime.strptime(found, name), text)  # noqa: DTZ007 - zoned below

    def _parsed(self, parse: Any, text: str) -> int | None:  # noqa: ANN401 - a parser of datetime
        try:
            found = parse(text)
        except ValueError:
            return None
        return self._instant(found)

    def _instant(self, time: dt.datetime) -> int:
        if time.tzinfo is None:
            if self._zone is None:
                raise BadValueError(
                    Problem.BAD_TIME, f"{time.isoformat()} has no offset: give the `timezone` of the file's times"
                )
            time = time.replace(tzinfo=self._zone)
        try:
            return (time - EPOCH) // MILLISECOND
        except OverflowError:
            raise BadValueError(Problem.BAD_TIME, f"{time.isoformat()} is out of range") from None


def is_time_format(text: str) -> bool:
    """Return whether a text can be the format of a time: one of the epochs, or of `strptime` with a date in it."""
    if text in _EPOCH_FORMATS:
        return True
    try:
        dt.datetime.strptime(dt.datetime(2001, 2, 3, tzinfo=dt.UTC).strftime(text), text)  # noqa: DTZ007 - a trial
    except ValueError:
        return False
    return "%" in text
