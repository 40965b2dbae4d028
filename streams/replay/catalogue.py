"""The goods of a replay: merchants with their platform, category and brand, markets, methods of payment.

All of it is fixed, so that only the seed and the order's number decide an event. Names are invented.
"""

from __future__ import annotations

from functools import cache
from typing import TYPE_CHECKING

import numpy as np
import numpy.typing as npt

if TYPE_CHECKING:
    from collections.abc import Callable

MERCHANTS = 1_000
PLATFORMS = ("tmall", "taobao", "tmall_global", "juhuasuan", "lazada", "aliexpress", "kaola", "ele_me")
_PLATFORM_WEIGHTS = (46, 30, 9, 5, 4, 3, 2, 1)
CATEGORIES = ("phones", "apparel", "cosmetics", "appliances", "furniture", "food", "toys", "sports", "books", "infant")
MARKETS = ("CN", "HK", "TW", "SG", "MY", "JP", "US", "AU", "RU", "ES")
_MARKET_WEIGHTS = (880, 25, 20, 18, 15, 12, 10, 8, 7, 5)
METHODS = ("alipay", "card", "alipay_epass", "huabei", "cash_on_delivery")
_METHOD_WEIGHTS = (62, 14, 6, 15, 3)
EPASS = METHODS.index("alipay_epass")
FAILURES = ("insufficient_funds", "bank_declined", "timed_out", "risk_control")
PAYER_CURRENCIES = ("CNY", "HKD", "TWD", "SGD", "MYR", "JPY", "USD", "AUD", "RUB", "EUR")
"""What a shopper of each market pays in."""
PAYER_RATES = (1000, 1119, 4340, 194, 592, 15590, 143, 208, 9120, 130)
"""Minor units of the payer's currency for 1,000 fen, about as in November 2019 (yen has no minor unit: 15.59 yen)."""
PAYER_UNITS = 1000
ORIGINS = ("CN", "US")
CARRIERS = ("cainiao", "ems", "sf_express", "yto", "zto", "usps")
STATIONS = 2_000
CITIES = ("Hangzhou", "Shanghai", "Beijing", "Guangzhou", "Chengdu", "Wuhan", "Xi'an", "Ningbo")
DISTRICTS_PER_CITY = 9
POINTS_PER_BOX = 37
"""Grams of green energy."""
BOXES_LIMIT = 5

EPASS_MERCHANTS = ("Bloomingdale's", "Ashford", "Ann Taylor", "American Apparel")
EPASS_PLATFORMS = ("borderfree", "shoprunner", "tmall_global", "taobao")
"""Of the festival whose American shops are paid from China (`streams/festivals/black-friday-2014.toml`)."""
EPASS_RATE = 6142
"""Fen for 1,000 cents, on 28 November 2014."""
_TABLE = 1 << 16


def _table(weights: tuple[int, ...]) -> npt.NDArray[np.int16]:
    """Return 65,536 indices in proportion to the weights: sixteen random bits pick one."""
    edges = np.cumsum(np.array(weights, dtype=np.int64))
    return np.searchsorted(edges * _TABLE // edges[-1], np.arange(_TABLE), side="right").astype(np.int16)


@cache
def merchant_table() -> npt.NDArray[np.int16]:
    """Return the merchants by sixteen random bits: Zipf's law with exponent 1."""
    return _table(tuple(10**9 // (rank + 1) for rank in range(MERCHANTS)))


@cache
def market_table() -> npt.NDArray[np.int16]:
    """Return the markets by sixteen random bits."""
    return _table(_MARKET_WEIGHTS)


@cache
def method_table() -> npt.NDArray[np.int16]:
    """Return the methods of payment by sixteen random bits."""
    return _table(_METHOD_WEIGHTS)


@cache
def _platform_table() -> npt.NDArray[np.int16]:
    return _table(_PLATFORM_WEIGHTS)


def merchant(index: int) -> str:
    """Return a merchant's name."""
    return f"m{index:04d}"


def platform_of(index: int) -> str:
    """Return the platform a merchant sells on."""
    return PLATFORMS[int(_platform_table()[(index * 40_503) % _TABLE])]


def category_of(index: int) -> str | None:
    """Return a merchant's category; one merchant in 50 does not say."""
    return None if index % 50 == 49 else CATEGORIES[index % len(CATEGORIES)]  # noqa: PLR2004


def brand_of(index: int) -> str | None:
    """Return a merchant's brand, shared by a few merchants; one merchant in 20 has none."""
    return None if index % 20 == 19 else f"b{index % 300:03d}"  # noqa: PLR2004


def _epass_merchant(index: int) -> str:
    return EPASS_MERCHANTS[index % len(EPASS_MERCHANTS)]


def _epass_platform(index: int) -> str:
    return EPASS_PLATFORMS[index // len(EPASS_MERCHANTS) % len(EPASS_PLATFORMS)]


def _nothing(_index: int) -> None:
    return None


_OF_MERCHANT: dict[str, Callable[[int], str | None]] = {
    "merchant": merchant,
    "platform": platform_of,
    "category": category_of,
    "brand": brand_of,
}
_OF_EPASS: dict[str, Callable[[int], str | None]] = {
    "merchant": _epass_merchant,
    "platform": _epass_platform,
    "category": _nothing,
    "brand": _nothing,
}


def of_merchants(dimension: str, *, is_epass: bool) -> list[str | None]:
    """Return the value of a dimension for each merchant, None where it has none."""
    of = (_OF_EPASS if is_epass else _OF_MERCHANT)[dimension]
    return [of(i) for i in range(MERCHANTS)]


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
