"""Since when a partition stands still, and why: what readiness goes by. Kept by the status of a worker.

A takeover does not end a standstill: a partition moves once something of it is committed, or nothing of it waits.
"""

from __future__ import annotations

import datetime as dt
from typing import TYPE_CHECKING, NamedTuple, Protocol

if TYPE_CHECKING:
    from collections.abc import Collection, Mapping


NOT_ALLOWED, BROKER_AWAY = "not_allowed", "broker_away"
"""Why a partition waits: it goes on by itself, once the right is there, or the broker answers."""
LONG_MS = 30_000
"""A standstill that is shorter is none (contract 4)."""


class Range(Protocol):
    """The offsets of a log: `streams.engine.judgement.LogRange`."""

    @property
    def beginning(self) -> int:
        """Return the first offset."""

    @property
    def stable(self) -> int:
        """Return up to where can be read, what is committed."""

    @property
    def end(self) -> int:
        """Return the offset behind the last record."""


class Waiting(NamedTuple):
    """A partition that goes on by itself, once what it waits for is there."""

    reason: str
    detail: str
    since_ms: int


class Standstill:
    """The partitions of one process, by number."""

    def __init__(self) -> None:
        """Begin without a partition."""
        self.waiting: dict[int, Waiting] = {}
        self.contacted_ms: int | None = None
        """When Kafka last answered."""
        self._moved_ms: dict[int, int] = {}
        self._checkpoints_ms: dict[int, int] = {}
        """For how long a checkpoint of each partition is under way."""
        self._group: Waiting | None = None
        """What the group does not allow."""
        self._unanswered = ""
        """What came in place of the last answer."""

    def keep(self, partitions: Collection[int], now_ms: int) -> None:
        """Note which partitions there are; those that were here before stand still as long as they did."""
        self._moved_ms = {number: self._moved_ms.get(number, now_ms) for number in partitions}
        self.waiting = {number: why for number, why in self.waiting.items() if number in partitions}

    def committed(self, partition: int, now_ms: int) -> None:
        """Note that something of a partition was committed."""
        self.contacted_ms = now_ms
        if partition in self._moved_ms:
            self._moved_ms[partition] = now_ms

    def looked(
        self,
        ranges: Mapping[tuple[str, int], Range],
        positions: Mapping[int, Mapping[str, int]],
        now_ms: int,
    ) -> None:
        """Note the logs as they are now: where nothing committed waits behind the positions, nothing stands still."""
        self.contacted_ms, self._unanswered = now_ms, ""
        behind = {
            number
            for (topic, number), log_range in ranges.items()
            if positions.get(number, {}).get(topic, log_range.beginning) < log_range.stable
        }
        seen = {number for _, number in ranges}
        for number in self._moved_ms:
            if number in seen and number not in behind and number not in self.waiting:
                self._moved_ms[number] = now_ms

    def unanswered(self, detail: str) -> None:
        """Note that Kafka did not answer a question."""
        self._unanswered = detail

    def waits(self, partition: int, reason: str, detail: str, now_ms: int) -> bool:
        """Note that a partition waits; return whether the reason is another one than before."""
        before = self.waiting.get(partition)
        is_new = before is None or before.reason != reason
        since_ms = now_ms if before is None else before.since_ms
        self.waiting[partition] = Waiting(reason, detail, since_ms)
        return is_new

    def checkpoint_waits(self, partition: int, waited_ms: int) -> None:
        """Note for how long a checkpoint has been under way; 0: none is."""
        self._checkpoints_ms[partition] = waited_ms

    def group_denies(self, detail: str | None, now_ms: int) -> None:
        """Note what the group does not allow, None where it allows what is needed."""
        if detail is None:
            self._group = None
        elif self._group is None or self._group.detail != detail:
            self._group = Waiting(NOT_ALLOWED, detail, now_ms)

    def goes_on(self, partition: int) -> bool:
        """Note that a partition does not wait; return whether it did."""
        return self.waiting.pop(partition, None) is not None

    def told(self, now_ms: int) -> str | None:
        """Return what is to say of partitions that stand still for long; None where none does."""
        told = []
        if self._group is not None and now_ms - self._group.since_ms >= LONG_MS:
            told.append(f"{self._group.detail} ({NOT_ALLOWED}), since {_time(self._group.since_ms)}")
        for number, moved_ms in sorted(self._moved_ms.items()):
            waiting = self.waiting.get(number)
            since_ms = moved_ms if waiting is None else min(waiting.since_ms, moved_ms)
            if now_ms - since_ms < LONG_MS:
                continue
            why = self._unanswered or "records wait, and nothing is committed"
            if waiting is not None:
                why = f"{waiting.detail} ({waiting.reason})"
            told.append(f"partition {number} stands still since {_time(since_ms)}: {why}")
        told += [
            f"a checkpoint of partition {number} waits for Kafka since {waited_ms // 1000} s: look at the broker, and "
            "at min.insync.replicas of the ledger's topics"
            for number, waited_ms in self._checkpoints_ms.items()
            if waited_ms >= LONG_MS and number in self._moved_ms
        ]
        if told:
            return "; ".join(told)
        if self.contacted_ms is not None and now_ms - self.contacted_ms >= LONG_MS:
            return f"Kafka has not answered since {_time(self.contacted_ms)}: {self._unanswered or 'no answer'}"
        return None


def _time(ms: int) -> str:
    return dt.datetime.fromtimestamp(ms / 1000, dt.UTC).strftime("%H:%M:%S UTC")
