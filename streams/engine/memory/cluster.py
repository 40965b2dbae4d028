"""One in-memory Kafka: topics, logs, transactions and groups under one clock that its user turns.

`Kafka` answers the requests of clients, each of which asks `faults` first, and does what an operator, the cleaner or an
accident does to a cluster (`delete_below`, `compact`, `truncate`, …), without asking. Nothing in it waits, draws
lots or reads a clock: the same calls in the same order give the same answers.
"""

from __future__ import annotations

from dataclasses import dataclass, field
from enum import Enum
from typing import TYPE_CHECKING, NamedTuple

from streams.engine.memory.compaction import Compaction
from streams.engine.memory.errors import InvalidRecordError, TopicExistsError, UnknownTopicError
from streams.engine.memory.faults import Faults, Request, Right
from streams.engine.memory.groups import NO_GENERATION, Assignment, Groups
from streams.engine.memory.log import NO_PRODUCER, PartitionLog
from streams.engine.memory.transactions import Coordinator

if TYPE_CHECKING:
    from collections.abc import Iterable, Mapping, Sequence

    from streams.engine.batch import RecordBatch
    from streams.engine.memory.log import Headers, OpenTransaction
    from streams.engine.memory.transactions import PendingTransaction, Place


class Isolation(Enum):
    """Up to where a reader sees a log, and whether it sees aborted records."""

    COMMITTED = "read_committed"
    UNCOMMITTED = "read_uncommitted"


COMMITTED, UNCOMMITTED = Isolation.COMMITTED, Isolation.UNCOMMITTED
SESSION_TIMEOUT_MS = 6_000
REBALANCE_TIMEOUT_MS = 60_000


@dataclass(slots=True)
class Topic:
    """One topic, from its creation until it is deleted: made again it is another one, with another id."""

    topic_id: str
    is_compacted: bool
    min_compaction_lag_ms: int
    delete_retention_ms: int
    logs: list[PartitionLog] = field(default_factory=list)
    compactions: list[Compaction] = field(default_factory=list)


class TopicDescription(NamedTuple):
    """What a client can learn of a topic."""

    topic_id: str
    partitions: int


class Kafka:
    """One cluster. Times are milliseconds since the epoch; names are as given, without any prefix of our own."""

    def __init__(self, now_ms: int = 0, *, cluster_id: str = "memory") -> None:
        """Begin without topics."""
        self.cluster_id = cluster_id
        self.now_ms = now_ms
        self.skew_ms = 0
        """What the broker's clock of record times is ahead; lowering it lets record times go back."""
        self.faults = Faults()
        self.topics: dict[str, Topic] = {}
        self.groups = Groups(self._partition_count)
        self.coordinator = Coordinator(self._move_offsets)
        self._topics_made = 0

    @property
    def record_time_ms(self) -> int:
        """Return the record time of what is appended now."""
        return self.now_ms + self.skew_ms

    # --- time, and what an operator, the cleaner or an accident does

    def tick(self, now_ms: int) -> None:
        """Let time pass up to `now_ms`: control records become due, transactions and members of groups time out."""
        assert now_ms >= self.now_ms, (now_ms, self.now_ms)
        self.now_ms = now_ms
        self.coordinator.tick(now_ms, self.record_time_ms)
        self.groups.expire(now_ms)

    def create_topic(
        self,
        name: str,
        partitions: int,
        *,
        is_compacted: bool = False,
        min_compaction_lag_ms: int = 0,
        delete_retention_ms: int = 0,
    ) -> None:
        """Make a topic; raises `TopicExistsError`."""
        if name in self.topics:
            raise TopicExistsError(name)
        self._topics_made += 1
        topic_id = f"{self.cluster_id}-{self._topics_made}"
        self.topics[name] = Topic(topic_id, is_compacted, min_compaction_lag_ms, delete_retention_ms)
        self.add_partitions(name, partitions)

    def add_partitions(self, name: str, partitions: int) -> None:
        """Let a topic have `partitions` in all, not fewer than it has. Members of groups learn it by joining again."""
        topic = self.topics[name]
        assert partitions >= len(topic.logs), (name, partitions)
        for partition in range(len(topic.logs), partitions):
            topic.logs.append(PartitionLog(name, partition))
            topic.compactions.append(Compaction(topic.logs[-1]))

    def delete_topic(self, name: str) -> None:
        """Delete a topic with all its records, and what groups have committed of it."""
        del self.topics[name]
        self.coordinator.forget(name)
        self.groups.forget(name)

    def log(self, topic: str, partition: int) -> PartitionLog:
        """Return the log itself, for oracles and accidents (`elect`, `truncate`, `damaged`, …).

        Raises `UnknownTopicError`.
        """
        found = self.topics.get(topic)
        if found is None or not 0 <= partition < len(found.logs):
            raise UnknownTopicError(f"{topic}[{partition}]")
        return found.logs[partition]

    def delete_older(self, topic: str, time_ms: int) -> None:
        """Delete, in all partitions, the records before the first that is not older than `time_ms`: retention."""
        for log in self.topics[topic].logs:
            found = log.offset_for_time(time_ms, is_committed_only=False)
            log.delete_below(log.high_watermark if found is None else found[0])

    def compact(self, topic: str, partition: int, *, below: int | None = None) -> None:
        """Compact one partition of a compacted topic; `below`: where the segment begins that is still written to."""
        found = self.topics[topic]
        assert found.is_compacted, topic
        found.compactions[partition].compact(
            self.now_ms,
            min_lag_ms=found.min_compaction_lag_ms,
            delete_retention_ms=found.delete_retention_ms,
            below=below,
        )

    def end_hanging(self, topic: str, partition: int, producer_id: int) -> None:
        """Abort the records of one producer in one partition, as an operator does with a transaction that hangs."""
        self.log(topic, partition).end_transaction(producer_id, self.record_time_ms, is_commit=False)

    # --- requests of producers

    def init_producer(self, transactional_id: str | None = None, timeout_ms: int = 60_000) -> tuple[int, int]:
        """Return producer id and epoch; older producers of the id are fenced, their open transaction is aborted."""
        is_lost = self.faults.admit(Request.INIT_PRODUCER, Right.WRITE, transactional_id or "")
        answer = self.coordinator.init(transactional_id, timeout_ms, self.record_time_ms)
        self.faults.answer(Request.INIT_PRODUCER, is_lost=is_lost)
        return answer

    def produce(
        self,
        topic: str,
        partition: int,
        values: Sequence[bytes | None],
        keys: Sequence[bytes | None] | None = None,
        headers: Sequence[Headers] | None = None,
        *,
        producer: tuple[int, int] | None = None,
        sequence: int | None = None,
        is_transactional: bool = False,
    ) -> int:
        """Append records and return the offset of the first.

        `producer`: id and epoch. `sequence`: the number of the first record among the producer's records for this
        partition; a batch that was stored before is not stored again. Raises `ProducerFencedError`,
        `InvalidRecordError`, `OutOfOrderSequenceError`, `UnknownTopicError`.
        """
        is_lost = self.faults.admit(Request.PRODUCE, Right.WRITE, topic)
        log = self.log(topic, partition)
        if self.topics[topic].is_compacted and (keys is None or None in keys):
            raise InvalidRecordError(f"{topic} is compacted: a record needs a key")
        producer_id, epoch = producer or (NO_PRODUCER, 0)
        if producer is not None:
            self.coordinator.check(producer_id, epoch)
        base = None if sequence is None else log.resent(producer_id, epoch, sequence)
        if base is None:
            if is_transactional:
                self.coordinator.enlist(producer_id, log, self.now_ms, self.record_time_ms)
            transaction = producer_id if is_transactional else NO_PRODUCER
            base = log.append(values, keys, headers, self.record_time_ms, transaction)
            if sequence is not None:
                log.remember(producer_id, epoch, sequence, base)
        self.faults.answer(Request.PRODUCE, is_lost=is_lost)
        return base

    def add_offsets(self, producer: tuple[int, int], group: str, offsets: Mapping[Place, int]) -> None:
        """Let the commit of the producer's transaction move offsets of a group. Raises `ProducerFencedError`."""
        is_lost = self.faults.admit(Request.ADD_OFFSETS, Right.READ, group)
        self.coordinator.check(*producer)
        self.coordinator.add_offsets(producer[0], group, offsets, self.now_ms, self.record_time_ms)
        self.faults.answer(Request.ADD_OFFSETS, is_lost=is_lost)

    def end_transaction(self, producer: tuple[int, int], *, is_commit: bool) -> None:
        """Commit or abort. Raises `ProducerFencedError`, `InvalidTransactionStateError`."""
        name = self.coordinator.transactional_id(producer[0]) or ""
        is_lost = self.faults.admit(Request.END_TRANSACTION, Right.WRITE, name)
        self.coordinator.check(*producer)
        self.coordinator.end(producer[0], self.now_ms, self.record_time_ms, is_commit=is_commit)
        self.faults.answer(Request.END_TRANSACTION, is_lost=is_lost)

    # --- requests of consumers

    def fetch(
        self,
        topic: str,
        partition: int,
        offset: int,
        *,
        isolation: Isolation = COMMITTED,
        max_records: int | None = None,
        max_bytes: int | None = None,
    ) -> RecordBatch:
        """Return the records from `offset` on, and the position after them; it may end amid a committed transaction.

        Raises `OutOfRangeError`, `DamagedError`, `UnknownTopicError`.
        """
        is_lost = self.faults.admit(Request.FETCH, Right.READ, topic)
        batch = self.log(topic, partition).read(
            offset, is_committed_only=isolation is COMMITTED, max_records=max_records, max_bytes=max_bytes
        )
        self.faults.answer(Request.FETCH, is_lost=is_lost)
        return batch

    def beginning_offset(self, topic: str, partition: int) -> int:
        """Return the first offset that is not deleted."""
        return self._described(topic, partition).beginning

    def end_offset(self, topic: str, partition: int, isolation: Isolation = COMMITTED) -> int:
        """Return the last stable offset, or, reading uncommitted, the high watermark."""
        log = self._described(topic, partition)
        return log.stable_offset if isolation is COMMITTED else log.high_watermark

    def offset_for_time(
        self, topic: str, partition: int, time_ms: int, isolation: Isolation = COMMITTED
    ) -> tuple[int, int] | None:
        """Return offset and time of the first record, also a control record, that is not older than `time_ms`."""
        log = self._described(topic, partition)
        return log.offset_for_time(time_ms, is_committed_only=isolation is COMMITTED)

    def offset_for_leader_epoch(self, topic: str, partition: int, epoch: int) -> tuple[int, int]:
        """Return the newest leader epoch up to `epoch` and where it ended; (-1, -1) for one that never was."""
        return self._described(topic, partition).end_of_epoch(epoch)

    def describe_topic(self, topic: str) -> TopicDescription | None:
        """Return id and number of partitions; None where there is no such topic."""
        is_lost = self.faults.admit(Request.METADATA, Right.DESCRIBE, topic)
        found = self.topics.get(topic)
        self.faults.answer(Request.METADATA, is_lost=is_lost)
        return None if found is None else TopicDescription(found.topic_id, len(found.logs))

    def describe_producers(self, topic: str, partition: int) -> list[OpenTransaction]:
        """Return the open transactions of one partition, the oldest first."""
        is_lost = self.faults.admit(Request.METADATA, Right.READ, topic)
        answer = self.log(topic, partition).open_transactions
        self.faults.answer(Request.METADATA, is_lost=is_lost)
        return answer

    def list_transactions(self) -> list[PendingTransaction]:
        """Return the open transactions that the coordinator knows, without those that may not be described."""
        is_lost = self.faults.admit(Request.METADATA, Right.DESCRIBE, "")
        denied = self.faults.denied
        answer = [p for p in self.coordinator.pending if (Right.DESCRIBE, p.transactional_id) not in denied]
        self.faults.answer(Request.METADATA, is_lost=is_lost)
        return answer

    # --- requests of members of a group: see `streams.engine.memory.groups` for what they raise

    def join(
        self,
        group: str,
        topics: Iterable[str],
        *,
        session_timeout_ms: int = SESSION_TIMEOUT_MS,
        rebalance_timeout_ms: int = REBALANCE_TIMEOUT_MS,
        member_id: str | None = None,
        instance_id: str | None = None,
    ) -> str:
        """Join, or join again; returns the member id."""
        is_lost = self.faults.admit(Request.JOIN, Right.READ, group)
        answer = self.groups.join(
            group,
            topics,
            self.now_ms,
            session_timeout_ms=session_timeout_ms,
            rebalance_timeout_ms=rebalance_timeout_ms,
            member_id=member_id,
            instance_id=instance_id,
        )
        self.faults.answer(Request.JOIN, is_lost=is_lost)
        return answer

    def sync(self, group: str, member_id: str) -> Assignment | None:
        """Return what the member was dealt; None while others have not joined yet."""
        is_lost = self.faults.admit(Request.SYNC, Right.READ, group)
        answer = self.groups.sync(group, member_id, self.now_ms)
        self.faults.answer(Request.SYNC, is_lost=is_lost)
        return answer

    def heartbeat(self, group: str, member_id: str, generation: int) -> None:
        """Stay a member."""
        is_lost = self.faults.admit(Request.HEARTBEAT, Right.READ, group)
        self.groups.heartbeat(group, member_id, generation, self.now_ms)
        self.faults.answer(Request.HEARTBEAT, is_lost=is_lost)

    def leave(self, group: str, member_id: str) -> None:
        """Leave the group at once."""
        is_lost = self.faults.admit(Request.LEAVE, Right.READ, group)
        self.groups.leave(group, member_id, self.now_ms)
        self.faults.answer(Request.LEAVE, is_lost=is_lost)

    def commit_offsets(
        self, group: str, offsets: Mapping[Place, int], member_id: str | None = None, generation: int = NO_GENERATION
    ) -> None:
        """Move offsets of the group, as its member or, without `member_id`, as a tool."""
        is_lost = self.faults.admit(Request.COMMIT_OFFSETS, Right.READ, group)
        self.groups.commit(group, offsets, member_id, generation)
        self.faults.answer(Request.COMMIT_OFFSETS, is_lost=is_lost)

    def committed_offsets(self, group: str) -> Mapping[Place, int]:
        """Return the offsets that the group has committed."""
        is_lost = self.faults.admit(Request.FETCH_OFFSETS, Right.READ, group)
        answer = self.groups.offsets(group)
        self.faults.answer(Request.FETCH_OFFSETS, is_lost=is_lost)
        return answer

    def _described(self, topic: str, partition: int) -> PartitionLog:
        is_lost = self.faults.admit(Request.OFFSETS, Right.DESCRIBE, topic)
        log = self.log(topic, partition)
        self.faults.answer(Request.OFFSETS, is_lost=is_lost)
        return log

    def _partition_count(self, topic: str) -> int:
        found = self.topics.get(topic)
        return 0 if found is None else len(found.logs)

    def _move_offsets(self, group: str, offsets: Mapping[Place, int]) -> None:
        # A topic that was deleted meanwhile has no offsets.
        self.groups.commit(group, {place: offset for place, offset in offsets.items() if place[0] in self.topics})
