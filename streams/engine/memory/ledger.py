"""A ledger store on the in-memory Kafka: the promises of Kafka's (`streams.kafka.ledger.store`), step by step the same.

For tests and simulations, which make it fail at any step of a commit, and for whoever wants to count without a broker.
The contract suite (`tests/contract`) runs the same cases on both.
"""

from __future__ import annotations

from contextlib import contextmanager
from typing import TYPE_CHECKING

from streams.domain.pages import cursor_key
from streams.engine.checkpoint import (
    Checkpoint,
    FencedError,
    OutcomeUnknownError,
    RejectedRecord,
    Restored,
    UnreadableError,
)
from streams.engine.generations import Generations, Remade, declared, decode, encode, set_aside_below
from streams.engine.judgement import Note, decode_note, note_key
from streams.engine.ledger_keys import CURSOR_ENDS, GENERATIONS_KEY, parse_key
from streams.engine.ledger_records import (
    Live,
    Written,
    decode_positions,
    decode_rejected,
    decode_restored,
    encode_headers,
    encode_held,
)
from streams.engine.memory.cluster import UNCOMMITTED, Kafka
from streams.engine.memory.errors import DamagedError, NotStableError, OutOfRangeError, ProducerFencedError
from streams.engine.memory.producer import Producer
from streams.engine.steps import AtStep, Step, nothing_at
from streams.engine.topic_names import GROUP, LEDGER, SEEN, SOURCES, rejected_topic

if TYPE_CHECKING:
    from collections.abc import Generator, Iterator, Mapping, Sequence

    from streams.domain.declarations import Declarations
    from streams.engine.batch import RecordBatch

TRANSACTION_TIMEOUT_MS = 10_000
COMPACTION_LAG_MS = 60_000
DELETE_RETENTION_MS = 24 * 3_600_000
"""Kafka's default."""
DEFAULT_PARTITIONS = 8


def create_topics(kafka: Kafka, partitions: int) -> None:
    """Make the topics of a festival, with the settings that `festival topics` gives them."""
    for source in SOURCES:
        kafka.create_topic(source, partitions)
        kafka.create_topic(rejected_topic(source), partitions)
    for name in (LEDGER, SEEN):
        kafka.create_topic(
            name,
            partitions,
            is_compacted=True,
            min_compaction_lag_ms=COMPACTION_LAG_MS,
            delete_retention_ms=DELETE_RETENTION_MS,
        )


class MemoryLedgerStore:
    """A `LedgerStore`: what is committed lives as long as its Kafka."""

    def __init__(
        self, at_step: AtStep = nothing_at, kafka: Kafka | None = None, *, counts_beside: bool = False
    ) -> None:
        """`at_step` is called at each step of each commit; what it raises, the commit fails with.

        `kafka`: one with the topics of `create_topics`; None makes one. `counts_beside`: for a recount, which writes
        neither rejected records nor the group's offsets, and leaves the writers of the current generation alone.
        """
        self.at_step = at_step
        self.counts_beside = counts_beside
        self.commits = 0
        """Commits that this store knows to be durable."""
        if kafka is None:
            kafka = Kafka()
            create_topics(kafka, DEFAULT_PARTITIONS)
        self.kafka = kafka

    async def fence(self, partition: int, generation: str) -> MemoryPartitionStore:
        """Do what `fence_now` does; waits while it would raise `NotStableError`."""
        while True:
            try:
                return self.fence_now(partition, generation)
            except NotStableError:
                await _Turn()

    async def declare(self, declarations: Declarations) -> None:
        """Do what `declare_now` does; waits while it would raise `NotStableError`."""
        while True:
            try:
                return self.declare_now(declarations)
            except NotStableError:
                await _Turn()

    def declare_now(self, declarations: Declarations) -> None:
        """Write festivals that are new beside the current generation.

        Raises `FingerprintError` where that is counted under others, `NotStableError` and what the broker answers.
        """
        producer = Producer(self.kafka, "festival-generations", TRANSACTION_TIMEOUT_MS)
        _check_stable(self.kafka, LEDGER, 0)
        value = self._control_record()
        found = Generations() if value is None else decode(value)
        made = declared(found, declarations)
        if made != found:
            producer.send(LEDGER, 0, [encode(made)], [GENERATIONS_KEY])
            producer.commit()

    async def generations(self) -> Generations:
        """Return which generation is current. Raises what the broker answers in place of a result."""
        value = self._control_record()
        return Generations() if value is None else decode(value)

    def fence_now(self, partition: int, generation: str) -> MemoryPartitionStore:
        """Become the only writer of `partition` in `generation`; every older owner is fenced from now on.

        Raises `FencedError` where the control record of the generations names another one, `NotStableError` where an
        open transaction may still change it, and whatever the broker answers in place of a result: then try again.
        """
        producer = self._fence(partition, generation)
        remade: tuple[Remade, ...] = ()
        if not self.counts_beside:
            _check_stable(self.kafka, LEDGER, 0)
            value = self._control_record()
            generations = Generations(current=generation) if value is None else decode(value)
            if generations.current != generation:
                raise FencedError(f"generation {generations.current} is current, not {generation}")
            if generations.previous is not None:
                self._fence(partition, generations.previous)
            remade = generations.remade_of(partition)
        return MemoryPartitionStore(self, producer, partition, generation, remade)

    def committed(self, partition: int, generation: str) -> Restored:
        """Return what is committed and visible now, without fencing anybody or asking the broker.

        Raises `UnreadableError` where it cannot be read.
        """
        logs = [self.kafka.log(topic, partition) for topic in (LEDGER, SEEN)]
        batches = [log.read(log.beginning, is_committed_only=True, max_records=None, max_bytes=None) for log in logs]
        written = _Newest(generation, batches).written
        return decode_restored(partition, generation, written, Live(generation, written))

    def note(self, partition: int, generation: str) -> Note | None:
        """Return the note that says why the partition is held; None once a cursor came after it."""
        note: Note | None = None
        for record in self.kafka.log(LEDGER, partition).records():
            if record.key == cursor_key(generation):
                note = None
            elif record.key == note_key(generation) and record.value is not None:
                note = decode_note(record.value)
        return note

    @property
    def rejected(self) -> list[RejectedRecord]:
        """Return the committed rejected records, topic by topic and partition by partition."""
        return [
            decode_rejected(record.key, record.value, record.headers, prefix="")
            for name, topic in self.kafka.topics.items()
            if name.endswith(".rejected")
            for log in topic.logs
            for record in log.records()
        ]

    @property
    def group_offsets(self) -> Mapping[tuple[str, int], int]:
        """Return the positions last told to the group, by topic and partition."""
        return self.kafka.groups.offsets(GROUP)

    def _fence(self, partition: int, generation: str) -> Producer:
        return Producer(self.kafka, f"festival-{generation}-{partition}", TRANSACTION_TIMEOUT_MS)

    def _control_record(self) -> bytes | None:
        """Return the control record, None where there is none: then every generation may be written."""
        batch = _read(self.kafka, LEDGER, 0)
        return dict(zip(batch.keys, batch.values, strict=True)).get(GENERATIONS_KEY)


class MemoryPartitionStore:
    """A `PartitionStore`: writes until a later `fence`, or until a commit fails."""

    def __init__(
        self,
        store: MemoryLedgerStore,
        producer: Producer,
        partition: int,
        generation: str,
        remade: tuple[Remade, ...],
    ) -> None:
        """Made by `MemoryLedgerStore.fence` only."""
        self.store = store
        self._producer = producer
        self._partition = partition
        self._generation = generation
        self._remade = remade
        self._is_finished = False
        self._set_aside_below: Mapping[str, int] = {}
        """Offset per source below which the rejected records were written by other generations."""
        self.live = Live()

    async def restore(self) -> Restored:
        """Do what `restore_now` does; waits while it would raise `NotStableError`."""
        while True:
            try:
                return self.restore_now()
            except NotStableError:
                await _Turn()

    def restore_now(self) -> Restored:
        """Return what is committed, in log order of the newest write of each key.

        Raises `UnreadableError`, `NotStableError` while somebody's transaction is open before the end of the ledger's
        log, and whatever the broker answers in place of a result: then try again.
        """
        assert not self._is_finished
        kafka = self.store.kafka
        for topic in (LEDGER, SEEN):
            _check_stable(kafka, topic, self._partition)
        try:
            newest = _Newest(self._generation, [_read(kafka, topic, self._partition) for topic in (LEDGER, SEEN)])
        except (DamagedError, OutOfRangeError) as error:
            raise UnreadableError(f"ledger of partition {self._partition}: {error}") from error
        self._set_aside_below = set_aside_below(newest.read_by_others, self._remade)
        self.live = Live(self._generation, newest.written)
        return decode_restored(self._partition, self._generation, newest.written, self.live)

    async def commit(self, checkpoint: Checkpoint) -> None:
        """Make `checkpoint` durable; raises `FencedError` or `OutcomeUnknownError`, and is finished then.

        The cause of a `FencedError` tells whether a newer owner or the broker's timeout ended the right to write.
        """
        self.commit_now(checkpoint)

    def commit_now(self, checkpoint: Checkpoint) -> None:
        """Do what `commit` does, for callers without an event loop."""
        assert (checkpoint.partition, checkpoint.generation) == (self._partition, self._generation), checkpoint
        with self._writing():
            self._commit(checkpoint)
        self.store.commits += 1

    @contextmanager
    def _writing(self) -> Iterator[None]:
        """Allow one transaction at a time, and none after one that did not end well."""
        assert not self._is_finished, "this store is finished: fence again"
        self._is_finished = True
        try:
            yield
        except ProducerFencedError as error:
            raise FencedError(f"partition {self._partition}: a newer owner has taken over") from error
        except FencedError:
            raise
        except Exception as error:
            raise OutcomeUnknownError(f"partition {self._partition}: {error!r}") from error
        self._is_finished = False

    async def leave_note(self, note: Note) -> None:
        """Make a note durable until the next cursor; raises like `commit`, and is finished then."""
        self.leave_note_now(note)

    def leave_note_now(self, note: Note) -> None:
        """Do what `leave_note` does, for callers without an event loop."""
        with self._writing():
            self._send(LEDGER, [encode_held(self._generation, note)])
            self._producer.commit()

    async def close(self) -> None:
        """Give the right to write up. A transaction that is open stays so until a fence or its timeout."""
        self._is_finished = True

    def _commit(self, checkpoint: Checkpoint) -> None:
        at_step, producer, partition = self.store.at_step, self._producer, self._partition
        at_step(Step.BEFORE_BEGIN)
        at_step(Step.AFTER_BEGIN)
        encoded = self.live.encode(checkpoint)
        self._send(LEDGER, list(encoded.pages.items()))
        at_step(Step.AFTER_PAGES)
        self._send(SEEN, list(encoded.seen.items()))
        at_step(Step.AFTER_SEEN)
        for record in checkpoint.rejected:
            if not self._is_written_before(record):
                headers = [encode_headers(record, prefix="")]
                producer.send(rejected_topic(record.topic), partition, [record.value], [record.key], headers)
        at_step(Step.AFTER_REJECTED)
        self._send(LEDGER, [encoded.last])
        at_step(Step.AFTER_CURSOR)
        if checkpoint.positions and not self.store.counts_beside:
            producer.add_offsets(GROUP, {(topic, partition): o for topic, o in checkpoint.positions.items()})
        at_step(Step.AFTER_OFFSETS)
        at_step(Step.DURING_COMMIT)
        producer.commit()
        at_step(Step.AFTER_COMMIT)

    def _send(self, topic: str, records: Sequence[tuple[bytes, bytes | None]]) -> None:
        if records:
            keys, values = zip(*records, strict=True)
            self._producer.send(topic, self._partition, values, keys)

    def _is_written_before(self, record: RejectedRecord) -> bool:
        return self.store.counts_beside or record.offset < self._set_aside_below.get(record.topic, 0)


class _Newest:
    """The newest committed value per key of one partition, read from the beginning of its logs."""

    def __init__(self, generation: str, batches: Sequence[RecordBatch]) -> None:
        """`batches`: all of the ledger, and all of the seen ids."""
        own, note = f'["{generation}",'.encode(), note_key(generation)
        self.read_by_others: dict[str, Mapping[str, int]] = {}
        found: list[dict[bytes, bytes]] = []
        for batch in batches:
            newest: dict[bytes, bytes | None] = {}
            for key, value in zip(batch.keys, batch.values, strict=True):
                assert key is not None, "a compacted topic refuses records without a key"
                newest.pop(key, None)  # so that the order is that of the newest write
                newest[key] = value
            found.append({k: v for k, v in newest.items() if v is not None and k.startswith(own) and k != note})
            for key, value in newest.items():
                if value is not None and key.endswith(CURSOR_ENDS) and not key.startswith(own):
                    self.read_by_others[parse_key(key)[0]] = decode_positions(value)
        self.written = Written(*found)


def _read(kafka: Kafka, topic: str, partition: int) -> RecordBatch:
    return kafka.fetch(topic, partition, kafka.beginning_offset(topic, partition))


def _check_stable(kafka: Kafka, topic: str, partition: int) -> None:
    stable, end = kafka.end_offset(topic, partition), kafka.end_offset(topic, partition, UNCOMMITTED)
    if stable < end:
        raise NotStableError(f"{topic}[{partition}]: a transaction is open at offset {stable}, before the end {end}")


class _Turn:
    """Lets whatever else runs in the event loop have its turn."""

    def __await__(self) -> Generator[None]:
        yield
