"""What a replay was asked for: the same load gives the same events, whatever the number of processes."""

from __future__ import annotations

from dataclasses import dataclass, replace
from decimal import Decimal, InvalidOperation
from fractions import Fraction
from functools import cached_property
from typing import TYPE_CHECKING

from xxhash import xxh3_64_hexdigest

from streams.domain.curves import Curve, OrderPlan, Point, plan_orders
from streams.domain.festivals import FACT_NAMES
from streams.errors import UsageError
from streams.festivals.curves import load_curves
from streams.replay.catalogue import Catalogue, catalogue_of

if TYPE_CHECKING:
    from collections.abc import Mapping

    from streams.domain.festivals import Festival
    from streams.domain.sales import Sales

FACTS = FACT_NAMES
ORDERS_LIMIT = 2**31 - 1
"""An order's number is packed into 31 bits (`streams.replay.timeline`)."""
SEED_LIMIT = 2**31
_ID_LIMIT = 64
"""Code points of an event id (contract 1)."""
_LONGEST_REST = len("-bad-") + 2 * len(str(2**31)) + len("-")
"""What stands behind the festival in the longest event id: its kind, the seed, the order's number."""
EPASS_FESTIVAL = "black-friday-2014"
DEFAULT_SHAPE = "singles-day-2019"
SHARES = ("duplicates", "late", "poison", "cancel", "foreign")


def parse_share(text: str) -> Decimal:
    """Return a share from 0 to 1, given as a decimal or as per cent ("20%"); raises `ValueError`."""
    try:
        share = Decimal(text[:-1]) / 100 if text.endswith("%") else Decimal(text)
    except InvalidOperation as error:
        raise ValueError(f"{text!r} is no share, such as 0.05 or 5%") from error
    if not share.is_finite() or not 0 <= share <= 1:
        raise ValueError(f"{text!r} is not between 0 and 1")
    return share


@dataclass(frozen=True)
class Load:
    """The arguments of a replay that decide its events. Shares are decimals from 0 to 1."""

    festival: str
    start_ms: int
    end_ms: int
    currency: str
    orders: int
    partitions: int
    seed: int = 1
    facts: tuple[str, ...] = FACTS
    duplicates: Decimal = Decimal(0)
    """The share of valid records that are sent again, byte for byte, 0.2 to 30 s of festival time later."""
    late: Decimal = Decimal(0)
    """The share of valid records that are sent 1 to 6 minutes of festival time after their turn."""
    poison: Decimal = Decimal(0)
    """Bad records per order, in addition to the good ones, every reason in turn."""
    cancel: Decimal = Decimal(0)
    """The share of orders that are cancelled 1 to 30 minutes later."""
    foreign: Decimal = Decimal(0)
    """The share of orders that are in a foreign currency. GMV then leaves the published points."""
    rate: Decimal = Decimal(1)
    """Units of `currency` for one of the published curve's."""
    sales: Sales | None = None
    """What the festival's file says that is sold."""

    def __post_init__(self) -> None:
        """Refuse what cannot be packed or divided; raises `UsageError` with all of it."""
        problems = []
        if not 1 <= self.orders <= ORDERS_LIMIT:
            problems.append(f"--orders: {self.orders} is not from 1 to {ORDERS_LIMIT}")
        if not 0 <= self.seed < SEED_LIMIT:
            problems.append(f"--seed: {self.seed} is not from 0 to {SEED_LIMIT - 1}")
        if not self.facts or set(self.facts) - set(FACTS):
            problems.append(f"--facts: {', '.join(self.facts)} is no choice out of {', '.join(FACTS)}")
        problems += [f"--{s}: {getattr(self, s)} is not between 0 and 1" for s in SHARES if not self._is_share(s)]
        if problems:
            raise UsageError("\n".join(problems))

    def _is_share(self, name: str) -> bool:
        share: Decimal = getattr(self, name)
        return 0 <= share <= 1

    @property
    def is_epass(self) -> bool:
        """Return whether American shops sell to China, paid through Alipay ePass."""
        return self.festival == EPASS_FESTIVAL

    @property
    def event_id_prefix(self) -> str:
        """Return what every event id begins with, so that loads of two festivals are no duplicates of each other.

        It is the festival's id. An id that leaves no room is cut, and eight digits tell it apart.
        """
        room = _ID_LIMIT - _LONGEST_REST
        if len(self.festival) <= room:
            return f"{self.festival}-"
        digest = f"~{xxh3_64_hexdigest(self.festival.encode())[:8]}"
        return f"{self.festival[: room - len(digest)]}{digest}-"

    @property
    def seconds(self) -> int:
        """Return how long the festival lasts."""
        return (self.end_ms - self.start_ms) // 1000

    @property
    def currencies(self) -> tuple[str, ...]:
        """Return the currencies of the orders, the home currency first."""
        return self.catalogue.currencies

    @cached_property
    def catalogue(self) -> Catalogue:
        """Return what is sold."""
        mean_minor = Fraction(self._curve.total_minor, self._curve.orders)
        return catalogue_of(self.currency, mean_minor, self.sales, is_epass=self.is_epass)

    @cached_property
    def plan(self) -> OrderPlan:
        """Return when each order happens and what it costs, before its currency has a word in that."""
        return plan_orders(self._curve.stretched(self.seconds), self.orders)

    @cached_property
    def _curve(self) -> Curve:
        """Return the festival's curve; one without takes the shape and the mean order of the 2019 day."""
        curves = load_curves()
        curve = curves.get(self.festival, curves[DEFAULT_SHAPE])
        points = tuple(Point(p.second, int(p.amount_minor * self.rate)) for p in curve.points)
        return replace(curve, points=points)


def festival_load(
    festival: Festival,
    now_ms: int,
    *,
    orders: int,
    partitions: int,
    seed: int = 1,
    facts: tuple[str, ...] | None = None,
    shares: Mapping[str, Decimal] | None = None,
) -> Load:
    """Return the load of a festival's day, `shares` by their names in `SHARES`; `facts` are the festival's by default.

    Raises `UsageError` for a day that is not over yet: its events would be rejected, as their `ts` is more than 5
    minutes ahead of the broker's clock.
    """
    if festival.end_ms > now_ms:
        raise UsageError(
            f"festival {festival.id} is not over yet: events more than 5 minutes ahead of the clock are rejected, "
            "so only a past day can be replayed. `festival rehearse` plays its first minutes as if it began now; for "
            "all of it, replay a copy of its file with another `id` and a past `starts`"
        )
    is_epass = festival.id == EPASS_FESTIVAL
    curve = load_curves().get(festival.id)
    rate = None if curve is None or is_epass else festival.rate_of(curve.currency)
    return Load(
        festival.id,
        festival.start_ms,
        festival.end_ms,
        "USD" if is_epass else festival.home_currency,
        orders,
        partitions,
        seed,
        festival.facts if facts is None else facts,
        rate=rate or Decimal(1),
        sales=festival.sales,
        **(shares or {}),
    )
