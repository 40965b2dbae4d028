"""A tenure under test: signals in by short names, effects out, and a store in memory that keeps what was committed."""

from __future__ import annotations

from dataclasses import replace
from typing import TYPE_CHECKING, TypeVar

from streams.domain.built_in import ROLLUPS
from streams.engine import effects as fx
from streams.engine import signals as sig
from streams.engine.batch import RecordBatch
from streams.engine.checkpoint import Restored
from streams.engine.judgement import LogRange, Sources
from streams.engine.lifecycle import State
from streams.engine.tenure import Tenure
from streams.engine.terms import Terms
from tests.unit.domain.samples import IDENTITY, START_MS, declarations, encode, order

if TYPE_CHECKING:
    from collections.abc import Mapping, Sequence

    from streams.domain.declarations import Declarations
    from streams.domain.pages import Identity

E = TypeVar("E", bound=fx.Effect)

PARTITION = 3
TOPICS = frozenset({"orders", "payments"})
PAUSE_MS = 500
SESSION_MS = 6_000
BOTH = declarations(rollups=tuple(rollup for rollup in ROLLUPS if rollup.fact in TOPICS))
LOGS = {"orders": LogRange(0, 1_000, 1_000), "payments": LogRange(5, 1_000, 1_000)}
PARTITIONS = 8
EPOCH = 4
"""Leader epoch of every batch."""


def sources(
    counts: Mapping[str, int] | None = None,
    *,
    ledger_partitions: int = PARTITIONS,
    identity: Identity | None = None,
    epoch_ends: Mapping[tuple[str, int], int] | None = None,
    leader_epochs: Mapping[tuple[str, int], int] | None = None,
    **logs: LogRange,
) -> Sources:
    """Return topics of eight partitions, whose logs are LOGS where it is not said."""
    found = counts or dict.fromkeys(LOGS, PARTITIONS)
    ranges = {(t, PARTITION): logs.get(t, LOGS[t]) for t, count in found.items() if count > PARTITION}
    here = IDENTITY if identity is None else identity
    return Sources(found, ranges, ledger_partitions, here, epoch_ends or {}, leader_epochs or {})


def only(effects: Sequence[fx.Effect], kind: type[E]) -> E:
    """Return the one effect of a kind."""
    (found,) = [effect for effect in effects if isinstance(effect, kind)]
    return found


def has(effects: Sequence[fx.Effect], kind: type[fx.Effect]) -> bool:
    """Return whether there is an effect of a kind."""
    return any(isinstance(effect, kind) for effect in effects)


class Bench:
    """One tenure, its time, and what was committed of it."""

    def __init__(
        self,
        restored: Restored | None = None,
        terms: Declarations = BOTH,
        *,
        gives_way: bool = False,
        tries: int | None = None,
    ) -> None:
        self.now_ms = 0
        self.committed = restored or Restored()
        self.tenure = Tenure(PARTITION, Terms(terms, "g1", SESSION_MS, lambda: PAUSE_MS, gives_way, tries))

    def is_in(self, state: State) -> bool:
        return self.tenure.state is state

    def has_ledger(self) -> bool:
        return self.tenure.processor is not None

    @property
    def position(self) -> int:
        """Where the ledger in memory stands in the orders."""
        assert self.tenure.processor is not None
        return self.tenure.processor.positions["orders"]

    def on(self, signal: sig.Signal) -> Sequence[fx.Effect]:
        return self.tenure.on(signal, self.now_ms)

    def assign(self, topics: frozenset[str] = TOPICS) -> Sequence[fx.Effect]:
        return self.on(sig.Assigned(topics))

    def survey(self, asked: fx.Survey, seen: Sources | None = None) -> Sequence[fx.Effect]:
        """Answer `asked`: the topics are as they must be where it is not said."""
        return self.on(sig.Surveyed(asked.takeover, asked.request, seen or sources()))

    def compare(self, seen: Sources) -> Sequence[fx.Effect]:
        """Look at the topics, as is done every few seconds."""
        counted = self.tenure.counted
        assert counted is not None
        return self.on(sig.Compared(self.tenure.takeover, counted, seen))

    def begin(self) -> Sequence[fx.Effect]:
        """Go on to the fence."""
        return self.survey(only(self.assign(), fx.Survey))

    def fence(self) -> Sequence[fx.Effect]:
        return self.on(sig.Fenced(self.tenure.takeover))

    def read_back(self) -> Sequence[fx.Effect]:
        return self.on(sig.ReadBack(self.tenure.takeover, self.committed))

    def place(self) -> Sequence[fx.Effect]:
        """Go on to where the logs are found."""
        self.begin()
        self.fence()
        return self.read_back()

    def cutting(self) -> fx.Commit:
        """Go on to the first commit."""
        return only(self.survey(only(self.place(), fx.Survey)), fx.Commit)

    def counting(self) -> None:
        """Go on until it counts and nothing is under way."""
        self.commit(self.cutting())
        assert self.is_in(State.COUNTING)

    def commit(self, commit: fx.Commit) -> Sequence[fx.Effect]:
        """Make a checkpoint durable."""
        self.keep(commit)
        return self.on(sig.Committed(commit.takeover))

    def keep(self, commit: fx.Commit) -> None:
        """Make a checkpoint durable without a word of it."""
        checkpoint, before = commit.checkpoint, self.committed
        seen = {**before.seen, **{key: hashes for key, hashes in checkpoint.seen if hashes is not None}}
        fingerprint = checkpoint.fingerprint or before.fingerprint
        self.committed = Restored(checkpoint.cursor, fingerprint, {**before.pages, **dict(checkpoint.pages)}, seen)

    def deliver(
        self, first: int, count: int = 1, *, age_ms: int = 0, value: bytes | None = None, epoch: int | None = EPOCH
    ) -> Sequence[fx.Effect]:
        """Deliver a batch of orders."""
        return self.on(sig.Delivered(replace(batch(first, count, value=value), leader_epoch=epoch), age_ms))

    def wake(self) -> Sequence[fx.Effect]:
        """Let the time come that it waits for."""
        assert self.tenure.wake_at_ms is not None
        self.now_ms = max(self.now_ms, self.tenure.wake_at_ms)
        return self.on(sig.Woken())


def batch(first: int, count: int, *, value: bytes | None = None) -> RecordBatch:
    """Return orders at consecutive offsets."""
    offsets = range(first, first + count)
    values = [value or encode(order(event_id=f"e{offset}")) for offset in offsets]
    times = [START_MS + 1_000] * count
    return RecordBatch(
        "orders", PARTITION, first, first + count, offsets, [None] * count, values, times, leader_epoch=EPOCH
    )


def empty(first: int, next_offset: int) -> RecordBatch:
    """Return a batch that moves the position and holds no record."""
    return replace(batch(first, 0), next_offset=next_offset)
