"""From columns of events to their records: the keys and the JSON, byte for byte the same for the same load.

A record of each kind is declared as pieces in their order; `streams.replay.texts` writes many at once.
"""

from __future__ import annotations

from typing import TYPE_CHECKING

import numpy as np

from streams.native import IS_BUILT
from streams.replay import catalogue
from streams.replay.load import FACTS
from streams.replay.poison import REASONS, bad_record
from streams.replay.texts import Piece, joined, taken, write
from streams.replay.timeline import Kind

if TYPE_CHECKING:
    from streams.domain.curves import Int64s
    from streams.replay.events import Bools, Events
    from streams.replay.load import Load
    from streams.replay.texts import Texts

_OF_MERCHANTS = ("platform", "merchant", "brand", "category")
_OF_STATIONS = ("station", "operator", "city", "district", "flash")
_PAID = [b"captured", b"failed"]
_FAILURES = [b"", *(f',"reason":"{reason}"'.encode() for reason in catalogue.FAILURES)]
_PAYERS = [b"", *(f',"payer_currency":"{currency}"'.encode() for currency in catalogue.PAYER_CURRENCIES)]
_ABSENT = -1
"""In place of a number that a record does not have."""


def _encoded(name: str, values: tuple[str, ...]) -> list[bytes]:
    return [f'"{name}":"{value}"'.encode() for value in values]


def _given(numbers: Int64s, is_given: Bools) -> Int64s:
    given: Int64s = np.where(is_given, numbers, _ABSENT)
    return given


def _users(events: Events, at: Int64s) -> Int64s:
    users: Int64s = events.numbers[at] * 7919 % 10_000_019
    return users


class Renderer:
    """Writes the records of one load."""

    def __init__(self, load: Load, *, is_compiled: bool = IS_BUILT) -> None:
        """Prepare the fragments that many events share."""
        self._load = load
        self._is_compiled = is_compiled
        named = {d: catalogue.of_merchants(d, is_epass=load.is_epass) for d in _OF_MERCHANTS}
        pairs = zip(named["platform"], named["merchant"], strict=True)
        sold = [f'"platform":"{platform}","merchant":"{merchant}"' for platform, merchant in pairs]
        brand = [f',"brand":"{b}"' if b else "" for b in named["brand"]]
        category = [f',"category":"{c}"' if c else "" for c in named["category"]]
        self._order_merchants = [(s + c + b).encode() for s, c, b in zip(sold, category, brand, strict=True)]
        self._payment_merchants = [(s + b).encode() for s, b in zip(sold, brand, strict=True)]
        self._markets = _encoded("market", catalogue.MARKETS)
        self._currencies = _encoded("currency", load.currencies)
        self._methods = _encoded("method", catalogue.METHODS)
        self._carriers = _encoded("carrier", catalogue.CARRIERS)
        self._origins = _encoded("origin", catalogue.ORIGINS)
        places = zip(*map(catalogue.of_stations, _OF_STATIONS), strict=True)
        self._stations = [
            f'"station":"{s}","operator":"{o}","city":"{c}","district":"{d}","flash":{f}'.encode()
            for s, o, c, d, f in places
        ]
        self._seed = b"%d-" % load.seed
        self._forms = {
            Kind.PLACED: (self._placed, b'"}'),
            Kind.CANCELLED: (self._cancelled, b"}"),
            Kind.PAID: (self._paid, b"}"),
            Kind.REFUNDED: (self._refunded, b"}"),
            Kind.SHIPPED: (self._shipped, b"}"),
            Kind.CLEARED: (self._cleared, b"}"),
            Kind.DELIVERED: (self._delivered, b"}"),
            Kind.RECYCLED: (self._recycled, b'"}'),
        }
        """By kind: the pieces of a record, and its end."""

    def keys(self, events: Events) -> Texts:
        """Return the record keys: the order's id."""
        return write([Piece(self._seed, events.numbers)], b"", is_compiled=self._is_compiled)

    def values(self, events: Events) -> Texts:
        """Return the record values; those of a null record are None."""
        rows: list[Int64s] = []
        parts: list[Texts] = []
        for kind, (pieces, end) in self._forms.items():
            at = np.flatnonzero(events.kinds == kind)
            if len(at):
                rows.append(at)
                parts.append(write(pieces(events, at), end, is_compiled=self._is_compiled))
        bad = np.flatnonzero(events.reasons >= 0)
        if len(bad):
            rows.append(bad)
            parts.append(self._bad(events, bad))
        if len(parts) < 2:  # noqa: PLR2004
            return parts[0] if parts else []
        return taken(joined(parts, is_compiled=self._is_compiled), np.argsort(np.concatenate(rows)))

    def _identity(self, beginning: bytes, events: Events, at: Int64s) -> list[Piece]:
        """Return the event's own id, which the beginning is followed by, and its time."""
        return [Piece(beginning + self._seed, events.numbers[at]), Piece(b'","ts":', events.event_times_ms[at])]

    def _order(self, events: Events, at: Int64s) -> Piece:
        return Piece(b',"order_id":"' + self._seed, events.numbers[at])

    def _after_order(self, beginning: bytes, events: Events, at: Int64s) -> list[Piece]:
        """Return the identity of an event that follows an order, and that order's time and id."""
        return [
            *self._identity(beginning, events, at),
            Piece(b',"ordered_ts":', events.ordered_ms[at]),
            self._order(events, at),
        ]

    def _sold(self, events: Events, at: Int64s) -> list[Piece]:
        """Return what each order event says after its order's id."""
        return [
            Piece(b'",', events.merchants[at], self._order_merchants),
            Piece(b",", events.markets[at], self._markets),
            Piece(b",", events.currencies[at], self._currencies),
            Piece(b',"amount_minor":', events.amounts[at]),
            Piece(b',"coupon_minor":', _given(events.coupons[at], events.coupons[at] > 0)),
            Piece(b',"credit_minor":', _given(events.credits[at], events.credits[at] > 0)),
        ]

    def _placed(self, events: Events, at: Int64s) -> list[Piece]:
        return [
            *self._identity(b'{"type":"order_placed","event_id":"p', events, at),
            self._order(events, at),
            *self._sold(events, at),
            Piece(b',"buyer":"u', _users(events, at)),
        ]

    def _cancelled(self, events: Events, at: Int64s) -> list[Piece]:
        return [
            *self._after_order(b'{"type":"order_cancelled","event_id":"x', events, at),
            *self._sold(events, at),
        ]

    def _payments(self, beginning: bytes, events: Events, at: Int64s) -> list[Piece]:
        has_payer = events.has_payer[at]
        return [
            *self._after_order(beginning, events, at),
            Piece(b'","payment_id":"pay' + self._seed, events.numbers[at]),
            Piece(b'",', events.merchants[at], self._payment_merchants),
            Piece(b",", events.markets[at], self._markets),
            Piece(b",", events.methods[at], self._methods),
            Piece(b",", events.currencies[at], self._currencies),
            Piece(b',"amount_minor":', events.amounts[at]),
            Piece(b"", np.where(has_payer, 1 + events.markets[at], 0), _PAYERS),
            Piece(b',"payer_amount_minor":', _given(events.payer_amounts[at], has_payer)),
            Piece(b',"transport_minor":', _given(events.transports[at], has_payer)),
            Piece(b',"duty_minor":', _given(events.duties[at], has_payer)),
        ]

    def _paid(self, events: Events, at: Int64s) -> list[Piece]:
        is_failed = events.is_failed[at]
        reasons = 1 + events.numbers[at] % len(catalogue.FAILURES)
        return [
            Piece(b'{"type":"payment_', is_failed.astype(np.int64), _PAID),
            *self._payments(b'","event_id":"c', events, at),
            Piece(b"", np.where(is_failed, reasons, 0), _FAILURES),
        ]

    def _refunded(self, events: Events, at: Int64s) -> list[Piece]:
        return self._payments(b'{"type":"payment_refunded","event_id":"r', events, at)

    def _parcels(self, beginning: bytes, events: Events, at: Int64s) -> list[Piece]:
        return [
            *self._after_order(beginning, events, at),
            Piece(b'","parcel_id":"pc' + self._seed, events.numbers[at]),
            Piece(b'",', events.carriers[at], self._carriers),
            Piece(b",", events.origins[at], self._origins),
            Piece(b",", events.markets[at], self._markets),
        ]

    def _shipped(self, events: Events, at: Int64s) -> list[Piece]:
        return self._parcels(b'{"type":"parcel_shipped","event_id":"s', events, at)

    def _underway(self, beginning: bytes, events: Events, at: Int64s) -> list[Piece]:
        return [*self._parcels(beginning, events, at), Piece(b',"shipped_ts":', events.shipped_ms[at])]

    def _cleared(self, events: Events, at: Int64s) -> list[Piece]:
        return self._underway(b'{"type":"parcel_cleared","event_id":"k', events, at)

    def _delivered(self, events: Events, at: Int64s) -> list[Piece]:
        return self._underway(b'{"type":"parcel_delivered","event_id":"d', events, at)

    def _recycled(self, events: Events, at: Int64s) -> list[Piece]:
        return [
            *self._identity(b'{"type":"box_recycled","event_id":"b', events, at),
            Piece(b",", events.stations[at], self._stations),
            Piece(b',"boxes":', events.boxes[at]),
            Piece(b',"points":', events.boxes[at] * catalogue.POINTS_PER_BOX),
            Piece(b',"user":"u', _users(events, at)),
        ]

    def _bad(self, events: Events, at: Int64s) -> list[bytes | None]:
        records = []
        for row in at.tolist():
            topic = FACTS[events.topics[row]]
            reason = REASONS[topic][events.reasons[row]]
            order = f"{self._load.seed}-{events.numbers[row]}"
            records.append(bad_record(topic, reason, order, int(events.event_times_ms[row])))
        return records
