"""The forecast: shapes, the rest of the day, and the interval out of two curves."""

from __future__ import annotations

from fractions import Fraction
from itertools import pairwise

import pytest
from hypothesis import given
from hypothesis import strategies as st

from streams.domain.curves import cumulative_orders
from streams.domain.forecast import (
    STEPS,
    Forecast,
    Shape,
    back_tested,
    forecast,
    pace_since_ms,
    remainder,
    remainder_ratios,
    shape_of,
)
from streams.replay.load import load_curves

CURVES = load_curves()
HOUR_MS = 3_600_000


def shape(name: str) -> Shape:
    return Shape(tuple((point.second, point.amount_minor) for point in CURVES[name].points))


OF_2013, OF_2019 = shape("singles-day-2013"), shape("singles-day-2019")
RATIOS = remainder_ratios(OF_2013, OF_2019)
EVEN = Shape(((0, 0), (43_200, 500), (86_400, 1_000)))


def forecast_at(known: Shape, day: Shape, elapsed_ms: int) -> Forecast | None:
    """Return what would have been forecast on `day` from the shape of `known`."""
    sold = int(day.amount_at(elapsed_ms))
    at_pace = int(day.amount_at(elapsed_ms) - day.amount_at(pace_since_ms(day, elapsed_ms)))
    return forecast(known, RATIOS, elapsed_ms, sold, at_pace)


@pytest.mark.parametrize("name", ["singles-day-2013", "singles-day-2014", "singles-day-2019"])
def test_a_shape_is_the_curve_that_a_replay_follows(name: str) -> None:
    curve = CURVES[name]
    planned = cumulative_orders(curve, curve.total_minor)
    for second in range(0, 86_400, 997):
        assert int(shape(name).amount_at(second * 1_000)) == planned[second]
    assert [shape(name).amount_at(point.second * 1_000) for point in curve.points] == [
        Fraction(point.amount_minor) for point in curve.points
    ]


@given(st.lists(st.integers(-1_000, 90_000_000), min_size=2, max_size=20))
def test_a_shape_never_falls_and_keeps_its_ends(times_ms: list[int]) -> None:
    for earlier, later in pairwise(sorted(times_ms)):
        assert 0 <= OF_2013.share_at(earlier) <= OF_2013.share_at(later) <= 1
    assert [OF_2013.amount_at(-1), OF_2013.amount_at(OF_2013.length_ms + 1)] == [0, OF_2013.total_minor]


def test_a_total_alone_has_no_shape() -> None:
    assert shape_of((), 1_000, 86_400) is None
    assert shape_of(((0, 0), (86_400, 1_000)), 1_000, 86_400) is None
    assert shape_of(((60, 0),), 0, 86_400) is None
    assert shape_of(((0, 0), (43_200, 500), (90_000, 1_000)), 1_000, 86_400) == EVEN


def test_a_day_that_sells_as_the_last_one_did_is_forecast_exactly() -> None:
    for hour in range(1, 24):
        sold = EVEN.amount_at(hour * HOUR_MS) * 7
        since = EVEN.amount_at(pace_since_ms(EVEN, hour * HOUR_MS)) * 7
        assert remainder(EVEN, hour * HOUR_MS, sold - since) == 7_000 - sold


def test_a_larger_opening_rush_alone_does_not_move_the_rest() -> None:
    assert forecast(EVEN, (Fraction(2),), 12 * HOUR_MS, 10_500, 250) == Forecast(10_750, 11_000, 11_500)


def test_an_hour_without_sales_last_time_says_nothing() -> None:
    late = Shape(((0, 0), (80_000, 0), (86_400, 1_000)))
    assert remainder(late, HOUR_MS, Fraction(5)) is None
    assert forecast(late, RATIOS, HOUR_MS, 5, 5) is None


def test_the_first_minutes_and_a_lack_of_curves_give_no_forecast_and_the_end_is_the_total() -> None:
    first_ms = OF_2013.length_ms // STEPS
    assert forecast_at(OF_2013, OF_2019, first_ms - 1) is None
    assert forecast_at(OF_2013, OF_2019, first_ms) is not None
    assert forecast(OF_2013, (), HOUR_MS, 5, 5) is None
    assert forecast(OF_2013, RATIOS, OF_2013.length_ms, 17, 3) == Forecast(17, 17, 17)


def test_the_factor_by_which_the_rest_is_missed_never_grows_in_the_course_of_the_day() -> None:
    assert len(RATIOS) == 59_472 * STEPS // 86_400  # 2019 was measured up to 16:31:12
    assert all(earlier >= later > 1 for earlier, later in pairwise(RATIOS))
    assert remainder_ratios(OF_2019, OF_2013) == RATIOS


@pytest.mark.parametrize("hour", range(1, 24))
def test_the_interval_holds_what_each_curve_made_of_the_other(hour: int) -> None:
    for known, day in ((OF_2013, OF_2019), (OF_2019, OF_2013)):
        found = forecast_at(known, day, hour * HOUR_MS)
        assert found is not None
        assert day.amount_at(hour * HOUR_MS) // 1 <= found.low_minor <= found.expected_minor <= found.high_minor
        if hour <= 16:  # both are measured
            assert found.low_minor - 2 <= day.total_minor <= found.high_minor + 2


def test_the_published_points_of_2014_were_forecast_from_2013_within_the_interval() -> None:
    """What no curve of the interval has seen: USD 1 bn and 2 bn of 2014, and the 9.34 bn that it became."""
    for second, sold in ((1_020, 10**11), (3_700, 2 * 10**11)):
        found = forecast(OF_2013, RATIOS, second * 1_000, sold, sold)
        assert found is not None
        assert found.low_minor < 934 * 10**9 < found.expected_minor < found.high_minor


def test_editions_of_other_lengths_are_compared_at_the_same_share_of_the_day() -> None:
    short = Shape(((0, 0), (21_600, 500), (43_200, 1_000)))
    assert list(back_tested(short, EVEN, 12 * HOUR_MS)) == [500, 500]
