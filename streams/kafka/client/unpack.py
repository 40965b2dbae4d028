"""Fetched bytes into record batches, without an object per record: the hot edge between aiokafka and the ledger.

Used by the transport, in the consumer's thread. aiokafka's own way builds a `ConsumerRecord` per record, which alone
costs about 4 µs. Where the compiled part is built, keys and values stay where they lie in the fetched bytes; elsewhere
they are taken off aiokafka's C parser in two passes over a batch. Offsets are a range and record times a repetition.
The private names used are held by tests/contract/test_aiokafka_names.py.
"""

from __future__ import annotations

import struct
from dataclasses import replace
from operator import attrgetter
from typing import TYPE_CHECKING, Any

import numpy as np
from aiokafka import codec
from aiokafka.errors import CorruptRecordException
from aiokafka.record.control_record import ABORT_MARKER, ControlRecord

from streams.engine.batch import RecordBatch, joined
from streams.native import IS_BUILT

if IS_BUILT:
    from streams.native.records import split_headers, split_records

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator, Sequence

    from aiokafka.consumer.fetcher import PartitionRecords

    from streams.domain.texts import Ints

    _Headers = Sequence[bytes | Sequence[tuple[str, bytes | None]] | None]
    _Columns = tuple[Sequence[int], Sequence[bytes | None], Sequence[bytes | None], Sequence[int] | Ints, _Headers]
    """Offsets, keys, values, record times and headers."""

BATCH_RECORDS = 8_000
"""Most records handed on at once: counting them takes about 40 ms, during which nothing else of the worker runs.

Per event 5.0 µs, against 6.8 with 2,000 (the ledger's columns are short) and with 20,000 (they leave the cache).
"""
LOG_APPEND_TIME = 1
_HEADER_BYTES = 61
_COUNT = struct.Struct(">i")
_COUNT_AT = 57
_EPOCH_AT = 12
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
_headers = attrgetter("headers")


def unpack(topic: str, partition: int, fetched: PartitionRecords, *, with_headers: bool = False) -> list[RecordBatch]:
    """Return the records of one fetch in log order, cut into batches that join without a hole.

    `topic` is what the batches are to be called. Control records and, reading committed, aborted ones are left out;
    the last batch ends at the position after everything fetched, so a fetch of nothing else makes one empty batch.
    Raises aiokafka's `KafkaError` for damaged bytes, and whatever a codec raises; the fetch is then used up.
    """
    # It and its own iterator hold each other, and with them the fetched bytes. Nobody uses that iterator, and only a
    # collection of the oldest garbage would free them.
    fetched._records_iterator = None  # noqa: SLF001
    start = position = fetched.next_fetch_offset
    batches, epochs = [], _Epochs()
    for batch in _sized(_producers(topic, partition, fetched, epochs, with_headers=with_headers)):
        if batch.next_offset > position:
            batches.append(replace(batch, start=position))  # what was left out before it belongs to it
            position = batch.next_offset
    end = fetched.next_fetch_offset
    if end > position or (not batches and end > start):
        batches.append(RecordBatch(topic, partition, position, end, (), (), (), (), leader_epoch=epochs.newest))
    return batches


class _Epochs:
    """Takes note of the leader epochs of a fetch, also of what is left out."""

    def __init__(self) -> None:
        self.newest: int | None = None

    def take(self, raw: memoryview) -> int:
        """Return the leader epoch of a producer's batch (https://kafka.apache.org/documentation/#recordbatch)."""
        (epoch,) = _COUNT.unpack_from(raw, _EPOCH_AT)
        self.newest = epoch
        return int(epoch)


def _sized(batches: Iterator[RecordBatch]) -> Iterator[RecordBatch]:
    """Join small batches and cut long ones: a producer's may hold one record or a hundred thousand."""
    pending: list[RecordBatch] = []
    count = 0
    for batch in batches:
        if pending and (count + len(batch) > BATCH_RECORDS or batch.leader_epoch != pending[-1].leader_epoch):
            yield from _cut(joined(pending))
            pending, count = [], 0
        pending.append(batch)
        count += len(batch)
    if pending:
        yield from _cut(joined(pending))


def _cut(batch: RecordBatch) -> Iterator[RecordBatch]:
    start, count = batch.start, len(batch)
    for first in range(0, count, BATCH_RECORDS):
        last = first + BATCH_RECORDS
        next_offset = batch.offsets[last] if last < count else batch.next_offset
        yield batch.only(slice(first, last), start, next_offset)
        start = next_offset


def _producers(
    topic: str, partition: int, fetched: PartitionRecords, epochs: _Epochs, *, with_headers: bool
) -> Iterator[RecordBatch]:
    """Yield the records of each producer's batch; moves `fetched.next_fetch_offset` along, as aiokafka's loop does."""
    records = fetched._records  # noqa: SLF001 - see the module's docstring
    while records.has_next():
        raw = records._next_slice  # noqa: SLF001 - the bytes, which the reader written in Python has (`internals`)
        batch = records.next_batch()
        is_current = _is_current(batch)
        epoch = epochs.take(raw) if is_current else None
        position = fetched.next_fetch_offset
        if fetched._check_crcs and not batch.validate_crc():  # noqa: SLF001
            raise CorruptRecordException(f"the checksum of the batch at offset {position} is wrong")
        if not _is_skipped(fetched, batch):
            columns = (_split if IS_BUILT and is_current else _read)(batch, raw, with_headers)
            is_timed = is_current and batch.timestamp_type == LOG_APPEND_TIME
            whole = RecordBatch(topic, partition, position, batch.next_offset, *columns, is_timed, epoch)
            # A producer's batch is fetched whole, also from its middle.
            yield whole.from_offset(position) if len(whole) and whole.offsets[0] < position else whole
        fetched.next_fetch_offset = max(position, batch.next_offset)


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


def _split(batch: Any, raw: Any, with_headers: bool) -> _Columns:  # noqa: ANN401, FBT001
    """Return the records of one batch of the current format as places in its bytes."""
    payload = _DECOMPRESS[batch.compression_type](raw[_HEADER_BYTES:])
    (count,) = _COUNT.unpack_from(raw, _COUNT_AT)
    try:
        deltas, time_deltas, keys, values = split_records(payload, count)
        headers = split_headers(payload, count) if with_headers else ()
    except ValueError as error:
        raise CorruptRecordException(f"the batch at offset {batch.base_offset}: {error}") from error
    offsets = _offsets(batch, count) or (deltas + batch.base_offset).tolist()
    times = _append_times(batch, count)
    return offsets, keys, values, time_deltas + batch.first_timestamp if times is None else times, headers


def _read(batch: Any, _raw: object, with_headers: bool) -> _Columns:  # noqa: ANN401, FBT001
    """Return the records of one batch as aiokafka reads them."""
    records = list(batch)
    count = len(records)
    is_current = _is_current(batch)
    offsets = _offsets(batch, count) if is_current else None
    times = _append_times(batch, count) if is_current else None
    return (
        offsets or list(map(_offset, records)),
        list(map(_key, records)),
        list(map(_value, records)),
        np.fromiter(map(_timestamp, records), np.int64, count) if times is None else times,
        list(map(_headers, records)) if with_headers else (),
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
