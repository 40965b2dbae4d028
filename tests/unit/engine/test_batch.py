"""Parts of a batch: its position moves with what is left out."""

from __future__ import annotations

from streams.engine.batch import RecordBatch


def test_a_batch_is_cut_below_an_offset_also_where_records_are_missing() -> None:
    """Control records and holes are offsets, too."""
    batch = RecordBatch("orders", 0, 10, 20, [11, 12, 17], [None] * 3, [b"a", b"b", b"c"], [1, 2, 3])
    assert batch.up_to(20) is batch
    cut = batch.up_to(15)
    assert (cut.start, cut.next_offset, list(cut.values), list(cut.record_times_ms)) == (10, 15, [b"a", b"b"], [1, 2])
    assert (len(batch.up_to(11)), batch.up_to(11).next_offset) == (0, 11)
    assert (len(batch.up_to(18)), batch.up_to(18).next_offset) == (3, 18)
