"""What shops and stations send: valid events of each topic, resends apart, and what is wrong with the others."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

import msgspec

from tests.simulation.oracle import CURRENCIES

if TYPE_CHECKING:
    from random import Random

HOUR_MS = 3_600_000
START_MS = 1_573_401_600_000
POISON = (
    None,
    b"",
    b"\xff\xfe",
    b"{",
    b"[1]",
    b'{"type":"order_returned"}',
    b'{"event_id":"x"}',
)
_ANY: tuple[dict[str, Any], ...] = (
    {"event_id": ""},
    {"event_id": None},
    {"ordered_ts": 2**40 * 2},
    {"ts": START_MS + 400 * HOUR_MS},
)
_MONEY: tuple[dict[str, Any], ...] = (
    {"amount_minor": "12"},
    {"amount_minor": 1.5},
    {"amount_minor": -1},
    {"amount_minor": 10**13 + 1},
    {"merchant": ""},
    {"platform": "__other__"},
    {"currency": "XQX"},
    {"market": None},
)
SPOILT: dict[str, tuple[dict[str, Any], ...]] = {
    "orders": (*_ANY, *_MONEY, {"coupon_minor": 10**13}),
    "payments": (*_ANY, *_MONEY, {"method": None}, {"payment_id": 7}),
    "parcels": (
        *_ANY,
        {"carrier": "__none__"},
        {"ordered_ts": None},
        {"type": "parcel_delivered", "shipped_ts": 2**40 * 2},
        {"origin": 7},
    ),
    "recycling": (*_ANY, {"boxes": 0}, {"boxes": 1.5}, {"points": -1}, {"flash": "yes"}, {"station": None}),
}
"""Fields that are put over a valid event; None takes one away."""


class Events:
    """Draws events; each has a number of its own."""

    def __init__(self, draw: Random) -> None:
        self._draw = draw
        self._numbers = 0

    def made(self, topic: str, now_ms: int, **spoilt: object) -> bytes:
        """Return the record of an event."""
        draw = self._draw
        self._numbers += 1
        number = self._numbers
        ts = now_ms - draw.choice((0, 0, 300, 7_000, 600_000, 2 * HOUR_MS))
        event: dict[str, Any] = {"event_id": f"e{number}", "ts": ts}
        if topic == "parcels" or draw.random() < 0.2:
            event["ordered_ts"] = ts - draw.choice((0, 1, HOUR_MS))
        fields = getattr(self, f"_{topic}")(number)
        event.update(fields)
        event.update(spoilt)
        return msgspec.json.encode({name: value for name, value in event.items() if value is not None})

    def _sold(self, number: int) -> dict[str, Any]:
        draw = self._draw
        return {
            "order_id": f"o{number}",
            "platform": draw.choice(("tmall", "天猫国际")),
            "merchant": f"m{int(draw.random() * 20)}",
            "market": draw.choice(("CN", "US")),
            "currency": draw.choice(CURRENCIES),
            "amount_minor": draw.choice((0, 100, 9_999, 10**13)),
        }

    def _orders(self, number: int) -> dict[str, Any]:
        draw, sold = self._draw, self._sold(number)
        half = sold["amount_minor"] // 2
        kind = draw.choice(("order_placed", "order_placed", "order_placed", "order_cancelled"))
        discounts = {"coupon_minor": int(draw.random() * half), "credit_minor": int(draw.random() * half)}
        return {"type": kind, **sold, **discounts}

    def _payments(self, number: int) -> dict[str, Any]:
        draw = self._draw
        kind = draw.choice(("payment_captured", "payment_captured", "payment_failed", "payment_refunded"))
        paid = {"type": kind, **self._sold(number), "payment_id": f"p{number}", "method": draw.choice(("alipay", "卡"))}
        if kind == "payment_failed":
            paid["reason"] = "declined"
        if draw.random() < 0.2:
            paid |= {"payer_currency": "CNY", "payer_amount_minor": 7, "duty_minor": 1}
        return paid

    def _parcels(self, number: int) -> dict[str, Any]:
        draw = self._draw
        return {
            "type": draw.choice(("parcel_shipped", "parcel_cleared", "parcel_delivered")),
            "order_id": f"o{number}",
            "parcel_id": f"p{number}",
            "carrier": f"c{int(draw.random() * 20)}",
            "origin": draw.choice(("CN", "DE")),
            "market": draw.choice(("CN", "US")),
        }

    def _recycling(self, _number: int) -> dict[str, Any]:
        draw = self._draw
        return {
            "type": "box_recycled",
            "station": f"s{int(draw.random() * 20)}",
            "operator": draw.choice(("cainiao", "partner")),
            "city": "杭州",
            "district": "余杭",
            "boxes": draw.choice((1, 2, 10**13)),
            "points": draw.choice((0, 37, 10**13)),
            "flash": draw.random() < 0.5,
        }
