"""What the screen shows of each value of a dimension."""

from __future__ import annotations

from streams.board.answers.screen import ranks_document
from streams.board.view.committed_view import CommittedView
from streams.engine.memory import CellLedger
from streams.festivals import load_festivals

DAY = load_festivals()["singles-day-2019"]


def test_the_largest_values_of_each_dimension_come_first() -> None:
    ledger = CellLedger(1)
    for name, orders in (("small", 1), ("large", 9), ("middle", 4)):
        cells = {"orders": orders, "gross_minor": orders * 100}
        ledger.add(0, DAY, "orders_by_market", (name, "CNY"), DAY.start_ms, **cells)
    ledger.commit(0, max_event_times_ms={"orders": DAY.end_ms + 10_000})
    view = CommittedView()
    view.feed(ledger.drain())
    ranks = ranks_document(view.snapshot(), DAY)["market"]
    assert [(row["name"], row["count"], row["minor"]) for row in ranks] == [
        ("large", 9, 900),
        ("middle", 4, 400),
        ("small", 1, 100),
    ]


def test_a_map_is_told_every_country_and_a_panel_its_largest() -> None:
    ledger = CellLedger(1)
    for number in range(300):
        for dimension in ("market", "merchant"):
            cells = {"orders": 1 + number, "gross_minor": 100}
            ledger.add(0, DAY, f"orders_by_{dimension}", (f"{number:03d}", "CNY"), DAY.start_ms, **cells)
        ledger.add(0, DAY, "parcels_by_origin", (f"{number:03d}",), DAY.start_ms, shipped=1)
    ledger.commit(0)
    view = CommittedView()
    view.feed(ledger.drain())
    ranks = ranks_document(view.snapshot(), DAY)
    assert {dimension: len(ranks[dimension]) for dimension in ("market", "merchant", "origin")} == {
        "market": 250,
        "merchant": 10,
        "origin": 250,
    }
    assert {row["minor"] for row in ranks["origin"]} == {None}, "parcels, no money"
