"""The fingerprint: what changes it, what does not, and how a difference is named."""

from __future__ import annotations

import dataclasses
import datetime as dt
from decimal import Decimal

import orjson
import pytest

from streams.domain.declarations import FingerprintError
from streams.domain.festivals import Rate
from tests.unit.domain.samples import HORIZON_MINUTES, START_MS, declarations, festival


def test_the_fingerprint_ignores_what_is_only_read_with_a_total() -> None:
    named = dataclasses.replace(
        festival(), name="other", milestones_minor=(5,), rates=(Rate("USD", dt.date(2019, 1, 1), Decimal(7)),)
    )
    declarations(named).check(declarations(festival()).fingerprint)


def test_a_difference_is_named_with_both_sides() -> None:
    shorter = declarations(festival(hours=23))
    with pytest.raises(
        FingerprintError, match=r"festivals\.day\.end_ms: the ledger has 1573484400000, here is 15734880"
    ):
        declarations(festival()).check(shorter.fingerprint)


def test_an_added_festival_is_a_difference_and_a_long_list_is_cut() -> None:
    more = declarations(*(festival(f"f{n}") for n in range(3)))
    with pytest.raises(FingerprintError, match=r"the ledger has nothing.*and 7 more.*festival recount"):
        more.check(declarations().fingerprint)


def test_a_changed_rollup_is_named_by_its_name() -> None:
    ours = declarations()
    limited = dataclasses.replace(ours, rollups=(dataclasses.replace(ours.rollups[1], limit=7), *ours.rollups[2:]))
    with pytest.raises(FingerprintError, match=r"rollups\.orders_by_platform\.limit: the ledger has 200, here is 7"):
        limited.check(dataclasses.replace(ours, rollups=ours.rollups[1:]).fingerprint)


def test_the_fingerprint_is_a_document_an_audit_can_count_by() -> None:
    document = orjson.loads(declarations().fingerprint)
    assert document["dedup_horizon_minutes"] == HORIZON_MINUTES
    assert document["festivals"]["day"]["start_ms"] == START_MS
    assert document["rollups"][0]["measures"][2] == {
        "name": "gross_minor",
        "types": ["order_placed"],
        "terms": [[1, "amount_minor"]],
        "if_any": [],
    }
    assert document["derived"]["transit_days"]["types"] == ["parcel_delivered"]
    assert declarations().topics == ("orders", "payments", "parcels", "recycling")
