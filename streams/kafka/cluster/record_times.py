"""When the first records of topics arrived, as the broker stamped them: asked of its index, nothing is read."""

from __future__ import annotations

from typing import TYPE_CHECKING

from aiokafka.structs import TopicPartition

from streams.kafka.client import clients

if TYPE_CHECKING:
    from collections.abc import Mapping

    from streams.settings import Settings


async def first_record_ms(settings: Settings, positions: Mapping[str, Mapping[int, int]]) -> int | None:
    """Return the smallest record time of the partitions, None where they hold nothing. Raises as a reader's start."""
    asked = {TopicPartition(settings.prefix + topic, number): 0 for topic, at in positions.items() for number in at}
    consumer = await clients.start_consumer(settings, is_patient=False)
    try:
        found = await consumer.offsets_for_times(asked) if asked else {}
    finally:
        await clients.stop(consumer)
    return min((place.timestamp for place in found.values() if place is not None), default=None)
