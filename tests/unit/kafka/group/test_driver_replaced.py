"""A log that was made again is known by its id, however far it has grown."""

from __future__ import annotations

from streams.engine.status import HeldReason
from tests.unit.domain.samples import START_MS, encode, order
from tests.unit.kafka.group.test_driver import PARTITION, Bench, _no_pauses, until

__all__ = ["_no_pauses"]


async def counted_and_taken_back() -> Bench:
    bench = Bench()
    await bench.start()
    bench.apply(0, 7)
    await bench.take_back()
    return bench


def make_again(bench: Bench, topic: str) -> None:
    """Delete a topic and make it again, with ten records that are newer than all that was counted."""
    bench.kafka.tick(START_MS + 9_000)
    bench.kafka.delete_topic(topic)
    bench.kafka.create_topic(topic, PARTITION + 1)
    bench.kafka.produce(topic, PARTITION, [encode(order(event_id=f"n{offset}")) for offset in range(10)])


async def test_a_topic_that_was_made_again_holds_its_partition() -> None:
    bench = await counted_and_taken_back()
    make_again(bench, "orders")
    make_again(bench, "payments")
    bench.deal()
    await until(lambda: bench.crew.tenures[PARTITION].held is not None)
    held = bench.status.snapshot().partitions[PARTITION]
    assert (held.reason, held.topic) == (HeldReason.LOG_REPLACED, "orders")
    await bench.driver.close()
