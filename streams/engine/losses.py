"""What a recount would lose: a log that is shorter than when the current generation counted it, or is another one.

Pure: the recount (`streams.kafka.ledger.recount`) asks before it counts and again before it switches; the simulation
does the same.
"""

from __future__ import annotations

from typing import TYPE_CHECKING, NamedTuple

from msgspec import structs

from streams.engine.judgement import Counted, judge_partition, verdict
from streams.engine.status import HeldReason

if TYPE_CHECKING:
    from collections.abc import Iterable, Mapping

    from streams.engine.judgement import Basis, LogRange, Sources, Verdict

Place = tuple[str, int]
"""Source topic and partition number."""
REPLACED = {
    HeldReason.FOREIGN_CLUSTER: "it was counted on another cluster",
    HeldReason.LOG_REPLACED: "the topic was deleted and made again",
}
"""Why none of a log's records were ever counted, though it may be as long as the one that was."""
ANOTHER = {**REPLACED, HeldReason.LOG_TRUNCATED: "records at its end were lost, and others written"}
"""Why a log is not the one that was counted."""


class Loss(NamedTuple):
    """One source partition that can no longer be counted as it was."""

    topic: str
    """Without prefix."""
    partition: int
    began: int
    """Where the current generation began to count it."""
    position: int
    """Up to where it is counted."""
    begins: int
    """Where a recount would begin."""
    ends: int | None
    """End of the log, where it lies below the position; None: it does not."""
    reason: HeldReason | None = None
    """Why it is not the log that was counted; None: it is."""

    @property
    def place(self) -> Place:
        """Return which partition it is."""
        return self.topic, self.partition

    def __str__(self) -> str:
        """Return it as an operator reads it."""
        counted = f"{self.topic}[{self.partition}]: the ledger counted offsets {self.began} to {self.position}"
        if self.reason is not None:
            counted = f"{counted}; {ANOTHER[self.reason]}"
        if self.ends is None:
            return f"{counted}, the log begins at offset {self.begins}"
        return f"{counted}, the log holds {self.begins} to {self.ends}"


def losses(
    began: Mapping[Place, int], positions: Mapping[Place, int], ranges: Mapping[Place, LogRange]
) -> tuple[Loss, ...]:
    """Return what a generation that begins now would not count of what was counted, or was to be.

    `began` and `positions` are the current generation's. A partition whose topic is not there is no loss yet: it is
    held, and nothing is counted.
    """
    found = []
    for place, first in sorted(began.items()):
        log_range = ranges.get(place)
        if log_range is None:
            continue
        position = positions.get(place, first)
        is_beyond = position > log_range.end
        if log_range.beginning > first or is_beyond:
            ends = log_range.end if is_beyond else None
            found.append(Loss(*place, first, position, log_range.beginning, ends))
    return tuple(found)


def of_other_logs(began: Mapping[Place, int], bases: Mapping[int, Basis], sources: Sources) -> tuple[Loss, ...]:
    """Return the partitions whose log is not the one that was counted: of another cluster or topic, or cut and grown.

    `bases`: the current generation's cursors by partition number; `sources`: the logs now, their epochs asked for.
    """
    found = []
    for number, basis in sorted(bases.items()):
        for topic, position in basis.positions.items():
            log_range = sources.ranges.get((topic, number))
            why = judge_partition(number, sources, of_topic(basis, topic))
            if log_range is not None and why is not None and why.reason in ANOTHER:
                first = began.get((topic, number), 0)
                ends = log_range.end if position > log_range.end else None
                found.append(Loss(topic, number, first, position, log_range.beginning, ends, why.reason))
    return tuple(found)


def other_from(others: Iterable[Loss], sources: Sources) -> dict[Place, int]:
    """Return from which offset on logs are others than those that were counted; 0: nothing of them was.

    `others`: what `of_other_logs` found in the same `sources`. Where a log does not know the leader nobody can tell: 0.
    """
    return {loss.place: 0 if loss.reason in REPLACED else max(0, sources.epoch_ends[loss.place]) for loss in others}


def overtaken(
    remade: Mapping[Place, int], began: Mapping[Place, int], positions: Mapping[Place, int]
) -> Verdict | None:
    """Return why a generation that is counted beside has to be left behind: it has counted what was lost meanwhile.

    `remade`: see `other_from`; `began` and `positions` are the generation's own.
    """
    for (topic, number), offset in sorted(remade.items()):
        position = positions.get((topic, number), 0)
        if position > max(offset, began.get((topic, number), 0)):
            what = f"{topic}[{number}] is counted up to {position}, and is another log from {offset} on"
            return verdict(HeldReason.LOG_TRUNCATED, topic, what)
    return None


def of_topic(basis: Basis, topic: str) -> Counted:
    """Return what a ledger counted of one topic, and of which it was."""
    identity, epochs = basis.identity, basis.epochs
    assert identity is not None, "a cursor has one"
    topics = {name: topic_id for name, topic_id in identity.topics.items() if name == topic}
    return Counted(
        {topic: basis.positions[topic]},
        {name: epoch for name, epoch in epochs.items() if name == topic},
        structs.replace(identity, own={}, topics=topics),
    )


def begun_later(
    began: Mapping[Place, int], positions: Mapping[Place, int], following: Mapping[Place, int]
) -> tuple[Loss, ...]:
    """Return what a generation that has begun at `following` does not count: retention may have come in between."""
    return tuple(
        Loss(*place, first, positions.get(place, first), following[place], None)
        for place, first in sorted(began.items())
        if following.get(place, first) > first
    )


def cut_off(
    began: Mapping[Place, int],
    positions: Mapping[Place, int],
    following: Mapping[Place, int],
    ends: Mapping[Place, int],
) -> tuple[Loss, ...]:
    """Return what is lost of logs whose `ends` lie below the current generation's positions."""
    return tuple(Loss(*place, began[place], positions[place], following[place], end) for place, end in ends.items())


def told_from(before: Mapping[str, Mapping[str, int]], lost: Iterable[Loss]) -> dict[str, dict[str, int]]:
    """Return from where on is counted, after these losses were accepted; what was told before stays told."""
    told = {topic: dict(places) for topic, places in before.items()}
    for loss in lost:
        told.setdefault(loss.topic, {})[str(loss.partition)] = loss.begins
    return told
