"""A ledger that a test fills by itself is handed over as any other."""

from __future__ import annotations

from streams.domain.pages import PageKey, decode_cursor, decode_page
from streams.domain.rollups import GROUPS_PER_PAGE
from streams.engine.memory import CellLedger
from tests.unit.domain.samples import START_MS, festival

DAY = festival("day")


def test_cells_are_handed_over_with_their_cursor_and_only_once() -> None:
    ledger = CellLedger(2)
    ledger.add(1, DAY, "orders_by_second", ("CNY",), START_MS + 1_000, orders=3)
    ledger.add(1, DAY, "orders_by_second", ("CNY",), START_MS + 1_000, orders=2, gross_minor=1 << 70)
    ledger.commit(1, {"orders": 5})
    delta = ledger.drain()
    assert (delta.reset, delta.partitions, delta.generation) == (True, 2, "g1")
    ((place, value),) = delta.changed_pages.items()
    assert place == (1, PageKey("g1", "day", "orders_by_second", 0).encode())
    page = decode_page(value)
    low, high = page.cells(), page.high_cells()
    assert high is not None
    assert {int(low[m, 1]) + (int(high[m, 1]) << 62) for m in range(page.measures)} == {0, 5, 1 << 70}
    assert decode_cursor(delta.cursors[1]).positions == {"orders": 5}
    after = ledger.drain()
    assert (after.reset, after.changed_pages, after.cursors) == (False, {}, {})


def test_what_is_not_committed_is_committed_when_it_is_asked_for() -> None:
    ledger = CellLedger(1)
    for number in range(GROUPS_PER_PAGE + 1):
        ledger.add(0, DAY, "orders_by_merchant", (f"m{number}", "CNY"), START_MS, orders=1)
    assert sorted(ledger.drain().changed_pages) == [
        (0, PageKey("g1", "day", "orders_by_merchant", number).encode()) for number in (0, 1)
    ]


def test_another_generation_is_shown_because_the_ledger_says_that_it_is_current() -> None:
    ledger = CellLedger(1, "g2")
    ledger.hold(0, b"{}")
    delta = ledger.drain()
    assert (delta.generation, delta.notes) == ("g2", {0: b"{}"})
