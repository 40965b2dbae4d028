"""Unpacking agrees with aiokafka's own reader, record by record, whatever lies in the log."""

from __future__ import annotations

import gc
import struct
import weakref
from itertools import islice
from typing import Any

import pytest
from aiokafka.consumer.fetcher import PartitionRecords
from aiokafka.errors import CorruptRecordException
from aiokafka.record.default_records import DefaultRecordBatchBuilder
from aiokafka.record.legacy_records import LegacyRecordBatchBuilder
from aiokafka.record.memory_records import _MemoryRecordsPy
from aiokafka.record.util import calc_crc32c
from aiokafka.structs import TopicPartition
from hypothesis import given
from hypothesis import strategies as st

from streams.kafka.client import unpack as module
from streams.kafka.client.plain_records import flat, give_whole_batches
from streams.kafka.client.unpack import unpack
from streams.native import IS_BUILT

NO_COMPRESSION, GZIP, SNAPPY, LZ4, ZSTD = range(5)
COMMIT = b"\x00\x00\x00\x01"
ABORT = b"\x00\x00\x00\x00"
APPEND_TIME_BIT = 0x08
CONTROL_BIT = 0x20
ATTRIBUTES_AT = 21
EPOCH_AT = 12
LAST_DELTA_AT = 23
CRC_AT = 17
Record = tuple[int, bytes | None, bytes | None, int]


def _batch(
    base: int,
    records: list[Record],
    *,
    compression: int = NO_COMPRESSION,
    producer: int = -1,
    is_transactional: bool = False,
    marker: bytes | None = None,
    last: int | None = None,
    append_time: int | None = None,
    epoch: int = 0,
) -> bytes:
    """Return the bytes of one producer's batch; records are (offset, key, value, time)."""
    builder = DefaultRecordBatchBuilder(
        magic=2,
        compression_type=compression,
        is_transactional=is_transactional,
        producer_id=producer,
        producer_epoch=0 if producer >= 0 else -1,
        base_sequence=0 if producer >= 0 else -1,
        batch_size=1 << 30,
    )
    for offset, key, value, time in records:
        builder.append(offset - base, time, key, value, [("header", b"x")])
    if marker is not None:
        builder.append(0, 0, marker, b"\x00" * 6, [])
    data = bytearray(builder.build())
    struct.pack_into(">q", data, 0, base)
    struct.pack_into(">i", data, EPOCH_AT, epoch)
    attributes = struct.unpack_from(">h", data, ATTRIBUTES_AT)[0]
    if marker is not None:
        attributes |= CONTROL_BIT
    if append_time is not None:
        attributes |= APPEND_TIME_BIT
        struct.pack_into(">q", data, 35, append_time)
    struct.pack_into(">h", data, ATTRIBUTES_AT, attributes)
    if last is not None:
        struct.pack_into(">i", data, LAST_DELTA_AT, last - base)
    struct.pack_into(">I", data, CRC_AT, calc_crc32c(bytes(data[ATTRIBUTES_AT:])))
    return bytes(data)


EITHER_WAY = [pytest.param(True, marks=pytest.mark.skipif(not IS_BUILT, reason="nothing is compiled here")), False]
"""By the compiled part, and without it."""


def _fetched(data: bytes, *, at: int = 0, aborted: list[tuple[int, int]] | None = None) -> PartitionRecords:
    return PartitionRecords(
        TopicPartition("t1-orders", 2),
        _MemoryRecordsPy(data),
        aborted or [],
        at,
        None,
        None,
        check_crcs=True,
        isolation_level=1,
    )


def _columns(batches: list[Any]) -> list[Record]:
    return [
        record
        for batch in batches
        for record in zip(batch.offsets, batch.keys, batch.values, batch.record_times_ms, strict=True)
    ]


def _aiokafkas(fetched: PartitionRecords) -> list[Record]:
    return [(r.offset, r.key, r.value, r.timestamp) for r in fetched]


def _assert_joined(batches: list[Any], start: int, end: int) -> None:
    position = start
    for batch in batches:
        assert (batch.topic, batch.partition) == ("orders", 2)
        assert batch.start == position
        assert batch.next_offset > batch.start
        assert all(batch.start <= offset < batch.next_offset for offset in batch.offsets)
        position = batch.next_offset
    assert position == end


def _log() -> st.SearchStrategy[tuple[bytes, list[tuple[int, int]], int]]:
    """Draw logs of transactions, plain batches, compaction holes and markers; with aborted (producer, first offset)."""

    @st.composite
    def draw_log(draw: st.DrawFn) -> tuple[bytes, list[tuple[int, int]], int]:
        data, aborted, offset = b"", [], draw(st.integers(0, 50))
        for _ in range(draw(st.integers(1, 6))):
            count = draw(st.integers(1, 5))
            kept = sorted(draw(st.sets(st.integers(0, count - 1), min_size=0, max_size=count)) | {0})
            records = [
                (
                    offset + i,
                    draw(st.none() | st.binary(max_size=3)),
                    draw(st.none() | st.binary(max_size=5)),
                    1_000 + offset,
                )
                for i in kept
            ]
            kind = draw(st.sampled_from(["plain", "committed", "aborted"]))
            append_time = draw(st.none() | st.integers(5_000, 6_000))
            compression = draw(st.sampled_from([NO_COMPRESSION, GZIP, LZ4]))
            last = offset + count - 1
            if kind == "plain":
                data += _batch(offset, records, compression=compression, last=last, append_time=append_time)
                offset += count
                continue
            producer = draw(st.integers(1, 3))
            data += _batch(
                offset,
                records,
                compression=compression,
                producer=producer,
                is_transactional=True,
                last=last,
                append_time=append_time,
            )
            if kind == "aborted":
                aborted.append((producer, offset))
            offset += count
            marker = ABORT if kind == "aborted" else COMMIT
            data += _batch(offset, [], producer=producer, is_transactional=True, marker=marker)
            offset += 1
        return data, aborted, offset

    return draw_log()


@given(_log(), st.integers(1, 4), st.integers(0, 60), st.sampled_from(sorted({IS_BUILT, False})))
def test_it_reads_what_aiokafka_reads(
    log: tuple[bytes, list[tuple[int, int]], int],
    batch_records: int,
    position: int,
    is_built: bool,  # noqa: FBT001 - drawn
) -> None:
    """Same records in the same order, from any position, cut into batches that join."""
    data, aborted, end = log
    start = min(position, end - 1)
    theirs = _fetched(data, at=start, aborted=list(aborted))
    ours = _fetched(data, at=start, aborted=list(aborted))
    # Its position falls back where a batch lies below it, which no broker sends.
    expected = [record for record in _aiokafkas(theirs) if record[0] >= start]
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(module, "BATCH_RECORDS", batch_records)
        patch.setattr(module, "IS_BUILT", is_built)
        batches = unpack("orders", 2, ours)
    assert _columns(batches) == expected
    assert ours.next_fetch_offset == theirs.next_fetch_offset == end
    _assert_joined(batches, start, end)


@given(_log(), st.integers(0, 60), st.integers(1, 4))
def test_whole_batches_of_aiokafkas_own_loop_hold_what_it_reads(
    log: tuple[bytes, list[tuple[int, int]], int], position: int, turn: int
) -> None:
    """From any position and in turns of any length; the audit reads so."""
    data, aborted, end = log
    start = min(position, end - 1)
    theirs, ours = (_fetched(data, at=start, aborted=list(aborted)) for _ in range(2))
    expected = [record for record in _aiokafkas(theirs) if record[0] >= start]
    found: list[Any] = []
    while len(batches := _turn(ours, turn)) == turn:
        found += batches
    found += batches
    assert [(r.offset, r.key, r.value, r.timestamp) for r in flat(found, start)] == expected
    assert ours.next_fetch_offset == theirs.next_fetch_offset == end


def _turn(fetched: PartitionRecords, most: int) -> list[Any]:
    give_whole_batches(fetched)
    return list(islice(fetched, most)) if fetched._records_iterator is not None else []


@pytest.mark.parametrize("is_built", EITHER_WAY)
@pytest.mark.parametrize("compression", [NO_COMPRESSION, GZIP, SNAPPY, LZ4, ZSTD])
def test_every_compression_is_read(compression: int, monkeypatch: pytest.MonkeyPatch, *, is_built: bool) -> None:
    """The codecs of Kafka."""
    monkeypatch.setattr(module, "IS_BUILT", is_built)
    records: list[Record] = [(offset, b"k", b"v" * 100, 7) for offset in range(20)]
    batches = unpack("orders", 2, _fetched(_batch(0, records, compression=compression)))
    assert _columns(batches) == records


def test_contiguous_offsets_cost_nothing_per_record() -> None:
    """The common case: a range over all batches of a fetch."""
    data = _batch(0, [(i, None, b"v", 1) for i in range(3)]) + _batch(3, [(i, None, b"v", 1) for i in range(3, 9)])
    (batch,) = unpack("orders", 2, _fetched(data))
    assert batch.offsets == range(9)


def test_a_fetch_of_nothing_but_an_aborted_transaction_moves_the_position() -> None:
    """One batch without records: else the ledger's position would stand still below it."""
    data = _batch(0, [(0, None, b"v", 1)], producer=1, is_transactional=True)
    data += _batch(1, [], producer=1, is_transactional=True, marker=ABORT)
    (batch,) = unpack("orders", 2, _fetched(data, aborted=[(1, 0)]))
    assert (batch.start, batch.next_offset, len(batch)) == (0, 2, 0)


def test_each_batch_has_the_epoch_of_the_leader_that_wrote_it_last() -> None:
    """Also of what is left out; batches of two leaders are not joined."""
    data = _batch(0, [(0, None, b"v", 1)], epoch=3) + _batch(1, [(1, None, b"v", 1)], epoch=3)
    data += _batch(2, [(2, None, b"v", 1)], epoch=5)
    data += _batch(3, [(3, None, b"v", 1)], producer=1, is_transactional=True, epoch=5)
    data += _batch(4, [], producer=1, is_transactional=True, marker=ABORT, epoch=8)
    found = unpack("orders", 2, _fetched(data, aborted=[(1, 3)]))
    assert [(b.start, b.next_offset, len(b), b.leader_epoch) for b in found] == [
        (0, 2, 2, 3),
        (2, 3, 1, 5),
        (3, 5, 0, 8),
    ]


def test_the_oldest_formats_are_read() -> None:
    """Brokers before 0.11 wrote them, and logs may still hold them."""
    builder = LegacyRecordBatchBuilder(magic=1, compression_type=0, batch_size=1 << 20)
    builder.append(0, 5, b"k", b"v", [])
    (batch,) = unpack("orders", 2, _fetched(bytes(builder.build())))
    assert _columns([batch]) == [(0, b"k", b"v", 5)]
    assert batch.leader_epoch is None


def test_a_damaged_batch_is_refused() -> None:
    """A wrong checksum is an error of the fetch, never a record."""
    data = bytearray(_batch(0, [(0, None, b"value", 1)]))
    data[-3] ^= 0xFF
    with pytest.raises(CorruptRecordException):
        unpack("orders", 2, _fetched(bytes(data)))


def test_what_was_unpacked_goes_without_a_garbage_collection() -> None:
    """Aiokafka's object and its iterator hold each other: half an hour of fetches would wait for the oldest garbage."""
    fetched = _fetched(_batch(0, [(0, None, b"value", 1)]))
    ends = weakref.ref(fetched)
    gc.disable()
    try:
        batches = unpack("orders", 2, fetched)
        del fetched
        assert ends() is None
    finally:
        gc.enable()
    assert batches[0].values[0] == b"value"
