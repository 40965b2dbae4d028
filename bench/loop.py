"""The fastest loop one would write oneself: confluent-kafka, msgspec, one dict. No guarantee, no duplicates told apart.

A process of its own, as its CPU time is measured: prints one JSON document.
"""

from __future__ import annotations

import argparse
import json
import resource
import time
import uuid

import msgspec
from confluent_kafka import Consumer, TopicPartition

AT_ONCE = 10_000
MINUTE_MS = 60_000


class Order(msgspec.Struct, gc=False):
    """An order event, strictly typed, as the worker decodes it."""

    type: str
    event_id: str
    ts: int
    order_id: str
    platform: str
    merchant: str
    market: str
    currency: str
    amount_minor: int
    coupon_minor: int = 0
    credit_minor: int = 0
    category: str | None = None
    brand: str | None = None
    buyer: str | None = None


def cpu_seconds() -> float:
    """Return the CPU seconds of the whole process, librdkafka's threads included."""
    used = resource.getrusage(resource.RUSAGE_SELF)
    return used.ru_utime + used.ru_stime


def main() -> None:
    """Count orders and GMV per platform and minute."""
    parser = argparse.ArgumentParser()
    parser.add_argument("broker")
    parser.add_argument("topic")
    parser.add_argument("events", type=int)
    parser.add_argument("partitions", type=int, nargs="+")
    arguments = parser.parse_args()
    consumer = Consumer(
        {
            "bootstrap.servers": arguments.broker,
            "group.id": f"loop-{uuid.uuid4().hex}",
            "enable.auto.commit": False,
            "auto.offset.reset": "earliest",
            # At its default of 1,000 ms the fetcher pauses whenever its queue is full, and half the speed is lost.
            "fetch.queue.backoff.ms": 5,
            "queued.min.messages": 200_000,
            "queued.max.messages.kbytes": 262_144,
            "fetch.message.max.bytes": 4 * 1024 * 1024,
        }
    )
    # Before the first fetch: librdkafka unpacks megabytes before it hands out its first message.
    cpu, wall = cpu_seconds(), time.monotonic()
    consumer.assign([TopicPartition(arguments.topic, p, 0) for p in arguments.partitions])
    messages = consumer.consume(AT_ONCE, 30)
    decode = msgspec.json.Decoder(Order).decode
    cells: dict[tuple[str, int], list[int]] = {}
    seen = 0
    while messages:
        for message in messages:
            if message.error():
                raise RuntimeError(message.error())
            order = decode(message.value() or b"")
            key = (order.platform, order.ts // MINUTE_MS)
            cell = cells.get(key)
            if cell is None:
                cell = cells[key] = [0, 0]
            cell[0] += 1
            cell[1] += order.amount_minor
        seen += len(messages)
        messages = consumer.consume(min(AT_ONCE, arguments.events - seen), 5) if seen < arguments.events else []
    cpu, wall = cpu_seconds() - cpu, time.monotonic() - wall
    assert seen == arguments.events == sum(cell[0] for cell in cells.values()), seen
    peak = resource.getrusage(resource.RUSAGE_SELF).ru_maxrss / 1024
    consumer.close()
    print(json.dumps({"events": seen, "cpu_seconds": cpu, "wall_seconds": wall, "peak_rss_mb": peak}))  # noqa: T201


if __name__ == "__main__":
    main()
