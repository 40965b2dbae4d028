"""What a group would decide, for a crew without one: all partitions it is told, counted up to given offsets.

Pure: the recount's driver (`streams.kafka.ledger.lone_crew`) hands the crew what comes out of here, the simulation does
the same.
"""

from __future__ import annotations

from enum import StrEnum
from typing import TYPE_CHECKING

from streams.engine.checkpoint import OutcomeUnknownError
from streams.engine.crew import Crew, Dealt, TakenBack
from streams.engine.lifecycle import COUNTS, State
from streams.engine.processor import PartitionProcessor

if TYPE_CHECKING:
    from collections.abc import Iterable, Mapping

    from streams.domain.declarations import Declarations
    from streams.engine.judgement import Verdict

Place = tuple[str, int]
"""Source topic and partition number."""
CHECKPOINT_MS = 2_000
"""Between two checkpoints of a partition. Nobody watches these totals yet; a kill costs the counting of this span."""
TRIES = 5
"""So many failures of a partition in a row, over some eight seconds, end it."""
ROUNDS = 5
"""So many last checkpoints in a row that take too long end it."""
TAKEN = frozenset({State.COUNTING, State.ENDED})
"""A takeover is over in these: the partition has its first checkpoint, or a newer owner."""
AT_LOGS = COUNTS | {State.ENDED}
"""In these nothing but the logs and checkpoints is waited for."""


class Task(StrEnum):
    """What is being done."""

    NONE = "none"
    TAKING_OVER = "taking over"
    COUNTING = "counting"
    LEAVING = "leaving"
    """The last checkpoints of what was counted are under way."""


class LoneCount:
    """Call order: `take_over` once, then `count_to` as often as needed; after each of them `look` until `is_done`.

    What they return goes to the crew. A partition that a newer owner takes is `handed_over`, and left alone then.
    """

    def __init__(self, declarations: Declarations, generation: str) -> None:
        """Begin without a partition."""
        self.crew = Crew(
            declarations,
            generation,
            session_timeout_ms=0,  # nobody waits after a fence
            checkpoint_interval_ms=CHECKPOINT_MS,
            gives_way=True,
            tries=TRIES,
        )
        self.targets: Mapping[Place, int] = {}
        """Up to, not including, these offsets is counted."""
        self._task = Task.NONE
        self._numbers: tuple[int, ...] = ()
        self._group_generation = 0
        self._round = 0

    @property
    def is_done(self) -> bool:
        """Return whether the newest task is over."""
        return self._task is Task.NONE

    @property
    def handed_over(self) -> set[int]:
        """Return the partitions that newer owners have taken."""
        return {number for number, tenure in self.crew.tenures.items() if tenure.state is State.ENDED}

    @property
    def held(self) -> Verdict | None:
        """Return why the first of the partitions that cannot be counted is held, None where none is."""
        return next((tenure.held for tenure in self.crew.tenures.values() if tenure.held is not None), None)

    @property
    def is_at_logs(self) -> bool:
        """Return whether nothing but logs and checkpoints is waited for."""
        return self._are_in(AT_LOGS)

    @property
    def counted(self) -> dict[Place, int]:
        """Return how far the partitions are counted in memory, where a ledger is there."""
        return {
            (topic, number): offset
            for number, tenure in self.crew.tenures.items()
            if tenure.processor is not None
            for topic, offset in tenure.processor.positions.items()
        }

    @property
    def began(self) -> dict[Place, int]:
        """Return where the count of each source partition began, where a ledger is there."""
        return {
            (topic, number): offset
            for number, tenure in self.crew.tenures.items()
            if isinstance(tenure.processor, PartitionProcessor)
            for topic, offset in tenure.processor.started.items()
        }

    def take_over(self, partitions: Iterable[int]) -> Dealt:
        """Begin to fence, restore and commit a first checkpoint of each partition, so that each has a cursor."""
        self._numbers = tuple(sorted(partitions))
        self._task = Task.TAKING_OVER
        return self._deal()

    def count_to(self, targets: Mapping[Place, int]) -> Dealt | None:
        """Begin to count up to, not including, the offsets of `targets`, and to commit."""
        self.targets, self._round = dict(targets), 1
        self._task = Task.COUNTING
        return self._deal() if self.crew.is_away else None

    def look(self, committed: Mapping[Place, int]) -> Dealt | TakenBack | None:
        """Return what the crew has to be told now, with these committed positions; None: nothing.

        Raises `OutcomeUnknownError` where the last checkpoints took too long again and again.
        """
        match self._task:
            case Task.TAKING_OVER if self._are_in(TAKEN):
                self._task = Task.NONE
            case Task.COUNTING if self.is_at_logs and not self._is_behind(self.counted):
                self._task = Task.LEAVING
                return TakenBack()
            case Task.LEAVING if self.crew.is_away:
                # A last checkpoint that takes too long is broken off.
                if self._is_behind(committed):
                    return self._again()
                self._task = Task.NONE
        return None

    def _again(self) -> Dealt:
        if self._round == ROUNDS:
            raise OutcomeUnknownError("the ledger takes no checkpoint within five seconds")
        self._round += 1
        self._task = Task.COUNTING
        return self._deal()

    def _deal(self) -> Dealt:
        self._group_generation += 1
        topics = frozenset(self.crew.terms.topics)
        return Dealt(dict.fromkeys(self._numbers, topics), self._group_generation)

    def _are_in(self, states: frozenset[State]) -> bool:
        return all(tenure.state in states for tenure in self.crew.tenures.values())

    def _is_behind(self, positions: Mapping[Place, int]) -> bool:
        ours = self.crew.tenures.keys() - self.handed_over
        return any(positions.get(place, 0) < end for place, end in self.targets.items() if place[1] in ours)
