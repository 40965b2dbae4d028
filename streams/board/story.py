"""The story behind the totals: pace against the last edition, forecast, milestones, peaks, plausibility.

Keys of the totals document beside the contract's. All of it is read from the committed view of all partitions, as of
the document's instant, and corrected when late events come.
"""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

from streams.board.highlights import (
    KNOWN_SHAPES,
    Peak,
    forecast_of,
    implausible,
    peak,
    previous_gross_minor,
    previous_shape,
)
from streams.board.home_curve import HomeCurve
from streams.board.transit import share

if TYPE_CHECKING:
    from streams.board.view import Snapshot
    from streams.domain.festivals import Festival

Document = dict[str, Any]
_SECOND_MS = 1_000
_SECONDS_PER_MINUTE = 60


def story_document(snapshot: Snapshot, festival: Festival, end_ms: int) -> Document:
    """Return the keys; `festival` is the one that was counted, `end_ms` the document's instant: [start, end_ms)."""
    until_s = min(max(0, end_ms - festival.start_ms) // _SECOND_MS, (festival.end_ms - festival.start_ms) // _SECOND_MS)
    watermark_ms = snapshot.watermark_ms(("orders",))
    curve = HomeCurve(snapshot, festival)
    is_sold = "orders" in festival.facts
    return {
        "pace": _pace(festival, curve, until_s, told_ms(festival, watermark_ms, end_ms)) if is_sold else None,
        "forecast": _forecast(festival, curve, told_ms(festival, watermark_ms, end_ms)) if is_sold else None,
        "milestones": [
            {"minor": minor, "time_ms": curve.reached_ms(minor, until_s)} for minor in festival.milestones_minor
        ],
        "peak": {
            "second": _window(peak(snapshot, festival, until_s=until_s)),
            "minute": _window(peak(snapshot, festival, seconds=_SECONDS_PER_MINUTE, until_s=until_s)),
        },
        "implausible": implausible(snapshot, festival, watermark_ms, end_ms),
    }


def told_ms(festival: Festival, watermark_ms: int | None, end_ms: int) -> int | None:
    """Return the end of the last second that is taken as complete, at most `end_ms`; None where nothing is known."""
    if watermark_ms is None:
        return None
    last_ms = min(max(watermark_ms, festival.start_ms), end_ms, festival.end_ms)
    return last_ms - (last_ms - festival.start_ms) % _SECOND_MS


def _pace(festival: Festival, curve: HomeCurve, until_s: int, told: int | None) -> Document | None:
    """Return the gross of the closed seconds against the last edition's at the same local time."""
    previous = festival.previous
    if previous is None:
        return None
    document: Document = {
        "as_of_ms": None if told is None else told - 1,
        "gross_minor": None,
        "previous": previous.name,
        "previous_gross_minor": previous_gross_minor(festival, told),
        "growth_ratio": None,
        "previous_total_minor": previous.total_minor,
        "passed_ms": curve.reached_ms(previous.total_minor, until_s),
    }
    if told is not None:
        sold_minor = curve.before((told - festival.start_ms) // _SECOND_MS).amount_minor
        before_minor = document["previous_gross_minor"]
        document["gross_minor"] = sold_minor
        if before_minor is not None:
            document["growth_ratio"] = share(sold_minor - before_minor, before_minor)
    return document


def _forecast(festival: Festival, curve: HomeCurve, told: int | None) -> Document | None:
    """Return the forecast with what it stands on; its numbers are null while there is none."""
    if festival.previous is None:
        return None
    expected = forecast_of(festival, curve, told)
    return {
        "as_of_ms": None if told is None else told - 1,
        "low_minor": None if expected is None else expected.low_minor,
        "expected_minor": None if expected is None else expected.expected_minor,
        "high_minor": None if expected is None else expected.high_minor,
        "basis": _basis(festival),
    }


def _basis(festival: Festival) -> str:
    assert festival.previous is not None
    name = festival.previous.name
    if previous_shape(festival) is None:
        return f"none: of {name} only the total is known, not its curve"
    years = " and ".join(shape.rpartition("-")[2] for shape in KNOWN_SHAPES)
    return (
        f"the curve of {name}; the interval is the error that the curves of {years} make of each other at this time of "
        "day: two curves give no probability"
    )


def _window(found: Peak) -> Document:
    return {"orders": found.orders, "start_ms": found.start_ms}
