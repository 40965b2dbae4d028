"""A source on the in-memory Kafka knows where it reads and how far each log goes."""

from __future__ import annotations

from streams.engine.memory import Kafka
from streams.engine.memory.source import MemorySource


async def test_a_topic_that_flows_has_a_position_and_an_end_and_others_have_none() -> None:
    kafka = Kafka()
    kafka.create_topic("orders", 1)
    kafka.produce("orders", 0, [b"0", b"1", b"2"])
    source = MemorySource(kafka)
    assert source.fetch_state(0, "orders") == (None, None)
    await source.release(0, {"orders": 1})
    assert source.fetch_state(0, "orders") == (1, 3)
    assert list(source.fetch("orders", 0, max_records=1).values) == [b"1"]
    assert source.fetch_state(0, "orders") == (2, 3)
    await source.hold_back(0, ["orders"])
    assert source.fetch_state(0, "orders") == (None, None)
