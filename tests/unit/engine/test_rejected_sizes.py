"""Whole or by its head: what is written of a rejected record."""

from __future__ import annotations

import pytest

from streams.engine.processor import REJECTED_HEAD_BYTES, REJECTED_LIMIT_BYTES
from tests.unit.engine.test_processor import batch, cut, started


@pytest.mark.parametrize(
    ("key_bytes", "value_bytes", "is_whole"),
    [
        (0, REJECTED_LIMIT_BYTES, True),
        (0, REJECTED_LIMIT_BYTES + 1, False),
        (10, REJECTED_LIMIT_BYTES - 10, True),
        (11, REJECTED_LIMIT_BYTES - 10, False),
    ],
)
def test_key_and_value_are_written_whole_where_both_fit_into_one_record(
    key_bytes: int, value_bytes: int, *, is_whole: bool
) -> None:
    processor = started()
    processor.apply(batch(10, [b"x" * value_bytes], keys=[b"k" * key_bytes or None]))
    (record,) = cut(processor).rejected
    assert record.value is not None
    assert len(record.value) == (value_bytes if is_whole else REJECTED_HEAD_BYTES)
    assert (record.original is None) is is_whole
