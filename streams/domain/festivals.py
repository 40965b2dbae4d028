"""Festivals: what one is, and how its TOML file is read.

A festival is the half-open interval [start_ms, end_ms) of event time, with what is needed to read its totals:
home currency, rates, milestones, the previous edition, plausible bounds.
"""

from __future__ import annotations

import datetime as dt
import tomllib
from collections.abc import Callable, Iterable, Mapping, Sequence
from dataclasses import dataclass, field
from decimal import Decimal, InvalidOperation
from typing import Any, TypeVar
from zoneinfo import ZoneInfo, ZoneInfoNotFoundError

from streams.domain.currencies import EXPONENTS, to_minor

FACT_NAMES = ("orders", "payments", "parcels", "recycling")
_HOUR_MS = 3_600_000
_FIELDS = frozenset(
    {"id", "name", "starts", "timezone", "hours", "home_currency", "facts", "milestones", "previous", "rates"}
    | {"plausible", "points_per_tree"}
)
T = TypeVar("T")
D = TypeVar("D")


class FestivalFileError(ValueError):
    """A festival file cannot be used; the message lists everything that is wrong with it."""


@dataclass(frozen=True, slots=True)
class Rate:
    """What one major unit of `currency` cost in major units of the home currency, from `date` on."""

    currency: str
    date: dt.date
    rate: Decimal


@dataclass(frozen=True, slots=True)
class Previous:
    """The last edition: its final total and, where known, its cumulative curve, in minor units of the home currency."""

    name: str
    total_minor: int
    curve: tuple[tuple[int, int], ...] = ()
    """(Seconds after the start, cumulative minor units), ascending."""


@dataclass(frozen=True, slots=True)
class Plausible:
    """Bounds outside which a total is flagged: minor units per order, and growth as ratio to the previous, minus 1."""

    average_order_value_minor: tuple[int, int] | None = None
    growth_ratio: tuple[Decimal, Decimal] | None = None


@dataclass(frozen=True, slots=True)
class Festival:
    """One festival, as its file says."""

    id: str
    name: str
    timezone: str
    start_ms: int
    end_ms: int
    home_currency: str
    facts: tuple[str, ...]
    milestones_minor: tuple[int, ...] = ()
    previous: Previous | None = None
    rates: tuple[Rate, ...] = ()
    plausible: Plausible = field(default_factory=Plausible)
    points_per_tree: int | None = None

    def rate_of(self, currency: str) -> Decimal | None:
        """Return the latest rate not after the local start date, 1 for the home currency, None where there is none."""
        if currency == self.home_currency:
            return Decimal(1)
        started = dt.datetime.fromtimestamp(self.start_ms / 1000, ZoneInfo(self.timezone)).date()
        known = [r for r in self.rates if r.currency == currency and r.date <= started]
        return max(known, key=lambda r: r.date).rate if known else None


class _Reader:
    """Reads one TOML document field by field and collects what is wrong, so that all of it is told at once."""

    def __init__(self, document: Mapping[str, Any], source: str) -> None:
        self.document = document
        self.source = source
        self.problems: list[str] = []

    def field(self, name: str, read: Callable[[Any], T], default: D | None = None) -> T | D | None:
        """Return `read(value)` of a field; a missing one without default, or a ValueError, is a problem."""
        if name not in self.document:
            if default is None:
                self.problems.append(f"`{name}` is missing")
            return default
        try:
            return read(self.document[name])
        except (ValueError, TypeError, KeyError, InvalidOperation, AttributeError) as error:
            self.problems.append(f"`{name}`: {error}")
            return default

    def finish(self) -> None:
        """Raise `FestivalFileError` if anything was wrong."""
        unknown = sorted(set(self.document) - _FIELDS)
        if unknown:
            self.problems.append(f"unknown fields {', '.join(unknown)}; known are {', '.join(sorted(_FIELDS))}")
        if self.problems:
            raise FestivalFileError(f"{self.source}: " + "; ".join(self.problems))


def parse_festival(text: str, source: str) -> Festival:
    """Return the festival in a TOML text; `source` names it in the `FestivalFileError` that bad input raises."""
    try:
        document = tomllib.loads(text)
    except tomllib.TOMLDecodeError as error:
        raise FestivalFileError(f"{source}: not TOML: {error}") from error
    reader = _Reader(document, source)
    festival_id = reader.field("id", _identifier)
    zone = reader.field("timezone", _zone)
    starts = reader.field("starts", _local_time)
    hours = reader.field("hours", _hours, 24)
    home = reader.field("home_currency", _currency, "CNY") or "CNY"
    facts = reader.field("facts", _facts, FACT_NAMES)
    milestones = reader.field("milestones", lambda v: _milestones(v, home), ())
    previous = _previous(reader, home)
    rates = reader.field("rates", _rates, ())
    plausible = reader.field("plausible", lambda v: _plausible(v, home), Plausible())
    points_per_tree = _optional_int(reader, "points_per_tree")
    name = reader.field("name", _text, festival_id or "")
    reader.finish()
    assert festival_id is not None
    assert zone is not None
    assert starts is not None
    assert hours is not None
    start_ms = int(starts.replace(tzinfo=zone).timestamp()) * 1000
    return Festival(
        id=festival_id,
        name=name or festival_id,
        timezone=zone.key,
        start_ms=start_ms,
        end_ms=start_ms + hours * _HOUR_MS,
        home_currency=home,
        facts=facts or (),
        milestones_minor=milestones or (),
        previous=previous,
        rates=rates or (),
        plausible=plausible or Plausible(),
        points_per_tree=points_per_tree,
    )


def _identifier(value: object) -> str:
    text = _text(value)
    if not text or len(text) > 64 or text.startswith("__"):  # noqa: PLR2004 - contract 1: 1 to 64 code points
        raise ValueError("an identifier has 1 to 64 characters and does not begin with `__`")
    return text


def _text(value: object) -> str:
    if not isinstance(value, str):
        raise TypeError(f"expected a text, found {value!r}")
    return value


def _zone(value: object) -> ZoneInfo:
    try:
        return ZoneInfo(_text(value))
    except (ZoneInfoNotFoundError, ValueError) as error:
        raise ValueError(f"{value!r} is no IANA time zone, such as Asia/Shanghai") from error


def _local_time(value: object) -> dt.datetime:
    if isinstance(value, str):
        value = dt.datetime.fromisoformat(value)
    if not isinstance(value, dt.datetime) or value.tzinfo is not None or value.microsecond:
        raise ValueError(f"expected a local date-time in whole seconds, such as 2019-11-11T00:00:00, found {value}")
    return value


def _hours(value: object) -> int:
    if not isinstance(value, int) or isinstance(value, bool) or not 1 <= value <= 24 * 31:
        raise ValueError(f"expected whole hours from 1 to {24 * 31}, found {value!r}")
    return value


def _currency(value: object) -> str:
    if value not in EXPONENTS:
        raise ValueError(f"{value!r} is no ISO 4217 currency with a minor unit")
    return str(value)


def _facts(value: object) -> tuple[str, ...]:
    if not isinstance(value, Sequence) or isinstance(value, str) or not value or set(value) - set(FACT_NAMES):
        raise ValueError(f"expected a list out of {', '.join(FACT_NAMES)}, found {value!r}")
    return tuple(name for name in FACT_NAMES if name in value)


def _decimal(value: object) -> Decimal:
    """Return a decimal; a TOML float is refused, because it has already lost what was written."""
    if isinstance(value, bool) or not isinstance(value, str | int):
        raise TypeError(f"expected a decimal in quotes or an integer, found {value!r}")
    number = Decimal(value)
    if not number.is_finite():
        raise ValueError(f"expected a finite decimal, found {value!r}")
    return number


def _milestones(value: Iterable[object], home: str) -> tuple[int, ...]:
    return tuple(sorted(to_minor(_decimal(v), home) for v in value))


def _previous(reader: _Reader, home: str) -> Previous | None:
    def read(value: object) -> Previous:
        if not isinstance(value, Mapping):
            raise TypeError(f"expected a table, found {value!r}")
        curve = tuple(sorted((int(s), to_minor(_decimal(a), home)) for s, a in value.get("curve", ())))
        total_minor = to_minor(_decimal(value["total"]), home)
        _check_curve(curve, total_minor)
        return Previous(_text(value.get("name", "previous")), total_minor, curve)

    return reader.field("previous", read) if "previous" in reader.document else None


def _check_curve(curve: Sequence[tuple[int, int]], total_minor: int) -> None:
    """Raise `ValueError` for a curve that no cumulative amount can have taken."""
    amounts = [0, *(amount for _, amount in curve), total_minor]
    seconds = [second for second, _ in curve]
    if len(set(seconds)) < len(seconds) or min(seconds, default=0) < 0:
        raise ValueError("a curve has one amount per second, and seconds from 0 on")
    if amounts != sorted(amounts):
        raise ValueError("a curve never falls, and does not exceed the total")


def _optional_int(reader: _Reader, name: str) -> int | None:
    def read(value: object) -> int:
        if not isinstance(value, int) or isinstance(value, bool) or value < 1:
            raise ValueError(f"expected a positive integer, found {value!r}")
        return value

    return reader.field(name, read) if name in reader.document else None


def _date(value: object) -> dt.date:
    if isinstance(value, str):
        return dt.date.fromisoformat(value)
    if isinstance(value, dt.datetime) or not isinstance(value, dt.date):
        raise TypeError(f"expected a date such as 2019-11-11, found {value!r}")
    return value


def _rates(value: object) -> tuple[Rate, ...]:
    """Return rates out of `[[rates]]` rows, or out of a table per currency holding dates or rows."""
    rows: list[tuple[Any, Any, Any]] = []
    if isinstance(value, Mapping):
        for currency, dated in value.items():
            if isinstance(dated, Mapping):
                rows += [(currency, date, rate) for date, rate in dated.items()]
            else:
                rows += [(currency, row["date"], row["rate"]) for row in dated]
    elif isinstance(value, Sequence):
        rows = [(row["currency"], row["date"], row["rate"]) for row in value]
    else:
        raise TypeError(f"expected rows or tables, found {value!r}")
    rates = tuple(Rate(_currency(c), _date(d), _decimal(r)) for c, d, r in rows)
    if any(r.rate <= 0 for r in rates):
        raise ValueError("a rate must be above 0")
    return rates


def _plausible(value: Mapping[str, Iterable[object]], home: str) -> Plausible:
    average = growth = None
    if "average_order_value" in value:
        low, high = (to_minor(_decimal(v), home) for v in value["average_order_value"])
        average = (low, high)
    if "growth" in value:
        least, most = (_decimal(v) for v in value["growth"])
        growth = (least, most)
    return Plausible(average, growth)
