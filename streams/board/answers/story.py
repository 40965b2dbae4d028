"""The story behind the totals: pace against the last edition, forecast, milestones, peaks, plausibility.

Keys of the totals document beside the contract's. All of it is read from the committed view of all partitions, as of
the document's instant, and corrected when late events come.
"""

from __future__ import annotations

from functools import cached_property
from typing import TYPE_CHECKING

from streams.board.answers import values
from streams.board.answers.highlights import (
    Peak,
    forecast_of,
    implausible,
    peak,
    previous_gross_minor,
    previous_shape,
)
from streams.board.answers.home_curve import HomeCurve
from streams.board.answers.transit import share
from streams.domain.experience import sequels
from streams.festivals.editions import editions

if TYPE_CHECKING:
    from streams.board.view.committed_view import Snapshot
    from streams.domain.festivals import Festival

_SECOND_MS = 1_000
_SECONDS_PER_MINUTE = 60


class StoryReader:
    """Reads the parts of the story, each when it is asked for."""

    def __init__(self, snapshot: Snapshot, festival: Festival, end_ms: int) -> None:
        """Read of `festival`, as it was counted, up to the instant `end_ms`: [start, end_ms)."""
        self._snapshot, self._festival, self._end_ms = snapshot, festival, end_ms
        seconds = (festival.end_ms - festival.start_ms) // _SECOND_MS
        self._until_s = min(max(0, end_ms - festival.start_ms) // _SECOND_MS, seconds)
        self._watermark_ms = snapshot.watermark_ms(("orders",))
        self._told_ms = told_ms(festival, self._watermark_ms, end_ms)
        self._is_sold = "orders" in festival.facts

    def story(self) -> values.Story:
        """Return all parts."""
        return values.Story(self.pace, self.forecast, self.milestones, self.peak, self.implausible)

    def untold(self) -> values.Story:
        """Return the story of a festival that the ledger does not count."""
        nothing = values.PeakWindow(None, None)
        return values.Story(None, None, [], values.Peaks(nothing, nothing), {})

    @cached_property
    def _curve(self) -> HomeCurve:
        return HomeCurve(self._snapshot, self._festival)

    @cached_property
    def pace(self) -> values.Pace | None:
        """Return the gross against the last edition's; None without one."""
        return _pace(self._festival, self._curve, self._until_s, self._told_ms) if self._is_sold else None

    @cached_property
    def forecast(self) -> values.Forecasted | None:
        """Return the forecast of the final gross; None without a last edition."""
        return _forecast(self._festival, self._curve, self._told_ms) if self._is_sold else None

    @cached_property
    def milestones(self) -> list[values.Milestone]:
        """Return the milestones, and when each was reached."""
        return [
            values.Milestone(minor, self._curve.reached_ms(minor, self._until_s))
            for minor in self._festival.milestones_minor
        ]

    @cached_property
    def peak(self) -> values.Peaks:
        """Return the busiest second and minute."""
        second = peak(self._snapshot, self._festival, until_s=self._until_s)
        minute = peak(self._snapshot, self._festival, seconds=_SECONDS_PER_MINUTE, until_s=self._until_s)
        return values.Peaks(_window(second), _window(minute))

    @cached_property
    def implausible(self) -> dict[str, bool]:
        """Return for each check whether the total lies outside of its bounds."""
        return implausible(self._snapshot, self._festival, self._watermark_ms, self._end_ms, self._curve)


def told_ms(festival: Festival, watermark_ms: int | None, end_ms: int) -> int | None:
    """Return the end of the last second that is taken as complete, at most `end_ms`; None where nothing is known."""
    if watermark_ms is None:
        return None
    last_ms = min(max(watermark_ms, festival.start_ms), end_ms, festival.end_ms)
    return last_ms - (last_ms - festival.start_ms) % _SECOND_MS


def _pace(festival: Festival, curve: HomeCurve, until_s: int, told: int | None) -> values.Pace | None:
    """Return the gross of the closed seconds against the last edition's at the same local time."""
    previous = festival.previous
    if previous is None:
        return None
    before_minor = previous_gross_minor(festival, told)
    sold_minor = None if told is None else curve.before((told - festival.start_ms) // _SECOND_MS).amount_minor
    growth_ratio = None
    if sold_minor is not None and before_minor is not None:
        growth_ratio = share(sold_minor - before_minor, before_minor)
    return values.Pace(
        as_of_ms=None if told is None else told - 1,
        gross_minor=sold_minor,
        previous=previous.name,
        previous_gross_minor=before_minor,
        growth_ratio=growth_ratio,
        previous_total_minor=previous.total_minor,
        passed_ms=curve.reached_ms(previous.total_minor, until_s),
    )


def _forecast(festival: Festival, curve: HomeCurve, told: int | None) -> values.Forecasted | None:
    """Return the forecast with what it stands on; its numbers are None while there is none."""
    if festival.previous is None:
        return None
    expected = forecast_of(festival, curve, told)
    return values.Forecasted(
        as_of_ms=None if told is None else told - 1,
        low_minor=None if expected is None else expected.low_minor,
        expected_minor=None if expected is None else expected.expected_minor,
        high_minor=None if expected is None else expected.high_minor,
        basis=_basis(festival),
    )


def _basis(festival: Festival) -> str:
    assert festival.previous is not None
    name = festival.previous.name
    if previous_shape(festival) is None:
        return f"none: of {name} only the total is known, not its curve"
    growth = "no growth, the total before it is not known"
    if festival.previous.before_minor is not None:
        growth = "its growth on the edition before it, damped"
    years = sequels(editions())
    return (
        f"the curve of {name}, and {growth}; the interval is the largest error of the {len(years)} editions from "
        f"{years[0]} to {years[-1]} at this time of day or later: so few give no probability"
    )


def _window(found: Peak) -> values.PeakWindow:
    return values.PeakWindow(found.orders, found.start_ms)
