"""Batches that follow each other, as one."""

from __future__ import annotations

import numpy as np

from streams.engine.batch import RecordBatch, joined


def batch(offsets: range | list[int], start: int, next_offset: int) -> RecordBatch:
    values = [str(offset).encode() for offset in offsets]
    return RecordBatch("orders", 0, start, next_offset, offsets, [None] * len(values), values, np.arange(len(values)))


def test_offsets_without_a_gap_stay_a_range() -> None:
    """A list of them takes forty times the memory."""
    whole = joined([batch(range(5, 8), 5, 8), batch(range(8, 10), 8, 10)])
    assert whole.offsets == range(5, 10)
    assert (whole.start, whole.next_offset) == (5, 10)
    assert list(whole.values) == [b"5", b"6", b"7", b"8", b"9"]
    assert len(whole.record_times_ms) == 5


def test_offsets_with_a_gap_are_kept_one_by_one() -> None:
    """Also where the gap lies between two batches, or one of them is empty."""
    assert joined([batch(range(5, 7), 5, 7), batch(range(8, 10), 7, 10)]).offsets == [5, 6, 8, 9]
    assert joined([batch([5, 7], 5, 8), batch(range(8, 9), 8, 9)]).offsets == [5, 7, 8]
    assert joined([batch([], 3, 5), batch(range(5, 7), 5, 7)]).offsets == [5, 6]
    assert joined([batch(range(5, 7), 5, 7), batch([], 7, 9)]).offsets == [5, 6]
    alone = batch([5, 7], 5, 8)
    assert joined([alone]) is alone
