"""Series: a measure over the seconds, minutes and hours of a festival."""

from __future__ import annotations

import dataclasses
import datetime as dt
from dataclasses import replace
from typing import TYPE_CHECKING

import pytest
from hypothesis import given
from hypothesis import strategies as st

from streams.board.answers.home_amounts import home_amount, home_running
from streams.board.answers.series import COUNTS, MONEY, series_document
from streams.board.answers.totals import totals_document
from streams.board.view.committed_view import CommittedView, Snapshot
from streams.domain.festivals import Rate
from streams.engine.memory import CellLedger
from streams.errors import UsageError
from streams.festivals import load_festivals

if TYPE_CHECKING:
    from decimal import Decimal

DAY = load_festivals()["singles-day-2019"]
START = DAY.start_ms


def snapshot_of(ledger: CellLedger) -> Snapshot:
    view = CommittedView()
    view.feed(ledger.drain())
    return view.snapshot()


def some_orders() -> CellLedger:
    ledger = CellLedger(2)
    for partition, elapsed_ms in ((0, 0), (1, 999), (0, 61_000), (1, 7_200_000)):
        cells = {"orders": 1, "gross_minor": 10_000, "coupons_minor": 700, "credits_minor": 300}
        ledger.add(partition, DAY, "orders_by_second", ("CNY",), START + elapsed_ms, **cells)
    ledger.add(0, DAY, "orders_by_second", ("USD",), START, orders=1, gross_minor=1)
    for partition in (0, 1):
        ledger.commit(partition, max_event_times_ms={"orders": START + 7_207_000 + partition})
    return ledger


def test_every_step_adds_up_the_same_events() -> None:
    snapshot = snapshot_of(some_orders())
    seconds = series_document(snapshot, DAY, "orders")
    assert len(seconds["values"]) == 86_400
    assert {i: v for i, v in enumerate(seconds["values"]) if v} == {0: 3, 61: 1, 7200: 1}
    minutes = series_document(snapshot, DAY, "net", "CNY", "minute")
    assert {i: v for i, v in enumerate(minutes["values"]) if v} == {0: 18_000, 1: 9_000, 120: 9_000}
    hours = series_document(snapshot, DAY, "gross", "CNY", "hour")
    assert hours == {
        "festival": DAY.id,
        "measure": "gross",
        "currency": "CNY",
        "step_ms": 3_600_000,
        "start_ms": START,
        "values": [30_000, 0, 10_000, *[0] * 21],
        "open_from_ms": START + 7_200_000,
    }


def test_values_may_still_grow_from_the_step_that_holds_the_watermark() -> None:
    snapshot = snapshot_of(some_orders())
    assert series_document(snapshot, DAY, "orders")["open_from_ms"] == START + 7_202_000
    assert series_document(snapshot, DAY, "captured")["open_from_ms"] == START
    after = CellLedger(1)
    after.commit(0, max_event_times_ms={"orders": DAY.end_ms + 5_000})
    assert series_document(snapshot_of(after), DAY, "orders")["open_from_ms"] == DAY.end_ms
    before = CellLedger(1)
    before.commit(0, max_event_times_ms={"orders": START - 90_000})
    assert series_document(snapshot_of(before), DAY, "orders")["open_from_ms"] == START


def test_steps_are_counted_from_the_start_of_the_festival_and_not_from_the_full_hour() -> None:
    day = replace(DAY, start_ms=START + 1_830_000, end_ms=DAY.end_ms + 1_830_000)
    ledger = CellLedger(1)
    ledger.commit(0, max_event_times_ms={"orders": day.start_ms + 2 * 3_600_000 + 5_000 + 1})
    snapshot = snapshot_of(ledger)
    for step, passed_ms in (("hour", 7_200_000), ("minute", 7_200_000), ("second", 7_200_000)):
        assert series_document(snapshot, day, "orders", None, step)["open_from_ms"] == day.start_ms + passed_ms


@pytest.mark.parametrize("measure", COUNTS)
def test_every_count_has_a_series(measure: str) -> None:
    assert set(series_document(snapshot_of(some_orders()), DAY, measure, None, "hour")["values"]) <= {0, 1, 4}


@pytest.mark.parametrize("measure", MONEY)
def test_every_amount_has_a_series_per_currency(measure: str) -> None:
    assert len(series_document(snapshot_of(some_orders()), DAY, measure, "CNY", "hour")["values"]) == 24


def test_series_beyond_64_bits_are_exact() -> None:
    ledger = CellLedger(1)
    for elapsed_ms in (0, 1_000):
        ledger.add(0, DAY, "orders_by_second", ("CNY",), START + elapsed_ms, gross_minor=2**63 - 1, coupons_minor=1)
    snapshot = snapshot_of(ledger)
    assert series_document(snapshot, DAY, "gross", "CNY", "hour")["values"][0] == 2**64 - 2
    assert series_document(snapshot, DAY, "net", "CNY", "hour")["values"][0] == 2**64 - 4


@pytest.mark.parametrize(
    ("measure", "currency", "step", "sentence"),
    [
        ("gmv", None, "second", "measure: 'gmv' is not kept; there are orders"),
        ("gross", None, "second", "gross is money, so say of which currency"),
        ("orders", "CNY", "second", "orders is a count and has no currency"),
        ("orders", None, "day", "step: 'day' is none; there are second, minute, hour"),
    ],
)
def test_what_is_not_kept_is_refused(measure: str, currency: str | None, step: str, sentence: str) -> None:
    with pytest.raises(UsageError, match=sentence):
        series_document(snapshot_of(some_orders()), DAY, measure, currency, step)


@pytest.mark.parametrize("step", ["second", "minute", "hour"])
def test_the_home_currency_adds_up_to_the_total_shown_whatever_the_step(step: str) -> None:
    ledger = some_orders()
    ledger.add(1, DAY, "orders_by_second", ("USD",), START + 61_000, gross_minor=10_003, coupons_minor=5)
    ledger.add(1, DAY, "orders_by_second", ("CHF",), START, gross_minor=10**9)  # no rate: a lower bound, as everywhere
    ledger.add(0, DAY, "payments_by_second", ("JPY",), START, paid_minor=77_777)
    snapshot = snapshot_of(ledger)
    home = totals_document(snapshot, DAY)["home"]
    for name in ("gross", "net", "paid"):
        series = series_document(snapshot, DAY, f"home_{name}", None, step)
        assert sum(series["values"]) == home[name] > 0
        assert len(series["values"]) == 86_400_000 // series["step_ms"]
    until = totals_document(snapshot, DAY, at_ms=START + 59_000)["home"]["gross"]
    assert sum(series_document(snapshot, DAY, "home_gross", None, "second")["values"][:60]) == until
    with pytest.raises(UsageError, match="home currency"):
        series_document(snapshot, DAY, "home_gross", "CNY")


@given(
    st.lists(st.integers(0, 10**22), min_size=1, max_size=4),
    st.decimals("0.000001", "9999", places=6),
    st.sampled_from([("CNY", "USD"), ("JPY", "KWD"), ("KWD", "JPY"), ("CNY", "JPY")]),
)
def test_a_running_total_is_rounded_as_a_single_one(amounts: list[int], rate: Decimal, pair: tuple[str, str]) -> None:
    home, currency = pair
    dated = Rate(currency, dt.date(2019, 11, 11), rate)
    festival = dataclasses.replace(DAY, home_currency=home, rates=(dated,))
    running = home_running(festival, {currency: amounts, "CHF": amounts}, len(amounts))
    assert running == [home_amount(festival, {currency: amount}).amount_minor for amount in amounts]
