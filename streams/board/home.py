"""Conversion to a festival's home currency, on read: once per currency total (contract 2)."""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING

from streams.domain.currencies import EXPONENTS, convert

if TYPE_CHECKING:
    from collections.abc import Mapping

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
