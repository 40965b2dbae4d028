"""The partition processor: record batches in, checkpoints out.

It keeps the ledger of one partition and its cursor together. The transport feeds it, the checkpoint loop cuts
it; both run in one event loop, and no method awaits, so every cut is a consistent state.
"""

from __future__ import annotations

import hashlib
from collections import Counter, defaultdict
from typing import TYPE_CHECKING

import msgspec
import numpy as np

from streams.domain.ledger import Ledger
from streams.domain.pages import Cursor, PageKey, decode_page
from streams.engine.batch import joined
from streams.engine.checkpoint import Checkpoint, Original, RejectedRecord, Restored, SeenKey, UnreadableError
from streams.engine.processing import new_of

if TYPE_CHECKING:
    from streams.domain.declarations import Declarations
    from streams.domain.pages import Identity
    from streams.domain.rejections import Rejection
    from streams.engine.batch import RecordBatch

REJECTED_LIMIT_BYTES = 900_000
"""A larger key or value would not fit into a Kafka record with its headers (contract 1)."""
REJECTED_HEAD_BYTES = 64 * 1024
WAITING_LIMIT_RECORDS = 1_000
WAITING_LIMIT_BATCHES = 8
"""Records of a topic wait for more of them, or for the next cut: to count 25 takes 0.9 ms, to count 1,000 takes 2.5."""
SEEN_LIMIT_BYTES = 800_000
"""Hashes in one record of the seen-ids topic; more are split."""


class CountingError(Exception):
    """A fault in the program, met while counting: the ledger is not to be used any more."""

    def __init__(self, batch: RecordBatch) -> None:
        """Name the records; the fault itself is the cause."""
        super().__init__(f"{batch.topic}[{batch.partition}] offsets {batch.start} to {batch.next_offset - 1}")
        self.topic, self.partition = batch.topic, batch.partition
        self.start, self.next_offset = batch.start, batch.next_offset


class PartitionProcessor:
    """Counts one partition number of all source topics under one generation."""

    def __init__(self, declarations: Declarations, partition: int, generation: str) -> None:
        """Start empty: nothing was ever counted."""
        self.partition = partition
        self.generation = generation
        self._ledger = Ledger(declarations)
        self._waiting: dict[str, list[RecordBatch]] = {topic: [] for topic in declarations.topics}
        """Batches below the position that are not in the ledger yet."""
        self.positions: dict[str, int] = {}
        """Next offset per topic, all records before it being taken."""
        self.epochs: dict[str, int] = {}
        """Leader epoch of the last batch below each position."""
        self.identity: Identity | None = None
        self.started: dict[str, int] = {}
        self._fingerprint: bytes | None = declarations.fingerprint
        """To be written with the next checkpoint."""
        self.sequence = 0
        self._rejected: list[RejectedRecord] = []
        self._seen_keys: defaultdict[str, dict[int, list[SeenKey]]] = defaultdict(dict)
        self._has_news = True
        self._told: dict[str, int] = {}
        """Positions in the newest checkpoint that carried them for the group."""
        self.pending_rejected_bytes = 0
        """Size of the rejected records found so far that the next checkpoint carries."""

    def count_waiting(self) -> Ledger:
        """Count everything that was taken; return the ledger. Raises `CountingError`."""
        for topic in self._waiting:
            self._count(topic)
        return self._ledger

    def belongs_to(self, identity: Identity) -> None:
        """Take note of which logs are counted."""
        assert self.identity is None, self.identity
        self.identity = identity

    def start_at(self, topic: str, offset: int) -> None:
        """Begin a topic that this ledger has never read, at the beginning of its log."""
        assert topic not in self.positions
        self.positions[topic] = self.started[topic] = offset
        self._has_news = True

    def apply(self, batch: RecordBatch) -> None:
        """Take a batch, to be counted with the next ones: what lies below the position was taken before and is dropped.

        Raises `HoleError` if the batch starts above the position; nothing of it is taken then. Raises `CountingError`
        where counting fails.
        """
        assert batch.partition == self.partition
        new = new_of(batch, self.positions[batch.topic])
        if new is None:
            return
        self.positions[batch.topic] = new.next_offset
        if new.leader_epoch is not None:
            self.epochs[batch.topic] = new.leader_epoch
        self._has_news = True
        if not len(new):
            return
        waiting = self._waiting[batch.topic]
        waiting.append(new)
        if len(waiting) >= WAITING_LIMIT_BATCHES or sum(map(len, waiting)) >= WAITING_LIMIT_RECORDS:
            self._count(batch.topic)

    def _count(self, topic: str) -> None:
        """Count what waits of a topic."""
        waiting, self._waiting[topic] = self._waiting[topic], []
        if not waiting:
            return
        batch = joined(waiting)
        try:
            for index, rejection in self._ledger.apply(topic, batch.values, batch.record_times_ms):
                self._set_aside(batch, index, rejection)
        except Exception as error:
            raise CountingError(batch) from error

    def cut(self, *, tells_group: bool = True) -> Checkpoint | None:
        """Return everything that changed since the last cut, as one checkpoint; None if nothing did.

        The first cut after a takeover is never None, so that every partition gets a cursor. Without `tells_group` the
        checkpoint carries no positions for the consumer group; the next cut with it makes up for that.
        """
        is_behind = tells_group and self._told != self.positions
        if not self._has_news and not is_behind:
            return None
        if is_behind:
            self._told = dict(self.positions)
        self.sequence += 1
        ledger = self.count_waiting()
        pages = [
            (PageKey(self.generation, festival, rollup, number), content)
            for (festival, rollup), table in ledger.paged.items()
            for number, content in table.take_changed()
        ]
        fingerprint, self._fingerprint = self._fingerprint, None
        rejected, self._rejected = self._rejected, []
        self.pending_rejected_bytes = 0
        self._has_news = False
        return Checkpoint(
            partition=self.partition,
            generation=self.generation,
            fingerprint=fingerprint,
            pages=pages,
            cursor=self._cursor(),
            seen=self._cut_seen(),
            rejected=rejected,
            positions=dict(self.positions) if tells_group else {},
        )

    def _cursor(self) -> Cursor:
        assert self.identity is not None, "nothing is counted before the logs were looked at"
        topics = self._ledger.topics
        return Cursor(
            positions=dict(self.positions),
            started=dict(self.started),
            stream_times_ms={t: s.stream_time_ms for t, s in topics.items() if s.stream_time_ms is not None},
            max_event_times_ms={t: s.max_event_time_ms for t, s in topics.items() if s.max_event_time_ms is not None},
            outcomes={t: {str(k): n for k, n in s.outcomes.items() if n} for t, s in topics.items()},
            rejected={t: {str(k): n for k, n in s.rejected.items()} for t, s in topics.items()},
            sequence=self.sequence,
            identity=self.identity,
            epochs=dict(self.epochs),
        )

    def _cut_seen(self) -> list[tuple[SeenKey, bytes | None]]:
        """Return the span's hashes; those of minutes beyond the horizon are forgotten."""
        records: list[tuple[SeenKey, bytes | None]] = []
        for topic, state in self._ledger.topics.items():
            keys = self._seen_keys[topic]
            for minute, hashes in state.seen.take_span().items():
                for part, first in enumerate(range(0, len(hashes), SEEN_LIMIT_BYTES)):
                    key = SeenKey(self.generation, topic, minute, self.sequence, part)
                    keys.setdefault(minute, []).append(key)
                    records.append((key, hashes[first : first + SEEN_LIMIT_BYTES]))
            live = set(state.seen.minutes)
            for minute in [m for m in keys if m not in live]:
                records += [(key, None) for key in keys.pop(minute)]
        return records

    def _set_aside(self, batch: RecordBatch, index: int, rejection: Rejection) -> None:
        key, value = batch.keys[index], batch.values[index]
        original = original_key_bytes = None
        if value is not None and len(value) + len(key or b"") > REJECTED_LIMIT_BYTES:
            original = Original(len(value), hashlib.sha256(value).hexdigest())
            value = value[:REJECTED_HEAD_BYTES]
        if key is not None and len(key) > REJECTED_LIMIT_BYTES:
            original_key_bytes = len(key)
            key = key[:REJECTED_HEAD_BYTES]
        offset = int(batch.offsets[index])
        self._rejected.append(
            RejectedRecord(batch.topic, batch.partition, offset, rejection, key, value, original, original_key_bytes)
        )
        self.pending_rejected_bytes += len(key or b"") + len(value or b"")

    def load(self, restored: Restored) -> None:
        """Take over what is committed. Raises `UnreadableError` or `FingerprintError`."""
        if restored.cursor is None:
            if restored.pages or restored.fingerprint is not None:
                raise UnreadableError(f"partition {self.partition} has pages of {self.generation} but no cursor")
            return
        if restored.fingerprint is None:
            raise UnreadableError(f"partition {self.partition} has no fingerprint of {self.generation}")
        try:
            adopted = self._adopt(restored.fingerprint, restored.cursor)
            self._fingerprint = None if adopted == restored.fingerprint else adopted
            self._load_cursor(restored.cursor)
            self._load_pages(restored)
            self._load_seen(restored)
        except (msgspec.MsgspecError, ValueError, KeyError, TypeError) as error:
            raise UnreadableError(f"ledger of partition {self.partition}, {self.generation}: {error}") from error

    def _adopt(self, fingerprint: bytes, cursor: Cursor) -> bytes:
        """Return the fingerprint that the ledger has from now on: festivals may have been declared since."""
        newest_ms = max(cursor.stream_times_ms.values(), default=None)
        return self._ledger.declarations.adopted(fingerprint, cursor.positions, newest_ms)

    def _load_cursor(self, cursor: Cursor) -> None:
        self.positions = dict(cursor.positions)
        self.started = dict(cursor.started)
        self.epochs, self.identity = dict(cursor.epochs), cursor.identity
        self.sequence = cursor.sequence
        for topic, state in self._ledger.topics.items():
            state.stream_time_ms = cursor.stream_times_ms.get(topic)
            state.max_event_time_ms = cursor.max_event_times_ms.get(topic)
            state.outcomes = Counter(cursor.outcomes.get(topic, {}))
            state.rejected = Counter(cursor.rejected.get(topic, {}))

    def _load_pages(self, restored: Restored) -> None:
        tables = self._ledger.paged
        by_place = sorted(restored.pages.items(), key=lambda page: (page[0].festival, page[0].rollup, page[0].number))
        for key, content in by_place:
            tables[key.festival, key.rollup].load(key.number, decode_page(content))

    def _load_seen(self, restored: Restored) -> None:
        buckets: defaultdict[tuple[str, int], list[bytes]] = defaultdict(list)
        for key, hashes in restored.seen.items():
            buckets[key.topic, key.minute].append(hashes)
            self._seen_keys[key.topic].setdefault(key.minute, []).append(key)
        for (topic, minute), values in sorted(buckets.items()):
            runs = [np.frombuffer(value, dtype="<u8") for value in values]
            self._ledger.topics[topic].seen.restore(minute, runs)


def restore_processor(
    declarations: Declarations, partition: int, generation: str, restored: Restored
) -> PartitionProcessor:
    """Return the processor that goes on where the last committed checkpoint ended.

    Raises `UnreadableError` where the ledger cannot be read, `FingerprintError` where other declarations count.
    """
    processor = PartitionProcessor(declarations, partition, generation)
    processor.load(restored)
    return processor
