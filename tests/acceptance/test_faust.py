"""The worker as Faust's users start it, alone and with a shop's own agents beside it: the count is exact."""

from __future__ import annotations

import asyncio
import re
import signal
from pathlib import Path
from typing import TYPE_CHECKING
from urllib.error import HTTPError
from urllib.request import urlopen

import pytest
from aiokafka import AIOKafkaProducer
from aiokafka.admin import AIOKafkaAdminClient, NewTopic

from streams.broker.embedded import any_free_port

if TYPE_CHECKING:
    from tests.acceptance.cluster import Cluster

pytestmark = [pytest.mark.kafka, pytest.mark.timeout(300)]

PAGE = Path(__file__).parents[2] / "docs" / "faust.md"
HOSTILE = ("--duplicates", "10%", "--poison", "5%", "--late", "3%", "--cancel", "2%")
CLUMSY = '''
import itertools, time
from streams.faust import app

turns = itertools.count()

@app.agent(app.topic("mine"))
async def raising(stream):
    """Raises on each record."""
    async for record in stream:
        raise ValueError(f"the shop's agent raised on {record}")

@app.agent(app.topic("mine"))
async def blocking(stream):
    """Blocks the event loop for three seconds on every tenth record."""
    async for record in stream:
        if next(turns) % 10 == 0:
            print("the shop's agent blocks", flush=True)
            time.sleep(3)
'''


async def assert_exact(cluster: Cluster, replay: str) -> None:
    """Wait for the end of a replay and of the counting; nothing may differ."""
    assert await cluster.ended(replay) == 0, cluster.log(replay)
    await cluster.until_caught_up()
    assert cluster.differences_from_tally(replay) == []
    assert await cluster.differences_from_audit() == []


async def make(cluster: Cluster, topic: str) -> None:
    """Make a topic of a shop's."""
    admin = AIOKafkaAdminClient(**cluster.settings.client_options())
    await admin.start()
    try:
        await admin.create_topics([NewTopic(topic, num_partitions=1, replication_factor=1)])
    finally:
        await admin.close()


async def send(cluster: Cluster, topic: str, values: list[bytes], pause: float = 0.0) -> None:
    """Send records to a topic of a shop's, one after the other."""
    producer = AIOKafkaProducer(**cluster.settings.client_options())
    await producer.start()
    try:
        for value in values:
            await producer.send_and_wait(topic, value)
            await asyncio.sleep(pause)
    finally:
        await producer.stop()


def readiness(port: int) -> int:
    """Return the status of `/readyz`."""
    try:
        with urlopen(f"http://127.0.0.1:{port}/readyz", timeout=5) as answer:
            status: int = answer.status
    except HTTPError as error:
        status = error.code
    return status


async def test_a_worker_that_faust_starts_counts_exactly(cluster: Cluster) -> None:
    """Killed once in the middle; it ends with 0 on SIGTERM, and --json tells what was committed."""
    cluster.start_replay("load", "--orders", "6000", "--seconds", "4", *HOSTILE)
    cluster.start_faust("only", "streams.faust", "--web-port", str(any_free_port()))
    await cluster.until_counted(3_000)
    cluster.kill("only")
    cluster.start_faust("only", "streams.faust", FESTIVAL_WEB_PORT="0")
    await assert_exact(cluster, "load")
    cluster.send("only", signal.SIGTERM)
    assert await cluster.ended("only") == 0
    assert "worker stops reason=signal" in cluster.log("only")


async def test_the_shop_of_the_page_runs_beside_the_count(cluster: Cluster) -> None:
    """Its module is the one that docs/faust.md shows."""
    (module,) = re.findall(r"```python\n(.*?)```", PAGE.read_text("utf-8"), re.DOTALL)
    topic = f"{cluster.settings.prefix}shop.clicks"
    (cluster.directory / "shop.py").write_text(module.replace("shop.clicks", topic), encoding="utf-8")
    await make(cluster, topic)
    await send(cluster, topic, [b'{"page": "/sofa"}'])
    cluster.start_replay("load", "--orders", "1000", "--speed", "max")
    cluster.start_faust("only", "shop", FESTIVAL_WEB_PORT="0")
    await cluster.until(lambda: "looked at /sofa" in cluster.log("only"), "the shop's agent has its record")
    await assert_exact(cluster, "load")
    cluster.send("only", signal.SIGTERM)
    assert await cluster.ended("only") == 0


async def test_whatever_a_shops_agents_do_the_count_is_exact(cluster: Cluster) -> None:
    """One raises on each record, one blocks for half a session now and then; the worker stays ready all the time."""
    port, mine = any_free_port(), f"{cluster.settings.prefix}mine"
    await make(cluster, mine)
    module = CLUMSY.replace("mine", mine)
    (cluster.directory / "clumsy.py").write_text(module, encoding="utf-8")
    cluster.start_replay("load", "--orders", "10000", "--seconds", "8", *HOSTILE)
    cluster.start_faust("only", "clumsy", FESTIVAL_WEB_PORT=str(port), FESTIVAL_SESSION_TIMEOUT_MS="6000")
    await cluster.until_counted(1_000)
    sending = asyncio.create_task(send(cluster, mine, [b'"a record"'] * 20, 0.2))
    seen = set()
    while not sending.done():
        seen.add(await asyncio.to_thread(readiness, port))
        await asyncio.sleep(0.5)
    await sending
    await assert_exact(cluster, "load")
    assert seen == {200}
    assert "the shop's agent raised on a record" in cluster.log("only")
    assert cluster.log("only").count("the shop's agent blocks") > 1
    assert cluster.log("only").count("partitions assigned") == 1, "no rebalance: it was never missed"
    cluster.send("only", signal.SIGTERM)
    assert await cluster.ended("only") == 0
