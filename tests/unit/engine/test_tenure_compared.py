"""A partition that is counted is compared with its logs every few seconds, and held where they are not its own."""

from __future__ import annotations

from dataclasses import replace

import pytest

from streams.domain.pages import Identity
from streams.engine import bounds
from streams.engine import effects as fx
from streams.engine import signals as sig
from streams.engine.judgement import LogRange, Sources
from streams.engine.lifecycle import State
from streams.engine.status import HeldReason
from tests.unit.engine.tenures import EPOCH, PARTITION, Bench, has, only, sources

HERE = Identity(cluster="c", own={"festival.ledger": "l"}, topics={"orders": "o", "payments": "p"})
FINE = sources(identity=HERE)
ELSEWHERE = sources(identity=Identity(cluster="d", own={}, topics={}))
REPLACED = sources(identity=Identity(cluster="c", own={"festival.ledger": "new"}, topics={}))
REMADE = sources(identity=Identity(cluster="c", own={}, topics={"payments": "new"}))
LOST = sources(identity=HERE, epoch_ends={("orders", PARTITION): 3})
SHORT = sources(identity=HERE, orders=LogRange(0, 3, 3))
GONE = sources({"orders": 8, "payments": 0}, identity=HERE)
DELETED = sources(identity=HERE, orders=LogRange(50, 60, 60))


def counted() -> Bench:
    """Return a partition that has counted five orders since its last checkpoint."""
    bench = Bench()
    bench.commit(only(bench.survey(only(bench.place(), fx.Survey), FINE), fx.Commit))
    bench.deliver(0, 5)
    return bench


@pytest.mark.parametrize(
    ("seen", "reason"),
    [
        (ELSEWHERE, HeldReason.FOREIGN_CLUSTER),
        (REPLACED, HeldReason.LEDGER_REPLACED),
        (sources(ledger_partitions=0, identity=HERE), HeldReason.LEDGER_MISSING),
        (REMADE, HeldReason.LOG_REPLACED),
        (LOST, HeldReason.LOG_TRUNCATED),
    ],
)
@pytest.mark.parametrize("is_cutting", [False, True])
def test_what_is_seen_twice_in_a_row_holds_it_and_nothing_more_is_committed(
    seen: Sources, reason: HeldReason, *, is_cutting: bool
) -> None:
    """What was read since the last checkpoint may be of another log, and the ledger another one's."""
    bench = counted()
    if is_cutting:
        bench.wake()
    assert bench.compare(seen) == ()
    found = bench.compare(seen)
    assert only(found, fx.TellHeld).verdict.reason is reason
    assert has(found, fx.GiveUp)
    assert not has(found, fx.Commit)
    assert bench.tenure.is_at_rest, "everybody sees it: no note is left"


@pytest.mark.parametrize(("seen", "reason"), [(GONE, HeldReason.LOG_MISSING), (DELETED, HeldReason.LOG_DELETED)])
def test_what_was_read_before_a_log_went_is_right_and_committed(seen: Sources, reason: HeldReason) -> None:
    bench = counted()
    bench.compare(seen)
    commit = only(bench.compare(seen), fx.Commit)
    assert bench.is_in(State.LEAVING)
    assert only(bench.commit(commit), fx.TellHeld).verdict.reason is reason
    assert commit.checkpoint.cursor.positions["orders"] == 5


def test_what_is_seen_once_and_then_not_or_otherwise_holds_nothing() -> None:
    """Metadata may be stale, and an election under way."""
    bench = counted()
    for seen in (REMADE, FINE, REMADE, LOST, FINE, REPLACED):
        assert bench.compare(seen) == ()
    assert bench.is_in(State.COUNTING)


def test_a_look_compares_with_what_was_counted_when_it_began() -> None:
    bench = counted()
    before = bench.tenure.counted
    assert before is not None
    bench.deliver(5, 5)
    old = sig.Compared(bench.tenure.takeover, before, replace(SHORT, ranges={("orders", PARTITION): LogRange(0, 5, 5)}))
    assert bench.on(old) == ()
    assert bench.on(old) == (), "its position was 5, and is 10 by now"


def test_a_look_at_an_older_takeover_says_nothing() -> None:
    bench = counted()
    before = bench.tenure.counted
    assert before is not None
    for _ in range(2):
        assert bench.on(sig.Compared(bench.tenure.takeover - 1, before, REMADE)) == ()
    assert bench.is_in(State.COUNTING)


@pytest.mark.parametrize(("seen", "reason"), [(LOST, HeldReason.LOG_TRUNCATED), (SHORT, HeldReason.BEYOND_END)])
def test_a_takeover_looks_twice_at_a_log_that_seems_to_have_lost_its_tail(seen: Sources, reason: HeldReason) -> None:
    bench = counted()
    bench.commit(only(bench.wake(), fx.Commit))
    for holds in (True, False):
        after = Bench(bench.committed)
        asked = only(after.place(), fx.Survey)
        assert asked.epochs == {"orders": EPOCH}
        assert after.survey(asked, seen) == ()
        assert after.tenure.wake_at_ms == after.now_ms + bounds.LOOK_MS
        again = only(after.wake(), fx.Survey)
        assert after.survey(asked, seen) == (), "an older answer"
        found = after.survey(again, seen if holds else FINE)
        assert has(found, fx.TellHeld) == holds
        assert has(found, fx.TellCounting) != holds
        if holds:
            assert only(found, fx.TellHeld).verdict.reason is reason


def test_while_it_is_held_it_tells_what_holds_it_by_now() -> None:
    """A ledger that was deleted first, and then made again."""
    bench = counted()
    missing = sources(ledger_partitions=0, identity=HERE)
    bench.compare(missing)
    bench.compare(missing)
    assert bench.compare(missing) == []
    assert only(bench.compare(REPLACED), fx.TellHeld).verdict.reason is HeldReason.LEDGER_REPLACED
    assert bench.tenure.held is not None
    assert bench.tenure.held.reason is HeldReason.LEDGER_REPLACED
    assert bench.compare(FINE) == [], "the crew takes it over afresh then"


def test_a_misfit_is_unreadable_and_a_reason_that_comes_before_it_is_told_instead() -> None:
    bench = counted()
    bench.commit(only(bench.wake(), fx.Commit))
    after = Bench(replace(bench.committed, misfit="digest 7, not 8"))
    told = only(after.place(), fx.TellHeld).verdict
    assert told.reason is HeldReason.LEDGER_UNREADABLE
    assert told.detail == "digest 7, not 8: run `festival recount` to count again from the beginning of the log"
    assert after.compare(LOST) == [], "it comes behind"
    assert only(after.compare(REPLACED), fx.TellHeld).verdict.reason is HeldReason.LEDGER_REPLACED


def test_where_no_ledger_was_read_nothing_is_compared() -> None:
    bench = Bench()
    bench.begin()
    assert bench.tenure.counted is None
    bench.on(sig.Unreadable(1, "none of ours"))
    assert bench.is_in(State.HELD)
    assert bench.tenure.counted is None
