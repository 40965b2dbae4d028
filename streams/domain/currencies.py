"""Money: which currencies exist, how many digits their minor unit has, and the one way to convert a total.

Amounts are integers of minor units everywhere; `Decimal` appears only where a total is converted on read.
"""

from __future__ import annotations

import datetime as dt
from decimal import ROUND_HALF_EVEN, Decimal, localcontext
from fractions import Fraction

from streams.domain.currency_codes import ACTIVE, WITHDRAWN
from streams.domain.limits import WITHDRAWN_YEARS

_DIGITS = 60
"""Enough for any sum of 64-bit event counts times `MONEY_LIMIT_MINOR`, with room for a rate's digits."""

WITHDRAWN_MONTHS: dict[str, str] = dict(entry.split(":") for codes in WITHDRAWN.values() for entry in codes.split())
"""The month (YYYY-MM) of its withdrawal, of every currency that is not active any more."""
EXPONENTS: dict[str, int] = {
    entry.partition(":")[0]: digits
    for codes_by_digits in (ACTIVE, WITHDRAWN)
    for digits, codes in codes_by_digits.items()
    for entry in codes.split()
}
"""Digits of the minor unit of every currency that ever held an amount: the active ones and the withdrawn ones."""
assert len(EXPONENTS) == sum(len(codes.split()) for codes in (*ACTIVE.values(), *WITHDRAWN.values())), "a code twice"


def _end_ms(month: str) -> int:
    end = dt.datetime(int(month[:4]) + WITHDRAWN_YEARS + 1, 1, 1, tzinfo=dt.UTC)
    return int(end.timestamp()) * 1000


END_MS: dict[str, int] = {code: _end_ms(month) for code, month in WITHDRAWN_MONTHS.items()}
"""First event time at which a withdrawn currency is good no more; active ones have none."""


def is_good(currency: str, event_time_ms: int) -> bool:
    """Return whether an event of that time (`ts`) may hold an amount in `currency` (contract 1)."""
    return currency in EXPONENTS and (currency not in END_MS or event_time_ms < END_MS[currency])


def convert(amount_minor: int, currency: str, home_currency: str, rate: Decimal) -> int:
    """Return a currency's total in minor units of the home currency, rounded half-even once.

    `rate` is what one major unit of `currency` costs in major units of `home_currency` (contract 2).
    """
    with localcontext() as context:
        context.prec = _DIGITS
        major = Decimal(amount_minor).scaleb(-EXPONENTS[currency]) * rate
        home_minor = major.scaleb(EXPONENTS[home_currency])
        return int(home_minor.quantize(Decimal(1), rounding=ROUND_HALF_EVEN))


def convert_from_home(home_minor: int, home_currency: str, currency: str, rate: Decimal) -> int:
    """Return a total of the home currency in minor units of `currency`, divided by its `rate` and rounded half-even.

    `rate` is as in `convert`. A quotient may have no end as a decimal, so a fraction is rounded, once.
    """
    digits = EXPONENTS[currency] - EXPONENTS[home_currency]
    return round(home_minor * Fraction(10) ** digits / Fraction(rate))


def to_minor(amount: Decimal, currency: str) -> int:
    """Return a decimal amount of major units in minor units; raises `ValueError` if it is finer than the minor unit."""
    with localcontext() as context:
        context.prec = _DIGITS
        minor = amount.scaleb(EXPONENTS[currency])
        if minor != minor.to_integral_value():
            raise ValueError(f"{amount} {currency} is finer than the minor unit of {currency}")
        return int(minor)


def major_text(amount_minor: int, currency: str) -> str:
    """Return an amount, not below 0, in major units as a decimal: `1234.50`. A festival's file has such amounts."""
    digits = EXPONENTS[currency]
    whole, rest = divmod(amount_minor, 10**digits)
    return f"{whole}.{rest:0{digits}}" if digits else str(whole)
