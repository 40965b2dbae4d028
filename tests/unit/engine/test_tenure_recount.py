"""The life of a partition that a recount counts: nobody deals it, so what is taken from it stays taken."""

from __future__ import annotations

from typing import TYPE_CHECKING

import pytest

from streams.engine import effects as fx
from streams.engine import signals as sig
from streams.engine.checkpoint import OutcomeUnknownError
from streams.engine.crew import Crew, Dealt, To
from streams.engine.lifecycle import State
from tests.unit.engine.tenures import BOTH, PARTITION, TOPICS, Bench, only

if TYPE_CHECKING:
    from collections.abc import Callable

TRIES = 3


def fencing(bench: Bench) -> None:
    bench.begin()


def restoring(bench: Bench) -> None:
    bench.begin()
    bench.fence()


def cutting(bench: Bench) -> None:
    bench.cutting()


def leaving(bench: Bench) -> None:
    bench.counting()
    bench.deliver(0)
    bench.on(sig.Revoked())


@pytest.mark.parametrize("reach", [fencing, restoring, cutting, leaving])
def test_a_newer_owner_is_given_way_to_for_good(reach: Callable[[Bench], None]) -> None:
    """It says so, and nothing brings the partition back."""
    bench = Bench(gives_way=True)
    reach(bench)
    assert bench.on(sig.Refused(1, "fenced")) == [fx.Say("partition handed over", {"generation": "g1"}), fx.GiveUp(1)]
    assert bench.is_in(State.ENDED)
    assert not bench.has_ledger()
    assert bench.tenure.wake_at_ms is None
    assert bench.on(sig.Assigned(TOPICS)) == bench.on(sig.Revoked()) == ()


def fail(bench: Bench) -> list[fx.Effect]:
    failed = sig.Unseen if bench.is_in(State.SURVEYING) else sig.Failed
    return list(bench.on(failed(bench.tenure.takeover, "no leader")))


def test_failures_in_a_row_end_the_process() -> None:
    """The next try would come too late for whoever waits for the command."""
    bench = Bench(tries=TRIES)
    bench.assign()
    for _ in range(TRIES - 1):
        fail(bench)
        assert bench.is_in(State.WAITING)
        bench.wake()
    takeover = bench.tenure.takeover
    given_up, stop = fail(bench)
    assert given_up == fx.GiveUp(takeover)
    assert isinstance(stop, fx.Stop)
    assert isinstance(stop.error, OutcomeUnknownError)
    assert str(stop.error) == "no leader"
    assert bench.is_in(State.ENDED)


def test_a_checkpoint_in_between_lets_them_begin_anew() -> None:
    """The broker was there."""
    bench = Bench(tries=2)
    bench.assign()
    for _ in range(TRIES):
        fail(bench)
        found = bench.wake()
        bench.survey(only(found, fx.Survey))
        bench.fence()
        bench.commit(only(bench.survey(only(bench.read_back(), fx.Survey)), fx.Commit))
        assert bench.is_in(State.COUNTING)


def test_a_failed_last_checkpoint_counts_too() -> None:
    """Else a recount that takes its partitions back again and again would never end."""
    bench = Bench(tries=1)
    leaving(bench)
    assert isinstance(only(fail(bench), fx.Stop).error, OutcomeUnknownError)
    assert bench.is_in(State.ENDED)


def test_a_crew_hands_the_terms_on() -> None:
    """To every partition it takes."""
    crew = Crew(BOTH, "g2", session_timeout_ms=0, checkpoint_interval_ms=0, gives_way=True, tries=1)
    assert (crew.terms.gives_way, crew.terms.tries) == (True, 1)
    crew.on(Dealt({PARTITION: TOPICS}, 1), 0)
    crew.on(To(PARTITION, sig.Unseen(1, "away")), 0)
    assert crew.is_away
