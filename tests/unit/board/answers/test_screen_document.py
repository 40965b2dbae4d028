"""What the screen shows beside the totals, of a day with sales and of days that are about something else."""

from __future__ import annotations

import dataclasses
from typing import TYPE_CHECKING, Any

import pytest

from streams.board.answers.highlights import previous_by_minute, previous_gross_minor
from streams.board.answers.screen import RANK_ROWS, curve_document, festivals_of, ranks_document, screen_document
from streams.board.view.committed_view import CommittedView
from streams.domain.festivals import Previous
from streams.domain.rollups import OTHER
from streams.engine.memory import CellLedger
from streams.festivals import load_festivals

if TYPE_CHECKING:
    from streams.board.view.committed_view import Snapshot
    from streams.domain.festivals import Festival

DAY = load_festivals()["singles-day-2019"]
START = DAY.start_ms
BILLION = 100 * 10**9


def about(*facts: str) -> Festival:
    """Return the same day, about these facts alone."""
    return dataclasses.replace(DAY, facts=facts)


def seen(ledger: CellLedger) -> Snapshot:
    view = CommittedView()
    view.feed(ledger.drain())
    return view.snapshot()


def a_day_of_sales() -> Snapshot:
    """Return 3 orders in second 5, 4 in second 7 and 4 in second 70, and ten billion yuan after 8 s."""
    ledger = CellLedger(2)
    for partition, second, orders, gross in ((0, 5, 3, 1), (1, 7, 4, 10 * BILLION), (0, 70, 4, 29)):
        at_ms = START + second * 1_000
        ledger.add(partition, DAY, "orders_by_second", ("CNY",), at_ms, orders=orders, gross_minor=gross)
    for partition in (0, 1):
        ledger.commit(partition, max_event_times_ms={"orders": START + 76_000 + partition})
    return seen(ledger)


def test_the_screen_tells_pace_peak_milestones_and_the_last_edition_beside_its_main_measure() -> None:
    document = screen_document(a_day_of_sales(), DAY)
    milestones = document.pop("milestones")
    assert document == {
        "main": "gross",
        "count": "orders",
        "partitions": {"committed": 2, "all": 2},
        "watermark_ms": START + 71_000,
        "rate_per_second": 0.4,
        "peak": {"count": 4, "start_ms": START + 7_000},
        "previous_minor": previous_gross_minor(DAY, START + 71_000),
    }
    assert document["previous_minor"] > 0
    assert milestones[0] == {"minor": 10 * BILLION, "time_ms": START + 8_000}
    assert [milestone["time_ms"] for milestone in milestones[1:]] == [None] * (len(DAY.milestones_minor) - 1)


def test_a_day_without_an_order_has_no_peak_and_no_pace() -> None:
    ledger = CellLedger(1)
    ledger.commit(0)
    document = screen_document(seen(ledger), DAY)
    assert document["peak"] == {"count": 0, "start_ms": None}
    assert (document["rate_per_second"], document["watermark_ms"], document["previous_minor"]) == (0.0, None, None)


@pytest.mark.parametrize(
    ("facts", "rollup", "group", "cells"),
    [
        (("payments", "parcels"), "payments_by_second", ("USD",), {"captured": 2, "paid_minor": 7}),
        (("recycling", "parcels"), "recycling_by_second", (), {"boxes": 5, "scans": 2}),
        (("parcels",), "parcels_by_second", (), {"shipped": 3, "delivered": 1}),
    ],
)
def test_a_festival_without_orders_is_about_the_next_fact_and_has_no_milestones_and_no_last_edition(
    facts: tuple[str, ...], rollup: str, group: tuple[str, ...], cells: dict[str, int]
) -> None:
    festival, ledger = about(*facts), CellLedger(1)
    ledger.add(0, festival, rollup, group, START + 120_000, **cells)
    ledger.commit(0, max_event_times_ms={facts[0]: START + 300_000, "orders": START + 1})
    document = screen_document(seen(ledger), festival)
    count = next(iter(cells))
    assert (document["main"], document["count"]) == ("paid" if count == "captured" else count, count)
    assert document["watermark_ms"] == START + 295_000
    assert document["peak"] == {"count": cells[count], "start_ms": START + 120_000}
    assert (document["milestones"], document["previous_minor"]) == ([], None)


def test_the_curve_has_a_value_for_each_minute_that_add_up_to_the_total_in_the_home_currency() -> None:
    ledger = CellLedger(1)
    for second, currency, gross in ((0, "CNY", 100), (59, "USD", 3), (60, "USD", 3), (86_399, "USD", 3)):
        ledger.add(0, DAY, "orders_by_second", (currency,), START + second * 1_000, orders=1, gross_minor=gross)
    curve = curve_document(seen(ledger), DAY)
    # 3, 6 and 9 cents are 21, 42 and 63 fen, at 6.993 yuan a dollar.
    assert {i: value for i, value in enumerate(curve["values"]) if value} == {0: 121, 1: 21, 1439: 21}
    assert {i: value for i, value in enumerate(curve["counts"]) if value} == {0: 2, 1: 1, 1439: 1}
    assert (len(curve["values"]), len(curve["counts"])) == (1_440, 1_440)


def test_the_curve_of_what_is_no_money_is_its_count() -> None:
    ledger, festival = CellLedger(1), about("recycling")
    ledger.add(0, festival, "recycling_by_second", (), START + 61_000, boxes=5, scans=1)
    curve = curve_document(seen(ledger), festival)
    assert curve["values"] == curve["counts"]
    assert {i: value for i, value in enumerate(curve["values"]) if value} == {1: 5}


def test_ten_rows_of_a_dimension_are_ranked_and_all_are_lower_bounds_where_it_is_full() -> None:
    ledger = CellLedger(1)
    for number in range(RANK_ROWS + 2):
        name = OTHER if number == 0 else f"m{number:02}"
        ledger.add(0, DAY, "orders_by_merchant", (name, "CNY"), START, orders=1, gross_minor=1_000 - number)
        ledger.add(0, DAY, "orders_by_market", (name, "CNY"), START, orders=1, gross_minor=1_000 - number)
    document = ranks_document(seen(ledger), about("orders"))
    assert list(document) == ["platform", "market", "merchant"]
    assert len(document["merchant"]) == 10
    assert document["merchant"][1] == {"name": "m01", "count": 1, "minor": 999, "at_least": True}
    assert document["platform"] == []


def test_a_row_that_lacks_a_rate_is_a_lower_bound_and_others_are_not() -> None:
    ledger = CellLedger(1)
    for name, currency in (("here", "CNY"), ("there", "CHF")):
        ledger.add(0, DAY, "orders_by_market", (name, currency), START, orders=1, gross_minor=5)
    assert ranks_document(seen(ledger), about("orders"))["market"] == [
        {"name": "here", "count": 1, "minor": 5},
        {"name": "there", "count": 1, "minor": 0, "at_least": True},
    ]


def test_a_row_without_money_is_ranked_by_its_count() -> None:
    ledger, festival = CellLedger(1), about("recycling")
    for name, boxes in (("a", 2), ("b", 3)):
        ledger.add(0, festival, "recycling_by_city", (name,), START, boxes=boxes, scans=1)
    assert ranks_document(seen(ledger), festival)["city"] == [
        {"name": "b", "count": 3, "minor": None},
        {"name": "a", "count": 2, "minor": None},
    ]


def test_a_value_with_payments_alone_is_told_by_them() -> None:
    ledger = CellLedger(1)
    ledger.add(0, DAY, "payments_by_method", ("card", "CNY"), START, captured=2, paid_minor=900)
    assert ranks_document(seen(ledger), about("payments"))["method"] == [{"name": "card", "count": 2, "minor": 900}]


def test_festivals_are_listed_the_latest_first_with_what_is_fixed_about_them() -> None:
    older = dataclasses.replace(DAY, id="a-older", start_ms=START - 1, previous=None, milestones_minor=(), retired=True)
    beside = dataclasses.replace(DAY, id="a-beside", previous=Previous("before", 1_000, ((60, 5),)))
    state = a_day_of_sales()
    entries = festivals_of(lambda _: state, [older, DAY, beside])
    assert [(entry.id, entry.has_totals, entry.counted, entry.retired) for entry in entries] == [
        ("a-beside", False, True, False),
        (DAY.id, True, True, False),
        ("a-older", False, True, True),
    ]
    told: dict[str, Any] = {name: getattr(entries[1], name) for name in ("start_ms", "end_ms", "facts", "timezone")}
    assert told == {"start_ms": START, "end_ms": DAY.end_ms, "facts": list(DAY.facts), "timezone": "Asia/Shanghai"}
    assert entries[1].milestones_minor == list(DAY.milestones_minor)
    assert entries[2].previous is None
    assert entries[0].previous is not None
    assert (entries[0].previous.name, entries[0].previous.curve) == ("before", [[60, 5]])


def test_the_last_edition_is_drawn_by_the_minute_as_it_is_told_at_that_time() -> None:
    drawn = previous_by_minute(DAY)
    assert len(drawn) == 1_440
    for minute in (1, 2, 100, 1_439, 1_440):
        assert drawn[minute - 1] == previous_gross_minor(DAY, START + minute * 60_000)
    assert previous_by_minute(dataclasses.replace(DAY, previous=None)) == ()
