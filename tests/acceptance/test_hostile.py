"""Whatever lies on the topics: no partition stops, no total is wrong, every bad record is kept, once."""

from __future__ import annotations

import asyncio
import time
from typing import TYPE_CHECKING

import pytest
from aiokafka import AIOKafkaProducer
from aiokafka.errors import MessageSizeTooLargeError
from confluent_kafka import Producer
from confluent_kafka.admin import AdminClient
from confluent_kafka.admin._config import AlterConfigOpType, ConfigEntry, ConfigResource
from confluent_kafka.admin._resource import ResourceType

from streams.audit.set_aside import read_set_aside
from tests.acceptance.cluster import DEADLINE_SECONDS, POLL_SECONDS
from tests.unit.audit.bench import START_MS, encode, order, payment
from tests.unit.audit.test_admission import HOSTILE

if TYPE_CHECKING:
    from streams.audit.set_aside import SetAside
    from tests.acceptance.cluster import Cluster

pytestmark = [pytest.mark.kafka, pytest.mark.timeout(300)]

CODECS = ("none", "gzip", "lz4", "zstd", "snappy")
PER_CODEC = 300
LARGEST_BYTES = 5 * 1024 * 1024
PLATFORMS = 10_000
KEPT_PLATFORMS = 200
"""Limit of cells per partition of a rollup behind a metric label."""


def send_by_confluent_kafka(cluster: Cluster) -> None:
    """Send orders by librdkafka with every codec, half of them without a key."""
    for codec in CODECS:
        producer = Producer(
            {"bootstrap.servers": cluster.settings.bootstrap_servers, "compression.type": codec, "linger.ms": 20}
        )
        for number in range(PER_CODEC):
            value = encode(order(f"{codec}-{number}", ts=START_MS + number, market=codec))
            key = f"o{number}".encode() if number % 2 else None
            producer.produce(f"{cluster.settings.prefix}orders", value, key)
        assert producer.flush(30) == 0


async def test_events_of_another_library_are_counted_with_every_codec(cluster: Cluster) -> None:
    """Keyed and unkeyed, uncompressed, gzip, lz4, zstd and snappy."""
    cluster.start_worker("only")
    await asyncio.to_thread(send_by_confluent_kafka, cluster)
    await cluster.until_caught_up()
    totals = cluster.totals(by="market")
    assert totals["orders"] == len(CODECS) * PER_CODEC
    assert {row["market"]: row["orders"] for row in totals["by"]} == dict.fromkeys(CODECS, PER_CODEC)
    assert await cluster.differences_from_audit() == []


def allow_large_records(cluster: Cluster) -> None:
    """Raise the topic's limit, as an operator with other events may have done."""
    admin = AdminClient({"bootstrap.servers": cluster.settings.bootstrap_servers})
    limit = ConfigEntry("max.message.bytes", str(2 * LARGEST_BYTES), incremental_operation=AlterConfigOpType.SET)
    topic = f"{cluster.settings.prefix}orders"
    resource = ConfigResource(ResourceType.TOPIC, topic, incremental_configs=[limit])
    for done in admin.incremental_alter_configs([resource]).values():
        done.result(30)


async def send_large(producer: AIOKafkaProducer, topic: str, partition: int, value: bytes) -> None:
    """Send a record as large as the topic now takes: the broker learns of the new limit a moment later."""
    deadline = time.monotonic() + DEADLINE_SECONDS
    while True:
        try:
            await producer.send_and_wait(topic, value, key=b"k", partition=partition)
        except MessageSizeTooLargeError:
            assert time.monotonic() < deadline, "the topic does not take large records"
            await asyncio.sleep(POLL_SECONDS)
        else:
            return


async def send_hostile_records(cluster: Cluster) -> tuple[int, int]:
    """Send bad records of every kind among good ones to every partition; return how many bad ones and good payments."""
    everywhere = [bytes([byte]) for byte in range(256)] + [b"[" * 100_000 + b"]" * 100_000, b'{"a":' * 20_000]
    at_the_edge = [value for _, value, _ in HOSTILE]
    # An order of 2019 is never ahead of the broker's clock.
    reasons = [verdict for _, _, verdict in HOSTILE if verdict not in (None, "future_event")]
    orders = [*at_the_edge, *everywhere, *(encode(order(f"good-{number}")) for number in range(40))]
    payments = [*everywhere, *(encode(payment(f"good-{number}")) for number in range(40))]
    producer = AIOKafkaProducer(
        bootstrap_servers=cluster.settings.broker, max_request_size=2 * LARGEST_BYTES, linger_ms=5
    )
    async with producer:
        for partition in range(4):
            await send_large(producer, f"{cluster.settings.prefix}orders", partition, b"x" * LARGEST_BYTES)
            for topic, values in (("orders", orders), ("payments", payments)):
                name = cluster.settings.prefix + topic
                sent = [await producer.send(name, value, key=b"k", partition=partition) for value in values]
                await asyncio.gather(*sent)
    return 4 * (1 + len(reasons) + 2 * len(everywhere)), 4 * 40


async def rejected_records(cluster: Cluster) -> list[SetAside]:
    """Return everything that was set aside."""
    found = []
    async for records in read_set_aside(cluster.settings, ("orders", "payments")):
        found += records or []
    return found


async def test_no_hostile_record_stops_a_partition_or_changes_a_total(cluster: Cluster) -> None:
    """Null, empty, 5 MB, nested 100,000 deep, every byte, and each rule at its edge; each bad one is kept once."""
    await asyncio.to_thread(allow_large_records, cluster)
    cluster.start_worker("only")
    bad, good = await send_hostile_records(cluster)
    await cluster.until_caught_up()
    totals = cluster.totals()
    assert totals["rejected"] == bad
    assert totals["payments"]["captured"] == good
    assert totals["orders"] > good
    kept = await rejected_records(cluster)
    assert len(kept) == bad
    (large, *_) = [record for record in kept if record.original_bytes == LARGEST_BYTES]
    assert (large.reason, large.value) == ("too_large", b"x" * 65_536)
    assert await cluster.differences_from_audit() == []


async def test_ten_thousand_platforms_fill_their_cells_and_no_more(cluster: Cluster) -> None:
    """A producer gone mad: the first platforms keep their rows, the rest is one row, the sums stay exact."""
    cluster.start_worker("only")
    async with AIOKafkaProducer(bootstrap_servers=cluster.settings.broker, linger_ms=20) as producer:
        for number in range(PLATFORMS):
            value = encode(order(f"e{number}", platform=f"p{number}", ts=START_MS + number))
            await producer.send(f"{cluster.settings.prefix}orders", value, partition=number % 4)
    await cluster.until_caught_up()
    totals = cluster.totals(by="platform")
    rows = {row["platform"]: row["orders"] for row in totals["by"]}
    assert totals["orders"] == sum(rows.values()) == PLATFORMS
    assert len(rows) == 4 * KEPT_PLATFORMS + 1
    assert rows["__other__"] == PLATFORMS - 4 * KEPT_PLATFORMS
    assert await cluster.differences_from_audit() == []
