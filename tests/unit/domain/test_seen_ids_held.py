"""How many ids are held, and how much memory that takes."""

from __future__ import annotations

import numpy as np
import pytest

from streams.domain.duplicates import SeenIds, _Runs


def ids(first: int, count: int) -> np.ndarray[tuple[int], np.dtype[np.uint64]]:
    """Return hashes that are spread over all bits."""
    return np.arange(first, first + count, dtype=np.uint64) * np.uint64(0x9E3779B97F4A7C15)


def test_hashes_are_held_once_a_minute_however_they_came() -> None:
    """Also after their runs were merged, in which some stood twice."""
    seen = SeenIds(2)
    for batch in range(30):
        seen.sight(0, ids(batch * 5, 10))
    seen.sight(1, ids(0, 3))
    assert len(seen) == 29 * 5 + 10 + 3
    assert seen.minutes == [0, 1]


def test_memory_is_eight_bytes_a_hash_and_the_filter() -> None:
    seen = SeenIds(2)
    empty = seen.size_bytes
    seen.sight(0, ids(0, 1_000))
    assert seen.size_bytes == empty + 8_000
    seen.sight(3, ids(5_000, 10))
    assert len(seen) == 10
    assert seen.minutes == [3]


def test_the_filter_grows_with_what_is_held_and_shrinks_when_it_went() -> None:
    seen = SeenIds(1)
    empty = seen.size_bytes
    seen.sight(0, ids(0, 400_000))
    grown = seen.size_bytes - 8 * len(seen)
    assert grown > empty
    seen.sight(5, ids(1, 1))
    assert seen.size_bytes - 8 * len(seen) < grown
    assert seen.sight(5, ids(1, 1)) is not None


def test_runs_are_merged_by_eight_so_that_few_are_looked_through() -> None:
    """A hash is copied once per factor of eight, and an id is looked up in at most seven runs of each size."""
    runs, sizes = _Runs(), []
    for number in range(8**3):
        runs.add(ids(number, 1))
        sizes.append([len(run) for _, run in runs.runs])
    assert [len(size) for size in sizes[:9]] == [1, 2, 3, 4, 5, 6, 7, 1, 2]
    assert sizes[62] == [8] * 7 + [1] * 7
    assert sizes[63] == [64]
    assert (sizes[-2], sizes[-1]) == ([64] * 7 + [8] * 7 + [1] * 7, [512])
    assert runs.count == 512


def test_the_runs_of_a_minute_that_is_over_are_one() -> None:
    seen = SeenIds(2)
    for batch in range(3):
        seen.sight(0, ids(batch * 5, 5))
    assert [len(bucket.runs) for bucket in seen._buckets.values()] == [3]
    seen.sight(1, ids(100, 1))
    assert [len(bucket.runs) for bucket in seen._buckets.values()] == [1, 1]


@pytest.mark.parametrize("batch", [7, 1_000, 20_000])
def test_at_most_one_bit_in_sixteen_of_the_filter_is_set_and_it_is_not_much_larger_than_that(batch: int) -> None:
    seen = SeenIds(2)
    for number in range(12):
        seen.sight(0, ids(number * batch, batch))
        bits = 8 * seen._filter.size_bytes
        assert int(np.unpackbits(seen._filter._bytes).sum()) <= bits // 16
        assert bits <= max(1 << 16, 16 * 4 * len(seen))
        assert seen.sight(0, ids(number * batch, 1)) is not None


def test_a_filter_that_holds_more_of_what_is_gone_than_of_what_is_there_is_made_anew() -> None:
    seen = SeenIds(1)
    seen.sight(0, ids(0, 3_000))
    seen.sight(1, ids(5_000, 1_000))
    assert seen._filter.count == 4_000
    seen.sight(2, ids(7_000, 10))
    assert len(seen) == 1_010
    assert seen._filter.count == 1_010
    for later in (3, 4):
        seen.sight(later, ids(9_000 + later, 700))
    assert seen.sight(4, ids(9_003, 1)) is not None
