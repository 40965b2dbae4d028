"""The audit of festivals that were declared while a ledger was counted."""

from __future__ import annotations

import dataclasses
from typing import TYPE_CHECKING

import pytest

from streams.audit.plan import late_in, plan_of_all, read_plan
from streams.audit.procedure import plan_of
from streams.audit.verdict import verdicts_of
from streams.audit.written import cell_columns, read_written
from streams.domain.declarations import Declarations
from streams.domain.declared import Amount, Declared
from streams.domain.dimensions import Dimension
from streams.domain.pages import fingerprint_key
from streams.errors import UnreachableError
from streams.festivals import load_festivals
from tests.unit.audit.bench import RECORD_TIME_MS, START_MS, Bench, encode, order

if TYPE_CHECKING:
    from pathlib import Path

ALL = load_festivals()
DAY = ALL["singles-day-2019"]
CHANNEL = Declared((Dimension("orders", "channel"),))
TIP = Declared((), (Amount("orders", "tip_minor"),))
WITHOUT = {name: festival for name, festival in ALL.items() if name != DAY.id}


def test_a_partition_that_does_not_know_a_festival_is_late_once_it_may_have_begun(tmp_path: Path) -> None:
    bench = Bench(tmp_path)
    bench.send("orders", 0, encode(order("e1")))
    bench.commit()
    ledger = read_written("g1", bench.pages, bench.cursors())
    old = read_plan(Declarations(WITHOUT, 30 * 86_400_000, 10).fingerprint)
    new = read_plan(ledger.fingerprints[0])
    assert late_in({0: old}, new, ledger.cursors) == {DAY.id: {0}}
    later = {name: (start_ms + 86_400_000, end_ms, facts) for name, (start_ms, end_ms, facts) in new.festivals.items()}
    assert late_in({0: old}, dataclasses.replace(new, festivals=later), ledger.cursors) == {}
    assert late_in({0: old}, new, {}) == {}


@pytest.mark.parametrize("declared", [CHANNEL, TIP])
def test_a_partition_that_lacks_a_dimension_or_an_amount_is_late_where_it_may_have_begun(
    tmp_path: Path, declared: Declared
) -> None:
    """A festival that is about other topics has nothing to do with it."""
    bench = Bench(tmp_path)
    bench.send("orders", 0, encode(order("e1")))
    bench.commit()
    ledger = read_written("g1", bench.pages, bench.cursors())
    old = read_plan(ledger.fingerprints[0])
    new = read_plan(dataclasses.replace(bench.declarations, rollups=declared.rollups, facts=declared.facts).fingerprint)
    assert plan_of_all([old, new]) == plan_of_all([new, old]) == new
    late = late_in({0: old, 1: new}, new, ledger.cursors)
    assert late[DAY.id] == {0}
    assert "cardboard-day-2019" not in late
    later = {name: (start_ms + 86_400_000, end_ms, facts) for name, (start_ms, end_ms, facts) in new.festivals.items()}
    assert DAY.id not in late_in({0: old}, dataclasses.replace(new, festivals=later), ledger.cursors)


def test_an_amount_declared_since_is_zero_on_the_pages_of_before(tmp_path: Path) -> None:
    bench = Bench(tmp_path)
    bench.send("orders", 0, encode(order("e1")))
    bench.commit()
    ledger = read_written("g1", bench.pages, bench.cursors())
    pages = ledger.pages[DAY.id, "orders_by_second"]
    plan = read_plan(dataclasses.replace(bench.declarations, rollups=TIP.rollups, facts=TIP.facts).fingerprint)
    wide = next(rollup for rollup in plan.rollups if rollup.name == "orders_by_second")
    (columns,) = cell_columns(pages, wide)
    last = len(wide.measures) - 1
    assert wide.measures[last].name == "tip_minor"
    assert (columns["low0"].tolist(), columns[f"low{last}"].tolist()) == ([1], [0])


def test_a_festival_that_was_declared_late_is_not_compared_and_all_else_is(tmp_path: Path) -> None:
    """What one ledger called outside the other calls counted: their sum is compared."""
    bench = Bench(tmp_path, festivals=WITHOUT)
    bench.send("orders", 0, *(encode(order(f"e{n}", ts=START_MS + n)) for n in range(20)), b"{")
    bench.commit()
    ours = Declarations(ALL, bench.declarations.settle_ms, 10)
    key = (0, fingerprint_key("g1"))
    bench.pages[key] = ours.adopted(bench.pages[key], {"orders": 21}, RECORD_TIME_MS)
    ledger = read_written("g1", bench.pages, bench.cursors())
    assert plan_of(ledger).festivals.keys() == ALL.keys()
    assert ledger.late == {DAY.id: {0}}
    result = bench.audit(ledger)
    assert result.differences == []
    assert DAY.id not in result.totals
    result.festivals, result.late = (DAY.id, "cardboard-day-2019"), {DAY.id: [0]}
    assert not result.is_exact
    assert [verdict.exact for verdict in verdicts_of(result, 1)] == [False, True]
    (lacking,) = result.document()["lacking"]
    assert lacking.startswith(
        f"{DAY.id} could have begun when it, or something of it, was declared; partitions 0 count that from then on"
    )


def test_partitions_that_count_by_other_rules_cannot_be_audited(tmp_path: Path) -> None:
    bench = Bench(tmp_path)
    for partition in (0, 1):
        bench.send("orders", partition, encode(order("e1")))
    bench.commit()
    for other in (
        dataclasses.replace(bench.declarations, settle_ms=5),
        dataclasses.replace(bench.declarations, festivals={**ALL, DAY.id: dataclasses.replace(DAY, start_ms=0)}),
    ):
        bench.pages[1, fingerprint_key("g1")] = other.fingerprint
        with pytest.raises(UnreachableError, match="hold different fingerprints"):
            plan_of(read_written("g1", bench.pages, bench.cursors()))
