"""The forecast: shapes, the mix of pace and prior, and the interval."""

from __future__ import annotations

from fractions import Fraction
from itertools import pairwise

import pytest
from hypothesis import given
from hypothesis import strategies as st

from streams.domain.curves import cumulative_orders
from streams.domain.forecast import (
    Experience,
    Forecast,
    LastEdition,
    Misses,
    Shape,
    by_pace,
    forecast,
    mixed,
    shape_of,
)
from streams.festivals.editions import editions, published_curves

HOUR_MS = 3_600_000
OF_2013 = editions()[2013]
EVEN = Shape(((0, 0), (43_200, 500), (86_400, 1_000)))
LAST = LastEdition(EVEN, 800)
NOON, EVENING = Fraction(1, 2), Fraction(3, 4)
PACE = Misses(((NOON, Fraction(3, 2)),))
EXPERIENCE = Experience(Fraction(1, 2), PACE, Misses(((NOON, Fraction(3)),)), Misses(((NOON, Fraction(2)),)))


@pytest.mark.parametrize("year", sorted(editions()))
def test_a_shape_is_the_curve_that_a_replay_follows(year: int) -> None:
    curve, shape = published_curves()[year], editions()[year]
    planned = cumulative_orders(curve, curve.total_minor)
    for second in range(0, 86_400, 997):
        assert int(shape.amount_at(second * 1_000)) == planned[second]
    assert [shape.amount_at(point.second * 1_000) for point in curve.points] == [
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


@pytest.mark.parametrize("hour", range(1, 24))
def test_a_day_that_sells_as_the_last_one_did_is_forecast_exactly_by_its_pace(hour: int) -> None:
    assert by_pace(LAST, hour * HOUR_MS, EVEN.amount_at(hour * HOUR_MS) * 7) == 7_000


def test_the_mix_is_of_pace_and_damped_growth_by_the_share_sold() -> None:
    """Half is sold, at 1,000 for the day; the last edition grew by a quarter, half of which comes again: 1,125."""
    expected = 500 + Fraction(1, 2) * (500 + Fraction(1, 2) * 1_125)
    assert mixed(LAST, 800, Fraction(1, 2), PACE, (12 * HOUR_MS, Fraction(500))) == expected
    assert mixed(LAST, 800, Fraction(0), PACE, (12 * HOUR_MS, Fraction(500))) == 1_000


@pytest.mark.parametrize(("sold", "held"), [(250, 750), (2_000, Fraction(4_000 * 2, 3))])
def test_the_prior_is_held_to_a_pace_of_another_size(sold: int, held: Fraction) -> None:
    """The pace was never wrong by more than half as much again: a prior outside of that is not believed."""
    expected = sold + Fraction(1, 2) * (sold + Fraction(1, 2) * held)
    assert mixed(LAST, 800, Fraction(1, 2), PACE, (12 * HOUR_MS, Fraction(sold))) == expected


def test_the_largest_miss_to_come_counts_and_behind_the_last_one_the_last() -> None:
    misses = Misses(((Fraction(1, 4), Fraction(5, 4)), (NOON, Fraction(2)), (EVENING, Fraction(3, 2))))
    asked = (0, Fraction(1, 4), NOON, Fraction(5, 8), EVENING, 1)
    assert [misses.since(Fraction(share)) for share in asked] == [2, 2, 2, 1.5, 1.5, 1.5]


def test_the_interval_divides_and_multiplies_the_rest() -> None:
    assert forecast(LAST, EXPERIENCE, 12 * HOUR_MS, 500) == Forecast(765, 1_031, 1_563)
    assert 500 + Fraction(531.25) / 2 == Fraction(765.625)


def test_without_growth_the_pace_alone_is_the_forecast_with_its_own_errors() -> None:
    assert forecast(LastEdition(EVEN, None), EXPERIENCE, 12 * HOUR_MS, 500) == Forecast(666, 1_000, 2_000)


def test_at_the_end_the_forecast_is_the_total() -> None:
    assert forecast(LAST, EXPERIENCE, LAST.shape.length_ms, 10_000) == Forecast(10_000, 10_000, 10_000)
    assert forecast(LAST, EXPERIENCE, 24 * HOUR_MS, 17) == Forecast(17, 17, 17)
    assert forecast(LAST, EXPERIENCE, 25 * HOUR_MS, 17) == Forecast(17, 17, 17)


def test_nothing_is_forecast_in_the_first_minutes_or_before_anything_was_published() -> None:
    early = LastEdition(OF_2013, None)  # its first amount was published after 55 s
    assert forecast(early, EXPERIENCE, 299_999, 5) is None
    assert forecast(early, EXPERIENCE, 300_000, 5) is not None
    assert forecast(LAST, EXPERIENCE, 12 * HOUR_MS - 1, 5) is None
    nothing_yet = LastEdition(Shape(((0, 0), (600, 0), (86_400, 1_000))), None)
    assert forecast(nothing_yet, EXPERIENCE, 600_000, 5) is None


@given(st.integers(0, 10**15), st.integers(300_000, 86_399_999))
def test_an_interval_holds_what_is_expected_and_lies_above_what_is_sold(sold: int, elapsed_ms: int) -> None:
    found = forecast(LastEdition(OF_2013, 1_910_000_000_000), EXPERIENCE, elapsed_ms, sold)
    assert found is not None
    assert sold <= found.low_minor <= found.expected_minor <= found.high_minor
