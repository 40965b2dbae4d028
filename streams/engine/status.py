"""What a worker knows of itself: written by the worker as it counts, read by its metrics and its readiness.

Written in the event loop, read from any thread: every method takes the lock, and `snapshot` hands out a copy. Nothing
here blocks on anything else, and nothing raises.
"""

from __future__ import annotations

import threading
from collections import defaultdict
from dataclasses import dataclass, field, replace
from enum import StrEnum
from typing import TYPE_CHECKING

from streams.domain.pages import LATE
from streams.engine.histogram import BATCH_BOUNDS, CHECKPOINT_BOUNDS, DELAY_BOUNDS, Histogram
from streams.engine.standstill import LONG_MS, Standstill

if TYPE_CHECKING:
    from collections.abc import Collection, Mapping

    from streams.domain.pages import Cursor
    from streams.engine.standstill import Range, Waiting

GRACE_MS = LONG_MS
"""A rebalance or a takeover shorter than this leaves a worker ready (contract 4)."""


class PartitionState(StrEnum):
    """Where a partition number assigned to this worker stands."""

    RESTORING = "restoring"
    CONSUMING = "consuming"
    SUSPENDED = "suspended"
    HELD = "held"


class HeldReason(StrEnum):
    """Why going on would be guessing, in the order in which they are told: the first that fits."""

    FOREIGN_CLUSTER = "foreign_cluster"
    LEDGER_MISSING = "ledger_missing"
    LEDGER_REPLACED = "ledger_replaced"
    LOG_MISSING = "log_missing"
    LOG_REPLACED = "log_replaced"
    UNEQUAL_PARTITIONS = "unequal_partitions"
    NOT_IN_LEDGER = "not_in_ledger"
    NOT_COLOCATED = "not_colocated"
    LEDGER_UNREADABLE = "ledger_unreadable"
    LOG_DELETED = "log_deleted"
    LOG_TRUNCATED = "log_truncated"
    BEYOND_END = "beyond_end"
    LOG_UNREADABLE = "log_unreadable"


RECOUNT = "restore the topic, or count again what is left of the log with `festival recount --accept-loss`"
ADVICE = {
    HeldReason.FOREIGN_CLUSTER: "a ledger counts for the cluster it was counted on only; connect to that one, or run "
    "`festival recount` to count the logs of this one",
    HeldReason.LEDGER_MISSING: "create it with `festival topics`, then run `festival recount`",
    HeldReason.LEDGER_REPLACED: "what was counted lay on another topic of that name; run `festival recount` to count "
    "again from the beginning of the log",
    HeldReason.LOG_MISSING: "it was deleted, or made again with fewer partitions; restore it, or create it with "
    "`festival topics` and count again what is left of the log with `festival recount --accept-loss`",
    HeldReason.LOG_REPLACED: f"the topic was deleted and made again; {RECOUNT}",
    HeldReason.UNEQUAL_PARTITIONS: "give all source topics the same number, with `kafka-topics.sh --alter "
    "--partitions`, then run `festival topics`; it is counted then",
    HeldReason.NOT_IN_LEDGER: "run `festival topics`, which adds partitions to the ledger; it is counted then",
    HeldReason.NOT_COLOCATED: "all workers must run the same version: restart those that do not",
    HeldReason.LEDGER_UNREADABLE: "run `festival recount` to count again from the beginning of the log",
    HeldReason.LOG_DELETED: f"records not counted yet were deleted; {RECOUNT}",
    HeldReason.LOG_TRUNCATED: f"counted records were lost, to a leader that lacked them or with a disk; {RECOUNT}",
    HeldReason.BEYOND_END: f"the log ends before the position; {RECOUNT}",
    HeldReason.LOG_UNREADABLE: f"the log cannot be read there; {RECOUNT}",
}
"""What to do about each."""


@dataclass(frozen=True, slots=True)
class PartitionStatus:
    """One partition number: its state, and what is committed of it."""

    state: PartitionState
    reason: HeldReason | None = None
    detail: str = ""
    """What the operator reads: the topic, the offsets, and what to do."""
    topic: str | None = None
    """Whose log is the reason, if it is one's."""
    since_ms: int = 0
    """Since when it is held."""
    positions: Mapping[str, int] = field(default_factory=dict)
    """Committed next offset per source topic."""


@dataclass(frozen=True, slots=True)
class StatusSnapshot:
    """A copy of the status, consistent in itself. Counts are of this process, since it started."""

    joined: bool
    partitions: Mapping[int, PartitionStatus]
    end_offsets: Mapping[tuple[str, int], int]
    outcomes: Mapping[tuple[str, str], int]
    """Records by topic and outcome, once their checkpoint is committed."""
    rejected: Mapping[tuple[str, str], int]
    late: Mapping[str, int]
    checkpoints: int
    checkpoint_failures: int
    rebalances: int
    restore_seconds: float | None
    """Duration of the last restore."""
    waiting: Mapping[int, Waiting]
    throttled: Mapping[str, float]
    """Seconds that brokers held requests back, by kind of request."""
    batch_records: Histogram
    checkpoint_seconds: Histogram
    delay_seconds: Histogram

    def lag_records(self) -> dict[tuple[str, int], int]:
        """Return the records between the committed position and the end, never negative; where the end is known."""
        return {
            (topic, number): max(0, self.end_offsets[topic, number] - position)
            for number, partition in self.partitions.items()
            for topic, position in partition.positions.items()
            if (topic, number) in self.end_offsets
        }


class WorkerStatus:
    """The status of one worker. One writer, any number of readers."""

    def __init__(self, topics: Collection[str] = ()) -> None:
        """Start before the group is joined; `topics` are the source topics this worker counts."""
        self.topics = tuple(topics)
        self._lock = threading.Lock()
        self._joined = False
        self._was_ready = False
        self._unsettled_since_ms: int | None = None
        self._partitions: dict[int, PartitionStatus] = {}
        self._end_offsets: dict[tuple[str, int], int] = {}
        self._cursors: dict[int, Cursor] = {}
        self._outcomes: defaultdict[tuple[str, str], int] = defaultdict(int)
        self._rejected: defaultdict[tuple[str, str], int] = defaultdict(int)
        self._late: defaultdict[str, int] = defaultdict(int)
        self._checkpoints = 0
        self._checkpoint_failures = 0
        self._rebalances = 0
        self._restore_seconds: float | None = None
        self._batch_records = Histogram.empty(BATCH_BOUNDS)
        self._checkpoint_seconds = Histogram.empty(CHECKPOINT_BOUNDS)
        self._delay_seconds = Histogram.empty(DELAY_BOUNDS)
        self._standstill = Standstill()
        self._throttled: dict[str, float] = {}

    def contacted(self, now_ms: int) -> None:
        """Note that Kafka has answered."""
        with self._lock:
            self._standstill.contacted_ms = now_ms

    def contacted_ms(self) -> int | None:
        """Return when Kafka last answered, None before."""
        with self._lock:
            return self._standstill.contacted_ms

    def throttled(self, seconds: Mapping[str, float]) -> None:
        """Note for how long brokers have held requests back, by kind of request."""
        with self._lock:
            self._throttled = dict(seconds)

    def unanswered(self, detail: str) -> None:
        """Note that Kafka did not answer a question, and what came in place of it."""
        with self._lock:
            self._standstill.unanswered(detail)

    def looked(self, ranges: Mapping[tuple[str, int], Range], now_ms: int) -> None:
        """Note the logs as they are now."""
        with self._lock:
            for (topic, number), log_range in ranges.items():
                if number in self._partitions:
                    self._end_offsets[topic, number] = log_range.end
            positions = {number: partition.positions for number, partition in self._partitions.items()}
            self._standstill.looked(ranges, positions, now_ms)

    def waits(self, partition: int, reason: str, detail: str, now_ms: int) -> bool:
        """Note that a partition waits, and goes on by itself; return whether that is news."""
        with self._lock:
            return self._standstill.waits(partition, reason, detail, now_ms)

    def group_denies(self, detail: str | None, now_ms: int) -> None:
        """Note what the group does not allow, None where it allows what is needed."""
        with self._lock:
            self._standstill.group_denies(detail, now_ms)

    def goes_on(self, partition: int) -> bool:
        """Note that a partition does not wait; return whether it did."""
        with self._lock:
            return self._standstill.goes_on(partition)

    def waiting(self) -> dict[int, Waiting]:
        """Return why partitions of this worker wait, of those that do."""
        with self._lock:
            return {number: why for number, why in self._standstill.waiting.items() if number in self._partitions}

    def committed(self, partition: int, now_ms: int) -> None:
        """Note when something of a partition was committed."""
        with self._lock:
            self._standstill.committed(partition, now_ms)

    def rebalance_started(self, now_ms: int) -> None:
        """Note that the group takes its partitions back to deal them anew."""
        with self._lock:
            self._rebalances += 1
            for number, partition in self._partitions.items():
                self._partitions[number] = replace(partition, state=PartitionState.SUSPENDED)
            self._unsettle(now_ms)

    def assigned(self, partitions: Collection[int], now_ms: int) -> None:
        """Note an assignment, be it nothing: this worker is a member of the group."""
        with self._lock:
            self._joined = True
            for number in self._partitions.keys() - set(partitions):
                self._forget(number)
            for number in partitions:
                known = self._partitions.get(number) or PartitionStatus(PartitionState.RESTORING)
                self._partitions[number] = replace(known, state=PartitionState.RESTORING, reason=None, detail="")
            self._standstill.keep(partitions, now_ms)
            self._unsettle(now_ms)
            self._settle()

    def restoring(self, partition: int, now_ms: int) -> None:
        """Note that a partition is taken over afresh."""
        with self._lock:
            self._change(partition, PartitionState.RESTORING)
            self._unsettle(now_ms)

    def restored(self, partition: int, cursor: Cursor | None, seconds: float) -> None:
        """Note what the ledger held at a takeover: counts go on from there."""
        with self._lock:
            self._restore_seconds = seconds
            if cursor is None:
                self._cursors.pop(partition, None)
            else:
                self._cursors[partition] = cursor
                self._set_positions(partition, cursor.positions)

    def consuming(self, partition: int) -> None:
        """Note that a partition is counted."""
        with self._lock:
            self._change(partition, PartitionState.CONSUMING)
            self._settle()

    def held(
        self, partition: int, reason: HeldReason, detail: str, topic: str | None = None, since_ms: int = 0
    ) -> None:
        """Note that a partition stands still until an operator acts."""
        with self._lock:
            self._change(partition, PartitionState.HELD, reason, detail)
            self._standstill.goes_on(partition)  # what holds it comes before what it waited for
            if partition in self._partitions:
                self._partitions[partition] = replace(self._partitions[partition], topic=topic, since_ms=since_ms)

    def observe_batch(self, records: int) -> None:
        """Note a batch handed to the ledger."""
        with self._lock:
            self._batch_records = self._batch_records.add(records)

    def observe_checkpoint(self, partition: int, cursor: Cursor, seconds: float) -> set[tuple[str, str]]:
        """Note a committed checkpoint and what it counted; return (topic, reason) of rejections not met before."""
        first_met = set()
        with self._lock:
            self._checkpoints += 1
            self._checkpoint_seconds = self._checkpoint_seconds.add(seconds)
            before = self._cursors.get(partition)
            self._cursors[partition] = cursor
            self._set_positions(partition, cursor.positions)
            for topic, counts in cursor.outcomes.items():
                counted = before.outcomes.get(topic, {}) if before else {}
                for outcome, number in counts.items():
                    more = number - counted.get(outcome, 0)
                    if outcome == LATE:
                        self._late[topic] += more
                    else:
                        self._outcomes[topic, outcome] += more
            for topic, counts in cursor.rejected.items():
                counted = before.rejected.get(topic, {}) if before else {}
                for reason, number in counts.items():
                    more = number - counted.get(reason, 0)
                    if more and not self._rejected[topic, reason]:
                        first_met.add((topic, reason))
                    self._rejected[topic, reason] += more
        return first_met

    def observe_delay(self, seconds: float, records: int) -> None:
        """Note `records` committed `seconds` after they reached Kafka."""
        with self._lock:
            # Brokers' clocks differ by some milliseconds, and a histogram's sum must not go back.
            self._delay_seconds = self._delay_seconds.add(max(0.0, seconds), records)

    def checkpoint_failed(self) -> None:
        """Note a checkpoint that was fenced or whose outcome is unknown."""
        with self._lock:
            self._checkpoint_failures += 1

    def checkpoint_waits(self, partition: int, waited_ms: int) -> None:
        """Note for how long a checkpoint has been under way; 0: none is."""
        with self._lock:
            self._standstill.checkpoint_waits(partition, waited_ms)

    def end_offset(self, topic: str, partition: int, offset: int) -> None:
        """Note the high watermark of a source partition, as it was seen last."""
        with self._lock:
            self._end_offsets[topic, partition] = offset

    def readiness(self, now_ms: int) -> tuple[bool, str]:
        """Return whether the worker is ready, and a sentence for the operator."""
        with self._lock:
            if not self._joined:
                return False, "not joined the consumer group yet"
            held = {number: p for number, p in self._partitions.items() if p.state is PartitionState.HELD}
            if held:
                return False, "; ".join(f"partition {n} is held ({p.reason}): {p.detail}" for n, p in held.items())
            if (standing := self._standstill.told(now_ms)) is not None:
                return False, standing
            unsettled = [n for n, p in self._partitions.items() if p.state is not PartitionState.CONSUMING]
            since_ms = self._unsettled_since_ms
            if since_ms is None:
                return True, f"counting {len(self._partitions)} partitions"
            if self._was_ready and now_ms - since_ms < GRACE_MS:
                return True, f"taking over partitions {unsettled}"
            return False, f"partitions {unsettled} are not restored yet"

    def snapshot(self) -> StatusSnapshot:
        """Return a consistent copy."""
        with self._lock:
            return StatusSnapshot(
                joined=self._joined,
                partitions=dict(self._partitions),
                end_offsets=dict(self._end_offsets),
                outcomes=dict(self._outcomes),
                rejected=dict(self._rejected),
                late=dict(self._late),
                checkpoints=self._checkpoints,
                checkpoint_failures=self._checkpoint_failures,
                rebalances=self._rebalances,
                restore_seconds=self._restore_seconds,
                waiting=dict(self._standstill.waiting),
                throttled=dict(self._throttled),
                batch_records=self._batch_records,
                checkpoint_seconds=self._checkpoint_seconds,
                delay_seconds=self._delay_seconds,
            )

    def _change(
        self, partition: int, state: PartitionState, reason: HeldReason | None = None, detail: str = ""
    ) -> None:
        known = self._partitions.get(partition)
        if known is not None:  # else news of a partition that has left
            self._partitions[partition] = replace(known, state=state, reason=reason, detail=detail)

    def _set_positions(self, partition: int, positions: Mapping[str, int]) -> None:
        if partition in self._partitions:
            self._partitions[partition] = replace(self._partitions[partition], positions=dict(positions))

    def _forget(self, partition: int) -> None:
        """Drop a partition that went to another worker: its series must not stay behind."""
        del self._partitions[partition]
        self._cursors.pop(partition, None)
        for topic, number in list(self._end_offsets):
            if number == partition:
                del self._end_offsets[topic, number]

    def _unsettle(self, now_ms: int) -> None:
        if self._unsettled_since_ms is None:
            self._unsettled_since_ms = now_ms

    def _settle(self) -> None:
        if all(p.state is PartitionState.CONSUMING for p in self._partitions.values()):
            self._was_ready = True
            self._unsettled_since_ms = None
