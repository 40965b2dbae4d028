"""Bad records, one for each reason of rejection: each has exactly one defect."""

from __future__ import annotations

import json
from typing import TYPE_CHECKING

from streams.domain.rejections import Reason

if TYPE_CHECKING:
    from collections.abc import Callable

FUTURE_MS = 4_102_444_800_000
"""The first millisecond of 2100."""
TOO_LARGE_BYTES = 65_537
_COMMON = (
    Reason.NULL_VALUE,
    Reason.EMPTY,
    Reason.NOT_UTF8,
    Reason.NOT_JSON,
    Reason.NOT_AN_OBJECT,
    Reason.UNKNOWN_TYPE,
    Reason.MISSING_FIELD,
    Reason.WRONG_TYPE,
    Reason.OUT_OF_RANGE,
    Reason.UNKNOWN_CURRENCY,
    Reason.TIME_ORDER,
    Reason.FUTURE_EVENT,
    Reason.TOO_LARGE,
)
REASONS: dict[str, tuple[Reason, ...]] = {
    "orders": (*_COMMON, Reason.DISCOUNT_EXCEEDS_AMOUNT),
    "payments": _COMMON,
    "parcels": tuple(reason for reason in _COMMON if reason is not Reason.UNKNOWN_CURRENCY),
    "recycling": tuple(reason for reason in _COMMON if reason is not Reason.UNKNOWN_CURRENCY),
}
"""What can go wrong on each topic, in the order in which it is sent."""


CHINESE = ("tmall", "CN", "CNY")


def bad_record(
    topic: str, reason: Reason, event_id: str, order_id: str, ts: int, *, sale: tuple[str, str, str] = CHINESE
) -> bytes | None:
    """Return a record value of `topic` that must be rejected for `reason` and no other.

    `sale` is the platform, market and currency that it names.
    """
    platform, market, currency = sale
    sold = _SALE.format(platform, market, currency)
    # The id comes last: whatever is in it, a defect is made in front of it.
    own = _FIELDS[topic].format(order_id, ts, sold, market)
    fields = f'"ts":{ts},{own},"event_id":{json.dumps(event_id, ensure_ascii=False)}'
    good = f'{{"type":"{_TYPES[topic]}",{fields}}}'
    unknown = {Reason.UNKNOWN_CURRENCY: (f'"{currency}"', '"ZZZ"')}
    defect = (_DEFECTS | unknown | _OWN_DEFECTS.get(topic, {})).get(reason)
    if defect is not None:
        changed = good.replace(*defect, 1)
        assert changed != good, reason
        return changed.encode()
    return _SHAPES[reason](good, ts)


_TYPES = {
    "orders": "order_placed",
    "payments": "payment_captured",
    "parcels": "parcel_delivered",
    "recycling": "box_recycled",
}
_SALE = '"platform":"{}","merchant":"merchant-bad","market":"{}","currency":"{}","amount_minor":12300'
_FIELDS = {
    "orders": '"order_id":"{0}",{2}',
    "payments": '"order_id":"{0}","payment_id":"bad","method":"card",{2}',
    "parcels": '"ordered_ts":{1},"order_id":"{0}","parcel_id":"bad","carrier":"ems","origin":"{3}","market":"{3}"',
    "recycling": '"station":"bad","operator":"partner","city":"bad","district":"bad","boxes":12300,"points":1',
}
_OWN_DEFECTS = {
    "parcels": {
        Reason.MISSING_FIELD: ('"carrier":"ems",', ""),
        Reason.WRONG_TYPE: ('"ems"', "true"),
        Reason.OUT_OF_RANGE: ('"ems"', '"__ems"'),
    },
    "recycling": {
        Reason.MISSING_FIELD: ('"city":"bad",', ""),
        Reason.OUT_OF_RANGE: (":12300,", ":0,"),
    },
}
_DEFECTS = {
    Reason.UNKNOWN_TYPE: ('"type":"', '"type":"un'),
    Reason.MISSING_FIELD: ('"merchant":"merchant-bad",', ""),
    Reason.WRONG_TYPE: (":12300,", ':"12300",'),
    Reason.OUT_OF_RANGE: (":12300,", f":{10**13 + 1},"),
    Reason.DISCOUNT_EXCEEDS_AMOUNT: (":12300,", ':12300,"coupon_minor":12301,'),
}
_SHAPES: dict[Reason, Callable[[str, int], bytes | None]] = {
    Reason.NULL_VALUE: lambda _good, _ts: None,
    Reason.EMPTY: lambda _good, _ts: b"",
    Reason.NOT_UTF8: lambda good, _ts: good[:-1].encode() + b',"note":"\xff"}',
    Reason.NOT_JSON: lambda good, _ts: good[:-1].encode(),
    Reason.NOT_AN_OBJECT: lambda _good, _ts: b"[1,2]",
    Reason.TIME_ORDER: lambda good, ts: f'{good[:-1]},"ordered_ts":{ts + 1}}}'.encode(),
    Reason.FUTURE_EVENT: lambda good, ts: good.replace(f'"ts":{ts}', f'"ts":{FUTURE_MS}', 1).encode(),
    Reason.TOO_LARGE: lambda good, _ts: (
        f'{good[:-1]},"note":"{"x" * (TOO_LARGE_BYTES - len(good.encode()) - 10)}"}}'.encode()
    ),
}
