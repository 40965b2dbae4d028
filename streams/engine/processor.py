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
import orjson

from streams.domain.ledger import Ledger
from streams.domain.pages import (
    Cursor,
    PageKey,
    cursor_key,
    decode_cursor,
    decode_page,
    encode_cursor,
    fingerprint_key,
)
from streams.engine.batch import joined
from streams.engine.checkpoint import Checkpoint, RejectedRecord, Restored, UnreadableError

if TYPE_CHECKING:
    from streams.domain.declarations import Declarations
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


class HoleError(Exception):
    """A batch starts above the position: records in between were not delivered, so the source must be rewound."""

    def __init__(self, topic: str, partition: int, expected: int, found: int) -> None:
        """Name where counting must go on (`expected`) and where the batch starts (`found`)."""
        super().__init__(f"{topic}[{partition}]: expected offset {expected}, the batch starts at {found}")
        self.topic, self.partition, self.expected, self.found = topic, partition, expected, found


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
        self.started: dict[str, int] = {}
        self.sequence = 0
        self._rejected: list[RejectedRecord] = []
        self._seen_keys: defaultdict[str, dict[int, list[bytes]]] = defaultdict(dict)
        self._has_news = True
        self._told: dict[str, int] = {}
        """Positions in the newest checkpoint that carried them for the group."""
        self.pending_rejected_bytes = 0
        """Size of the rejected records found so far that the next checkpoint carries."""

    @property
    def ledger(self) -> Ledger:
        """Return the ledger, with everything in it that was taken. Raises `CountingError`."""
        for topic in self._waiting:
            self._count(topic)
        return self._ledger

    @property
    def outcomes(self) -> dict[str, Counter[str]]:
        """Return the number of records per topic and outcome (and late ones), since the generation's beginning."""
        return {topic: Counter(state.outcomes) for topic, state in self.ledger.topics.items()}

    @property
    def rejected(self) -> dict[str, Counter[str]]:
        """Return the number of rejected records per topic and reason, since the generation's beginning."""
        return {topic: Counter(state.rejected) for topic, state in self.ledger.topics.items()}

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
        position = self.positions[batch.topic]
        if batch.start > position:
            raise HoleError(batch.topic, batch.partition, position, batch.start)
        if batch.next_offset <= position:
            return
        if batch.start < position:
            batch = batch.from_offset(position)
        self.positions[batch.topic] = batch.next_offset
        self._has_news = True
        if not len(batch):
            return
        waiting = self._waiting[batch.topic]
        waiting.append(batch)
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
        ledger = self.ledger
        pages = [
            (PageKey(self.generation, festival, rollup, number).encode(), value)
            for (festival, rollup), table in ledger.paged.items()
            for number, value in table.take_changed()
        ]
        if self.sequence == 1:
            pages.insert(0, (fingerprint_key(self.generation), ledger.declarations.fingerprint))
        rejected, self._rejected = self._rejected, []
        self.pending_rejected_bytes = 0
        self._has_news = False
        return Checkpoint(
            partition=self.partition,
            pages=pages,
            cursor=(cursor_key(self.generation), encode_cursor(self._cursor())),
            seen=self._cut_seen(),
            rejected=rejected,
            positions=dict(self.positions) if tells_group else {},
        )

    def _cursor(self) -> Cursor:
        topics = self._ledger.topics
        return Cursor(
            positions=dict(self.positions),
            started=dict(self.started),
            stream_times_ms={t: s.stream_time_ms for t, s in topics.items() if s.stream_time_ms is not None},
            max_event_times_ms={t: s.max_event_time_ms for t, s in topics.items() if s.max_event_time_ms is not None},
            outcomes={t: {str(k): n for k, n in s.outcomes.items() if n} for t, s in topics.items()},
            rejected={t: {str(k): n for k, n in s.rejected.items()} for t, s in topics.items()},
            sequence=self.sequence,
        )

    def _cut_seen(self) -> list[tuple[bytes, bytes | None]]:
        """Return the span's hashes, and tombstones for those of minutes beyond the horizon."""
        records: list[tuple[bytes, bytes | None]] = []
        for topic, state in self._ledger.topics.items():
            keys = self._seen_keys[topic]
            for minute, hashes in state.seen.take_span().items():
                for part, first in enumerate(range(0, len(hashes), SEEN_LIMIT_BYTES)):
                    key = orjson.dumps([self.generation, "seen", topic, minute, self.sequence, part])
                    keys.setdefault(minute, []).append(key)
                    records.append((key, hashes[first : first + SEEN_LIMIT_BYTES]))
            live = set(state.seen.minutes)
            for minute in [m for m in keys if m not in live]:
                records += [(key, None) for key in keys.pop(minute)]
        return records

    def _set_aside(self, batch: RecordBatch, index: int, rejection: Rejection) -> None:
        key, value = batch.keys[index], batch.values[index]
        headers = [
            ("reason", rejection.reason.encode()),
            ("detail", rejection.detail.encode("utf-8", "backslashreplace")),
            ("source_topic", batch.topic.encode()),
            ("source_partition", str(batch.partition).encode()),
            ("source_offset", str(batch.offsets[index]).encode()),
        ]
        if value is not None and len(value) + len(key or b"") > REJECTED_LIMIT_BYTES:
            headers.append(("original_bytes", str(len(value)).encode()))
            headers.append(("sha256", hashlib.sha256(value).hexdigest().encode()))
            value = value[:REJECTED_HEAD_BYTES]
        if key is not None and len(key) > REJECTED_LIMIT_BYTES:
            headers.append(("original_key_bytes", str(len(key)).encode()))
            key = key[:REJECTED_HEAD_BYTES]
        self._rejected.append(RejectedRecord(f"{batch.topic}.rejected", key, value, headers))
        self.pending_rejected_bytes += len(key or b"") + len(value or b"")

    def load(self, restored: Restored) -> None:
        """Take over what is committed. Raises `UnreadableError` or `FingerprintError`."""
        cursor_value = restored.pages.get(cursor_key(self.generation))
        if cursor_value is None:
            if restored.pages:
                raise UnreadableError(f"partition {self.partition} has pages of {self.generation} but no cursor")
            return
        try:
            self._load_fingerprint(restored)
            self._load_cursor(decode_cursor(cursor_value))
            self._load_pages(restored)
            self._load_seen(restored)
        except (msgspec.MsgspecError, ValueError, KeyError, TypeError) as error:
            raise UnreadableError(f"ledger of partition {self.partition}, {self.generation}: {error}") from error

    def _load_fingerprint(self, restored: Restored) -> None:
        self._ledger.declarations.check(restored.pages[fingerprint_key(self.generation)])

    def _load_cursor(self, cursor: Cursor) -> None:
        self.positions = dict(cursor.positions)
        self.started = dict(cursor.started)
        self.sequence = cursor.sequence
        for topic, state in self._ledger.topics.items():
            state.stream_time_ms = cursor.stream_times_ms.get(topic)
            state.max_event_time_ms = cursor.max_event_times_ms.get(topic)
            state.outcomes = Counter(cursor.outcomes.get(topic, {}))
            state.rejected = Counter(cursor.rejected.get(topic, {}))

    def _load_pages(self, restored: Restored) -> None:
        other = {cursor_key(self.generation), fingerprint_key(self.generation)}
        pages = []
        for key, value in restored.pages.items():
            if key not in other:
                _, _, festival, rollup, number = orjson.loads(key)
                pages.append((festival, rollup, number, value))
        tables = self._ledger.paged
        for festival, rollup, number, value in sorted(pages, key=lambda page: page[:3]):
            tables[festival, rollup].load(number, decode_page(value))

    def _load_seen(self, restored: Restored) -> None:
        buckets: defaultdict[tuple[str, int], list[bytes]] = defaultdict(list)
        for key, value in restored.seen.items():
            _, _, topic, minute, _, _ = orjson.loads(key)
            buckets[topic, minute].append(value)
            self._seen_keys[topic].setdefault(minute, []).append(key)
        for (topic, minute), values in sorted(buckets.items()):
            hashes = [np.frombuffer(value, dtype="<u8") for value in values]
            self._ledger.topics[topic].seen.restore(minute, hashes)


def restore_processor(
    declarations: Declarations, partition: int, generation: str, restored: Restored
) -> PartitionProcessor:
    """Return the processor that goes on where the last committed checkpoint ended.

    Raises `UnreadableError` where the ledger cannot be read, `FingerprintError` where other declarations count.
    """
    processor = PartitionProcessor(declarations, partition, generation)
    processor.load(restored)
    return processor
