"""Where a bridge begins with a partition, and goes on where records were lost: its store on a real broker."""

from __future__ import annotations

import dataclasses
from pathlib import Path
from typing import TYPE_CHECKING

import pytest
from aiokafka import AIOKafkaProducer, TopicPartition
from aiokafka.admin import AIOKafkaAdminClient, NewPartitions, NewTopic, RecordsToDelete

from streams.bridge.cluster import KafkaCluster, read_progress
from streams.bridge.map import parse_map
from streams.bridge.processor import GENERATION
from streams.bridge.progress import BridgeCursor
from streams.bridge.store import BridgeStore, translating
from streams.engine.clock import BrokerClock, SystemClock
from tests.integration.bridge_processes import BridgeProcess, lag_records
from tests.integration.worker_processes import ended, eventually, eventually_async

if TYPE_CHECKING:
    from streams.settings import Settings

pytestmark = [pytest.mark.kafka, pytest.mark.timeout(120)]
MAP = """
name = "{name}"
[[source]]
topic = "{topic}"
to = "orders"
encoding = "json"
start = "{start}"
type = {{ constant = "order_placed" }}
[source.fields]
event_id = "id"
order_id = "id"
ts = {{ record = "timestamp" }}
platform = {{ constant = "web" }}
merchant = {{ constant = "shop" }}
market = {{ constant = "DE" }}
currency = {{ constant = "EUR" }}
amount_minor = "cents"
"""
FIRST_MS = 1_762_000_000_000
"""The record time of the first record, 2025-11-01T12:26:40Z; one a minute follows."""


async def restored(settings: Settings, topic: str, start: str, partition: int, *, loses: bool = False) -> BridgeCursor:
    """Return the cursor of a partition that a bridge of this start has just taken over."""
    bridge_map = parse_map(MAP.format(name=start[:10], topic=topic, start=start), Path("m.toml"))
    cluster = KafkaCluster(settings, BrokerClock(SystemClock()))
    shared = translating(cluster, settings.prefix, bridge_map, accepts_loss=loses)
    store = await BridgeStore(shared, bridge_map.sources[0]).fence(partition, GENERATION)
    try:
        found = (await store.restore()).cursor
        assert isinstance(found, BridgeCursor)
        return found
    finally:
        await store.close()


async def send(settings: Settings, topic: str, partition: int, count: int) -> None:
    """Send records, one a minute of their producer's time."""
    producer = AIOKafkaProducer(**settings.client_options())
    await producer.start()
    try:
        for n in range(count):
            await producer.send_and_wait(topic, b"{}", partition=partition, timestamp_ms=FIRST_MS + n * 60_000)
    finally:
        await producer.stop()


async def test_a_partition_begins_where_the_map_says_and_one_added_later_at_its_beginning(settings: Settings) -> None:
    topic = f"{settings.prefix}starts"
    admin = AIOKafkaAdminClient(**settings.client_options())
    await admin.start()
    try:
        await admin.create_topics([NewTopic(topic, 1, 1, topic_configs={"message.timestamp.type": "CreateTime"})])
        await send(settings, topic, 0, 5)
        at = "2025-11-01T12:28:30Z"
        for start, position in (("earliest", 0), ("latest", 5), (at, 2), ("2025-12-01T00:00:00Z", 5)):
            cursor = await restored(settings, topic, start, 0)
            assert cursor.positions == cursor.started == {topic: position}, start
        await send(settings, topic, 0, 2)
        # What is begun stays begun there, whoever takes it over.
        assert (await restored(settings, topic, "latest", 0)).positions == {topic: 5}
        await admin.create_partitions({topic: NewPartitions(2)})
        await send(settings, topic, 1, 3)
        for start in ("latest", at):
            cursor = await restored(settings, topic, start, 1)
            assert cursor.positions == cursor.started == {topic: 0}, start
        await admin.delete_records({TopicPartition(topic, 0): RecordsToDelete(before_offset=6)})
        kept = await restored(settings, topic, "earliest", 0)
        assert (kept.positions, kept.gaps) == ({topic: 0}, []), "nothing is passed over unasked"
        cursor = await restored(settings, topic, "earliest", 0, loses=True)
        assert cursor.positions == {topic: 6}
        assert [(gap.start, gap.end) for gap in cursor.gaps] == [(0, 6)]
        assert (await restored(settings, topic, "earliest", 0)).gaps == cursor.gaps, "the gap is written down"
    finally:
        await admin.close()


async def test_a_bridge_stands_at_a_loss_and_goes_on_with_leave_of_the_command_line(
    settings: Settings, tmp_path: Path
) -> None:
    """Without leave: exit 3, as all its partitions are held. With `--accept-loss` the gap is written down."""
    topic, settings = f"{settings.prefix}lost", dataclasses.replace(settings, data_dir=tmp_path)
    file = tmp_path / "lost.toml"
    file.write_text(MAP.format(name="lost", topic=topic, start="earliest"), "utf-8")

    async def is_translated() -> bool:
        return await lag_records(settings, [topic], "lost") == 0

    bridge = BridgeProcess(settings, "one")
    admin = AIOKafkaAdminClient(**settings.client_options())
    await admin.start()
    try:
        with ended(bridge):
            config = {"message.timestamp.type": "CreateTime", "retention.ms": "-1"}  # its records are a year old
            await admin.create_topics([NewTopic(topic, 1, 1, topic_configs=config)])
            await send(settings, topic, 0, 3)
            bridge.start("--map", str(file))
            await eventually_async("all is translated", is_translated)
            assert bridge.stop() == 0
            await send(settings, topic, 0, 3)
            await admin.delete_records({TopicPartition(topic, 0): RecordsToDelete(before_offset=5)})
            bridge.start("--map", str(file))
            await eventually("it ends", bridge.has_ended)
            assert bridge.process.returncode == 3
            assert "--accept-loss" in bridge.log()
            bridge.start("--map", str(file), "--accept-loss")
            await eventually_async("what is left is translated", is_translated)
            assert bridge.stop() == 0
        (cursor,) = (await read_progress(settings, "lost")).cursors.values()
        assert [(gap.start, gap.end) for gap in cursor.gaps] == [(3, 5)]
    finally:
        await admin.close()
