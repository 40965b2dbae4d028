"""A partition whose records cannot be read yet waits, and goes on by itself; the others go on meanwhile."""

from __future__ import annotations

import hmac
import io
import json
from typing import TYPE_CHECKING, Any

import fastavro
import pytest
from aiohttp import ClientSession, web
from aiokafka import AIOKafkaProducer

from streams.bridge.audit.reckoning import audit_bridges
from streams.bridge.cluster import read_progress
from streams.broker.embedded import any_free_port
from streams.mapping.hashing import load_hash
from tests.integration.bridge_processes import BridgeProcess, Shop, standing
from tests.integration.worker_processes import ended, eventually, eventually_async, prepare

if TYPE_CHECKING:
    from collections.abc import AsyncIterator, Coroutine
    from pathlib import Path

    from streams.settings import Settings

pytestmark = [pytest.mark.kafka, pytest.mark.timeout(280)]
FIELDS: list[dict[str, Any]] = [
    {"name": "id", "type": "string"},
    {"name": "at", "type": {"type": "long", "logicalType": "timestamp-millis"}},
    {"name": "total", "type": {"type": "bytes", "logicalType": "decimal", "precision": 9, "scale": 2}},
]
SCHEMAS: dict[int, dict[str, Any]] = {
    3: {"type": "record", "name": "Order", "fields": FIELDS},
    4: {"type": "record", "name": "Order", "fields": [{"name": "note", "type": ["null", "string"]}, *FIELDS]},
}
"""The second is the first one evolved."""
MAP = """
name = "avro"
[registry]
url = ["http://127.0.0.1:1", "http://127.0.0.1:{port}"]
[[source]]
topic = "{prefix}avro.orders"
to = "orders"
encoding = "avro"
type = {{ constant = "order_placed" }}
[source.fields]
event_id = "id"
order_id = "id"
ts = "at"
platform = {{ constant = "web" }}
merchant = {{ constant = "shop" }}
market = {{ constant = "DE" }}
currency = {{ constant = "EUR" }}
amount = "total"
buyer = {{ path = "note", hash = true }}

[[source]]
topic = "{prefix}shop.orders"
to = "orders"
encoding = "json"
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


class Registry:
    """A registry with the Confluent API that can be switched off, and knows what it was told."""

    def __init__(self) -> None:
        self.port = any_free_port()
        self.known: set[int] = set()
        self._runner: web.AppRunner | None = None

    async def _answer(self, request: web.Request) -> web.Response:
        number = int(request.match_info["id"])
        if number not in self.known:
            return web.json_response({"error_code": 40403}, status=404)
        return web.json_response({"schema": json.dumps(SCHEMAS[number])})

    async def start(self) -> None:
        app = web.Application()
        app.router.add_get("/schemas/ids/{id}", self._answer)
        self._runner = web.AppRunner(app, access_log=None)
        await self._runner.setup()
        await web.TCPSite(self._runner, "127.0.0.1", self.port).start()

    async def stop(self) -> None:
        if self._runner is not None:
            await self._runner.cleanup()


@pytest.fixture
async def registry() -> AsyncIterator[Registry]:
    registry = Registry()
    yield registry
    await registry.stop()


def avro(schema: int, name: str, **more: object) -> bytes:
    """Return an order of 12.99 in a frame."""
    stream = io.BytesIO()
    plain = json.loads(json.dumps(SCHEMAS[schema]).replace("logicalType", "ignored"))
    value = {"id": name, "at": 1_794_326_400_250, "total": (1299).to_bytes(2, "big"), **more}
    fastavro.schemaless_writer(stream, fastavro.parse_schema(plain), value)
    return b"\x00" + schema.to_bytes(4, "big") + stream.getvalue()


async def send(settings: Settings, topic: str, *values: bytes) -> None:
    producer = AIOKafkaProducer(**settings.client_options())
    await producer.start()
    try:
        for value in values:
            await producer.send_and_wait(settings.prefix + topic, value, partition=0)
    finally:
        await producer.stop()


async def sent(settings: Settings) -> set[str]:
    """Return the ids of the events that stand on the orders, each of which must be there once."""
    found = [json.loads(value or b"")["event_id"] for _, value, _ in await standing(settings, "orders")]
    assert len(found) == len(set(found))
    return set(found)


async def is_waiting(port: int, topic: str, reason: str) -> bool:
    """Return whether partition 0 waits for this reason; the bridge is not ready then."""
    async with ClientSession() as session, session.get(f"http://127.0.0.1:{port}/metrics") as answer:
        page = await answer.text()
    async with ClientSession() as session, session.get(f"http://127.0.0.1:{port}/readyz") as answer:
        is_ready = answer.status == 200
    label = f'{{partition="0",reason="{reason}",topic="{topic}"}}'
    found = f"streams_bridge_partition_waiting{label} 1.0" in page
    assert not (found and is_ready)
    return found


async def test_a_partition_waits_for_registry_and_schema_and_goes_on(
    kafka: str, prefix: str, tmp_path: Path, registry: Registry
) -> None:
    settings = await prepare(kafka, prefix, tmp_path)
    await Shop(settings).make_topics({f"{prefix}avro.orders": 2, f"{prefix}shop.orders": 1})
    map_file = tmp_path / "avro.toml"
    map_file.write_text(MAP.format(port=registry.port, prefix=prefix), "utf-8")
    key = tmp_path / "key"
    key.write_bytes(b"secret\n")
    port = any_free_port()
    bridge = BridgeProcess(settings, "b", {"FESTIVAL_HASH_KEY_FILE": str(key)})

    def waits(reason: str) -> Coroutine[Any, Any, bool]:
        return is_waiting(port, f"{prefix}avro.orders", reason)

    async def has_sent(*names: str) -> bool:
        return await sent(settings) == set(names)

    await send(settings, "avro.orders", avro(3, "a1"))
    with ended(bridge):
        bridge.start("--map", str(map_file), "--web-port", str(port))
        await eventually("it has begun", lambda: bridge.takeovers >= 3, 60)
        await eventually_async("it waits for the registry", lambda: waits("registry_away"), 60)
        await send(settings, "shop.orders", b'{"id": "s1", "cents": 5}')
        await eventually_async("the other source goes on", lambda: has_sent("s1"), 60)
        await registry.start()
        await eventually_async("it waits for the schema", lambda: waits("unknown_schema"), 60)
        registry.known.add(3)
        await eventually_async("it goes on", lambda: has_sent("s1", "a1"), 60)
        await registry.stop()
        await send(settings, "avro.orders", avro(3, "a2"), b"\x00\x00\x00\x00\x03poison", avro(4, "a3", note="ann"))
        await eventually_async("what is known needs no registry", lambda: has_sent("s1", "a1", "a2"), 60)
        await eventually_async("it waits for the new schema", lambda: waits("registry_away"), 60)
        registry.known.add(4)
        await registry.start()
        await eventually_async("it goes on", lambda: has_sent("s1", "a1", "a2", "a3"), 60)
        assert bridge.stop() == 0
    await compare(settings, key)


async def compare(settings: Settings, key: Path) -> None:
    """Compare what stands on our topics, and what is told of it, with what was sent."""
    (aside,) = await standing(settings, "festival.bridge.rejected")
    assert aside[2]["reason"] == b"unreadable"
    buyers = {json.loads(value or b"").get("buyer") for _, value, _ in await standing(settings, "orders")}
    assert buyers == {None, hmac.new(b"secret", b"ann", "sha256").hexdigest()[:32]}
    progress = await read_progress(settings, "avro")
    assert sum(sum(cursor.events.values()) for cursor in progress.cursors.values()) == 4
    (audit,) = await audit_bridges(settings, "avro", load_hash(key))
    assert audit.differences == []
