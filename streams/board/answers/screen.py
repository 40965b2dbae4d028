"""What the big screen shows beside the totals: pace, peak, milestones, ranks, and the curve by minute.

Read by `streams.web.channel`, from a snapshot, in any thread. What the screen calls its main measure depends on what a
festival counts: goods ordered, else money paid, else boxes, else parcels.
"""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

import numpy as np
from msgspec import UNSET

from streams.board.answers.highlights import milestones_ms, previous_by_minute, previous_gross_minor
from streams.board.answers.sections import MAINS, SECTION
from streams.board.answers.series import COUNTS, MONEY, home_steps, per_second
from streams.board.answers.totals import rows_of
from streams.board.answers.values import Festival as FestivalEntry
from streams.board.answers.values import Previous
from streams.board.view.tables import exact_sum

if TYPE_CHECKING:
    from collections.abc import Callable, Iterable

    from streams.audit.verdict import Verdict
    from streams.board.answers.sections import Main
    from streams.board.answers.values import Row
    from streams.board.view.committed_view import Snapshot
    from streams.board.view.tables import Numbers
    from streams.domain.declared import Declared
    from streams.domain.festivals import Festival

Document = dict[str, Any]

MINUTE_MS = 60_000
_SECOND_MS = 1_000
_SECONDS_PER_MINUTE = 60
RATE_SECONDS = 10
"""The pace is that of so many closed seconds: one alone would flicker."""
RANK_ROWS = 10
MAPPED = ("market", "origin")
"""Dimensions that the screen draws on a map: there it wants every country."""
MAP_ROWS = 250
"""More than there are countries (ISO 3166-1)."""


RANKS = {main.fact: main.panels for main in MAINS}
"""Fact → dimensions that have a panel."""


def main_of(festival: Festival) -> Main:
    """Return what the festival is about, by the facts it counts."""
    return next(main for main in MAINS if main.fact in festival.facts)


def screen_document(snapshot: Snapshot, festival: Festival) -> Document:
    """Return what the screen shows beside the totals, without ranks: cheap enough for every tick."""
    festival = snapshot.as_counted(festival)
    main = main_of(festival)
    watermark_ms = snapshot.watermark_ms((main.fact,))
    if not snapshot.counts(festival.id):
        return _nothing(snapshot, main, watermark_ms)
    counts = per_second(snapshot, festival, COUNTS[main.count])
    second = int(np.argmax(counts))
    most = int(counts[second])
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


def audit_document(verdict: Verdict | None, totals: Document) -> Document | None:
    """Return what an audit found of the festival, and whether it looked at the very state that is shown."""
    if verdict is None:
        return None
    audited, shown = (verdict.ledger, verdict.positions), (totals["ledger"], totals["positions"])
    return {
        "exact": verdict.exact,
        "differences": verdict.differences,
        "audited_ms": verdict.audited_ms,
        "is_of_this_state": audited == shown,
    }


def _nothing(snapshot: Snapshot, main: Main, watermark_ms: int | None) -> Document:
    """Return the document of a festival that the ledger does not count."""
    return {
        "main": main.measure,
        "count": main.count,
        "partitions": {"committed": len(snapshot.cursors), "all": snapshot.partitions},
        "watermark_ms": watermark_ms,
        "rate_per_second": None,
        "peak": {"count": None, "start_ms": None},
        "milestones": [],
        "previous_minor": None,
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


def names_document(declared: Declared) -> Document:
    """Return what declared dimensions that have a panel are called, by language."""
    return {dimension.field: dict(dimension.names) for dimension in declared.dimensions[::-1] if dimension.rank}


def ranks_document(snapshot: Snapshot, festival: Festival, declared: Declared | None = None) -> Document:
    """Return the largest values per dimension: name, count, and money in the home currency where there is any.

    Those that were `declared` with bars stand behind the others, where the ledger keeps them. Sorts every value of
    each dimension: with many merchants not something for each tick.
    """
    festival = snapshot.as_counted(festival)
    dimensions = dict.fromkeys(
        dimension for fact, panels in RANKS.items() if fact in festival.facts for dimension in panels
    )
    if declared is not None:
        kept = {(rollup.fact, rollup.dimension) for rollup in snapshot.rollups if rollup.fact in festival.facts}
        own = (d.field for d in declared.dimensions if d.rank and (d.fact, d.field) in kept)
        dimensions |= dict.fromkeys(own)
    return {
        dimension: [_rank(row, festival) for row in rows_of(snapshot, festival, dimension, _most_rows(dimension))]
        for dimension in dimensions
    }


def _most_rows(dimension: str) -> int:
    return MAP_ROWS if dimension in MAPPED else RANK_ROWS


def _rank(row: Row, festival: Festival) -> Document:
    """Return a row as its bar tells it: by the first fact the festival is about that keeps its dimension."""
    told = ((main, SECTION[main.fact].holder(row)) for main in MAINS if main.fact in festival.facts)
    main, counts = next((main, counts) for main, counts in told if counts is not UNSET)
    is_bound = row.at_least is True or (row.home is not UNSET and bool(row.home.missing))
    return {
        "name": row.value,
        "count": getattr(counts, main.count),
        "minor": getattr(row.home, main.measure) if main.is_money else None,
        **({"at_least": True} if is_bound else {}),
    }


def festivals_of(snapshot_of: Callable[[str], Snapshot], festivals: Iterable[Festival]) -> list[FestivalEntry]:
    """Return what is fixed about each festival, the latest first; `snapshot_of` gives the state that it is told of."""
    return [
        FestivalEntry(
            id=festival.id,
            name=festival.name,
            start_ms=festival.start_ms,
            end_ms=festival.end_ms,
            timezone=festival.timezone,
            home_currency=festival.home_currency,
            facts=list(festival.facts),
            display=list(festival.display),
            milestones_minor=list(festival.milestones_minor),
            previous=_previous(festival),
            has_totals=festival.id in snapshot_of(festival.id).festivals,
            counted=snapshot_of(festival.id).counts(festival.id),
            retired=festival.retired,
        )
        for festival in sorted(festivals, key=lambda festival: (-festival.start_ms, festival.id))
    ]


def _previous(festival: Festival) -> Previous | None:
    previous = festival.previous
    if previous is None:
        return None
    curve = [list(point) for point in previous.curve]
    return Previous(previous.name, previous.total_minor, curve, list(previous_by_minute(festival)))


def curve_document(snapshot: Snapshot, festival: Festival) -> Document:
    """Return the main measure and its count per minute, money in minor units of the home currency.

    The minutes add up to the total shown; there are none of a festival that the ledger does not count.
    """
    if not snapshot.counts(festival.id):
        return {"values": [], "counts": []}
    festival = snapshot.as_counted(festival)
    main = main_of(festival)
    counts = _per_minute(per_second(snapshot, festival, COUNTS[main.count])).tolist()
    values = home_steps(snapshot, festival, MONEY[main.measure], MINUTE_MS) if main.is_money else counts
    return {"values": values, "counts": counts}


def _per_minute(per_second: Numbers) -> Numbers:
    return exact_sum(per_second.reshape(-1, _SECONDS_PER_MINUTE))
