"""What people ask of a festival's curve: its peak, its milestones, the last edition's, and whether it is plausible."""

from __future__ import annotations

from bisect import bisect_left
from dataclasses import dataclass
from decimal import Decimal
from itertools import pairwise
from typing import TYPE_CHECKING

import numpy as np

from streams.board.home import HomeAmount, home_amount
from streams.board.series import COUNTS, MONEY, per_second, windows_of
from streams.board.tables import exact_cumulative

if TYPE_CHECKING:
    from streams.board.view import Snapshot
    from streams.domain.festivals import Festival

_SECOND_MS = 1_000


@dataclass(frozen=True, slots=True)
class Peak:
    """The second with the most orders placed; the first of equals."""

    orders: int
    start_ms: int | None
    """None while there was no order."""


def peak(snapshot: Snapshot, festival: Festival) -> Peak:
    """Return the peak second of all partitions together."""
    orders = per_second(snapshot, festival, COUNTS["orders"])
    second = int(np.argmax(orders)) if len(orders) else 0
    most = int(orders[second]) if len(orders) else 0
    return Peak(most, festival.start_ms + second * _SECOND_MS if most else None)


def gross_at_start_of_seconds(snapshot: Snapshot, festival: Festival) -> dict[str, list[int]]:
    """Return per currency the gross of all seconds before: index i is what was sold in [start, start + i seconds)."""
    table = snapshot.table(festival.id, MONEY["gross"].rollup)
    return {
        currency: [0, *exact_cumulative(per_second(snapshot, festival, MONEY["gross"], currency)).tolist()]
        for currency in sorted({group[-1] for group in table.totals})
    }


def milestones_ms(snapshot: Snapshot, festival: Festival) -> dict[int, int]:
    """Return for each milestone reached (minor units of the home currency) the event time by which it was.

    That is the end of the second that crossed it: as published times are, "10 billion after 96 seconds". Where a rate
    is missing the gross is a lower bound, and the time an upper one.
    """
    if not festival.milestones_minor:
        return {}
    curves = gross_at_start_of_seconds(snapshot, festival)
    seconds = range(windows_of(festival) + 1)

    def home_at(second: int) -> int:
        return home_amount(festival, {currency: curve[second] for currency, curve in curves.items()}).amount_minor

    reached: dict[int, int] = {}
    for milestone in festival.milestones_minor:
        second = bisect_left(seconds, milestone, key=home_at)  # each currency's curve only rises, and so its conversion
        if second < len(seconds):
            reached[milestone] = festival.start_ms + second * _SECOND_MS
    return reached


def gross(snapshot: Snapshot, festival: Festival) -> HomeAmount:
    """Return the gross in the home currency."""
    table = snapshot.table(festival.id, MONEY["gross"].rollup)
    place = [measure.name for measure in table.rollup.measures].index("gross_minor")
    return home_amount(festival, {group[-1]: values[place] for group, values in table.totals.items()})


def orders(snapshot: Snapshot, festival: Festival) -> int:
    """Return the orders placed."""
    table = snapshot.table(festival.id, COUNTS["orders"].rollup)
    place = [measure.name for measure in table.rollup.measures].index("orders")
    return sum(values[place] for values in table.totals.values())


def previous_gross_minor(festival: Festival, watermark_ms: int | None) -> int | None:
    """Return the last edition's gross at the same local time as the watermark, None where it is not known.

    Between published points it is interpolated on a line; of an edition without curve only the end is known.
    """
    if festival.previous is None or watermark_ms is None:
        return None
    if watermark_ms >= festival.end_ms:
        return festival.previous.total_minor
    curve = festival.previous.curve
    if not curve:
        return None
    elapsed_ms = max(0, watermark_ms - festival.start_ms)
    ends_at = (festival.end_ms - festival.start_ms) // _SECOND_MS
    points = sorted({(0, 0), *curve, (ends_at, festival.previous.total_minor)})
    for (left_s, left), (right_s, right) in pairwise(points):
        left_ms, right_ms = left_s * _SECOND_MS, right_s * _SECOND_MS
        if left_ms <= elapsed_ms < right_ms:
            return left + (right - left) * (elapsed_ms - left_ms) // (right_ms - left_ms)
    return festival.previous.total_minor


def implausible(snapshot: Snapshot, festival: Festival, watermark_ms: int | None) -> dict[str, bool]:
    """Return for each check that the festival's file has bounds for whether the total lies outside of them.

    Growth: more than the last edition's total allows can be seen at any time, less only where the last edition is known
    at the same local time. A gross that is a lower bound (a rate is missing) is never called too small.
    """
    checks: dict[str, bool] = {}
    amount, placed = gross(snapshot, festival), orders(snapshot, festival)
    bounds = festival.plausible
    if bounds.average_order_value_minor is not None:
        low, high = bounds.average_order_value_minor
        is_small = amount.amount_minor < low * placed and not amount.missing
        checks["average_order_value"] = is_small or amount.amount_minor > high * placed
    if bounds.growth_ratio is not None and festival.previous is not None:
        least, most = (1 + Decimal(ratio) for ratio in bounds.growth_ratio)
        compared = previous_gross_minor(festival, watermark_ms)
        is_small = compared is not None and amount.amount_minor < least * compared and not amount.missing
        checks["growth"] = is_small or amount.amount_minor > most * festival.previous.total_minor
    return checks
