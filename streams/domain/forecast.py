"""The forecast of a festival's final total from the last edition's day and growth, and how far it can be trusted.

Two things are known while a festival runs: its own pace along the last edition's day, which is noisy while little is
sold, and a prior, the last total with a damped repetition of its growth. They are mixed by the share that is sold:
`expected = sold + (1 - p) * (sold + (1 - p) * prior)` (G. Benktander, An approach to credibility in calculating IBNR,
1976; it is one step from the Bornhuetter-Ferguson mix towards the pace alone). How strong the damping is, how far the
prior may lie from the pace, and how wide the interval is, stands in an `Experience`: `streams.domain.experience` learns
it from published days.

Rational arithmetic throughout. `streams.board.answers.highlights` asks, `docs/forecast.md` publishes the errors.
"""

from __future__ import annotations

from bisect import bisect_right
from dataclasses import dataclass
from fractions import Fraction
from functools import lru_cache
from math import ceil, floor

from streams.domain.curves import slopes

FIRST_SHARE = Fraction(1, 288)
"""Before this share of the festival nothing is forecast, 5 minutes of a day: most published days have one point or none
by then, so no error is known there."""
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
    def first_ms(self) -> int:
        """Return when the first amount after the start was published."""
        return self.points[1][0] * 1000

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


@dataclass(frozen=True, slots=True)
class LastEdition:
    """What is known of the last edition: its day, and the final total of the one before it, None where it is not."""

    shape: Shape
    before_minor: int | None

    def is_measured(self, elapsed_ms: int) -> bool:
        """Return whether its share at that time stands on a published amount and not on the start alone."""
        return elapsed_ms >= self.shape.first_ms and elapsed_ms >= self.shape.length_ms * FIRST_SHARE


@dataclass(frozen=True, slots=True)
class Misses:
    """By which factors past forecasts were wrong, the larger of both ways, and at which share of the festival."""

    seen: tuple[tuple[Fraction, Fraction], ...]
    """(Share, factor), ascending."""

    def since(self, share: Fraction) -> Fraction:
        """Return the largest factor at that share of the festival or later; behind the last one, that of the last.

        Later ones count, so that it never grows: that two curves cross somewhere does not make a forecast good there.
        """
        return max((factor for at, factor in self.seen if at >= share), default=self.seen[-1][1])


@dataclass(frozen=True, slots=True)
class Experience:
    """What past editions teach."""

    damping: Fraction
    """Growth divided by the growth of the edition before."""
    pace: Misses
    """How far the pace alone missed the final total."""
    rest_by_pace: Misses
    """How far the pace alone missed what was still to come."""
    rest: Misses
    """How far the mix of pace and prior missed what was still to come."""


def by_pace(last: LastEdition, elapsed_ms: int, sold: Fraction) -> Fraction:
    """Return the final total if the rest of the day sells as the last edition's did, at this day's pace."""
    return sold / last.shape.share_at(elapsed_ms)


def mixed(last: LastEdition, before_minor: int, damping: Fraction, pace: Misses, now: tuple[int, Fraction]) -> Fraction:
    """Return the final total by the mix of pace and prior; `now` is the time in milliseconds and what was sold by then.

    The prior is held to the pace within the largest miss of the pace that was ever seen: on a day that is of another
    size than the last one, what is sold wins over what was hoped.
    """
    elapsed_ms, sold = now
    own = by_pace(last, elapsed_ms, sold)
    total_minor = last.shape.total_minor
    prior = total_minor * (1 + damping * (Fraction(total_minor, before_minor) - 1))
    miss = pace.since(Fraction(elapsed_ms, last.shape.length_ms))
    held = min(max(prior, own / miss), own * miss)
    left = 1 - last.shape.share_at(elapsed_ms)
    return sold + left * (sold + left * held)


@dataclass(frozen=True, slots=True)
class Forecast:
    """The final total: what is expected, and the interval, in minor units. `low_minor` is at least what was sold."""

    low_minor: int
    expected_minor: int
    high_minor: int


def forecast(last: LastEdition, experience: Experience, elapsed_ms: int, sold_minor: int) -> Forecast | None:
    """Return the forecast at `elapsed_ms`, `sold_minor` being the total then; at the end all three are that total.

    None in the first minutes, and before the last edition's first published amount. Where the total before the last
    edition is not known there is no growth to repeat: the pace alone is the forecast, with the errors it made.
    """
    if elapsed_ms >= last.shape.length_ms:
        return Forecast(sold_minor, sold_minor, sold_minor)
    if not last.is_measured(elapsed_ms) or last.shape.share_at(elapsed_ms) == 0:
        return None
    sold = Fraction(sold_minor)
    if last.before_minor is None:
        expected, misses = by_pace(last, elapsed_ms, sold), experience.rest_by_pace
    else:
        now = (elapsed_ms, sold)
        expected = mixed(last, last.before_minor, experience.damping, experience.pace, now)
        misses = experience.rest
    rest, miss = expected - sold, misses.since(Fraction(elapsed_ms, last.shape.length_ms))
    return Forecast(sold_minor + floor(rest / miss), sold_minor + round(rest), sold_minor + ceil(rest * miss))
