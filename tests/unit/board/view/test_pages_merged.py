"""One page of several partitions is one table."""

from __future__ import annotations

import numpy as np
import pytest

from streams.board.view.committed_view import CommittedView
from streams.board.view.tables import merge_pages, slots_per_page
from streams.domain.built_in import ROLLUPS
from streams.engine.memory import CellLedger
from streams.festivals import load_festivals

DAY = load_festivals()["singles-day-2019"]


def test_a_page_that_no_partition_has_is_a_table_without_groups() -> None:
    rollup = next(rollup for rollup in ROLLUPS if rollup.name == "orders_by_second")
    merged = merge_pages([], rollup)
    assert merged.groups == {}
    assert merged.cells.shape == (len(rollup.measures), 0, slots_per_page(rollup))
    assert merged.cells.dtype == np.int64


def test_a_series_that_all_readers_share_cannot_be_written() -> None:
    ledger = CellLedger(1)
    ledger.add(0, DAY, "orders_by_second", ("CNY",), DAY.start_ms, orders=1)
    ledger.commit(0, {"orders": 1})
    view = CommittedView()
    view.feed(ledger.drain())
    series = view.snapshot().table(DAY.id, "orders_by_second").series(0, 86_400)
    assert series[:2].tolist() == [1, 0]
    with pytest.raises(ValueError, match="read-only"):
        series[0] = 2
