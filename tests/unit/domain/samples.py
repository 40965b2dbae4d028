"""Events, festivals and declarations that tests of the domain and the engine share."""

from __future__ import annotations

import json
from typing import TYPE_CHECKING, Any

from streams.domain.built_in import ROLLUPS
from streams.domain.declarations import Declarations
from streams.domain.festivals import FACT_NAMES, Festival
from streams.domain.pages import Identity

if TYPE_CHECKING:
    from collections.abc import Iterable

    from streams.domain.rollups import Rollup

START_MS = 1_573_401_600_000
"""2019-11-11T00:00:00+08:00."""
HOUR_MS = 3_600_000
SETTLE_MS = 30 * 24 * HOUR_MS
HORIZON_MINUTES = 10
IDENTITY = Identity(cluster="memory", own={}, topics={})
"""That of the in-memory Kafka, whatever the ids of its topics are."""


def festival(
    festival_id: str = "day", start_ms: int = START_MS, hours: int = 24, facts: Iterable[str] = FACT_NAMES
) -> Festival:
    """Return a festival without rates or milestones."""
    return Festival(
        id=festival_id,
        name=festival_id,
        timezone="Asia/Shanghai",
        start_ms=start_ms,
        end_ms=start_ms + hours * HOUR_MS,
        home_currency="CNY",
        facts=tuple(facts),
    )


def declarations(*festivals: Festival, rollups: tuple[Rollup, ...] = ROLLUPS) -> Declarations:
    """Return declarations of `festivals`, one day by default."""
    chosen = festivals or (festival(),)
    return Declarations({f.id: f for f in chosen}, SETTLE_MS, HORIZON_MINUTES, rollups)


def order(**fields: Any) -> dict[str, Any]:  # noqa: ANN401 - tests put wrong types in on purpose
    """Return a valid order, with `fields` put over it; None takes a field away."""
    event = {
        "type": "order_placed",
        "event_id": "e1",
        "ts": START_MS,
        "order_id": "o1",
        "platform": "tmall",
        "merchant": "m1",
        "market": "CN",
        "currency": "CNY",
        "amount_minor": 100,
    }
    return _put_over(event, fields)


def payment(**fields: Any) -> dict[str, Any]:  # noqa: ANN401
    """Return a valid captured payment, with `fields` put over it; None takes a field away."""
    event = {
        "type": "payment_captured",
        "event_id": "e1",
        "ts": START_MS,
        "order_id": "o1",
        "payment_id": "p1",
        "platform": "tmall",
        "merchant": "m1",
        "market": "CN",
        "method": "alipay",
        "currency": "CNY",
        "amount_minor": 100,
    }
    return _put_over(event, fields)


def parcel(**fields: Any) -> dict[str, Any]:  # noqa: ANN401
    """Return a valid delivered parcel, with `fields` put over it; None takes a field away."""
    event = {
        "type": "parcel_delivered",
        "event_id": "e1",
        "ts": START_MS + 5 * 24 * HOUR_MS,
        "ordered_ts": START_MS,
        "order_id": "o1",
        "parcel_id": "p1",
        "carrier": "cainiao",
        "origin": "CN",
        "market": "ES",
        "shipped_ts": START_MS + HOUR_MS,
    }
    return _put_over(event, fields)


def box(**fields: Any) -> dict[str, Any]:  # noqa: ANN401
    """Return a valid recycled box, with `fields` put over it; None takes a field away."""
    event = {
        "type": "box_recycled",
        "event_id": "e1",
        "ts": START_MS,
        "station": "s1",
        "operator": "cainiao",
        "city": "Hangzhou",
        "district": "Yuhang",
        "boxes": 2,
        "points": 74,
        "flash": True,
        "user": "u1",
    }
    return _put_over(event, fields)


def encode(event: object) -> bytes:
    """Return the record value of an event."""
    return json.dumps(event, separators=(",", ":"), ensure_ascii=False).encode()


def _put_over(event: dict[str, Any], fields: dict[str, Any]) -> dict[str, Any]:
    return {name: value for name, value in {**event, **fields}.items() if value is not None}
