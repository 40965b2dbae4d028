"""Compaction of a partition's log, as Kafka's cleaner does it: the newest record of each key stays.

Records of aborted transactions go at once. Tombstones, and the control records of transactions of which nothing is
left, stay until `delete_retention_ms` after the first compaction that could have done without them.
"""

from __future__ import annotations

from bisect import bisect_left
from typing import TYPE_CHECKING

from streams.engine.memory.log import ABORTED, DATA

if TYPE_CHECKING:
    from streams.engine.memory.log import PartitionLog


class Compaction:
    """Compacts one log again and again."""

    def __init__(self, log: PartitionLog) -> None:
        """Begin with a log that was never compacted."""
        self._log = log
        self._dispensable_since_ms: dict[int, int] = {}
        """When a compaction first met the record at an offset and could have done without it."""

    def compact(self, now_ms: int, *, min_lag_ms: int, delete_retention_ms: int, below: int | None = None) -> None:
        """Compact what lies below the last stable offset and is older than `min_lag_ms`.

        `below`: where the segment begins that the broker still writes to, which is never compacted.
        """
        log = self._log
        limit = log.stable_offset if below is None else min(below, log.stable_offset)
        last = bisect_left(log.offsets, limit)
        if min_lag_ms:
            last = next((i for i in range(last) if log.times_ms[i] > now_ms - min_lag_ms), last)
        newest = {log.keys[i]: i for i in range(last) if log.kinds[i] == DATA}
        oldest_ms = now_ms - delete_retention_ms
        kept = [i for i in newest.values() if log.values[i] is not None or not self._is_over(i, now_ms, oldest_ms)]
        kept.sort()
        with_data = self._with_data([log.offsets[i] for i in kept])
        kept += [
            i
            for i in range(last)
            if log.kinds[i] > ABORTED and (log.offsets[i] in with_data or not self._is_over(i, now_ms, oldest_ms))
        ]
        kept.sort()
        log.only([*kept, *range(last, len(log.offsets))])

    def _with_data(self, kept: list[int]) -> set[int]:
        """Return the offsets of the control records of transactions that still have one of the records `kept`."""
        return {
            transaction.marker_offset
            for transaction in self._log.ended
            if transaction.is_commit
            and any(bisect_left(kept, start) < bisect_left(kept, end) for start, end in transaction.spans)
        }

    def _is_over(self, place: int, now_ms: int, oldest_ms: int) -> bool:
        """Return whether a record that could be done without was met long enough ago."""
        offset = self._log.offsets[place]
        is_known = offset in self._dispensable_since_ms
        return self._dispensable_since_ms.setdefault(offset, now_ms) <= oldest_ms and is_known
