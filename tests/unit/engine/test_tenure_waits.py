"""A partition that waits for what a record needs, or for a right, goes on by itself."""

from __future__ import annotations

from typing import TYPE_CHECKING

from streams.engine import effects as fx
from streams.engine import signals as sig
from streams.engine.lifecycle import State
from streams.engine.processing import StallError
from tests.unit.engine.tenures import Bench, only

if TYPE_CHECKING:
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
    assert not any(isinstance(effect, fx.TellWaiting) for effect in found)
