"""May the totals of a ledger be called complete, and which partitions are held, and why: values in, a verdict out.

Used alike by a worker's takeover, boards, `/metrics` and the commands. Whoever asks has looked at the source topics
(`streams.kafka.cluster.survey`), at the committed cursors and at the notes of the workers that hold partitions.
"""

from __future__ import annotations

from dataclasses import dataclass, field
from typing import TYPE_CHECKING, NamedTuple, Protocol

import msgspec
import orjson

from streams.engine.status import ADVICE, HeldReason

if TYPE_CHECKING:
    from collections.abc import Iterable, Mapping

    from streams.domain.pages import Identity

OPEN_MS = 5_000
"""A transaction that is open for so long is told: those of a producer at work are younger."""


class LogRange(NamedTuple):
    """Which offsets a source partition holds: [beginning, end). Reading committed ends at `stable`."""

    beginning: int
    """First offset that is not deleted."""
    stable: int
    """Last stable offset: that of the first record of the oldest open transaction, else the end."""
    end: int
    """Kafka's high watermark: the next offset that will be written."""


@dataclass(frozen=True, slots=True)
class Sources:
    """The source topics as they were when somebody looked."""

    counts: Mapping[str, int]
    """Number of partitions of each source topic; 0 for one that is not there."""
    ranges: Mapping[tuple[str, int], LogRange]
    """By topic and partition, of those that were looked at."""
    ledger_partitions: int
    """Partition numbers that the ledger has room for; 0: it is not there."""
    identity: Identity
    """That of the topics that are there, and were looked at."""
    epoch_ends: Mapping[tuple[str, int], int] = field(default_factory=dict)
    """Where the leader epochs that were asked for end, by topic and partition; -1: the log does not know such a one."""
    leader_epochs: Mapping[tuple[str, int], int] = field(default_factory=dict)
    """Epoch of each partition's leader, of those that were looked at."""

    @property
    def partitions(self) -> int:
        """Return how many partition numbers there are."""
        return max(self.counts.values(), default=0)

    def leaders(self, number: int) -> dict[str, int]:
        """Return the epoch of each topic's leader, of one partition number."""
        return {topic: epoch for (topic, other), epoch in self.leader_epochs.items() if other == number}


def end_of_epoch(asked: int, answered: int, end_offset: int) -> int:
    """Return where the records of the leader epoch `asked` end; -1 where the log knows no such epoch.

    A leader that knows none answers for the newest one before it: what the asked one had written is gone then.
    """
    return end_offset if answered == asked else -1


class Basis(Protocol):
    """What the totals of a partition rest on: a cursor, or a ledger that is being counted."""

    @property
    def positions(self) -> Mapping[str, int]:
        """Return the next offset per source topic."""

    @property
    def epochs(self) -> Mapping[str, int]:
        """Return the leader epoch of the last batch below each position, of topics of which something was read."""

    @property
    def identity(self) -> Identity | None:
        """Return which logs were counted; None before the first look at them."""


@dataclass(frozen=True, slots=True)
class Counted:
    """A `Basis` as it was at one time."""

    positions: Mapping[str, int]
    epochs: Mapping[str, int]
    identity: Identity | None

    @classmethod
    def of(cls, basis: Basis) -> Counted:
        """Return a copy of a basis that goes on."""
        return cls(dict(basis.positions), dict(basis.epochs), basis.identity)


NOTHING = Counted({}, {}, None)
"""Nothing was ever counted."""


def epochs_of(bases: Mapping[int, Basis]) -> dict[tuple[str, int], int]:
    """Return the leader epochs to ask for, by topic and partition."""
    return {(topic, number): epoch for number, basis in bases.items() for topic, epoch in basis.epochs.items()}


class Note(msgspec.Struct, frozen=True):
    """Why a worker holds a partition, as it writes it to the ledger: others cannot see it for themselves."""

    reason: HeldReason
    topic: str | None
    since_ms: int
    detail: str


_decode_note = msgspec.json.Decoder(Note).decode


def note_key(generation: str) -> bytes:
    """Return the record key of a partition's note on the ledger topic."""
    return orjson.dumps([generation, "held"])


def encode_note(note: Note) -> bytes:
    """Return the record value of a note."""
    return msgspec.json.encode(note)


def decode_note(value: bytes) -> Note:
    """Return the note in a record value; raises `msgspec.MsgspecError` where it is none this version knows."""
    return _decode_note(value)


@dataclass(frozen=True, slots=True)
class Held:
    """A partition that stands still because going on would be guessing."""

    partition: int
    reason: HeldReason
    topic: str | None
    """Without prefix; None where the reason is no topic's."""
    since_ms: int
    detail: str
    """What is wrong, and what to do."""


@dataclass(frozen=True, slots=True)
class OpenTransaction:
    """A producer's transaction that nobody has ended: what lies behind its first record cannot be counted."""

    topic: str
    partition: int
    offset: int
    """Where its first record lies."""
    since_ms: int
    """Record time of that record."""
    producer_id: int | None = None
    transactional_id: str | None = None
    """None where the broker does not tell."""


@dataclass(frozen=True, slots=True)
class Judgement:
    """What may be said of a ledger's totals."""

    held: tuple[Held, ...] = ()
    uncovered: tuple[int, ...] = ()
    """Partition numbers of the sources that have no committed cursor."""
    partitions: int = 0
    """Partition numbers of the sources; 0 also where nobody has looked yet."""
    lag_records: int | None = None
    """Records between the committed positions and the high watermarks; None where nobody has looked yet."""
    open_transactions: tuple[OpenTransaction, ...] = ()

    @property
    def is_complete(self) -> bool:
        """Whether every partition that the sources have is covered, and none is held."""
        return self.partitions > 0 and not self.held and not self.uncovered


UNKNOWN = Judgement()
"""Nobody has looked yet: nothing may be called complete."""


NOTED = frozenset({HeldReason.NOT_COLOCATED, HeldReason.LEDGER_UNREADABLE, HeldReason.LOG_UNREADABLE})
"""Reasons that only the holder sees: it leaves a note. The others everybody sees who looks at the topics."""
TAIL_LOST = frozenset({HeldReason.LOG_TRUNCATED, HeldReason.BEYOND_END})
"""Believed only when seen twice in a row: right after an election a leader may not know yet how far the log goes."""


class Verdict(NamedTuple):
    """Why one partition is held."""

    reason: HeldReason
    topic: str | None
    detail: str


def judge(
    sources: Sources | None,
    cursors: Mapping[int, Basis],
    *,
    asked: Mapping[int, Basis] | None = None,
    notes: Mapping[int, Note] | None = None,
    open_transactions: Iterable[OpenTransaction] = (),
    before: Judgement = UNKNOWN,
    now_ms: int = 0,
) -> Judgement:
    """Return what may be said of totals with the committed `cursors`, by partition number.

    `asked`: the cursors as they were before the sources were looked at, where that is a while ago; a position that is
    further by now is not beyond an end that was seen earlier. `before` is the judgement before, for `since_ms`: what
    has no note is held since `now_ms`, or since it was seen first.
    """
    asked = cursors if asked is None else asked
    if sources is None:
        held = _held({p: Verdict(n.reason, n.topic, n.detail) for p, n in (notes or {}).items()}, notes, before, now_ms)
        return Judgement(held, open_transactions=tuple(open_transactions))
    numbers = range(max(sources.partitions, 1 + max(cursors, default=-1)))
    verdicts = {}
    for number in numbers:
        found = judge_partition(
            number,
            sources,
            cursors.get(number, NOTHING),
            asked=asked.get(number, NOTHING),
            note=(notes or {}).get(number),
        )
        if found is not None:
            verdicts[number] = found
    return Judgement(
        held=_held(verdicts, notes, before, now_ms),
        uncovered=tuple(number for number in range(sources.partitions) if number not in cursors),
        partitions=sources.partitions,
        lag_records=_lag_records(sources, cursors, asked),
        open_transactions=tuple(open_transactions),
    )


def judge_partition(
    number: int,
    sources: Sources,
    basis: Basis = NOTHING,
    *,
    asked: Basis | None = None,
    note: Note | None = None,
) -> Verdict | None:
    """Return why a partition is held, the first reason that fits; None where it is not.

    Does its ledger belong to these logs? Workers, readers and commands ask this alike. `asked`: see `judge`.
    """
    asked = basis if asked is None else asked
    found = [*_of_identity(sources, asked), *_of_topics(number, sources, basis.positions)]
    for topic, position in basis.positions.items():
        if (log_range := sources.ranges.get((topic, number))) is not None:
            found += _of_beginning(topic, number, position, log_range)
    for topic, position in asked.positions.items():
        if (log_range := sources.ranges.get((topic, number))) is not None:
            end = sources.epoch_ends.get((topic, number)) if topic in asked.epochs else None
            found += _of_end(topic, number, position, log_range, end)
    if note is not None:
        found.append(Verdict(note.reason, note.topic, note.detail))
    return min(found, key=lambda verdict: ORDER.index(verdict.reason), default=None)


def judge_topics(number: int, sources: Sources) -> Verdict | None:
    """Return why a partition cannot be counted at all, as far as the topics tell before its ledger is read."""
    found = judge_partition(number, sources)
    # Without positions a topic that was made again smaller looks like one that others have outgrown.
    is_outside = number >= sources.ledger_partitions
    return found if found is not None and (is_outside or found.reason is HeldReason.LOG_MISSING) else None


ORDER = tuple(HeldReason)
"""The first reason that fits is told."""


def _of_identity(sources: Sources, basis: Basis) -> Iterable[Verdict]:
    """Return which of what was counted is not what bears its name now; what is not there is no matter of identity."""
    counted, now = basis.identity, sources.identity
    if counted is None:
        return
    if counted.cluster != now.cluster:
        what = f"the ledger was counted on the cluster {counted.cluster}, this is {now.cluster}"
        yield verdict(HeldReason.FOREIGN_CLUSTER, None, what)
    for reason, before, found in (
        (HeldReason.LEDGER_REPLACED, counted.own, now.own),
        (HeldReason.LOG_REPLACED, counted.topics, now.topics),
    ):
        for topic, topic_id in before.items():
            if found.get(topic, topic_id) != topic_id:
                what = f"{topic} was deleted and made again: its id was {topic_id}, and is {found[topic]}"
                yield verdict(reason, topic if reason is HeldReason.LOG_REPLACED else None, what)


def _of_topics(number: int, sources: Sources, positions: Mapping[str, int]) -> Iterable[Verdict]:
    """Return what is wrong with the topics that a partition number is made of."""
    if not sources.ledger_partitions:
        yield verdict(HeldReason.LEDGER_MISSING, None, "the topic of the ledger is not there")
    for topic, count in sources.counts.items():
        if count > number:
            continue
        if not count:
            yield verdict(HeldReason.LOG_MISSING, topic, f"the topic {topic} is not there")
        elif topic in positions:
            detail = f"{topic}[{number}] was counted and is not there: the topic has {count} partitions"
            yield verdict(HeldReason.LOG_MISSING, topic, detail)
        else:
            detail = f"{topic} has {count} partitions, another topic {sources.partitions}"
            yield verdict(HeldReason.UNEQUAL_PARTITIONS, topic, detail)
    if 0 < sources.ledger_partitions <= number:
        detail = f"the sources have {sources.partitions} partitions, the ledger {sources.ledger_partitions}"
        yield verdict(HeldReason.NOT_IN_LEDGER, None, detail)


def _of_beginning(topic: str, number: int, position: int, log_range: LogRange) -> Iterable[Verdict]:
    """Return whether records were deleted that nobody has counted."""
    if position < log_range.beginning:
        yield verdict(HeldReason.LOG_DELETED, topic, _where(topic, number, position, log_range))


def _of_end(topic: str, number: int, position: int, log_range: LogRange, end: int | None) -> Iterable[Verdict]:
    """Return whether counted records are gone; `end` is where those of the last one's leader end, None: not known."""
    where = _where(topic, number, position, log_range)
    if end is not None and end < position:
        lost = f"what the same leader wrote ends at {end} now" if end >= 0 else "it knows nothing of that leader"
        yield verdict(HeldReason.LOG_TRUNCATED, topic, f"{where}, and of the last record counted {lost}")
    if position > log_range.end:
        yield verdict(HeldReason.BEYOND_END, topic, where)


def _where(topic: str, number: int, position: int, log_range: LogRange) -> str:
    held = f"the log holds {log_range.beginning} to {log_range.end}"
    return f"{topic}[{number}]: the ledger stands at offset {position}, {held}"


def verdict(reason: HeldReason, topic: str | None, what: str) -> Verdict:
    """Return why a partition is held; what to do about `reason` is added to `what` is wrong."""
    return Verdict(reason, topic, f"{what}: {ADVICE[reason]}")


def _held(
    verdicts: Mapping[int, Verdict], notes: Mapping[int, Note] | None, before: Judgement, now_ms: int
) -> tuple[Held, ...]:
    known = {(held.partition, held.reason): held.since_ms for held in before.held}
    held = []
    for number, (reason, topic, detail) in sorted(verdicts.items()):
        note = (notes or {}).get(number)
        noted_ms = note.since_ms if note is not None and note.reason is reason else 0
        since_ms = noted_ms or known.get((number, reason), now_ms)
        held.append(Held(number, reason, topic, since_ms, detail))
    return tuple(held)


def _lag_records(sources: Sources, cursors: Mapping[int, Basis], asked: Mapping[int, Basis]) -> int:
    """Return how far positions are behind the ends; negative is only who stands beyond an end."""
    lag = 0
    for (topic, number), log_range in sources.ranges.items():
        position = cursors.get(number, NOTHING).positions.get(topic, log_range.beginning)
        is_beyond = asked.get(number, NOTHING).positions.get(topic, 0) > log_range.end
        behind = log_range.end - position
        lag += behind if is_beyond else max(0, behind)
    return lag


class Standing(NamedTuple):
    """A place behind which nothing can be read committed, though there are records."""

    topic: str
    partition: int
    offset: int


def standing(sources: Sources, cursors: Mapping[int, Basis] | None = None) -> list[Standing]:
    """Return where the last stable offset has records behind it.

    Given `cursors`, by partition number: only where all before it is counted.
    """
    return [
        Standing(topic, number, log_range.stable)
        for (topic, number), log_range in sorted(sources.ranges.items())
        if log_range.stable < log_range.end
        and (cursors is None or cursors.get(number, NOTHING).positions.get(topic) == log_range.stable)
    ]


def is_told(opened: OpenTransaction, now_ms: int) -> bool:
    """Return whether a transaction is open for long enough to be told."""
    return now_ms - opened.since_ms > OPEN_MS
