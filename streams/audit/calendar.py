"""Festival files as the audit reads them: edges, facts and rates, from the same TOML by other code."""

from __future__ import annotations

import datetime as dt
import tomllib
from dataclasses import dataclass
from decimal import ROUND_HALF_EVEN, Decimal, localcontext
from importlib import resources
from typing import TYPE_CHECKING, Any
from zoneinfo import ZoneInfo

from streams.audit.currencies import CURRENCIES
from streams.errors import UsageError

if TYPE_CHECKING:
    from collections.abc import Mapping
    from pathlib import Path

_EPOCH = dt.datetime(1970, 1, 1, tzinfo=dt.UTC)
_DIGITS = 60
"""More than any product of a total and a rate has."""
_ALL_FACTS = ("orders", "payments", "parcels", "recycling")


@dataclass(frozen=True, slots=True)
class Edition:
    """One festival: the half-open interval [start_ms, end_ms), the topics it counts, what converts its totals."""

    id: str
    start_ms: int
    end_ms: int
    facts: frozenset[str]
    home_currency: str
    rates: Mapping[str, Decimal]
    """Home currency for one unit, major to major: per currency the latest not after the start date."""

    def home_minor(self, totals: Mapping[str, int]) -> tuple[int, list[str]]:
        """Return the sum in the home currency of totals per currency, and the currencies without a rate.

        Both in minor units; rounded half-even once per currency.
        """
        home = 0
        missing = sorted(currency for currency in totals if currency not in self.rates)
        with localcontext(prec=_DIGITS):
            for currency in totals.keys() - missing:
                shift = CURRENCIES[self.home_currency] - CURRENCIES[currency]
                exact = (Decimal(totals[currency]) * self.rates[currency]).scaleb(shift)
                home += int(exact.quantize(Decimal(1), ROUND_HALF_EVEN))
        return home, missing


def read_calendar(directory: Path | None) -> dict[str, Edition]:
    """Return the festivals that ship with the package and those of `directory`, by id.

    Raises `UsageError` where a file cannot be used.
    """
    # By way of `streams`: importing `streams.festivals` would import the counter's reader.
    sources = [f for f in (resources.files("streams") / "festivals").iterdir() if f.name.endswith(".toml")]
    sources += sorted(directory.glob("*.toml")) if directory is not None else []
    editions = {}
    for source in sources:
        try:
            edition = _edition(tomllib.loads(source.read_text(encoding="utf-8")))
        except (OSError, ValueError, KeyError, TypeError) as error:
            raise UsageError(f"{source}: the audit cannot read this festival: {error!r}") from error
        editions[edition.id] = edition
    return editions


def _edition(document: Mapping[str, Any]) -> Edition:
    starts = document["starts"]
    local = dt.datetime.fromisoformat(starts) if isinstance(starts, str) else starts
    # Zone arithmetic in UTC: `hours` are hours that pass, also on a day when clocks are changed.
    start = _start(local, ZoneInfo(document["timezone"])).astimezone(dt.UTC)
    start_ms = (start - _EPOCH) // dt.timedelta(milliseconds=1)
    home = document.get("home_currency", "CNY")
    known = (row for row in _rates(document.get("rates", {})) if row[0] <= str(local.date()))
    rates = {currency: Decimal(rate) for _, currency, rate in sorted(known)}
    rates[home] = Decimal(1)
    return Edition(
        id=document["id"],
        start_ms=start_ms,
        end_ms=start_ms + document.get("hours", 24) * 3_600_000,
        facts=frozenset(document.get("facts", _ALL_FACTS)),
        home_currency=home,
        rates=rates,
    )


def _start(local: dt.datetime, zone: ZoneInfo) -> dt.datetime:
    """Return the instant of a local time; raises ValueError where the clock shows it never, or twice."""
    readings = {local.replace(tzinfo=zone, fold=fold).astimezone(dt.UTC) for fold in (0, 1)}
    shown = [
        reading for reading in readings if reading.astimezone(zone).replace(tzinfo=None) == local.replace(tzinfo=None)
    ]
    if local.tzinfo is not None:
        shown = [reading for reading in shown if reading == local]
    if len(shown) != 1:
        raise ValueError(f"the clock of {zone.key} shows {local.isoformat()} {len(shown)} times")
    return shown[0]


def _rates(table: Any) -> list[tuple[str, str, str]]:  # noqa: ANN401 (a TOML value)
    """Return (date, currency, rate) of rows, of a table of dates per currency, or of rows per currency."""
    if isinstance(table, list):
        return [(str(row["date"]), row["currency"], row["rate"]) for row in table]
    rows = []
    for currency, dated in table.items():
        days = dated.items() if isinstance(dated, dict) else [(row["date"], row["rate"]) for row in dated]
        rows += [(str(day), currency, rate) for day, rate in days]
    return rows
