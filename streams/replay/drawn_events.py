"""From packed events to columns: all about an event is drawn from the seed and its order's number.

`columns` draws for many events at once; `streams.replay.rendering` writes their records.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING

import numpy as np
import numpy.typing as npt

from streams.replay import catalogue
from streams.replay.draws import Purpose, draw
from streams.replay.fulfilment import box_columns, parcel_columns
from streams.replay.poison import REASONS
from streams.replay.timeline import (
    BAD_KINDS,
    PARCEL_KINDS,
    RESEND,
    TOPIC_OF_KIND,
    Kind,
    bad_records_before,
    chosen,
    event_delays_ms,
    is_failed,
    is_resent,
    partitions_of,
    unpack,
)

if TYPE_CHECKING:
    from streams.domain.curves import Int64s
    from streams.replay.catalogue import Catalogue
    from streams.replay.load import Load

Bools = npt.NDArray[np.bool_]
_DELAYED = (Kind.CANCELLED, Kind.PAID, Kind.REFUNDED, *PARCEL_KINDS, Kind.RECYCLED)
_TRANSPORT_PER_MILLE = 30
_DUTY_PER_MILLE = 91


@dataclass(frozen=True, slots=True)
class Events:
    """Columns of events, parallel, in the order of sending. Indices point into the load's catalogue."""

    numbers: Int64s
    kinds: Int64s
    is_resend: Bools
    will_be_resent: Bools
    topics: Int64s
    partitions: Int64s
    event_times_ms: Int64s
    ordered_ms: Int64s
    """Festival time: event time of the order."""
    merchants: Int64s
    platforms: Int64s
    markets: Int64s
    currencies: Int64s
    amounts: Int64s
    coupons: Int64s
    credits: Int64s
    """Referral credits, not payments."""
    methods: Int64s
    is_failed: Bools
    has_payer: Bools
    payer_amounts: Int64s
    """In the payer's currency, the one of the market; transport and duty likewise."""
    transports: Int64s
    duties: Int64s
    carriers: Int64s
    origins: Int64s
    shipped_ms: Int64s
    stations: Int64s
    boxes: Int64s
    reasons: Int64s
    """Bad records have their index into `poison.REASONS` of the topic, others −1."""

    def __len__(self) -> int:
        """Return the number of events."""
        return len(self.numbers)


def columns(load: Load, packed: Int64s) -> Events:
    """Return the columns of packed events."""
    _, numbers, kinds = unpack(load, packed)
    is_resend = kinds >= RESEND
    kinds = kinds & (RESEND - 1)
    plan, seed = load.plan, load.seed
    ordered = load.start_ms + plan.offsets_ms(numbers, draw(seed, Purpose.TIME, numbers))
    amounts = plan.amounts_minor(numbers, lambda n: draw(seed, Purpose.AMOUNT, n))
    goods = draw(seed, Purpose.GOODS, numbers)
    payment = draw(seed, Purpose.PAYMENT, numbers)
    event_times = ordered.copy()
    for kind in _DELAYED:
        at = np.flatnonzero(kinds == kind)
        event_times[at] += event_delays_ms(load, numbers[at], kind)
    # A box is not an order's: its festival is the one it is scanned in.
    ordered = np.where(kinds == Kind.RECYCLED, event_times, ordered)
    sold = load.catalogue
    merchants = chosen_merchants(load, goods)
    markets, methods = chosen(sold.markets, goods >> np.uint64(16)), chosen(sold.methods, payment)
    currencies = _currencies(load, goods, markets)
    amounts = _scaled(sold, amounts, currencies)
    has_payer, payer_amounts, transports, duties = _payers(sold, amounts, markets, methods)
    coupons, referral_credits = _discounts(goods, amounts)
    return Events(
        numbers=numbers,
        kinds=kinds,
        is_resend=is_resend,
        will_be_resent=_resent(load, numbers, kinds, is_resend),
        topics=TOPIC_OF_KIND[kinds],
        partitions=partitions_of(load, numbers),
        event_times_ms=event_times,
        ordered_ms=ordered,
        merchants=merchants,
        platforms=_platforms(load, numbers, merchants),
        markets=markets,
        currencies=currencies,
        amounts=amounts,
        coupons=coupons,
        credits=referral_credits,
        methods=methods,
        is_failed=is_failed(payment),
        has_payer=has_payer,
        payer_amounts=payer_amounts,
        transports=transports,
        duties=duties,
        **parcel_columns(load, numbers, ordered),
        **box_columns(load, numbers),
        reasons=_reasons(load, numbers, kinds),
    )


def _payers(sold: Catalogue, amounts: Int64s, markets: Int64s, methods: Int64s) -> tuple[Bools, Int64s, Int64s, Int64s]:
    """Return who pays in a currency of their own, and how much of it: in all, for transport, for duty."""
    names = sold.markets.names
    is_epass = np.array([name == catalogue.EPASS for name in sold.methods.names], dtype=np.bool_)[methods]
    rates = np.array([sold.payers.get(market, ("", 0))[1] for market in names], dtype=np.int64)[markets]
    is_home = np.array([market == catalogue.HOME_MARKET for market in names], dtype=np.bool_)[markets]
    has_payer = (rates > 0) & (~is_home | is_epass)
    goods_value = amounts * rates // catalogue.PAYER_UNITS
    transports = np.where(has_payer, goods_value * _TRANSPORT_PER_MILLE // 1000, 0)
    duties = np.where(has_payer & is_epass, goods_value * _DUTY_PER_MILLE // 1000, 0)
    return has_payer, goods_value + transports + duties, transports, duties


def _resent(load: Load, numbers: Int64s, kinds: Int64s, is_resend: Bools) -> Bools:
    resent = np.zeros(len(numbers), dtype=np.bool_)
    if load.duplicates:
        for kind in (Kind.PLACED, *_DELAYED):
            at = np.flatnonzero((kinds == kind) & ~is_resend)
            resent[at] = is_resent(load, numbers[at], kind)
    return resent


def _discounts(goods: npt.NDArray[np.uint64], amounts: Int64s) -> tuple[Int64s, Int64s]:
    """Return coupons (a quarter of the orders, up to 12 %) and credits (one in 16, up to 12 %)."""
    coupon = ((goods >> np.uint64(32)) & np.uint64(0xFF)).astype(np.int64)
    credit = ((goods >> np.uint64(40)) & np.uint64(0xFF)).astype(np.int64)
    coupons = np.where(coupon < 64, amounts * (coupon + 1) // 512, 0)  # noqa: PLR2004
    return coupons, np.where(credit < 16, amounts * (credit + 1) // 128, 0)  # noqa: PLR2004


def chosen_merchants(load: Load, goods: npt.NDArray[np.uint64]) -> Int64s:
    """Return the index of each order's merchant."""
    found: Int64s = load.catalogue.merchants.table[goods & np.uint64(0xFFFF)].astype(np.int64)
    return found


def _platforms(load: Load, numbers: Int64s, merchants: Int64s) -> Int64s:
    """Return each order's platform: its merchant's, or one that is drawn."""
    of_merchants = load.catalogue.merchants.platforms
    if of_merchants is not None:
        return of_merchants[merchants]
    return chosen(load.catalogue.platforms, draw(load.seed, Purpose.PLATFORM, numbers))


def _currencies(load: Load, goods: npt.NDArray[np.uint64], markets: Int64s) -> Int64s:
    own: Int64s = load.catalogue.market_currencies[markets]
    if not load.foreign:
        return own
    bits = (goods >> np.uint64(48)).astype(np.int64)
    foreign = load.catalogue.foreign
    return np.where(bits < int(load.foreign * 65_536), foreign[bits % len(foreign)], own)


def _scaled(sold: Catalogue, amounts: Int64s, currencies: Int64s) -> Int64s:
    """Return the amounts of a plan at the average order of each one's currency."""
    if all(scale == 1 for scale in sold.scales):
        return amounts
    numerators, denominators = (
        np.array([getattr(scale, part) for scale in sold.scales], dtype=np.int64)
        for part in ("numerator", "denominator")
    )
    return amounts * numerators[currencies] // denominators[currencies]


def _reasons(load: Load, numbers: Int64s, kinds: Int64s) -> Int64s:
    reasons = np.full(len(numbers), -1, dtype=np.int64)
    if load.poison:
        turns = bad_records_before(load, numbers) // len(load.facts)
        for topic, kind in BAD_KINDS.items():
            reasons = np.where(kinds == kind, turns % len(REASONS[topic]), reasons)
    return reasons
