"""The fingerprint document, read as data: what is not understood is refused, and so is what would become SQL."""

from __future__ import annotations

import json
from typing import Any

import pytest

from streams.audit.plan import UnknownDocumentError, read_plan
from streams.domain.built_in import ROLLUPS
from streams.domain.declarations import Declarations
from streams.festivals import load_festivals

DOCUMENT: dict[str, Any] = json.loads(Declarations(load_festivals(), 1_000, 10).fingerprint)


def test_the_counters_document_is_read_whole() -> None:
    """Every rollup with its measures, every festival."""
    plan = read_plan(json.dumps(DOCUMENT).encode())
    assert (plan.settle_ms, plan.horizon_minutes) == (1_000, 10)
    assert [rollup.name for rollup in plan.rollups] == [rollup.name for rollup in ROLLUPS]
    assert [len(rollup.measures) for rollup in plan.rollups] == [len(rollup.measures) for rollup in ROLLUPS]
    assert plan.facts() == ("orders", "payments", "parcels", "recycling")
    assert set(plan.columns("orders")) >= {"platform", "merchant", "currency", "amount_minor", "coupon_minor"}
    assert plan.festivals.keys() == load_festivals().keys()


@pytest.mark.parametrize("name", sorted(DOCUMENT.keys() - {"facts", "derived", "limits", "layout"}))
def test_a_document_without_a_part_is_refused(name: str) -> None:
    """Nothing is guessed."""
    with pytest.raises(UnknownDocumentError):
        read_plan(json.dumps({key: value for key, value in DOCUMENT.items() if key != name}).encode())


@pytest.mark.parametrize(
    "changes", [{"format": 1}, {"rollups": [{**DOCUMENT["rollups"][0], "name": "x; DROP TABLE x"}]}, {"rollups": 1}]
)
def test_a_strange_document_is_refused(changes: dict[str, Any]) -> None:
    """Another format, names that are no names, other shapes."""
    with pytest.raises(UnknownDocumentError):
        read_plan(json.dumps(DOCUMENT | changes).encode())


def test_what_is_not_json_is_refused() -> None:
    """A damaged record of the ledger."""
    with pytest.raises(UnknownDocumentError):
        read_plan(b"\xff")
