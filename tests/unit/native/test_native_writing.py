"""Columns into texts and texts into records: what does not fit together is refused before anything is written."""

from __future__ import annotations

import numpy as np
import pytest

from streams.native import IS_BUILT

if IS_BUILT:
    from streams.native.records import Values, split_records
    from streams.native.writing import write_records, write_texts

ROWS = np.arange(3, dtype=np.int64)


def test_pieces_stand_one_after_the_other() -> None:
    texts = write_texts([(b"n=", ROWS * 99, None), (b";", ROWS, [b"a", b"", b"c"])], 3, b".")
    assert list(texts) == [b"n=0;a.", b"n=99;.", b"n=198;c."]


def test_a_negative_number_is_left_out_with_what_stands_before_it() -> None:
    assert list(write_texts([(b"n=", ROWS - 1, None)], 3, b".")) == [b".", b"n=0.", b"n=1."]


@pytest.mark.parametrize("index", [-1, 2, 2**62])
def test_an_index_beyond_the_choices_is_refused(index: int) -> None:
    with pytest.raises(IndexError, match="row 1"):
        write_texts([(b"", np.array([0, index, 0], dtype=np.int64), [b"a", b"b"])], 3, b"")


def test_columns_of_another_length_and_too_many_are_refused() -> None:
    with pytest.raises(ValueError, match="each of 2 rows"):
        write_texts([(b"", ROWS, None)], 2, b"")
    with pytest.raises(ValueError, match="columns at most"):
        write_texts([(b"", ROWS, None)] * 33, 3, b"")


def test_what_is_no_bytes_is_refused() -> None:
    with pytest.raises(TypeError, match="bytes"):
        write_texts([(b"", ROWS, [b"a", None, b"c"])], 3, b"")  # type: ignore[list-item]
    with pytest.raises(TypeError, match="bytes"):
        write_texts([("a", ROWS, None)], 3, b"")  # type: ignore[list-item]


def test_rows_are_taken_in_any_order_and_none_beyond() -> None:
    values = Values.of([b"a", None, b"c"])
    assert list(values.taken(np.array([2, 0, 2, 1], dtype=np.int64))) == [b"c", b"a", b"c", None]
    for row in (-1, 3):
        with pytest.raises(IndexError):
            values.taken(np.array([row], dtype=np.int64))


def test_written_records_are_split_into_what_they_were() -> None:
    keys, values = Values.of([b"a", b"", None]), Values.of([None, b"v" * 100, b""])
    section, count = write_records(keys, values, 0, 1_000)
    offsets, times, found_keys, found_values = split_records(section, count)
    assert (offsets.tolist(), times.tolist()) == ([0, 1, 2], [0, 0, 0])
    assert (list(found_keys), list(found_values)) == (list(keys), list(values))


def test_a_batch_ends_before_the_record_that_does_not_fit_but_has_one() -> None:
    keys, values = Values.of([b"k"] * 3), Values.of([b"v"] * 3)
    size = len(write_records(keys, values, 0, 1_000)[0])
    assert write_records(keys, values, 0, size)[1] == 3
    assert write_records(keys, values, 0, size - 1)[1] == 2
    assert write_records(keys, values, 1, 0)[1] == 1


@pytest.mark.parametrize(("values", "first"), [(2, 0), (3, 3), (3, -1)])
def test_records_that_are_not_there_are_refused(values: int, first: int) -> None:
    with pytest.raises(ValueError, match="a record at least"):
        write_records(Values.of([b"k"] * 3), Values.of([b"v"] * values), first, 1_000)
