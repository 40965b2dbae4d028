"""Every parameter of every endpoint, given every kind of rubbish: 200, or 400 with a sentence; never a failure."""

from __future__ import annotations

import itertools
import json
from typing import TYPE_CHECKING
from urllib.parse import quote

import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from streams.domain.currencies import EXPONENTS
from tests.unit.web.served import DAY, HEAD, Served, served

if TYPE_CHECKING:
    from collections.abc import AsyncIterator

GOOD = {
    "/api/totals": {"festival": DAY.id, "at": "00:00:59", "by": "platform", "top": "3"},
    "/api/series": {"festival": DAY.id, "measure": "gross", "currency": "CNY", "step": "hour"},
    "/api/festivals": {},
    "/api/stream": {"festival": DAY.id},
}
"""Every parameter there is, with a value that is answered with 200."""
RUBBISH = (
    *(
        "",
        " ",
        "0",
        "-1",
        "1e3",
        "1.5",
        "+3",
        "null",
        "true",
        "NaN",
        "[]",
        "{}",
        "'",
        '"',
        "\\",
        "%",
        "*",
        ".",
        "../..",
    ),
    *("\0", "\n", "\r\n", "\x7f", "\u2028", "\ufeff", "\U0001f4a9", "١٢٣", "²", "１２", "cny", "XXX", "XAU", "RMB"),  # noqa: RUF001
    *("9" * 20, "9" * 400, "9" * 5_000, "-" + "9" * 5_000, "x" * 7_000, "constructor", "__proto__", "__other__"),
    *("0001-01-01T00:00:00", "9999-12-31T23:59:59", "10000-01-01T00:00:00", "2019-02-30", "24:00:00", "00:00:60"),
    *("2019-11-11T00:00:00+99:00", "2019-11-11T00:00:00-24:00", "-1", "00:00:00.1234567"),
)
RAW = ("%", "%0", "%zz", "%ff", "%ed%a0%80", "%C0%80", "%00", "+", "\\x", "\xff", "a&&b", "=", "a=b=c", ";", "&")
"""What does not even say what it means; as it stands in the request."""


@pytest.fixture
async def here() -> AsyncIterator[Served]:
    async with served() as here:
        yield here


async def judged(here: Served, path: str, query: str, *, may_be: tuple[int, ...] = (200, 400)) -> int:
    """Return the status of an answer that is what it must be."""
    visitor = await here.visit(
        b"GET " + f"{path}?{query}".encode("latin-1") + b" HTTP/1.1\r\nConnection: close\r\n" + HEAD
    )
    head = await visitor.reader.readuntil(b"\r\n\r\n")
    status = int(head.split()[1])
    assert status in may_be, (status, query)
    if path != "/api/stream" or status != 200:
        body = json.loads(await visitor.reader.read())
        assert status == 200 or (set(body) == {"error"} and len(body["error"]) > 10), body
    await visitor.leave()
    return status


def query_of(parameters: dict[str, str]) -> str:
    return "&".join(f"{quote(name, safe='')}={quote(value, safe='')}" for name, value in parameters.items())


@pytest.mark.parametrize(("path", "name"), [(path, name) for path, known in GOOD.items() for name in known])
async def test_a_parameter_that_is_rubbish_is_400_or_understood(here: Served, path: str, name: str) -> None:
    assert await judged(here, path, query_of(GOOD[path])) == 200
    for rubbish in RUBBISH:
        await judged(here, path, query_of({**GOOD[path], name: rubbish}))
        await judged(here, path, query_of({name: rubbish}))
    for raw in RAW:
        await judged(here, path, f"{name}={raw}")
        await judged(here, path, raw)


@pytest.mark.parametrize("path", GOOD)
async def test_parameters_that_are_repeated_empty_or_unknown_are_400_by_name(here: Served, path: str) -> None:
    for name, value in GOOD[path].items():
        for query in (f"{name}={value}&{name}={value}", f"{name}=", f"{name}"):
            _, _, told = await here.ask(f"{path}?{query}")
            assert told["error"] == f"{name}: give one value"
    for unknown in ("x", "Festival", "festival ", "callback", "_", "top[]"):
        status, _, told = await here.ask(f"{path}?{quote(unknown)}=1")
        assert (status, told["error"].startswith(f"{unknown}: no such parameter")) == (400, True)


@settings(max_examples=60, suppress_health_check=[HealthCheck.function_scoped_fixture])
@given(data=st.data())
async def test_any_text_at_all_is_400_or_understood(here: Served, data: st.DataObject) -> None:
    path, name = data.draw(st.sampled_from([(path, name) for path, known in GOOD.items() for name in known]))
    value = data.draw(st.text(max_size=50))
    encoded = quote(value.encode("utf-8", "surrogatepass"), safe="")
    await judged(here, path, f"{name}={encoded}")


@pytest.mark.parametrize("path", ["/", "/livez", "/readyz", "/metrics", "/screen.css"])
async def test_what_takes_no_parameters_does_not_mind_them(here: Served, path: str) -> None:
    for raw in (*RAW, "name[]=x", "lang=zh&lang=en"):
        visitor = await here.visit(f"GET {path}?{raw} HTTP/1.1\r\n".encode("latin-1") + HEAD)
        assert (await visitor.reader.readuntil(b"\r\n")).split()[1] in {b"200", b"400"}


@pytest.mark.parametrize(
    "path", ["/\xff", "/%ff", "/%00", "/api/\x7f", "/..", "//", "/api/totals/", "/" + "x" * 7_000, "*"]
)
async def test_a_path_that_is_rubbish_is_404_with_a_sentence(here: Served, path: str) -> None:
    visitor = await here.visit(f"GET {path} HTTP/1.1\r\n".encode("latin-1") + HEAD)
    status, _, told = await visitor.answer()
    assert status in {400, 404, 405}
    assert told["error"]


async def test_methods_and_headers_that_are_rubbish_are_told_so(here: Served) -> None:
    for method in ("POST", "PUT", "DELETE", "OPTIONS", "TRACE", "CONNECT", "PROPFIND", "get", "X" * 100):
        visitor = await here.visit(f"{method} /api/totals HTTP/1.1\r\n".encode() + HEAD)
        status, _, told = await visitor.answer()
        assert status in {400, 404, 405, 421}, method
        assert told["error"]
    headers = ("Last-Event-ID", "If-None-Match", "Accept-Encoding", "Accept", "Range", "Expect", "Upgrade", "Cookie")
    for name, value in itertools.product(headers, ("", "\xff", ";;q=", "q=1;q", "*", "a" * 7_000, ",,,", "bytes=9-1")):
        visitor = await here.visit(f"GET /api/totals HTTP/1.1\r\n{name}: {value}\r\n".encode("latin-1") + HEAD)
        status = int((await visitor.reader.readuntil(b"\r\n\r\n")).split()[1])
        assert status in {200, 304, 400, 417}, (name, value)


async def test_currencies_that_amounts_can_be_in_are_answered_and_others_refused(here: Served) -> None:
    for currency in ("CNY", "JPY", "KWD"):
        assert currency in EXPONENTS
        assert (await here.ask(f"/api/series?measure=gross&step=hour&currency={currency}"))[0] == 200
    for currency in ("cny", "XXX", "XAU", "RMB", "CNY,USD"):
        status, _, told = await here.ask(f"/api/series?measure=gross&currency={currency}")
        assert (status, "is no currency" in told["error"]) == (400, True)


@pytest.mark.parametrize("top", ["9" * 5_000, "9" * 10, "-1", "0", "1.0", "²", "１"])  # noqa: RUF001
async def test_a_number_of_rows_that_is_none_is_400(here: Served, top: str) -> None:
    status, _, told = await here.ask(f"/api/totals?by=platform&top={quote(top)}")
    assert (status, "is no number of rows" in told["error"]) == (400, True)
    assert len(told["error"]) < 200


@pytest.mark.parametrize(
    ("accepted", "is_zipped"),
    [
        ("gzip", True), ("GZIP", True), ("deflate, gzip;q=0.5", True), ("*", True), ("x-gzip", True),
        ("gzip;q=1.0, identity; q=0.5", True), ("br, *;q=0.1", True), ("gzip ; q=0.001", True),
        ("gzip;q=0", False), ("gzip;q=0.0, *", False), ("*;q=0", False), ("identity", False), ("", False),
        ("br", False), ("gzip;q=0.2, identity;q=0.5", False), ("gzip;q=x", False), ("gzip;q=-1", False),
        ("notgzip", False), ("identity, gzip;q=nan", False),
    ],
)  # fmt: skip
@pytest.mark.parametrize("path", ["/api/series", "/screen.css", "/metrics"])
async def test_answers_are_compressed_for_who_takes_it_and_nobody_else(
    here: Served, path: str, accepted: str, *, is_zipped: bool
) -> None:
    visitor = await here.visit(f"GET {path} HTTP/1.1\r\nAccept-Encoding: {accepted}\r\n".encode() + HEAD)
    told = (await visitor.reader.readuntil(b"\r\n\r\n")).decode().lower()
    assert ("content-encoding: gzip\r\n" in told) is is_zipped
