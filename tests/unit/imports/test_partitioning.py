"""Keys go where Kafka's default partitioner puts them."""

from __future__ import annotations

from aiokafka.partitioner import murmur2
from hypothesis import given
from hypothesis import strategies as st

from streams.imports.partitioning import partitions_of
from streams.native.texts import joined


@given(st.lists(st.binary(max_size=70), max_size=30), st.integers(1, 300))
def test_it_agrees_with_the_partitioner_of_another_client(keys: list[bytes], partitions: int) -> None:
    expected = [(murmur2(key) & 0x7FFFFFFF) % partitions for key in keys]
    assert partitions_of(keys, partitions).tolist() == expected
    assert partitions_of(joined([keys]), partitions).tolist() == expected
