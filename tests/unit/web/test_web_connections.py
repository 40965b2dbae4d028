"""How long a connection may take over what it does, and how many there may be; over real sockets."""

from __future__ import annotations

import asyncio
import resource
from typing import TYPE_CHECKING

import pytest

from streams.engine.status import WorkerStatus
from streams.web.connections import (
    EXTRA_CONNECTIONS,
    FEWEST_CONNECTIONS,
    FREE_DESCRIPTORS,
    WORKER_CONNECTIONS,
    allowed_connections,
)
from streams.web.server import Access
from tests.unit.web.served import HEAD, served

if TYPE_CHECKING:
    from collections.abc import Callable

LIVEZ = b"GET /livez HTTP/1.1\r\n" + HEAD
STREAM = b"GET /api/stream HTTP/1.1\r\n" + HEAD
SHORT_SECONDS = 0.2
LONG_SECONDS = 30.0


@pytest.fixture
def limit(monkeypatch: pytest.MonkeyPatch) -> Callable[[str, float], None]:
    """Set one of the times; the others are so long that no test sees them."""
    for name in ("HEADER", "REQUEST", "IDLE", "EXTRA"):
        monkeypatch.setattr(f"streams.web.connections.{name}_SECONDS", LONG_SECONDS)
    monkeypatch.setattr("streams.web.connections.SWEEP_SECONDS", SHORT_SECONDS / 10)
    return lambda name, seconds: monkeypatch.setattr(f"streams.web.connections.{name}_SECONDS", seconds)


@pytest.mark.parametrize("sent", [b"", b"GET /livez HTTP/1.1\r\nHost: loc", LIVEZ + b"GET"])
async def test_a_request_that_does_not_come_is_not_waited_for(limit: Callable[[str, float], None], sent: bytes) -> None:
    """Nothing at all, half a header, and half of a second one."""
    limit("HEADER", SHORT_SECONDS)
    async with served() as here:
        visitor = await here.visit(sent)
        assert await visitor.is_ended()


async def test_a_request_byte_by_byte_is_not_waited_for(limit: Callable[[str, float], None]) -> None:
    limit("HEADER", SHORT_SECONDS)
    async with served() as here:
        visitor = await here.visit()

        async def trickle() -> None:
            for byte in LIVEZ:
                visitor.send(bytes([byte]))
                await asyncio.sleep(SHORT_SECONDS / 5)

        task = asyncio.create_task(trickle())
        assert await visitor.is_ended()
        assert not task.done()
        task.cancel()


async def test_a_client_that_waits_between_two_requests_may_do_so_for_a_while(
    limit: Callable[[str, float], None],
) -> None:
    limit("HEADER", SHORT_SECONDS)
    async with served() as here:
        visitor = await here.visit(LIVEZ)
        assert (await visitor.answer())[0] == 200
        assert not await visitor.is_ended(3 * SHORT_SECONDS), "idle is no header"


async def test_an_idle_connection_is_closed_in_the_end(limit: Callable[[str, float], None]) -> None:
    limit("IDLE", SHORT_SECONDS)
    async with served() as here:
        visitor = await here.visit(LIVEZ)
        assert (await visitor.answer())[0] == 200
        assert await visitor.is_ended()


async def test_an_answer_that_nobody_reads_is_not_waited_for(
    limit: Callable[[str, float], None], monkeypatch: pytest.MonkeyPatch
) -> None:
    limit("REQUEST", SHORT_SECONDS)
    monkeypatch.setattr("streams.web.api.series_document", lambda *_: {"values": "x" * 20_000_000})
    async with served() as here:
        visitor = await here.visit(b"GET /api/series HTTP/1.1\r\n" + HEAD, limit=1_000)
        await asyncio.sleep(3 * SHORT_SECONDS)
        assert await visitor.is_ended()
        assert visitor.bytes_read < 20_000_000


async def test_a_stream_may_last(limit: Callable[[str, float], None]) -> None:
    for name in ("HEADER", "REQUEST", "IDLE"):
        limit(name, SHORT_SECONDS)
    async with served() as here:
        visitor = await here.visit(STREAM)
        await visitor.reader.readuntil(b"event: totals")
        assert not await visitor.is_ended(5 * SHORT_SECONDS)


async def test_a_stream_that_was_refused_is_a_request_like_others(limit: Callable[[str, float], None]) -> None:
    limit("IDLE", SHORT_SECONDS)
    async with served() as here:
        visitor = await here.visit(b"GET /api/stream?x=1 HTTP/1.1\r\n" + HEAD)
        assert (await visitor.answer())[0] == 400
        assert await visitor.is_ended()


async def test_more_connections_than_allowed_are_told_to_come_back_but_operations_are_answered(
    limit: Callable[[str, float], None], caplog: pytest.LogCaptureFixture
) -> None:
    limit("EXTRA", SHORT_SECONDS)
    async with served(Access(connections=5)) as here:
        streams = [await here.visit(STREAM) for _ in range(5)]
        for stream in streams:
            await stream.reader.readuntil(b"event: totals")
        for path in ("/livez", "/readyz", "/metrics"):
            visitor = await here.visit(f"GET {path} HTTP/1.1\r\n".encode() + HEAD)
            assert (await visitor.reader.readuntil(b"\r\n")).split()[1] == b"200"
            assert await visitor.is_ended(), "its place was for a moment"
        for path in ("/", "/api/totals", "/api/stream"):
            status, headers, told = await here.ask(path)
            assert (status, headers["retry-after"], headers["connection"]) == (503, "1", "close")
            assert "all connections of this server are taken" in told["error"]
        assert await (await here.visit()).is_ended(), "it asks for nothing"
        await streams.pop().leave()
        await asyncio.sleep(SHORT_SECONDS)
        assert (await here.ask("/api/totals"))[0] == 200
    assert caplog.text.count("all connections are taken") == 1


async def test_who_waits_longest_beyond_the_limit_makes_room(limit: Callable[[str, float], None]) -> None:
    del limit
    async with served(Access(connections=1)) as here:
        first = await here.visit()
        beyond = [await here.visit() for _ in range(EXTRA_CONNECTIONS + 3)]
        assert [await visitor.is_ended(SHORT_SECONDS) for visitor in (first, *beyond[:4])] == [
            False, True, True, True, False,
        ]  # fmt: skip
        assert (await here.ask("/readyz"))[0] == 200


def test_connections_leave_descriptors_for_kafka(
    monkeypatch: pytest.MonkeyPatch, caplog: pytest.LogCaptureFixture
) -> None:
    limits = {"files": 1_000_000}
    monkeypatch.setattr(resource, "getrlimit", lambda _: (limits["files"], limits["files"]))
    assert allowed_connections(4_096) == 4_096
    assert caplog.text == ""
    limits["files"] = 1_024
    allowed = allowed_connections(4_096)
    assert 100 < allowed < 1_024 - FREE_DESCRIPTORS
    assert allowed_connections(WORKER_CONNECTIONS) == WORKER_CONNECTIONS
    assert caplog.text.count("raise the limit of open files") == 1
    limits["files"] = 256
    assert allowed_connections(4_096) == FEWEST_CONNECTIONS
    limits["files"] = resource.RLIM_INFINITY
    assert allowed_connections(4_096) == 4_096


@pytest.mark.parametrize(("status", "connections"), [(WorkerStatus(("orders",)), 256), (None, 4_096)])
async def test_a_worker_has_fewer_connections_than_a_board(
    monkeypatch: pytest.MonkeyPatch, status: WorkerStatus | None, connections: int
) -> None:
    wanted: list[int] = []

    def allowed(connections: int) -> int:
        wanted.append(connections)
        return connections

    monkeypatch.setattr("streams.web.server.allowed_connections", allowed)
    async with served(status=status), served(Access(connections=7), status):
        pass
    assert wanted == [connections, 7]


@pytest.mark.parametrize(
    "request_",
    [b"\x16\x03\x01\x02\x00\x01\x00\x01", b"GET\r\n\r\n", b"GET / HTTP/9.9\r\n\r\n",
     b"GET / HTTP/1.1\r\nA b: c\r\n\r\n",
     b"GET /" + b"x" * 20_000 + b" HTTP/1.1\r\n" + HEAD, b"GET / HTTP/1.1\r\nContent-Length: -1\r\n" + HEAD],
)  # fmt: skip
async def test_what_is_no_request_is_400_with_a_sentence_and_no_line_in_the_log(
    request_: bytes, caplog: pytest.LogCaptureFixture
) -> None:
    async with served() as here:
        caplog.clear()
        status, headers, told = await (await here.visit(request_)).answer()
        assert (status, headers["server"]) == (400, "festival")
        assert told["error"].startswith("this is no request that can be read: ")
    assert [record for record in caplog.records if record.levelname != "INFO"] == []
