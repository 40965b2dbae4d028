"""The digest of live records is the plain sum over those that live, whatever was written before and in what order."""

from __future__ import annotations

from hypothesis import given
from hypothesis import strategies as st
from xxhash import xxh3_64_intdigest

from streams.engine.digest import Digest

KEYS = st.sampled_from([b"a", b"b", b"c", b"d", b"e"])
WRITES = st.lists(st.dictionaries(KEYS, st.none() | st.binary(max_size=3), max_size=4), max_size=6)


@given(WRITES)
def test_it_is_the_sum_over_what_lives(writes: list[dict[bytes, bytes | None]]) -> None:
    digest, live = Digest(), dict[bytes, bytes | None]()
    for records in writes:
        digest.write(records)
        live |= records
    expected = sum(xxh3_64_intdigest(key + value) for key, value in live.items() if value is not None)
    assert digest.total == expected % 2**64


@given(st.permutations([b"a", b"b", b"c", b"d"]), st.integers(0, 4))
def test_neither_order_nor_the_way_it_is_cut_matters(order: list[bytes], cut: int) -> None:
    whole, parts = Digest(), Digest()
    whole.write(dict.fromkeys(sorted(order), b"value"))
    for keys in (order[:cut], order[cut:]):
        parts.write(dict.fromkeys(keys, b"value"))
    assert parts.total == whole.total != 0
