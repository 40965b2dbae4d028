"""The fingerprint: what changes it, what does not, and how a difference is named."""

from __future__ import annotations

import dataclasses
import datetime as dt
from decimal import Decimal

import orjson
import pytest

from streams.domain.declarations import Declarations, FingerprintError
from streams.domain.declared import Amount, Declared
from streams.domain.dimensions import Dimension
from streams.domain.facts import FACTS
from streams.domain.festivals import Rate
from streams.domain.rollups import NONE
from tests.unit.domain.samples import HORIZON_MINUTES, START_MS, declarations, festival


def test_the_fingerprint_ignores_what_is_only_read_with_a_total() -> None:
    named = dataclasses.replace(
        festival(), name="other", milestones_minor=(5,), rates=(Rate("USD", dt.date(2019, 1, 1), Decimal(7)),)
    )
    declarations(named).check(declarations(festival()).read_back())


def differences(theirs: Declarations, ours: Declarations) -> str:
    """Return what a worker that has `ours` says of a ledger that was counted under `theirs`."""
    with pytest.raises(FingerprintError) as raised:
        ours.check(theirs.read_back())
    return str(raised.value)


def test_a_moved_festival_is_named_with_both_times() -> None:
    assert (
        "festival day, end: the ledger has 2019-11-11T15:00:00Z, here is 2019-11-11T16:00:00Z\nPut the old ones back"
    ) in differences(declarations(festival(hours=23)), declarations(festival()))


def test_a_festival_is_never_removed_and_every_one_that_is_missing_is_named() -> None:
    told = differences(declarations(festival("a"), festival("b"), festival("c")), declarations(festival("b")))
    assert told.startswith(
        "festival a: the ledger counts it, and no file here declares it\nfestival c: the ledger counts it, and no file "
    )
    assert told.endswith("A festival is never removed. Put its file into the folder of --festivals")


DAY, NEXT = festival(), festival("next")
POSITIONS = {"orders": 7, "payments": 3, "elsewhere": 1}
BEGINS_MS = NEXT.start_ms - 300_000


@pytest.mark.parametrize("newest_ms", [None, 0, BEGINS_MS - 1])
def test_a_festival_that_cannot_have_begun_is_declared_without_a_recount(newest_ms: int | None) -> None:
    ours = declarations(DAY, NEXT)
    assert ours.adopted(declarations(DAY).fingerprint, POSITIONS, newest_ms) == ours.fingerprint


def test_a_festival_that_may_have_begun_is_counted_late_and_stays_so() -> None:
    """An event may be five minutes ahead of its record."""
    ours = declarations(DAY, NEXT)
    adopted = ours.adopted(declarations(DAY).fingerprint, POSITIONS, BEGINS_MS)
    late = {topic: POSITIONS[topic] for topic in NEXT.facts if topic in POSITIONS}
    assert orjson.loads(adopted) == {**ours.read_back(), "late": {"next": late}}
    assert ours.adopted(adopted, {"orders": 99}, None) == adopted
    more = declarations(DAY, NEXT, dataclasses.replace(NEXT, id="after", start_ms=2**50, end_ms=2**51))
    assert orjson.loads(more.adopted(adopted, POSITIONS, BEGINS_MS)) == {**more.read_back(), "late": {"next": late}}


def amount(*names: str) -> Declarations:
    """Return declarations with amounts of orders."""
    declared = Declared(amounts=tuple(Amount("orders", name) for name in names))
    return dataclasses.replace(declarations(DAY, NEXT), facts=declared.facts, rollups=declared.rollups)


DIMENSION = Declared((Dimension("orders", "channel"),))
WIDER = (
    dataclasses.replace(declarations(), facts=DIMENSION.facts, rollups=DIMENSION.rollups),
    amount("tip_minor"),
)


@pytest.mark.parametrize("wider", WIDER)
def test_a_dimension_or_an_amount_needs_no_recount_and_makes_late_what_may_have_begun(wider: Declarations) -> None:
    """A festival that is not about its fact has nothing to do with it."""
    boxes = dataclasses.replace(DAY, id="boxes", facts=("recycling",))
    ours = dataclasses.replace(wider, festivals={DAY.id: DAY, boxes.id: boxes})
    before = declarations(DAY, boxes).fingerprint
    assert ours.adopted(before, POSITIONS, DAY.start_ms - 300_001) == ours.fingerprint
    adopted = ours.adopted(before, POSITIONS, DAY.start_ms - 300_000)
    assert orjson.loads(adopted) == {**ours.read_back(), "late": {DAY.id: {"orders": POSITIONS["orders"]}}}
    assert ours.adopted(adopted, {"orders": 99}, 2**50) == adopted


def test_what_is_told_of_a_late_festival_besides_counts_from_its_own_position() -> None:
    late = {"late": {DAY.id: {"orders": 3, "payments": 2}}}
    before = orjson.dumps({**declarations(DAY, NEXT).read_back(), **late})
    found = orjson.loads(amount("tip_minor").adopted(before, POSITIONS, DAY.start_ms))
    assert found["late"][DAY.id] == {"orders": 7, "payments": 2}


def test_what_the_ledger_counts_and_nobody_declares_is_named_a_line_each() -> None:
    ours = declarations(DAY, NEXT)
    wider = Declared(
        (Dimension("orders", "channel"), Dimension("payments", "channel")), (Amount("orders", "tip_minor"),)
    )
    theirs = dataclasses.replace(ours, facts=wider.facts, rollups=wider.rollups)
    lines = differences(theirs, ours).splitlines()
    assert lines == [
        "amount tip_minor of orders: the ledger counts it, and nothing here declares it",
        "dimension channel of orders: the ledger counts it, and nothing here declares it",
        "dimension channel of payments: the ledger counts it, and nothing here declares it",
        "Put it into the file of --declarations, or count again without it with `festival recount`",
    ]


def test_a_topic_more_is_a_difference() -> None:
    ours = declarations()
    theirs = dataclasses.replace(ours, rollups=tuple(r for r in ours.rollups if r.fact != "recycling"))
    assert "topic recycling added\n" in differences(theirs, ours)


def test_pages_have_room_behind_their_measures_only() -> None:
    """An amount whose name comes before one that is counted would move it."""
    theirs, ours = amount("tip_minor"), amount("b_minor", "tip_minor")
    assert "measure b_minor added\nPut the old ones back" in differences(theirs, ours)
    assert amount("tip_minor", "z_minor").adopted(theirs.fingerprint, {}, None)


def test_a_dimension_that_was_declared_otherwise_is_a_difference() -> None:
    channels = [Declared((Dimension("orders", "channel", limit=limit),)) for limit in (5, 6)]
    theirs, ours = (dataclasses.replace(declarations(), facts=c.facts, rollups=c.rollups) for c in channels)
    assert "table orders_by_channel, limit: the ledger has 5, here is 6\nPut" in differences(theirs, ours)


def test_a_changed_table_is_named_by_its_name_and_so_is_what_is_missing() -> None:
    ours = declarations()
    limited = dataclasses.replace(ours, rollups=(dataclasses.replace(ours.rollups[1], limit=7), *ours.rollups[2:]))
    told = differences(dataclasses.replace(ours, rollups=ours.rollups[1:]), limited)
    assert "table orders_by_platform, limit: the ledger has 200, here is 7\nPut" in told
    poorer = dataclasses.replace(ours.rollups[0], measures=ours.rollups[0].measures[1:])
    told = differences(dataclasses.replace(ours, rollups=(poorer, *ours.rollups[1:])), ours)
    assert "declarations:\ntable orders_by_second, measure orders added\nPut" in told


def test_a_changed_field_is_named_with_its_topic() -> None:
    ours = declarations()
    orders = FACTS["orders"]
    loose = [dataclasses.replace(f, default=NONE) if f.name == "market" else f for f in orders.fields]
    theirs = dataclasses.replace(ours, facts={**FACTS, "orders": dataclasses.replace(orders, fields=tuple(loose))})
    told = differences(theirs, ours)
    assert 'topic orders, field market, default: the ledger has "__none__", here is none (it is required)\nPut' in told
    theirs = dataclasses.replace(ours, facts={**FACTS, "orders": dataclasses.replace(orders, discounts=())})
    assert 'topic orders, discounts: the ledger has [], here is ["coupon_minor",' in differences(theirs, ours)


def test_another_order_is_a_difference_too() -> None:
    ours = declarations()
    orders = FACTS["orders"]
    turned = dataclasses.replace(
        ours, facts={**FACTS, "orders": dataclasses.replace(orders, fields=orders.fields[::-1])}
    )
    assert 'topic orders, order of the fields: the ledger has ["buyer","brand",' in differences(turned, ours)


def test_another_order_of_the_tables_is_named() -> None:
    ours = declarations()
    told = differences(dataclasses.replace(ours, rollups=ours.rollups[::-1]), ours)
    assert 'declarations:\norder of the rollups: the ledger has ["recycling_by_station",' in told


def test_a_setting_is_named_by_its_variable() -> None:
    ours = declarations()
    assert "declarations:\nFESTIVAL_SETTLE_MS: the ledger has 5, here is 2592000000\nPut" in differences(
        dataclasses.replace(ours, settle_ms=5), ours
    )
    assert "FESTIVAL_DEDUP_HORIZON_MINUTES: the ledger has 3, here is 10\nPut" in differences(
        dataclasses.replace(ours, dedup_horizon_minutes=3), ours
    )


def test_a_currency_that_was_taken_away_is_named() -> None:
    ours = declarations()
    document = ours.document()
    document["currencies"].pop("HRK")
    document["currencies"]["BGN"]["withdrawn"] = None
    document["limits"].pop("rules")
    document["limits"]["future_limit_ms"] = 1
    with pytest.raises(FingerprintError) as raised:
        ours.check(document)
    told = str(raised.value)
    assert 'currency BGN, withdrawn: the ledger has null, here is "2026-01"\ncurrency HRK added' in told
    assert "limit, future_limit_ms: the ledger has 1, here is 300000\nlimit, rules: the ledger has nothing, " in told


def test_nothing_distinct_is_counted_where_the_library_is_missing() -> None:
    ours = declarations()
    told = differences(dataclasses.replace(ours, distincts=()), ours)
    assert "distinct number buyers added\n" in told


def test_a_ledger_of_another_format_is_told_as_such() -> None:
    with pytest.raises(FingerprintError, match=r"another version: its format is 1, .* counts format 3\. Go on"):
        declarations().check({"format": 1, "currencies": ["CNY"]})


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
