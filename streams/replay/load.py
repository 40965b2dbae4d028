"""What a replay was asked for: the same load gives the same events, whatever the number of processes."""

from __future__ import annotations

from dataclasses import dataclass, replace
from decimal import Decimal, InvalidOperation
from functools import cached_property
from importlib.resources import files
from typing import TYPE_CHECKING

from streams.domain.currencies import EXPONENTS
from streams.domain.curves import Curve, OrderPlan, Point, parse_curves, plan_orders
from streams.domain.festivals import FACT_NAMES
from streams.errors import UsageError

if TYPE_CHECKING:
    from collections.abc import Mapping

    from streams.domain.festivals import Festival

FACTS = FACT_NAMES
ORDERS_LIMIT = 2**31 - 1
"""An order's number is packed into 31 bits (`streams.replay.timeline`)."""
SEED_LIMIT = 2**31
LONGEST_MS = 29 * 3_600_000
"""With the time after it, in which parcels arrive, a festival's events fit into what `timeline` packs."""
EPASS_FESTIVAL = "black-friday-2014"
DEFAULT_SHAPE = "singles-day-2019"
FOREIGN_CURRENCIES = ("USD", "EUR", "JPY", "GBP")
SHARES = ("duplicates", "late", "poison", "cancel", "foreign")


def load_curves() -> dict[str, Curve]:
    """Return the published curves that ship with the package, by festival."""
    return parse_curves((files("streams.replay") / "curves.csv").read_text("utf-8"), EXPONENTS)


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
    """Of the valid records: how many are sent again, byte for byte, 0.2 to 30 s of festival time later."""
    late: Decimal = Decimal(0)
    """Of the valid records: how many are sent 1 to 6 minutes of festival time after their turn."""
    poison: Decimal = Decimal(0)
    """Bad records per order, in addition to the good ones, every reason in turn."""
    cancel: Decimal = Decimal(0)
    """Of the orders: how many are cancelled 1 to 30 minutes later."""
    foreign: Decimal = Decimal(0)
    """Of the orders: how many are in a foreign currency. GMV then leaves the published points."""
    rate: Decimal = Decimal(1)
    """Units of `currency` for one of the published curve's."""

    def __post_init__(self) -> None:
        """Refuse what cannot be packed or divided; raises `UsageError` with all of it."""
        problems = []
        if not 1 <= self.orders <= ORDERS_LIMIT:
            problems.append(f"--orders: {self.orders} is not from 1 to {ORDERS_LIMIT}")
        if not 0 <= self.seed < SEED_LIMIT:
            problems.append(f"--seed: {self.seed} is not from 0 to {SEED_LIMIT - 1}")
        if not self.facts or set(self.facts) - set(FACTS):
            problems.append(f"--facts: {', '.join(self.facts)} is no choice out of {', '.join(FACTS)}")
        if self.end_ms - self.start_ms > LONGEST_MS:
            problems.append(
                f"--festival: {self.festival} lasts longer than the {LONGEST_MS // 3_600_000} hours possible"
            )
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
    def seconds(self) -> int:
        """Return how long the festival lasts."""
        return (self.end_ms - self.start_ms) // 1000

    @property
    def currencies(self) -> tuple[str, ...]:
        """Return the currencies of the orders, the home currency first."""
        return (self.currency, *(c for c in FOREIGN_CURRENCIES if c != self.currency))

    @cached_property
    def plan(self) -> OrderPlan:
        """Return when each order happens and what it costs.

        A festival without a curve of its own takes the shape and the mean order of the 2019 day.
        """
        curves = load_curves()
        curve = curves.get(self.festival, curves[DEFAULT_SHAPE])
        points = tuple(Point(p.second, int(p.amount_minor * self.rate)) for p in curve.points)
        return plan_orders(replace(curve, points=points).stretched(self.seconds), self.orders)


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
            "so only a past day can be replayed; choose another with --festival"
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
        **(shares or {}),
    )
