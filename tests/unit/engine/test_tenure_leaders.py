"""Records of a newer leader wait for a look: its election may have cost the log records that are counted."""

from __future__ import annotations

from dataclasses import replace
from typing import TYPE_CHECKING

import pytest

from streams.engine import bounds
from streams.engine import effects as fx
from streams.engine import signals as sig
from streams.engine.lifecycle import State
from streams.engine.status import HeldReason
from tests.unit.engine.tenures import EPOCH, PARTITION, Bench, batch, empty, has, only, sources

if TYPE_CHECKING:
    from streams.engine.judgement import Sources

ORDERS, PAYMENTS = ("orders", PARTITION), ("payments", PARTITION)
WHOLE = sources(epoch_ends={ORDERS: 5})
LOST = sources(epoch_ends={ORDERS: 3})
UNKNOWN = sources(epoch_ends={ORDERS: -1})


def counted() -> Bench:
    """Return a partition that has counted five orders."""
    bench = Bench()
    bench.counting()
    bench.deliver(0, 5)
    return bench


def released(bench: Bench) -> None:
    """Let the topics flow that are to be read again now."""
    release = only(bench.wake(), fx.Release)
    assert release.positions == {"orders": 5}
    bench.on(sig.Released(release.takeover, frozenset(release.positions)))


def test_an_ordinary_change_of_leaders_costs_one_look_and_nothing_else() -> None:
    bench = counted()
    takeover = bench.tenure.takeover
    asked = only(bench.deliver(5, 3, epoch=EPOCH + 2), fx.Survey)
    assert (asked.topics, asked.epochs) == (("orders",), {"orders": EPOCH})
    assert bench.position == 5
    assert bench.survey(asked, WHOLE) == ()
    released(bench)
    for first, epoch in ((5, EPOCH + 1), (6, EPOCH + 2), (7, EPOCH + 2)):
        assert only(bench.deliver(first, epoch=epoch), fx.TellBatch).records == 1
    assert bench.position == 8
    assert (bench.tenure.takeover, bench.tenure.state) == (takeover, State.COUNTING)
    assert has(bench.deliver(8, epoch=EPOCH + 3), fx.Survey), "each election may cost records"


def test_what_is_delivered_while_a_batch_waits_is_read_again_after_the_look() -> None:
    """It was fetched before anybody looked. Neither a second look nor a rewind comes of it."""
    bench = counted()
    asked = only(bench.deliver(5, 3, epoch=EPOCH + 1), fx.Survey)
    for first, epoch in ((8, EPOCH + 1), (5, EPOCH), (12, EPOCH + 2)):
        assert bench.deliver(first, epoch=epoch) == ()
    for _ in range(2):
        assert bench.on(sig.Looked({"orders": sig.Fetched(13, is_under_way=False)})) == []
    bench.survey(asked, WHOLE)
    assert bench.deliver(8, epoch=EPOCH + 1) == (), "it is not released yet"
    released(bench)
    assert bench.position == 5


def test_control_records_of_a_newer_leader_wait_as_well() -> None:
    bench = counted()
    of_another = replace(empty(5, 6), leader_epoch=EPOCH + 1)
    assert has(bench.on(sig.Delivered(of_another, 0)), fx.Survey)
    assert bench.position == 5


@pytest.mark.parametrize("seen", [LOST, UNKNOWN], ids=["ends before", "is not known"])
@pytest.mark.parametrize("is_cutting", [False, True])
def test_where_the_leader_of_what_is_counted_ends_before_the_position_the_log_is_held(
    *, seen: Sources, is_cutting: bool
) -> None:
    bench = counted()
    if is_cutting:
        bench.wake()
    assert bench.survey(only(bench.deliver(5, 40, epoch=EPOCH + 1), fx.Survey), seen) == ()
    bench.now_ms += bounds.LOOK_MS
    assert has(bench.on(sig.Woken()), fx.Release)
    found = bench.survey(only(bench.deliver(5, 40, epoch=EPOCH + 1), fx.Survey), seen)
    assert only(found, fx.TellHeld).verdict.reason is HeldReason.LOG_TRUNCATED
    assert has(found, fx.GiveUp)
    assert not has(found, fx.Commit)


def test_a_loss_that_is_seen_once_and_not_again_holds_nothing() -> None:
    """A leader that was elected just now may not know yet how far its log goes."""
    bench = counted()
    bench.survey(only(bench.deliver(5, epoch=EPOCH + 1), fx.Survey), LOST)
    assert bench.tenure.wake_at_ms is not None
    bench.commit(only(bench.wake(), fx.Commit))
    bench.now_ms = bounds.LOOK_MS
    bench.on(sig.Woken())
    bench.survey(only(bench.deliver(5, epoch=EPOCH + 1), fx.Survey), WHOLE)
    bench.wake()
    bench.deliver(5, epoch=EPOCH + 1)
    assert bench.position == 6


def test_a_log_that_was_read_by_nobody_needs_no_look() -> None:
    bench = Bench()
    bench.counting()
    assert has(bench.deliver(0, epoch=EPOCH + 7), fx.TellBatch)
    assert bench.position == 1


def test_neither_a_batch_from_below_the_position_nor_one_that_names_no_leader_needs_a_look() -> None:
    bench = counted()
    assert has(bench.deliver(3, 2, epoch=EPOCH - 1), fx.TellBatch)
    assert has(bench.deliver(5, 2, epoch=None), fx.TellBatch)
    assert bench.position == 7


def test_an_older_leader_behind_a_newer_one_needs_a_look() -> None:
    """In one log epochs never go back."""
    bench = counted()
    assert has(bench.deliver(5, epoch=EPOCH - 1), fx.Survey)


def test_the_look_of_a_takeover_counts_for_all_leaders_until_then() -> None:
    bench = counted()
    bench.commit(only(bench.wake(), fx.Commit))
    after = Bench(bench.committed)
    seen = sources(epoch_ends={ORDERS: 5}, leader_epochs={ORDERS: EPOCH + 3, ("orders", PARTITION + 1): EPOCH + 9})
    after.commit(only(after.survey(only(after.place(), fx.Survey), seen), fx.Commit))
    assert has(after.deliver(5, epoch=EPOCH + 3), fx.TellBatch)
    assert has(after.deliver(6, epoch=EPOCH + 4), fx.Survey)


def test_a_look_counts_for_all_leaders_until_then() -> None:
    """So a log with many of them is read anew with one look."""
    bench = counted()
    asked = only(bench.deliver(5, epoch=EPOCH + 1), fx.Survey)
    bench.survey(asked, sources(epoch_ends={ORDERS: 5}, leader_epochs={ORDERS: EPOCH + 6}))
    released(bench)
    assert has(bench.deliver(5, epoch=EPOCH + 6), fx.TellBatch)


@pytest.mark.parametrize("is_denied", [False, True])
def test_a_look_that_fails_is_made_again_and_nothing_is_given_up(*, is_denied: bool) -> None:
    """Right after an election metadata may name the leader before."""
    bench = counted()
    asked = only(bench.deliver(5, epoch=EPOCH + 1), fx.Survey)
    found = bench.on(sig.Unseen(asked.takeover, "not the leader", is_denied, asked.request))
    assert has(found, fx.TellWaiting) == is_denied
    assert has(found, fx.Say) != is_denied
    assert bench.is_in(State.COUNTING)
    bench.now_ms = bounds.RETRY_MS
    assert has(bench.on(sig.Woken()), fx.Release)
    again = only(bench.deliver(5, epoch=EPOCH + 1), fx.Survey)
    assert bench.on(sig.Unseen(asked.takeover, "late", request=asked.request)) == ()
    assert again.request > asked.request


def test_only_the_newest_look_counts_and_it_is_at_all_topics_that_wait() -> None:
    """An older one may be from before the newer topic's batch was fetched."""
    bench = counted()
    payment = replace(batch(5, 2), topic="payments", values=[b"{}"] * 2)
    bench.on(sig.Delivered(payment, 0))
    first = only(bench.deliver(5, epoch=EPOCH + 1), fx.Survey)
    second = only(bench.on(sig.Delivered(replace(payment, start=7, next_offset=9, leader_epoch=9), 0)), fx.Survey)
    assert (second.topics, second.epochs) == (("orders", "payments"), {"orders": EPOCH, "payments": EPOCH})
    assert bench.survey(first, sources(epoch_ends={ORDERS: 5})) == ()
    assert bench.tenure.wake_at_ms != bench.now_ms
    bench.survey(second, sources(epoch_ends={ORDERS: 5, PAYMENTS: 7}))
    released_now = [effect.positions for effect in bench.wake() if isinstance(effect, fx.Release)]
    assert released_now == [{"orders": 5}, {"payments": 7}]
