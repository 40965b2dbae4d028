"""Money: which currencies exist, how many digits their minor unit has, and the one way to convert a total.

Amounts are integers of minor units everywhere; `Decimal` appears only where a total is converted on read.
"""

from __future__ import annotations

from decimal import ROUND_HALF_EVEN, Decimal, localcontext

from iso4217 import Currency

MONEY_LIMIT_MINOR = 10**13
"""Largest amount of one event, in minor units (contract 1)."""
_DIGITS = 60
"""Enough for any sum of 64-bit event counts times `MONEY_LIMIT_MINOR`, with room for a rate's digits."""

EXPONENTS: dict[str, int] = {c.code: c.exponent for c in Currency if c.exponent is not None}
"""Digits of the minor unit of every active ISO 4217 currency; codes without one (XXX, XAU) cannot hold an amount."""


def convert(amount_minor: int, currency: str, home_currency: str, rate: Decimal) -> int:
    """Return a currency's total in minor units of the home currency, rounded half-even once.

    `rate` is what one major unit of `currency` costs in major units of `home_currency` (contract 2).
    """
    with localcontext() as context:
        context.prec = _DIGITS
        major = Decimal(amount_minor).scaleb(-EXPONENTS[currency]) * rate
        home_minor = major.scaleb(EXPONENTS[home_currency])
        return int(home_minor.quantize(Decimal(1), rounding=ROUND_HALF_EVEN))


def to_minor(amount: Decimal, currency: str) -> int:
    """Return a decimal amount of major units in minor units; raises `ValueError` if it is finer than the minor unit."""
    with localcontext() as context:
        context.prec = _DIGITS
        minor = amount.scaleb(EXPONENTS[currency])
        if minor != minor.to_integral_value():
            raise ValueError(f"{amount} {currency} is finer than the minor unit of {currency}")
        return int(minor)
