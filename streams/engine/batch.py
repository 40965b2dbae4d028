"""The unit of work: the records of one partition out of one fetch, still undecoded."""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from collections.abc import Sequence

    import numpy as np
    import numpy.typing as npt


@dataclass(frozen=True, slots=True)
class RecordBatch:
    """Records of one topic-partition in log order, from `start` up to, not including, `next_offset`.

    `start` is the fetch position before the batch, `next_offset` the one after it: both cover control
    records, aborted records and holes left by compaction, so a batch may hold no record at all and still
    move the position. `offsets`, `keys`, `values` and `record_times_ms` are parallel.
    """

    topic: str
    partition: int
    start: int
    next_offset: int
    offsets: Sequence[int]
    keys: Sequence[bytes | None]
    values: Sequence[bytes | None]
    record_times_ms: Sequence[int] | npt.NDArray[np.int64]

    def __len__(self) -> int:
        """Return the number of records."""
        return len(self.offsets)

    def from_offset(self, offset: int) -> RecordBatch:
        """Return the part of the batch at and after `offset`."""
        first = next((i for i, o in enumerate(self.offsets) if o >= offset), len(self.offsets))
        return RecordBatch(
            self.topic,
            self.partition,
            max(self.start, offset),
            self.next_offset,
            self.offsets[first:],
            self.keys[first:],
            self.values[first:],
            self.record_times_ms[first:],
        )
