"""What tests of the ledger on Kafka share: orders on the topics, a count of them without Faust, and its pages."""

from __future__ import annotations

import asyncio
from typing import TYPE_CHECKING, Any

import orjson
from aiokafka import AIOKafkaProducer
from aiokafka.structs import TopicPartition

from streams.domain.pages import decode_cursor
from streams.engine.clock import SystemClock
from streams.kafka.client.log_reader import LogReader
from streams.kafka.ledger.lone_crew import LoneCrew, open_lone_crew
from tests.unit.domain import samples

if TYPE_CHECKING:
    from collections.abc import Iterable

    from streams.domain.declarations import Declarations
    from streams.engine.ledger_view import FollowerDelta
    from streams.settings import Settings

PARTITIONS = 2


def orders(first: int, count: int) -> list[bytes]:
    """Return the values of `count` different orders, spread over the day."""
    return [
        samples.encode(
            samples.order(
                event_id=f"e{number}",
                order_id=f"o{number}",
                ts=samples.START_MS + number * 997 % (24 * samples.HOUR_MS),
                merchant=f"m{number % 40}",
                amount_minor=number,
            )
        )
        for number in range(first, first + count)
    ]


async def send(settings: Settings, values: Iterable[bytes], topic: str = "orders") -> None:
    """Write `values` to the partitions of `topic` in turn; returns once they are acknowledged."""
    async with AIOKafkaProducer(**settings.client_options(), acks="all") as producer:
        await asyncio.gather(
            *[
                await producer.send(settings.prefix + topic, value, partition=number % PARTITIONS)
                for number, value in enumerate(values)
            ]
        )


async def source_ends(settings: Settings, declarations: Declarations) -> dict[TopicPartition, int]:
    """Return the end offsets of the sources."""
    reader = await LogReader.open(settings)
    try:
        return await reader.end_offsets(TopicPartition(t, p) for t in declarations.topics for p in range(PARTITIONS))
    finally:
        await reader.close()


async def count(settings: Settings, declarations: Declarations, generation: str = "g1") -> LoneCrew:
    """Count everything on the topics as the owner of `generation`, as a worker would; close it in the end."""
    counting = await open_lone_crew(
        settings, declarations, generation, counts_beside=False, on_counted=lambda _: None, clock=SystemClock()
    )
    try:
        await counting.take_over(range(PARTITIONS))
        await counting.count_to(await source_ends(settings, declarations))
    except BaseException:
        await counting.close()
        raise
    return counting


def pages(delta: FollowerDelta) -> dict[tuple[Any, ...], bytes]:
    """Return the pages by partition and key without its generation."""
    return {(partition, *orjson.loads(key)[1:]): value for (partition, key), value in delta.changed_pages.items()}


def positions(delta: FollowerDelta) -> dict[TopicPartition, int]:
    """Return how far each source partition is counted."""
    return {
        TopicPartition(topic, partition): offset
        for partition, cursor in delta.cursors.items()
        for topic, offset in decode_cursor(cursor).positions.items()
    }


async def rejected_offsets(settings: Settings, count: int = PARTITIONS) -> list[tuple[int, int]]:
    """Return partition and offset of the source of every committed rejected order in `count` partitions, sorted."""
    from aiokafka import AIOKafkaConsumer  # noqa: PLC0415 - the headers are not in a record batch

    options: dict[str, Any] = {"isolation_level": "read_committed"}
    async with AIOKafkaConsumer(**settings.client_options(), **options) as consumer:
        partitions = [TopicPartition(f"{settings.prefix}orders.rejected", p) for p in range(count)]
        consumer.assign(partitions)
        await consumer.seek_to_beginning(*partitions)
        async with AIOKafkaConsumer(**settings.client_options()) as everything:
            wanted = await everything.end_offsets(partitions)
        ends = await consumer.end_offsets(partitions)
        while ends != wanted:  # a commit is answered before its markers stand on every log
            await asyncio.sleep(0.05)
            ends = await consumer.end_offsets(partitions)
        found = []
        while any([await consumer.position(tp) < ends[tp] for tp in partitions]):
            for records in (await consumer.getmany(timeout_ms=200)).values():
                headers = [dict(record.headers) for record in records]
                found += [(int(h["source_partition"]), int(h["source_offset"])) for h in headers]
    return sorted(found)
