"""The totals document: every number of contract 3, as of any instant, by every dimension."""

from __future__ import annotations

import json
from dataclasses import replace
from decimal import Decimal
from typing import TYPE_CHECKING, Any

import msgspec
import pytest

from streams.board.answers.instants import parse_instant
from streams.board.answers.totals import totals_document
from streams.board.view.committed_view import CommittedView
from streams.domain.built_in import DIMENSIONS
from streams.domain.festivals import Rate
from streams.domain.rollups import OTHER
from streams.engine.judgement import Held, Judgement, OpenTransaction
from streams.engine.memory import CellLedger
from streams.engine.status import HeldReason
from streams.errors import UsageError
from streams.festivals import load_festivals

if TYPE_CHECKING:
    from streams.domain.festivals import Festival

DAY = load_festivals()["singles-day-2019"]
START = DAY.start_ms


def document(ledger: CellLedger, festival: Festival = DAY, **question: Any) -> dict[str, Any]:  # noqa: ANN401
    view = CommittedView()
    view.feed(ledger.drain())
    totals = totals_document(view.snapshot(), festival, **question)
    assert json.loads(json.dumps(totals)) == totals
    return totals


def place(ledger: CellLedger, partition: int, at_ms: int, merchant: str = "m1", platform: str = "tmall") -> None:
    """Count an order of 100.00 yuan with 10.00 off."""
    cells = {"orders": 1, "gross_minor": 10_000, "coupons_minor": 700, "credits_minor": 300}
    ledger.add(partition, DAY, "orders_by_second", ("CNY",), at_ms, **cells)
    ledger.add(partition, DAY, "orders_by_platform", (platform, "CNY"), at_ms, **cells)
    ledger.add(partition, DAY, "orders_by_merchant", (merchant, "CNY"), at_ms, **cells)


def pay(ledger: CellLedger, partition: int, at_ms: int, platform: str = "tmall", paid_minor: int = 1_000) -> None:
    """Count a payment in dollars by a shopper who pays yuan."""
    cells = {"captured": 1, "paid_minor": paid_minor}
    ledger.add(partition, DAY, "payments_by_second", ("USD",), at_ms, **cells)
    ledger.add(partition, DAY, "payments_by_platform", (platform, "USD"), at_ms, **cells)
    ledger.add(partition, DAY, "payments_by_method", ("card", "USD"), at_ms, **cells)
    ledger.add(
        partition, DAY, "payer_by_second", ("CNY",), at_ms, payer_paid_minor=7_000, transport_minor=50, duty_minor=20
    )


CONTRACT = {
    "festival": "singles-day-2019",
    "ledger": "g1",
    "counted": True,
    "complete": True,
    "lag_records": 1,
    "as_of_ms": 1573487999999,
    "committed_ms": 1795354069153,
    "positions": {"orders": {"0": 30, "1": 40}, "payments": {"0": 2, "1": 3}},
    "counted_from": {},
    "held": [],
    "open_transactions": [],
    "orders": 2,
    "cancelled": 1,
    "couponed": 1,
    "duplicates": 12,
    "rejected": 4,
    "late": 4,
    "expired": 5,
    "outside": 6,
    "money": {
        "CNY": {
            "gross": 20_000,
            "coupons": 1_400,
            "credits": 600,
            "net": 18_000,
            "cancelled_net": 9_000,
            "paid": 0,
            "failed": 0,
            "refunded": 0,
        },
        "USD": {
            "gross": 0,
            "coupons": 0,
            "credits": 0,
            "net": 0,
            "cancelled_net": 0,
            "paid": 1_000,
            "failed": 0,
            "refunded": 0,
        },
    },
    "payments": {"captured": 1, "failed": 0, "refunded": 0},
    "payer": {"CNY": {"paid": 7_000, "refunded": 0, "transport": 50, "duty": 20}},
    "home": {"currency": "CNY", "gross": 20_000, "net": 18_000, "paid": 6_993, "missing": []},
    "in": {
        "USD": {"gross": 2_860, "net": 2_574, "paid": 1_000, "rate": "6.9933", "date": "2019-11-11"},
        "EUR": {"gross": 2_584, "net": 2_325, "paid": 903, "rate": "7.7404", "date": "2019-11-11"},
    },
    "shares": {"couponed": 0.5, "paid": 0.5},
    "parcels": {
        "shipped": 3,
        "cleared": 2,
        "delivered": 2,
        "in_flight": 1,
        "transit": {
            "days": {"5": 1, "12": 1, "61+": 1},
            "unknown": 1,
            "p50": 12,
            "p90": 61,
            "promised_days": 12,
            "within_promised": 0.666667,
        },
    },
    "recycling": {"boxes": 6, "scans": 2, "points": 222, "trees": None},
    "distinct": {"buyers": {"estimate": 0, "low": 0, "high": 0}},
    "pace": {
        "as_of_ms": None,
        "gross_minor": None,
        "previous": "Global Shopping Festival 2018",
        "previous_gross_minor": None,
        "growth_ratio": None,
        "previous_total_minor": 21_350_000_000_000,
        "passed_ms": None,
    },
    "forecast": {
        "as_of_ms": None,
        "low_minor": None,
        "expected_minor": None,
        "high_minor": None,
        "basis": "the curve of Global Shopping Festival 2018, and its growth on the edition before it, damped; the "
        "interval is the largest error of the 7 editions from 2013 to 2019 at this time of day or later: so few give "
        "no probability",
    },
    "milestones": [{"minor": minor, "time_ms": None} for minor in DAY.milestones_minor],
    "peak": {"second": {"orders": 1, "start_ms": START}, "minute": {"orders": 1, "start_ms": START}},
    "implausible": {"average_order_value": True, "growth": False},
    "exponents": {"CNY": 2, "EUR": 2, "USD": 2},
}
"""The document of the contract, every key in its place."""


def test_the_document_has_exactly_the_keys_and_numbers_of_the_contract() -> None:
    ledger = CellLedger(2)
    place(ledger, 0, START)
    place(ledger, 1, START + 3_600_000)
    ledger.add(1, DAY, "orders_by_second", ("CNY",), START, cancelled=1, cancelled_net_minor=9_000)
    pay(ledger, 1, START + 1)
    ledger.add(0, DAY, "orders_by_second", ("CNY",), START, couponed=1)
    ledger.add(0, DAY, "parcels_by_second", (), START, shipped=3, cleared=1)
    ledger.add(1, DAY, "parcels_by_second", (), START + 9_000, cleared=1, delivered=2)
    for partition, days in enumerate(("61+", "12")):
        ledger.add(partition, DAY, "parcels_by_transit_days", (days,), START, delivered=1)
    ledger.add(0, DAY, "parcels_by_transit_days", ("5",), START, delivered=1)
    ledger.add(0, DAY, "parcels_by_transit_days", ("__none__",), START, delivered=1)
    ledger.add(0, DAY, "recycling_by_second", (), START, boxes=6, scans=2, points=222)
    outcomes = {"counted": 2, "duplicate": 12, "rejected": 3, "late": 4, "expired": 5, "outside": 6}
    ledger.commit(0, {"orders": 30, "payments": 2}, {"orders": 1795354069153}, {}, {"orders": outcomes})
    ledger.commit(1, {"orders": 40, "payments": 3}, {"orders": 1795354069000}, {}, {"payments": {"rejected": 1}})
    totals = document(ledger, judgement=Judgement(partitions=2, lag_records=1))
    assert totals == CONTRACT
    assert list(totals) == list(CONTRACT)


def test_an_empty_ledger_gives_an_incomplete_document_of_zeros() -> None:
    totals = document(CellLedger(4))
    assert (totals["complete"], totals["orders"], totals["money"]) == (False, 0, {})
    assert (totals["committed_ms"], totals["lag_records"], totals["positions"]) == (None, None, {})
    assert totals["home"] == {"currency": "CNY", "gross": 0, "net": 0, "paid": 0, "missing": []}


def test_a_held_partition_makes_the_document_incomplete() -> None:
    ledger = CellLedger(1)
    ledger.commit(0)
    view = CommittedView()
    view.feed(ledger.drain())
    covered = Judgement(partitions=1, lag_records=0)
    totals = totals_document(view.snapshot(), DAY, judgement=covered)
    assert (totals["complete"], totals["held"], totals["open_transactions"]) == (True, [], [])
    assert totals_document(view.snapshot(), DAY)["complete"] is False  # nobody has looked at the sources
    held = Held(0, HeldReason.LOG_DELETED, "orders", 7, "gone")
    totals = totals_document(view.snapshot(), DAY, judgement=replace(covered, held=(held,)))
    assert (totals["complete"], totals["held"]) == (False, [msgspec.to_builtins(held)])
    opened = OpenTransaction("orders", 0, 512, 7)
    totals = totals_document(view.snapshot(), DAY, judgement=replace(covered, open_transactions=(opened,)))
    assert (totals["complete"], totals["open_transactions"]) == (True, [msgspec.to_builtins(opened)])


def test_an_unreadable_page_makes_the_document_incomplete() -> None:
    ledger = CellLedger(1)
    ledger.commit(0)
    ledger.write(0, f'["g1","page","{DAY.id}","payer_by_second",0]'.encode(), b"?")
    assert document(ledger, judgement=Judgement(partitions=1))["complete"] is False


@pytest.mark.parametrize(
    ("at_ms", "orders", "as_of_ms"),
    [
        (START - 1, 0, START - 1),
        (START, 1, START + 999),
        (START + 999, 1, START + 999),
        (START + 1_000, 2, START + 1_999),
        (START + 60_000, 3, START + 60_999),
        (DAY.end_ms - 1_001, 3, DAY.end_ms - 1_001),
        (DAY.end_ms - 1_000, 4, DAY.end_ms - 1),
        (DAY.end_ms + 5_000, 4, DAY.end_ms - 1),
    ],
)
def test_as_of_counts_up_to_the_last_millisecond_of_the_second(at_ms: int, orders: int, as_of_ms: int) -> None:
    ledger = CellLedger(2)
    for partition, moment in enumerate((START, START + 1_999, START + 60_000, DAY.end_ms - 1)):
        place(ledger, partition % 2, moment)
    totals = document(ledger, at_ms=at_ms)
    assert (totals["orders"], totals["as_of_ms"]) == (orders, as_of_ms)
    assert totals["money"].get("CNY", {"gross": 0})["gross"] == orders * 10_000


def test_rows_by_platform_join_orders_and_payments_the_largest_first() -> None:
    ledger = CellLedger(2)
    place(ledger, 0, START, platform="small")
    for partition in (0, 1):
        place(ledger, partition, START, platform="large")
    pay(ledger, 1, START, platform="small", paid_minor=500)
    pay(ledger, 1, START, platform="only-paid", paid_minor=10**9)
    rows = document(ledger, by="platform")["by"]
    assert [(row["platform"], row["orders"], row["payments"]["captured"]) for row in rows] == [
        ("large", 2, 0),
        ("small", 1, 1),
        ("only-paid", 0, 1),
    ]
    assert rows[1]["money"]["USD"]["paid"] == 500
    assert rows[1]["money"]["CNY"]["net"] == 9_000
    assert rows[1]["home"] == {"currency": "CNY", "gross": 10_000, "net": 9_000, "paid": 3_497, "missing": []}
    assert "at_least" not in rows[0]


def test_top_keeps_the_largest_rows() -> None:
    ledger = CellLedger(1)
    for i in range(5):
        for _ in range(i + 1):
            place(ledger, 0, START, merchant=f"m{i}")
    rows = document(ledger, by="merchant", top=2)["by"]
    assert [row["merchant"] for row in rows] == ["m4", "m3"]


def test_rows_of_a_fact_that_keeps_no_orders_show_payments_only() -> None:
    ledger = CellLedger(1)
    pay(ledger, 0, START)
    (row,) = document(ledger, by="method")["by"]
    assert row == {
        "method": "card",
        "payments": {"captured": 1, "failed": 0, "refunded": 0},
        "money": {"USD": {"paid": 1_000, "failed": 0, "refunded": 0}},
        "home": {"currency": "CNY", "paid": 6_993, "missing": []},
    }


def test_rows_of_a_dimension_at_its_limit_are_marked_at_least() -> None:
    ledger = CellLedger(1)
    place(ledger, 0, START, merchant="m1")
    place(ledger, 0, START, merchant=OTHER)
    rows = document(ledger, by="merchant")["by"]
    assert {row["merchant"]: row["at_least"] for row in rows} == {"m1": True, OTHER: True}


def test_rows_per_minute_answer_the_ends_of_minutes_only() -> None:
    ledger = CellLedger(1)
    place(ledger, 0, START)
    place(ledger, 0, START + 60_000)
    view = CommittedView()
    view.feed(ledger.drain())
    for at_ms, orders in ((START + 59_000, 1), (START + 119_999, 2)):
        (row,) = totals_document(view.snapshot(), DAY, by="platform", at_ms=at_ms)["by"]
        assert row["orders"] == orders
    with pytest.raises(UsageError, match="per minute"):
        totals_document(view.snapshot(), DAY, by="platform", at_ms=START + 60_000)


@pytest.mark.parametrize("dimension", ["merchant", "category", "brand"])
def test_rows_kept_for_the_festival_answer_its_end_only(dimension: str) -> None:
    ledger = CellLedger(1)
    place(ledger, 0, START)
    assert "by" in document(ledger, by=dimension, at_ms=DAY.end_ms - 1)
    with pytest.raises(UsageError, match=f"by {dimension} are kept for the whole festival"):
        document(ledger, by=dimension, at_ms=START + 59_999)


def test_an_unknown_dimension_is_refused_with_the_known_ones() -> None:
    assert set(DIMENSIONS) == {
        *("platform", "market", "merchant", "category", "brand", "method", "carrier", "origin", "transit_days"),
        *("operator", "city", "district", "flash", "station"),
    }
    with pytest.raises(UsageError, match="'buyer'; there are platform"):
        document(CellLedger(1), by="buyer")


def test_home_is_converted_once_per_currency_half_even_and_names_what_it_lacks() -> None:
    zero_digits = Rate("JPY", dt_date := DAY.rates[0].date, Decimal("0.065"))
    three_digits = Rate("KWD", dt_date, Decimal("23.1"))
    festival = replace(DAY, rates=(zero_digits, three_digits))
    ledger = CellLedger(2)
    for currency, gross in (("CNY", 1), ("JPY", 1), ("KWD", 5), ("USD", 900), ("EUR", 0)):
        ledger.add(0, festival, "orders_by_second", (currency,), START, gross_minor=gross)
    # 1 yen = 6.5 fen → 6 (half-even); 0.005 dinar = 11.55 fen → 12; dollars have no rate here.
    assert document(ledger, festival)["home"] == {
        "currency": "CNY",
        "gross": 1 + 6 + 12,
        "net": 1 + 6 + 12,
        "paid": 0,
        "missing": ["USD"],
    }


def test_totals_beyond_64_bits_are_written_in_full() -> None:
    ledger = CellLedger(2)
    for partition in (0, 1):
        ledger.add(partition, DAY, "orders_by_second", ("CNY",), START, orders=1, gross_minor=2**64)
    totals = document(ledger)
    assert totals["money"]["CNY"]["gross"] == 2**65
    assert totals["home"]["gross"] == 2**65


@pytest.mark.parametrize(
    ("text", "at_ms"),
    [
        ("2019-11-11T00:01:36", START + 96_000),
        ("2019-11-11 00:01:36", START + 96_000),
        ("2019-11-10T16:01:36Z", START + 96_000),
        ("2019-11-11T00:01:36+08:00", START + 96_000),
        ("2019-11-11T00:01:36.789", START + 96_789),
        ("2019-11-11", START),
        ("00:01:36", START + 96_000),
        ("16:31", START + (16 * 60 + 31) * 60_000),
    ],
)
def test_an_instant_without_offset_is_local_to_the_festival(text: str, at_ms: int) -> None:
    assert parse_instant(text, DAY) == at_ms


@pytest.mark.parametrize(
    ("text", "problem"),
    [
        ("02:30", "shows 2026-10-25T02:30:00 twice: write 2026-10-25T02:30:00+02:00 for the first time"),
        ("2026-10-25T02:30:00.5", "2026-10-25T02:30:00.500000+01:00 for the second"),
        ("2027-03-28T02:30", "the clock of Europe/Berlin skips 2027-03-28T02:30:00"),
    ],
)
def test_an_instant_that_the_clock_skips_or_shows_twice_is_refused(text: str, problem: str) -> None:
    start_ms = 1_792_879_200_000  # 25 October 2026, 00:00 in Berlin
    day = replace(DAY, timezone="Europe/Berlin", start_ms=start_ms, end_ms=start_ms + 25 * 3_600_000)
    with pytest.raises(UsageError) as refused:
        parse_instant(text, day)
    assert problem in str(refused.value)
    assert parse_instant("02:30+01:00", day) - parse_instant("02:30+02:00", day) == 3_600_000
    assert parse_instant("03:00", day) == start_ms + 4 * 3_600_000


@pytest.mark.parametrize("text", ["", "noon", "2019-13-01", "25:00", "2019-11-11T00:00:00 08:00", "0001-01-01T00:00"])
def test_what_is_no_instant_is_refused_with_an_example(text: str) -> None:
    if text.startswith("0001"):
        assert parse_instant(text, DAY) < 0
        return
    with pytest.raises(UsageError, match="write it like 2019-11-11T00:01:36"):
        parse_instant(text, DAY)
