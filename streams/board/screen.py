"""What the big screen shows beside the totals: pace, peak, milestones, ranks, and the curve by minute.

Read by `streams.web.channel`, from a snapshot, in any thread. What the screen calls its main measure depends on what a
festival counts: goods ordered, else money paid, else boxes, else parcels.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

import numpy as np

from streams.board.highlights import milestones_ms, previous_by_minute, previous_gross_minor
from streams.board.series import COUNTS, MONEY, home_steps, per_second
from streams.board.tables import exact_sum
from streams.board.totals import totals_document

if TYPE_CHECKING:
    from collections.abc import Iterable

    from streams.board.tables import Numbers
    from streams.board.view import Snapshot
    from streams.domain.festivals import Festival

Document = dict[str, Any]

MINUTE_MS = 60_000
_SECOND_MS = 1_000
_SECONDS_PER_MINUTE = 60
RATE_SECONDS = 10
"""The pace is that of so many closed seconds: one alone would flicker."""
RANK_ROWS = 10


@dataclass(frozen=True, slots=True)
class Main:
    """The measure that a festival is about, and the count behind it."""

    measure: str
    is_money: bool
    count: str
    fact: str


MAINS = (
    Main("gross", is_money=True, count="orders", fact="orders"),
    Main("paid", is_money=True, count="captured", fact="payments"),
    Main("boxes", is_money=False, count="boxes", fact="recycling"),
    Main("shipped", is_money=False, count="shipped", fact="parcels"),
)
RANKS = {
    "orders": ("platform", "market", "merchant"),
    "payments": ("method", "platform", "market", "merchant"),
    "recycling": ("city", "district", "operator", "station"),
    "parcels": ("carrier",),
}
"""Fact → dimensions that have a panel."""


def main_of(festival: Festival) -> Main:
    """Return what the festival is about, by the facts it counts."""
    return next(main for main in MAINS if main.fact in festival.facts)


def screen_document(snapshot: Snapshot, festival: Festival) -> Document:
    """Return what the screen shows beside the totals, without ranks: cheap enough for every tick."""
    festival = snapshot.as_counted(festival)
    main = main_of(festival)
    watermark_ms = snapshot.watermark_ms((main.fact,))
    counts = per_second(snapshot, festival, COUNTS[main.count])
    second = int(np.argmax(counts)) if len(counts) else 0
    most = int(counts[second]) if len(counts) else 0
    return {
        "main": main.measure,
        "count": main.count,
        "partitions": {"committed": len(snapshot.cursors), "all": snapshot.partitions},
        "watermark_ms": watermark_ms,
        "rate_per_second": _rate(counts, festival, watermark_ms),
        "peak": {"count": most, "start_ms": festival.start_ms + second * _SECOND_MS if most else None},
        "milestones": _milestones(snapshot, festival),
        "previous_minor": previous_gross_minor(festival, watermark_ms) if main.measure == "gross" else None,
    }


def _rate(counts: Numbers, festival: Festival, watermark_ms: int | None) -> float:
    """Return counts per second of event time over the last closed seconds; 0 outside of the festival."""
    if watermark_ms is None or not festival.start_ms < watermark_ms < festival.end_ms:
        return 0.0
    end = (watermark_ms - festival.start_ms) // _SECOND_MS
    begin = max(0, end - RATE_SECONDS)
    return int(counts[begin:end].sum()) / (end - begin) if end > begin else 0.0


def _milestones(snapshot: Snapshot, festival: Festival) -> list[Document]:
    if "orders" not in festival.facts:
        return []
    reached = milestones_ms(snapshot, festival)
    return [{"minor": minor, "time_ms": reached.get(minor)} for minor in festival.milestones_minor]


def ranks_document(snapshot: Snapshot, festival: Festival) -> Document:
    """Return the largest values per dimension: name, count, and money in the home currency where there is any.

    Sorts every value of each dimension: with many merchants not something for each tick.
    """
    facts = snapshot.as_counted(festival).facts
    dimensions = dict.fromkeys(dimension for fact in RANKS if fact in facts for dimension in RANKS[fact])
    return {dimension: _ranked(snapshot, festival, dimension) for dimension in dimensions}


def _ranked(snapshot: Snapshot, festival: Festival, dimension: str) -> list[Document]:
    rows = totals_document(snapshot, festival, by=dimension, top=RANK_ROWS, has_story=False)["by"]
    return [_rank_row(row, row[dimension], festival) for row in rows]


def _rank_row(row: Document, name: str, festival: Festival) -> Document:
    home = row.get("home", {})
    is_sold = "orders" in festival.facts and "gross" in home
    minor = home.get("gross" if is_sold else "paid")
    if is_sold:
        count = row["orders"]
    elif "payments" in row:
        count = row["payments"]["captured"]
    elif "recycling" in row:
        count = row["recycling"]["boxes"]
    else:
        count = row.get("parcels", {}).get("shipped", 0)
    is_bound = bool(row.get("at_least") or home.get("missing"))
    return {"name": name, "count": count, "minor": minor, **({"at_least": True} if is_bound else {})}


def festivals_document(snapshot: Snapshot, festivals: Iterable[Festival]) -> list[Document]:
    """Return what is fixed about each festival: its day, its zone, its milestones, the last edition."""
    return [
        {
            "id": festival.id,
            "name": festival.name,
            "start_ms": festival.start_ms,
            "end_ms": festival.end_ms,
            "timezone": festival.timezone,
            "home_currency": festival.home_currency,
            "facts": list(festival.facts),
            "milestones_minor": list(festival.milestones_minor),
            "previous": _previous(festival),
            "has_totals": festival.id in snapshot.festivals,
        }
        for festival in sorted(festivals, key=lambda festival: (-festival.start_ms, festival.id))
    ]


def _previous(festival: Festival) -> Document | None:
    previous = festival.previous
    if previous is None:
        return None
    curve = [list(point) for point in previous.curve]
    by_minute = list(previous_by_minute(festival))
    return {"name": previous.name, "total_minor": previous.total_minor, "curve": curve, "by_minute": by_minute}


def curve_document(snapshot: Snapshot, festival: Festival) -> Document:
    """Return the main measure and its count per minute, money in minor units of the home currency.

    The minutes add up to the total shown.
    """
    festival = snapshot.as_counted(festival)
    main = main_of(festival)
    counts = _per_minute(per_second(snapshot, festival, COUNTS[main.count])).tolist()
    values = home_steps(snapshot, festival, MONEY[main.measure], MINUTE_MS) if main.is_money else counts
    return {"values": values, "counts": counts}


def _per_minute(per_second: Numbers) -> Numbers:
    return exact_sum(per_second.reshape(-1, _SECONDS_PER_MINUTE))
