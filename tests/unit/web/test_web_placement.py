"""A server under a path of its own, and who may hold its page in a frame."""

from __future__ import annotations

import re

import pytest

from streams.errors import UsageError
from streams.settings import load_settings
from streams.web.placement import Placement
from tests.unit.web.served import HEAD, served

BOARD = Placement("/shop/board/", "'self' https://intranet.example.com")


async def test_everything_lies_under_the_path_and_nothing_beside_it() -> None:
    async with served(placement=BOARD) as here:
        for path in ("livez", "readyz", "api/totals", "api/series", "api/festivals", "api/openapi.json"):
            status, headers, _ = await here.ask(f"/shop/board/{path}")
            assert status == 200, path
            assert headers["content-security-policy"].endswith("; frame-ancestors 'self' https://intranet.example.com")
        for path in ("/", "/livez", "/api/totals", "/metrics", "/shop/", "/shop/board/api", "/shop/boardlivez"):
            status, _, answer = await here.ask(path)
            assert (status, answer["error"].partition("; ")[2]) == (
                404,
                "look at /shop/board/ or /shop/board/api/totals",
            )


async def test_the_path_without_its_last_slash_leads_to_the_page_with_its_question() -> None:
    async with served(placement=BOARD) as here:
        visitor = await here.visit(b"GET /shop/board?lang=de HTTP/1.1\r\n" + HEAD)
        head = (await visitor.reader.readuntil(b"\r\n\r\n")).decode()
        assert head.startswith("HTTP/1.1 308 ")
        assert "\r\nLocation: /shop/board/?lang=de\r\n" in head


async def test_the_page_names_nothing_by_a_path_from_the_root() -> None:
    async with served(placement=BOARD) as here:
        visitor = await here.visit(b"GET /shop/board/ HTTP/1.1\r\nConnection: close\r\n" + HEAD)
        page = (await visitor.reader.read()).decode()
        named = re.findall(r'(?:src|href)="([^"#]+)"', page)
        assert {"screen.css", "screen.js", "favicon.svg"} <= set(named)
        for name in named:
            asked = await here.visit(f"GET /shop/board/{name} HTTP/1.1\r\n".encode() + HEAD)
            assert await asked.reader.readuntil(b"\r\n") == b"HTTP/1.1 200 OK\r\n", name


async def test_the_event_stream_lies_there_too() -> None:
    async with served(placement=BOARD) as here:
        visitor = await here.visit(b"GET /shop/board/api/stream HTTP/1.1\r\n" + HEAD)
        await visitor.reader.readuntil(b"event: totals\n")


def test_only_operations_under_the_path_are_no_visits() -> None:
    assert not BOARD.is_visit("/shop/board/livez")
    assert BOARD.is_visit("/livez")
    assert BOARD.is_stream("/shop/board/api/stream")
    assert not BOARD.is_stream("/api/stream")
    assert Placement().is_stream("/api/stream")
    assert not Placement().is_visit("/metrics")


@pytest.mark.parametrize(
    ("given", "path"),
    [("/", "/"), ("/board", "/board/"), ("/board/", "/board/"), ("/a/b-c_d.e~f/", "/a/b-c_d.e~f/"), ("//", "/")],
)
def test_a_path_has_a_slash_at_both_ends(given: str, path: str) -> None:
    assert load_settings(environ={"FESTIVAL_WEB_PATH": given}).web_path == path


@pytest.mark.parametrize("given", ["board", "/bo ard/", "/a//b/", "/../", "/a/./b", "/{x}/", "/a?b", "/ü/"])
def test_what_is_no_path_is_refused(given: str) -> None:
    with pytest.raises(UsageError, match="FESTIVAL_WEB_PATH"):
        load_settings(environ={"FESTIVAL_WEB_PATH": given})


@pytest.mark.parametrize(
    ("given", "sources"),
    [
        ("'none'", "'none'"),
        ("'self'  https://intranet.example.com", "'self' https://intranet.example.com"),
        ("https: *.example.com:* http://127.0.0.1:8080/wall", "https: *.example.com:* http://127.0.0.1:8080/wall"),
    ],
)
def test_who_may_frame_is_given_as_browsers_read_it(given: str, sources: str) -> None:
    assert load_settings(environ={"FESTIVAL_WEB_FRAME_ANCESTORS": given}).web_frame_ancestors == sources


@pytest.mark.parametrize(
    "given", ["none", "'none' https://a.example.com", "https://a; script-src *", "a,b", "'unsafe-inline'", " ", "a\nb;"]
)
def test_what_would_be_another_directive_is_refused(given: str) -> None:
    with pytest.raises(UsageError, match="FESTIVAL_WEB_FRAME_ANCESTORS"):
        load_settings(environ={"FESTIVAL_WEB_FRAME_ANCESTORS": given})
