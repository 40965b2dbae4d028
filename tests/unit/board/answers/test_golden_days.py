"""Whole days through the real path: a replay's records, the ledger, the committed view, the document."""

from __future__ import annotations

import dataclasses
from functools import cache
from typing import TYPE_CHECKING, Any

import pytest

from streams.board.answers.totals import totals_document
from streams.domain.festivals import Plausible, Previous
from streams.festivals import load_festivals
from streams.replay.load import festival_load
from tests.unit.domain import samples
from tests.unit.replay.memory import RECORD_TIME_MS, Log, send
from tests.unit.replay.test_tally_and_ledger import count

if TYPE_CHECKING:
    from collections.abc import Callable

    from streams.domain.festivals import Festival

REAL = load_festivals()["singles-day-2019"]
SCALE = 10_000
ORDERS = 130_000
"""1.3 bn, scaled."""
START = REAL.start_ms


def scaled(festival: Festival) -> Festival:
    """Return the festival with every amount of its file divided by the scale, as its orders are."""
    assert festival.previous is not None
    previous = festival.previous
    return dataclasses.replace(
        festival,
        milestones_minor=tuple(minor // SCALE for minor in festival.milestones_minor),
        previous=Previous(
            previous.name,
            previous.total_minor // SCALE,
            tuple((s, minor // SCALE) for s, minor in previous.curve),
            previous.before_minor and previous.before_minor // SCALE,
        ),
    )


DAY = scaled(REAL)


@cache
def real_day() -> Log:
    """Return the records of the 2019 curve at 1:10,000."""
    load = festival_load(REAL, RECORD_TIME_MS, orders=ORDERS, partitions=2, facts=("orders",))
    return send(load, ())[0]


def told(log: Log, festival: Festival, *also: bytes) -> dict[str, Any]:
    """Return the document of a log, and of more orders at the end of both partitions."""
    values = {place: [*records, *also] for place, records in log.values.items() if place[0] == "orders"}
    times = {place: [RECORD_TIME_MS] * len(records) for place, records in values.items()}
    view = count(Log({}, values, times), {festival.id: festival})
    return totals_document(view.snapshot(), festival)


def order(name: str, ts: int, amount_minor: int = 1) -> bytes:
    return samples.encode(samples.order(event_id=name, order_id=name, ts=ts, amount_minor=amount_minor))


def clock(hours: int, minutes: int, seconds: int) -> int:
    return START + ((hours * 60 + minutes) * 60 + seconds) * 1_000


@cache
def golden() -> dict[str, Any]:
    """Return the document of the real day, one second after which an order came that belongs to no festival."""
    return told(real_day(), DAY, order("after", DAY.end_ms + 6_000))


def test_every_published_milestone_is_found_within_a_second() -> None:
    published = {
        10: clock(0, 1, 36),
        30: clock(0, 5, 25),
        100: clock(1, 3, 59),
        120.7: clock(1, 26, 7),
        168.2: clock(10, 4, 49),
        200: clock(14, 21, 27),
        213.5: clock(16, 31, 12),
        268.4: clock(24, 0, 0),
    }
    found = {one["minor"] * SCALE / 100 / 10**9: one["time_ms"] for one in golden()["milestones"]}
    assert found.keys() == published.keys()
    for milestone, time_ms in published.items():
        if milestone < 268:
            assert abs(found[milestone] - time_ms) <= 1_000, milestone
        else:
            assert time_ms - 60_000 < found[milestone] <= time_ms  # the last of the orders


def test_all_of_2018_was_passed_at_16_31_12() -> None:
    assert golden()["pace"]["passed_ms"] == clock(16, 31, 12)


def test_the_peak_lies_in_the_first_two_minutes() -> None:
    peak = golden()["peak"]
    assert START <= peak["second"]["start_ms"] < START + 120_000
    assert START <= peak["minute"]["start_ms"] < START + 120_000


def test_the_real_day_is_plausible_and_grew_by_a_quarter() -> None:
    assert golden()["implausible"] == {"average_order_value": False, "growth": False}
    assert golden()["pace"]["growth_ratio"] == pytest.approx(268.4 / 213.5 - 1, abs=1e-6)
    assert (golden()["orders"], golden()["home"]["gross"]) == (ORDERS, 2_684_000_000)


def test_the_misprinted_day_is_flagged() -> None:
    """26.4 bn for 1.3 bn orders: 20.31 yuan each, at the times of the real day's shape."""
    orders = 1_300
    festival = dataclasses.replace(
        DAY, previous=Previous("2018", REAL.previous.total_minor * orders // 1_300_000_000 if REAL.previous else 0)
    )
    per_order_minor = 2_640_000_000_000 // 1_300_000_000
    records: list[bytes | None] = [
        order(f"o{i}", START + i * 86_400_000 // orders, per_order_minor) for i in range(orders)
    ]
    log = Log({}, {("orders", 0): records, ("orders", 1): []}, {})
    after = order("after", DAY.end_ms + 6_000)
    assert told(log, festival)["implausible"] == {"average_order_value": True, "growth": False}  # the day is not over
    assert told(log, festival, after)["implausible"] == {"average_order_value": True, "growth": True}
    assert told(log, dataclasses.replace(festival, plausible=Plausible()), after)["implausible"] == {}


def test_late_orders_move_the_peak_and_the_milestones() -> None:
    busy_ms = clock(10, 0, 0) + 500
    late = [order(f"late{i}", busy_ms) for i in range(100)]
    rich = order("rich", START + 1_000, 10**8)
    document = told(real_day(), DAY, *late, rich)
    assert document["peak"]["second"]["start_ms"] == clock(10, 0, 0)
    assert document["peak"]["second"]["orders"] >= 200
    assert document["milestones"][0]["time_ms"] < golden()["milestones"][0]["time_ms"]


EDGES = (START, START + 999, START + 1_000, START + 59_999, START + 60_000, REAL.end_ms - 1_000, REAL.end_ms - 1)
KINDS: dict[str, tuple[str, Callable[..., dict[str, Any]], dict[str, Any]]] = {
    "placed": ("orders", samples.order, {"coupon_minor": 7, "credit_minor": 3}),
    "cancelled": ("orders", samples.order, {"type": "order_cancelled"}),
    "captured": ("payments", samples.payment, {}),
    "failed": ("payments", samples.payment, {"type": "payment_failed", "reason": "no_funds"}),
    "refunded": ("payments", samples.payment, {"type": "payment_refunded"}),
    "shipped": ("parcels", samples.parcel, {"type": "parcel_shipped", "shipped_ts": None}),
    "delivered": ("parcels", samples.parcel, {}),
}


def events_at_the_edges() -> Log:
    """Return one event of each kind at each edge, most of them later events of an order: festival time counts."""
    log = Log()
    for number, (kind, (topic, make, fields)) in enumerate(KINDS.items()):
        for edge in (*EDGES, START - 1, REAL.end_ms):
            name = f"{kind}-{edge}"
            event = make(event_id=name, ts=edge + number * 7_200_000, ordered_ts=edge, **fields)
            if event.get("shipped_ts") is not None:
                event["shipped_ts"] = edge
            for partition in (0, 1):
                log.values.setdefault((topic, partition), []).append(samples.encode(event))
    for place, values in log.values.items():
        log.record_times_ms[place] = [RECORD_TIME_MS] * len(values)
    return log


def test_as_of_is_exact_to_the_second_for_every_measure_with_windows() -> None:
    snapshot = count(events_at_the_edges(), {REAL.id: REAL}).snapshot()
    for at_ms in sorted({edge + by for edge in EDGES for by in (-1_001, -1, 0, 1, 1_000)}):
        document = totals_document(snapshot, REAL, at_ms=at_ms)
        assert document["as_of_ms"] == min(at_ms // 1_000 * 1_000 + 999, REAL.end_ms - 1)
        counted = 2 * sum(edge <= document["as_of_ms"] for edge in EDGES)
        assert (document["orders"], document["cancelled"]) == (counted, counted)
        assert document["payments"] == dict.fromkeys(("captured", "failed", "refunded"), counted)
        assert (document["parcels"]["shipped"], document["parcels"]["delivered"]) == (counted, counted)
        money = document["money"].get("CNY", dict.fromkeys(("gross", "coupons", "credits", "net", "paid"), 0))
        assert [money[name] for name in ("gross", "coupons", "credits", "net", "paid")] == [
            counted * each for each in (100, 7, 3, 90, 100)
        ]
        assert document["home"]["gross"] == counted * 100
        assert document["peak"]["second"]["orders"] == min(4, counted)
