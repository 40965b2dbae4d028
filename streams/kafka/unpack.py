"""Fetched bytes into record batches, without an object per record: the hot edge between aiokafka and the ledger.

Used by the transport, in the consumer's thread. aiokafka's own way builds a `ConsumerRecord` per record, which alone
costs about 4 µs; here keys and values are taken off its C parser in two passes over a batch, offsets are a range and
record times a repetition. The private names used are held by tests/contract/test_aiokafka_names.py.
"""

from __future__ import annotations

from operator import attrgetter
from typing import TYPE_CHECKING, Any

from aiokafka.errors import CorruptRecordException
from aiokafka.record.control_record import ABORT_MARKER, ControlRecord

from streams.engine.batch import RecordBatch

if TYPE_CHECKING:
    from collections.abc import Iterator, Sequence

    from aiokafka.consumer.fetcher import PartitionRecords

BATCH_RECORDS = 8_000
"""Most records handed on at once: counting them takes about 40 ms, during which nothing else of the worker runs.

Per event 5.0 µs, against 6.8 with 2,000 (the ledger's columns are short) and with 20,000 (they leave the cache).
"""
LOG_APPEND_TIME = 1
_key = attrgetter("key")
_value = attrgetter("value")
_offset = attrgetter("offset")
_timestamp = attrgetter("timestamp")


def unpack(topic: str, partition: int, fetched: PartitionRecords) -> list[RecordBatch]:
    """Return the records of one fetch in log order, cut into batches that join without a hole.

    `topic` is what the batches are to be called. Control records and, reading committed, aborted ones are left out;
    the last batch ends at the position after everything fetched, so a fetch of nothing else makes one empty batch.
    Raises aiokafka's `KafkaError` for damaged bytes, and whatever a codec raises; the fetch is then used up.
    """
    start = position = fetched.next_fetch_offset
    batches = []
    for span in _joined(_spans(fetched)):
        if span.next_offset > position:
            batches.append(span.as_batch(topic, partition, position))
            position = span.next_offset
    if fetched.next_fetch_offset > position or (not batches and fetched.next_fetch_offset > start):
        batches.append(RecordBatch(topic, partition, position, fetched.next_fetch_offset, (), (), (), ()))
    return batches


class _Span:
    """Parallel columns of consecutive records."""

    __slots__ = ("keys", "next_offset", "offsets", "times", "values")

    def __init__(
        self,
        offsets: Sequence[int],
        keys: list[bytes | None],
        values: list[bytes | None],
        times: list[int],
        next_offset: int,
    ) -> None:
        self.offsets = offsets
        self.keys = keys
        self.values = values
        self.times = times
        self.next_offset = next_offset

    def append(self, other: _Span) -> None:
        """Take over the records of the span that follows."""
        ours, theirs = self.offsets, other.offsets
        if isinstance(ours, range) and isinstance(theirs, range) and ours.stop == theirs.start:
            self.offsets = range(ours.start, theirs.stop)
        else:
            if not isinstance(ours, list):
                self.offsets = ours = list(ours)
            ours.extend(theirs)
        self.keys += other.keys
        self.values += other.values
        self.times += other.times
        self.next_offset = other.next_offset

    def as_batch(self, topic: str, partition: int, start: int) -> RecordBatch:
        """Return the batch that begins at the position `start`."""
        return RecordBatch(topic, partition, start, self.next_offset, self.offsets, self.keys, self.values, self.times)


def _joined(spans: Iterator[_Span]) -> Iterator[_Span]:
    """Join small spans and cut long ones: a producer's batch may hold one record or a hundred thousand."""
    pending: _Span | None = None
    for span in spans:
        if pending is None:
            pending = span
        elif len(pending.keys) + len(span.keys) <= BATCH_RECORDS:
            pending.append(span)
        else:
            yield from _cut(pending)
            pending = span
    if pending is not None:
        yield from _cut(pending)


def _cut(span: _Span) -> Iterator[_Span]:
    if len(span.keys) <= BATCH_RECORDS:
        yield span
        return
    for first in range(0, len(span.keys), BATCH_RECORDS):
        last = min(first + BATCH_RECORDS, len(span.keys))
        part = slice(first, last)
        next_offset = span.next_offset if last == len(span.keys) else span.offsets[last - 1] + 1
        yield _Span(span.offsets[part], span.keys[part], span.values[part], span.times[part], next_offset)


def _spans(fetched: PartitionRecords) -> Iterator[_Span]:
    """Yield the records of each producer's batch; moves `fetched.next_fetch_offset` along, as aiokafka's loop does."""
    records = fetched._records  # noqa: SLF001 - see the module's docstring
    while records.has_next():
        batch = records.next_batch()
        if fetched._check_crcs and not batch.validate_crc():  # noqa: SLF001
            raise CorruptRecordException(f"the checksum of the batch at offset {fetched.next_fetch_offset} is wrong")
        if not _is_skipped(fetched, batch):
            yield _span(batch, fetched.next_fetch_offset)
        fetched.next_fetch_offset = max(fetched.next_fetch_offset, batch.next_offset)


def _is_skipped(fetched: Any, batch: Any) -> bool:  # noqa: ANN401 - aiokafka's C types have no common base
    """Return whether the batch holds control records or an aborted transaction's, and keep track of those."""
    if fetched._isolation_level and batch.producer_id is not None:  # noqa: SLF001
        fetched._consume_aborted_up_to(batch.base_offset)  # noqa: SLF001
        producers = fetched._aborted_producers  # noqa: SLF001
        if batch.is_control_batch:
            # A batch of control records holds exactly one.
            if ControlRecord.parse(next(batch).key) == ABORT_MARKER:
                producers.discard(batch.producer_id)
        elif batch.is_transactional and batch.producer_id in producers:
            return True
    return bool(batch.is_control_batch)


def _span(batch: Any, position: int) -> _Span:  # noqa: ANN401
    """Return the records of one batch at and after `position`: a batch is fetched whole, also from its middle."""
    records = list(batch)
    count = len(records)
    keys = list(map(_key, records))
    values = list(map(_value, records))
    next_offset = batch.next_offset
    offsets: Sequence[int]
    is_current = batch.producer_id is not None  # the formats before 2 know no producer, and no base offset
    if is_current and next_offset - batch.base_offset == count:
        offsets = range(batch.base_offset, next_offset)
    else:
        offsets = list(map(_offset, records))  # compaction left holes
    if is_current and batch.timestamp_type == LOG_APPEND_TIME:
        times = [batch.max_timestamp] * count
    else:
        times = list(map(_timestamp, records))
    if count and offsets[0] < position:
        first = next((i for i, offset in enumerate(offsets) if offset >= position), count)
        offsets, keys, values, times = offsets[first:], keys[first:], values[first:], times[first:]
    return _Span(offsets, keys, values, times, next_offset)
