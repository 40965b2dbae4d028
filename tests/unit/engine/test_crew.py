"""All partitions of one process: which are taken over, go on, go, or are taken over afresh."""

from __future__ import annotations

from typing import TYPE_CHECKING

from streams.engine import bounds
from streams.engine import effects as fx
from streams.engine import signals as sig
from streams.engine.checkpoint import Restored
from streams.engine.crew import AllHeld, Closing, Crew, Dealt, Due, For, Seen, Switched, TakenBack, To
from streams.engine.judgement import LogRange, Sources
from streams.engine.lifecycle import State
from streams.engine.status import HeldReason
from tests.unit.domain.samples import IDENTITY
from tests.unit.engine.tenures import BOTH, SESSION_MS, TOPICS

if TYPE_CHECKING:
    from collections.abc import Mapping

    from streams.engine import crew as crews

PAUSE_MS = 500


def sources(counts: Mapping[str, int] | None = None, ledger_partitions: int = 8) -> Sources:
    found = counts or dict.fromkeys(sorted(TOPICS), 8)
    ranges = {(topic, number): LogRange(0, 100, 100) for topic, count in found.items() for number in range(count)}
    return Sources(found, ranges, ledger_partitions, IDENTITY)


class Bench:
    """A crew whose requests are answered at once and well, where the test does not say otherwise."""

    def __init__(self) -> None:
        self.now_ms = 0
        self.crew = Crew(BOTH, "g1", session_timeout_ms=SESSION_MS, checkpoint_interval_ms=PAUSE_MS)
        self.sources = sources()
        self.fenced: list[tuple[int, str]] = []
        self.answers_commits = True
        self.group_generation = 0
        self.said: list[crews.Effect] = []

    def on(self, signal: crews.Signal) -> None:
        """Hand a signal over, and answer whatever it makes necessary."""
        pending = list(self.crew.on(signal, self.now_ms))
        while pending:
            effect = pending.pop(0)
            self.said.append(effect)
            if isinstance(effect, For) and (answer := self.answer(effect)) is not None:
                pending += self.crew.on(To(effect.partition, answer), self.now_ms)

    def answer(self, effect: For) -> sig.Signal | None:
        match effect.effect:
            case fx.Survey(takeover, request):
                return sig.Surveyed(takeover, request, self.sources)
            case fx.Fence(takeover, generation):
                self.fenced.append((effect.partition, generation))
                return sig.Fenced(takeover)
            case fx.Restore(takeover):
                return sig.ReadBack(takeover, Restored())
            case fx.Commit(takeover, _):
                return sig.Committed(takeover) if self.answers_commits else None
        return None

    def deal(self, *partitions: int, topics: frozenset[str] = TOPICS, generations: int = 1) -> None:
        """Take everything back and deal anew, `generations` of the group later."""
        self.on(TakenBack())
        self.group_generation += generations
        self.on(Dealt(dict.fromkeys(partitions, topics), self.group_generation))

    def states(self) -> dict[int, State]:
        return {number: tenure.state for number, tenure in self.crew.tenures.items()}

    def take_fenced(self) -> list[tuple[int, str]]:
        fenced, self.fenced = self.fenced, []
        return fenced


def counting(*partitions: int) -> dict[int, State]:
    return dict.fromkeys(partitions, State.COUNTING)


def test_what_is_dealt_is_taken_over() -> None:
    """Each partition by itself."""
    bench = Bench()
    bench.deal(1, 2)
    assert bench.states() == counting(1, 2)
    assert bench.take_fenced() == [(1, "g1"), (2, "g1")]


def test_what_is_dealt_again_goes_on_and_what_is_not_goes() -> None:
    """In the next generation of the group nobody else can have had it."""
    bench = Bench()
    bench.deal(1, 2)
    bench.take_fenced()
    bench.deal(2, 3)
    assert bench.states() == counting(2, 3)
    assert bench.take_fenced() == [(3, "g1")]
    assert For(1, fx.GiveUp(1)) in bench.said


def test_after_a_generation_that_was_missed_everything_is_taken_over_afresh() -> None:
    """Somebody else may have counted its partitions."""
    bench = Bench()
    bench.deal(1, 2)
    bench.take_fenced()
    bench.deal(1, 2, generations=2)
    assert bench.states() == counting(1, 2)
    assert bench.take_fenced() == [(1, "g1"), (2, "g1")]


def test_between_two_assignments_everything_is_kept_and_nothing_counted() -> None:
    """It is away as soon as nothing is under way any more."""
    bench = Bench()
    bench.deal(1)
    bench.on(TakenBack())
    assert bench.crew.is_away
    assert bench.states() == {1: State.IDLE}


def test_a_partition_that_is_dealt_while_its_last_checkpoint_is_under_way_begins_after_it() -> None:
    """One thing after the other."""
    bench = Bench()
    bench.answers_commits = False
    bench.deal(1)
    takeover = bench.crew.tenures[1].takeover
    bench.on(TakenBack())
    assert not bench.crew.is_away
    bench.on(Dealt({1: TOPICS}, 2))
    assert bench.states() == {1: State.LEAVING}
    bench.answers_commits = True
    bench.on(To(1, sig.Committed(takeover)))
    assert bench.states() == counting(1)


def test_a_new_generation_of_the_ledger_is_taken_over_by_who_has_the_partitions() -> None:
    """And no answer to the old takeover is taken for one to the new."""
    bench = Bench()
    bench.deal(1, 2)
    bench.take_fenced()
    before = bench.crew.tenures[1].takeover
    bench.on(Switched("g2"))
    assert bench.states() == counting(1, 2)
    assert bench.take_fenced() == [(1, "g2"), (2, "g2")]
    assert bench.crew.tenures[1].takeover > before
    assert bench.crew.terms.generation == "g2"


def test_a_new_generation_that_comes_during_a_rebalance_is_taken_over_after_it() -> None:
    """What was kept is of the old one."""
    bench = Bench()
    bench.deal(1)
    bench.on(TakenBack())
    bench.take_fenced()
    bench.on(Switched("g2"))
    assert bench.states() == {1: State.IDLE}
    bench.on(Dealt({1: TOPICS}, 2))
    assert bench.take_fenced() == [(1, "g2")]


def test_what_was_held_for_its_topics_is_taken_over_once_they_are_mended() -> None:
    """By itself; until then it stays."""
    bench = Bench()
    bench.sources = sources(ledger_partitions=2)
    bench.deal(1, 2)
    assert bench.states() == {1: State.COUNTING, 2: State.HELD}
    bench.on(Seen(bench.sources, bench.crew.counted()))
    assert bench.states()[2] is State.HELD
    bench.sources = sources()
    bench.on(Seen(bench.sources, bench.crew.counted()))
    assert bench.states() == counting(1, 2)
    assert For(2, fx.Say("what held the partition is mended", {"reason": "not_in_ledger"})) in bench.said


def test_a_look_that_was_begun_before_a_takeover_says_nothing_about_it() -> None:
    """What it was asked about is counted no more."""
    bench = Bench()
    bench.deal(2)
    asked = bench.crew.counted()
    bench.sources = sources(ledger_partitions=2)
    bench.deal(2, generations=2)
    assert bench.states() == {2: State.HELD}
    bench.sources, before = sources(), len(bench.said)
    bench.on(Seen(bench.sources, asked))
    assert (bench.states(), bench.said[before:]) == ({2: State.HELD}, [])
    bench.on(Seen(bench.sources, bench.crew.counted()))
    assert bench.states() == counting(2)


def test_a_partition_that_is_held_for_its_log_stays_so() -> None:
    """Somebody must act."""
    bench = Bench()
    bench.deal(1, topics=frozenset({"orders"}))
    bench.now_ms += bounds.COLOCATED_MS
    bench.on(Due())
    assert bench.crew.tenures[1].held is not None
    bench.on(Seen(sources(), bench.crew.counted()))
    assert bench.states() == {1: State.HELD}


def test_a_worker_whose_partitions_are_all_held_says_so_once() -> None:
    """Others may be better off with its place."""
    bench = Bench()
    bench.sources = sources({"orders": 8, "payments": 0})
    bench.deal(1, 2)
    assert bench.states() == dict.fromkeys((1, 2), State.HELD)
    assert [effect for effect in bench.said if isinstance(effect, AllHeld)] == [AllHeld((1, 2))]


def test_a_worker_does_not_end_before_others_can_know_why_its_partitions_are_held() -> None:
    """The note is written first."""
    bench = Bench()
    bench.deal(1, topics=frozenset({"orders"}))
    bench.now_ms += bounds.COLOCATED_MS
    bench.on(Due())
    assert bench.states() == {1: State.HELD}
    assert not any(isinstance(effect, AllHeld) for effect in bench.said)
    bench.on(To(1, sig.Noted(bench.crew.tenures[1].takeover)))
    assert bench.said[-1] == AllHeld((1,))


def test_a_worker_whose_partitions_wait_for_topics_to_grow_stays() -> None:
    """They are taken over by themselves."""
    bench = Bench()
    bench.sources = sources(ledger_partitions=1)
    bench.deal(1, 2)
    held = [tenure.held for tenure in bench.crew.tenures.values()]
    assert [verdict.reason for verdict in held if verdict] == [HeldReason.NOT_IN_LEDGER] * 2
    assert not any(isinstance(effect, AllHeld) for effect in bench.said)


def test_the_end_of_the_process_gives_everything_up() -> None:
    """After the last checkpoints."""
    bench = Bench()
    bench.deal(1, 2)
    bench.on(Closing())
    assert bench.states() == {}
    assert bench.crew.is_away


def test_news_of_a_partition_that_has_gone_are_ignored() -> None:
    """Batches were under way."""
    assert Bench().crew.on(To(4, sig.Woken()), 0) == []


def test_whoever_is_due_first_is_woken_first() -> None:
    """The others sleep on."""
    bench = Bench()
    assert bench.crew.wake_at_ms is None
    bench.deal(1)
    bench.now_ms = 200
    bench.deal(1, 2)
    assert bench.crew.wake_at_ms == 200 + PAUSE_MS
    bench.now_ms = 200 + PAUSE_MS
    bench.on(Due())
    assert bench.crew.wake_at_ms == 200 + 2 * PAUSE_MS


def test_with_more_partitions_than_can_commit_in_the_interval_each_waits_longer() -> None:
    """Else commits would take more CPU than counting."""
    pauses = []
    for count in (1, 8, 16, 32, 64):
        bench = Bench()
        bench.sources = sources({"orders": 64, "payments": 64}, 64)
        bench.deal(*range(count))
        pauses.append(bench.crew.pause_ms())
    assert pauses == [500, 500, 500, 1_000, 2_000]


def test_a_tenure_that_ended_for_a_fault_is_left_alone() -> None:
    """The worker ends; a rebalance before that finds nothing to begin."""
    bench = Bench()
    bench.deal(1)
    bench.on(To(1, sig.Broken(ZeroDivisionError())))
    bench.deal(1)
    assert bench.states() == {1: State.ENDED}
