"""Fetched bytes into record batches, without an object per record: the hot edge between aiokafka and the ledger.

Used by the transport, in the consumer's thread. aiokafka's own way builds a `ConsumerRecord` per record, which alone
costs about 4 µs. Where the compiled part is built, keys and values stay where they lie in the fetched bytes; elsewhere
they are taken off aiokafka's C parser in two passes over a batch. Offsets are a range and record times a repetition.
The private names used are held by tests/contract/test_aiokafka_names.py.
"""

from __future__ import annotations

import struct
from dataclasses import dataclass
from operator import attrgetter
from typing import TYPE_CHECKING, Any

import numpy as np
from aiokafka import codec
from aiokafka.consumer import fetcher
from aiokafka.errors import CorruptRecordException
from aiokafka.record.control_record import ABORT_MARKER, ControlRecord
from aiokafka.record.memory_records import _MemoryRecordsPy

from streams.engine.batch import RecordBatch
from streams.native import IS_BUILT

if IS_BUILT:
    from streams.native.records import Values, split_records

    # Of aiokafka's two readers of record batches the one in Python, whose bytes can be seen before they are parsed.
    fetcher.MemoryRecords = _MemoryRecordsPy  # type: ignore[attr-defined] # it is imported there

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator, Sequence

    from aiokafka.consumer.fetcher import PartitionRecords

    from streams.domain.texts import Ints

BATCH_RECORDS = 8_000
"""Most records handed on at once: counting them takes about 40 ms, during which nothing else of the worker runs.

Per event 5.0 µs, against 6.8 with 2,000 (the ledger's columns are short) and with 20,000 (they leave the cache).
"""
LOG_APPEND_TIME = 1
_HEADER_BYTES = 61
_COUNT = struct.Struct(">i")
_COUNT_AT = 57
_DECOMPRESS: dict[int, Callable[[memoryview], bytes]] = {
    0: bytes,
    1: codec.gzip_decode,
    2: codec.snappy_decode,
    3: codec.lz4_decode,
    4: codec.zstd_decode,
}
"""By the compression in a batch's attributes (https://kafka.apache.org/documentation/#recordbatch)."""
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


@dataclass(frozen=True, slots=True)
class _Span:
    """Parallel columns of consecutive records."""

    offsets: Sequence[int]
    keys: Sequence[bytes | None]
    values: Sequence[bytes | None]
    times: Sequence[int] | Ints
    next_offset: int

    def only(self, part: slice, next_offset: int) -> _Span:
        """Return some of the records, up to `next_offset`."""
        return _Span(self.offsets[part], self.keys[part], self.values[part], self.times[part], next_offset)

    def as_batch(self, topic: str, partition: int, start: int) -> RecordBatch:
        """Return the batch that begins at the position `start`."""
        return RecordBatch(topic, partition, start, self.next_offset, self.offsets, self.keys, self.values, self.times)


def _joined(spans: Iterator[_Span]) -> Iterator[_Span]:
    """Join small spans and cut long ones: a producer's batch may hold one record or a hundred thousand."""
    pending: list[_Span] = []
    count = 0
    for span in spans:
        if pending and count + len(span.keys) > BATCH_RECORDS:
            yield from _cut(_one_of(pending))
            pending, count = [], 0
        pending.append(span)
        count += len(span.keys)
    if pending:
        yield from _cut(_one_of(pending))


def _one_of(spans: Sequence[_Span]) -> _Span:
    """Return consecutive spans as one."""
    if len(spans) == 1:
        return spans[0]
    return _Span(
        _joined_offsets([span.offsets for span in spans]),
        _joined_values([span.keys for span in spans]),
        _joined_values([span.values for span in spans]),
        np.concatenate([span.times for span in spans]),
        spans[-1].next_offset,
    )


def _joined_offsets(parts: Sequence[Sequence[int]]) -> Sequence[int]:
    first, last = parts[0], parts[-1]
    count = sum(map(len, parts))
    # Ascending numbers without a gap; only a span of compacted records may be empty.
    if count and len(first) and len(last) and last[-1] - first[0] + 1 == count:
        return range(first[0], last[-1] + 1)
    return [offset for part in parts for offset in part]


def _joined_values(parts: Sequence[Sequence[bytes | None]]) -> Sequence[bytes | None]:
    if IS_BUILT:
        places = [part for part in parts if isinstance(part, Values)]
        if len(places) == len(parts):
            return Values.joined(places)
    return [value for part in parts for value in part]


def _cut(span: _Span) -> Iterator[_Span]:
    count = len(span.keys)
    if count <= BATCH_RECORDS:
        yield span
        return
    for first in range(0, count, BATCH_RECORDS):
        last = min(first + BATCH_RECORDS, count)
        yield span.only(slice(first, last), span.next_offset if last == count else span.offsets[last - 1] + 1)


def _spans(fetched: PartitionRecords) -> Iterator[_Span]:
    """Yield the records of each producer's batch; moves `fetched.next_fetch_offset` along, as aiokafka's loop does."""
    records = fetched._records  # noqa: SLF001 - see the module's docstring
    while records.has_next():
        raw = getattr(records, "_next_slice", None)
        batch = records.next_batch()
        if fetched._check_crcs and not batch.validate_crc():  # noqa: SLF001
            raise CorruptRecordException(f"the checksum of the batch at offset {fetched.next_fetch_offset} is wrong")
        if not _is_skipped(fetched, batch):
            span = _split(batch, raw) if IS_BUILT and raw is not None and _is_current(batch) else _read(batch)
            yield _from_position(span, fetched.next_fetch_offset)
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


def _split(batch: Any, raw: memoryview) -> _Span:  # noqa: ANN401
    """Return the records of one batch of the current format as places in its bytes."""
    payload = _DECOMPRESS[batch.compression_type](raw[_HEADER_BYTES:])
    (count,) = _COUNT.unpack_from(raw, _COUNT_AT)
    try:
        deltas, time_deltas, keys, values = split_records(payload, count)
    except ValueError as error:
        raise CorruptRecordException(f"the batch at offset {batch.base_offset}: {error}") from error
    offsets = _offsets(batch, count) or (deltas + batch.base_offset).tolist()
    times = _append_times(batch, count)
    return _Span(
        offsets, keys, values, time_deltas + batch.first_timestamp if times is None else times, batch.next_offset
    )


def _read(batch: Any) -> _Span:  # noqa: ANN401
    """Return the records of one batch as aiokafka reads them."""
    records = list(batch)
    count = len(records)
    is_current = _is_current(batch)
    offsets = _offsets(batch, count) if is_current else None
    times = _append_times(batch, count) if is_current else None
    return _Span(
        offsets or list(map(_offset, records)),
        list(map(_key, records)),
        list(map(_value, records)),
        np.fromiter(map(_timestamp, records), np.int64, count) if times is None else times,
        batch.next_offset,
    )


def _is_current(batch: Any) -> bool:  # noqa: ANN401
    """Return whether a batch is of format 2: those before know no producer, and no base offset."""
    return batch.producer_id is not None


def _offsets(batch: Any, count: int) -> range | None:  # noqa: ANN401
    """Return the offsets of a batch's records; None where compaction left holes between them."""
    is_whole = batch.next_offset - batch.base_offset == count
    return range(batch.base_offset, batch.next_offset) if is_whole else None


def _append_times(batch: Any, count: int) -> Ints | None:  # noqa: ANN401
    """Return the record times where the broker gave all records of a batch one."""
    return np.full(count, batch.max_timestamp) if batch.timestamp_type == LOG_APPEND_TIME else None


def _from_position(span: _Span, position: int) -> _Span:
    """Return the records at and after `position`: a batch is fetched whole, also from its middle."""
    if not len(span.offsets) or span.offsets[0] >= position:
        return span
    first = next((i for i, offset in enumerate(span.offsets) if offset >= position), len(span.offsets))
    return span.only(slice(first, len(span.offsets)), span.next_offset)
