"""The verdict of an audit: what it says of each festival, how it is recorded, what boards show of it."""

from __future__ import annotations

import json
import logging
from typing import TYPE_CHECKING

import pytest

from streams.audit.last_audit import LastAudit, write_record
from streams.audit.recorded import VerdictFollower
from streams.audit.result import AuditResult
from streams.audit.verdict import Verdict, decode_verdict, encode_verdict, verdicts_of
from streams.board.answers.screen import audit_document
from streams.board.answers.totals import totals_document
from streams.board.view.committed_view import CommittedView
from streams.engine.memory import CellLedger
from streams.festivals import load_festivals
from streams.settings import Settings
from streams.web.process import ANY_MEASURE, ProcessFacts

if TYPE_CHECKING:
    from pathlib import Path

DAY = load_festivals()["singles-day-2019"]
PLACES = {"orders": {"0": 7}}
EXACT = Verdict(DAY.id, "g1", exact=True, differences=0, positions=PLACES, began={"orders": {"0": 0}}, audited_ms=9)


def result() -> AuditResult:
    return AuditResult("g1", PLACES, {"orders": {"0": 0}}, ("a", "b"))


def test_a_difference_of_one_festival_speaks_against_it_and_a_common_one_against_all() -> None:
    found = result()
    assert [(v.festival, v.exact, v.differences) for v in verdicts_of(found, 9)] == [("a", True, 0), ("b", True, 0)]
    found.differs("orders", {"festival": "b", "rollup": "x"}, 2, 1)
    assert [(v.exact, v.differences) for v in verdicts_of(found, 9)] == [(True, 0), (False, 1)]
    found.differs("rejected_records", {"topic": "orders"}, 0, 1)
    assert [(v.exact, v.differences) for v in verdicts_of(found, 9)] == [(False, 1), (False, 2)]
    assert found.differing == 2


def test_a_ledger_that_lacks_a_partition_is_not_exact_for_any_festival() -> None:
    found = result()
    found.lacking = ["partition 3 is held"]
    assert [(v.exact, v.differences) for v in verdicts_of(found, 9)] == [(False, 0), (False, 0)]


def test_a_verdict_is_recorded_under_the_names_of_the_contract() -> None:
    key, value = encode_verdict(EXACT)
    assert key == DAY.id.encode()
    assert json.loads(value) == {
        "festival": DAY.id,
        "ledger": "g1",
        "exact": True,
        "differences": 0,
        "positions": {"orders": {"0": 7}},
        "from": {"orders": {"0": 0}},
        "audited_ms": 9,
    }
    assert decode_verdict(key, value) == EXACT


@pytest.mark.parametrize(
    ("key", "value"),
    [
        (b"x", encode_verdict(EXACT)[1]),
        (None, encode_verdict(EXACT)[1]),
        (DAY.id.encode(), b"{}"),
        (DAY.id.encode(), b"\xff"),
        (DAY.id.encode(), encode_verdict(EXACT)[1].replace(b"true", b'"yes"')),
        (DAY.id.encode(), encode_verdict(EXACT)[1].replace(b'"0":7', b'"0":-7')),
        (DAY.id.encode(), b'{"x":' + b"[" * 100_000),
    ],
)
def test_a_record_that_is_no_verdict_is_told_once_and_passed_over(
    key: bytes | None, value: bytes, caplog: pytest.LogCaptureFixture
) -> None:
    follower = VerdictFollower(Settings())
    with caplog.at_level(logging.WARNING, "festival.audits"):
        follower.take([(4, *encode_verdict(EXACT)), (5, key, value)])
    assert follower.verdicts() == {DAY.id: EXACT}
    assert [record.message for record in caplog.records] == ["a record that is no verdict"]
    assert vars(caplog.records[0])["offset"] == 5


def test_the_newest_verdict_counts_and_a_deleted_one_is_gone() -> None:
    follower = VerdictFollower(Settings())
    later = Verdict(DAY.id, "g1", exact=False, differences=3, positions={}, began={}, audited_ms=10)
    follower.take([(0, *encode_verdict(EXACT)), (1, *encode_verdict(later))])
    before = follower.verdicts()
    assert before == {DAY.id: later}
    follower.take([(2, DAY.id.encode(), None)])
    assert follower.verdicts() == {}
    assert before == {DAY.id: later}, "what a reader holds does not change"


def test_the_screen_is_told_whether_the_very_state_that_it_shows_was_audited() -> None:
    ledger, view = CellLedger(1), CommittedView()
    ledger.commit(0, {"orders": 7})
    view.feed(ledger.drain())
    shown = totals_document(view.snapshot(), DAY)
    assert audit_document(None, shown) is None
    assert audit_document(EXACT, shown) == {
        "exact": True,
        "differences": 0,
        "audited_ms": 9,
        "is_of_this_state": True,
    }
    for other in ({**shown, "ledger": "g2"}, {**shown, "positions": {"orders": {"0": 8}}}):
        document = audit_document(EXACT, other)
        assert document is not None
        assert (document["exact"], document["is_of_this_state"]) == (True, False)


def test_an_audit_that_ran_elsewhere_later_stands_in_the_metrics(tmp_path: Path) -> None:
    path, verdicts = tmp_path / "audit.json", [EXACT]
    facts = ProcessFacts(audit_record=path, verdicts=lambda: verdicts, started_ms=0)

    def shown() -> tuple[object, object]:
        read = {entry.name: read for entry, read in facts.readers()}
        return read["streams_audit_difference"](), read["streams_audit_timestamp_seconds"]()

    assert shown() == ([((ANY_MEASURE,), 0)], [((), 0.009)])
    write_record(path, LastAudit(9, {"orders": 1}))
    assert shown() == ([(("orders",), 1)], [((), 0.009)]), "the same audit: its measures are known here"
    verdicts.append(Verdict("b", "g1", exact=False, differences=3, positions={}, began={}, audited_ms=20))
    assert shown() == ([((ANY_MEASURE,), 3)], [((), 0.020)])
