"""A partition that waits for what a record needs, or for a right, goes on by itself."""

from __future__ import annotations

from typing import TYPE_CHECKING

from streams.engine import bounds
from streams.engine import effects as fx
from streams.engine import signals as sig
from streams.engine.lifecycle import State
from streams.engine.processing import StallError
from tests.unit.engine.tenures import Bench, has, only

if TYPE_CHECKING:
    from collections.abc import Sequence

    import pytest

    from streams.engine.batch import RecordBatch

PAUSE_MS = 250


def stalling(bench: Bench, monkeypatch: pytest.MonkeyPatch, reason: str) -> None:
    """Let the processor find that it cannot go on."""

    def stall(batch: RecordBatch) -> None:
        raise StallError(batch.topic, PAUSE_MS, reason, "schema 7 is not known")

    monkeypatch.setattr(bench.tenure.processor, "apply", stall)


def test_a_record_that_needs_what_is_not_there_is_read_again_after_its_pause(monkeypatch: pytest.MonkeyPatch) -> None:
    bench = Bench()
    bench.counting()
    stalling(bench, monkeypatch, "registry_away")
    found = bench.deliver(0, 5)
    assert found == [fx.HoldBack(), fx.TellWaiting("registry_away", "schema 7 is not known")]
    assert bench.is_in(State.COUNTING)
    assert bench.tenure.wake_at_ms == PAUSE_MS
    monkeypatch.undo()
    assert only(bench.wake(), fx.Release).positions == {"orders": 0}
    bench.on(sig.Released(bench.tenure.takeover, frozenset({"orders"})))
    assert bench.deliver(0, 5) == [fx.TellBatch(5)]
    assert bench.position == 5


def test_a_pause_of_a_moment_is_not_told(monkeypatch: pytest.MonkeyPatch) -> None:
    bench = Bench()
    bench.counting()
    stalling(bench, monkeypatch, "")
    assert bench.deliver(0, 5) == [fx.HoldBack()]


def test_what_was_fetched_behind_it_is_no_hole(monkeypatch: pytest.MonkeyPatch) -> None:
    """It is going to be read again anyway: neither a batch nor a look begins that earlier."""
    bench = Bench()
    bench.counting()
    stalling(bench, monkeypatch, "unknown_schema")
    bench.deliver(0, 5)
    monkeypatch.undo()
    assert bench.deliver(5, 5) == ()
    for _ in range(3):
        assert bench.on(sig.Looked({"orders": sig.Fetched(10, is_under_way=False)})) == []
    assert only(bench.wake(), fx.Release).positions == {"orders": 0}


def test_a_right_that_is_missing_is_told_as_what_is_waited_for() -> None:
    bench = Bench()
    commit = bench.cutting()
    found = bench.on(sig.Failed(commit.takeover, "TopicAuthorizationFailedError", is_denied=True))
    assert only(found, fx.TellWaiting) == fx.TellWaiting("not_allowed", "TopicAuthorizationFailedError")
    assert bench.is_in(State.WAITING)


def test_a_broker_that_is_away_is_waited_for_without_a_word_of_rights() -> None:
    bench = Bench()
    commit = bench.cutting()
    found = bench.on(sig.Failed(commit.takeover, "gone"))
    assert only(found, fx.TellWaiting) == fx.TellWaiting("broker_away", "gone")


def taken_over(bench: Bench) -> Sequence[fx.Effect]:
    """Take the partition over afresh, with the commit that each takeover begins with."""
    bench.survey(only(bench.wake(), fx.Survey))
    bench.fence()
    return bench.commit(only(bench.survey(only(bench.read_back(), fx.Survey)), fx.Commit))


def fail_at(bench: Bench, position: int, *, is_denied: bool = True) -> Sequence[fx.Effect]:
    """Count up to a position, and let the commit of it fail."""
    assert bench.tenure.processor is not None
    bench.deliver(bench.position, position - bench.position)
    commit = only(bench.wake(), fx.Commit)
    return bench.on(sig.Failed(commit.takeover, "orders.rejected", is_denied=is_denied))


def test_a_takeover_that_can_commit_nothing_new_does_not_end_the_trouble() -> None:
    """Else each one would be the first, with a line in the log and without a pause."""
    bench = Bench()
    bench.counting()
    fail_at(bench, 5)
    pauses = []
    for _ in range(4):
        found = taken_over(bench)
        assert not has(found, fx.TellGoesOn)
        found = fail_at(bench, 5)
        assert all(said.is_known for said in found if isinstance(said, fx.Say))
        assert bench.tenure.wake_at_ms is not None
        pauses.append(bench.tenure.wake_at_ms - bench.now_ms)
    assert pauses == [bounds.RETRY_MS, 2 * bounds.RETRY_MS, bounds.RETRY_LIMIT_MS, bounds.RETRY_LIMIT_MS]
    taken_over(bench)
    bench.deliver(0, 5)
    assert has(bench.commit(only(bench.wake(), fx.Commit)), fx.TellGoesOn)
    bench.deliver(5, 1)
    assert not has(bench.commit(only(bench.wake(), fx.Commit)), fx.TellGoesOn), "it is told once"


def test_where_nothing_is_left_to_count_the_trouble_ends_with_the_takeover() -> None:
    """The commit whose answer was lost was durable."""
    bench = Bench()
    bench.counting()
    bench.deliver(0, 5)
    commit = only(bench.wake(), fx.Commit)
    bench.keep(commit)
    bench.on(sig.Failed(commit.takeover, "no answer"))
    assert has(taken_over(bench), fx.TellGoesOn)


def test_a_transaction_that_the_broker_has_ended_is_taken_over_at_once() -> None:
    """The group says that nobody else has the partition; it is fenced by nobody."""
    bench = Bench()
    bench.counting()
    bench.deliver(0, 5)
    commit = only(bench.wake(), fx.Commit)
    found = bench.on(sig.Refused(commit.takeover, "epoch", is_dealt=True))
    assert "the broker ended its transaction" in only(found, fx.Say).text
    assert bench.tenure.wake_at_ms == bench.now_ms


def test_a_topic_that_may_not_be_read_is_read_again_and_never_held() -> None:
    bench = Bench()
    bench.counting()
    for _ in range(3 * bounds.FAULTS_LIMIT):
        found = bench.on(sig.FetchFailed("orders", is_outside=False, detail="User:ann may not Read", is_denied=True))
        assert found == [fx.TellWaiting("not_allowed", "User:ann may not Read")]
        assert bench.on(sig.Looked({})) == []
        assert has(bench.wake(), fx.Release)
    bench.now_ms += bounds.DENIED_MS
    assert bench.on(sig.Looked({})) == [fx.TellGoesOn()], "it refuses nothing any more, and may have no records"
    assert bench.on(sig.Looked({})) == []


def test_a_partition_that_goes_takes_its_trouble_along() -> None:
    """Whoever is dealt it next begins without, and would never tell that this one is over."""
    bench = Bench()
    bench.counting()
    fail_at(bench, 5)
    bench.on(sig.Revoked())
    assert has(bench.on(sig.Dismissed()), fx.TellGoesOn)
