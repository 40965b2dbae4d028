"""The unit of work: the records of one partition out of one fetch, still undecoded."""

from __future__ import annotations

import itertools
from dataclasses import dataclass
from typing import TYPE_CHECKING

import numpy as np

from streams.native import IS_BUILT

if IS_BUILT:
    from streams.native.records import Values

if TYPE_CHECKING:
    from collections.abc import Sequence

    from streams.domain.texts import Ints

    Headers = Sequence[tuple[str, bytes | None]]


@dataclass(frozen=True, slots=True)
class RecordBatch:
    """Records of one topic-partition in log order, from `start` up to, not including, `next_offset`.

    `start` is the fetch position before the batch, `next_offset` the one after it: both cover control
    records, aborted records and holes left by compaction, so a batch may hold no record at all and still
    move the position. `offsets`, `keys`, `values`, `record_times_ms` and, where there are any, `headers` are parallel.
    """

    topic: str
    partition: int
    start: int
    next_offset: int
    offsets: Sequence[int]
    keys: Sequence[bytes | None]
    values: Sequence[bytes | None]
    record_times_ms: Sequence[int] | Ints
    headers: Sequence[bytes | Headers | None] = ()
    """Those of each record, as Kafka has them in its bytes, or read; nothing where nobody asked for them."""
    is_timed_by_broker: bool = False
    """Whether the broker gave the last record its time, not who sent it."""
    leader_epoch: int | None = None
    """That of the last producer's batch below `next_offset`, also of one that is left out; None where none is."""

    def __len__(self) -> int:
        """Return the number of records."""
        return len(self.offsets)

    def from_offset(self, offset: int) -> RecordBatch:
        """Return the part of the batch at and after `offset`."""
        first = next((i for i, o in enumerate(self.offsets) if o >= offset), len(self.offsets))
        return self.only(slice(first, None), max(self.start, offset), self.next_offset)

    def up_to(self, offset: int) -> RecordBatch:
        """Return the part of the batch below `offset`."""
        if self.next_offset <= offset:
            return self
        end = next((i for i, o in enumerate(self.offsets) if o >= offset), len(self.offsets))
        return self.only(slice(end), self.start, offset)

    def sampled_times(self, limit: int) -> list[tuple[int, int]]:
        """Return at most `limit` of the record times, evenly spread, each with the number of records it stands for."""
        count = len(self)
        places = [sample * count // limit for sample in range(limit + 1)] if count > limit else range(count + 1)
        return [(int(self.record_times_ms[a]), b - a) for a, b in itertools.pairwise(places)]

    def only(self, part: slice, start: int, next_offset: int) -> RecordBatch:
        """Return some of the records, as a batch from `start` up to `next_offset`."""
        return RecordBatch(
            self.topic,
            self.partition,
            start,
            next_offset,
            self.offsets[part],
            self.keys[part],
            self.values[part],
            self.record_times_ms[part],
            self.headers[part],
            self.is_timed_by_broker,
            self.leader_epoch,
        )


def joined(batches: Sequence[RecordBatch]) -> RecordBatch:
    """Return batches of one topic-partition that follow each other as one; there must be one at least."""
    first, last = batches[0], batches[-1]
    if len(batches) == 1:
        return first
    return RecordBatch(
        first.topic,
        first.partition,
        first.start,
        last.next_offset,
        _joined_offsets([batch.offsets for batch in batches]),
        _joined_values([batch.keys for batch in batches]),
        _joined_values([batch.values for batch in batches]),
        np.concatenate([batch.record_times_ms for batch in batches]),
        _joined_headers(batches),
        last.is_timed_by_broker,
        last.leader_epoch,
    )


def _joined_headers(batches: Sequence[RecordBatch]) -> Sequence[bytes | Headers | None]:
    told = [batch.headers for batch in batches if len(batch)]
    if IS_BUILT and told and all(isinstance(part, Values) for part in told):
        return Values.joined(told)  # type: ignore[arg-type] # bytes all of them
    return [headers for part in told for headers in part]


def _joined_offsets(parts: Sequence[Sequence[int]]) -> Sequence[int]:
    first, last = parts[0], parts[-1]
    count = sum(map(len, parts))
    # Ascending numbers without a gap; only a part of compacted records may be empty.
    if count and len(first) and len(last) and last[-1] - first[0] + 1 == count:
        return range(first[0], last[-1] + 1)
    return [offset for part in parts for offset in part]


def _joined_values(parts: Sequence[Sequence[bytes | None]]) -> Sequence[bytes | None]:
    if IS_BUILT and all(isinstance(part, Values) for part in parts):
        return Values.joined(parts)
    return [value for part in parts for value in part]
