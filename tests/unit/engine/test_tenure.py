"""The life of a partition: signals in, effects out."""

from __future__ import annotations

from typing import TYPE_CHECKING

import pytest

from streams.domain.declarations import FingerprintError
from streams.engine import bounds
from streams.engine import effects as fx
from streams.engine import signals as sig
from streams.engine.lifecycle import State
from streams.engine.processor import WAITING_LIMIT_RECORDS, CountingError, PartitionProcessor
from tests.unit.domain.samples import declarations, festival
from tests.unit.engine.tenures import BOTH, EPOCH, LOGS, PAUSE_MS, SESSION_MS, Bench, empty, has, only

if TYPE_CHECKING:
    from collections.abc import Callable

    from streams.engine.checkpoint import Checkpoint


def positions(checkpoint: Checkpoint) -> dict[str, int]:
    return checkpoint.cursor.positions


def counted(bench: Bench) -> int:
    """Return how many orders are in the committed ledger."""
    assert bench.committed.cursor is not None
    return bench.committed.cursor.outcomes["orders"].get("counted", 0)


def test_a_takeover_fences_restores_looks_at_the_logs_and_commits_at_once() -> None:
    """So the partition has a cursor although nothing was counted, at the beginning of each log."""
    bench = Bench()
    asked = only(bench.assign(), fx.Survey)
    assert asked == fx.Survey(1, 1, ("orders", "payments"), {})
    assert only(bench.survey(asked), fx.Fence) == fx.Fence(1, "g1")
    assert only(bench.fence(), fx.Restore) == fx.Restore(1)
    bench.now_ms = 1_500
    found = bench.read_back()
    assert only(found, fx.Survey).epochs == {}, "nothing was read yet"
    found = bench.survey(only(found, fx.Survey))
    assert only(found, fx.TellTaken) == fx.TellTaken(None, {"orders": 0, "payments": 5}, 1_500)
    assert only(found, fx.Release).positions == {"orders": 0, "payments": 5}
    commit = only(found, fx.Commit)
    assert positions(commit.checkpoint) == {"orders": 0, "payments": 5}
    assert has(found, fx.TellCounting)
    assert bench.is_in(State.CUTTING)
    bench.commit(commit)
    assert bench.is_in(State.COUNTING)


def test_what_was_committed_is_gone_on_with() -> None:
    """At its position, whatever the log begins with."""
    bench = Bench()
    bench.counting()
    bench.deliver(0, 7)
    bench.commit(only(bench.wake(), fx.Commit))
    after = Bench(bench.committed)
    asked = only(after.place(), fx.Survey)
    assert asked.epochs == {"orders": EPOCH}, "of the last batch that was counted; of payments there was none"
    assert only(after.survey(asked), fx.Release).positions == {"orders": 7, "payments": 5}


def test_a_checkpoint_comes_at_the_interval_and_only_where_something_changed() -> None:
    """From the end of the one before."""
    bench = Bench()
    bench.counting()
    assert bench.tenure.wake_at_ms == PAUSE_MS
    bench.deliver(0, 3)
    bench.now_ms = PAUSE_MS - 1
    assert bench.on(sig.Woken()) == ()
    commit = only(bench.wake(), fx.Commit)
    bench.deliver(3, 2)
    assert bench.tenure.wake_at_ms is None
    bench.now_ms += 40
    told = only(bench.commit(commit), fx.TellCheckpoint)
    assert (told.elapsed_ms, told.span) == (40, tuple((1_573_401_601_000, 1) for _ in range(3)))
    assert bench.tenure.wake_at_ms == bench.now_ms + PAUSE_MS
    bench.commit(only(bench.wake(), fx.Commit))
    assert counted(bench) == 5
    bench.now_ms += bounds.GROUP_OFFSETS_MS
    bench.commit(only(bench.wake(), fx.Commit))
    assert bench.wake() == []
    assert bench.is_in(State.COUNTING)


def test_the_group_learns_positions_every_few_seconds_and_with_the_last_checkpoint() -> None:
    """They cost as much as everything else in a checkpoint."""
    bench = Bench()
    assert bench.cutting().checkpoint.positions
    bench.on(sig.Committed(1))
    bench.deliver(0)
    commit = only(bench.wake(), fx.Commit)
    assert not commit.checkpoint.positions
    bench.commit(commit)
    bench.now_ms = bounds.GROUP_OFFSETS_MS
    commit = only(bench.wake(), fx.Commit)
    assert commit.checkpoint.positions["orders"] == 1
    bench.commit(commit)
    bench.deliver(1)
    assert only(bench.on(sig.Revoked()), fx.Commit).checkpoint.positions["orders"] == 2


def test_far_behind_a_checkpoint_is_made_only_every_fourth_time() -> None:
    """A page that many batches touch is written once."""
    bench = Bench()
    bench.counting()
    for first in range(3):
        bench.deliver(first, age_ms=bounds.CATCH_UP_MS)
        assert bench.wake() == []
    bench.deliver(3, age_ms=bounds.CATCH_UP_MS)
    bench.commit(only(bench.wake(), fx.Commit))
    bench.deliver(4, age_ms=bounds.CATCH_UP_MS)
    assert bench.wake() == []
    assert has(bench.wake(), fx.Commit), "without a batch in a pause nothing is left to catch up with"


def test_a_slow_checkpoint_is_said() -> None:
    """With its size."""
    bench = Bench()
    commit = bench.cutting()
    bench.now_ms += bounds.SLOW_CHECKPOINT_MS
    assert not has(bench.commit(commit), fx.Say)
    bench.deliver(0)
    commit = only(bench.wake(), fx.Commit)
    bench.now_ms += bounds.SLOW_CHECKPOINT_MS + 1
    said = only(bench.commit(commit), fx.Say)
    assert said.fields == {"pages": len(commit.checkpoint.pages), "rejected": 0, "seconds": 2.001}
    assert said.is_warning


def test_a_revoked_ledger_is_committed_and_goes_on_where_it_stood() -> None:
    """A rebalance that deals the same partition again costs no restore, but the logs are looked at."""
    bench = Bench()
    bench.counting()
    bench.deliver(0, 7)
    commit = only(bench.on(sig.Revoked()), fx.Commit)
    assert bench.is_in(State.LEAVING)
    kept = bench.tenure.processor
    assert bench.deliver(7) == (), "nothing is counted while it leaves"
    bench.commit(commit)
    assert bench.is_in(State.IDLE)
    assert bench.tenure.wake_at_ms is None
    asked = only(bench.assign(), fx.Survey)
    assert not has(bench.survey(asked), fx.Commit), "nothing has changed"
    assert bench.tenure.processor is kept
    assert bench.position == 7


def test_a_partition_that_goes_while_a_checkpoint_is_under_way_commits_the_rest_after_it() -> None:
    """What was counted meanwhile."""
    bench = Bench()
    bench.counting()
    bench.deliver(0, 2)
    first = only(bench.wake(), fx.Commit)
    bench.deliver(2, 3)
    assert bench.on(sig.Revoked()) == ()
    second = only(bench.commit(first), fx.Commit)
    bench.commit(second)
    assert bench.is_in(State.IDLE)
    assert counted(bench) == 5


def test_a_partition_without_news_goes_at_once() -> None:
    """There is nothing to commit."""
    bench = Bench()
    bench.counting()
    assert bench.on(sig.Revoked()) == ()
    assert bench.is_in(State.IDLE)


def test_a_last_checkpoint_that_takes_too_long_is_given_up() -> None:
    """The group waits for it; its outcome is unknown, so the ledger is thrown away."""
    bench = Bench()
    bench.counting()
    bench.deliver(0, 5)
    commit = only(bench.on(sig.Revoked()), fx.Commit)
    bench.now_ms += bounds.FINAL_MS - 1
    assert bench.on(sig.Woken()) == ()
    assert bench.wake() == [fx.GiveUp(commit.takeover)]
    assert bench.is_in(State.IDLE)
    assert not bench.has_ledger()
    assert bench.on(sig.Committed(commit.takeover)) == (), "it comes too late"
    assert has(bench.assign(), fx.Survey)


def test_a_dismissed_partition_keeps_nothing() -> None:
    """Somebody else has it, or will."""
    bench = Bench()
    bench.counting()
    bench.on(sig.Revoked())
    assert bench.on(sig.Dismissed()) == [fx.GiveUp(1)]
    assert bench.is_in(State.ENDED)
    assert not bench.has_ledger()
    assert bench.assign() == ()


@pytest.mark.parametrize("is_durable", [True, False])
def test_a_checkpoint_of_unknown_outcome_is_followed_by_a_fresh_takeover(is_durable: bool) -> None:  # noqa: FBT001
    """Whether it was committed or not, the ledger goes on from what is."""
    bench = Bench()
    bench.counting()
    bench.deliver(0, 5)
    commit = only(bench.wake(), fx.Commit)
    bench.deliver(5, 2)
    if is_durable:
        bench.keep(commit)
    found = bench.on(sig.Failed(1, "no answer"))
    assert has(found, fx.TellFailed)
    assert only(found, fx.GiveUp) == fx.GiveUp(1)
    assert "Kafka is away" in only(found, fx.Say).text
    assert bench.is_in(State.WAITING)
    assert not bench.has_ledger()
    assert bench.tenure.wake_at_ms == bench.now_ms, "mostly it was an election"
    bench.survey(only(bench.wake(), fx.Survey))
    bench.fence()
    released = only(bench.survey(only(bench.read_back(), fx.Survey)), fx.Release)
    assert released.positions["orders"] == (5 if is_durable else 0)


def test_the_wait_after_a_failure_grows_until_a_checkpoint_succeeds() -> None:
    """A broker that is away is not asked all the time."""
    bench = Bench()
    bench.begin()
    waits = []
    for _ in range(6):
        bench.on(sig.Failed(bench.tenure.takeover, "away"))
        assert bench.tenure.wake_at_ms is not None
        waits.append(bench.tenure.wake_at_ms - bench.now_ms)
        bench.survey(only(bench.wake(), fx.Survey))
    limit = bounds.RETRY_LIMIT_MS
    assert waits == [0, bounds.RETRY_MS, 2 * bounds.RETRY_MS, limit, limit, limit]
    bench.fence()
    bench.commit(only(bench.survey(only(bench.read_back(), fx.Survey)), fx.Commit))
    bench.deliver(0)
    bench.wake()
    bench.on(sig.Failed(bench.tenure.takeover, "away"))
    assert bench.tenure.wake_at_ms == bench.now_ms


def test_a_fence_that_is_not_allowed_waits_and_is_tried_again() -> None:
    """It has nothing to do with what lies on the ledger."""
    bench = Bench()
    bench.begin()
    found = bench.on(sig.Failed(1, "User:ann may not Write on transactional-id festival-g1-3", is_denied=True))
    assert only(found, fx.TellWaiting).reason == "not_allowed"
    assert only(found, fx.Say).is_known, "who looks after the worker tells it once"
    assert bench.is_in(State.WAITING)


def test_a_fenced_owner_waits_until_the_group_would_have_told_it() -> None:
    """Taking the partition back at once would fence the rightful owner."""
    bench = Bench()
    bench.counting()
    bench.deliver(0)
    bench.wake()
    found = bench.on(sig.Refused(1, "newer"))
    assert "fenced by a newer owner" in only(found, fx.Say).text
    assert has(found, fx.TellTaking)
    assert bench.tenure.wake_at_ms == bench.now_ms + SESSION_MS * 3 // 2
    assert bench.on(sig.Revoked()) == [fx.GiveUp(2)]
    assert bench.is_in(State.IDLE)


def test_a_last_checkpoint_that_is_refused_ends_the_matter() -> None:
    """Nothing is taken over that the group has taken back."""
    bench = Bench()
    bench.counting()
    bench.deliver(0)
    bench.on(sig.Revoked())
    found = bench.on(sig.Refused(1, "newer"))
    assert not has(found, fx.TellTaking)
    assert bench.is_in(State.IDLE)
    assert not bench.has_ledger()


@pytest.mark.parametrize(
    "until", [Bench.assign, Bench.begin, lambda bench: (bench.begin(), bench.fence())], ids=["survey", "fence", "read"]
)
def test_a_takeover_that_is_under_way_when_the_partition_goes_is_broken_off(until: Callable[[Bench], object]) -> None:
    """A rebalance in the middle of another; the answer comes too late."""
    bench = Bench()
    until(bench)
    assert bench.on(sig.Revoked()) == [fx.GiveUp(1)]
    assert bench.is_in(State.IDLE)
    assert bench.on(sig.Fenced(1)) == ()


def test_a_ledger_that_was_read_back_is_kept_when_the_partition_goes_before_it_counts() -> None:
    """It is what is committed; an old answer about the logs is not taken for the new one."""
    bench = Bench()
    first = only(bench.place(), fx.Survey)
    assert bench.on(sig.Revoked()) == ()
    second = only(bench.assign(), fx.Survey)
    assert bench.survey(first) == ()
    assert bench.is_in(State.PLACING)
    assert has(bench.survey(second), fx.Commit)


def test_a_ledger_counted_under_other_declarations_ends_the_worker() -> None:
    """Counting on would mix two contracts in one total."""
    bench = Bench()
    bench.counting()
    other = Bench(bench.committed, declarations(festival("another"), rollups=BOTH.rollups))
    other.begin()
    other.fence()
    assert isinstance(only(other.read_back(), fx.Stop).error, FingerprintError)
    assert other.is_in(State.ENDED)


def test_a_hole_is_read_again_once() -> None:
    """Batches behind it are dropped: counting past a hole would lose what lies in it."""
    bench = Bench()
    bench.counting()
    bench.deliver(0, 3)
    found = bench.deliver(5, 2)
    assert only(found, fx.Release) == fx.Release(1, {"orders": 3})
    assert only(found, fx.Say).fields == {"topic": "orders", "position": 3, "found": 5}
    assert bench.deliver(7, 2) == ()
    bench.on(sig.Released(1, frozenset({"orders"})))
    bench.deliver(3, 6)
    assert bench.position == 9
    assert has(bench.deliver(11), fx.Release), "another hole is read again, too"


def test_a_hole_at_the_tail_is_seen_by_the_second_look() -> None:
    """No batch tells of it; what is still on its way is no hole."""
    bench = Bench()
    bench.counting()
    for _ in range(2):
        assert bench.on(sig.Looked({"orders": sig.Fetched(10, is_under_way=True)})) == []
    found = bench.on(sig.Looked({"orders": sig.Fetched(10, is_under_way=False)}))
    assert only(found, fx.Release).positions == {"orders": 0}
    assert bench.on(sig.Looked({"orders": sig.Fetched(10, is_under_way=False)})) == []
    bench.on(sig.Released(1, frozenset({"orders"})))
    bench.deliver(0, 10)
    for _ in range(2):
        assert bench.on(sig.Looked({"orders": sig.Fetched(10, is_under_way=False)})) == []


def test_a_look_at_a_source_that_moves_finds_no_hole() -> None:
    """Only twice the same picture is one."""
    bench = Bench()
    bench.counting()
    for fetched in (10, 20, 30):
        assert bench.on(sig.Looked({"orders": sig.Fetched(fetched, is_under_way=False)})) == []


def test_an_empty_batch_moves_the_position_and_says_nothing_of_delay() -> None:
    """Control records and aborted ones are offsets, too."""
    bench = Bench()
    bench.counting()
    assert bench.on(sig.Delivered(empty(0, 4), 0)) == [fx.TellBatch(0)]
    commit = only(bench.wake(), fx.Commit)
    assert positions(commit.checkpoint)["orders"] == 4
    assert only(bench.commit(commit), fx.TellCheckpoint).span == ()


def test_a_topic_is_read_again_while_a_checkpoint_is_under_way() -> None:
    """And the checkpoint is not made twice."""
    bench = Bench()
    bench.cutting()
    bench.on(sig.FetchFailed("orders", is_outside=False, detail="bad checksum"))
    assert bench.wake() == [fx.Release(1, {"orders": 0})]
    assert bench.is_in(State.CUTTING)


def test_many_rejected_records_force_a_checkpoint(monkeypatch: pytest.MonkeyPatch) -> None:
    """They wait in memory for it; where one is under way, the next follows it at once."""
    monkeypatch.setattr(bounds, "PENDING_REJECTED_LIMIT_BYTES", 10)
    bench = Bench()
    bench.counting()
    poison = b"not JSON at all"
    first = only(bench.deliver(0, WAITING_LIMIT_RECORDS, value=poison), fx.Commit)
    assert [record.value for record in first.checkpoint.rejected] == [poison] * WAITING_LIMIT_RECORDS
    assert not has(bench.deliver(WAITING_LIMIT_RECORDS, WAITING_LIMIT_RECORDS, value=poison), fx.Commit)
    second = only(bench.commit(first), fx.Commit)
    assert len(second.checkpoint.rejected) == WAITING_LIMIT_RECORDS
    bench.commit(second)
    assert bench.is_in(State.COUNTING)


def fail(*_: object) -> None:
    raise ZeroDivisionError


def test_a_fault_in_the_program_leaves_nothing_of_its_batch_behind(monkeypatch: pytest.MonkeyPatch) -> None:
    """A ledger that counted half a batch is never committed."""
    bench = Bench()
    bench.counting()
    assert isinstance(bench.tenure.processor, PartitionProcessor)
    monkeypatch.setattr(bench.tenure.processor.count_waiting(), "apply", fail)
    found = bench.deliver(0, WAITING_LIMIT_RECORDS)
    assert isinstance(only(found, fx.Stop).error, CountingError)
    assert has(found, fx.GiveUp)
    assert bench.is_in(State.ENDED)
    assert not bench.has_ledger()
    assert bench.on(sig.Revoked()) == ()


@pytest.mark.parametrize("ends", [sig.Woken(), sig.Revoked()])
def test_a_fault_found_by_a_checkpoint_ends_the_worker(ends: sig.Signal, monkeypatch: pytest.MonkeyPatch) -> None:
    """A few records wait for it to be counted."""
    bench = Bench()
    bench.counting()
    assert isinstance(bench.tenure.processor, PartitionProcessor)
    monkeypatch.setattr(bench.tenure.processor.count_waiting(), "apply", fail)
    bench.deliver(0, 5)
    bench.now_ms = PAUSE_MS
    found = bench.on(ends)
    assert "orders[3] offsets 0 to 4" in str(only(found, fx.Stop).error)
    assert not has(found, fx.Commit)
    assert bench.is_in(State.ENDED)


def test_a_fault_of_whoever_drives_it_ends_the_worker() -> None:
    """Whatever state it is in."""
    bench = Bench()
    bench.assign()
    error = ZeroDivisionError()
    assert bench.on(sig.Broken(error)) == [fx.GiveUp(1), fx.Stop(error)]
    assert bench.on(sig.Broken(error)) == (), "one reason is enough"


def test_what_cannot_come_is_asserted() -> None:
    """A driver that commits twice, or assigns what is assigned."""
    bench = Bench()
    bench.counting()
    with pytest.raises(AssertionError, match="cannot come while counting"):
        bench.on(sig.Committed(1))
    with pytest.raises(AssertionError, match="cannot come while counting"):
        bench.assign()


def test_every_log_is_asked_for_that_is_counted() -> None:
    """In the order of the declarations."""
    bench = Bench()
    assert list(only(bench.place(), fx.Survey).topics) == list(LOGS)
