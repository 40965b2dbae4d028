"""Rejected records as an operator wants to see them: what, where from, why. Reads committed ones only.

Called by `festival rejected`. A reader that is not `read_committed` sees copies of aborted checkpoints too.
"""

from __future__ import annotations

import asyncio
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any, Final

from aiokafka.structs import TopicPartition

from streams.engine.topic_names import BRIDGE, rejected_topic
from streams.errors import UnreachableError, UsageError
from streams.kafka.client import clients
from streams.kafka.client.raw_consumer import partition_count

if TYPE_CHECKING:
    from collections.abc import AsyncIterator, Iterable

    from aiokafka import AIOKafkaConsumer

    from streams.settings import Settings

AT_ONCE: Final = 5_000
STALL_SECONDS: Final = 15.0
"""Longest wait for anything more before the end."""
WAIT_MS: Final = 500
"""How long a follower waits for news before it looks again."""
OPEN_SECONDS: Final = 12.0
"""Longest wait for transactions that are open: the broker ends those of a dead worker after ten seconds."""
LOOK_SECONDS: Final = 0.05


@dataclass(frozen=True, slots=True)
class SetAside:
    """One rejected record."""

    record_time_ms: int
    """When it was set aside, by the broker's or the worker's clock as the topic is set."""
    topic: str
    """Source topic, without prefix; of a bridge the foreign one."""
    partition: int
    offset: int
    reason: str
    detail: str
    key: bytes | None
    value: bytes | None
    """At most the first 64 KiB where the source record was above 900 KB."""
    original_bytes: int
    """Size of the source record's value."""


async def read_set_aside(
    settings: Settings, topics: Iterable[str], *, is_following: bool = False
) -> AsyncIterator[list[SetAside] | None]:
    """Yield rejected records of `topics` as they come, all there are; then None, once; and if following, what follows.

    In log order within one partition of a rejected topic. Raises `UsageError` where a topic is missing.
    """
    consumer = await clients.start_consumer(settings, is_patient=False)
    try:
        tps = await rejected_partitions(consumer, settings, topics)
        starts, (ends, _) = await consumer.beginning_offsets(tps), await settled_ends(consumer, settings, tps)
        consumer.assign(tps)
        for tp, start in starts.items():
            consumer.seek(tp, start)
        is_at_end = False
        clock = asyncio.get_running_loop().time
        moved_at = clock()
        while True:
            if not is_at_end and all([await consumer.position(tp) >= ends[tp] for tp in tps]):
                is_at_end = True
                yield None
                if not is_following:
                    return
            fetched = await consumer.getmany(timeout_ms=WAIT_MS, max_records=AT_ONCE)
            if fetched or is_at_end:
                moved_at = clock()
            elif clock() - moved_at > STALL_SECONDS:
                raise UnreachableError(f"nothing came for {STALL_SECONDS:.0f} s: look at the broker's log")
            for tp, records in fetched.items():
                source = tp.topic.removeprefix(settings.prefix).removesuffix(".rejected")
                yield [_set_aside(source, record) for record in records]
    finally:
        await clients.stop(consumer)


async def rejected_partitions(
    consumer: AIOKafkaConsumer, settings: Settings, topics: Iterable[str]
) -> list[TopicPartition]:
    """Return all partitions of the rejected topics of `topics`; raises `UsageError` where one is missing."""
    partitions = []
    for topic in topics:
        name = settings.prefix + rejected_topic(topic)
        count = await partition_count(consumer, name)
        if not count:
            raise UsageError(f"there is no topic {name}: create it with `festival topics`")
        partitions += [TopicPartition(name, number) for number in range(count)]
    return partitions


async def settled_ends(
    consumer: AIOKafkaConsumer, settings: Settings, partitions: list[TopicPartition]
) -> tuple[dict[TopicPartition, int], list[str]]:
    """Return the end offset of each partition, once every transaction that is open there now has ended.

    A commit is told before its markers stand on all logs: who asks at once for what is committed misses it. Returns
    what is visible after `OPEN_SECONDS`, with the places where a transaction is still open.
    """
    everything = await clients.start_consumer(settings, is_committed_only=False, is_patient=False)
    try:
        written = await everything.end_offsets(partitions)
    finally:
        await clients.stop(everything)
    clock = asyncio.get_running_loop().time
    limit = clock() + OPEN_SECONDS
    while True:
        ends = await consumer.end_offsets(partitions)
        open_places = [f"{tp.topic}[{tp.partition}]@{ends[tp]}" for tp in partitions if ends[tp] < written[tp]]
        if not open_places or clock() >= limit:
            return ends, open_places
        await asyncio.sleep(LOOK_SECONDS)


def _set_aside(source: str, record: Any) -> SetAside:  # noqa: ANN401 - a ConsumerRecord, untyped
    headers = {name: (value or b"").decode("utf-8", "replace") for name, value in record.headers}
    value = record.value
    return SetAside(
        record.timestamp,
        headers.get("source_topic", source) if source == BRIDGE else source,
        _number(headers, "source_partition", -1),
        _number(headers, "source_offset", -1),
        headers.get("reason", ""),
        headers.get("detail", ""),
        record.key,
        value,
        _number(headers, "original_bytes", len(value or b"")),
    )


def _number(headers: dict[str, str], name: str, default: int) -> int:
    text = headers.get(name, "")
    return int(text) if text.isdecimal() else default
