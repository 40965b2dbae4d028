"""From columns of events to their records: the keys and the JSON, byte for byte the same for the same load.

A record of each kind is declared as pieces in their order; `streams.replay.writing` writes many at once.
"""

from __future__ import annotations

import json
from typing import TYPE_CHECKING

import numpy as np

from streams.domain.declared import Declared
from streams.native import IS_BUILT
from streams.native.texts import joined, taken
from streams.replay import catalogue
from streams.replay.declared_pieces import DeclaredPieces
from streams.replay.load import FACTS
from streams.replay.poison import REASONS, bad_record
from streams.replay.timeline import Kind
from streams.replay.writing import Piece, write

if TYPE_CHECKING:
    from collections.abc import Sequence

    from streams.domain.curves import Int64s
    from streams.mapping.hashing import Hash
    from streams.native.texts import Texts
    from streams.replay.drawn_events import Bools, Events
    from streams.replay.load import Load

_OF_STATIONS = ("station", "operator", "city", "district", "flash")
_PAID = [b"captured", b"failed"]
_FAILURES = [b"", *(f',"reason":"{reason}"'.encode() for reason in catalogue.FAILURES)]
_ABSENT = -1
"""In place of a number that a record does not have."""


def _encoded(name: str, values: Sequence[str | None], before: str = "") -> list[bytes]:
    """Return a field for each value, `before` in front of it; nothing where there is no value."""
    texts = [None if value is None else json.dumps(value, ensure_ascii=False) for value in values]
    return [b"" if text is None else f'{before}"{name}":{text}'.encode() for text in texts]


def _given(numbers: Int64s, is_given: Bools) -> Int64s:
    given: Int64s = np.where(is_given, numbers, _ABSENT)
    return given


def _users(events: Events, at: Int64s) -> Int64s:
    users: Int64s = events.numbers[at] * 7919 % 10_000_019
    return users


class Renderer:
    """Writes the records of one load."""

    def __init__(
        self,
        load: Load,
        *,
        is_compiled: bool = IS_BUILT,
        hashing: Hash | None = None,
        declared: Declared | None = None,
    ) -> None:
        """Prepare the fragments that many events share.

        `hashing` replaces buyers and users; events have the fields that were `declared`, too.
        """
        self._own = DeclaredPieces(declared or Declared(), load.seed)
        self._load = load
        self._hashing = hashing
        self._is_compiled = is_compiled
        sold = load.catalogue
        names = _encoded("merchant", sold.merchants.names)
        brands = _encoded("brand", sold.merchants.brands, ",")
        categories = _encoded("category", sold.merchants.categories, ",")
        self._order_merchants = [n + c + b for n, c, b in zip(names, categories, brands, strict=True)]
        self._payment_merchants = [n + b for n, b in zip(names, brands, strict=True)]
        self._platforms = _encoded("platform", sold.platforms.names)
        self._markets = _encoded("market", sold.markets.names)
        self._currencies = _encoded("currency", load.currencies)
        self._methods = _encoded("method", sold.methods.names)
        self._carriers = _encoded("carrier", sold.carriers.names)
        self._origins = _encoded("origin", sold.origins.names)
        payers = [sold.payers.get(market, (None, 0))[0] for market in sold.markets.names]
        self._payers = [b"", *_encoded("payer_currency", payers, ",")]
        places = zip(*map(catalogue.of_stations, _OF_STATIONS), strict=True)
        self._stations = [
            f'"station":"{s}","operator":"{o}","city":"{c}","district":"{d}","flash":{f}'.encode()
            for s, o, c, d, f in places
        ]
        self._seed = b"%d-" % load.seed
        self._event_id = b'","event_id":"' + json.dumps(load.event_id_prefix, ensure_ascii=False)[1:-1].encode()
        """What stands in front of an event's own id, up to the letter of its kind."""
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

    def _identity(self, beginning: bytes, letter: bytes, events: Events, at: Int64s) -> list[Piece]:
        """Return the event's own id, which the beginning is followed by, and its time; letters tell kinds apart."""
        own = Piece(beginning + self._event_id + letter + self._seed, events.numbers[at])
        return [own, Piece(b'","ts":', events.event_times_ms[at])]

    def _order(self, events: Events, at: Int64s) -> Piece:
        return Piece(b',"order_id":"' + self._seed, events.numbers[at])

    def _after_order(self, beginning: bytes, letter: bytes, events: Events, at: Int64s) -> list[Piece]:
        """Return the identity of an event that follows an order, and that order's time and id."""
        return [
            *self._identity(beginning, letter, events, at),
            Piece(b',"ordered_ts":', events.ordered_ms[at]),
            self._order(events, at),
        ]

    def _sold(self, events: Events, at: Int64s) -> list[Piece]:
        """Return what each order event says after its order's id."""
        return [
            Piece(b'",', events.platforms[at], self._platforms),
            Piece(b",", events.merchants[at], self._order_merchants),
            Piece(b",", events.markets[at], self._markets),
            Piece(b",", events.currencies[at], self._currencies),
            Piece(b',"amount_minor":', events.amounts[at]),
            Piece(b',"coupon_minor":', _given(events.coupons[at], events.coupons[at] > 0)),
            Piece(b',"credit_minor":', _given(events.credits[at], events.credits[at] > 0)),
            *self._own.of("orders", events.numbers[at]),
        ]

    def _placed(self, events: Events, at: Int64s) -> list[Piece]:
        return [
            *self._identity(b'{"type":"order_placed', b"p", events, at),
            self._order(events, at),
            *self._sold(events, at),
            self._person(b',"buyer":"', events, at),
        ]

    def _person(self, before: bytes, events: Events, at: Int64s) -> Piece:
        users = _users(events, at)
        if self._hashing is None:
            return Piece(before + b"u", users)
        known, places = np.unique(users, return_inverse=True)
        return Piece(before, places.astype(np.int64), [self._hashing(f"u{user}").encode() for user in known.tolist()])

    def _cancelled(self, events: Events, at: Int64s) -> list[Piece]:
        return [
            *self._after_order(b'{"type":"order_cancelled', b"x", events, at),
            *self._sold(events, at),
        ]

    def _payments(self, beginning: bytes, letter: bytes, events: Events, at: Int64s) -> list[Piece]:
        has_payer = events.has_payer[at]
        return [
            *self._after_order(beginning, letter, events, at),
            Piece(b'","payment_id":"pay' + self._seed, events.numbers[at]),
            Piece(b'",', events.platforms[at], self._platforms),
            Piece(b",", events.merchants[at], self._payment_merchants),
            Piece(b",", events.markets[at], self._markets),
            Piece(b",", events.methods[at], self._methods),
            Piece(b",", events.currencies[at], self._currencies),
            Piece(b',"amount_minor":', events.amounts[at]),
            Piece(b"", np.where(has_payer, 1 + events.markets[at], 0), self._payers),
            Piece(b',"payer_amount_minor":', _given(events.payer_amounts[at], has_payer)),
            Piece(b',"transport_minor":', _given(events.transports[at], has_payer)),
            Piece(b',"duty_minor":', _given(events.duties[at], has_payer)),
            *self._own.of("payments", events.numbers[at]),
        ]

    def _paid(self, events: Events, at: Int64s) -> list[Piece]:
        is_failed = events.is_failed[at]
        reasons = 1 + events.numbers[at] % len(catalogue.FAILURES)
        return [
            Piece(b'{"type":"payment_', is_failed.astype(np.int64), _PAID),
            *self._payments(b"", b"c", events, at),
            Piece(b"", np.where(is_failed, reasons, 0), _FAILURES),
        ]

    def _refunded(self, events: Events, at: Int64s) -> list[Piece]:
        return self._payments(b'{"type":"payment_refunded', b"r", events, at)

    def _parcels(self, beginning: bytes, letter: bytes, events: Events, at: Int64s) -> list[Piece]:
        return [
            *self._after_order(beginning, letter, events, at),
            Piece(b'","parcel_id":"pc' + self._seed, events.numbers[at]),
            Piece(b'",', events.carriers[at], self._carriers),
            Piece(b",", events.origins[at], self._origins),
            Piece(b",", events.markets[at], self._markets),
            *self._own.of("parcels", events.numbers[at]),
        ]

    def _shipped(self, events: Events, at: Int64s) -> list[Piece]:
        return self._parcels(b'{"type":"parcel_shipped', b"s", events, at)

    def _underway(self, beginning: bytes, letter: bytes, events: Events, at: Int64s) -> list[Piece]:
        return [*self._parcels(beginning, letter, events, at), Piece(b',"shipped_ts":', events.shipped_ms[at])]

    def _cleared(self, events: Events, at: Int64s) -> list[Piece]:
        return self._underway(b'{"type":"parcel_cleared', b"k", events, at)

    def _delivered(self, events: Events, at: Int64s) -> list[Piece]:
        return self._underway(b'{"type":"parcel_delivered', b"d", events, at)

    def _recycled(self, events: Events, at: Int64s) -> list[Piece]:
        return [
            *self._identity(b'{"type":"box_recycled', b"b", events, at),
            Piece(b",", events.stations[at], self._stations),
            Piece(b',"boxes":', events.boxes[at]),
            Piece(b',"points":', events.boxes[at] * catalogue.POINTS_PER_BOX),
            *self._own.of("recycling", events.numbers[at]),
            self._person(b',"user":"', events, at),
        ]

    def _bad(self, events: Events, at: Int64s) -> list[bytes | None]:
        records = []
        for row in at.tolist():
            topic = FACTS[events.topics[row]]
            reason = REASONS[topic][events.reasons[row]]
            order = f"{self._load.seed}-{events.numbers[row]}"
            event_id = f"{self._load.event_id_prefix}bad-{order}"
            ts = int(events.event_times_ms[row])
            records.append(bad_record(topic, reason, event_id, order, ts, sale=self._load.catalogue.bad_sale))
        return records
