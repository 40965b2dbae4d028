"""Totals as text for a terminal."""

from __future__ import annotations

import pytest

from streams.board.answers.totals import totals_of
from streams.board.answers.totals_text import amount_text, table, totals_text
from streams.board.view.committed_view import CommittedView
from streams.domain.rollups import OTHER
from streams.engine.judgement import Judgement
from streams.engine.memory import CellLedger
from streams.festivals import load_festivals

DAY = load_festivals()["singles-day-2019"]
START = DAY.start_ms


@pytest.mark.parametrize(
    ("minor", "currency", "text"),
    [
        (0, "CNY", "0.00"),
        (123_450, "CNY", "1,234.50"),
        (-5, "USD", "-0.05"),
        (1_234, "JPY", "1,234"),
        (1_234, "KWD", "1.234"),
        (1_234, "a damaged name", "1,234"),
        (2**70, "CNY", "11,805,916,207,174,113,034.24"),
    ],
)
def test_amounts_are_written_in_major_units_without_losing_a_digit(minor: int, currency: str, text: str) -> None:
    assert amount_text(minor, currency) == text


def test_columns_are_aligned() -> None:
    assert table([("a", "1"), ("longer", "1,000")]) == "a           1\nlonger  1,000"


def test_every_number_of_the_document_is_shown() -> None:
    ledger = CellLedger(1)
    cells = {"orders": 1_234, "gross_minor": 10_000, "coupons_minor": 700}
    ledger.add(0, DAY, "orders_by_second", ("CNY",), START, **cells)
    ledger.add(0, DAY, "orders_by_second", ("SEK",), START, orders=1, gross_minor=5)
    ledger.add(0, DAY, "orders_by_merchant", ("m1", "CNY"), START, **cells)
    ledger.add(0, DAY, "orders_by_merchant", (OTHER, "CNY"), START, **cells)
    ledger.add(0, DAY, "payer_by_second", ("JPY",), START, duty_minor=77)
    ledger.commit(0, {"orders": 1}, {"orders": 1_795_354_069_153}, {}, {"orders": {"duplicate": 12}})
    view = CommittedView()
    view.feed(ledger.drain())
    totals = totals_of(view.snapshot(), DAY, by="merchant", judgement=Judgement(partitions=1, lag_records=1_000))
    text = totals_text(totals, DAY)
    lines = [line.split() for line in text.splitlines()]
    assert text.startswith(
        "Global Shopping Festival 2019 (singles-day-2019)\ncomplete, 1,000 records behind, ledger g1\n"
    )
    assert "as of 2019-11-11 23:59:59.999 Asia/Shanghai" in text
    assert "newest committed record 2026-11-22 13:27:49.153 UTC" in text
    assert ["orders", "1,235"] in lines
    assert ["records", "duplicates", "12"] in lines
    assert ["CNY", "100.00", "7.00", "0.00", "93.00", "0.00", "0.00", "0.00", "0.00"] in lines
    assert ["JPY", "0", "0", "0", "77"] in lines
    assert ["gross", "in", "CNY", "at", "least", "100.00"] in lines
    assert "no rate for SEK: these are lower bounds" in text
    assert "gross in USD at least 14.30 converted, 1 USD = 6.9933 CNY on 2019-11-11" in " ".join(text.split())
    assert ["peak", "second", "1,235", "orders", "at", "2019-11-11", "00:00:00.000", "Asia/Shanghai"] in lines
    assert ["≥", "m1", "1,234", "0", "0", "0", "0", "100.00", "93.00", "0.00"] in lines


def test_parcels_and_boxes_have_rows_and_lines_without_money() -> None:
    ledger = CellLedger(1)
    ledger.add(0, DAY, "parcels_by_second", (), START, shipped=1_500, delivered=400)
    ledger.add(0, DAY, "parcels_by_carrier", ("ems",), START, shipped=1_500, delivered=400)
    view = CommittedView()
    view.feed(ledger.drain())
    totals = totals_of(view.snapshot(), DAY, by="carrier")
    lines = [line.split() for line in totals_text(totals, DAY).splitlines()]
    assert ["parcels", "in_flight", "1,100"] in lines
    assert ["different", "buyers", "0", "(0", "to", "0)"] in lines
    assert ["ems", "1,500", "0", "400", "1,100"] in lines


def test_the_story_is_told_in_lines() -> None:
    festival = load_festivals()["singles-day-2014"]
    ledger = CellLedger(1)
    for second, orders, gross_minor in ((0, 30, 3_501_900_000_000), (7_200, 7, 100_000)):
        at_ms = festival.start_ms + second * 1_000
        ledger.add(0, festival, "orders_by_second", ("CNY",), at_ms, orders=orders, gross_minor=gross_minor)
    ledger.commit(0, {"orders": 1}, {}, {"orders": festival.start_ms + 8_000_000})
    view = CommittedView()
    view.feed(ledger.drain())
    text = totals_text(totals_of(view.snapshot(), festival), festival)
    lines = [line.split() for line in text.splitlines()]
    assert ["passed", "all", "of", "Singles'", "Day", "2013", "2014-11-11", "00:00:01.000", "Asia/Shanghai"] in lines
    assert ["peak", "minute", "30", "orders", "at", "2014-11-11", "00:00:00.000", "Asia/Shanghai"] in lines
    assert sum(line[:1] == ["passed"] for line in lines) == 4  # three milestones, one of them all of 2013
    assert any(line[:2] == ["against", "Singles'"] and line[-1].startswith("+") for line in lines)
    assert any(line[:3] == ["forecast", "in", "CNY"] for line in lines)
    assert ["IMPLAUSIBLE", "average", "order", "value"] in lines
    assert ["IMPLAUSIBLE", "growth"] not in lines


def test_an_incomplete_ledger_is_called_so_and_no_rows_are_no_table() -> None:
    view = CommittedView()
    text = totals_text(totals_of(view.snapshot(), DAY, by="brand"), DAY)
    assert "INCOMPLETE" in text
    assert "records behind" not in text
    assert text.endswith("no rows")
