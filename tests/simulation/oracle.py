"""What the records of one source partition come to, counted a second time by brute force.

It reads JSON with the standard library and shares no code with the counter. It judges the records that `world` makes,
in log order, one at a time; where the contract has rules for what no world makes, it has none.
"""

from __future__ import annotations

import json
from bisect import bisect_left
from collections import Counter
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from collections.abc import Callable, Mapping

Totals = Counter[str]
"""By name: outcomes, `late`, `rejected.<reason>`, and sums as `CNY.gross`; `.boxes` where there is no currency."""

MINUTE_MS = 60_000
WATERMARK_LAG_MS = 5_000
AHEAD_MS = 5 * MINUTE_MS
MOST_BYTES = 64 * 1024
MOST = 10**13
LATEST_MS = 253_402_300_799_999
"""The end of the year 9999."""
CURRENCIES = ("CNY", "USD", "EUR", "JPY")
MONEY = (0, MOST)
TIME = (0, LATEST_MS)


@dataclass(frozen=True)
class Rules:
    """What the festival of a world is, in milliseconds."""

    start_ms: int
    end_ms: int
    settle_ms: int
    horizon_minutes: int


@dataclass(frozen=True)
class Kind:
    """What the records of one topic have to be, and what they are added up to."""

    measures: tuple[str, ...]
    sums: Callable[[dict[str, Any]], tuple[int, ...]]
    types: tuple[str, ...]
    required: tuple[str, ...]
    """Beside `type` and `ts`."""
    texts: frozenset[str]
    numbers: Mapping[str, tuple[int, int]]
    """Least and most."""
    past: tuple[str, ...] = ("ordered_ts",)
    """Times that may not lie behind `ts`."""
    late_types: frozenset[str] = frozenset()
    """Types that have `shipped_ts`; to others it is nothing."""


def _orders(event: dict[str, Any]) -> tuple[int, ...]:
    gross, coupons, credits_ = event["amount_minor"], event.get("coupon_minor", 0), event.get("credit_minor", 0)
    if event["type"] == "order_cancelled":
        return 0, 1, 0, 0, 0, gross - coupons - credits_, 0
    return 1, 0, gross, coupons, credits_, 0, int(coupons > 0 or credits_ > 0)


def _payments(event: dict[str, Any]) -> tuple[int, ...]:
    place, amount = KINDS["payments"].types.index(event["type"]), event["amount_minor"]
    return tuple(int(i == place) for i in range(3)) + tuple(amount * (i == place) for i in range(3))


def _parcels(event: dict[str, Any]) -> tuple[int, ...]:
    return tuple(int(event["type"] == kind) for kind in KINDS["parcels"].types)


def _recycling(event: dict[str, Any]) -> tuple[int, ...]:
    return event["boxes"], 1, event["points"]


_SHOP = ("platform", "merchant", "market")
KINDS: dict[str, Kind] = {
    "orders": Kind(
        ("orders", "cancelled", "gross", "coupons", "credits", "cancelled_net", "couponed"),
        _orders,
        ("order_placed", "order_cancelled"),
        ("event_id", "order_id", *_SHOP, "currency", "amount_minor"),
        frozenset({"event_id", "order_id", *_SHOP, "category", "brand", "buyer"}),
        {"ts": TIME, "ordered_ts": TIME, "amount_minor": MONEY, "coupon_minor": MONEY, "credit_minor": MONEY},
    ),
    "payments": Kind(
        ("captured", "failed", "refunded", "paid", "failed_money", "refunded_money"),
        _payments,
        ("payment_captured", "payment_failed", "payment_refunded"),
        ("event_id", "order_id", "payment_id", *_SHOP, "method", "currency", "amount_minor"),
        frozenset({"event_id", "order_id", "payment_id", *_SHOP, "method", "brand"}),
        {"ts": TIME, "ordered_ts": TIME, "amount_minor": MONEY},
    ),
    "parcels": Kind(
        ("shipped", "cleared", "delivered"),
        _parcels,
        ("parcel_shipped", "parcel_cleared", "parcel_delivered"),
        ("event_id", "ordered_ts", "order_id", "parcel_id", "carrier", "origin", "market"),
        frozenset({"event_id", "order_id", "parcel_id", "carrier", "origin", "market"}),
        {"ts": TIME, "ordered_ts": TIME, "shipped_ts": TIME},
        past=("ordered_ts", "shipped_ts"),
        late_types=frozenset({"parcel_cleared", "parcel_delivered"}),
    ),
    "recycling": Kind(
        ("boxes", "scans", "points"),
        _recycling,
        ("box_recycled",),
        ("event_id", "station", "operator", "city", "district", "boxes", "points"),
        frozenset({"event_id", "station", "operator", "city", "district", "user"}),
        {"ts": TIME, "ordered_ts": TIME, "boxes": (1, MOST), "points": (0, MOST)},
    ),
}


class RejectedError(Exception):
    """The record is not valid; the text is the reason."""


class PartitionOracle:
    """Counts one topic-partition. Call `take` for each committed record, in order; ask `totals` at any time."""

    def __init__(self, topic: str, rules: Rules) -> None:
        self.topic, self.kind = topic, KINDS[topic]
        self.rules = rules
        self._records: list[tuple[int, bytes | None, int]] = []
        self.offsets: list[int] = []
        """Offsets of the records taken, ascending."""
        self.outcomes: list[tuple[str, ...]] = []
        """What became of each of them."""
        self.cells: list[tuple[int, str] | None] = []
        """Second of the festival and currency that each of them counts for; None: for none."""
        self.sums: list[tuple[int, ...]] = []
        """What each of them adds to the measures there."""
        self._stream_ms = 0
        self._newest_ts: int | None = None
        self._sighted: dict[str, int] = {}

    def take(self, offset: int, value: bytes | None, record_time_ms: int) -> None:
        """Judge and count the next record."""
        assert not self.offsets or offset > self.offsets[-1], (offset, self.offsets[-1])
        self._stream_ms = max(self._stream_ms, record_time_ms)
        cell: tuple[int, str] | None = None
        sums: tuple[int, ...] = ()
        try:
            event = judged(self.kind, value, record_time_ms)
        except RejectedError as error:
            outcomes: tuple[str, ...] = ("rejected", f"rejected.{error}")
        else:
            outcomes = self._count(event)
            if outcomes[0] == "counted":
                second = (event.get("ordered_ts", event["ts"]) - self.rules.start_ms) // 1000
                cell, sums = (second, event.get("currency", "")), self.kind.sums(event)
        self.cells.append(cell)
        self.sums.append(sums)
        self._records.append((offset, value, record_time_ms))
        self.offsets.append(offset)
        self.outcomes.append(outcomes)

    def before(self, end: int) -> PartitionOracle:
        """Return an oracle that has taken only what lies below offset `end`: the rest of the log was lost."""
        return self._only([record for record in self._records if record[0] < end])

    def since(self, start: int) -> PartitionOracle:
        """Return an oracle that has taken only what lies at and after offset `start`."""
        return self._only([record for record in self._records if record[0] >= start])

    def _only(self, records: list[tuple[int, bytes | None, int]]) -> PartitionOracle:
        oracle = PartitionOracle(self.topic, self.rules)
        for record in records:
            oracle.take(*record)
        return oracle

    def behind(self, count: int) -> list[tuple[int, bytes | None, int]]:
        """Return the records taken after the first `count`."""
        return self._records[count:]

    def between(self, start: int, end: int) -> list[tuple[int, bytes | None, int]]:
        """Return the records taken from offset `start` up to, not including, `end`."""
        return self._records[bisect_left(self.offsets, start) : bisect_left(self.offsets, end)]

    def totals(self, position: int) -> Totals:
        """Return what the records below offset `position` come to."""
        totals: Totals = Counter()
        for place in range(bisect_left(self.offsets, position)):
            totals.update(self.outcomes[place])
            cell = self.cells[place]
            if cell is not None:
                for name, value in zip(self.kind.measures, self.sums[place], strict=True):
                    totals[f"{cell[1]}.{name}"] += value
        return totals

    def rejected_offsets(self, position: int) -> list[int]:
        """Return the offsets of the rejected records below `position`."""
        found = zip(self.offsets, self.outcomes, strict=True)
        return [offset for offset, outcomes in found if offset < position and outcomes[0] == "rejected"]

    def is_rejected(self, offset: int) -> bool:
        """Return whether the record at an offset is rejected."""
        place = bisect_left(self.offsets, offset)
        return self.offsets[place : place + 1] == [offset] and self.outcomes[place][0] == "rejected"

    def _count(self, event: dict[str, Any]) -> tuple[str, ...]:
        minute = self._stream_ms // MINUTE_MS
        sighted = self._sighted.get(event["event_id"])
        self._sighted[event["event_id"]] = minute
        newest_ts, ts = self._newest_ts, event["ts"]
        self._newest_ts = ts if newest_ts is None else max(newest_ts, ts)
        if sighted is not None and minute - sighted <= self.rules.horizon_minutes:
            return ("duplicate",)
        late = ("late",) if newest_ts is not None and ts < newest_ts - WATERMARK_LAG_MS else ()
        festival_ms = event.get("ordered_ts", ts)
        if not self.rules.start_ms <= festival_ms < self.rules.end_ms:
            return ("outside", *late)
        if ts > self.rules.end_ms + self.rules.settle_ms:
            return ("expired", *late)
        return ("counted", *late)


def judged(kind: Kind, value: bytes | None, record_time_ms: int) -> dict[str, Any]:
    """Return a valid event; raises `RejectedError`."""
    event = _read(value)
    _check_fields(kind, event)
    if event.get("coupon_minor", 0) + event.get("credit_minor", 0) > event.get("amount_minor", MOST * 2):
        raise RejectedError("discount_exceeds_amount")
    if any(event.get(name, 0) > event["ts"] for name in kind.past):
        raise RejectedError("time_order")
    if event["ts"] > record_time_ms + AHEAD_MS:
        raise RejectedError("future_event")
    return event


def _read(value: bytes | None) -> dict[str, Any]:
    if value is None:
        raise RejectedError("null_value")
    if not value:
        raise RejectedError("empty")
    if len(value) > MOST_BYTES:
        raise RejectedError("too_large")
    try:
        text = value.decode()
    except UnicodeDecodeError:
        raise RejectedError("not_utf8") from None
    try:
        event = json.loads(text)
    except ValueError:
        raise RejectedError("not_json") from None
    if type(event) is not dict:
        raise RejectedError("not_an_object")
    return event


def _check_fields(kind: Kind, event: dict[str, Any]) -> None:
    if "type" in event and event["type"] not in kind.types:
        raise RejectedError("unknown_type")
    if "type" not in event or "ts" not in event or any(name not in event for name in kind.required):
        raise RejectedError("missing_field")
    if event["type"] not in kind.late_types:
        event.pop("shipped_ts", None)
    for name, value in event.items():
        if name in kind.texts:
            _check_text(value)
        elif name in kind.numbers:
            _check_number(value, *kind.numbers[name])
        elif name == "flash" and type(value) is not bool:
            raise RejectedError("wrong_type")
    if "currency" in kind.required and event["currency"] not in CURRENCIES:
        raise RejectedError("unknown_currency")


def _check_text(value: object) -> None:
    if type(value) is not str:
        raise RejectedError("wrong_type")
    if not 1 <= len(value) <= 64 or value.startswith("__"):
        raise RejectedError("out_of_range")


def _check_number(value: object, least: int, most: int) -> None:
    if type(value) is not int:
        raise RejectedError("wrong_type")
    if not least <= value <= most:
        raise RejectedError("out_of_range")
