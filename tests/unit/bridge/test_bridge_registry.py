"""A client of a schema registry: asked once, addresses in turn, and what it does while there is no answer."""

from __future__ import annotations

import asyncio
import json
from typing import TYPE_CHECKING, Any

import pytest
from aiohttp import web
from aiohttp.test_utils import TestServer

from streams.bridge import registry as module
from streams.bridge.decoding.avro import AvroDecoder
from streams.bridge.outcomes import WaitReason
from streams.bridge.registry import Registry, RegistryError
from streams.bridge.schemas import Fault, NoDecoder
from streams.settings import RegistryAccess, Secret

if TYPE_CHECKING:
    from collections.abc import AsyncIterator

STORE = {"type": "record", "name": "shop.Store", "fields": [{"name": "code", "type": "string"}]}
ORDER = {"type": "record", "name": "Order", "fields": [{"name": "store", "type": "shop.Store"}]}
GUID = "89791762-2336-4186-9674-299b90a802e2"


class FakeRegistry:
    """A registry with the Confluent API, and what it was asked."""

    def __init__(self) -> None:
        self.asked: list[str] = []
        self.status = 200
        self.authorization: str | None = None
        reference = {"name": "shop.Store", "subject": "shop.Store", "version": 3}
        self.answers: dict[str, Any] = {
            "/schemas/ids/7": {"schema": json.dumps(STORE)},
            "/schemas/ids/8": {"schema": json.dumps(ORDER), "references": [reference]},
            "/schemas/ids/9": {"schema": "{}", "schemaType": "PROTOBUF"},
            "/schemas/ids/10": {"schema": '{"type": "no such"}'},
            f"/schemas/guids/{GUID}": {"schema": json.dumps(STORE)},
            "/subjects/shop.Store/versions/3": {"schema": json.dumps(STORE), "id": 7},
        }

    async def answer(self, request: web.Request) -> web.Response:
        self.asked.append(request.path)
        self.authorization = request.headers.get("Authorization")
        if self.status != 200:
            return web.Response(status=self.status)
        if request.path not in self.answers:
            return web.json_response({"error_code": 40403}, status=404)
        return web.json_response(self.answers[request.path])


@pytest.fixture
async def fake() -> FakeRegistry:
    return FakeRegistry()


@pytest.fixture
async def url(fake: FakeRegistry) -> AsyncIterator[str]:
    app = web.Application()
    app.router.add_get("/{path:.*}", fake.answer)
    async with TestServer(app) as server:
        yield str(server.make_url("")).rstrip("/")


async def look_up(registry: Registry, schema: str) -> AvroDecoder | NoDecoder:
    try:
        return await registry.look_up(schema)
    finally:
        await registry.close()


async def test_a_schema_is_asked_for_with_those_it_refers_to(fake: FakeRegistry, url: str) -> None:
    found = await look_up(Registry([url], RegistryAccess()), "8")
    assert isinstance(found, AvroDecoder)
    assert found.decode(b"\x06abc") == {"store": {"code": "abc"}}
    assert fake.asked == ["/schemas/ids/8", "/subjects/shop.Store/versions/3"]


async def test_a_guid_is_asked_for_as_one(url: str) -> None:
    assert isinstance(await look_up(Registry([url], RegistryAccess()), GUID), AvroDecoder)


@pytest.mark.parametrize(("schema", "words"), [("9", "it is of PROTOBUF, not of Avro"), ("10", "no Avro schema")])
async def test_what_is_no_avro_schema_will_never_be_one(schema: str, words: str, url: str) -> None:
    found = await look_up(Registry([url], RegistryAccess()), schema)
    assert isinstance(found, NoDecoder)
    assert found.fault is Fault.UNUSABLE
    assert words in found.detail


async def test_addresses_are_tried_in_turn(fake: FakeRegistry, url: str) -> None:
    registry = Registry(["http://127.0.0.1:1", url], RegistryAccess())
    assert isinstance(await registry.look_up("7"), AvroDecoder)
    assert isinstance(await look_up(registry, "8"), AvroDecoder)
    assert registry.failures == 1, "the one that answers is asked first from now on"
    assert len(fake.asked) == 3


async def test_who_asks_is_told(fake: FakeRegistry, url: str) -> None:
    await look_up(Registry([url], RegistryAccess(user="shop", password=Secret("x"))), "7")
    assert fake.authorization == "Basic c2hvcDp4"
    await look_up(Registry([url], RegistryAccess(token=Secret("t"))), "7")
    assert fake.authorization == "Bearer t"


@pytest.mark.parametrize(
    ("status", "reason"),
    [(401, WaitReason.NOT_ALLOWED), (403, WaitReason.NOT_ALLOWED), (500, WaitReason.REGISTRY_AWAY)],
)
async def test_a_registry_that_refuses_is_waited_for(
    status: int, reason: WaitReason, fake: FakeRegistry, url: str
) -> None:
    fake.status = status
    with pytest.raises(RegistryError, match=f"answers {status}") as error:
        await look_up(Registry([url], RegistryAccess()), "7")
    assert error.value.reason is reason


async def test_what_is_wanted_is_looked_up_beside_and_asked_again(
    fake: FakeRegistry, url: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Whoever asks does not wait: first nothing is known, then why, then the schema."""
    monkeypatch.setattr(module, "AWAY_SECONDS", 0.01)
    monkeypatch.setattr(module, "AGAIN_SECONDS", 0.01)
    registry = Registry([url], RegistryAccess())
    fake.status = 500
    running = asyncio.create_task(registry.run())
    try:
        async with asyncio.timeout(20):
            assert registry.find("11") is None
            assert registry.why("11") is None
            while registry.why("11") is not WaitReason.REGISTRY_AWAY:
                await asyncio.sleep(0.01)
            fake.status = 200
            while registry.why("11") is not WaitReason.UNKNOWN_SCHEMA:
                await asyncio.sleep(0.01)
            fake.answers["/schemas/ids/11"] = {"schema": json.dumps(STORE)}
            while not isinstance(registry.find("11"), AvroDecoder):
                await asyncio.sleep(0.01)
            assert registry.why("11") is None
            asked = len(fake.asked)
            registry.find("11")
            await asyncio.sleep(0.05)
            assert len(fake.asked) == asked, "an id never changes its meaning"
    finally:
        running.cancel()
        await registry.close()
