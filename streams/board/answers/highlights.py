"""What people ask of a festival's curve: its peak, its milestones, the last edition's, and whether it is plausible."""

from __future__ import annotations

from dataclasses import dataclass
from decimal import Decimal
from functools import lru_cache
from math import floor
from typing import TYPE_CHECKING

import numpy as np

from streams.board.answers.home_curve import HomeCurve
from streams.board.answers.series import COUNTS, per_second
from streams.board.view.tables import exact_sum
from streams.domain.forecast import Forecast, LastEdition, Shape, forecast, shape_of
from streams.festivals.editions import experience

if TYPE_CHECKING:
    from streams.board.view.committed_view import Snapshot
    from streams.domain.festivals import Festival

_SECOND_MS = 1_000
_MINUTE_MS = 60_000
_LAST_PART = 100


@dataclass(frozen=True, slots=True)
class Peak:
    """The window with the most orders placed; the first of equals."""

    orders: int
    start_ms: int | None
    """None while there was no order."""


def peak(snapshot: Snapshot, festival: Festival, *, seconds: int = 1, until_s: int | None = None) -> Peak:
    """Return the peak second (or window of so many `seconds`) of all partitions together.

    `until_s` looks at the first seconds of the festival only. A late event may move the peak at any time.
    """
    orders = per_second(snapshot, festival, COUNTS["orders"])[:until_s]
    whole = np.concatenate([orders, np.zeros(-len(orders) % seconds, dtype=orders.dtype)])
    windows = exact_sum(whole.reshape(-1, seconds))
    if not windows.any():
        return Peak(0, None)
    busiest = int(np.argmax(windows))
    return Peak(int(windows[busiest]), festival.start_ms + busiest * seconds * _SECOND_MS)


def milestones_ms(snapshot: Snapshot, festival: Festival) -> dict[int, int]:
    """Return for each milestone reached (minor units of the home currency) the event time by which it was.

    Where a rate is missing the gross is a lower bound, and the time an upper one.
    """
    if not festival.milestones_minor:
        return {}
    curve = HomeCurve(snapshot, festival)
    reached = {milestone: curve.reached_ms(milestone) for milestone in festival.milestones_minor}
    return {milestone: time_ms for milestone, time_ms in reached.items() if time_ms is not None}


def previous_shape(festival: Festival) -> Shape | None:
    """Return the last edition's day, None where only its total is known."""
    if festival.previous is None:
        return None
    seconds = (festival.end_ms - festival.start_ms) // _SECOND_MS
    return shape_of(festival.previous.curve, festival.previous.total_minor, seconds)


def previous_gross_minor(festival: Festival, watermark_ms: int | None) -> int | None:
    """Return the last edition's gross at the same local time as the watermark, None where it is not known.

    Between published points it is the monotone cubic that a replay follows. An edition without a curve has its total
    only: it stands for the last hundredth of the day too, because a watermark stays seconds short of the end where
    no order follows.
    """
    if festival.previous is None or watermark_ms is None:
        return None
    if (shape := previous_shape(festival)) is not None:
        return floor(shape.amount_at(watermark_ms - festival.start_ms))
    is_over = (festival.end_ms - watermark_ms) * _LAST_PART <= festival.end_ms - festival.start_ms
    return festival.previous.total_minor if is_over else None


@lru_cache(maxsize=16)
def previous_by_minute(festival: Festival) -> tuple[int, ...]:
    """Return the last edition's running gross at the end of each minute: `previous_gross_minor` as a line.

    Empty where the festival has no last edition, or only its total is known.
    """
    if (shape := previous_shape(festival)) is None:
        return ()
    minutes = range(_MINUTE_MS, festival.end_ms - festival.start_ms + 1, _MINUTE_MS)
    return tuple(floor(shape.amount_at(elapsed_ms)) for elapsed_ms in minutes)


def forecast_of(festival: Festival, curve: HomeCurve, told_ms: int | None) -> Forecast | None:
    """Return the forecast of the final gross at `told_ms`, up to which the curve is taken as complete.

    None where the last edition has no curve, within the first minutes, and where a currency's rate is missing: the
    gross is a lower bound then, and a forecast from it would be one of nothing.
    """
    shape = previous_shape(festival)
    if festival.previous is None or shape is None or told_ms is None:
        return None
    second = min(max(0, told_ms - festival.start_ms) // _SECOND_MS, curve.seconds)
    sold = curve.before(second)
    if sold.missing:
        return None
    last = LastEdition(shape, festival.previous.before_minor)
    return forecast(last, experience(), second * _SECOND_MS, sold.amount_minor)


def implausible(
    snapshot: Snapshot,
    festival: Festival,
    watermark_ms: int | None,
    at_ms: int | None = None,
    curve: HomeCurve | None = None,
) -> dict[str, bool]:
    """Return for each check that the festival's file has bounds for whether the total lies outside of them.

    Growth: more than the last edition's total allows can be seen at any time. Less is told before the end only where
    the last edition's curve is known, if not even the upper end of the forecast is enough: the comparison at the same
    local time, with room for a day of another shape. Without orders nothing is flagged, and a gross that is a lower
    bound (a rate is missing) is never called too small. `at_ms` judges [start, at_ms) only. `curve` is that of the
    snapshot, where it is made already.
    """
    curve = curve or HomeCurve(snapshot, festival)
    until_s = curve.seconds if at_ms is None else (at_ms - festival.start_ms) // _SECOND_MS
    amount = curve.before(until_s)
    placed = int(exact_sum(per_second(snapshot, festival, COUNTS["orders"])[: max(0, until_s)]))
    checks: dict[str, bool] = {}
    bounds = festival.plausible
    if bounds.average_order_value_minor is not None:
        low, high = bounds.average_order_value_minor
        is_small = amount.amount_minor < low * placed and not amount.missing
        checks["average_order_value"] = is_small or amount.amount_minor > high * placed
    if bounds.growth_ratio is not None and festival.previous is not None:
        least, most = ((1 + Decimal(ratio)) * festival.previous.total_minor for ratio in bounds.growth_ratio)
        told_ms = watermark_ms if at_ms is None or watermark_ms is None else min(at_ms, watermark_ms)
        expected = _most_expected_minor(festival, curve, told_ms)
        is_small = placed > 0 and not amount.missing and expected is not None and expected < least
        checks["growth"] = is_small or amount.amount_minor > most
    return checks


def _most_expected_minor(festival: Festival, curve: HomeCurve, told_ms: int | None) -> int | None:
    """Return the largest final total to be expected at `told_ms`: the total itself once the festival is over."""
    if told_ms is not None and told_ms >= festival.end_ms:
        return curve.before(curve.seconds).amount_minor
    expected = forecast_of(festival, curve, told_ms)
    return None if expected is None else expected.high_minor
