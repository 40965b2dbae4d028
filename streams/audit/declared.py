"""What a shop has declared, read by the audit itself: which fields its events carry besides the contract's.

The file is data here: which fields of which topics, texts or amounts, and how their tables are kept. What the ledger
says that it was counted under must be the same.
"""

from __future__ import annotations

import tomllib
from dataclasses import dataclass, field
from typing import TYPE_CHECKING, Any

from streams.audit.admission import SHAPES
from streams.audit.plan import WINDOWS_MS
from streams.errors import UsageError

if TYPE_CHECKING:
    from collections.abc import Iterator, Mapping
    from pathlib import Path

    from streams.audit.plan import Plan, Rollup

_LIMIT = 50_000
_LIMIT_OF_LABELS = 200
_BESIDE = {"orders": "coupons_minor", "payments": "paid_minor"}
"""Where amounts are added up: in every table that has this measure."""


@dataclass(frozen=True, slots=True)
class Declared:
    """The dimensions by topic and field, with window (None: the whole festival) and limit; the amounts by topic."""

    dimensions: Mapping[tuple[str, str], tuple[int | None, int]] = field(default_factory=dict)
    amounts: Mapping[str, frozenset[str]] = field(default_factory=dict)

    def fields(self) -> dict[str, dict[str, str]]:
        """Return the kind of each field by topic."""
        found: dict[str, dict[str, str]] = {}
        for fact, name in self.dimensions:
            found.setdefault(fact, {})[name] = "text"
        for fact, names in self.amounts.items():
            found.setdefault(fact, {}).update(dict.fromkeys(names, "money"))
        return found


def read_declared(path: Path | None) -> Declared:
    """Return what the file declares, nothing without one; raises `UsageError` where it cannot be used."""
    if path is None:
        return Declared()
    try:
        document = tomllib.loads(path.read_text(encoding="utf-8"))
        dimensions = {(row["fact"], row["field"]): _kept(row) for row in document.get("dimension", [])}
        amounts: dict[str, frozenset[str]] = {}
        for row in document.get("amount", []):
            amounts[row["fact"]] = amounts.get(row["fact"], frozenset()) | {row["field"]}
    except (OSError, ValueError, KeyError, TypeError) as error:
        raise UsageError(f"{path}: the audit cannot read these declarations: {error!r}") from error
    return Declared(dimensions, amounts)


def _kept(row: Mapping[str, Any]) -> tuple[int | None, int]:
    limit = row.get("limit", _LIMIT_OF_LABELS if row.get("label", False) else _LIMIT)
    return WINDOWS_MS[row.get("window", "festival")], int(limit)


def declared_of(plan: Plan) -> Declared:
    """Return what a ledger says that it was counted under: good where the file of that time is not at hand."""
    amounts: dict[str, frozenset[str]] = {}
    for rollup in plan.rollups:
        amounts[rollup.fact] = amounts.get(rollup.fact, frozenset()) | _added(rollup)
    own = [rollup for rollup in plan.rollups if _is_own(rollup, plan)]
    return Declared({(r.fact, str(r.dimension)): (r.window_ms, r.limit) for r in own}, amounts)


def check_declared(plan: Plan, declared: Declared) -> None:
    """Raise `UsageError` with each difference between the file and what the ledger was counted under."""
    found = [*_differing_dimensions(plan, declared), *_differing_amounts(plan, declared)]
    if found:
        raise UsageError(
            "the ledger was counted under other declarations: "
            + "; ".join(found)
            + ". Give the audit the file of the workers, with --declarations"
        )


def _differing_dimensions(plan: Plan, declared: Declared) -> Iterator[str]:
    ledger, here = declared_of(plan).dimensions, declared.dimensions
    for fact, name in sorted(ledger.keys() | here.keys()):
        if (fact, name) not in ledger:
            yield f"the ledger keeps no {name} of {fact}"
        elif (fact, name) not in here:
            yield f"{name} of {fact} is not declared here"
        elif ledger[fact, name] != here[fact, name]:
            yield f"{name} of {fact} has another window or limit here"


def _differing_amounts(plan: Plan, declared: Declared) -> Iterator[str]:
    for rollup in plan.rollups:
        has_money = any(measure.name == _BESIDE.get(rollup.fact) for measure in rollup.measures)
        wanted = declared.amounts.get(rollup.fact, frozenset()) if has_money else frozenset()
        for name in sorted(_added(rollup) - wanted):
            yield f"{name} of {rollup.fact} is not declared here, and added up in {rollup.name}"
        for name in sorted(wanted - _added(rollup)):
            yield f"the ledger adds up no {name} in {rollup.name}"


def _is_own(rollup: Rollup, plan: Plan) -> bool:
    """Return whether a table's dimension is no field of the contract."""
    return rollup.dimension is not None and rollup.dimension not in _known(rollup.fact) | plan.derived.keys()


def _added(rollup: Rollup) -> frozenset[str]:
    """Return the fields that a table adds up and the contract does not have."""
    return frozenset(name for measure in rollup.measures for _, name in measure.terms) - _known(rollup.fact)


def _known(fact: str) -> set[str]:
    return {name for shape in SHAPES[fact].values() for name in shape.fields}
