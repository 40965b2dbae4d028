"""Gauges of what was counted: the same numbers as in the totals, per label."""

from __future__ import annotations

from streams.board.answers import gauges
from streams.board.answers.gauges import Scene
from streams.board.view.committed_view import CommittedView
from streams.engine.memory import CellLedger
from streams.festivals import load_festivals

FESTIVALS = load_festivals()
DAY = FESTIVALS["singles-day-2019"]
BOXES = next(festival for festival in FESTIVALS.values() if "recycling" in festival.facts)


def scene_of(ledger: CellLedger) -> Scene:
    ledger.commit(0, max_event_times_ms={"orders": DAY.start_ms + 9_000})
    view = CommittedView()
    view.feed(ledger.drain())
    return Scene(view.snapshot(), list(FESTIVALS.values()))


def test_counts_and_amounts_are_those_of_the_totals_and_the_home_currency_is_always_there() -> None:
    ledger = CellLedger(1)
    ledger.add(0, DAY, "orders_by_second", ("USD",), DAY.start_ms, orders=2, gross_minor=900)
    scene = scene_of(ledger)
    assert dict(gauges.total(lambda totals: totals.orders)(scene))[(DAY.id,)] == 2
    amounts = dict(gauges.money("gross")(scene))
    assert {labels: amount for labels, amount in amounts.items() if labels[0] == DAY.id} == {
        (DAY.id, "CNY"): 0,
        (DAY.id, "USD"): 900,
    }


def test_the_gross_is_told_in_the_currencies_that_a_festival_displays() -> None:
    ledger = CellLedger(1)
    ledger.add(0, DAY, "orders_by_second", ("CNY",), DAY.start_ms, orders=1, gross_minor=26_840_000_000_000)
    found = dict(gauges.display_gross(scene_of(ledger)))
    assert (found[DAY.id, "USD"], found[DAY.id, "EUR"]) == (3_837_959_189_510, 3_467_521_058_343)
    assert not [labels for labels in found if labels[0] == BOXES.id]


def test_orders_are_told_per_value_of_a_dimension_with_all_currencies_together() -> None:
    ledger = CellLedger(1)
    for currency, orders in (("USD", 2), ("CNY", 3)):
        ledger.add(0, DAY, "orders_by_platform", ("tmall", currency), DAY.start_ms, orders=orders)
    found = dict(gauges.orders_by("platform")(scene_of(ledger)))
    assert {labels: count for labels, count in found.items() if labels[0] == DAY.id} == {(DAY.id, "tmall"): 5}


def test_recycled_boxes_are_told_of_both_operators_from_the_start() -> None:
    ledger = CellLedger(1)
    ledger.add(0, BOXES, "recycling_by_operator", ("partner",), BOXES.start_ms, boxes=4)
    found = dict(gauges.recycled("boxes")(scene_of(ledger)))
    assert {labels: count for labels, count in found.items() if labels[0] == BOXES.id} == {
        (BOXES.id, "cainiao"): 0,
        (BOXES.id, "partner"): 4,
    }
