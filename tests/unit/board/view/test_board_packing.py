"""Packed records."""

from __future__ import annotations

from hypothesis import given
from hypothesis import strategies as st

from streams.board.view.packing import SMALL_BYTES, pack, unpack


@given(st.binary() | st.binary(min_size=SMALL_BYTES - 2, max_size=SMALL_BYTES + 2) | st.binary().map(lambda b: b * 900))
def test_what_is_packed_comes_back(value: bytes) -> None:
    assert unpack(pack(value)) == value


def test_a_page_of_zeros_takes_little_room() -> None:
    assert len(pack(bytes(20_000))) < 200
