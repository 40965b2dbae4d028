"""What a replay of a festival sells: the table `[replay]` of its file. Decides no count, and no worker reads it."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, fields
from decimal import Decimal, InvalidOperation
from typing import Any

from streams.domain.currencies import EXPONENTS, to_minor
from streams.domain.limits import TEXT_LIMIT

Shares = tuple[tuple[str, int], ...]
"""Names and their shares: positive integers, in proportion."""
VALUES_LIMIT = 5_000
"""Names of one kind: with more, by Zipf's law, the last ones would be drawn by none of 65,536 numbers."""
SHARE_LIMIT = 10**9
AVERAGE_LIMIT_MINOR = 10**9
"""An average order times an amount of the plan stays below 2^63."""


@dataclass(frozen=True, slots=True)
class Sales:
    """What is declared; None is taken from the built-in festivals."""

    platforms: Shares | None = None
    markets: Shares | None = None
    currencies: tuple[tuple[str, str], ...] = ()
    """(Market, currency of its orders); others order in the home currency."""
    methods: Shares | None = None
    merchants: Shares | int | None = None
    """By name; or how many, `merchant-1` and so on by Zipf's law."""
    average_order_minor: tuple[tuple[str, int], ...] = ()
    """(Currency, minor units)."""
    origins: Shares | None = None
    carriers: Shares | None = None


KEYS = tuple(field.name.removesuffix("_minor") for field in fields(Sales))
"""What `[replay]` may hold."""


def parse_sales(table: object) -> Sales:
    """Return what a table `[replay]` declares; raises `ValueError` with everything that is wrong with it."""
    if not isinstance(table, Mapping):
        raise TypeError(f"expected a table, found {table!r:.80}")
    unknown = sorted(set(table) - set(KEYS))
    problems = [f"unknown keys {', '.join(unknown)}; known are {', '.join(KEYS)}"] if unknown else []
    found: dict[str, Any] = {}
    for name, read in _READERS.items():
        if name in table:
            try:
                found[_FIELD.get(name, name)] = read(table[name])
            except (TypeError, ValueError) as error:
                problems.append(f"{name}: {error}")
    sales = Sales(**found)
    if sales.markets is not None:
        known = {market for market, _ in sales.markets}
        problems += [f"currencies: {m} is none of the markets" for m, _ in sales.currencies if m not in known]
    if problems:
        raise ValueError("; ".join(problems))
    return sales


def _name(value: object) -> str:
    if not isinstance(value, str) or not 1 <= len(value) <= TEXT_LIMIT or value.startswith("__"):
        raise ValueError(f"a name has 1 to {TEXT_LIMIT} characters and does not begin with `__`, found {value!r:.80}")
    return value


def _shares(value: object) -> Shares:
    if not isinstance(value, Mapping) or not 1 <= len(value) <= VALUES_LIMIT:
        raise ValueError(f"expected a table of 1 to {VALUES_LIMIT} names with their shares, found {value!r:.80}")
    for share in value.values():
        if not _is_whole(share, SHARE_LIMIT):
            raise ValueError(f"a share is a whole number from 1 to {SHARE_LIMIT}, found {share!r:.80}")
    return tuple((_name(name), share) for name, share in value.items())


def _merchants(value: object) -> Shares | int:
    if isinstance(value, Mapping):
        return _shares(value)
    if not isinstance(value, int) or not _is_whole(value, VALUES_LIMIT):
        raise ValueError(f"expected how many, from 1 to {VALUES_LIMIT}, or a table of shares, found {value!r:.80}")
    return value


def _is_whole(value: object, most: int) -> bool:
    return isinstance(value, int) and not isinstance(value, bool) and 1 <= value <= most


def _currencies(value: object) -> tuple[tuple[str, str], ...]:
    if not isinstance(value, Mapping):
        raise TypeError(f"expected a table of markets with their currencies, found {value!r:.80}")
    return tuple((_name(market), _currency(currency)) for market, currency in value.items())


def _currency(value: object) -> str:
    if value not in EXPONENTS:
        raise ValueError(f"{value!r:.80} is no ISO 4217 currency with a minor unit")
    return str(value)


def _averages(value: object) -> tuple[tuple[str, int], ...]:
    if not isinstance(value, Mapping):
        raise TypeError(f"expected a table of currencies with their average order, found {value!r:.80}")
    return tuple((_currency(currency), _average(amount, currency)) for currency, amount in value.items())


def _average(value: object, currency: str) -> int:
    if isinstance(value, bool) or not isinstance(value, str | int):
        raise TypeError(f"expected a decimal in quotes or an integer, found {value!r:.80}")
    try:
        amount = Decimal(value)
    except InvalidOperation as error:
        raise ValueError(f"expected a decimal, found {value!r:.80}") from error
    most = Decimal(AVERAGE_LIMIT_MINOR).scaleb(-EXPONENTS[currency])
    if not amount.is_finite() or not 0 < amount <= most:
        raise ValueError(f"an average order of {currency} is above 0 and at most {most:f}, found {value!r:.80}")
    return to_minor(amount, currency)


_READERS = {
    "platforms": _shares,
    "markets": _shares,
    "currencies": _currencies,
    "methods": _shares,
    "merchants": _merchants,
    "average_order": _averages,
    "origins": _shares,
    "carriers": _shares,
}
_FIELD = {"average_order": "average_order_minor"}
assert set(_READERS) == set(KEYS)
