"""From packed events to records: all about an event is drawn from the seed and its order's number.

`columns` draws for many events at once, `render` writes their JSON by templates; both are the hot path of a replay.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING

import numpy as np
import numpy.typing as npt

from streams.replay import catalogue
from streams.replay.draws import Purpose, draw
from streams.replay.load import FACTS
from streams.replay.poison import REASONS, bad_record
from streams.replay.timeline import (
    BAD_KINDS,
    PARCEL_KINDS,
    RESEND,
    TOPIC_OF_KIND,
    Kind,
    bad_records_before,
    event_delays_ms,
    is_failed,
    is_resent,
    markets_of,
    partitions_of,
    unpack,
)
from streams.replay.ways import box_columns, parcel_columns

if TYPE_CHECKING:
    from streams.domain.curves import Int64s
    from streams.replay.load import Load

Bools = npt.NDArray[np.bool_]
Objects = npt.NDArray[np.object_]
_DELAYED = (Kind.CANCELLED, Kind.PAID, Kind.REFUNDED, *PARCEL_KINDS, Kind.RECYCLED)
_OF_MERCHANTS = ("platform", "merchant", "brand", "category")
_OF_STATIONS = ("station", "operator", "city", "district", "flash")
_TRANSPORT_PER_MILLE = 30
_DUTY_PER_MILLE = 91


@dataclass(frozen=True, slots=True)
class Events:
    """Columns of events, parallel, in the order of sending. Indices point into `streams.replay.catalogue`."""

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
    """Of bad records: index into `poison.REASONS` of the topic, else −1."""

    def __len__(self) -> int:
        """Return the number of events."""
        return len(self.numbers)


def columns(load: Load, packed: Int64s) -> Events:
    """Return the columns of packed events."""
    _, numbers, kinds = unpack(packed)
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
    markets, methods = markets_of(goods), catalogue.method_table()[payment & np.uint64(0xFFFF)].astype(np.int64)
    if load.is_epass:
        markets, methods = np.zeros_like(markets), np.full_like(methods, catalogue.EPASS)
    has_payer = (markets != 0) | (methods == catalogue.EPASS)
    rates = np.array([catalogue.EPASS_RATE] if load.is_epass else catalogue.PAYER_RATES, dtype=np.int64)
    goods_value = amounts * rates[markets] // catalogue.PAYER_UNITS
    transports = np.where(has_payer, goods_value * _TRANSPORT_PER_MILLE // 1000, 0)
    duties = np.where(has_payer & (methods == catalogue.EPASS), goods_value * _DUTY_PER_MILLE // 1000, 0)
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
        merchants=catalogue.merchant_table()[goods & np.uint64(0xFFFF)].astype(np.int64),
        markets=markets,
        currencies=_currencies(load, goods),
        amounts=amounts,
        coupons=coupons,
        credits=referral_credits,
        methods=methods,
        is_failed=is_failed(payment),
        has_payer=has_payer,
        payer_amounts=goods_value + transports + duties,
        transports=transports,
        duties=duties,
        **parcel_columns(load, numbers, ordered),
        **box_columns(load, numbers),
        reasons=_reasons(load, numbers, kinds),
    )


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


def _currencies(load: Load, goods: npt.NDArray[np.uint64]) -> Int64s:
    if not load.foreign:
        return np.zeros(len(goods), dtype=np.int64)
    bits = (goods >> np.uint64(48)).astype(np.int64)
    others = len(load.currencies) - 1
    return np.where(bits < int(load.foreign * 65_536), 1 + bits % others, 0)


def _reasons(load: Load, numbers: Int64s, kinds: Int64s) -> Int64s:
    reasons = np.full(len(numbers), -1, dtype=np.int64)
    if load.poison:
        turns = bad_records_before(load, numbers) // len(load.facts)
        for topic, kind in BAD_KINDS.items():
            reasons = np.where(kinds == kind, turns % len(REASONS[topic]), reasons)
    return reasons


def _encoded(values: list[str]) -> Objects:
    fragments = np.empty(len(values), dtype=object)
    fragments[:] = [value.encode() for value in values]
    return fragments


class Renderer:
    """Writes the records of one load."""

    def __init__(self, load: Load) -> None:
        """Prepare the fragments that many events share."""
        self._load = load
        named = {d: catalogue.of_merchants(d, is_epass=load.is_epass) for d in _OF_MERCHANTS}
        pairs = zip(named["platform"], named["merchant"], strict=True)
        sold = [f'"platform":"{platform}","merchant":"{merchant}"' for platform, merchant in pairs]
        brand = [f',"brand":"{b}"' if b else "" for b in named["brand"]]
        category = [f',"category":"{c}"' if c else "" for c in named["category"]]
        self._order_merchants = _encoded([s + c + b for s, c, b in zip(sold, category, brand, strict=True)])
        self._payment_merchants = _encoded([s + b for s, b in zip(sold, brand, strict=True)])
        self._markets = _encoded([f'"market":"{market}"' for market in catalogue.MARKETS])
        self._currencies = _encoded([f'"currency":"{currency}"' for currency in load.currencies])
        self._methods = _encoded([f'"method":"{method}"' for method in catalogue.METHODS])
        self._carriers = _encoded([f'"carrier":"{carrier}"' for carrier in catalogue.CARRIERS])
        self._origins = _encoded([f'"origin":"{origin}"' for origin in catalogue.ORIGINS])
        places = zip(*map(catalogue.of_stations, _OF_STATIONS), strict=True)
        self._stations = _encoded(
            [f'"station":"{s}","operator":"{o}","city":"{c}","district":"{d}","flash":{f}' for s, o, c, d, f in places]
        )
        self._prefix = b"%d-" % load.seed

    def keys(self, events: Events) -> list[bytes]:
        """Return the record keys: the order's id."""
        template = self._prefix + b"%d"
        return [template % number for number in events.numbers.tolist()]

    def values(self, events: Events, keys: list[bytes]) -> Objects:
        """Return the record values; those of a null record are None."""
        values = np.empty(len(events), dtype=object)
        orders = np.empty(len(events), dtype=object)
        orders[:] = keys
        writers = {
            Kind.PLACED: self._placed,
            Kind.CANCELLED: self._cancelled,
            Kind.PAID: self._paid,
            Kind.REFUNDED: self._refunded,
            Kind.BAD_ORDER: self._bad,
            Kind.BAD_PAYMENT: self._bad,
            Kind.BAD_PARCEL: self._bad,
            Kind.BAD_BOX: self._bad,
            Kind.SHIPPED: self._shipped,
            Kind.CLEARED: self._cleared,
            Kind.DELIVERED: self._delivered,
            Kind.RECYCLED: self._recycled,
        }
        for kind, write in writers.items():
            at = np.flatnonzero(events.kinds == kind)
            if len(at):
                values[at] = write(events, at, orders[at].tolist())
        return values

    def _discounts(self, events: Events, at: Int64s) -> list[bytes]:
        parts = np.full(len(at), b"", dtype=object)
        for name, amounts in ((b"coupon", events.coupons[at]), (b"credit", events.credits[at])):
            given = np.flatnonzero(amounts)
            if len(given):
                template = b',"' + name + b'_minor":%d'
                parts[given] += np.array([template % a for a in amounts[given].tolist()], dtype=object)
        return parts.tolist()

    def _sold(self, events: Events, at: Int64s) -> tuple[list[bytes] | list[int], ...]:
        """Return what stands at the end of each order event, a column each."""
        return (
            self._order_merchants[events.merchants[at]].tolist(),
            self._markets[events.markets[at]].tolist(),
            self._currencies[events.currencies[at]].tolist(),
            events.amounts[at].tolist(),
            self._discounts(events, at),
        )

    def _placed(self, events: Events, at: Int64s, orders: list[bytes]) -> list[bytes]:
        template = (
            b'{"type":"order_placed","event_id":"p%b","ts":%d,"order_id":"%b",%b,%b,%b,'
            b'"amount_minor":%d%b,"buyer":"u%d"}'
        )
        rows = zip(
            orders,
            events.event_times_ms[at].tolist(),
            orders,
            *self._sold(events, at),
            (events.numbers[at] * 7919 % 10_000_019).tolist(),
            strict=True,
        )
        return [template % row for row in rows]

    def _cancelled(self, events: Events, at: Int64s, orders: list[bytes]) -> list[bytes]:
        template = (
            b'{"type":"order_cancelled","event_id":"x%b","ts":%d,"ordered_ts":%d,"order_id":"%b",%b,%b,%b,'
            b'"amount_minor":%d%b}'
        )
        rows = zip(
            orders,
            events.event_times_ms[at].tolist(),
            events.ordered_ms[at].tolist(),
            orders,
            *self._sold(events, at),
            strict=True,
        )
        return [template % row for row in rows]

    def _payments(self, events: Events, at: Int64s, orders: list[bytes], template: bytes) -> list[bytes]:
        """Write payments; `template` begins the record, up to the times."""
        template += b',"ts":%d,"ordered_ts":%d,"order_id":"%b","payment_id":"pay%b",%b,%b,%b,%b,"amount_minor":%d'
        rows = zip(
            orders,
            events.event_times_ms[at].tolist(),
            events.ordered_ms[at].tolist(),
            orders,
            orders,
            self._payment_merchants[events.merchants[at]].tolist(),
            self._markets[events.markets[at]].tolist(),
            self._methods[events.methods[at]].tolist(),
            self._currencies[events.currencies[at]].tolist(),
            events.amounts[at].tolist(),
            strict=True,
        )
        written = [template % row for row in rows]
        for i in np.flatnonzero(events.has_payer[at]).tolist():
            written[i] += self._payer(events, int(at[i]))
        return written

    @staticmethod
    def _payer(events: Events, row: int) -> bytes:
        currency = catalogue.PAYER_CURRENCIES[events.markets[row]].encode()
        return b',"payer_currency":"%b","payer_amount_minor":%d,"transport_minor":%d,"duty_minor":%d' % (
            currency,
            events.payer_amounts[row],
            events.transports[row],
            events.duties[row],
        )

    def _paid(self, events: Events, at: Int64s, orders: list[bytes]) -> list[bytes]:
        written = self._payments(events, at, orders, b'{"type":"payment_captured","event_id":"c%b"')
        for i in np.flatnonzero(events.is_failed[at]).tolist():
            reason = catalogue.FAILURES[int(events.numbers[at[i]]) % len(catalogue.FAILURES)].encode()
            written[i] = written[i].replace(b"payment_captured", b"payment_failed", 1) + b',"reason":"%b"' % reason
        return [record + b"}" for record in written]

    def _refunded(self, events: Events, at: Int64s, orders: list[bytes]) -> list[bytes]:
        written = self._payments(events, at, orders, b'{"type":"payment_refunded","event_id":"r%b"')
        return [record + b"}" for record in written]

    def _parcels(self, events: Events, at: Int64s, orders: list[bytes], beginning: bytes) -> list[bytes]:
        template = beginning + b',"ts":%d,"ordered_ts":%d,"order_id":"%b","parcel_id":"pc%b",%b,%b,%b'
        rows = zip(
            orders,
            events.event_times_ms[at].tolist(),
            events.ordered_ms[at].tolist(),
            orders,
            orders,
            self._carriers[events.carriers[at]].tolist(),
            self._origins[events.origins[at]].tolist(),
            self._markets[events.markets[at]].tolist(),
            strict=True,
        )
        return [template % row for row in rows]

    def _shipped(self, events: Events, at: Int64s, orders: list[bytes]) -> list[bytes]:
        written = self._parcels(events, at, orders, b'{"type":"parcel_shipped","event_id":"s%b"')
        return [record + b"}" for record in written]

    def _underway(self, events: Events, at: Int64s, orders: list[bytes], beginning: bytes) -> list[bytes]:
        written = self._parcels(events, at, orders, beginning)
        shipped = events.shipped_ms[at].tolist()
        return [b'%b,"shipped_ts":%d}' % row for row in zip(written, shipped, strict=True)]

    def _cleared(self, events: Events, at: Int64s, orders: list[bytes]) -> list[bytes]:
        return self._underway(events, at, orders, b'{"type":"parcel_cleared","event_id":"k%b"')

    def _delivered(self, events: Events, at: Int64s, orders: list[bytes]) -> list[bytes]:
        return self._underway(events, at, orders, b'{"type":"parcel_delivered","event_id":"d%b"')

    def _recycled(self, events: Events, at: Int64s, orders: list[bytes]) -> list[bytes]:
        template = b'{"type":"box_recycled","event_id":"b%b","ts":%d,%b,"boxes":%d,"points":%d,"user":"u%d"}'
        boxes = events.boxes[at]
        rows = zip(
            orders,
            events.event_times_ms[at].tolist(),
            self._stations[events.stations[at]].tolist(),
            boxes.tolist(),
            (boxes * catalogue.POINTS_PER_BOX).tolist(),
            (events.numbers[at] * 7919 % 10_000_019).tolist(),
            strict=True,
        )
        return [template % row for row in rows]

    def _bad(self, events: Events, at: Int64s, orders: list[bytes]) -> list[bytes | None]:
        written = []
        for row, order in zip(at.tolist(), orders, strict=True):
            topic = FACTS[events.topics[row]]
            reason = REASONS[topic][events.reasons[row]]
            written.append(bad_record(topic, reason, order.decode(), int(events.event_times_ms[row])))
        return written
