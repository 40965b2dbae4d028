"""The order in which a replay sends its events.

Each event is one packed number: when it is sent (milliseconds of festival time since the start), its order's number,
what it is. Sorting the numbers sorts the events, and an event that comes later (a payment, a resend) waits in the pool
as 8 bytes; all else about it is drawn again from its order's number. Where a festival is longer than a day and a few
hours, the time of sending is kept in steps of a few milliseconds, so that it fits as well.
"""

from __future__ import annotations

from enum import IntEnum
from typing import TYPE_CHECKING

import numpy as np
import numpy.typing as npt

from streams.replay.draws import Purpose, below, draw

if TYPE_CHECKING:
    from collections.abc import Collection
    from decimal import Decimal

    from streams.domain.curves import Int64s, UInt64s
    from streams.replay.catalogue import Choice
    from streams.replay.load import Load

Bools = npt.NDArray[np.bool_]

KIND_BITS = 5
NUMBER_BITS = 31
_SENT_SHIFT = KIND_BITS + NUMBER_BITS
_STEPS_LIMIT = 1 << (63 - _SENT_SHIFT)
_KIND_MASK = (1 << KIND_BITS) - 1
_NUMBER_MASK = (1 << NUMBER_BITS) - 1
RESEND = 16
"""Added to the kind of an event that is sent a second time."""

PAYMENT_DELAY_MS = (800, 20_000)
REFUND_DELAY_MS = (300_000, 1_800_000)
CANCEL_DELAY_MS = (60_000, 1_800_000)
LATE_BY_MS = (60_000, 360_000)
RESENT_AFTER_MS = (200, 30_000)
DAY_MS = 86_400_000
SHIPPED_AFTER_MS = (2 * 3_600_000, 3 * DAY_MS)
"""After the order."""
CLEARED_AFTER_MS = (DAY_MS, 4 * DAY_MS)
"""After leaving; only parcels that cross a border are cleared."""
DELIVERED_AFTER_MS = (DAY_MS // 2, 5 * DAY_MS)
"""After leaving, or after customs: so the last arrive 12 days after their orders."""
RECYCLED_AFTER_MS = (DAY_MS // 8, 3 * DAY_MS)
"""After the parcel has arrived; where no orders are replayed, each number is a box of the festival's own day."""
AFTERMATH_PACE = 48
"""What happens after the festival is sent this many times faster: the 12 days in which parcels arrive in 6 hours."""
AFTERMATH_LIMIT_MS = 8 * 3_600_000
assert (
    (SHIPPED_AFTER_MS[1] + CLEARED_AFTER_MS[1] + DELIVERED_AFTER_MS[1] + RECYCLED_AFTER_MS[1]) // AFTERMATH_PACE
    + LATE_BY_MS[1] + RESENT_AFTER_MS[1]
) < AFTERMATH_LIMIT_MS, "all that is sent after the festival"  # fmt: skip
FAILED_SHARE = 3
REFUNDED_SHARE = 2
"""Per cent of the payments."""


class Kind(IntEnum):
    """What an event is."""

    PLACED = 0
    CANCELLED = 1
    PAID = 2
    """Captured or failed."""
    REFUNDED = 3
    BAD_ORDER = 4
    BAD_PAYMENT = 5
    SHIPPED = 6
    CLEARED = 7
    DELIVERED = 8
    RECYCLED = 9
    BAD_PARCEL = 10
    BAD_BOX = 11


BAD_KINDS = {
    "orders": Kind.BAD_ORDER,
    "payments": Kind.BAD_PAYMENT,
    "parcels": Kind.BAD_PARCEL,
    "recycling": Kind.BAD_BOX,
}
TOPIC_OF_KIND = np.array([0, 0, 1, 1, 0, 1, 2, 2, 2, 3, 2, 3], dtype=np.int64)
"""Index into `load.FACTS`."""


def step_bits(load: Load) -> int:
    """Return how finely sending is timed, as a power of 2 ms: 0 up to 29 hours, 5 for the longest festival, 31 days."""
    whole_ms = load.end_ms - load.start_ms + AFTERMATH_LIMIT_MS
    return (whole_ms // _STEPS_LIMIT).bit_length()


def pack(load: Load, sent_ms: Int64s, numbers: Int64s, kind: int) -> Int64s:
    """Return the packed events."""
    return (sent_ms >> step_bits(load) << _SENT_SHIFT) | (numbers << KIND_BITS) | kind


def unpack(load: Load, events: Int64s) -> tuple[Int64s, Int64s, Int64s]:
    """Return when each is sent, its order's number, and its kind with `RESEND`."""
    sent_ms = events >> _SENT_SHIFT << step_bits(load)
    return sent_ms, (events >> KIND_BITS) & _NUMBER_MASK, events & _KIND_MASK


def between(bits: UInt64s, span: tuple[int, int]) -> Int64s:
    """Return a number of the half-open span for each of the bits."""
    return span[0] + below(bits, span[1] - span[0])


def is_hit(bits: UInt64s, share: Decimal) -> Bools:
    """Return which of the bits fall into the share."""
    return (bits >> np.uint64(32)) < np.uint64(int(share * 2**32))


def partitions_of(load: Load, numbers: Int64s) -> Int64s:
    """Return the partition of each order: a stable hash of its identity, the same on every topic."""
    return below(draw(load.seed, Purpose.PARTITION, numbers), load.partitions)


def is_failed(payment_bits: UInt64s) -> Bools:
    """Return which payments fail."""
    return ((payment_bits >> np.uint64(16)) & np.uint64(0xFFFF)) < np.uint64(FAILED_SHARE * 65_536 // 100)


def is_refunded(payment_bits: UInt64s) -> Bools:
    """Return which payments are captured and then refunded."""
    low = ((payment_bits >> np.uint64(34)) & np.uint64(0xFFFF)) < np.uint64(REFUNDED_SHARE * 65_536 // 100)
    return low & ~is_failed(payment_bits)


def event_delays_ms(load: Load, numbers: Int64s, kind: int) -> Int64s:
    """Return how long after its order each event of one kind happens."""
    if kind == Kind.PAID:
        return between(draw(load.seed, Purpose.PAYMENT_DELAY, numbers), PAYMENT_DELAY_MS)
    if kind == Kind.REFUNDED:
        return between(draw(load.seed, Purpose.PAYMENT_DELAY, numbers, variant=1), REFUND_DELAY_MS)
    if kind == Kind.CANCELLED:
        return between(draw(load.seed, Purpose.CANCEL, numbers, variant=1), CANCEL_DELAY_MS)
    if kind in PARCEL_KINDS:
        shipped, cleared, delivered = parcel_delays_ms(load, numbers)
        return {Kind.SHIPPED: shipped, Kind.CLEARED: cleared, Kind.DELIVERED: delivered}[Kind(kind)]
    if kind == Kind.RECYCLED and "orders" in load.facts:
        arrived = parcel_delays_ms(load, numbers)[2]
        return arrived + between(draw(load.seed, Purpose.BOX, numbers, variant=1), RECYCLED_AFTER_MS)
    return np.zeros(len(numbers), dtype=np.int64)


PARCEL_KINDS = (Kind.SHIPPED, Kind.CLEARED, Kind.DELIVERED)


def parcel_delays_ms(load: Load, numbers: Int64s) -> tuple[Int64s, Int64s, Int64s]:
    """Return how long after its order each parcel leaves, is cleared (if it crosses a border) and arrives."""
    bits = [draw(load.seed, Purpose.PARCEL, numbers, variant) for variant in range(3)]
    shipped = between(bits[0], SHIPPED_AFTER_MS)
    cleared = shipped + between(bits[1], CLEARED_AFTER_MS)
    from_ms = np.where(crosses_border(load, numbers), cleared, shipped)
    return shipped, cleared, from_ms + between(bits[2], DELIVERED_AFTER_MS)


def crosses_border(load: Load, numbers: Int64s) -> Bools:
    """Return which orders ship to another country than they come from."""
    markets, origins = load.catalogue.markets.names, load.catalogue.origins.names
    borders = np.array([[market != origin for origin in origins] for market in markets], dtype=np.bool_)
    to = chosen(load.catalogue.markets, draw(load.seed, Purpose.GOODS, numbers) >> np.uint64(16))
    crossing: Bools = borders[to, origins_of(load, numbers)]
    return crossing


def origins_of(load: Load, numbers: Int64s) -> Int64s:
    """Return the index of the origin that each order comes from."""
    if len(load.catalogue.origins.names) == 1:
        return np.zeros(len(numbers), dtype=np.int64)
    return chosen(load.catalogue.origins, draw(load.seed, Purpose.PARCEL, numbers, variant=4))


def chosen(choice: Choice, bits: UInt64s) -> Int64s:
    """Return the index of a name for each of the bits, by the lowest sixteen of them."""
    if choice.table is None:
        return below(bits, len(choice.names))
    found: Int64s = choice.table[bits & np.uint64(0xFFFF)].astype(np.int64)
    return found


def sent_at_ms(load: Load, offsets_ms: Int64s) -> Int64s:
    """Return when an event is sent: at its time in the festival, and faster afterwards. It keeps their order."""
    end_ms = load.end_ms - load.start_ms
    return np.where(offsets_ms < end_ms, offsets_ms, end_ms + (offsets_ms - end_ms) // AFTERMATH_PACE)


class Timeline:
    """Hands out the events of some partitions in the order of sending, step by step.

    The order within a partition depends neither on the steps nor on which other partitions are asked for.
    """

    def __init__(self, load: Load, partitions: Collection[int]) -> None:
        """Begin before the first order; `partitions` are the ones wanted."""
        self.load = load
        self.next_number = 0
        self._all = len(set(partitions)) == load.partitions
        self._wanted = np.zeros(load.partitions, dtype=bool)
        self._wanted[list(partitions)] = True
        self._pool: Int64s = np.empty(0, dtype=np.int64)
        self._is_sorted = False

    @property
    def is_done(self) -> bool:
        """Return whether every event was handed out."""
        return self.next_number == self.load.orders and not len(self._pool)

    def take_orders(self, orders: int) -> Int64s:
        """Return what is due before the order after the next `orders` ones; at the end so many of the rest."""
        if self.next_number == self.load.orders:
            return self._take_rest(orders)
        last = min(self.next_number + orders, self.load.orders)
        self._grow(last)
        if last == self.load.orders:
            return self._take_rest(orders)
        return self._split(int(self._offsets(np.array([last], dtype=np.int64))[0]))

    def take_until(self, offset_ms: int) -> Int64s:
        """Return the events due before `offset_ms` of festival time."""
        self._grow(max(self.load.plan.number_at(offset_ms), self.next_number))
        return self._split(offset_ms)

    def _offsets(self, numbers: Int64s) -> Int64s:
        return self.load.plan.offsets_ms(numbers, draw(self.load.seed, Purpose.TIME, numbers))

    def _split(self, until_ms: int) -> Int64s:
        is_due = self._pool < (until_ms >> step_bits(self.load) << _SENT_SHIFT)
        due, self._pool = self._pool[is_due], self._pool[~is_due]
        return np.sort(due)

    def _take_rest(self, events: int) -> Int64s:
        """Return the next events when no order is to come: in parts, since all parcels may still be underway."""
        if not self._is_sorted:
            self._pool, self._is_sorted = np.sort(self._pool), True
        due, self._pool = self._pool[:events], self._pool[events:]
        return due

    def _grow(self, last: int) -> None:
        """Put the events of the orders up to `last` into the pool."""
        numbers = np.arange(self.next_number, last, dtype=np.int64)
        self.next_number = last
        if not self._all:
            numbers = numbers[self._wanted[partitions_of(self.load, numbers)]]
        if not len(numbers):
            return
        load, at = self.load, self._offsets(numbers)
        fresh = [self._pool]
        if "orders" in load.facts:
            fresh += self._sendings(numbers, at, Kind.PLACED)
            if load.cancel:
                hit = is_hit(draw(load.seed, Purpose.CANCEL, numbers), load.cancel)
                fresh += self._sendings(numbers[hit], at[hit], Kind.CANCELLED)
        if "payments" in load.facts:
            fresh += self._sendings(numbers, at, Kind.PAID)
            hit = is_refunded(draw(load.seed, Purpose.PAYMENT, numbers))
            fresh += self._sendings(numbers[hit], at[hit], Kind.REFUNDED)
        if "parcels" in load.facts:
            abroad = crosses_border(load, numbers)
            fresh += self._sendings(numbers, at, Kind.SHIPPED)
            fresh += self._sendings(numbers[abroad], at[abroad], Kind.CLEARED)
            fresh += self._sendings(numbers, at, Kind.DELIVERED)
        if "recycling" in load.facts:
            fresh += self._sendings(numbers, at, Kind.RECYCLED)
        if load.poison:
            fresh += self._bad_records(numbers, at)
        self._pool = np.concatenate(fresh)

    def _sendings(self, numbers: Int64s, at: Int64s, kind: Kind) -> list[Int64s]:
        load = self.load
        sent = sent_at_ms(load, at + event_delays_ms(load, numbers, kind))
        if load.late:
            bits = draw(load.seed, Purpose.LATE, numbers, kind)
            by = between(draw(load.seed, Purpose.LATE, numbers, kind + RESEND), LATE_BY_MS)
            sent = sent + np.where(is_hit(bits, load.late), by, 0)
        events = [pack(load, sent, numbers, kind)]
        if load.duplicates:
            hit = is_resent(load, numbers, kind)
            after = between(draw(load.seed, Purpose.RESEND, numbers[hit], kind + RESEND), RESENT_AFTER_MS)
            events.append(pack(load, sent[hit] + after, numbers[hit], kind + RESEND))
        return events

    def _bad_records(self, numbers: Int64s, at: Int64s) -> list[Int64s]:
        before = bad_records_before(self.load, numbers)
        hit = bad_records_before(self.load, numbers + 1) > before
        turn = before % len(self.load.facts)
        chosen = [(BAD_KINDS[fact], hit & (turn == index)) for index, fact in enumerate(self.load.facts)]
        return [pack(self.load, at[rows], numbers[rows], kind) for kind, rows in chosen]


def is_resent(load: Load, numbers: Int64s, kind: int) -> Bools:
    """Return which events of one kind are sent twice."""
    return is_hit(draw(load.seed, Purpose.RESEND, numbers, kind), load.duplicates)


def bad_records_before(load: Load, numbers: Int64s) -> Int64s:
    """Return how many bad records the orders before each one bring along: evenly spread, so that every reason comes."""
    return numbers * int(load.poison * 2**31) >> 31
