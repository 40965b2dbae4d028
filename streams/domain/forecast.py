"""The forecast of a festival's final total from the shape of the last edition, and how far it can be trusted.

The opening rush differs from edition to edition far more than the rest of the day. So what was sold is taken as it is,
and the rest of the day is expected to sell as the last edition's rest did, scaled by the pace of the last quarter of a
day. The interval is the error that two known curves make of each other (`remainder_ratios`).

Rational arithmetic throughout. `streams.board.highlights` asks, `docs/forecast.md` publishes the errors.
"""

from __future__ import annotations

from bisect import bisect_right
from dataclasses import dataclass
from fractions import Fraction
from functools import lru_cache
from itertools import accumulate
from math import ceil, floor

from streams.domain.curves import slopes

PACE_SHARE = Fraction(1, 4)
"""The pace is taken over so much of the festival: 6 of 24 hours, so that an hour's whim does not move the forecast."""
STEPS = 288
"""The error is told apart in so many steps of the festival, 5 minutes of a day; in the first nothing is forecast."""
_PER_MILLE = 1000
Points = tuple[tuple[int, int], ...]
"""(Seconds after the start, cumulative minor units)."""


@dataclass(frozen=True, slots=True)
class Shape:
    """One edition's day: a monotone cubic through its published points, from (0, 0) to (length, final total)."""

    points: Points

    @property
    def total_minor(self) -> int:
        """Return the final total."""
        return self.points[-1][1]

    @property
    def length_ms(self) -> int:
        """Return how long the day is."""
        return self.points[-1][0] * 1000

    @property
    def measured_share(self) -> Fraction:
        """Return the share of the day at which the last amount before the final one was published."""
        return Fraction(self.points[-2][0], self.points[-1][0])

    def amount_at(self, elapsed_ms: int) -> Fraction:
        """Return the amount after so long; the ends go on beyond the day."""
        if elapsed_ms >= self.length_ms:
            return Fraction(self.total_minor)
        at = Fraction(max(0, elapsed_ms), 1000)
        i = bisect_right([second for second, _ in self.points], at) - 1
        (left, low), (right, high) = self.points[i], self.points[i + 1]
        slope, next_slope = _slopes(self.points)[i : i + 2]
        width, t = right - left, at - left
        rise = Fraction(high - low, width)
        second = (3 * rise - 2 * slope - next_slope) / width
        third = (slope + next_slope - 2 * rise) / (width * width)
        amount: Fraction = low + t * (slope + t * (second + t * third))
        return amount

    def share_at(self, elapsed_ms: int) -> Fraction:
        """Return which share of the final total was reached after so long."""
        return self.amount_at(elapsed_ms) / self.total_minor


@lru_cache(maxsize=64)
def _slopes(points: Points) -> list[Fraction]:
    return slopes([second for second, _ in points], [amount for _, amount in points])


def shape_of(points: Points, total_minor: int, seconds: int) -> Shape | None:
    """Return the shape of a day of `seconds`; None where nothing is known between its start and its end."""
    inner = [point for point in points if 0 < point[0] < seconds]
    if not inner or total_minor <= 0:
        return None
    return Shape(((0, 0), *inner, (seconds, total_minor)))


def pace_since_ms(shape: Shape, elapsed_ms: int) -> int:
    """Return from when on the pace at `elapsed_ms` is taken, in milliseconds after the start."""
    return max(0, elapsed_ms - floor(shape.length_ms * PACE_SHARE))


def remainder(shape: Shape, elapsed_ms: int, sold_at_pace: Fraction) -> Fraction | None:
    """Return what is expected to be sold after `elapsed_ms`, None where the shape has no sales to compare with.

    `sold_at_pace` is what was sold from `pace_since_ms` to `elapsed_ms`.
    """
    then = shape.amount_at(elapsed_ms) - shape.amount_at(pace_since_ms(shape, elapsed_ms))
    left = shape.total_minor - shape.amount_at(elapsed_ms)
    return left * sold_at_pace / then if then > 0 else None


def back_tested(known: Shape, day: Shape, elapsed_ms: int) -> tuple[Fraction, Fraction]:
    """Return what the shape of `known` expects of the rest of `day` at that time, and what came; in minor units.

    `elapsed_ms` counts in `day`, in which `known` must have sold something by then.
    """
    at_ms = elapsed_ms * known.length_ms // day.length_ms
    sold = day.amount_at(elapsed_ms) - day.amount_at(pace_since_ms(day, elapsed_ms))
    expected = remainder(known, at_ms, sold)
    assert expected is not None, "a published curve rises"
    return expected, day.total_minor - day.amount_at(elapsed_ms)


def remainder_ratios(first: Shape, second: Shape) -> tuple[Fraction, ...]:
    """Return for each step of the day by which factor the rest of it was missed, the larger of both ways.

    Never smaller than at a later step: that two curves cross somewhere does not make the forecast good there. It ends
    with the last step at which both curves are measured; behind it they are drawn, not known.
    """
    measured = floor(min(first.measured_share, second.measured_share) * STEPS)
    factors = []
    for step in range(1, measured + 1):
        missed = [
            back_tested(known, day, day.length_ms * step // STEPS) for known, day in ((first, second), (second, first))
        ]
        factors.append(max(max(expected / came, came / expected) for expected, came in missed))
    largest = [*accumulate(reversed(factors), max)][::-1]
    return tuple(Fraction(ceil(factor * _PER_MILLE), _PER_MILLE) for factor in largest)


@dataclass(frozen=True, slots=True)
class Forecast:
    """The final total: what is expected, and the interval, in minor units. `low_minor` is at least what was sold."""

    low_minor: int
    expected_minor: int
    high_minor: int


def forecast(
    shape: Shape, ratios: tuple[Fraction, ...], elapsed_ms: int, sold_minor: int, sold_at_pace_minor: int
) -> Forecast | None:
    """Return the forecast at `elapsed_ms`; None within the first step, or where the shape says nothing.

    `sold_minor` is the total then, `sold_at_pace_minor` what of it was sold since `pace_since_ms`. At the end of the
    day all three are the total.
    """
    step = elapsed_ms * STEPS // shape.length_ms
    rest = remainder(shape, elapsed_ms, Fraction(sold_at_pace_minor))
    if elapsed_ms >= shape.length_ms:
        return Forecast(sold_minor, sold_minor, sold_minor)
    if step < 1 or not ratios or rest is None:
        return None
    ratio = ratios[min(step, len(ratios)) - 1]
    return Forecast(sold_minor + floor(rest / ratio), sold_minor + round(rest), sold_minor + ceil(rest * ratio))
