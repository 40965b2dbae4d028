"""The slopes of the curve between published points, by the formula of Fritsch and Butland."""

from __future__ import annotations

from fractions import Fraction

from streams.domain.curves import slopes


def test_between_two_points_the_curve_is_a_line() -> None:
    assert slopes([0, 4], [0, 6]) == [Fraction(3, 2), Fraction(3, 2)]


def test_inner_slopes_are_weighted_harmonic_means_of_their_neighbours() -> None:
    """Steps 1 and 2, rises 1 and 4: weights 5 and 4; the ends by three points, and never falling."""
    assert slopes([0, 1, 3], [0, 1, 9]) == [0, Fraction(3, 2), 6]


def test_a_curve_that_stands_still_has_no_slope_there() -> None:
    assert slopes([0, 1, 3, 4], [0, 1, 1, 5]) == [Fraction(4, 3), 0, 0, Fraction(16, 3)]
