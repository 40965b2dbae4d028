"""When a partition is held: going on would be guessing, and everybody is told."""

from __future__ import annotations

from dataclasses import replace
from typing import TYPE_CHECKING

import pytest

from streams.domain.pages import Identity
from streams.engine import bounds
from streams.engine import effects as fx
from streams.engine import signals as sig
from streams.engine.judgement import LogRange
from streams.engine.lifecycle import State
from streams.engine.status import HeldReason
from tests.unit.engine.tenures import EPOCH, Bench, empty, has, only, sources

if TYPE_CHECKING:
    from streams.engine.judgement import Sources


def counted(bench: Bench) -> int:
    """Return how many orders are in the committed ledger."""
    assert bench.committed.cursor is not None
    return bench.committed.cursor.outcomes["orders"].get("counted", 0)


@pytest.mark.parametrize(
    ("log", "reason"),
    [(LogRange(6, 9, 9), HeldReason.LOG_DELETED), (LogRange(0, 4, 4), HeldReason.BEYOND_END)],
)
def test_a_log_that_does_not_hold_the_position_holds_the_partition(log: LogRange, reason: HeldReason) -> None:
    """At the takeover; the sentence says where and what to do, and others see it too: no note is left."""
    bench = Bench()
    bench.counting()
    bench.deliver(0, 5)
    bench.commit(only(bench.wake(), fx.Commit))
    after = Bench(bench.committed)
    seen = sources(orders=log)
    found = after.survey(only(after.place(), fx.Survey), seen) or after.survey(only(after.wake(), fx.Survey), seen)
    told = only(found, fx.TellHeld).verdict
    assert (told.reason, told.topic) == (reason, "orders")
    assert "orders[3]: the ledger stands at offset 5" in told.detail
    assert "festival recount" in told.detail
    assert after.is_in(State.HELD)
    assert not after.has_ledger()
    assert after.tenure.held == told
    assert has(found, fx.GiveUp)
    assert not has(found, fx.LeaveNote)
    assert after.tenure.is_at_rest
    assert has(after.on(sig.Revoked()), fx.GiveUp)
    assert after.tenure.held is None
    assert has(after.assign(), fx.Survey)


def again(**topics: str) -> Identity:
    """Return the ids of topics of which some were made again."""
    return Identity(cluster="memory", own={}, topics={"orders": "o", "payments": "p"} | topics)


def test_a_topic_that_was_made_again_holds_the_partition_however_far_it_has_grown() -> None:
    """Its id is another one."""
    bench = Bench()
    bench.commit(only(bench.survey(only(bench.place(), fx.Survey), sources(identity=again())), fx.Commit))
    asked = only((bench.on(sig.Revoked()), bench.assign())[1], fx.Survey)
    told = only(bench.survey(asked, sources(identity=again(orders="new"))), fx.TellHeld).verdict
    assert (told.reason, told.topic) == (HeldReason.LOG_REPLACED, "orders")
    assert "orders was deleted and made again: its id was o, and is new" in told.detail


@pytest.mark.parametrize("log", [LogRange(5, 9, 9), LogRange(0, 5, 5)])
def test_a_position_at_the_edge_of_the_log_is_in_it(log: LogRange) -> None:
    """The log may be empty behind it, or before it."""
    bench = Bench()
    bench.counting()
    bench.deliver(0, 5)
    bench.commit(only(bench.wake(), fx.Commit))
    after = Bench(bench.committed)
    assert has(after.survey(only(after.place(), fx.Survey), sources(orders=log)), fx.Release)


@pytest.mark.parametrize(
    ("seen", "reason"),
    [
        (sources({"orders": 8, "payments": 0}), HeldReason.LOG_MISSING),
        (sources(ledger_partitions=2), HeldReason.NOT_IN_LEDGER),
        (sources(ledger_partitions=0), HeldReason.LEDGER_MISSING),
    ],
)
def test_topics_that_are_not_as_they_must_be_hold_the_partition_before_the_fence(
    seen: Sources, reason: HeldReason
) -> None:
    """Everybody sees it, so no note is left."""
    bench = Bench()
    found = bench.survey(only(bench.assign(), fx.Survey), seen)
    assert only(found, fx.TellHeld).verdict.reason is reason
    assert only(found, fx.GiveUp) == fx.GiveUp(1)
    assert not has(found, fx.LeaveNote)


def test_a_note_that_could_not_be_written_is_tried_again() -> None:
    """With how long the partition is held by then; what a newer owner finds holds."""
    bench = Bench()
    bench.now_ms = 90_000
    bench.begin()
    note = only(bench.on(sig.Unreadable(1, "offset 4 is none of ours")), fx.LeaveNote)
    assert note.held_ms == 0
    assert bench.on(sig.Failed(1, "away")) == []
    assert bench.wake() == [fx.LeaveNote(1, "g1", note.verdict, bounds.NOTE_MS)]
    assert bench.tenure.wake_at_ms is None
    assert not bench.tenure.is_at_rest
    assert "no note is left" in only(bench.on(sig.Refused(1, "newer")), fx.Say).text
    assert bench.tenure.is_at_rest
    assert "no note is left" in only(bench.on(sig.Unreadable(1, "strange")), fx.Say).text
    assert bench.on(sig.Noted(1)) == []
    assert bench.is_in(State.HELD)


def test_topics_on_different_workers_hold_the_partition() -> None:
    """Their ledger is one; but a topic that grows just now is dealt anew in a moment."""
    bench = Bench()
    asked = only(bench.assign(frozenset({"orders"})), fx.Survey)
    assert bench.survey(asked) == ()
    assert bench.tenure.wake_at_ms == bounds.COLOCATED_MS
    told = only(bench.wake(), fx.TellHeld).verdict
    assert (told.reason, told.topic) == (HeldReason.NOT_COLOCATED, "payments")
    assert "partition 3 of payments is not on this worker" in told.detail


def test_a_kept_ledger_does_not_go_on_without_one_of_its_topics() -> None:
    """It is given up before anything else."""
    bench = Bench()
    bench.counting()
    bench.on(sig.Revoked())
    found = bench.assign(frozenset({"orders"}))
    assert found[0] == fx.GiveUp(1)
    assert has(found, fx.Survey)
    assert not bench.has_ledger()


def test_a_topic_that_lacks_the_partition_is_found_out_with_the_ledger() -> None:
    """Only the ledger knows whether it was counted."""
    bench = Bench()
    asked = only(bench.assign(frozenset({"orders"})), fx.Survey)
    seen = sources({"orders": 8, "payments": 2})
    assert has(bench.survey(asked, seen), fx.Fence)
    bench.fence()
    told = only(bench.survey(only(bench.read_back(), fx.Survey), seen), fx.TellHeld).verdict
    assert told.reason is HeldReason.UNEQUAL_PARTITIONS


@pytest.mark.parametrize("takeover", ["fence", "restore"])
def test_a_ledger_that_cannot_be_read_holds_the_partition(takeover: str) -> None:
    """Said by the store."""
    bench = Bench()
    bench.begin()
    if takeover == "restore":
        bench.fence()
    told = only(bench.on(sig.Unreadable(1, "offset 4 is none of ours")), fx.TellHeld).verdict
    assert told.reason is HeldReason.LEDGER_UNREADABLE
    assert told.detail.startswith("offset 4 is none of ours: run `festival recount`")


def test_pages_without_a_cursor_hold_the_partition() -> None:
    """Found by the ledger itself."""
    bench = Bench()
    bench.counting()
    after = Bench(replace(bench.committed, cursor=None))
    told = only(after.place(), fx.TellHeld).verdict
    assert told.reason is HeldReason.LEDGER_UNREADABLE


def test_a_log_that_loses_records_while_it_is_read_holds_the_partition_after_a_last_checkpoint() -> None:
    """What was counted before is committed."""
    bench = Bench()
    bench.counting()
    bench.deliver(0, 5)
    asked = only(bench.on(sig.FetchFailed("orders", is_outside=True, detail="gone")), fx.Survey)
    assert (asked.topics, asked.epochs) == (("orders",), {"orders": EPOCH})
    commit = only(bench.survey(asked, sources(orders=LogRange(50, 60, 60))), fx.Commit)
    assert bench.is_in(State.LEAVING)
    assert bench.tenure.wake_at_ms is None, "nobody waits for it"
    assert only(bench.commit(commit), fx.TellHeld).verdict.reason is HeldReason.LOG_DELETED
    assert counted(bench) == 5


def test_a_verdict_without_news_holds_the_partition_at_once() -> None:
    """There is nothing to commit."""
    bench = Bench()
    bench.counting()
    asked = only(bench.on(sig.FetchFailed("payments", is_outside=True, detail="gone")), fx.Survey)
    assert has(bench.survey(asked, sources(payments=LogRange(50, 60, 60))), fx.TellHeld)
    assert bench.is_in(State.HELD)


def test_a_partition_that_goes_with_a_verdict_pending_is_not_held() -> None:
    """Whoever gets it finds out."""
    bench = Bench()
    bench.counting()
    bench.deliver(0, 5)
    asked = only(bench.on(sig.FetchFailed("orders", is_outside=True, detail="gone")), fx.Survey)
    commit = only(bench.survey(asked, sources(orders=LogRange(50, 60, 60))), fx.Commit)
    assert bench.on(sig.Revoked()) == ()
    assert bench.tenure.wake_at_ms == bench.now_ms + bounds.FINAL_MS
    bench.commit(commit)
    assert bench.is_in(State.IDLE)


def test_a_failed_last_checkpoint_before_a_verdict_is_followed_by_a_fresh_takeover() -> None:
    """Which comes to the same verdict."""
    bench = Bench()
    bench.counting()
    bench.deliver(0, 5)
    asked = only(bench.on(sig.FetchFailed("orders", is_outside=True, detail="gone")), fx.Survey)
    bench.survey(asked, sources(orders=LogRange(50, 60, 60)))
    bench.on(sig.Failed(1, "no answer"))
    assert bench.is_in(State.WAITING)


def test_a_fetch_outside_a_log_that_holds_the_position_is_tried_again_in_a_moment() -> None:
    """The broker that answered was behind the others."""
    bench = Bench()
    bench.counting()
    bench.deliver(0, 2)
    asked = only(bench.on(sig.FetchFailed("orders", is_outside=True, detail="gone")), fx.Survey)
    assert bench.survey(asked) == ()
    bench.now_ms = bounds.RETRY_MS
    found = bench.on(sig.Woken())
    assert only(found, fx.Release) == fx.Release(1, {"orders": 2})
    assert has(found, fx.Commit), "the checkpoint is due at the same time"
    assert not has(bench.on(sig.Woken()), fx.Release)


def test_damaged_bytes_hold_the_partition_when_they_stay_damaged() -> None:
    """A few times may be the network's fault, and a batch in between proves that they were."""
    bench = Bench()
    bench.counting()
    fault = sig.FetchFailed("orders", is_outside=False, detail="bad checksum")
    for _ in range(bounds.FAULTS_LIMIT):
        assert only(bench.on(fault), fx.Say).is_warning
        bench.now_ms += bounds.RETRY_MS
        assert only(bench.on(sig.Woken()), fx.Release).positions == {"orders": 0}
    bench.on(sig.Delivered(empty(0, 0), 0))
    for _ in range(bounds.FAULTS_LIMIT):
        bench.on(fault)
    told = only(bench.on(fault), fx.TellHeld).verdict
    assert told.reason is HeldReason.LOG_UNREADABLE
    assert told.detail.startswith("orders[3] at offset 0: bad checksum")


def test_a_partition_that_was_never_held_is_not_at_rest() -> None:
    """The process may end once all are: at a start nobody is held yet."""
    assert not Bench().tenure.is_at_rest
