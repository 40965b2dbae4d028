"""Festivals that were declared while a ledger was counted: which partitions may have counted their records before."""

from __future__ import annotations

import dataclasses

import orjson
import pytest

from streams.board.answers.totals import totals_of
from streams.board.view.committed_view import CommittedView, Snapshot
from streams.domain.declarations import Declarations
from streams.domain.declared import Amount, Declared
from streams.domain.dimensions import Dimension
from streams.domain.pages import fingerprint_key
from streams.engine.judgement import Judgement
from streams.engine.memory import CellLedger
from streams.festivals import load_festivals

DAY = load_festivals()["singles-day-2019"]
NEXT = dataclasses.replace(DAY, id="next", start_ms=DAY.start_ms + 10**9, end_ms=DAY.end_ms + 10**9)
BEGINS_MS = NEXT.start_ms - 300_000
OLD, NEW = (Declarations({f.id: f for f in known}, 0, 0).fingerprint for known in ((DAY,), (DAY, NEXT)))
LATE = orjson.dumps({**orjson.loads(NEW), "late": {NEXT.id: {"orders": 3}}})
CHANNEL = Declared((Dimension("orders", "channel"),))
TIP = Declared((), (Amount("orders", "tip_minor"),))
WHOLE = Judgement(partitions=2)


def seen(*fingerprints: bytes, newest_ms: int) -> Snapshot:
    """Return the view of a ledger whose partitions are counted under these, up to this record time."""
    ledger, view = CellLedger(len(fingerprints)), CommittedView()
    for partition, fingerprint in enumerate(fingerprints):
        ledger.write(partition, fingerprint_key("g1"), fingerprint)
        ledger.commit(partition, {"orders": 5}, {"orders": newest_ms})
    view.feed(ledger.drain())
    return view.snapshot()


def test_a_partition_that_does_not_know_a_festival_is_right_until_it_may_have_begun() -> None:
    before, after = seen(NEW, OLD, newest_ms=BEGINS_MS - 1), seen(NEW, OLD, newest_ms=BEGINS_MS)
    assert (before.late_partitions(NEXT.id), after.late_partitions(NEXT.id)) == ([], [1])
    assert [totals_of(one, NEXT, judgement=WHOLE).complete for one in (before, after)] == [True, False]
    assert totals_of(after, DAY, judgement=WHOLE).complete


def test_what_a_partition_began_late_stays_late() -> None:
    snapshot = seen(LATE, NEW, newest_ms=0)
    assert snapshot.late_partitions(NEXT.id) == [0]
    assert snapshot.late_partitions(DAY.id) == snapshot.late_partitions("nobody's") == []


def test_whatever_partition_was_read_last_every_festival_is_known() -> None:
    for order in ((NEW, OLD), (OLD, NEW)):
        assert seen(*order, newest_ms=0).fingerprint.festivals.keys() == {DAY.id, NEXT.id}


@pytest.mark.parametrize("declared", [CHANNEL, TIP])
def test_a_dimension_and_an_amount_are_known_as_wide_as_any_partition_has_them(declared: Declared) -> None:
    """A partition that lacks them is right for what cannot have begun, and for what is not about their topic."""
    boxes = dataclasses.replace(NEXT, id="boxes", facts=("recycling",))
    old = Declarations({f.id: f for f in (DAY, NEXT, boxes)}, 0, 0)
    new = dataclasses.replace(old, facts=declared.facts, rollups=declared.rollups)
    for prints in ((old.fingerprint, new.fingerprint), (new.fingerprint, old.fingerprint)):
        before, after = (seen(*prints, newest_ms=newest_ms) for newest_ms in (BEGINS_MS - 1, BEGINS_MS))
        lacking = [prints.index(old.fingerprint)]
        assert [before.late_partitions(one) for one in (DAY.id, NEXT.id, "boxes")] == [lacking, [], []]
        assert [after.late_partitions(one) for one in (DAY.id, NEXT.id, "boxes")] == [lacking, lacking, []]
        assert before.fingerprint.rollups == declared.rollups
        assert set(declared.rollups) <= set(before.rollups)
