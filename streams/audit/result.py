"""What an audit found."""

from __future__ import annotations

from collections import Counter
from dataclasses import dataclass, field
from typing import Any, Final

KEPT_PER_MEASURE: Final = 1_000
"""Differences of one measure and rollup that are listed; all are counted."""


@dataclass(frozen=True, slots=True)
class Difference:
    """One number that is not what it should be."""

    measure: str
    where: dict[str, Any]
    """Which cell, record or field: festival, rollup, partition, …"""
    ledger: int | str | None
    """What is committed."""
    recount: int | str | None
    """What the log says."""


@dataclass(frozen=True, slots=True)
class SeenTwice:
    """Ids that two partitions of a topic saw within the duplicate horizon of each other: both count them.

    Duplicates are told apart within a partition, so this is no difference. It mostly means that somebody resent events
    with another key or partitioner.
    """

    topic: str
    ids: int
    """How many there are."""
    event_id: str
    """One of them."""
    places: tuple[tuple[int, int], tuple[int, int]]
    """Partition and offset of two sightings of it."""

    def document(self) -> dict[str, Any]:
        """Return what `festival audit --json` prints of it."""
        places = [{"partition": partition, "offset": offset} for partition, offset in self.places]
        example = {"event_id": self.event_id, "places": places}
        return {"note": "ids_in_two_partitions", "topic": self.topic, "ids": self.ids, "example": example}


@dataclass(slots=True)
class AuditResult:
    """The answer of one audit."""

    generation: str
    positions: dict[str, dict[str, int]]
    """Next offset per topic and partition up to which both counted."""
    began: dict[str, dict[str, int]] = field(default_factory=dict)
    """Offset per topic and partition from which both counted."""
    festivals: tuple[str, ...] = ()
    """Those whose totals were compared."""
    records: int = 0
    """Source records read."""
    compared_cells: int = 0
    """Cells of rollups compared, those that are 0 on both sides left out."""
    differing_by_festival: Counter[str | None] = field(default_factory=Counter)
    """How many numbers differ, by festival; None: in what all of them share. `differences` lists the first of them."""
    differences: list[Difference] = field(default_factory=list)
    notes: list[SeenTwice] = field(default_factory=list)
    """What somebody should know and is no difference."""
    difference_by_measure: dict[str, int] = field(default_factory=dict)
    """Per measure the largest sum of absolute differences over any festival's rollup; 0 where all agrees."""
    totals: dict[str, dict[str, dict[str, int]]] = field(default_factory=dict)
    """The recounted totals: festival → measure → currency."""
    home: dict[str, dict[str, Any]] = field(default_factory=dict)
    """The recounted money in each festival's home currency, with the currencies that have no rate."""
    distinct: dict[str, dict[str, dict[str, int]]] = field(default_factory=dict)
    """Festival → what is counted → the exact number, and the estimate with its bounds that the ledger holds."""
    outcomes: dict[str, dict[str, int]] = field(default_factory=dict)
    """Recounted records per topic and outcome."""
    lacking: list[str] = field(default_factory=list)
    """What the ledger does not count, sentence by sentence: partitions that are held, or that nobody has taken over."""

    rejected_from_ms: int = 0
    """Record time from which on each bad record must still be set aside: the `.rejected` topics keep no older ones."""
    rejected_gone: int = 0
    """Bad records from before that are gone from there."""
    cut: dict[str, dict[str, int]] = field(default_factory=dict)
    """Where the ledger began to count what the log does not hold any more, by topic and partition."""
    late: dict[str, list[int]] = field(default_factory=dict)
    """Festivals with the partitions that knew them only when they may have begun: they are not compared."""
    counted_from: dict[str, dict[str, int]] = field(default_factory=dict)
    """Where the ledger says that it counts from later on than the log once began."""

    @property
    def differing(self) -> int:
        """Return how many numbers differ."""
        return self.differing_by_festival.total()

    def differing_of(self, festival: str) -> int:
        """Return how many numbers differ of a festival, with those that all festivals share."""
        return self.differing_by_festival[festival] + self.differing_by_festival[None]

    @property
    def is_exact(self) -> bool:
        """Whether nothing differs and nothing lacks."""
        return self.differing == 0 and not self.lacking and not self.late

    def lateness(self) -> list[str]:
        """Return a sentence for each festival that the ledger knew too late."""
        return [
            f"{festival} could have begun when it, or something of it, was declared; partitions "
            f"{', '.join(map(str, parts))} count that from then on only: `festival recount` counts it whole"
            for festival, parts in sorted(self.late.items())
        ]

    def measured(self, measure: str, amount: int) -> None:
        """Note that a measure was compared and differed by `amount` in one table."""
        self.difference_by_measure[measure] = max(amount, self.difference_by_measure.get(measure, 0))

    def differs(self, measure: str, where: dict[str, Any], ledger: int | str | None, recount: int | str | None) -> None:
        """Note one difference that is no cell of a rollup."""
        self.differing_by_festival[where.get("festival")] += 1
        self.measured(measure, abs(ledger - recount) if isinstance(ledger, int) and isinstance(recount, int) else 1)
        self.differences.append(Difference(measure, where, ledger, recount))

    def document(self) -> dict[str, Any]:
        """Return what `festival audit --json` prints."""
        return {
            "exact": self.is_exact,
            "complete": not self.lacking and not self.late,
            "lacking": [*self.lacking, *self.lateness()],
            "ledger": self.generation,
            "records": self.records,
            "compared_cells": self.compared_cells,
            "differing": self.differing,
            "difference_by_measure": dict(sorted(self.difference_by_measure.items())),
            "differences": [
                {"measure": d.measure, **d.where, "ledger": d.ledger, "recount": d.recount} for d in self.differences
            ],
            "notes": [note.document() for note in self.notes],
            "positions": self.positions,
            "from": self.began,
            "counted_from": self.counted_from,
            "rejected_gone": self.rejected_gone,
            "outcomes": self.outcomes,
            "totals": self.totals,
            "home": self.home,
            "distinct": self.distinct,
        }
