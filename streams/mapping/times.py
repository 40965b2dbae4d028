"""Values as instants: milliseconds since the Unix epoch, between 1990 and 2100, or a bad row.

A bare number is taken as it is written, and one that gives an instant of another century is told with the unit or the
format that would fit: nothing is guessed.
"""

from __future__ import annotations

import datetime as dt
import re
from decimal import Decimal, DecimalException
from typing import TYPE_CHECKING, Any
from zoneinfo import ZoneInfo, ZoneInfoNotFoundError

from streams.mapping.amounts import parse_number
from streams.mapping.problems import BadValueError, Problem, shown
from streams.mapping.values import JsonExponent, as_text, is_exponent_form

if TYPE_CHECKING:
    from collections.abc import Mapping, Sequence

EPOCH = dt.datetime(1970, 1, 1, tzinfo=dt.UTC)
MILLISECOND = dt.timedelta(milliseconds=1)
UNITS = {"s": Decimal(1000), "ms": Decimal(1), "us": Decimal("0.001"), "ns": Decimal("0.000001")}
"""Milliseconds of one."""
EARLIEST_MS = (dt.datetime(1990, 1, 1, tzinfo=dt.UTC) - EPOCH) // MILLISECOND
LATEST_MS = (dt.datetime(2101, 1, 1, tzinfo=dt.UTC) - EPOCH) // MILLISECOND - 1
"""An instant outside comes of a wrong unit or a typing error: no shop of then has its files imported here."""
_WHOLE = re.compile(r"[+-]?\d{1,20}", re.ASCII)
_DAY = re.compile(r"\d{8}", re.ASCII)
_DAY_FORMAT = "%Y%m%d"
_COMPACT_FORMATS = ("%Y%m%d%H%M%S", "%Y%m%d%H%M")
_LENGTHS = {"%Y%m%d%H%M%S": 14, "%Y%m%d%H%M": 12}
_SHEET_DAY_ZERO = dt.date(1899, 12, 30)
_SHEET_DAYS = (32_874, 73_415)
"""1 January 1990 and 2101 as a spreadsheet counts days."""
_ZONE_NAME = re.compile(r"[A-Za-z][A-Za-z_/]*(?:[+-]\d{1,2}(?::?\d{2})?)?|[+-]\d{2}(?::?\d{2})?", re.ASCII)
_OFFSET = re.compile(r"(?:UTC|GMT)?([+-])(\d{1,2}):?(\d{2})?", re.ASCII)
_ZONE_PLACE = "\x01"
"""Stands in a format and in a text where the name of the zone was: `strptime` would parse it and throw it away."""
_PART = re.compile(r"%.|[A-Za-z]+", re.DOTALL)
_ZONE_WORD = re.compile(r"Z|UTC|GMT|MSK|[A-Z]{2,4}T", re.ASCII)
"""Names of zones that people write into a format: to `strptime` they are letters, and the zone would be lost."""

Zones = dict[str, dt.tzinfo]


def parse_zone(name: Any) -> dt.tzinfo:  # noqa: ANN401 - a TOML value
    """Return the zone of an IANA name or an offset such as +08:00. Raises `ValueError`."""
    if isinstance(name, str):
        found = _offset(name)
        if found is not None:
            return found
        try:
            return ZoneInfo(name)
        except (ZoneInfoNotFoundError, ValueError, OSError):
            pass
    raise ValueError(f"{name!r} is no IANA time zone, such as Asia/Shanghai, and no offset, such as +08:00")


def _offset(name: str) -> dt.tzinfo | None:
    """Return the zone of UTC, GMT, Z, +0800, +08:00 or UTC+8; None for another name."""
    if name.upper() in {"UTC", "GMT", "Z"}:
        return dt.UTC
    found = _OFFSET.fullmatch(name.upper())
    if found is None:
        return None
    sign, hours, minutes = found.groups()
    offset = dt.timedelta(hours=int(hours), minutes=int(minutes or 0))
    if offset >= dt.timedelta(days=1):
        return None
    return dt.timezone(-offset if sign == "-" else offset)


def zone_of(name: str, zones: Mapping[str, dt.tzinfo]) -> dt.tzinfo:
    """Return the zone that a time names: of the mapping's own table, UTC or an offset. Raises `BadValueError`.

    Other names are refused: CST alone is the time of Chicago, of Havana and of Shanghai.
    """
    found = zones.get(name) or _offset(name)
    if found is None:
        raise BadValueError(
            Problem.BAD_TIME,
            f"{shown(name)} is no time zone that only one place has: say in the mapping what it means, "
            f'[zones] {name} = "Asia/Shanghai"',
        )
    return found


class Times:
    """Reads instants: a number in `unit`, of the formats given the first that fits, of none ISO 8601."""

    def __init__(
        self,
        formats: Sequence[str] = (),
        zone: dt.tzinfo | None = None,
        unit: str | None = None,
        zones: Mapping[str, dt.tzinfo] | None = None,
    ) -> None:
        """`zone` is that of local times; without one, a time needs its own offset. `zones` are names for `%Z`."""
        self._formats = tuple((_without_zone(text), text) for text in formats)
        self._zone = zone
        self._unit = unit
        self._zones = dict(zones or {})

    @property
    def has_formats(self) -> bool:
        """Return whether texts have formats of their own."""
        return bool(self._formats)

    def read(self, value: Any) -> int | None:  # noqa: ANN401 - whatever the file holds
        """Return a value in milliseconds since the epoch, None for an empty one. Raises `BadValueError`.

        Local times that a change of the clock repeats are the first of the two, those it skips go by the offset
        before it. Fractions of a millisecond are cut off.
        """
        if isinstance(value, dt.datetime):
            return self._in_range(self._instant(value), value)
        if value is None or (isinstance(value, str) and not value.strip()):
            return None
        if isinstance(value, bool) or not isinstance(value, str | int | float | Decimal):
            raise BadValueError(Problem.BAD_TIME, f"{shown(value)} is not a time")
        text = value.strip() if isinstance(value, str) else as_text(value) or ""
        if isinstance(value, JsonExponent) or is_exponent_form(text):
            raise BadValueError(
                Problem.BAD_TIME,
                f"{shown(value)} is in exponent form, its digits are lost: format the column as text, and export again",
            )
        found = self._number(text)
        for plain, name in self._formats if found is None else ():
            found = self._formatted(text, plain, name)
            if found is not None:
                break
        if found is None and not self._formats:
            found = self._bare(text, is_text=isinstance(value, str))
        if found is None:
            raise BadValueError(Problem.BAD_TIME, f"{shown(value)} is not {self._expected()}")
        return self._in_range(found, value)

    def _number(self, text: str) -> int | None:
        """Return the instant of a number in the mapping's unit, None where there is no unit or no number."""
        if self._unit is None:
            return None
        try:
            return int(parse_number(text) * UNITS[self._unit] // 1)
        except (BadValueError, DecimalException):
            return None

    def _bare(self, text: str, *, is_text: bool) -> int | None:
        """Return the instant of a day, of whole milliseconds or of ISO 8601; None for anything else."""
        if self._unit is None and _WHOLE.fullmatch(text):
            day = _parsed(text, _DAY_FORMAT) if _DAY.fullmatch(text) else None
            return int(text) if day is None else self._instant(day)
        if not is_text:
            return None
        try:
            return self._instant(dt.datetime.fromisoformat(text))
        except ValueError:
            return None

    def _formatted(self, text: str, plain: str, name: str) -> int | None:
        """Return the instant of a text in the format `name`, None where it has another form. Raises `BadValueError`."""
        if _ZONE_PLACE not in plain:
            parsed = _parsed(text, name)
            return None if parsed is None else self._instant(parsed)
        for match in _ZONE_NAME.finditer(text):
            parsed = _parsed(text[: match.start()] + _ZONE_PLACE + text[match.end() :], plain)
            if parsed is not None and parsed.tzinfo is None:
                parsed = parsed.replace(tzinfo=zone_of(match[0], self._zones))
            if parsed is not None:
                return self._instant(parsed)
        return None

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

    def _in_range(self, time_ms: int, value: object) -> int:
        """Return an instant from 1990 to 2100. Raises `BadValueError` that says what would give one."""
        if EARLIEST_MS <= time_ms <= LATEST_MS:
            return time_ms
        fits = " or ".join(_fitting(value))
        hint = f": {fits} would fit" if fits else ""
        how = f" in `unit` {self._unit or 'ms'}" if _whole(value) is not None and not self._formats else ""
        raise BadValueError(Problem.BAD_TIME, f"{shown(value)}{how} is not of the years 1990 to 2100{hint}")

    def _expected(self) -> str:
        names = [name for _, name in self._formats]
        if self._unit is not None:
            return " or ".join([f"a number (unit {self._unit})", *(names or ["ISO 8601"])])
        return " or ".join(names) or "ISO 8601, nor whole milliseconds since 1970"


def _parsed(text: str, name: str) -> dt.datetime | None:
    try:
        return dt.datetime.strptime(text, name)  # noqa: DTZ007 - zoned by the caller
    except ValueError:
        return None


def _whole(value: object) -> int | None:
    if isinstance(value, bool) or not isinstance(value, str | int | float | Decimal):
        return None
    text = value.strip() if isinstance(value, str) else as_text(value) or ""
    return int(text) if _WHOLE.fullmatch(text) else None


def _fitting(value: object) -> list[str]:
    """Return the words of a mapping that make an instant from 1990 to 2100 of a whole number."""
    number = _whole(value)
    if number is None:
        return []
    text = str(number)
    found = [f'unit = "{unit}"' for unit, size in UNITS.items() if EARLIEST_MS <= int(number * size) <= LATEST_MS]
    found += [
        f'format = "{name}"'
        for name in _COMPACT_FORMATS
        if len(text) == _LENGTHS[name] and _parsed(text, name) is not None
    ]
    if _parsed(text, _DAY_FORMAT) is not None and len(text) == len("20191111"):
        found.append(f'format = "{_DAY_FORMAT}"')
    if _SHEET_DAYS[0] <= number < _SHEET_DAYS[1]:
        day = _SHEET_DAY_ZERO + dt.timedelta(days=number)
        found.append(f"a spreadsheet's date ({day.isoformat()}) that is formatted and exported as one")
    return found


def _without_zone(text: str) -> str:
    """Return a format with a place in it where `%Z` stood, or else the name of a zone; `%z` needs neither."""
    directives = [part for part in _PART.findall(text) if part.startswith("%")]
    has_words = not {"%z", "%Z"} & set(directives)

    def placed(found: re.Match[str]) -> str:
        is_zone = found[0] == "%Z" or (has_words and _ZONE_WORD.fullmatch(found[0]) is not None)
        return _ZONE_PLACE if is_zone else found[0]

    return _PART.sub(placed, text)


def is_time_format(text: str) -> bool:
    """Return whether a text can be a format of `strptime`, with a date in it."""
    plain = _without_zone(text)
    try:
        dt.datetime.strptime(dt.datetime(2001, 2, 3, tzinfo=dt.UTC).strftime(plain), plain)  # noqa: DTZ007 - a trial
    except (ValueError, re.error):
        return False
    return "%" in text
