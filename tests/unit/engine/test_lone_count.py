"""What a crew without a group is told, and when: signals in, signals out, without a store."""

from __future__ import annotations

import pytest

from streams.engine import effects as fx
from streams.engine import signals as sig
from streams.engine.batch import RecordBatch
from streams.engine.checkpoint import OutcomeUnknownError, Restored
from streams.engine.crew import Dealt, Due, For, TakenBack, To
from streams.engine.judgement import LogRange, Sources
from streams.engine.lone_count import CHECKPOINT_MS, ROUNDS, LoneCount
from streams.engine.status import HeldReason
from tests.unit.domain.samples import IDENTITY, START_MS, declarations, encode, order

DECLARATIONS = declarations()
TOPICS = DECLARATIONS.topics
NUMBERS = (0, 1)
END = 20


class Bench:
    """Answers at once what the crew asks for; commits can be kept waiting."""

    def __init__(self) -> None:
        self.lone = LoneCount(DECLARATIONS, "g2")
        self.now_ms = 0
        self.committed: dict[tuple[str, int], int] = {}
        self.keeps_waiting = False
        self.beginning = 0

    def on(self, signal: Dealt | TakenBack | Due | To | None) -> None:
        for effect in [] if signal is None else self.lone.crew.on(signal, self.now_ms):
            assert isinstance(effect, For)
            answer = self.answer(effect.partition, effect.effect)
            if answer is not None:
                self.on(To(effect.partition, answer))

    def answer(self, number: int, wanted: fx.Effect) -> sig.Answer | None:
        match wanted:
            case fx.Survey():
                ranges = {(topic, number): LogRange(self.beginning, END, END) for topic in TOPICS}
                sources = Sources(dict.fromkeys(TOPICS, 2), ranges, 2, IDENTITY)
                return sig.Surveyed(wanted.takeover, wanted.request, sources)
            case fx.Fence():
                return sig.Fenced(wanted.takeover)
            case fx.Restore():
                return sig.ReadBack(wanted.takeover, Restored())
            case fx.Release():
                return sig.Released(wanted.takeover, frozenset(wanted.positions))
            case fx.Commit() if not self.keeps_waiting:
                tenure = self.lone.crew.tenures[number]
                assert tenure.processor is not None
                self.committed |= {(topic, number): o for topic, o in tenure.processor.positions.items()}
                return sig.Committed(wanted.takeover)
            case _:
                return None

    def look(self) -> Dealt | TakenBack | None:
        return self.lone.look(self.committed)

    def taken(self) -> Bench:
        self.on(self.lone.take_over(NUMBERS))
        assert self.look() is None
        assert self.lone.is_done
        return self

    def deliver(self, number: int, start: int, end: int) -> None:
        offsets = range(start, end)
        values = [encode(order(event_id=f"e{number}-{offset}")) for offset in offsets]
        batch = RecordBatch("orders", number, start, end, offsets, values, values, [START_MS] * len(offsets))
        self.on(To(number, sig.Delivered(batch, 0)))


def targets(end: int) -> dict[tuple[str, int], int]:
    return {("orders", number): end for number in NUMBERS}


def test_a_takeover_deals_all_of_the_partitions_and_is_over_with_their_first_checkpoints() -> None:
    bench = Bench()
    bench.keeps_waiting = True
    dealt = bench.lone.take_over([1, 0])
    assert dealt == Dealt(dict.fromkeys(NUMBERS, frozenset(TOPICS)), 1)
    bench.on(dealt)
    assert bench.look() is None
    assert not bench.lone.is_done
    for number in NUMBERS:
        bench.on(To(number, sig.Committed(1)))
    assert bench.look() is None
    assert bench.lone.is_done
    assert bench.lone.counted == {(topic, number): 0 for topic in TOPICS for number in NUMBERS}
    assert bench.lone.crew.pause_ms() == CHECKPOINT_MS
    assert not bench.lone.crew.terms.session_timeout_ms


def test_it_counts_up_to_the_targets_and_takes_everything_back_then() -> None:
    bench = Bench().taken()
    assert bench.lone.count_to(targets(5)) is None
    assert bench.look() is None
    bench.deliver(0, 0, 5)
    assert bench.look() is None
    assert not bench.lone.is_done
    bench.deliver(1, 0, 5)
    told = bench.look()
    assert told == TakenBack()
    bench.on(told)
    assert bench.look() is None
    assert bench.lone.is_done
    assert {place: o for place, o in bench.committed.items() if place[0] == "orders"} == targets(5)


def test_what_was_taken_back_is_dealt_again_for_further_targets_and_goes_on_with_its_ledgers() -> None:
    bench = Bench().taken()
    bench.lone.count_to({})
    bench.on(bench.look())
    assert bench.look() is None
    again = bench.lone.count_to(targets(1))
    assert again == Dealt(dict.fromkeys(NUMBERS, frozenset(TOPICS)), 2)
    bench.on(again)
    assert {tenure.takeover for tenure in bench.lone.crew.tenures.values()} == {1}


def test_a_last_checkpoint_that_was_broken_off_is_counted_again_and_not_for_ever() -> None:
    bench = Bench().taken()
    bench.lone.count_to({("orders", 0): 5})
    bench.keeps_waiting = True
    for round_ in range(1, ROUNDS + 1):
        bench.deliver(0, 0, 5)
        bench.on(bench.look())
        assert bench.look() is None
        bench.now_ms += 60_000
        bench.on(Due())
        assert bench.lone.crew.is_away
        if round_ == ROUNDS:
            break
        dealt = bench.look()
        assert isinstance(dealt, Dealt)
        bench.keeps_waiting = False
        bench.on(dealt)
        bench.keeps_waiting = True
    with pytest.raises(OutcomeUnknownError, match="takes no checkpoint"):
        bench.look()


def test_a_partition_that_a_newer_owner_takes_is_not_waited_for() -> None:
    bench = Bench().taken()
    bench.lone.count_to(targets(5))
    bench.keeps_waiting = True
    bench.deliver(0, 0, 5)
    bench.now_ms += CHECKPOINT_MS
    bench.on(Due())
    bench.on(To(0, sig.Refused(1, "newer")))
    assert bench.lone.handed_over == {0}
    assert bench.lone.is_at_logs
    bench.keeps_waiting = False
    bench.deliver(1, 0, 5)
    bench.on(bench.look())
    assert bench.look() is None
    assert bench.lone.is_done
    assert bench.committed["orders", 1] == 5
    assert ("orders", 0) not in bench.lone.counted


def test_a_partition_that_cannot_be_counted_is_told() -> None:
    bench = Bench().taken()
    assert bench.lone.held is None
    bench.lone.count_to(targets(5))
    bench.beginning = 3
    bench.on(To(1, sig.FetchFailed("orders", is_outside=True, detail="gone")))
    assert bench.lone.held is not None
    assert bench.lone.held.reason is HeldReason.LOG_DELETED


def test_without_a_partition_nothing_is_done() -> None:
    bench = Bench()
    bench.on(bench.lone.take_over(()))
    assert bench.look() is None
    bench.on(bench.lone.count_to(targets(5)))
    bench.on(bench.look())
    assert bench.look() is None
    assert bench.lone.is_done
