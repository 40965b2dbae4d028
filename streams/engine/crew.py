"""All tenures of one process, as a value: what the group deals, what the topics are, which generation is counted.

A crew routes signals to its tenures, decides which of them go, and which ones are taken over afresh. Like a tenure it
does nothing itself: a driver performs the effects (`streams.kafka.group.driver`; the simulation has one too).
"""

from __future__ import annotations

from dataclasses import dataclass, replace
from typing import TYPE_CHECKING

from streams.engine import bounds
from streams.engine import effects as fx
from streams.engine import signals as sig
from streams.engine.judgement import NOTED, NOTHING, judge_partition
from streams.engine.lifecycle import State
from streams.engine.processor import restore_processor
from streams.engine.status import HeldReason
from streams.engine.tenure import Tenure
from streams.engine.terms import Terms

if TYPE_CHECKING:
    from collections.abc import Mapping

    from streams.engine.judgement import Counted, Sources
    from streams.engine.processing import Restore
    from streams.engine.terms import Work

GROWING = frozenset({HeldReason.UNEQUAL_PARTITIONS, HeldReason.NOT_IN_LEDGER})
"""What is held for these is taken over by itself, once the topics have grown."""
AWAY = frozenset({State.IDLE, State.ENDED})


@dataclass(frozen=True, slots=True)
class TakenBack:
    """A rebalance begins: the group takes all partitions back, and may deal the same ones again."""


@dataclass(frozen=True, slots=True)
class Dealt:
    """The group dealt these partition numbers, with their source topics, in this generation of it."""

    topics: Mapping[int, frozenset[str]]
    group_generation: int


@dataclass(frozen=True, slots=True)
class Seen:
    """The topics as they are now; `asked` is what was counted when the look began (`Crew.counted`)."""

    sources: Sources
    asked: Mapping[int, tuple[int, Counted]]


@dataclass(frozen=True, slots=True)
class Switched:
    """A recount has made another generation of the ledger current."""

    generation: str


@dataclass(frozen=True, slots=True)
class Closing:
    """The process ends in order."""


@dataclass(frozen=True, slots=True)
class Due:
    """The time that `Crew.wake_at_ms` names has come."""


@dataclass(frozen=True, slots=True)
class To:
    """A signal to one partition."""

    partition: int
    signal: sig.Signal


Signal = TakenBack | Dealt | Seen | Switched | Closing | Due | To


@dataclass(frozen=True, slots=True)
class For:
    """What one partition makes necessary."""

    partition: int
    effect: fx.Effect


@dataclass(frozen=True, slots=True)
class AllHeld:
    """Every partition that was dealt is held: others may be better off with this worker's place."""

    partitions: tuple[int, ...]


Effect = For | AllHeld


class Crew:
    """The tenures of one process. `on` takes one signal at a time; `now_ms` is monotonic."""

    def __init__(
        self,
        declarations: Work,
        generation: str,
        *,
        session_timeout_ms: int,
        checkpoint_interval_ms: int,
        gives_way: bool = False,
        tries: int | None = None,
        restore: Restore = restore_processor,
    ) -> None:
        """Begin without a partition; what the tenures share is explained in `Terms`."""
        self.tenures: dict[int, Tenure] = {}
        self._checkpoint_interval_ms = checkpoint_interval_ms
        self._terms = Terms(declarations, generation, session_timeout_ms, self.pause_ms, gives_way, tries, restore)
        self._dealt: Mapping[int, frozenset[str]] | None = None
        """Source topics by partition number; None between a revocation and the next assignment."""
        self._group_generation = 0
        self._takeover = 0
        """No takeover had a larger number: an answer to a tenure that is gone is known for what it is."""
        self._afresh: set[int] = set()
        """Partitions whose ledger in memory may not be gone on with."""

    @property
    def terms(self) -> Terms:
        """Return what the tenures share."""
        return self._terms

    @property
    def is_away(self) -> bool:
        """Return whether no partition is this process's at the moment."""
        return all(tenure.state in AWAY for tenure in self.tenures.values())

    @property
    def wake_at_ms(self) -> int | None:
        """Return when to send `Due`; None: not before the next signal."""
        return min((t.wake_at_ms for t in self.tenures.values() if t.wake_at_ms is not None), default=None)

    def pause_ms(self) -> int:
        """Return the time between two checkpoints of a partition."""
        return max(self._checkpoint_interval_ms, len(self.tenures) * 1000 // bounds.CHECKPOINTS_PER_SECOND)

    def counted(self) -> dict[int, tuple[int, Counted]]:
        """Return what is to be compared with the logs, by partition, each with the number of its takeover."""
        found = {number: (tenure.takeover, tenure.counted) for number, tenure in self.tenures.items()}
        return {number: (takeover, counted) for number, (takeover, counted) in found.items() if counted is not None}

    def on(self, signal: Signal, now_ms: int) -> list[Effect]:
        """Return what `signal` makes necessary."""
        match signal:
            case To():
                found = self._to(signal.partition, signal.signal, now_ms)
            case Due():
                due = [n for n, t in self.tenures.items() if t.wake_at_ms is not None and t.wake_at_ms <= now_ms]
                found = [effect for number in due for effect in self._to(number, sig.Woken(), now_ms)]
            case Dealt():
                found = self._deal(signal, now_ms)
            case Seen():
                found = self._see(signal, now_ms)
            case Switched():
                self._terms = replace(self._terms, generation=signal.generation)
                found = self._begin_afresh(list(self.tenures), now_ms)
            case _:
                self._dealt = None if isinstance(signal, TakenBack) else {}
                found = [effect for number in list(self.tenures) for effect in self._to(number, sig.Revoked(), now_ms)]
        return found

    def _deal(self, dealt: Dealt, now_ms: int) -> list[Effect]:
        """Take over what was dealt; ledgers kept through the rebalance go on, where nobody can have owned them."""
        # A generation of the group that this worker was no member of: somebody else may have counted its partitions.
        if dealt.group_generation != self._group_generation + 1:
            self._afresh |= self.tenures.keys()
        self._dealt, self._group_generation = dealt.topics, dealt.group_generation
        # All are known before the first can be found to be held: only when all are does the worker end.
        for number in sorted(dealt.topics):
            if number not in self.tenures:
                self._make(number)
        return [effect for number in list(self.tenures) for effect in self._settle(number, now_ms)]

    def _see(self, seen: Seen, now_ms: int) -> list[Effect]:
        """Compare what is counted with the logs; take over what was held for topics that are as they must be by now."""
        found: list[Effect] = []
        for number, tenure in list(self.tenures.items()):
            takeover, counted = seen.asked.get(number, (tenure.takeover, None))
            if takeover != tenure.takeover:
                continue
            reason = tenure.held.reason if tenure.held is not None else None
            is_seen = reason is not None and reason not in NOTED
            if is_seen and judge_partition(number, seen.sources, counted or NOTHING) is None:
                said = fx.Say("what held the partition is mended", {"reason": str(reason)})
                found += [For(number, said), *self._begin_afresh([number], now_ms)]
            elif counted is not None:
                found += self._to(number, sig.Compared(takeover, counted, seen.sources), now_ms)
        return found

    def _begin_afresh(self, numbers: list[int], now_ms: int) -> list[Effect]:
        self._afresh.update(numbers)
        return [effect for number in numbers for effect in self._to(number, sig.Revoked(), now_ms)]

    def _to(self, number: int, signal: sig.Signal, now_ms: int) -> list[Effect]:
        tenure = self.tenures.get(number)
        if tenure is None:
            return []  # it went to another worker
        was_at_rest = tenure.is_at_rest
        found: list[Effect] = [For(number, effect) for effect in tenure.on(signal, now_ms)]
        if tenure.state in AWAY:
            found += self._settle(number, now_ms)
        elif tenure.is_at_rest and not was_at_rest:
            found += self._all_held()
        return found

    def _settle(self, number: int, now_ms: int) -> list[Effect]:
        """Let a tenure that nothing is under way for go, be replaced, or begin, as was dealt."""
        tenure, found = self.tenures[number], list[Effect]()
        if tenure.state is not State.IDLE:
            return found
        is_gone = self._dealt is not None and number not in self._dealt
        if is_gone or number in self._afresh:
            found += [For(number, effect) for effect in tenure.on(sig.Dismissed(), now_ms)]
            self._takeover = max(self._takeover, tenure.takeover)
            self._afresh.discard(number)
            del self.tenures[number]
            if is_gone:
                return found
            tenure = self._make(number)
        if self._dealt is not None:
            assigned = sig.Assigned(self._dealt[number])
            found += [For(number, effect) for effect in tenure.on(assigned, now_ms)]
        return found

    def _make(self, number: int) -> Tenure:
        tenure = self.tenures[number] = Tenure(number, self._terms, self._takeover)
        return tenure

    def _all_held(self) -> list[Effect]:
        held = [tenure.held for tenure in self.tenures.values() if tenure.held is not None and tenure.is_at_rest]
        is_growing = any(verdict.reason in GROWING for verdict in held)
        return [AllHeld(tuple(sorted(self.tenures)))] if len(held) == len(self.tenures) and not is_growing else []
