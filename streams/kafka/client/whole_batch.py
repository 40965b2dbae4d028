"""Record batches for aiokafka's producer, filled with many records at once.

Where the compiled part is built, it writes all records of a batch in one call, and `WholeBatch` takes the place of
aiokafka's own `BatchBuilder`; elsewhere the records go into that one after the other. The bytes are the same. The
private names used are held by tests/contract/test_replay_names.py.
"""

from __future__ import annotations

import struct
from typing import TYPE_CHECKING

from aiokafka import codec
from aiokafka.record.util import calc_crc32c

from streams.native import IS_BUILT

if IS_BUILT:
    from streams.native.records import Values
    from streams.native.writing import write_records

if TYPE_CHECKING:
    from collections.abc import Callable

    from aiokafka import AIOKafkaProducer
    from aiokafka.producer.message_accumulator import BatchBuilder

    from streams.native.texts import Texts

BATCH_BYTES = 512 * 1024
"""Before compression; with the largest bad record it stays below the broker's limit of 1 MiB."""
_HEAD = struct.Struct(">qiibI")
_CHECKED = struct.Struct(">hiqqqhii")
"""The header of a batch, up to its checksum and after it (https://kafka.apache.org/documentation/#recordbatch)."""
_FORMAT = 2
_TRANSACTIONAL = 1 << 4
_AFTER_LENGTH_BYTES = 9
"""What the length counts of the head: epoch, format, checksum."""
_NO_EPOCH = -1
_COMPRESSIONS: dict[str | None, tuple[int, Callable[[bytes], bytes]]] = {
    None: (0, bytes),
    "gzip": (1, codec.gzip_encode),
    "snappy": (2, codec.snappy_encode),
    "lz4": (3, codec.lz4_encode),
    "zstd": (4, codec.zstd_encode),
}
"""By the producer's name of it: what stands in a batch's attributes, and who does it."""


class WholeBatch:
    """All that aiokafka's producer asks of a batch, of records written before. Nobody adds to it: it is born closed."""

    def __init__(
        self, records: bytes, count: int, time_ms: int, compression: str | None, *, is_transactional: bool = False
    ) -> None:
        """Take the record section of a batch: `count` records of one time, not compressed yet."""
        self._records = records
        self._count = count
        self._time_ms = time_ms
        self._compression = compression
        self._is_transactional = is_transactional
        self._producer = (-1, -1, -1)
        self._built: bytes | None = None

    def closed(self) -> bool:
        """Return whether nothing can be added."""
        return True

    def record_count(self) -> int:
        """Return the number of records."""
        return self._count

    def _set_producer_state(self, producer_id: int, producer_epoch: int, base_sequence: int) -> None:
        """Take what makes the batch count once, however often it is sent; called before it is built."""
        self._producer = (producer_id, producer_epoch, base_sequence)

    def _build(self) -> bytes:
        """Return the bytes to send; the same whenever it is sent again."""
        if self._built is None:
            self._built = self._encoded()
            self._records = b""
        return self._built

    def _encoded(self) -> bytes:
        attributes, compress = _COMPRESSIONS[self._compression]
        attributes |= _TRANSACTIONAL if self._is_transactional else 0
        times = (self._time_ms, self._time_ms)
        checked = _CHECKED.pack(attributes, self._count - 1, *times, *self._producer, self._count)
        checked += compress(self._records)
        checksum = calc_crc32c(checked)
        return _HEAD.pack(0, _AFTER_LENGTH_BYTES + len(checked), _NO_EPOCH, _FORMAT, checksum) + checked


def fill(
    producer: AIOKafkaProducer,
    keys: Texts,
    values: Texts,
    first: int,
    *,
    time_ms: int,
    compression: str | None,
    is_transactional: bool = False,
) -> tuple[BatchBuilder | WholeBatch, int]:
    """Return a closed batch of the records from `first` on, as many as fit, and their number.

    `producer` was made with `BATCH_BYTES` at least and the same `compression`; `is_transactional` says that it has
    transactions.
    """
    if IS_BUILT and isinstance(keys, Values) and isinstance(values, Values):
        # aiokafka's builder leaves the last byte free.
        limit = BATCH_BYTES - _HEAD.size - _CHECKED.size - 1
        records, count = write_records(keys, values, first, limit)
        return WholeBatch(records, count, time_ms, compression, is_transactional=is_transactional), count
    builder = producer.create_batch()
    append = builder.append
    count = 0
    for key, value in zip(keys[first:], values[first:], strict=True):
        if append(timestamp=time_ms, key=key, value=value) is None:
            break
        count += 1
    assert count, "a record fits a batch"
    builder.close()
    return builder, count
