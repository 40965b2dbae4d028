"""Which event ids were seen lately in one topic-partition.

An id is remembered as its 64-bit xxh3 hash, in a bucket of the minute (of stream time) it was sighted in. Every
sighting counts, also a duplicate's, so the latest one decides. Buckets older than the horizon are dropped.

Hashes of a bucket lie in sorted runs (8 bytes each), which are merged as they grow. In front of them stands a
filter of bits that may only say "surely new"; what it does not clear is looked up in the runs, so a verdict is
exact up to equal 64-bit hashes.
"""

from __future__ import annotations

from collections import defaultdict
from typing import TYPE_CHECKING

import numpy as np
import numpy.typing as npt

if TYPE_CHECKING:
    from collections.abc import Iterable

    from streams.domain.texts import Bools, Hashes

_FILTER_BITS_LEAST = 16
_FILTER_BITS_PER_HASH = 16
"""A fuller filter is made anew, twice as large: below it, at most one new id in 16 is looked up in vain."""
_RUNS_PER_MERGE = 8


def _distinct(hashes: Hashes) -> Hashes:
    """Return the distinct hashes in ascending order (`np.unique` takes five times as long on 64-bit numbers)."""
    ascending = np.sort(hashes)
    is_first = np.ones(len(ascending), dtype=np.bool_)
    np.not_equal(ascending[1:], ascending[:-1], out=is_first[1:])
    return ascending if is_first.all() else ascending[is_first]


class _Runs:
    """Sorted runs of one bucket, merged eight at a time, so that a hash is copied once per factor of eight."""

    def __init__(self) -> None:
        self.runs: list[tuple[int, Hashes]] = []
        self.count = 0

    def add(self, ascending: Hashes) -> None:
        """Add hashes in ascending order."""
        self.runs.append((0, ascending))
        self.count += len(ascending)
        while len(self.runs) >= _RUNS_PER_MERGE and self.runs[-_RUNS_PER_MERGE][0] == self.runs[-1][0]:
            level = self.runs[-1][0] + 1
            self._merge(_RUNS_PER_MERGE, level)

    def close(self) -> None:
        """Merge all runs into one: the minute is over."""
        if len(self.runs) > 1:
            self._merge(len(self.runs), self.runs[0][0] + 1)

    def _merge(self, newest: int, level: int) -> None:
        merged = _distinct(np.concatenate([run for _, run in self.runs[-newest:]]))
        self.count += len(merged) - sum(len(run) for _, run in self.runs[-newest:])
        self.runs[-newest:] = [(level, merged)]

    def holds(self, hashes: Hashes) -> Bools:
        """Return which of `hashes` are in a run."""
        found = np.zeros(len(hashes), dtype=np.bool_)
        for _, run in self.runs:
            where = np.searchsorted(run, hashes)
            where[where == len(run)] = 0
            found |= run[where] == hashes
        return found


class _Filter:
    """One bit per hash: clear means surely new."""

    def __init__(self, capacity: int) -> None:
        bits = max(_FILTER_BITS_LEAST, (capacity * _FILTER_BITS_PER_HASH).bit_length())
        self._shift = np.uint64(64 - bits)
        self._bytes = np.zeros(1 << (bits - 3), dtype=np.uint8)
        self.capacity = (1 << bits) // _FILTER_BITS_PER_HASH
        self.count = 0

    @property
    def size_bytes(self) -> int:
        return len(self._bytes)

    def _places(self, ascending: Hashes) -> tuple[npt.NDArray[np.int64], npt.NDArray[np.uint8]]:
        places = (ascending >> self._shift).astype(np.int64)
        return places >> 3, np.left_shift(1, places & 7).astype(np.uint8)

    def add(self, ascending: Hashes) -> None:
        where, bits = self._places(ascending)
        firsts = np.flatnonzero(np.concatenate(([True], where[1:] != where[:-1])))
        self._bytes[where[firsts]] |= np.bitwise_or.reduceat(bits, firsts)
        self.count += len(ascending)

    def may_hold(self, ascending: Hashes) -> Bools:
        where, bits = self._places(ascending)
        may_hold: Bools = np.not_equal(self._bytes[where] & bits, 0)
        return may_hold


class SeenIds:
    """The ids of one topic-partition sighted within the horizon."""

    def __init__(self, horizon_minutes: int) -> None:
        """Remember ids for `horizon_minutes` whole minutes after the minute of their latest sighting."""
        self._horizon = horizon_minutes
        self._buckets: dict[int, _Runs] = {}
        self._filter = _Filter(0)
        self._span: defaultdict[int, list[Hashes]] = defaultdict(list)

    def __len__(self) -> int:
        """Return how many hashes are held; an id sighted in several minutes counts once for each."""
        return sum(bucket.count for bucket in self._buckets.values())

    @property
    def size_bytes(self) -> int:
        """Return the memory of hashes and filter."""
        return 8 * len(self) + self._filter.size_bytes

    @property
    def minutes(self) -> list[int]:
        """Return the minutes that have a bucket."""
        return list(self._buckets)

    def sight(self, minute: int, hashes: Hashes) -> Bools | None:
        """Remember `hashes`, in log order, as sighted in `minute`; return which are duplicates, None if none is.

        `minute` never goes back. An id that stands twice in `hashes` is a duplicate the second time.
        """
        self._drop_before(minute - self._horizon)
        ascending = np.sort(hashes)
        repeated = ascending[1:] == ascending[:-1]
        firsts = None
        if repeated.any():
            ascending, firsts = np.unique(hashes, return_index=True)
        seen_before = self._seen_before(ascending)
        self._remember(minute, ascending)
        self._span[minute].append(ascending)
        if firsts is None and not len(seen_before):
            return None
        duplicates = np.isin(hashes, seen_before)
        if firsts is not None:
            later = np.ones(len(hashes), dtype=np.bool_)
            later[firsts] = False
            duplicates |= later
        return duplicates

    def restore(self, minute: int, hashes: Iterable[Hashes]) -> None:
        """Remember what earlier checkpoints wrote for one minute."""
        self._remember(minute, _distinct(np.concatenate(list(hashes))))

    def take_span(self) -> dict[int, bytes]:
        """Return the hashes sighted since the last call, per minute, as little-endian 64-bit numbers."""
        span, self._span = self._span, defaultdict(list)
        return {minute: np.concatenate(runs).astype("<u8").tobytes() for minute, runs in span.items()}

    def _seen_before(self, ascending: Hashes) -> Hashes:
        possible = ascending[self._filter.may_hold(ascending)]
        if not len(possible):
            return possible
        found = np.zeros(len(possible), dtype=np.bool_)
        for bucket in self._buckets.values():
            found |= bucket.holds(possible)
        return possible[found]

    def _remember(self, minute: int, ascending: Hashes) -> None:
        if minute not in self._buckets:
            for bucket in self._buckets.values():
                bucket.close()
            self._buckets[minute] = _Runs()
        self._buckets[minute].add(ascending)
        if self._filter.count + len(ascending) > self._filter.capacity:
            self._refill()
        else:
            self._filter.add(ascending)

    def _drop_before(self, minute: int) -> None:
        expired = [m for m in self._buckets if m < minute]
        for m in expired:
            del self._buckets[m]
        if expired and self._filter.count > 2 * len(self):
            self._refill()

    def _refill(self) -> None:
        """Make the filter anew from what is held: bits of dropped buckets cannot be cleared one by one."""
        self._filter = _Filter(2 * len(self))
        for bucket in self._buckets.values():
            for _, run in bucket.runs:
                self._filter.add(run)
