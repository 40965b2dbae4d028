"""How long parcels were underway: the histogram of whole days between leaving and delivery, and what it says."""

from __future__ import annotations

from typing import TYPE_CHECKING

from streams.board.answers.values import Transit
from streams.domain.facts import DERIVED
from streams.domain.rollups import NONE

if TYPE_CHECKING:
    from collections.abc import Mapping

    from streams.board.view.tables import Table

TRANSIT_ROLLUP = "parcels_by_transit_days"
PROMISED_DAYS = 12
"""Within these the stories promise a parcel from abroad: 12 whole days, so one of 12 days and an hour is in time."""
_DAYS = DERIVED["transit_days"]


def transit_of(table: Table) -> Transit:
    """Return parcels per whole day, the median and the 90th percentile, and the share within the promised days.

    A percentile is the smallest number of days that so many of the parcels took at most; the days beyond the
    last are told as one more than it. Parcels whose events do not say when they left are `unknown`, and in no share.
    """
    counts = {group[0]: values[0] for group, values in table.totals.items() if values[0]}
    days = {day: counts[_DAYS.text(day)] for day in range(_DAYS.most + 2) if _DAYS.text(day) in counts}
    known = sum(days.values())
    return Transit(
        days={_DAYS.text(day): count for day, count in days.items()},
        unknown=counts.get(NONE, 0),
        p50=_percentile(days, 50),
        p90=_percentile(days, 90),
        promised_days=PROMISED_DAYS,
        within_promised=share(sum(count for day, count in days.items() if day <= PROMISED_DAYS), known),
    )


def _percentile(days: Mapping[int, int], percent: int) -> int | None:
    below, known = 0, sum(days.values())
    for day, count in days.items():
        below += count
        if below * 100 >= known * percent:
            return day
    return None


def share(part: int, whole: int) -> float | None:
    """Return part of whole, to six digits; None of nothing."""
    return round(part / whole, 6) if whole else None
