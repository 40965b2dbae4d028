"""Counts what was acknowledged, by the rules of the contract and independently of the ledger that is tested with it."""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

import numpy as np

from streams.domain.rollups import NONE
from streams.replay.catalogue import of_merchants
from streams.replay.load import FACTS
from streams.replay.poison import REASONS
from streams.replay.timeline import KIND_BITS, Kind
from streams.truth.fulfilment_counts import FulfilmentCounts
from streams.truth.tally import (
    DIMENSIONS,
    FORMAT,
    ORDER_MONEY,
    OUTCOMES,
    PAYER_MONEY,
    PAYMENT_COUNTS,
    PAYMENT_MONEY,
    SALE_DIMENSIONS,
)

if TYPE_CHECKING:
    from collections.abc import Mapping, Sequence

    from streams.domain.curves import Int64s
    from streams.domain.festivals import Festival
    from streams.replay.drawn_events import Bools, Events
    from streams.replay.load import Load
    from streams.truth.tally import Tally

WATERMARK_DELAY_MS = 5_000
MINUTE_MS = 60_000
_NO_TIME = -(1 << 62)
_GROSS, _COUPONS, _CREDITS, _NET, _CANCELLED_NET = range(len(ORDER_MONEY))


@dataclass(frozen=True, slots=True)
class Acknowledged:
    """A batch the broker has taken: rows of the events, in log order."""

    topic: int
    partition: int
    rows: Int64s
    base_offset: int
    record_time_ms: int
    """The time of all its records, as the topic's LogAppendTime gave it."""


def _add(sums: Int64s, rows: Int64s, columns: Int64s, amounts: Int64s) -> None:
    """Add amounts at places of a table; by one index, which numpy adds at several times as fast as by two."""
    np.add.at(sums.reshape(-1), rows * sums.shape[1] + columns, amounts)


class _Cells:
    """Sums of one festival: by currency and merchant, market or method, and by minute.

    Platforms have sums of their own where they are no merchant's.
    """

    def __init__(self, festival: Festival, settle_ms: int, load: Load) -> None:
        self.festival = festival
        self._sold = sold = load.catalogue
        self.ways = FulfilmentCounts(sold)
        currencies = len(load.currencies)
        self.settled_ms = festival.end_ms + settle_ms
        sizes = {"merchant": len(sold.merchants.names), "market": len(sold.markets.names)}
        sizes |= {} if sold.merchants.platforms is not None else {"platform": len(sold.platforms.names)}
        self.order_counts = {d: np.zeros((2, size), np.int64) for d, size in sizes.items()}
        self.order_money = {d: np.zeros((len(ORDER_MONEY), currencies, sizes[d]), np.int64) for d in self.order_counts}
        sizes["method"] = len(sold.methods.names)
        self.payment_counts = {d: np.zeros((3, size), np.int64) for d, size in sizes.items()}
        self.payment_money = {d: np.zeros((3, currencies, size), np.int64) for d, size in sizes.items()}
        self.payer = np.zeros((len(PAYER_MONEY), len(sold.markets.names)), np.int64)
        """By market: what its shoppers paid in their own currency."""
        minutes = -(-(festival.end_ms - festival.start_ms) // MINUTE_MS)
        self.minute_counts = np.zeros((2, minutes), np.int64)
        self.minute_money = np.zeros((2, currencies, minutes), np.int64)

    def holds(self, events: Events, rows: Int64s, topic: str) -> Bools:
        """Return which rows have their festival time in the festival."""
        at = events.ordered_ms[rows]
        return (at >= self.festival.start_ms) & (at < self.festival.end_ms) & (topic in self.festival.facts)

    def add_orders(self, events: Events, rows: Int64s) -> None:
        """Count valid records of `orders`."""
        kinds = events.kinds[rows]
        placed, cancelled = rows[kinds == Kind.PLACED], rows[kinds == Kind.CANCELLED]
        net = events.amounts - events.coupons - events.credits
        for dimension, counts in self.order_counts.items():
            index = _indices(events)[dimension]
            money = self.order_money[dimension]
            for position, chosen in enumerate((placed, cancelled)):
                np.add.at(counts[position], index[chosen], 1)
            for position, amounts in ((_GROSS, events.amounts), (_COUPONS, events.coupons), (_CREDITS, events.credits)):
                _add(money[position], events.currencies[placed], index[placed], amounts[placed])
            _add(money[_CANCELLED_NET], events.currencies[cancelled], index[cancelled], net[cancelled])
        self._add_minutes(0, events, placed)

    def add_payments(self, events: Events, rows: Int64s) -> None:
        """Count valid records of `payments`."""
        is_paid = events.kinds[rows] == Kind.PAID
        is_failed = is_paid & events.is_failed[rows]
        captured, refunded = rows[is_paid & ~is_failed], rows[~is_paid]
        indices = _indices(events)
        for dimension, counts in self.payment_counts.items():
            index, money = indices[dimension], self.payment_money[dimension]
            for position, chosen in enumerate((captured, rows[is_failed], refunded)):
                np.add.at(counts[position], index[chosen], 1)
                _add(money[position], events.currencies[chosen], index[chosen], events.amounts[chosen])
        for position, chosen, amounts in (
            (0, captured, events.payer_amounts),
            (1, refunded, events.payer_amounts),
            (2, captured, events.transports),
            (3, captured, events.duties),
        ):
            given = chosen[events.has_payer[chosen]]
            np.add.at(self.payer[position], events.markets[given], amounts[given])
        self._add_minutes(1, events, captured)

    def _add_minutes(self, position: int, events: Events, rows: Int64s) -> None:
        minutes = (events.ordered_ms[rows] - self.festival.start_ms) // MINUTE_MS
        np.add.at(self.minute_counts[position], minutes, 1)
        _add(self.minute_money[position], events.currencies[rows], minutes, events.amounts[rows])

    def document(self, currencies: Sequence[str]) -> dict[str, Any]:
        """Return the festival's part of a tally."""
        for money in self.order_money.values():
            money[_NET] = _net(money)
        payer: dict[str, dict[str, int]] = {}
        for market, paid in zip(self._sold.markets.names, self.payer.T.tolist(), strict=True):
            if any(paid):
                sums = payer.setdefault(self._sold.payers[market][0], dict.fromkeys(PAYER_MONEY, 0))
                for name, amount in zip(PAYER_MONEY, paid, strict=True):
                    sums[name] += amount
        minutes = {
            "orders": self.minute_counts[0].tolist(),
            "captured": self.minute_counts[1].tolist(),
            "gross": {
                c: self.minute_money[0, i].tolist() for i, c in enumerate(currencies) if self.minute_money[0, i].any()
            },
            "paid": {
                c: self.minute_money[1, i].tolist() for i, c in enumerate(currencies) if self.minute_money[1, i].any()
            },
        }
        total = {"orders": 0, "cancelled": 0, "payments": {}, "money": {}}
        total |= self._rows("merchant", [""] * len(self._sold.merchants.names), currencies).get("", {})
        by = {d: self._by(d, currencies) if d in SALE_DIMENSIONS else {} for d in DIMENSIONS}
        for dimension, rows in by.items():
            for value, row in self.ways.rows(dimension).items():
                rows.setdefault(value, {}).update(row)
        return {**total, **self.ways.totals(), "payer": payer, "by": by, "minutes": minutes}

    def _by(self, dimension: str, currencies: Sequence[str]) -> dict[str, dict[str, Any]]:
        if dimension == "market":
            return self._rows("market", self._sold.markets.names, currencies)
        if dimension == "method":
            return self._rows("method", self._sold.methods.names, currencies, has_orders=False)
        if dimension == "platform" and dimension in self.order_counts:
            return self._rows("platform", self._sold.platforms.names, currencies)
        values = [value or NONE for value in of_merchants(self._sold, dimension)]
        return self._rows("merchant", values, currencies, has_payments=dimension != "category")

    def _rows(
        self,
        source: str,
        values: Sequence[str],
        currencies: Sequence[str],
        *,
        has_orders: bool = True,
        has_payments: bool = True,
    ) -> dict[str, dict[str, Any]]:
        """Return a row for each distinct value that has events; `values` names each column of the `source` cells."""
        names, columns = np.unique(np.array(values, dtype=object).astype(str), return_inverse=True)
        rows: dict[str, dict[str, Any]] = {name: {} for name in names.tolist()}
        parts: list[tuple[str | None, Sequence[str], Int64s]] = []
        if has_orders:
            parts.append((None, ("orders", "cancelled"), self.order_counts[source]))
            parts += [(c, ORDER_MONEY, self.order_money[source][:, i]) for i, c in enumerate(currencies)]
        if has_payments:
            parts.append(("payments", PAYMENT_COUNTS, self.payment_counts[source]))
            parts += [(c, PAYMENT_MONEY, self.payment_money[source][:, i]) for i, c in enumerate(currencies)]
        for group, measures, cells in parts:
            summed = np.zeros((len(measures), len(names)), np.int64)
            for position, measure_cells in enumerate(cells):
                np.add.at(summed[position], columns, measure_cells)
            for column, name in enumerate(names.tolist()):
                if summed[:, column].any():
                    found = dict(zip(measures, summed[:, column].tolist(), strict=True))
                    _place(rows[name], group, found)
        return {name: row for name, row in rows.items() if row}


def _indices(events: Events) -> dict[str, Int64s]:
    """Return the column of each dimension that has sums."""
    return {
        "merchant": events.merchants,
        "market": events.markets,
        "platform": events.platforms,
        "method": events.methods,
    }


def _net(money: Int64s) -> Int64s:
    net: Int64s = money[_GROSS] - money[_COUPONS] - money[_CREDITS]
    return net


def _place(row: dict[str, Any], group: str | None, found: Mapping[str, int]) -> None:
    """Put measures where the totals document has them."""
    if group is None:
        row.update(found)
    elif group == "payments":
        row["payments"] = dict(found)
    else:
        row.setdefault("money", {}).setdefault(group, {}).update(found)


class Counter:
    """The tally of some partitions of a load, in the making. Feed it acknowledged batches in the order of sending."""

    def __init__(
        self,
        load: Load,
        festivals: Sequence[Festival],
        *,
        settle_ms: int,
        dedup_horizon_minutes: int,
        after: Mapping[str, int] | None = None,
    ) -> None:
        """Count into every festival of `festivals`; `after` is `max_event_times_ms` of what was replayed before."""
        self._load = load
        self._horizon = dedup_horizon_minutes
        self._cells = [_Cells(festival, settle_ms, load) for festival in festivals]
        self._started = dict(after or {})
        self._max_event_times = dict(self._started)
        self._stream_times: dict[tuple[int, int], int] = {}
        self._sightings: dict[int, int] = {}
        self._outcomes = {fact: dict.fromkeys(OUTCOMES, 0) for fact in load.facts}
        self._late = dict.fromkeys(load.facts, 0)
        self._rejected: dict[str, dict[str, int]] = {fact: {} for fact in load.facts}
        self._acknowledged: dict[str, dict[str, int]] = {fact: {} for fact in load.facts}
        self._end_offsets: dict[str, dict[str, int]] = {fact: {} for fact in load.facts}
        self._unknown: list[dict[str, Any]] = []

    def add(self, events: Events, batches: Sequence[Acknowledged]) -> None:
        """Count the acknowledged batches of one step."""
        acknowledged = np.zeros(len(events), dtype=bool)
        minutes = np.zeros(len(events), dtype=np.int64)
        is_late = np.zeros(len(events), dtype=bool)
        for batch in batches:
            place = (batch.topic, batch.partition)
            stream_time = max(self._stream_times.get(place, 0), batch.record_time_ms)
            self._stream_times[place] = stream_time
            acknowledged[batch.rows] = True
            minutes[batch.rows] = stream_time // MINUTE_MS
            is_late[batch.rows] = self._lateness(events, batch)
            self._count_offsets(batch)
        is_bad = events.reasons >= 0
        is_duplicate = self._duplicates(events, acknowledged, minutes)
        is_valid = acknowledged & ~is_bad & ~is_duplicate
        for topic in self._load.facts:
            on_topic = events.topics == FACTS.index(topic)
            outcomes = self._outcomes[topic]
            outcomes["duplicate"] += int((is_duplicate & on_topic).sum())
            self._late[topic] += int((is_valid & is_late & on_topic).sum())
            self._count_bad(topic, events.reasons[acknowledged & is_bad & on_topic])
            self._count_valid(topic, events, np.flatnonzero(is_valid & on_topic))

    def add_unknown(self, topic: str, partition: int, first_record: int, records: int) -> None:
        """Note records of which no acknowledgement came."""
        self._unknown.append({"topic": topic, "partition": partition, "first_record": first_record, "records": records})

    def tally(self) -> Tally:
        """Return the tally so far."""
        return {
            "format": FORMAT,
            "acknowledged": self._acknowledged,
            "end_offsets": self._end_offsets,
            "unknown": self._unknown,
            "outcomes": self._outcomes,
            "late": self._late,
            "rejected": self._rejected,
            "started_after_ms": self._started,
            "max_event_times_ms": self._max_event_times,
            "festivals": {c.festival.id: c.document(self._load.currencies) for c in self._cells},
        }

    def _count_offsets(self, batch: Acknowledged) -> None:
        topic, partition = FACTS[batch.topic], str(batch.partition)
        counts = self._acknowledged[topic]
        counts[partition] = counts.get(partition, 0) + len(batch.rows)
        self._end_offsets[topic][partition] = batch.base_offset + len(batch.rows)

    def _lateness(self, events: Events, batch: Acknowledged) -> Bools:
        """Return which rows lie below the watermark that the valid records before them have set."""
        name = f"{FACTS[batch.topic]}/{batch.partition}"
        before = self._max_event_times.get(name, _NO_TIME)
        times = np.where(events.reasons[batch.rows] >= 0, _NO_TIME, events.event_times_ms[batch.rows])
        largest = np.maximum.accumulate(np.concatenate([[before], times]))
        if largest[-1] != _NO_TIME:
            self._max_event_times[name] = int(largest[-1])
        late: Bools = events.event_times_ms[batch.rows] < largest[:-1] - WATERMARK_DELAY_MS
        return late

    def _duplicates(self, events: Events, acknowledged: Bools, minutes: Int64s) -> Bools:
        """Return which records repeat one that was seen within the horizon of record time."""
        is_duplicate = np.zeros(len(events), dtype=bool)
        identities = (events.numbers << KIND_BITS) | events.kinds
        first = np.flatnonzero(events.will_be_resent & acknowledged)
        self._sightings.update(zip(identities[first].tolist(), minutes[first].tolist(), strict=True))
        again = np.flatnonzero(events.is_resend & acknowledged)
        for row, identity, minute in zip(
            again.tolist(), identities[again].tolist(), minutes[again].tolist(), strict=True
        ):
            seen = self._sightings.pop(identity, None)
            is_duplicate[row] = seen is not None and minute - seen <= self._horizon
        return is_duplicate

    def _count_bad(self, topic: str, reasons: Int64s) -> None:
        self._outcomes[topic]["rejected"] += len(reasons)
        counts = self._rejected[topic]
        for position, count in zip(*np.unique(reasons, return_counts=True), strict=True):
            name = REASONS[topic][position].value
            counts[name] = counts.get(name, 0) + int(count)

    def _count_valid(self, topic: str, events: Events, rows: Int64s) -> None:
        counted, expired = np.zeros(len(rows), dtype=bool), np.zeros(len(rows), dtype=bool)
        for cells in self._cells:
            held = cells.holds(events, rows, topic)
            is_settled = events.event_times_ms[rows] > cells.settled_ms
            counted |= held & ~is_settled
            expired |= held & is_settled
            add = {
                "orders": cells.add_orders,
                "payments": cells.add_payments,
                "parcels": cells.ways.add_parcels,
                "recycling": cells.ways.add_boxes,
            }[topic]
            add(events, rows[held & ~is_settled])
        outcomes = self._outcomes[topic]
        outcomes["counted"] += int(counted.sum())
        outcomes["expired"] += int((expired & ~counted).sum())
        outcomes["outside"] += int((~counted & ~expired).sum())
