"""Laws of batches: parts join to the whole, and a sample stands for all."""

from __future__ import annotations

from itertools import pairwise

from hypothesis import given
from hypothesis import strategies as st

from streams.engine.batch import RecordBatch, joined


@st.composite
def batches(draw: st.DrawFn) -> RecordBatch:
    """Return a batch with holes anywhere: before, between and behind its records."""
    offsets = sorted(draw(st.sets(st.integers(10, 40), max_size=12)))
    start = draw(st.integers(0, offsets[0] if offsets else 20))
    next_offset = draw(st.integers((offsets[-1] if offsets else start) + 1, 50))
    keys = [b"k%d" % offset if offset % 2 else None for offset in offsets]
    values = [b"v%d" % offset for offset in offsets]
    return RecordBatch("orders", 3, start, next_offset, offsets, keys, values, [offset * 7 for offset in offsets])


def parts(batch: RecordBatch) -> tuple[object, ...]:
    return (
        batch.topic,
        batch.partition,
        batch.start,
        batch.next_offset,
        list(batch.offsets),
        list(batch.keys),
        list(batch.values),
        list(batch.record_times_ms),
    )


@given(batches(), st.integers(0, 55))
def test_below_and_from_an_offset_are_the_whole_batch_and_nothing_twice(batch: RecordBatch, offset: int) -> None:
    below, rest = batch.up_to(offset), batch.from_offset(offset)
    assert [*below.offsets, *rest.offsets] == list(batch.offsets)
    assert [*below.values, *rest.values] == list(batch.values)
    assert all(o < offset for o in below.offsets)
    assert all(o >= offset for o in rest.offsets)
    assert below.next_offset == min(batch.next_offset, offset)
    assert (rest.start, rest.next_offset) == (max(batch.start, offset), batch.next_offset)


@given(batches(), st.lists(st.integers(0, 50), max_size=4))
def test_a_batch_that_was_cut_into_parts_is_joined_to_what_it_was(batch: RecordBatch, cuts: list[int]) -> None:
    places = sorted({cut for cut in cuts if batch.start < cut < batch.next_offset} | {batch.start, batch.next_offset})
    pieces = [batch.from_offset(a).up_to(b) for a, b in pairwise(places)]
    assert parts(joined(pieces)) == parts(batch)


@given(st.integers(0, 40), st.integers(1, 12))
def test_a_sample_of_times_stands_for_every_record_once_and_evenly(count: int, limit: int) -> None:
    offsets = range(count)
    batch = RecordBatch("orders", 0, 0, count, offsets, [None] * count, [b""] * count, [o * 10 for o in offsets])
    sample = batch.sampled_times(limit)
    assert len(sample) == min(count, limit)
    weights = [weight for _, weight in sample]
    assert sum(weights) == count
    assert max(weights, default=0) - min(weights, default=0) <= 1
    place = 0
    for time_ms, weight in sample:
        assert time_ms == place * 10
        place += weight
