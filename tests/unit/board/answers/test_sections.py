"""One declaration per fact: whatever a rollup keeps is shown, under a name that its value has."""

from __future__ import annotations

import dataclasses
from typing import TYPE_CHECKING

import pytest

from streams.audit.verdict import Verdict
from streams.board.answers import gauges
from streams.board.answers.documents import totals_json
from streams.board.answers.screen import audit_document
from streams.board.answers.sections import HOME, MAINS, MONEY, SECTIONS, Section
from streams.board.answers.totals import rows_of, totals_document, totals_of
from streams.board.answers.values import Home, Row, Totals
from streams.board.view.committed_view import CommittedView
from streams.domain.built_in import DIMENSIONS, ROLLUPS
from streams.domain.facts import FACTS
from streams.engine.memory import CellLedger
from streams.festivals import load_festivals
from streams.web.exposition import FestivalCollector
from streams.web.shown import Shown

if TYPE_CHECKING:
    from streams.board.view.committed_view import Snapshot
    from streams.domain.rollups import Rollup

FESTIVALS = load_festivals()
DAY = FESTIVALS["singles-day-2019"]


def counted() -> Snapshot:
    """Return a state in which each measure of each rollup without a dimension is 1."""
    ledger, view = CellLedger(1), CommittedView()
    for rollup in ROLLUPS:
        group = (*(["a"] if rollup.dimension else []), *(["CNY"] if rollup.currency else []))
        ones = {measure.name: 1 for measure in rollup.measures}
        ledger.add(0, DAY, rollup.name, group, DAY.start_ms, **ones)
    ledger.commit(0, {"orders": 1})
    view.feed(ledger.drain())
    return view.snapshot()


def test_each_whole_number_of_points_grows_a_tree() -> None:
    boxes = dataclasses.replace(DAY, points_per_tree=17)
    ledger, view = CellLedger(1), CommittedView()
    ledger.add(0, boxes, "recycling_by_second", (), DAY.start_ms, points=17 * 3 + 16)
    ledger.commit(0, {"recycling": 1})
    view.feed(ledger.drain())
    recycling = totals_document(view.snapshot(), boxes)["recycling"]
    assert (recycling["points"], recycling["trees"]) == (67, 3)


def test_the_screen_is_told_of_an_audit_and_whether_it_was_of_this_very_state() -> None:
    totals = totals_document(counted(), DAY)
    verdict = Verdict(
        DAY.id, totals["ledger"], exact=False, differences=2, positions=totals["positions"], began={}, audited_ms=9
    )
    assert audit_document(None, totals) is None
    assert audit_document(verdict, totals) == {
        "exact": False,
        "differences": 2,
        "audited_ms": 9,
        "is_of_this_state": True,
    }


def test_each_fact_has_a_section_and_something_it_is_about() -> None:
    assert {section.topic for section in SECTIONS} == set(FACTS)
    assert {main.fact for main in MAINS} == set(FACTS)
    assert [main.place for main in MAINS] == list(range(len(MAINS)))
    for main in MAINS:
        assert main.measure in MONEY if main.is_money else main.measure == main.count
        assert set(main.panels) <= {rollup.dimension for rollup in ROLLUPS if rollup.fact == main.fact}


@pytest.mark.parametrize("section", SECTIONS, ids=lambda section: section.name)
def test_what_a_section_names_is_a_field_of_the_values(section: Section) -> None:
    held = section.part or Totals
    assert {*section.counts, *section.lines, *section.order} <= set(held.__struct_fields__)
    assert set(section.told({}, DAY)) == set(section.untold()) <= {*Totals.__struct_fields__, *Row.__struct_fields__}
    assert set(section.home) <= set(section.money) & set(Home.__struct_fields__)


@pytest.mark.parametrize("rollup", [rollup for rollup in ROLLUPS if not rollup.dimension], ids=lambda r: r.name)
def test_each_measure_that_is_kept_is_shown_by_one_section(rollup: Rollup) -> None:
    (section,) = [section for section in SECTIONS if section.is_kept_by(rollup)]
    assert rollup.name == f"{section.name}_by_second"
    shown = {*section.counts, *(name for terms in section.money.values() for _, name in terms)}
    assert shown == {measure.name for measure in rollup.measures}


@pytest.mark.parametrize("dimension", DIMENSIONS)
def test_rows_alone_are_those_of_the_totals(dimension: str) -> None:
    snapshot = counted()
    totals = totals_of(snapshot, DAY, by=dimension)
    assert rows_of(snapshot, DAY, dimension) == totals.by
    assert totals_json(totals) == totals_document(snapshot, DAY, by=dimension)
    (row,) = totals_json(totals)["by"]
    assert next(iter(row.items())) == (dimension, "a")


def test_a_fact_that_is_counted_is_shown_in_full() -> None:
    totals = totals_of(counted(), DAY)
    assert {name: getattr(totals.home, name) for name in HOME} == {"gross": 1, "net": -1, "paid": 1}
    for section in SECTIONS:
        if section.counts:
            assert {getattr(section.holder(totals), name) for name in section.counts} == {1}, section.name
    assert totals.money["CNY"] == dict.fromkeys(MONEY, 1) | {"net": -1}
    assert totals.payer["CNY"] == dict.fromkeys(("paid", "refunded", "transport", "duty"), 1)


def test_a_scrape_makes_the_totals_of_each_festival_once(monkeypatch: pytest.MonkeyPatch) -> None:
    made: list[str] = []

    def counting(snapshot: Snapshot, festival: object, **question: object) -> Totals:
        (known,) = [f for f in FESTIVALS.values() if f == festival]
        made.append(known.id)
        return totals_of(snapshot, known, **question)  # type: ignore[arg-type] # as it was asked

    monkeypatch.setattr(gauges, "totals_of", counting)
    assert list(FestivalCollector(Shown(FESTIVALS, counted).scenes).collect())
    assert sorted(made) == sorted(FESTIVALS)


def test_a_section_has_some_where_any_of_its_money_was_counted() -> None:
    """A currency that was only refunded is told as well."""
    for section in SECTIONS:
        names = [name for terms in section.money.values() for _, name in terms]
        assert not section.has_some({})
        assert all(section.has_some({name: {"CNY": 0}}) is True for name in names)
    assert any(len({name for terms in s.money.values() for _, name in terms}) > 1 for s in SECTIONS)
