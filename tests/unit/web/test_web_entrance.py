"""A server with `--web-config`: who is let in, by what, and that the file is read again."""

from __future__ import annotations

import asyncio
import base64
import hashlib
import json
import logging
import os
import ssl
from contextlib import asynccontextmanager
from typing import TYPE_CHECKING, Any

import bcrypt
import pytest
from aiohttp import ClientSession, ClientSSLError, TCPConnector
from aiohttp.client_exceptions import ClientConnectionError

from streams.engine.status import WorkerStatus
from streams.web import credentials
from streams.web.credentials import Answer, Credentials
from streams.web.entrance import Entrance, entrance_of
from streams.web.ports import listen
from streams.web.server import Access
from streams.web.web_config import WebConfig
from tests.certificates import Authority, Issued
from tests.unit.web.served import served

if TYPE_CHECKING:
    from collections.abc import AsyncIterator
    from pathlib import Path

    from tests.unit.web.served import Served

PATHS = ("/", "/app.js", "/api/totals", "/api/stream", "/api/nothing", "/metrics", "/livez", "/readyz")
TOKEN = "a token that nobody guesses"  # noqa: S105 - a test's
HASHED = bcrypt.hashpw(b"open sesame", bcrypt.gensalt(4))
USERS = f"basic_auth_users: {{ hall: {HASHED.decode()} }}\n"
TOKENS = f"bearer_tokens: {{ prometheus: sha256:{hashlib.sha256(TOKEN.encode()).hexdigest()} }}\n"


def basic(user: str, password: str) -> bytes:
    return b"Basic " + base64.b64encode(f"{user}:{password}".encode())


def head(authorization: bytes | None = None) -> bytes:
    told = b"" if authorization is None else b"Authorization: " + authorization + b"\r\n"
    return b"Host: localhost\r\n" + told + b"\r\n"


def write(folder: Path, text: str, name: str = "web.yml") -> Path:
    file = folder / name
    file.write_text(text, "utf-8")
    return file


@asynccontextmanager
async def guarded(folder: Path, text: str) -> AsyncIterator[tuple[Served, Entrance]]:
    """Serve behind a file of this text."""
    entrance = Entrance(write(folder, text))
    async with served(Access(entrance=entrance), WorkerStatus(("orders",))) as here:
        yield here, entrance


async def status_of(here: Served, authorization: bytes | None, path: str = "/livez") -> int:
    return (await here.ask(path, head(authorization)))[0]


@pytest.mark.parametrize("path", PATHS)
async def test_whoever_shows_nothing_gets_401_and_is_told_what_is_asked_for(tmp_path: Path, path: str) -> None:
    async with guarded(tmp_path, USERS + TOKENS) as (here, _):
        visitor = await here.visit(b"GET " + path.encode() + b" HTTP/1.1\r\n" + head())
        answer = (await visitor.reader.readuntil(b"\r\n\r\n")).decode()
        assert answer.startswith("HTTP/1.1 401")
        assert 'WWW-Authenticate: Basic realm="festival"' in answer
        assert 'WWW-Authenticate: Bearer realm="festival"' in answer


async def test_password_and_token_let_in_and_nothing_else_does(tmp_path: Path) -> None:
    async with guarded(tmp_path, USERS + TOKENS) as (here, _):
        assert await status_of(here, basic("hall", "open sesame")) == 200
        assert await status_of(here, b"Bearer " + TOKEN.encode()) == 200
        for wrong in (b"Bearer x", b"Bearer", b"Basic x", b"Basic " + base64.b64encode(b"\xff:x"), b"Digest y", b""):
            assert await status_of(here, wrong) == 401, wrong


async def test_what_was_found_right_is_remembered_and_two_are_checked_a_second(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(credentials, "CHECKS_SECONDS", 3_600.0)
    async with guarded(tmp_path, USERS) as (here, _):
        assert await status_of(here, basic("hall", "open sesame")) == 200
        assert await status_of(here, basic("hall", "wrong")) == 401
        status, headers, told = await here.ask("/livez", head(basic("nobody", "wrong")))
        assert (status, headers["retry-after"]) == (429, "1")
        assert "try again" in told["error"]
        assert await status_of(here, basic("hall", "open sesame")) == 200


async def test_one_password_that_comes_ten_times_at_once_is_checked_once() -> None:
    found = Credentials(WebConfig(users={"hall": HASHED}), now=lambda: 0.0)
    told = basic("hall", "open sesame").decode()
    assert await asyncio.gather(*(found.judge(told) for _ in range(10))) == [Answer.KNOWN] * 10


@pytest.mark.parametrize("password", ["", "with\0nul", "x" * 80])
async def test_a_password_that_bcrypt_does_not_take_is_wrong(password: str) -> None:
    found = Credentials(WebConfig(users={"hall": HASHED}))
    assert await found.judge(basic("hall", password).decode()) is Answer.UNKNOWN


async def test_health_is_told_to_everybody_where_the_file_says_so(tmp_path: Path) -> None:
    async with guarded(tmp_path, USERS + "health_without_auth: true\n") as (here, _):
        assert await status_of(here, None, "/livez") == 200
        assert await status_of(here, None, "/readyz") in (200, 503)
        assert await status_of(here, None, "/metrics") == 401


async def test_headers_stand_on_every_answer_also_of_the_stream(tmp_path: Path) -> None:
    text = "http_server_config: {headers: {Strict-Transport-Security: max-age=9, X-Frame-Options: SAMEORIGIN}}"
    async with guarded(tmp_path, text) as (here, _):
        for path in PATHS:
            visitor = await here.visit(b"GET " + path.encode() + b" HTTP/1.1\r\n" + head())
            answer = (await visitor.reader.readuntil(b"\r\n\r\n")).decode()
            assert "Strict-Transport-Security: max-age=9" in answer, path
            assert "X-Frame-Options: SAMEORIGIN" in answer, path


async def test_a_file_that_changes_is_read_again_and_a_wrong_one_is_not(
    tmp_path: Path, caplog: pytest.LogCaptureFixture
) -> None:
    async with guarded(tmp_path, TOKENS) as (here, entrance):
        assert await status_of(here, b"Bearer " + TOKEN.encode()) == 200
        write(tmp_path, "bearer_tokens: {a: wrong}")
        entrance.look()
        assert "not read again" not in caplog.text, "it may be half written"
        entrance.look()
        entrance.look()
        assert caplog.text.count("not read again, the one before stays") == 1
        assert await status_of(here, b"Bearer " + TOKEN.encode()) == 200
        write(tmp_path, USERS)
        entrance.look()
        entrance.look()
        assert await status_of(here, b"Bearer " + TOKEN.encode()) == 401
        assert await status_of(here, basic("hall", "open sesame")) == 200
        (tmp_path / "web.yml").unlink()
        entrance.look()
        entrance.look()
        assert await status_of(here, basic("hall", "open sesame")) == 200, "a file that is gone opens no door"


def copied(issued: Issued, folder: Path) -> None:
    for file, name in ((issued.cert, "server.crt"), (issued.key, "server.key")):
        (folder / "new").write_bytes(file.read_bytes())
        os.replace(folder / "new", folder / name)  # noqa: PTH105 - at one stroke


def client(authority: Authority, issued: Issued | None = None) -> ClientSession:
    context = ssl.create_default_context(cafile=authority.ca)
    if issued is not None:
        context.load_cert_chain(issued.cert, issued.key)
    return ClientSession(connector=TCPConnector(ssl=context))


async def asked(session: ClientSession, here: Served, path: str = "/livez") -> int:
    async with session, session.get(f"https://localhost:{here.address[1]}{path}") as answer:
        return answer.status


async def test_over_tls_the_certificate_is_read_again_for_later_connections(tmp_path: Path) -> None:
    first, second = Authority(tmp_path / "first"), Authority(tmp_path / "second")
    copied(first.issue("server"), tmp_path)
    async with guarded(tmp_path, "tls_server_config: {cert_file: server.crt, key_file: server.key}") as (
        here,
        entrance,
    ):
        assert entrance.scheme == "https"
        assert await asked(client(first), here) == 200
        with pytest.raises(ClientSSLError):
            await asked(client(second), here)
        copied(second.issue("server"), tmp_path)
        entrance.look()
        entrance.look()
        assert await asked(client(second), here) == 200


async def test_the_event_stream_comes_over_tls_too(tmp_path: Path) -> None:
    authority = Authority(tmp_path)
    copied(authority.issue("s"), tmp_path)
    async with guarded(tmp_path, "tls_server_config: {cert_file: server.crt, key_file: server.key}") as (here, _):
        url = f"https://localhost:{here.address[1]}/api/stream"
        async with client(authority) as session, session.get(url) as answer, asyncio.timeout(20):
            told: dict[str, Any] = {}
            while not told:
                line = await answer.content.readline()
                if line.startswith(b"data:"):
                    told = json.loads(line[5:])


async def test_who_has_no_certificate_is_not_let_in_where_one_is_asked_for(tmp_path: Path) -> None:
    authority, stranger = Authority(tmp_path / "known"), Authority(tmp_path / "unknown")
    copied(authority.issue("s"), tmp_path)
    text = (
        "tls_server_config: {cert_file: server.crt, key_file: server.key, "
        f"client_auth_type: RequireAndVerifyClientCert, client_ca_file: {authority.ca}}}"
    )
    async with guarded(tmp_path, text) as (here, _):
        assert await asked(client(authority, authority.issue("friend")), here) == 200
        for issued in (None, stranger.issue("stranger")):
            with pytest.raises(ClientConnectionError):
                await asked(client(authority, issued), here)


def test_tls_is_switched_on_by_a_new_start_only(tmp_path: Path, caplog: pytest.LogCaptureFixture) -> None:
    copied(Authority(tmp_path).issue("s"), tmp_path)
    entrance = Entrance(write(tmp_path, TOKENS))
    write(tmp_path, "tls_server_config: {cert_file: server.crt, key_file: server.key}")
    entrance.look()
    entrance.look()
    assert "TLS is switched on or off by a new start only" in caplog.text
    assert entrance.scheme == "http"


@pytest.mark.parametrize(("host", "is_warned"), [("127.0.0.1", False), ("0.0.0.0", True)])  # noqa: S104 - the case
def test_without_a_file_serving_beyond_this_machine_is_warned_of(
    host: str,
    is_warned: bool,  # noqa: FBT001 - a case
    caplog: pytest.LogCaptureFixture,
) -> None:
    with listen(host, 0, is_explicit=True) as listener, caplog.at_level(logging.WARNING):
        entrance_of(None, listener)
    assert ("FESTIVAL_WEB_CONFIG" in caplog.text) is is_warned
