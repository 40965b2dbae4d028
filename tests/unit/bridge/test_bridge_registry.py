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
from streams.renewed import Secret
from streams.settings import RegistryAccess

if TYPE_CHECKING:
    from collections.abc import AsyncIterator
    from pathlib import Path

STORE = {"type": "record", "name": "shop.Store", "fields": [{"name": "code", "type": "string"}]}
ORDER = {"type": "record", "name": "Order", "fields": [{"name": "store", "type": "shop.Store"}]}
GUID = "89791762-2336-4186-9674-299b90a802e2"


class FakeRegistry:
    """A registry with the Confluent API, and what it was asked."""

    def __init__(self) -> None:
        self.asked: list[str] = []
        self.status = 200
        self.authorization: str | None = None
        self.unknown: dict[str, Any] | None = {"error_code": 40403, "message": "Schema not found"}
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
            return web.json_response(self.unknown, status=404) if self.unknown else web.Response(status=404)
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


async def test_an_address_that_does_not_know_it_gives_way_to_one_that_does(url: str) -> None:
    """As of two registries while one takes the other's place; it is unknown where nobody has it."""
    other = FakeRegistry()
    other.answers = {"/schemas/ids/12": {"schema": json.dumps(STORE)}}
    app = web.Application()
    app.router.add_get("/{path:.*}", other.answer)
    async with TestServer(app) as server:
        registry = Registry([url, str(server.make_url("")).rstrip("/")], RegistryAccess())
        assert isinstance(await registry.look_up("12"), AvroDecoder)
        found = await look_up(registry, "13")
    assert isinstance(found, NoDecoder)
    assert found.fault is Fault.UNKNOWN
    assert registry.failures == 0


async def test_whoever_is_no_registry_cannot_say_that_a_schema_is_unknown(fake: FakeRegistry, url: str) -> None:
    """An address without its path, or a proxy's page: under `unknown_schema = "reject"` good records would be lost."""
    fake.unknown = None
    with pytest.raises(RegistryError, match="does the address lack a path") as error:
        await look_up(Registry([url], RegistryAccess()), "11")
    assert error.value.reason is WaitReason.UNKNOWN_SCHEMA


async def test_an_outage_is_told_when_it_begins_and_not_each_second(
    fake: FakeRegistry, url: str, monkeypatch: pytest.MonkeyPatch, caplog: pytest.LogCaptureFixture
) -> None:
    monkeypatch.setattr(module, "AWAY_SECONDS", 0.001)
    registry = Registry([url], RegistryAccess())
    fake.status = 503
    running = asyncio.create_task(registry.run())
    try:
        registry.find("7")
        async with asyncio.timeout(20):
            while len(fake.asked) < 20:
                await asyncio.sleep(0.001)
            assert caplog.text.count("answers 503") == 1
            fake.status = 403
            while "answers 403" not in caplog.text:
                await asyncio.sleep(0.001)
    finally:
        running.cancel()
        await registry.close()


async def test_who_asks_is_told(fake: FakeRegistry, url: str) -> None:
    await look_up(Registry([url], RegistryAccess(user="shop", password=Secret("x"))), "7")
    assert fake.authorization == "Basic c2hvcDp4"
    await look_up(Registry([url], RegistryAccess(token=Secret("t"))), "7")
    assert fake.authorization == "Bearer t"


async def test_a_secret_that_changes_in_its_file_is_told_from_then_on(
    fake: FakeRegistry, url: str, tmp_path: Path
) -> None:
    file = tmp_path / "token"
    file.write_text("old")
    registry = Registry([url], RegistryAccess(token=Secret("old", file)))
    await registry.look_up("7")
    assert fake.authorization == "Bearer old"
    file.write_text("new")
    await look_up(registry, "8")
    assert fake.authorization == "Bearer new"


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
