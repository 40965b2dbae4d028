"""Laws of a partition's life: only differences of time count, and each takeover ends in the ledger that was committed.

A life is drawn: what the group says, how each request is answered, what is delivered, and how long everything takes.
"""

from __future__ import annotations

from dataclasses import dataclass, field

from hypothesis import given
from hypothesis import strategies as st

from streams.engine import effects as fx
from streams.engine import signals as sig
from streams.engine.judgement import LogRange
from streams.engine.lifecycle import TABLE, State
from tests.unit.engine.tenures import TOPICS, Bench, batch, sources

Step = tuple[str, int, int]
"""What happens, one of how many ways, and how many milliseconds later."""
STEPS = st.lists(
    st.tuples(
        st.sampled_from(("answer",) * 6 + ("deliver",) * 2 + ("wake",) * 2 + ("assign", "revoke", "fault", "look")),
        st.integers(0, 11),
        st.sampled_from((0, 0, 3, 500, 2_500, 6_000)),
    ),
    max_size=40,
)
REQUESTS = fx.Fence | fx.Restore | fx.Survey | fx.Commit | fx.LeaveNote


@dataclass
class Life:
    """One tenure, what it asked for and nobody has answered, and what it did so far, without absolute times."""

    start_ms: int
    bench: Bench = field(default_factory=Bench)
    asked: list[fx.Effect] = field(default_factory=list)
    done: list[object] = field(default_factory=list)

    def on(self, signal: sig.Signal) -> None:
        """Send a signal that may come in this state; remember what becomes of it."""
        tenure = self.bench.tenure
        if type(signal) not in TABLE[tenure.state]:
            return
        effects = list(self.bench.on(signal))
        self.asked += [effect for effect in effects if isinstance(effect, REQUESTS)]
        wake_at_ms = None if tenure.wake_at_ms is None else tenure.wake_at_ms - self.start_ms
        self.done += [*effects, tenure.state, wake_at_ms, tenure.is_at_rest]

    def step(self, what: str, way: int, later_ms: int) -> None:
        bench, tenure = self.bench, self.bench.tenure
        bench.now_ms += later_ms
        processor = tenure.processor
        if what == "answer" and self.asked:
            self.answer(self.asked.pop(0), way)
        elif what == "wake" and tenure.wake_at_ms is not None:
            bench.now_ms = max(bench.now_ms, tenure.wake_at_ms - way % 2)
            self.on(sig.Woken())
        elif what == "assign":
            self.on(sig.Assigned(TOPICS if way else frozenset({"orders"})))
        elif what == "revoke":
            self.on(sig.Revoked())
        elif what == "deliver" and processor is not None and "orders" in processor.positions:
            hole = 2 if way == 1 else 0
            self.on(sig.Delivered(batch(processor.positions["orders"] + hole, 1 + way % 3), way * 2_000))
        elif what == "fault":
            self.on(sig.FetchFailed("orders", way == 0, "bad checksum"))
        elif what == "look" and processor is not None and "orders" in processor.positions:
            fetched = sig.Fetched(processor.positions["orders"] + way % 2, is_under_way=way > 5)
            self.on(sig.Looked({"orders": fetched}))

    def answer(self, asked: fx.Effect, way: int) -> None:
        """Answer a request: well in most ways, else as Kafka may."""
        takeover = getattr(asked, "takeover", 0)
        if way == 0 and isinstance(asked, REQUESTS):
            self.on(fx.failed(asked, "lost", is_denied=False))
        elif way == 1 and isinstance(asked, fx.Fence | fx.Commit | fx.LeaveNote):
            self.on(sig.Refused(takeover, "newer"))
        elif isinstance(asked, fx.Fence):
            self.on(sig.Fenced(takeover))
        elif isinstance(asked, fx.Restore):
            self.on(sig.ReadBack(takeover, self.bench.committed))
        elif isinstance(asked, fx.Survey):
            seen = sources(orders=LogRange(900, 1_000, 1_000)) if way == 2 else sources()
            self.on(sig.Surveyed(takeover, asked.request, seen))
        elif isinstance(asked, fx.Commit):
            self.bench.keep(asked)
            self.on(sig.Committed(takeover))
        else:
            self.on(sig.Noted(takeover))


def lived(steps: list[Step], start_ms: int) -> Life:
    life = Life(start_ms)
    life.bench.now_ms = start_ms
    life.on(sig.Assigned(TOPICS))
    for step in steps:
        life.step(*step)
    return life


@given(STEPS)
def test_a_life_is_the_same_whenever_it_begins(steps: list[Step]) -> None:
    assert lived(steps, 0).done == lived(steps, 7_000_000_000).done


@given(STEPS)
def test_whatever_happened_a_takeover_finds_what_was_committed_and_counts_on_from_there(steps: list[Step]) -> None:
    life = lived(steps, 1_000)
    after = Bench(life.bench.committed)
    after.counting()
    before = after.position
    after.deliver(before, 2)
    assert after.position == before + 2


@given(STEPS)
def test_only_a_state_that_waits_for_nothing_wakes_and_none_sleeps_for_ever(steps: list[Step]) -> None:
    """Without an answer under way, a partition that is ours counts, waits for a time, or is held for an operator."""
    life = lived(steps, 1_000)
    tenure = life.bench.tenure
    if tenure.state in {State.COUNTING, State.WAITING}:
        assert tenure.wake_at_ms is not None
    if tenure.state in {State.IDLE, State.ENDED}:
        assert tenure.wake_at_ms is None
    if tenure.state in {State.FENCING, State.RESTORING, State.CUTTING}:
        takeover = tenure.takeover
        assert any(getattr(asked, "takeover", None) == takeover for asked in life.asked)
