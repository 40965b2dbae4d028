"""What an audit found."""

from __future__ import annotations

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


@dataclass(slots=True)
class AuditResult:
    """The answer of one audit."""

    generation: str
    positions: dict[str, dict[str, int]]
    """Next offset per topic and partition up to which both counted."""
    records: int = 0
    """Source records read."""
    compared_cells: int = 0
    """Cells of rollups compared, those that are 0 on both sides left out."""
    differing: int = 0
    """How many numbers differ; `differences` lists the first of them."""
    differences: list[Difference] = field(default_factory=list)
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

    @property
    def is_exact(self) -> bool:
        """Whether nothing differs."""
        return self.differing == 0

    def measured(self, measure: str, amount: int) -> None:
        """Note that a measure was compared and differed by `amount` in one table."""
        self.difference_by_measure[measure] = max(amount, self.difference_by_measure.get(measure, 0))

    def differs(self, measure: str, where: dict[str, Any], ledger: int | str | None, recount: int | str | None) -> None:
        """Note one difference that is no cell of a rollup."""
        self.differing += 1
        self.measured(measure, abs(ledger - recount) if isinstance(ledger, int) and isinstance(recount, int) else 1)
        self.differences.append(Difference(measure, where, ledger, recount))

    def document(self) -> dict[str, Any]:
        """Return what `festival audit --json` prints."""
        return {
            "exact": self.is_exact,
            "ledger": self.generation,
            "records": self.records,
            "compared_cells": self.compared_cells,
            "differing": self.differing,
            "difference_by_measure": dict(sorted(self.difference_by_measure.items())),
            "differences": [
                {"measure": d.measure, **d.where, "ledger": d.ledger, "recount": d.recount} for d in self.differences
            ],
            "positions": self.positions,
            "outcomes": self.outcomes,
            "totals": self.totals,
            "home": self.home,
            "distinct": self.distinct,
        }
