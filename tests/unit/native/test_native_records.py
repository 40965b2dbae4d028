"""Byte strings as places in other objects: a sequence like any other, and never beyond the bytes it was given."""

from __future__ import annotations

import pytest

from streams.native import IS_BUILT

if IS_BUILT:
    from streams.native.records import Values, split_records

ITEMS = [b"a", None, b"", b"longer than the others"]
RECORD = bytes([0x12, 0x00, 0x06, 0x04, 0x02]) + b"k" + bytes([0x04]) + b"vv" + bytes([0x00])
"""Length 9, no attributes, time +3, offset +2, key of 1 byte, value of 2, no header."""


def test_it_is_a_sequence() -> None:
    values = Values.of(ITEMS)
    assert list(values) == ITEMS
    assert len(values) == 4
    assert values[-1] == ITEMS[-1]
    assert list(values[1:3]) == ITEMS[1:3]
    assert list(values[3:1]) == []
    assert list(Values.joined([values[:2], Values.of([]), values[2:]])) == ITEMS
    with pytest.raises(IndexError):
        values[4]
    with pytest.raises(ValueError, match="every record"):
        values[::2]


def test_what_is_no_byte_string_is_refused() -> None:
    with pytest.raises(TypeError, match="found str"):
        Values.of(["a"])  # type: ignore[list-item]


def test_records_are_split() -> None:
    offsets, times, keys, values = split_records(RECORD * 2, 2)
    assert (offsets.tolist(), times.tolist()) == ([2, 2], [3, 3])
    assert (list(keys), list(values)) == ([b"k", b"k"], [b"vv", b"vv"])


@pytest.mark.parametrize("count", [-1, 0, 1, 3, 1 << 40])
def test_another_number_of_records_is_refused(count: int) -> None:
    with pytest.raises(ValueError, match="records"):
        split_records(RECORD * 2, count)


@pytest.mark.parametrize("position", range(len(RECORD)))
def test_a_damaged_record_is_read_within_its_bytes_or_refused(position: int) -> None:
    for byte in (0x00, 0x01, 0x7F, 0x80, 0xFF):
        damaged = RECORD[:position] + bytes([byte]) + RECORD[position + 1 :]
        for payload in (damaged, damaged[: position + 1]):
            try:
                _, _, keys, values = split_records(payload, 1)
            except ValueError:
                continue
            assert all(item is None or item in payload for item in (keys[0], values[0]))
