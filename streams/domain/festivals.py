"""Festivals: what one is, and how its TOML file is read.

A festival is the half-open interval [start_ms, end_ms) of event time, with what is needed to read its totals:
home currency, rates, milestones, the previous edition, plausible bounds.
"""

from __future__ import annotations

import datetime as dt
import tomllib
from collections.abc import Callable, Collection, Iterable, Mapping, Sequence
from dataclasses import dataclass, field
from decimal import Decimal, InvalidOperation
from typing import Any, TypeVar
from zoneinfo import ZoneInfo, ZoneInfoNotFoundError

from streams.domain.currencies import EXPONENTS, to_minor
from streams.domain.facts import FACTS
from streams.domain.local_times import local_instant_ms
from streams.domain.sales import Sales, parse_sales

FACT_NAMES = tuple(FACTS)
_HOUR_MS = 3_600_000
_YEARS = (1971, 9998)
"""In which a festival starts: event times lie from 1970 to 9999, whatever the time zone."""
_DECIMAL_DIGITS = 24
"""An amount or a rate has at most so many before its point, and as many after it."""
_FIELDS = frozenset(
    {"id", "name", "starts", "timezone", "hours", "home_currency", "facts", "milestones", "previous", "rates"}
    | {"plausible", "points_per_tree", "display", "replay", "retired"}
)
_PREVIOUS_FIELDS = ("name", "total", "orders", "before", "curve", "sealed")
_PLAUSIBLE_FIELDS = ("average_order_value", "growth")
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
    before_minor: int | None = None
    """The final total of the edition before it, None where it is not known."""


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
    display: tuple[str, ...] = ()
    """Further currencies to tell the home total in; each has a rate."""
    sales: Sales | None = None
    """What a replay sells, where the file says it."""
    retired: bool = False
    """Still counted, and shown to whoever asks for it by its id; to nobody else."""

    def rate_of(self, currency: str) -> Decimal | None:
        """Return the latest rate not after the local start date, 1 for the home currency, None where there is none."""
        dated = self.dated_rate_of(currency)
        return None if dated is None else dated.rate

    def dated_rate_of(self, currency: str) -> Rate | None:
        """Return `rate_of` with its date; that of the home currency is the start date."""
        started = dt.datetime.fromtimestamp(self.start_ms / 1000, ZoneInfo(self.timezone)).date()
        if currency == self.home_currency:
            return Rate(currency, started, Decimal(1))
        known = [r for r in self.rates if r.currency == currency and r.date <= started]
        return max(known, key=lambda r: r.date, default=None)


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
        except KeyError as error:
            self.problems.append(f"`{name}`: {error} is missing")
        except (ValueError, TypeError, InvalidOperation, AttributeError) as error:
            self.problems.append(f"`{name}`: {error}")
        return default

    def finish(self) -> None:
        """Raise `FestivalFileError` if anything was wrong."""
        unknown = sorted(set(self.document) - _FIELDS)
        if unknown:
            self.problems.append(f"unknown fields {', '.join(unknown)}; known are {', '.join(sorted(_FIELDS))}")
        if self.problems:
            raise FestivalFileError(f"{self.source}: " + "; ".join(self.problems))


ReadSealed = Callable[[str], tuple[Previous, str]]
"""Returns the last edition in a sealed file that a festival file names, and its home currency; raises ValueError."""


def no_sealed_file(name: str) -> tuple[Previous, str]:
    """Refuse: a text that lies nowhere has no files beside it."""
    raise ValueError(f"`sealed`: {name} is read beside a festival file only")


def parse_festival(text: str, source: str, read_sealed: ReadSealed = no_sealed_file) -> Festival:
    """Return the festival in a TOML text; `source` names it in the `FestivalFileError` that bad input raises."""
    try:
        document = tomllib.loads(text)
    except (ValueError, RecursionError) as error:
        raise FestivalFileError(f"{source}: not TOML: {error}") from error
    reader = _Reader(document, source)
    festival_id = reader.field("id", _identifier)
    zone = reader.field("timezone", _zone)
    start_ms = reader.field("starts", lambda v: _start_ms(v, zone))
    hours = reader.field("hours", _hours, 24)
    home = reader.field("home_currency", _currency, "CNY") or "CNY"
    facts = reader.field("facts", _facts, FACT_NAMES)
    milestones = reader.field("milestones", lambda v: _milestones(v, home), ())
    previous = _previous(reader, home, read_sealed)
    rates = reader.field("rates", _rates, ())
    plausible = reader.field("plausible", lambda v: _plausible(v, home), Plausible())
    points_per_tree = _optional_int(reader, "points_per_tree")
    name = reader.field("name", _text, festival_id or "")
    display = reader.field("display", lambda v: _display(v, home), ())
    sales = reader.field("replay", parse_sales) if "replay" in reader.document else None
    retired = reader.field("retired", _bool, default=False)
    reader.finish()
    assert festival_id is not None
    assert zone is not None
    assert start_ms is not None
    assert hours is not None
    festival = Festival(
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
        display=display or (),
        sales=sales,
        retired=bool(retired),
    )
    if unrated := [currency for currency in festival.display if festival.rate_of(currency) is None]:
        raise FestivalFileError(f"{source}: `display`: no rate of {', '.join(unrated)} on the start date or before")
    return festival


def _identifier(value: object) -> str:
    text = _text(value)
    if not text or len(text) > 64 or text.startswith("__"):  # noqa: PLR2004 - contract 1: 1 to 64 code points
        raise ValueError("an identifier has 1 to 64 characters and does not begin with `__`")
    return text


def _text(value: object) -> str:
    if not isinstance(value, str):
        raise TypeError(f"expected a text, found {value!r}")
    return value


def _bool(value: object) -> bool:
    if not isinstance(value, bool):
        raise TypeError(f"expected true or false, found {value!r}")
    return value


def _zone(value: object) -> ZoneInfo:
    try:
        return ZoneInfo(_text(value))
    except (ZoneInfoNotFoundError, ValueError, OSError) as error:
        raise ValueError(f"{value!r} is no IANA time zone, such as Asia/Shanghai") from error


def _start_ms(value: object, zone: ZoneInfo | None) -> int:
    if isinstance(value, str):
        value = dt.datetime.fromisoformat(value)
    if not isinstance(value, dt.datetime) or value.microsecond:
        raise ValueError(f"expected a local date-time in whole seconds, such as 2019-11-11T00:00:00, found {value}")
    if not _YEARS[0] <= value.year <= _YEARS[1]:
        raise ValueError(f"expected a year from {_YEARS[0]} to {_YEARS[1]}, found {value.year}")
    return local_instant_ms(value, zone or ZoneInfo("UTC"))


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
    try:
        number = Decimal(value)
    except InvalidOperation as error:
        raise ValueError(f"expected a decimal, found {value!r:.80}") from error
    if not number.is_finite():
        raise ValueError(f"expected a finite decimal, found {value!r}")
    exponent = number.as_tuple().exponent
    assert isinstance(exponent, int), "of a finite number"
    if number.adjusted() >= _DECIMAL_DIGITS or exponent < -_DECIMAL_DIGITS:
        raise ValueError(f"expected at most {_DECIMAL_DIGITS} digits before and after the point, found {value!r:.80}")
    return number


def _milestones(value: Iterable[object], home: str) -> tuple[int, ...]:
    amounts = tuple(sorted(to_minor(_decimal(v), home) for v in value))
    if any(amount <= 0 for amount in amounts):
        raise ValueError("a milestone is an amount above 0")
    return amounts


def _previous(reader: _Reader, home: str, read_sealed: ReadSealed) -> Previous | None:
    def read(value: object) -> Previous:
        if not isinstance(value, Mapping):
            raise TypeError(f"expected a table, found {value!r}")
        _refuse_unknown(value, _PREVIOUS_FIELDS)
        if "sealed" in value:
            return _sealed_previous(value, home, read_sealed)
        curve = tuple(sorted((_second(s), to_minor(_decimal(a), home)) for s, a in value.get("curve", ())))
        total_minor = to_minor(_decimal(value["total"]), home)
        _check_curve(curve, total_minor)
        before_minor = to_minor(_decimal(value["before"]), home) if "before" in value else None
        if before_minor is not None and before_minor <= 0:
            raise ValueError("`before` is the total of the edition before the last one, an amount above 0")
        return Previous(_text(value.get("name", "previous")), total_minor, curve, before_minor)

    return reader.field("previous", read) if "previous" in reader.document else None


def _sealed_previous(value: Mapping[str, Any], home: str, read_sealed: ReadSealed) -> Previous:
    """Return the last edition out of the sealed file that is named."""
    if len(value) > 1:
        others = ", ".join(sorted(set(value) - {"sealed"}))
        raise ValueError(f"`sealed` says all of it: leave out {others}")
    previous, currency = read_sealed(_text(value["sealed"]))
    if currency != home:
        raise ValueError(f"`sealed`: its totals are in {currency}, this festival's in {home}")
    return previous


def _check_curve(curve: Sequence[tuple[int, int]], total_minor: int) -> None:
    """Raise `ValueError` for a curve that no cumulative amount can have taken."""
    amounts = [0, *(amount for _, amount in curve), total_minor]
    seconds = [second for second, _ in curve]
    if len(set(seconds)) < len(seconds) or min(seconds, default=0) < 0:
        raise ValueError("a curve has one amount per second, and seconds from 0 on")
    if amounts != sorted(amounts):
        raise ValueError("a curve never falls, and does not exceed the total")


def _refuse_unknown(table: Mapping[str, Any], known: Collection[str]) -> None:
    """Raise `ValueError` for a field that nobody would read."""
    unknown = sorted(set(table) - set(known))
    if unknown:
        raise ValueError(f"unknown fields {', '.join(unknown)}; known are {', '.join(sorted(known))}")


def _second(value: object) -> int:
    if not isinstance(value, int) or isinstance(value, bool):
        raise TypeError(f"a second of a curve is an integer, found {value!r}")
    return value


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


def _display(value: object, home: str) -> tuple[str, ...]:
    if not isinstance(value, Sequence) or isinstance(value, str):
        raise TypeError(f'expected a list such as ["USD", "EUR"], found {value!r}')
    currencies = tuple(_currency(currency) for currency in value)
    if home in currencies or len(set(currencies)) < len(currencies):
        raise ValueError(f"expected each currency once, and not {home}, the home currency")
    return currencies


def _plausible(value: Mapping[str, Iterable[object]], home: str) -> Plausible:
    _refuse_unknown(value, _PLAUSIBLE_FIELDS)
    average = growth = None
    if "average_order_value" in value:
        least, most = _bounds("average_order_value", value)
        average = (to_minor(least, home), to_minor(most, home))
    if "growth" in value:
        growth = _bounds("growth", value)
    return Plausible(average, growth)


def _bounds(name: str, table: Mapping[str, Iterable[object]]) -> tuple[Decimal, Decimal]:
    bounds = [_decimal(bound) for bound in table[name]]
    if len(bounds) != 2 or bounds[0] > bounds[1]:  # noqa: PLR2004 - the least and the most
        raise ValueError(f'`{name}` is the least and the most, such as ["100", "400"]')
    return bounds[0], bounds[1]
