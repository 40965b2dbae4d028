"""Conversion to a festival's home currency, on read: once per currency total (contract 2)."""

from __future__ import annotations

from dataclasses import dataclass
from fractions import Fraction
from typing import TYPE_CHECKING

from streams.domain.currencies import EXPONENTS, convert

if TYPE_CHECKING:
    from collections.abc import Mapping, Sequence

    from streams.domain.festivals import Festival


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
