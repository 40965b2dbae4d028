"""Bridges on a real broker: every foreign record is sent, ignored or set aside once, whatever happens to them."""

from __future__ import annotations

import asyncio
import hashlib
import json
import random
import signal
from collections import Counter
from pathlib import Path
from typing import Any

import pytest
from aiohttp import ClientSession
from aiokafka.structs import TopicPartition

from streams.bridge.audit.reckoning import audit_bridges
from streams.bridge.cluster import read_progress
from streams.bridge.map import load_map
from streams.cli.check_map import check_map
from streams.imports.partitioning import partitions_of
from streams.kafka.client.log_reader import LogReader
from tests.integration.bridge_processes import BridgeProcess, Shop, lag_records, standing
from tests.integration.worker_processes import (
    PARTITIONS,
    WorkerProcess,
    committed,
    counted_up,
    ended,
    prepare,
)

pytestmark = [pytest.mark.kafka, pytest.mark.timeout(280)]
TAKEOVERS = 8
"""Partitions of both topics."""


@pytest.fixture
async def shop(kafka: str, prefix: str, tmp_path: Path) -> Shop:
    """Return a shop with empty topics."""
    shop = Shop(await prepare(kafka, prefix, tmp_path))
    await shop.make_topics()
    return shop


async def caught_up(shop: Shop, bridge: str = "shop") -> None:
    """Wait until everything that was sent is translated."""
    while await lag_records(shop.settings, shop.topics, bridge):
        await asyncio.sleep(0.2)


async def compare(shop: Shop) -> None:
    """Compare what stands on our topics with what the shop knows of its records."""
    found: Counter[tuple[str, str]] = Counter()
    for topic in ("orders", "payments"):
        for key, value, _ in await standing(shop.settings, topic):
            event = json.loads(value or b"")
            assert key == event["order_id"].encode()
            found[topic, event["event_id"]] += 1
    assert found == shop.events
    aside = await standing(shop.settings, "festival.bridge.rejected")
    assert len(aside) == shop.poison
    assert len({(h["source_topic"], h["source_partition"], h["source_offset"]) for _, _, h in aside}) == shop.poison
    for _, _, headers in aside:
        assert headers["bridge"] == b"shop"
        assert headers["source.channel"] == b"app"
        assert headers["reason"] in {b"empty", b"not_json", b"not_utf8", b"not_an_object", b"missing_field"}
    (audit,) = await audit_bridges(shop.settings, None, None)
    assert audit.differences == []
    assert sum(source.read for source in audit.sources) == shop_records(audit.sources)


def shop_records(sources: list[Any]) -> int:
    return sum(source.end - source.start for source in sources)


async def test_bridges_that_are_killed_frozen_and_stopped_send_everything_once(shop: Shop) -> None:
    """And a worker counts each event once: tally, totals and audits agree."""
    map_file = str(shop.write_map(shop.settings.data_dir))
    chance = random.Random(7)  # noqa: S311 - a test's
    bridges = [BridgeProcess(shop.settings, f"b{n}", {"FESTIVAL_SESSION_TIMEOUT_MS": "6000"}) for n in range(2)]
    worker = WorkerProcess(shop.settings, "w").start()
    with ended(*bridges, worker):
        await shop.send(300)  # until then the broker may not know of all topics
        for bridge in bridges:
            bridge.start("--map", map_file)
        for turn in range(4):
            sending = asyncio.create_task(shop.send(300))
            victim = bridges[turn % 2]
            await victim.working()
            await asyncio.sleep(chance.uniform(0.2, 1.5))  # wherever in a transaction that is
            if turn == 3:
                victim.signal(signal.SIGSTOP)
                await sending
                await asyncio.sleep(8)  # its session ends, another one takes over
                victim.signal(signal.SIGCONT)
            else:
                victim.kill()
                await sending
                victim.start("--map", map_file)
        async with asyncio.timeout(120):
            await caught_up(shop)
        for bridge in bridges:  # while Python starts, no process knows a signal
            await bridge.working()
        assert [bridge.stop() for bridge in bridges] == [0, 0]
        await compare(shop)
        await check_totals(shop)


async def check_totals(shop: Shop) -> None:
    """Compare the worker's count with the shop's: of each event once, for resends stand on one partition."""
    await counted_up(shop.settings)
    outcomes: Counter[str] = Counter()
    for partition in range(PARTITIONS):
        cursor, _ = await committed(shop.settings, partition)
        assert cursor is not None
        for counts in cursor.outcomes.values():
            outcomes.update(counts)
    assert outcomes["rejected"] == 0
    assert outcomes["duplicate"] == sum(shop.events.values()) - len(shop.events)
    assert outcomes["counted"] + outcomes["outside"] == len(shop.events)


async def test_a_bridge_says_how_it_is_and_what_it_has_done(shop: Shop) -> None:
    """A map that changes is refused, and accepted; an event lies where Java's producer would put it."""
    folder = shop.settings.data_dir
    map_file = str(shop.write_map(folder))
    await shop.send(100)
    guarded = folder / "web.yml"
    guarded.write_text(
        f"bearer_tokens: {{prometheus: sha256:{hashlib.sha256(b'known').hexdigest()}}}\nhealth_without_auth: true"
    )
    options = ("--map", map_file, "--web-port", "0", "--web-config", str(guarded))
    bridge = BridgeProcess(shop.settings, "b").start(*options)
    try:
        async with asyncio.timeout(60):
            await caught_up(shop)
        url = next(line.split()[-1] for line in bridge.log().splitlines() if line.startswith("bridge shop: http"))
        async with ClientSession() as session:
            async with session.get(f"{url}readyz") as answer:
                assert answer.status == 200
            async with session.get(f"{url}livez") as answer:
                assert answer.status == 200
            async with session.get(f"{url}metrics") as answer:
                assert answer.status == 401
            async with session.get(f"{url}metrics", headers={"Authorization": "Bearer known"}) as answer:
                page = await answer.text()
        topic = next(iter(shop.topics))
        assert f'streams_bridge_rejected_total{{reason="not_json",topic="{topic}"}}' in page or not shop.poison
        assert 'streams_bridge_events_total{topic="' in page
        assert bridge.stop() == 0
        await compare(shop)
        reader = await LogReader.open(shop.settings)
        try:
            ends = await reader.end_offsets([TopicPartition("orders", p) for p in range(PARTITIONS)])
            await reader.assign_from_beginning(ends)
            async for batch in reader.read_to(ends):
                keys = [key or b"" for key in batch.keys]
                assert partitions_of(keys, PARTITIONS).tolist() == [batch.partition] * len(keys)
        finally:
            await reader.close()
        found, is_away = await check_map(shop.settings, load_map(Path(map_file)))
        assert [finding.detail for finding in found if finding.verdict == "wrong"] == []
        assert not is_away
        await changed_map(shop)
    finally:
        bridge.end()


async def changed_map(shop: Shop) -> None:
    """Refuse a map that translates otherwise, with each difference; go on with it where that is accepted."""
    map_file = str(
        shop.write_map(shop.settings.data_dir / "changed", "shop", **{'default = "web"': 'default = "site"'})
    )
    refused = BridgeProcess(shop.settings, "c").start("--map", map_file)
    assert await asyncio.to_thread(refused.process.wait, 60) == 2
    told = refused.log()
    assert 'fields.platform.default: "web" is now "site"' in told
    assert "--accept-map" in told
    await shop.send(50)
    bridge = BridgeProcess(shop.settings, "c").start("--map", map_file, "--accept-map")
    try:
        async with asyncio.timeout(60):
            await caught_up(shop)
        assert bridge.stop() == 0
    finally:
        bridge.end()
    await compare(shop)
    progress = await read_progress(shop.settings, "shop")
    assert len(progress.maps) == 2
    orders, payments = shop.topics
    stretches = {(topic, len(cursor.stretches)) for (_, topic, _), cursor in progress.cursors.items()}
    assert stretches == {(orders, 2), (payments, 1)}
