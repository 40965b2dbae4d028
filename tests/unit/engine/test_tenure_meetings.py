"""Rare meetings: a log that turns out damaged, or a look that fails, while something else is under way."""

from __future__ import annotations

import pytest

from streams.engine import bounds
from streams.engine import effects as fx
from streams.engine import signals as sig
from streams.engine.judgement import LogRange
from streams.engine.lifecycle import State
from streams.engine.status import HeldReason
from tests.unit.engine.tenures import Bench, has, only, sources

DAMAGED = sig.FetchFailed("orders", is_outside=False, detail="crc")
OUTSIDE = sig.FetchFailed("orders", is_outside=True, detail="out of range")
DELETED = sources(orders=LogRange(600, 1_000, 1_000))


def cutting(bench: Bench) -> fx.Commit:
    """Go on to a checkpoint under way that holds five orders."""
    bench.counting()
    bench.deliver(0, 5)
    return only(bench.wake(), fx.Commit)


def held_after(bench: Bench, commit: fx.Commit) -> HeldReason:
    """Return why the partition is held once its checkpoints are durable: the last one tells the group."""
    last = only(bench.commit(commit), fx.Commit)
    return only(bench.commit(last), fx.TellHeld).verdict.reason


def test_what_was_counted_before_damaged_bytes_is_committed_first() -> None:
    bench = Bench()
    bench.counting()
    bench.deliver(0, 5)
    for _ in range(bounds.FAULTS_LIMIT):
        assert not has(bench.on(DAMAGED), fx.Commit)
    found = bench.on(DAMAGED)
    assert bench.is_in(State.LEAVING)
    told = only(bench.commit(only(found, fx.Commit)), fx.TellHeld).verdict
    assert told.reason is HeldReason.LOG_UNREADABLE
    assert bench.is_in(State.HELD)


def test_damaged_bytes_met_while_a_checkpoint_is_under_way_hold_the_partition_after_it() -> None:
    bench = Bench()
    commit = cutting(bench)
    for _ in range(bounds.FAULTS_LIMIT + 1):
        assert not has(bench.on(DAMAGED), fx.Commit)
    assert bench.is_in(State.LEAVING)
    assert held_after(bench, commit) is HeldReason.LOG_UNREADABLE


def test_a_log_deleted_beyond_the_position_holds_the_partition_after_the_checkpoint_under_way() -> None:
    bench = Bench()
    commit = cutting(bench)
    assert bench.survey(only(bench.on(OUTSIDE), fx.Survey), DELETED) == ()
    assert bench.is_in(State.LEAVING)
    assert held_after(bench, commit) is HeldReason.LOG_DELETED


def test_a_fetch_from_outside_of_a_log_that_holds_the_position_is_made_again() -> None:
    bench = Bench()
    commit = cutting(bench)
    assert bench.survey(only(bench.on(OUTSIDE), fx.Survey)) == ()
    assert bench.is_in(State.CUTTING)
    bench.commit(commit)
    bench.now_ms += bounds.RETRY_MS
    assert only(bench.on(sig.Woken()), fx.Release).positions == {"orders": 5}


def test_a_look_that_fails_while_counting_is_made_again_when_the_fetch_fails_again() -> None:
    bench = Bench()
    commit = cutting(bench)
    asked = only(bench.on(OUTSIDE), fx.Survey)
    assert not has(bench.on(sig.Unseen(asked.takeover, "away", request=asked.request)), fx.TellFailed)
    assert bench.is_in(State.CUTTING)
    bench.commit(commit)
    bench.now_ms += bounds.RETRY_MS
    assert only(bench.on(sig.Woken()), fx.Release).positions == {"orders": 5}
    assert only(bench.on(OUTSIDE), fx.Survey).request > asked.request


def test_a_release_that_fails_ends_in_a_fresh_takeover() -> None:
    """What was counted since the last checkpoint is counted again."""
    bench = Bench()
    bench.counting()
    bench.deliver(0, 5)
    assert has(bench.on(sig.Failed(bench.tenure.takeover, "away")), fx.TellFailed)
    assert bench.is_in(State.WAITING)
    assert not bench.has_ledger()


def test_a_fence_that_a_newer_generation_refuses_is_tried_again() -> None:
    """A recount switched, and this worker does not know of it yet."""
    bench = Bench()
    fence = only(bench.begin(), fx.Fence)
    found = bench.on(sig.Refused(fence.takeover, "generation g2 is current"))
    assert not has(found, fx.TellFailed), "nothing was counted on"
    assert bench.is_in(State.WAITING)
    assert has(bench.wake(), fx.Survey)


@pytest.mark.parametrize("answer", [sig.Refused(1, "a newer owner"), sig.Failed(1, "away")], ids=["refused", "failed"])
def test_a_last_checkpoint_that_is_not_known_to_be_durable_takes_the_ledger_with_it(answer: sig.Answer) -> None:
    """Whoever has the partition next restores what is committed."""
    bench = Bench()
    bench.counting()
    bench.deliver(0, 5)
    only(bench.on(sig.Revoked()), fx.Commit)
    assert has(bench.on(answer), fx.TellFailed)
    assert bench.is_in(State.IDLE)
    assert not bench.has_ledger()
    assert has(bench.assign(), fx.Survey)


@pytest.mark.parametrize("answer", [sig.Refused(1, "a newer owner"), sig.Failed(1, "away")], ids=["refused", "failed"])
def test_a_partition_to_be_held_whose_checkpoint_fails_is_taken_over_first(answer: sig.Answer) -> None:
    """The takeover finds out for itself whether it has to be held."""
    bench = Bench()
    cutting(bench)
    bench.survey(only(bench.on(OUTSIDE), fx.Survey), DELETED)
    assert bench.is_in(State.LEAVING)
    bench.on(answer)
    assert bench.is_in(State.WAITING)
    assert has(bench.wake(), fx.Survey)
