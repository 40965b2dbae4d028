"""Peak, milestones, the last edition and plausibility."""

from __future__ import annotations

import dataclasses
from decimal import Decimal

import pytest
from hypothesis import given
from hypothesis import strategies as st

from streams.board.answers.highlights import implausible, milestones_ms, peak, previous_gross_minor
from streams.board.answers.home_amounts import HomeAmount
from streams.board.answers.home_curve import HomeCurve
from streams.board.view.committed_view import CommittedView, Snapshot
from streams.domain.curves import cumulative_orders
from streams.domain.festivals import Plausible, Previous
from streams.engine.memory import CellLedger
from streams.festivals import load_festivals
from streams.festivals.editions import published_curves

DAY = load_festivals()["singles-day-2019"]
START = DAY.start_ms
BILLION = 100 * 10**9


def snapshot_of(ledger: CellLedger) -> Snapshot:
    view = CommittedView()
    view.feed(ledger.drain())
    return view.snapshot()


def sold(*orders: tuple[int, int, int], currency: str = "CNY") -> Snapshot:
    """Return a snapshot of (second, orders, gross in minor units), each on one of three partitions."""
    ledger = CellLedger(3)
    for i, (second, count, gross) in enumerate(orders):
        at_ms = START + second * 1000
        ledger.add(i % 3, DAY, "orders_by_second", (currency,), at_ms, orders=count, gross_minor=gross)
    return snapshot_of(ledger)


def test_the_peak_is_the_busiest_second_of_all_partitions_together_and_the_first_of_equals() -> None:
    found = peak(sold((5, 3, 0), (9, 2, 0), (9, 2, 0), (70, 4, 0)), DAY)
    assert (found.orders, found.start_ms) == (4, START + 9_000)


def test_without_orders_there_is_no_peak_second() -> None:
    found = peak(sold(), DAY)
    assert (found.orders, found.start_ms) == (0, None)


def test_a_milestone_is_reached_at_the_end_of_the_second_that_crossed_it() -> None:
    snapshot = sold((0, 1, 9 * BILLION), (95, 1, 1 * BILLION), (324, 1, 20 * BILLION), (325, 1, 70 * BILLION - 1))
    assert milestones_ms(snapshot, DAY) == {10 * BILLION: START + 96_000, 30 * BILLION: START + 325_000}


def test_milestones_are_reached_in_the_home_currency() -> None:
    snapshot = sold((10, 1, 10 * BILLION), currency="USD")
    reached = milestones_ms(snapshot, DAY)  # 69.9 bn yuan
    assert reached == {10 * BILLION: START + 11_000, 30 * BILLION: START + 11_000}
    assert milestones_ms(sold((10, 1, 10**15), currency="CHF"), DAY) == {}


def test_a_festival_without_milestones_reaches_none() -> None:
    assert milestones_ms(sold((0, 1, 1)), dataclasses.replace(DAY, milestones_minor=())) == {}


@given(st.lists(st.tuples(st.integers(0, 86_399), st.integers(0, 3), st.integers(0, 10**13)), max_size=20))
def test_milestones_equal_a_walk_through_the_seconds(orders: list[tuple[int, int, int]]) -> None:
    festival = dataclasses.replace(DAY, milestones_minor=(1, 10**13, 5 * 10**13))
    expected: dict[int, int] = {}
    so_far = 0
    for second, _, gross in sorted(orders):
        so_far += gross
        for milestone in festival.milestones_minor:
            if so_far >= milestone:
                expected.setdefault(milestone, START + (second + 1) * 1000)
    assert milestones_ms(sold(*orders), festival) == expected


@pytest.mark.parametrize(
    ("elapsed_s", "amount_minor"),
    [(-5, 0), (0, 0), (100, 100), (86_400, 1_000), (99_999, 1_000)],
)
def test_the_last_edition_is_read_off_its_curve(elapsed_s: int, amount_minor: int) -> None:
    curve = ((100, 100), (86_400, 1_000))
    festival = dataclasses.replace(DAY, previous=Previous("2018", 1_000, curve))
    assert previous_gross_minor(festival, START + elapsed_s * 1000) == amount_minor


def test_between_published_points_the_last_edition_is_what_its_replay_sells() -> None:
    festival = load_festivals()["singles-day-2014"]
    curve = published_curves()[2013]
    planned = cumulative_orders(curve, curve.total_minor)
    for second in (1, 54, 55, 1_000, 3_700, 43_250, 86_399):
        assert previous_gross_minor(festival, festival.start_ms + second * 1_000) == planned[second]


def test_of_an_edition_without_a_curve_only_the_end_is_known() -> None:
    day = dataclasses.replace(DAY, previous=Previous("2018", 21_350_000_000_000))
    assert previous_gross_minor(day, DAY.end_ms - 864_001) is None
    assert previous_gross_minor(day, DAY.end_ms - 864_000) == 21_350_000_000_000  # the last hundredth of the day
    assert previous_gross_minor(day, DAY.end_ms) == 21_350_000_000_000
    assert previous_gross_minor(day, None) is None
    assert previous_gross_minor(dataclasses.replace(DAY, previous=None), DAY.end_ms) is None


def test_the_misprinted_total_of_2019_is_implausible_and_the_right_one_is_not() -> None:
    misprint = sold((0, 1_300_000_000, 2_640_000_000_000))
    assert implausible(misprint, DAY, DAY.end_ms) == {"average_order_value": True, "growth": True}
    right = sold((0, 1_300_000_000, 26_840_000_000_000))
    assert implausible(right, DAY, DAY.end_ms) == {"average_order_value": False, "growth": False}


def test_growth_is_judged_low_only_against_something_known_and_high_at_any_time() -> None:
    assert implausible(sold((0, 1, 20_000)), DAY, START + 60_000)["growth"] is False
    assert implausible(sold((0, 1, 50_000_000_000_000)), DAY, START + 60_000)["growth"] is True


def test_a_total_that_lacks_a_currency_is_not_called_too_small() -> None:
    ledger = CellLedger(1)
    ledger.add(0, DAY, "orders_by_second", ("CHF",), START, orders=1, gross_minor=20_000)
    ledger.add(0, DAY, "orders_by_second", ("CNY",), START, orders=1, gross_minor=1)
    assert implausible(snapshot_of(ledger), DAY, DAY.end_ms) == {"average_order_value": False, "growth": False}


def test_checks_without_bounds_or_orders_flag_nothing() -> None:
    assert implausible(sold(), DAY, None) == {"average_order_value": False, "growth": False}
    assert implausible(sold(), dataclasses.replace(DAY, plausible=Plausible()), DAY.end_ms) == {}
    without = dataclasses.replace(DAY, previous=None, plausible=Plausible(None, (Decimal(0), Decimal(1))))
    assert implausible(sold(), without, DAY.end_ms) == {}


@given(
    st.lists(st.tuples(st.integers(0, 200), st.integers(0, 3)), max_size=12),
    st.sampled_from((1, 7, 60)),
    st.sampled_from((None, 0, 1, 59, 60, 61, 130)),
)
def test_the_peak_window_is_that_of_a_walk_through_all_windows(
    orders: list[tuple[int, int]], seconds: int, until_s: int | None
) -> None:
    windows: dict[int, int] = {}
    for second, count in orders:
        if until_s is None or second < until_s:
            windows[second // seconds] = windows.get(second // seconds, 0) + count
    most = max(windows.values(), default=0)
    first = min((window for window, count in windows.items() if count == most), default=0)
    found = peak(sold(*((second, count, 0) for second, count in orders)), DAY, seconds=seconds, until_s=until_s)
    assert found.orders == most
    assert found.start_ms == (START + first * seconds * 1_000 if most else None)


def test_a_milestone_may_be_reached_in_the_last_second_and_in_the_last_one_asked_for() -> None:
    assert milestones_ms(sold((86_399, 1, 10 * BILLION)), DAY) == {10 * BILLION: DAY.end_ms}
    curve = HomeCurve(sold((4, 1, 100), (9, 1, 100)), DAY)
    assert [curve.reached_ms(200, seconds) for seconds in (0, 9, 10, 11)] == [
        None,
        None,
        START + 10_000,
        START + 10_000,
    ]
    assert [curve.reached_ms(amount) for amount in (1, 100, 101, 200, 201)] == [
        START + 5_000,
        START + 5_000,
        START + 10_000,
        START + 10_000,
        None,
    ]


def test_the_curve_is_the_gross_before_each_second_and_of_the_whole_day_beyond_it() -> None:
    curve = HomeCurve(sold((0, 1, 100), (86_399, 1, 7)), DAY)
    assert [curve.before(second).amount_minor for second in (-1, 0, 1, 86_399, 86_400, 90_000)] == [
        0,
        0,
        100,
        100,
        107,
        107,
    ]
    assert curve.before(0) == HomeAmount(0, ())


AVERAGE = dataclasses.replace(DAY, plausible=Plausible((100, 200), None))


@pytest.mark.parametrize(
    ("orders", "gross", "is_outside"),
    [(2, 199, True), (2, 200, False), (2, 400, False), (2, 401, True), (0, 0, False), (0, 1, True)],
)
def test_an_average_on_its_bounds_is_plausible(orders: int, gross: int, *, is_outside: bool) -> None:
    assert implausible(sold((0, orders, gross)), AVERAGE, None) == {"average_order_value": is_outside}


GROWTH = dataclasses.replace(
    DAY, previous=Previous("before", 1_000), plausible=Plausible(None, (Decimal("-0.5"), Decimal("0.5")))
)


@pytest.mark.parametrize(
    ("gross", "watermark_ms", "is_outside"),
    [
        (499, DAY.end_ms, True),
        (500, DAY.end_ms, False),
        (1_500, DAY.end_ms, False),
        (1_501, DAY.end_ms, True),
        (499, DAY.end_ms - 1, False),
        (1_501, START, True),
        (1, None, False),
    ],
)
def test_a_growth_on_its_bounds_is_plausible_and_too_little_is_told_at_the_end(
    gross: int, watermark_ms: int | None, *, is_outside: bool
) -> None:
    assert implausible(sold((0, 1, gross)), GROWTH, watermark_ms) == {"growth": is_outside}


def test_what_is_asked_of_an_instant_is_judged_by_what_was_sold_until_then() -> None:
    snapshot = sold((0, 1, 150), (10, 1, 1_000))
    assert implausible(snapshot, AVERAGE, None, START + 10_000) == {"average_order_value": False}
    assert implausible(snapshot, AVERAGE, None, START + 11_000) == {"average_order_value": True}
    assert implausible(snapshot, AVERAGE, None, START - 5_000) == {"average_order_value": False}
    assert implausible(sold((0, 1, 499)), GROWTH, DAY.end_ms, DAY.end_ms - 1_000) == {"growth": False}
    assert implausible(sold((0, 1, 499)), GROWTH, DAY.end_ms, DAY.end_ms) == {"growth": True}
    assert implausible(sold((86_399, 1, 2_000)), GROWTH, DAY.end_ms, DAY.end_ms - 1_000) == {"growth": False}
