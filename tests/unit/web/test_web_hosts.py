"""A server answers to its own names, whoever points other names at it."""

from __future__ import annotations

import socket

import pytest

from streams.engine.status import WorkerStatus
from streams.settings import load_settings
from streams.web.server import Access
from tests.unit.web.served import served

PATHS = ("/", "/livez", "/readyz", "/metrics", "/api/totals", "/api/stream", "/api/nothing")


def head(host: str) -> bytes:
    return f"Host: {host}\r\n\r\n".encode()


@pytest.mark.parametrize("path", PATHS)
async def test_another_host_gets_421_and_a_sentence(path: str) -> None:
    async with served(status=WorkerStatus(("orders",))) as here:
        for host in (
            "evil.example",
            "evil.example:6066",
            "localhost.evil.example",
            "127.0.0.1.nip.io",
            "a@localhost",
            "",
        ):
            status, headers, told = await here.ask(path, head(host))
            assert (status, headers["content-type"]) == (421, "application/json"), host
            assert "FESTIVAL_WEB_ALLOWED_HOSTS" in told["error"]


@pytest.mark.parametrize(
    "host", ["localhost", "LOCALHOST", "localhost.", "localhost:1", "127.0.0.1:65535", "127.0.0.1", "[::1]", "[::1]:80"]
)
async def test_a_server_on_loopback_answers_to_the_names_of_loopback_on_any_port(host: str) -> None:
    async with served() as here:
        assert (await here.ask("/livez", head(host)))[0] == 200


async def test_a_server_on_loopback_answers_to_the_address_that_it_has() -> None:
    async with served(host="127.0.0.2") as here:
        assert (await here.ask("/livez", head("127.0.0.2:80")))[0] == 200
        assert (await here.ask("/livez", head("127.0.0.3:80")))[0] == 421


async def test_a_server_for_others_answers_to_any_host() -> None:
    async with served(host="0.0.0.0") as here:  # noqa: S104 - that is the case
        assert (await here.ask("/livez", head("board.example.com")))[0] == 200


async def test_allowed_hosts_stand_in_place_of_those_that_suit_the_address() -> None:
    settings = load_settings(environ={"FESTIVAL_WEB_ALLOWED_HOSTS": "Board.Example.com:443, ::1,hall"})
    async with served(Access(settings.web_allowed_hosts)) as here:
        found = [(await here.ask("/livez", head(host)))[0] for host in ("board.example.com:6066", "[::1]", "HALL")]
        assert found == [200, 200, 200]
        assert (await here.ask("/livez", head("localhost")))[0] == 421
    async with served(Access(("*",))) as here:
        assert (await here.ask("/livez", head("evil.example")))[0] == 200


async def test_the_target_of_a_request_and_a_second_header_count_as_the_host() -> None:
    async with served() as here:
        assert (await here.ask("http://evil.example/livez", head("localhost")))[0] == 421
        assert (await here.ask("/livez", b"Host: localhost\r\nHost: evil.example\r\n\r\n"))[0] in {400, 421}
        visitor = await here.visit(b"GET /livez HTTP/1.0\r\n\r\n")
        assert (await visitor.answer())[0] == 200


@pytest.mark.parametrize("path", [*PATHS, "/screen.css"])
async def test_the_server_tells_no_versions(path: str) -> None:
    async with served() as here:
        visitor = await here.visit(f"GET {path} HTTP/1.1\r\nHost: localhost\r\n\r\n".encode())
        told = (await visitor.reader.readuntil(b"\r\n\r\n")).decode().lower()
        assert "server: festival\r\n" in told
        assert "python" not in told
        assert "aiohttp" not in told


@pytest.mark.skipif(not socket.has_ipv6, reason="no IPv6 here")
async def test_a_server_on_the_loopback_of_ipv6() -> None:
    async with served(host="::1") as here:
        assert (await here.ask("/livez", head(f"[::1]:{here.address[1]}")))[0] == 200
        assert (await here.ask("/livez", head("evil.example")))[0] == 421
