"""Conversion to a festival's home currency, on read: once per currency total (contract 2)."""

from __future__ import annotations

from dataclasses import dataclass
from fractions import Fraction
from typing import TYPE_CHECKING

from msgspec import UNSET

from streams.board.answers.values import Converted
from streams.domain.currencies import EXPONENTS, convert, convert_from_home
from streams.errors import UsageError

if TYPE_CHECKING:
    from collections.abc import Mapping, Sequence

    from msgspec import UnsetType

    from streams.board.answers.values import Home
    from streams.domain.festivals import Festival, Rate


@dataclass(frozen=True, slots=True)
class HomeAmount:
    """A total in minor units of the home currency; a lower bound while `missing` names a currency without a rate."""

    amount_minor: int
    missing: tuple[str, ...]


def home_amount(festival: Festival, totals_minor: Mapping[str, int]) -> HomeAmount:
    """Return the sum of totals per currency, each converted and rounded half-even once."""
    amount_minor, missing = 0, []
    for currency, total_minor in sorted(totals_minor.items()):
        if currency == festival.home_currency:
            amount_minor += total_minor
            continue
        rate = festival.rate_of(currency) if currency in EXPONENTS else None
        if rate is not None:
            amount_minor += convert(total_minor, currency, festival.home_currency, rate)
        elif total_minor:
            missing.append(currency)
    return HomeAmount(amount_minor, tuple(missing))


def converted(festival: Festival, home: Home, asked: Sequence[str] = ()) -> dict[str, Converted]:
    """Return `home` in each currency that the festival displays, and in those `asked` for.

    Raises `UsageError` for a currency asked for that has no rate.
    """
    found = {}
    for currency in dict.fromkeys((*festival.display, *asked)):
        dated = festival.dated_rate_of(currency) if currency in EXPONENTS else None
        if dated is not None:
            found[currency] = _converted(home, dated)
        elif currency in asked:
            raise UsageError(
                f"in: {currency!r} has no rate to {festival.home_currency} in the file of {festival.id}, of its start "
                "date or before"
            )
    return found


def _converted(home: Home, dated: Rate) -> Converted:
    def told(minor: int | UnsetType | None) -> int | None:
        assert minor is not UNSET, "totals have all of it"
        return None if minor is None else convert_from_home(minor, home.currency, dated.currency, dated.rate)

    return Converted(told(home.gross), told(home.net), told(home.paid), f"{dated.rate:f}", dated.date.isoformat())


def home_running(festival: Festival, running_minor: Mapping[str, Sequence[int]], steps: int) -> list[int]:
    """Return `home_amount` of running totals at each of `steps` steps: the same rounding, for a whole day at once.

    Currencies without a rate are left out. Whole numbers: 86,400 decimals per currency would take a second.
    """
    amounts = [0] * steps
    for currency, totals in sorted(running_minor.items()):
        rate = festival.rate_of(currency) if currency in EXPONENTS else None
        if rate is None:
            continue
        digits = EXPONENTS[festival.home_currency] - EXPONENTS[currency]
        ratio = Fraction(rate) * Fraction(10) ** digits
        numerator, denominator = ratio.numerator, ratio.denominator
        for i, total in enumerate(totals):
            whole, rest = divmod(total * numerator, denominator)
            is_up = 2 * rest > denominator or (2 * rest == denominator and whole % 2 == 1)
            amounts[i] += whole + is_up
    return amounts
