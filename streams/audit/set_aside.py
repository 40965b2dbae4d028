"""Rejected records as an operator wants to see them: what, where from, why. Reads committed ones only.

Called by `festival rejected`. A reader that is not `read_committed` sees copies of aborted checkpoints too.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING, Any, Final

from aiokafka.structs import TopicPartition

from streams.errors import UsageError
from streams.kafka import clients
from streams.kafka.topics import rejected_topic

if TYPE_CHECKING:
    from collections.abc import AsyncIterator, Iterable

    from aiokafka import AIOKafkaConsumer

    from streams.settings import Settings

AT_ONCE: Final = 5_000
WAIT_MS: Final = 500
"""How long a follower waits for news before it looks again."""


@dataclass(frozen=True, slots=True)
class SetAside:
    """One rejected record."""

    record_time_ms: int
    """When it was set aside, by the broker's or the worker's clock as the topic is set."""
    topic: str
    """Source topic, without prefix."""
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
        starts, ends = await consumer.beginning_offsets(tps), await consumer.end_offsets(tps)
        consumer.assign(tps)
        for tp, start in starts.items():
            consumer.seek(tp, start)
        is_at_end = False
        while True:
            if not is_at_end and all([await consumer.position(tp) >= ends[tp] for tp in tps]):
                is_at_end = True
                yield None
                if not is_following:
                    return
            fetched = await consumer.getmany(timeout_ms=WAIT_MS, max_records=AT_ONCE)
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
        await consumer._client.add_topic(name)  # noqa: SLF001 - the public way to learn of a topic is to subscribe
        found = consumer.partitions_for_topic(name)
        if not found:
            raise UsageError(f"there is no topic {name}: create it with `festival topics`")
        partitions += [TopicPartition(name, part) for part in sorted(found)]
    return partitions


def _set_aside(source: str, record: Any) -> SetAside:  # noqa: ANN401 - a ConsumerRecord, untyped
    headers = {name: value.decode("utf-8", "replace") for name, value in record.headers}
    value = record.value
    return SetAside(
        record.timestamp,
        source,
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
