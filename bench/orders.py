"""Orders as the scaling benchmark wants them: of so many merchants, spread evenly over so many hours of a festival."""

from __future__ import annotations

import asyncio
import random
from dataclasses import dataclass
from typing import TYPE_CHECKING

from aiokafka import AIOKafkaProducer

from streams.festivals import load_festivals

if TYPE_CHECKING:
    from bench.topics import Bench

DAY = load_festivals()["singles-day-2019"]
HOUR_MS = 3_600_000
BATCH_RECORDS = 1_000
IN_FLIGHT = 64
MARKETS = ("CN", "HK", "SG", "US")
PLATFORMS = ("tmall", "taobao", "tmall_global")


@dataclass(frozen=True, slots=True)
class Orders:
    """What to preload."""

    count: int
    merchants: int = 1_000
    hours: int = 24


def values(orders: Orders) -> list[bytes]:
    """Return the records in the order of their event times; the same for the same arguments."""
    draw = random.Random(1)  # noqa: S311 - a load, no secret
    made = []
    for number in range(orders.count):
        merchant = draw.randrange(orders.merchants)
        made.append(
            b'{"type":"order_placed","event_id":"scale-%d","ts":%d,"order_id":"order-%d","platform":"%s",'
            b'"merchant":"merchant-%d","category":"category-%d","brand":"brand-%d","buyer":"buyer-%d","market":"%s",'
            b'"currency":"CNY","amount_minor":%d}'
            % (
                number,
                DAY.start_ms + number * orders.hours * HOUR_MS // orders.count,
                number,
                PLATFORMS[merchant % 3].encode(),
                merchant,
                merchant % 20,
                merchant % 200,
                draw.randrange(orders.count // 2 + 1),
                MARKETS[number % 4].encode(),
                draw.randrange(100, 50_000),
            )
        )
    return made


async def preload(bench: Bench, orders: Orders) -> None:
    """Write the orders, evenly to all partitions."""
    producer = AIOKafkaProducer(
        bootstrap_servers=bench.broker, enable_idempotence=True, compression_type="lz4", max_batch_size=512 * 1024
    )
    await producer.start()
    try:
        sent: list[asyncio.Future[object]] = []
        waiting = values(orders)
        for first in range(0, len(waiting), BATCH_RECORDS):
            builder = producer.create_batch()
            for value in waiting[first : first + BATCH_RECORDS]:
                taken = builder.append(timestamp=None, key=None, value=value)
                assert taken is not None
            partition = first // BATCH_RECORDS % bench.partitions
            sent.append(await producer.send_batch(builder, f"{bench.prefix}orders", partition=partition))
            if len(sent) >= IN_FLIGHT:
                await asyncio.gather(*sent)
                sent.clear()
        await asyncio.gather(*sent)
    finally:
        await producer.stop()
