"""A day on a screen over a board in memory: what was sold up to any minute, in every table that the screen shows."""

from __future__ import annotations

from dataclasses import dataclass
from itertools import pairwise
from typing import TYPE_CHECKING

from streams.festivals.curves import load_curves

if TYPE_CHECKING:
    from streams.domain.curves import Curve
    from tests.acceptance.hall import Hall

MINUTE_MS = 60_000
THOUSANDTHS = 1_000
CURVES = load_curves()
Shares = dict[str, int]
WHOLE = {"": THOUSANDTHS}
CITIES = {"Hangzhou": 300, "Shanghai": 250, "Beijing": 200, "Guangzhou": 120, "Chengdu": 80, "Xi'an": 50}


@dataclass(frozen=True)
class Goods:
    """How what is sold is shared out: value and its part in a thousand."""

    markets: Shares
    platforms: Shares
    methods: Shares
    merchants: Shares
    carriers: Shares
    origins: Shares
    average_minor: int = 205_00


CHINA = Goods(
    {"CN": 880, "HK": 25, "TW": 20, "SG": 18, "MY": 15, "JP": 12, "US": 10, "AU": 8, "RU": 7, "ES": 5},
    {"tmall": 505, "taobao": 305, "juhuasuan": 65, "tmall_global": 60, "lazada": 35, "aliexpress": 30},
    {"alipay": 600, "huabei": 150, "card": 140, "alipay_epass": 80, "cash_on_delivery": 30},
    {f"m{i:04d}": 130 // (i + 1) for i in range(8)},
    {"cainiao": 300, "sf_express": 250, "zto": 200, "yto": 150, "ems": 60, "usps": 40},
    {"CN": 940, "US": 60},
)
EUROPE = Goods(
    {"DE": 780, "AT": 110, "CH": 80, "NL": 20, "FR": 10},
    {"webshop": 700, "app": 300},
    {"paypal": 450, "card": 300, "invoice": 250},
    {f"merchant-{i}": 300 // i for i in range(1, 9)},
    {"dhl": 700, "dpd": 300},
    {"DE": 1_000},
    average_minor=64_90,
)


def sold_until(curve: Curve, second: int) -> int:
    """Return what a curve had sold by a second of its day, in minor units, straight from point to point."""
    for before, after in pairwise(curve.points):
        if before.second <= second <= after.second:
            share = (after.amount_minor - before.amount_minor) * (second - before.second)
            return before.amount_minor + share // (after.second - before.second)
    return curve.total_minor


class Daytime:
    """Sells one festival's day on a hall's screen, minute by minute, along a published curve divided by `scale`."""

    def __init__(self, hall: Hall, curve: Curve, goods: Goods = CHINA, scale: int = 1) -> None:
        self._hall, self._goods, self._scale = hall, goods, scale
        self._curve = curve.stretched((hall.festival.end_ms - hall.festival.start_ms) // 1_000)
        self.minute = 0

    def until(self, minute: int, latest_ms: int | None = None) -> None:
        """Sell all minutes before this one, and commit."""
        while self.minute < minute:
            ends = [sold_until(self._curve, 60 * m) // self._scale for m in (self.minute, self.minute + 1)]
            self._sell(ends[1] - ends[0], self._hall.festival.start_ms + self.minute * MINUTE_MS)
            self.minute += 1
        self._hall.commit(latest_ms or self._hall.festival.start_ms + minute * MINUTE_MS)

    def _sell(self, minor: int, at_ms: int) -> None:
        goods, facts = self._goods, self._hall.festival.facts
        orders = minor // goods.average_minor
        if "orders" in facts:
            self._order(orders, minor, at_ms)
        if "payments" in facts:
            for rollup, shares in (("second", WHOLE), ("method", goods.methods)):
                self._share("payments", rollup, shares, at_ms, captured=orders, paid_minor=minor, refunded=orders // 50)
        if "parcels" in facts:
            parcels = {"carrier": goods.carriers, "origin": goods.origins, "market": goods.markets}
            for rollup, shares in {"second": WHOLE, **parcels}.items():
                self._share("parcels", rollup, shares, at_ms, shipped=orders, delivered=orders // 3)
        if "recycling" in facts:
            districts = {f"{city} 3": share // 3 for city, share in CITIES.items()}
            for rollup, shares in (("second", WHOLE), ("city", CITIES), ("district", districts)):
                boxes = {"boxes": orders * 3 // 2, "scans": orders, "points": orders * 37}
                self._share("recycling", rollup, shares, at_ms, **boxes)

    def _order(self, orders: int, minor: int, at_ms: int) -> None:
        goods = self._goods
        for second in range(60):
            counts, gross = ((n * (second + 1) // 60) - (n * second // 60) for n in (orders, minor))
            told = {"orders": counts, "gross_minor": gross, "coupons_minor": gross // 60, "couponed": counts * 3 // 10}
            self._share("orders", "second", WHOLE, at_ms + 1_000 * second, **told)
        shared = {"platform": goods.platforms, "market": goods.markets, "merchant": goods.merchants}
        for rollup, shares in shared.items():
            self._share("orders", rollup, shares, at_ms, orders=orders, gross_minor=minor)

    def _share(self, fact: str, rollup: str, shares: Shares, at_ms: int, **measures: int) -> None:
        """Count measures into a table, to each value its share of them."""
        currency = (self._hall.festival.home_currency,) if fact in {"orders", "payments"} else ()
        for name, share in shares.items():
            group = (*((name,) if name else ()), *currency)
            counted = {measure: count * share // THOUSANDTHS for measure, count in measures.items()}
            self._hall.place(f"{fact}_by_{rollup}", group, at_ms, **counted)
