"""The goods of a replay: merchants with their platform, category and brand, markets, methods of payment, carriers.

A catalogue is made of the festival's `[replay]` and, where that is silent, of one of three that are built in: China's
platforms; the American shops of Black Friday 2014, paid through Alipay ePass; and what of both is not Chinese, for a
festival whose home currency is not the yuan. With it only the seed and the order's number decide an event. Names of
merchants are invented.
"""

from __future__ import annotations

from dataclasses import dataclass, replace
from fractions import Fraction
from functools import cache
from typing import TYPE_CHECKING

import numpy as np
import numpy.typing as npt

if TYPE_CHECKING:
    from collections.abc import Mapping, Sequence

    from streams.domain.curves import Int64s
    from streams.domain.sales import Sales, Shares

Table = npt.NDArray[np.int16]
"""65,536 indices in proportion to shares: sixteen random bits pick one."""

MERCHANTS = 1_000
PLATFORMS = {
    "tmall": 46,
    "taobao": 30,
    "tmall_global": 9,
    "juhuasuan": 5,
    "lazada": 4,
    "aliexpress": 3,
    "kaola": 2,
    "ele_me": 1,
}
CATEGORIES = ("phones", "apparel", "cosmetics", "appliances", "furniture", "food", "toys", "sports", "books", "infant")
MARKETS = {"CN": 880, "HK": 25, "TW": 20, "SG": 18, "MY": 15, "JP": 12, "US": 10, "AU": 8, "RU": 7, "ES": 5}
METHODS = {"alipay": 62, "card": 14, "alipay_epass": 6, "huabei": 15, "cash_on_delivery": 3}
EPASS = "alipay_epass"
HOME_MARKET = "CN"
"""Whose shoppers pay in the orders' own currency, but through ePass."""
FAILURES = ("insufficient_funds", "bank_declined", "timed_out", "risk_control")
PAYERS = {
    "CN": ("CNY", 1000),
    "HK": ("HKD", 1119),
    "TW": ("TWD", 4340),
    "SG": ("SGD", 194),
    "MY": ("MYR", 592),
    "JP": ("JPY", 15590),
    "US": ("USD", 143),
    "AU": ("AUD", 208),
    "RU": ("RUB", 9120),
    "ES": ("EUR", 130),
}
"""What a shopper of each market pays in, and minor units of it for 1,000 fen, about as in November 2019."""
PAYER_UNITS = 1000
CARRIERS = ("cainiao", "ems", "sf_express", "yto", "zto", "usps")
STATIONS = 2_000
CITIES = ("Hangzhou", "Shanghai", "Beijing", "Guangzhou", "Chengdu", "Wuhan", "Xi'an", "Ningbo")
DISTRICTS_PER_CITY = 9
POINTS_PER_BOX = 37
"""Grams of green energy."""
BOXES_LIMIT = 5

EPASS_MERCHANTS = ("Bloomingdale's", "Ashford", "Ann Taylor", "American Apparel")
EPASS_PLATFORMS = ("borderfree", "shoprunner", "tmall_global", "taobao")
"""For the festival whose American shops are paid from China (`streams/festivals/black-friday-2014.toml`)."""
EPASS_RATE = 6142
"""Fen for 1,000 cents, on 28 November 2014."""

PLATFORMS_ABROAD = ("borderfree", "shoprunner")
MARKETS_ABROAD = ("SG", "MY", "JP", "US", "AU", "RU", "ES")
METHODS_ABROAD = ("card", "cash_on_delivery")
ORIGINS = ("CN", "US")
"""Where Chinese and American shops send from."""
CARRIERS_ABROAD = ("usps",)
"""What is left of the built-in goods where nothing Chinese is sold."""
FOREIGN_CURRENCIES = ("USD", "EUR", "JPY", "GBP")
"""Those of orders that a replay is asked for in foreign currencies."""
_TABLE = 1 << 16
_RATIO_LIMIT = 100_000
"""The largest denominator by which an amount is scaled: a product with it stays below 2^63."""


def _table(weights: Sequence[int]) -> Table:
    edges = np.cumsum(np.array(weights, dtype=np.int64))
    return np.searchsorted(edges * _TABLE // edges[-1], np.arange(_TABLE), side="right").astype(np.int16)


@dataclass(frozen=True, eq=False)
class Choice:
    """Names of one kind, and how they are drawn."""

    names: tuple[str, ...]
    table: Table | None
    """None: all alike."""


@dataclass(frozen=True, eq=False)
class Merchants:
    """Who sells; all by the merchant's index."""

    names: tuple[str, ...]
    table: Table
    platforms: Int64s | None
    """Index of the platform that each sells on; None where a platform is drawn for each order."""
    categories: tuple[str | None, ...]
    brands: tuple[str | None, ...]


@dataclass(frozen=True, eq=False)
class Catalogue:
    """All that an event of a replay can name. Indices of `streams.replay.events` point into it."""

    merchants: Merchants
    platforms: Choice
    markets: Choice
    methods: Choice
    origins: Choice
    carriers: Choice
    payers: Mapping[str, tuple[str, int]]
    """Market → what its shoppers pay in, and minor units of it for 1,000 of the order's; for those that differ."""
    currencies: tuple[str, ...]
    """Of orders, the home currency first."""
    market_currencies: Int64s
    """By market: index of its orders' currency."""
    foreign: Int64s
    """Indices of the foreign currencies that a replay may be asked for."""
    scales: tuple[Fraction, ...]
    """By currency: what an amount of the plan is multiplied by."""
    bad_sale: tuple[str, str, str]
    """Platform, market and currency that bad records name."""


def catalogue_of(currency: str, mean_minor: Fraction, sales: Sales | None, *, is_epass: bool) -> Catalogue:
    """Return what a festival of that home currency sells; `mean_minor` is the plan's average order."""
    base = _epass() if is_epass else _chinese() if currency == "CNY" else _abroad(currency)
    own = {} if sales is None else dict(sales.currencies)
    averages = {} if sales is None else dict(sales.average_order_minor)
    if sales is not None:
        base = _declared(base, sales)
    sold = dict.fromkeys((currency, *own.values(), *FOREIGN_CURRENCIES))
    place = {code: index for index, code in enumerate(sold)}
    scales = [Fraction(averages[code]) / mean_minor if code in averages else Fraction(1) for code in sold]
    elsewhere = {market for market, code in own.items() if code != currency}
    return replace(
        base,
        payers={market: payer for market, payer in base.payers.items() if market not in elsewhere},
        currencies=tuple(sold),
        market_currencies=np.array([place[own.get(market, currency)] for market in base.markets.names], dtype=np.int64),
        foreign=np.array([place[code] for code in FOREIGN_CURRENCIES if code != currency], dtype=np.int64),
        scales=tuple(scale.limit_denominator(_RATIO_LIMIT) for scale in scales),
    )


def _declared(base: Catalogue, sales: Sales) -> Catalogue:
    """Return the catalogue with what a festival's file says in place of it."""
    merchants, platforms = base.merchants, base.platforms
    if sales.merchants is not None:
        merchants = _named_merchants(sales.merchants, len(platforms.names))
    if sales.platforms is not None:
        platforms, merchants = _choice(sales.platforms), replace(merchants, platforms=None)
    return replace(
        base,
        merchants=merchants,
        platforms=platforms,
        markets=base.markets if sales.markets is None else _choice(sales.markets),
        methods=base.methods if sales.methods is None else _choice(sales.methods),
        origins=base.origins if sales.origins is None else _choice(sales.origins),
        carriers=base.carriers if sales.carriers is None else _choice(sales.carriers),
    )


def _choice(shares: Shares) -> Choice:
    return Choice(tuple(name for name, _ in shares), _table([share for _, share in shares]))


def _alone(name: str) -> Choice:
    return Choice((name,), _table((1,)))


def _named_merchants(merchants: Shares | int, platforms: int) -> Merchants:
    if isinstance(merchants, int):
        names, table = tuple(f"merchant-{rank + 1}" for rank in range(merchants)), _table(_zipf(merchants))
    else:
        names, table = tuple(name for name, _ in merchants), _table([share for _, share in merchants])
    return _merchants(names, table, np.arange(len(names), dtype=np.int64) % platforms)


def _zipf(count: int) -> list[int]:
    """Return shares by Zipf's law with exponent 1."""
    return [10**9 // (rank + 1) for rank in range(count)]


def _merchants(names: Sequence[str], table: Table, platforms: Int64s) -> Merchants:
    """Return merchants of which one in 50 says no category, and one in 20 has no brand; a few share one."""
    indices = range(len(names))
    categories = tuple(None if i % 50 == 49 else CATEGORIES[i % len(CATEGORIES)] for i in indices)  # noqa: PLR2004
    brands = tuple(None if i % 20 == 19 else f"b{i % 300:03d}" for i in indices)  # noqa: PLR2004
    return Merchants(tuple(names), table, platforms, categories, brands)


def _scattered(platforms: Table) -> Int64s:
    """Return a platform for each of the built-in merchants, in proportion."""
    indices = np.arange(MERCHANTS, dtype=np.int64)
    return platforms[(indices * 40_503) % _TABLE].astype(np.int64)


def _base(merchants: Merchants, platforms: Choice, markets: Choice, methods: Choice, origin: str) -> Catalogue:
    none = np.zeros(0, dtype=np.int64)
    return Catalogue(
        merchants,
        platforms,
        markets,
        methods,
        _alone(origin),
        Choice(CARRIERS, None),
        payers={},
        currencies=(),
        market_currencies=none,
        foreign=none,
        scales=(),
        bad_sale=("tmall", "CN", "CNY"),
    )


@cache
def _chinese() -> Catalogue:
    platforms = _choice(tuple(PLATFORMS.items()))
    assert platforms.table is not None
    names = [f"m{index:04d}" for index in range(MERCHANTS)]
    merchants = _merchants(names, _table(_zipf(MERCHANTS)), _scattered(platforms.table))
    base = _base(merchants, platforms, _choice(tuple(MARKETS.items())), _choice(tuple(METHODS.items())), ORIGINS[0])
    return replace(base, payers=PAYERS)


@cache
def _epass() -> Catalogue:
    names = [EPASS_MERCHANTS[i % len(EPASS_MERCHANTS)] for i in range(MERCHANTS)]
    on = np.array([i // len(EPASS_MERCHANTS) % len(EPASS_PLATFORMS) for i in range(MERCHANTS)], dtype=np.int64)
    nothing = (None,) * MERCHANTS
    merchants = Merchants(tuple(names), _table(_zipf(MERCHANTS)), on, nothing, nothing)
    base = _base(merchants, Choice(EPASS_PLATFORMS, None), _alone("CN"), _alone(EPASS), ORIGINS[1])
    return replace(base, payers={"CN": ("CNY", EPASS_RATE)})


@cache
def _abroad(currency: str) -> Catalogue:
    platforms = _choice(tuple((name, 1) for name in PLATFORMS_ABROAD))
    assert platforms.table is not None
    merchants = replace(_chinese().merchants, platforms=_scattered(platforms.table))
    markets = _choice(tuple((market, MARKETS[market]) for market in MARKETS_ABROAD))
    methods = _choice(tuple((method, METHODS[method]) for method in METHODS_ABROAD))
    base = _base(merchants, platforms, markets, methods, ORIGINS[1])
    return replace(base, carriers=Choice(CARRIERS_ABROAD, None), bad_sale=("platform-bad", "market-bad", currency))


def of_merchants(sold: Catalogue, dimension: str) -> Sequence[str | None]:
    """Return the value of a dimension for each merchant, None where it has none."""
    merchants = sold.merchants
    if dimension == "platform":
        assert merchants.platforms is not None, "each merchant sells on one"
        return [sold.platforms.names[index] for index in merchants.platforms.tolist()]
    return {"merchant": merchants.names, "category": merchants.categories, "brand": merchants.brands}[dimension]


def of_stations(dimension: str) -> list[str]:
    """Return the value of a dimension for each recycling station."""
    city = [CITIES[i % len(CITIES)] for i in range(STATIONS)]
    values = {
        "station": [f"s{i:04d}" for i in range(STATIONS)],
        "operator": ["partner" if i % 3 == 1 else "cainiao" for i in range(STATIONS)],
        "city": city,
        "district": [f"{name} {i // len(CITIES) % DISTRICTS_PER_CITY + 1}" for i, name in enumerate(city)],
        "flash": ["true" if i % 10 == 0 else "false" for i in range(STATIONS)],
    }
    return values[dimension]
