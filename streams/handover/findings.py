"""All that a report tells, gathered out of one committed state: values, in no language yet."""

from __future__ import annotations

import hashlib
from dataclasses import dataclass
from typing import TYPE_CHECKING

from streams.board.answers.highlights import Peak, peak, previous_by_minute
from streams.board.answers.screen import curve_document, main_of
from streams.board.answers.story import told_ms
from streams.board.answers.totals import rows_of, totals_of
from streams.domain.built_in import DIMENSIONS
from streams.domain.ledger import Outcome
from streams.domain.pages import LATE

if TYPE_CHECKING:
    from collections.abc import Mapping, Sequence

    from streams.audit.verdict import Verdict
    from streams.board.answers.sections import Main
    from streams.board.answers.values import Row, Totals
    from streams.board.view.committed_view import Seal, Snapshot
    from streams.domain.festivals import Festival
    from streams.engine.judgement import Judgement
    from streams.handover.incidents import Incidents

TOP = 10
"""Rows of a dimension that are told."""
SHOWN = ("platform", "market", "merchant", "category", "brand", "method", "carrier", "origin", "city", "operator")
assert set(SHOWN) <= set(DIMENSIONS)
_HOUR_SECONDS = 3_600


@dataclass(frozen=True)
class Findings:
    """One festival, as its report tells it."""

    festival: Festival
    main: Main
    totals: Totals
    values_by_minute: Sequence[int]
    """The main measure in each minute: money in minor units of the home currency, or counts."""
    counts_by_minute: Sequence[int]
    """The count behind it."""
    previous_by_minute: Sequence[int]
    """The last edition's running total at the end of each minute; empty where it is not known."""
    peak_hour: Peak
    rows: Mapping[str, Sequence[Row]]
    """Dimension → its largest rows; a dimension without any is left out."""
    outcomes: Mapping[str, Mapping[str, int]]
    """Topic → outcome, and `late` → records."""
    rejected: Mapping[str, Mapping[str, int]]
    """Topic → reason → records."""
    fingerprint: str | None
    """SHA-256 of the document that the generation was counted under, in hexadecimal."""
    verdict: Verdict | None
    incidents: Incidents | None
    made_ms: int
    told_ms: int
    """Up to when the day is told: its end, or while it goes on, what is taken as complete."""
    version: str
    seal: Seal | None
    """Where all this stands in a sealed file."""


def findings_of(
    snapshot: Snapshot,
    festival: Festival,
    judgement: Judgement,
    *,
    fingerprint: bytes,
    verdict: Verdict | None,
    incidents: Incidents | None,
    made_ms: int,
    version: str,
) -> Findings:
    """Return what is to be told of a festival that the ledger counts."""
    festival = snapshot.as_counted(festival)
    curve = curve_document(snapshot, festival)
    rows = {dimension: _rows(snapshot, festival, dimension) for dimension in SHOWN}
    return Findings(
        festival=festival,
        main=main_of(festival),
        totals=totals_of(snapshot, festival, judgement=judgement),
        values_by_minute=curve["values"],
        counts_by_minute=curve["counts"],
        previous_by_minute=previous_by_minute(festival) if "orders" in festival.facts else (),
        peak_hour=peak(snapshot, festival, seconds=_HOUR_SECONDS),
        rows={dimension: found for dimension, found in rows.items() if found},
        outcomes=_outcomes(snapshot),
        rejected=_rejected(snapshot),
        fingerprint=hashlib.sha256(fingerprint).hexdigest() if fingerprint else None,
        verdict=verdict,
        incidents=incidents,
        made_ms=made_ms,
        told_ms=_told_ms(snapshot, festival, made_ms),
        version=version,
        seal=snapshot.seal,
    )


def _told_ms(snapshot: Snapshot, festival: Festival, made_ms: int) -> int:
    if made_ms >= festival.end_ms:
        return festival.end_ms
    told = told_ms(festival, snapshot.watermark_ms((main_of(festival).fact,)), festival.end_ms)
    return festival.start_ms if told is None else told


def _rows(snapshot: Snapshot, festival: Festival, dimension: str) -> list[Row]:
    found = rows_of(snapshot, festival, dimension)
    return found if len(found) <= TOP + 1 else found[:TOP]


def _outcomes(snapshot: Snapshot) -> dict[str, dict[str, int]]:
    names = (*map(str, Outcome), LATE)
    return _added(snapshot, [cursor.outcomes for cursor in snapshot.cursors.values()], names)


def _rejected(snapshot: Snapshot) -> dict[str, dict[str, int]]:
    return _added(snapshot, [cursor.rejected for cursor in snapshot.cursors.values()], ())


def _added(
    snapshot: Snapshot, parts: Sequence[Mapping[str, Mapping[str, int]]], names: Sequence[str]
) -> dict[str, dict[str, int]]:
    """Return the sums of all partitions by topic: of `names` each, and of whatever else there is."""
    found: dict[str, dict[str, int]] = {topic: dict.fromkeys(names, 0) for topic in snapshot.positions()}
    for part in parts:
        for topic, counts in part.items():
            sums = found.setdefault(topic, dict.fromkeys(names, 0))
            for name, count in counts.items():
                sums[name] = sums.get(name, 0) + count
    return found
