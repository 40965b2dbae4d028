"""A shop as shops are: Confluent's serializers, a schema registry of others, topics with their producers' times.

`bin/test tests/acceptance/test_schema_registry.py -m long` fetches the registry once, 159 MB; two minutes besides.
"""

from __future__ import annotations

import asyncio
import contextlib
import json
import signal
import subprocess
import sys
from collections import Counter
from typing import TYPE_CHECKING, Any

import pytest
from aiohttp import ClientError, ClientSession
from aiokafka.admin import AIOKafkaAdminClient, NewTopic

from streams.broker.embedded import any_free_port
from streams.truth.tally import compare
from tests.acceptance.apicurio import Apicurio
from tests.acceptance.registry_shop import FESTIVAL, RegistryShop
from tests.integration.bridge_processes import BridgeProcess, lag_records, standing
from tests.integration.worker_processes import WorkerProcess, counted_up, ended, eventually_async, prepare

if TYPE_CHECKING:
    import random
    from collections.abc import Collection
    from pathlib import Path

    from streams.settings import Settings

pytestmark = [pytest.mark.kafka, pytest.mark.long, pytest.mark.timeout(300)]
ORDERS = 400
"""How many each topic gets in a part of the load."""
AWAY_SECONDS = 60
"""How long the registry is dead while records need what only it knows."""
SESSION = {"FESTIVAL_SESSION_TIMEOUT_MS": "6000"}


class Stage:
    """A shop, two bridges of its map and a worker behind them."""

    def __init__(self, settings: Settings, shop: RegistryShop) -> None:
        """Start nothing yet."""
        self.settings, self.shop = settings, shop
        self._map_file = str(shop.write_map(settings.data_dir))
        self.bridges = [BridgeProcess(settings, f"b{number}", SESSION) for number in range(2)]
        self.ports = [any_free_port() for _ in self.bridges]
        self.worker = WorkerProcess(settings, "w")

    def start(self, number: int) -> None:
        """Start a bridge."""
        self.bridges[number].start("--map", self._map_file, "--web-port", str(self.ports[number]))

    async def send(self, version: int) -> None:
        """Send a part of the load."""
        await asyncio.to_thread(self.shop.send, ORDERS, version)

    async def killed(self, number: int, version: int) -> None:
        """Kill a bridge amid a part of the load, and start it again."""
        sending = asyncio.create_task(self.send(version))
        await self.bridges[number].working()
        self.bridges[number].kill()
        await sending
        self.start(number)

    async def caught_up(self, topics: Collection[str]) -> None:
        """Wait until everything on these topics is translated."""
        async with asyncio.timeout(120):
            while await lag_records(self.settings, topics, "shop"):
                await asyncio.sleep(0.5)

    async def is_waiting(self) -> bool:
        """Return whether a bridge says that it waits for the registry; it is not ready then."""
        found = False
        for port in self.ports:
            with contextlib.suppress(ClientError, TimeoutError):
                page, status = await asked(port)
                waits = 'reason="registry_away"' in page
                assert not (waits and status == 200)
                found = found or waits
        return found

    async def waits_for_the_registry(self) -> None:
        """Wait until a bridge does."""
        await eventually_async("a bridge waits for the registry", self.is_waiting, 60)


async def asked(port: int) -> tuple[str, int]:
    """Return the metrics page of a bridge that waits, and the status of its readiness, asked behind it."""
    async with asyncio.timeout(5), ClientSession() as session:
        async with session.get(f"http://127.0.0.1:{port}/metrics") as answer:
            page = await answer.text()
        async with session.get(f"http://127.0.0.1:{port}/readyz") as answer:
            return page, answer.status


@pytest.fixture
async def stage(kafka: str, prefix: str, tmp_path: Path, chaos: random.Random) -> Any:  # noqa: ANN401 - as a context
    """Return the stage, its topics made, and the registry of its shop."""
    settings = await prepare(kafka, prefix, tmp_path)
    with Apicurio(tmp_path / "registry") as registry:
        shop = RegistryShop(settings, registry.url, chaos)
        admin = AIOKafkaAdminClient(**settings.client_options())
        await admin.start()
        try:
            # The times are those of 2019: by Kafka's own retention the records would be gone at once.
            config = {"message.timestamp.type": "CreateTime", "retention.ms": "-1"}
            await admin.create_topics([NewTopic(n, count, 1, topic_configs=config) for n, count in shop.topics.items()])
        finally:
            await admin.close()
        yield Stage(settings, shop), registry
        shop.close()


async def test_a_shop_with_a_real_registry_is_counted_exactly(stage: tuple[Stage, Apicurio]) -> None:
    """Schemas change, the registry dies before a new id is needed, bridges are killed, frozen and stopped."""
    stage_, registry = stage
    shop, (first, second) = stage_.shop, stage_.bridges
    with ended(first, second, stage_.worker):
        stage_.worker.start()
        shop.register(1)
        await stage_.send(1)
        stage_.start(0)
        stage_.start(1)
        shop.register(2)
        await stage_.killed(0, 2)
        await stage_.caught_up(shop.topics)
        shop.register(3)
        await without_registry(stage_, registry)
        await stage_.killed(1, 3)
        await first.working()
        assert first.stop() == 0
        await stage_.send(2)
        await stage_.caught_up(shop.topics)
        await second.working()
        assert second.stop() == 0
        await compare_all(stage_)
        assert await asyncio.to_thread(stage_.worker.stop) == 0


async def without_registry(stage: Stage, registry: Apicurio) -> None:
    """Kill the registry before anybody has asked for the newest schemas; what needs none goes on."""
    shop, (first, second) = stage.shop, stage.bridges
    registry.kill()
    began = asyncio.get_running_loop().time()
    await stage.send(3)
    await stage.waits_for_the_registry()
    # Its successor knows no schema at all, until the registry is back.
    second.kill()
    stage.start(1)
    await stage.send(1)
    await second.working()
    await stage.caught_up([shop.protobuf, shop.json])
    first.signal(signal.SIGSTOP)
    await asyncio.sleep(8)  # its session ends, the other one takes over
    first.signal(signal.SIGCONT)
    await asyncio.sleep(max(0.0, AWAY_SECONDS - (asyncio.get_running_loop().time() - began)))
    await stage.waits_for_the_registry()
    assert await lag_records(stage.settings, [shop.avro], "shop") > 0
    registry.start()
    await stage.caught_up(shop.topics)


async def compare_all(stage: Stage) -> None:
    """Compare the producers' tally with the events on our topics, a worker's totals, and both audits."""
    settings, shop = stage.settings, stage.shop
    found: Counter[tuple[str, str]] = Counter()
    for topic in ("orders", "payments"):
        for _, value, _ in await standing(settings, topic):
            found[topic, json.loads(value or b"")["event_id"]] += 1
    assert found == shop.events
    aside = [headers for _, _, headers in await standing(settings, "festival.bridge.rejected")]
    assert Counter((headers["source_topic"] or b"").decode() for headers in aside) == shop.set_aside
    await counted_up(settings, 120)
    totals = festival(settings, "totals", "--festival", FESTIVAL, "--by", "market", "--json")
    assert compare(shop.tally(), totals) == []
    assert festival(settings, "audit", "--no-record", "--json")["exact"] is True
    bridge = festival(settings, "audit", "--bridge", "--json")
    assert bridge["exact"] is True
    read = {(source["topic"], source["partition"]): source["read"] for source in bridge["bridges"][0]["sources"]}
    assert len(read) == sum(shop.topics.values())


def festival(settings: Settings, *arguments: str) -> dict[str, Any]:
    """Return the document of a command, which must end with 0."""
    place = ["--broker", settings.bootstrap_servers, "--prefix", settings.prefix]
    command = [sys.executable, "-m", "streams.cli", *arguments, *place]
    done = subprocess.run(command, capture_output=True, text=True, check=False, timeout=120)
    assert done.returncode == 0, f"{done.stdout[-3_000:]}\n{done.stderr[-3_000:]}"
    document: dict[str, Any] = json.loads(done.stdout)
    return document
