"""Secrets and certificates that are renewed in their files, and used by whoever connects later."""

from __future__ import annotations

import asyncio
import shutil
import ssl
from typing import TYPE_CHECKING

import pytest

from streams.renewed import ClientTls, Secret
from tests.certificates import Authority, Issued

if TYPE_CHECKING:
    from pathlib import Path


def test_a_secret_is_what_stands_in_its_file_now(tmp_path: Path, caplog: pytest.LogCaptureFixture) -> None:
    file = tmp_path / "secret"
    file.write_text("old\n")
    secret = Secret("old", file)
    file.write_text("new\r\nsecond line")
    assert secret.current() == "new"
    assert repr(secret.current()) == "'***'"
    file.write_text("\n")
    assert secret.current() == "old"
    file.unlink()
    assert secret.current() == "old"
    assert caplog.text.count("cannot be read again") == 2
    assert Secret("plain").current() == "plain"


def put(issued: Issued, folder: Path) -> None:
    shutil.copy(issued.cert, folder / "own.crt")
    shutil.copy(issued.key, folder / "own.key")


async def test_a_certificate_that_is_renewed_is_shown_at_the_next_connection(
    tmp_path: Path, caplog: pytest.LogCaptureFixture
) -> None:
    authority = Authority(tmp_path / "ca")
    server = authority.issue("server")
    listening = ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER)
    listening.load_cert_chain(server.cert, server.key)
    listening.load_verify_locations(authority.ca)
    listening.verify_mode = ssl.CERT_REQUIRED
    shown: list[str] = []

    async def note(_: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        subject = writer.get_extra_info("peercert")["subject"]
        shown.append(dict(pair for (pair,) in subject)["commonName"])
        writer.close()

    put(authority.issue("first"), tmp_path)
    context = ClientTls(authority.ca, tmp_path / "own.crt", tmp_path / "own.key").renewed()
    async with await asyncio.start_server(note, "127.0.0.1", 0, ssl=listening) as served:
        port = served.sockets[0].getsockname()[1]

        async def connect() -> None:
            reader, writer = await asyncio.open_connection("localhost", port, ssl=context)
            await reader.read()
            writer.close()

        await connect()
        put(authority.issue("second"), tmp_path)
        await connect()
        (tmp_path / "own.key").write_text("half of a k")
        await connect()
        assert shown == ["first", "second", "second"]
    assert "certificates cannot be read again" in caplog.text


@pytest.mark.parametrize(
    ("password", "words"), [(None, "no password is set for it"), ("guessed", "the password is not that of the key")]
)
def test_a_key_that_cannot_be_opened_is_told(tmp_path: Path, password: str | None, words: str) -> None:
    issued = Authority(tmp_path).issue("own", password="hidden well")  # noqa: S106 - a test's
    secret = Secret(password) if password is not None else None
    with pytest.raises(ValueError, match=words):
        ClientTls(None, issued.cert, issued.key, secret).check_certificate()
    ClientTls(None, issued.cert, issued.key, Secret("hidden well")).check_certificate()
