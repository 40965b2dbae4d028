"""Totals as CSV and as pages again: nothing is lost, whatever texts and however large the numbers."""

from __future__ import annotations

from itertools import product
from typing import TYPE_CHECKING

import msgspec
import orjson
import pytest
from hypothesis import given
from hypothesis import strategies as st

from streams.board.view.tables import merge_pages
from streams.domain.built_in import ROLLUPS
from streams.domain.pages import HIGH_SHIFT, decode_page
from streams.engine.sealed.container import SealError
from streams.engine.sealed.tables import TableRow, decode_table, encode_table, pages_of, shape_of

if TYPE_CHECKING:
    from streams.domain.rollups import Rollup

START_MS = 1_573_401_600_000
BY_NAME = {rollup.name: rollup for rollup in ROLLUPS}
texts = st.text(min_size=1, max_size=64)


@st.composite
def tables(draw: st.DrawFn) -> tuple[Rollup, list[TableRow]]:
    rollup = draw(st.sampled_from(ROLLUPS))
    shape = shape_of(rollup)
    windows = draw(st.sets(st.integers(0, 90_000), max_size=4)) if shape.window_ms else {0}
    groups = draw(st.sets(st.tuples(*(texts for _ in shape.groups)), max_size=4))
    number = st.integers(-(2**40), 2**40) | st.integers(-(2**100), 2**100)
    values = st.lists(number, min_size=len(shape.measures), max_size=len(shape.measures))
    return rollup, [TableRow(window, group, draw(values)) for window, group in product(windows, groups)]


@given(tables())
def test_rows_come_back_as_they_went(table: tuple[Rollup, list[TableRow]]) -> None:
    shape, rows = shape_of(table[0]), table[1]
    data = encode_table(shape, START_MS, rows)
    assert encode_table(shape, START_MS, reversed(rows)) == data
    assert list(decode_table(shape, START_MS, data)) == sorted(rows, key=lambda row: row[:2])


@given(tables())
def test_the_pages_of_rows_hold_exactly_these_cells(table: tuple[Rollup, list[TableRow]]) -> None:
    rollup, rows = table
    shape = shape_of(rollup)
    found = {}
    for key, value in pages_of(shape, rows, "g1", "day").items():
        *named, number = orjson.loads(key)
        assert named == ["g1", "page", "day", rollup.name]
        page = merge_pages([value], rollup)
        for group, place in page.groups.items():
            for slot in range(shape.slots):
                if any(page.cells[:, place, slot]):
                    found[number * shape.slots + slot, group] = page.cells[:, place, slot].tolist()
    assert found == {(row.window, row.group): list(row.values) for row in rows if any(row.values)}


def test_a_page_has_high_parts_only_where_a_cell_needs_one() -> None:
    shape = shape_of(BY_NAME["orders_by_platform"])
    for largest, has_high in ((2**HIGH_SHIFT - 1, False), (2**HIGH_SHIFT, True)):
        rows = [TableRow(0, ("tmall", "CNY"), [0] * 6 + [largest])]
        (value,) = pages_of(shape, rows, "g1", "day").values()
        assert (decode_page(value).high is not None) is has_high


def test_a_table_says_what_its_columns_are() -> None:
    shape = shape_of(BY_NAME["payer_by_method"])
    row = TableRow(2, ("alipay", "CNY"), [5, 0, 1, 2])
    assert encode_table(shape, START_MS, [row]).decode().splitlines() == [
        "start,method,payer_currency,payer_paid_minor,payer_refunded_minor,transport_minor,duty_minor",
        "2019-11-10T16:02:00Z,alipay,CNY,5,0,1,2",
    ]
    assert shape_of(BY_NAME["parcels_by_carrier"]).header == ("carrier", "shipped", "cleared", "delivered")


HEADER = "start,shipped,cleared,delivered\r\n"


@pytest.mark.parametrize(
    ("text", "why"),
    [
        ("", "the columns are not start, shipped"),
        ("start,shipped\r\n", "the columns are not start, shipped"),
        (HEADER + "2019-11-10T16:00:00Z,1,2\r\n", "line 2 has 3 cells"),
        (HEADER + "2019-11-10T16:00:00Z,1,2,1.5\r\n", "invalid literal"),
        (HEADER + "2019-11-10T16:00:00.5Z,1,2\r\n", "line 2"),
        (HEADER + "2019-11-10T16:00:00,1,2,3\r\n", "parcels_by_second"),
        (HEADER + "yesterday,1,2,3\r\n", "Invalid isoformat"),
        (HEADER + '"2019,1,2,3\r\n', "parcels_by_second"),
        (HEADER + "\xff", "parcels_by_second"),
    ],
)
def test_what_is_no_such_table_is_refused(text: str, why: str) -> None:
    with pytest.raises(SealError, match=why):
        list(decode_table(shape_of(BY_NAME["parcels_by_second"]), START_MS, text.encode("latin-1")))


def test_a_time_that_begins_no_window_is_refused() -> None:
    shape = shape_of(BY_NAME["parcels_by_market"])
    text = "start,market,shipped,cleared,delivered\r\n2019-11-10T16:00:01Z,CN,1,2,3\r\n"
    with pytest.raises(SealError, match="begins no window"):
        list(decode_table(shape, START_MS, text.encode()))


def test_windows_that_no_page_has_are_refused() -> None:
    shape = msgspec.structs.replace(shape_of(BY_NAME["parcels_by_second"]), window_ms=7)
    with pytest.raises(SealError, match="windows of 7 ms"):
        pages_of(shape, [], "g1", "day")
