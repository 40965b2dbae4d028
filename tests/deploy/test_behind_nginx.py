"""A real nginx with the file of `deploy/nginx` before a board: the page, the API and the event stream through it."""

from __future__ import annotations

import asyncio
import re
import subprocess
from contextlib import contextmanager
from typing import TYPE_CHECKING, Any

import aiohttp
import pytest

from streams.broker.embedded import any_free_port
from streams.web.placement import Placement
from streams.web.server import Access
from tests.deploy.monitoring import DEPLOY, tool
from tests.unit.web.served import served

if TYPE_CHECKING:
    from collections.abc import Iterator
    from pathlib import Path

PUBLIC = "www.example.com"
SECONDS = 30
_CONFIGURATION = """
daemon off;
worker_processes 1;
pid {directory}/pid;
error_log {directory}/error.log;
events {{ }}
http {{
    access_log off;
    client_body_temp_path {directory}/body;
    proxy_temp_path {directory}/proxy;
    fastcgi_temp_path {directory}/fastcgi;
    uwsgi_temp_path {directory}/uwsgi;
    scgi_temp_path {directory}/scgi;
    server {{
        listen 127.0.0.1:{port};
        include {directory}/board.conf;
    }}
}}
"""


@contextmanager
def nginx(directory: Path, board_port: int) -> Iterator[str]:
    """Run nginx with our file before a board, and give its address."""
    port = any_free_port()
    recipe = (DEPLOY / "nginx" / "board.conf").read_text(encoding="utf-8")
    (directory / "board.conf").write_text(recipe.replace("127.0.0.1:6066", f"127.0.0.1:{board_port}"))
    configuration = directory / "nginx.conf"
    configuration.write_text(_CONFIGURATION.format(directory=directory, port=port))
    command = [tool("nginx"), "-c", str(configuration), "-e", str(directory / "error.log")]
    with subprocess.Popen(command) as process:
        try:
            yield f"http://127.0.0.1:{port}"
        finally:
            process.terminate()


async def opened(browser: aiohttp.ClientSession, url: str, **options: Any) -> aiohttp.ClientResponse:  # noqa: ANN401
    """Return the answer to a visitor of the public name, once nginx listens."""
    async with asyncio.timeout(SECONDS):
        while True:
            try:
                return await browser.get(url, headers={"Host": PUBLIC}, allow_redirects=False, **options)
            except aiohttp.ClientConnectorError:
                await asyncio.sleep(0.05)


async def test_a_board_under_a_path_is_served_whole_by_nginx_with_the_file_of_the_repository(tmp_path: Path) -> None:
    access, placement = Access(hosts=(PUBLIC,)), Placement("/board/", "https://intranet.example.com")
    async with served(access, placement=placement) as here, aiohttp.ClientSession() as browser:
        with nginx(tmp_path, here.address[1]) as url:
            page = await opened(browser, f"{url}/board/")
            assert page.status == 200
            assert page.headers["Content-Security-Policy"].endswith("frame-ancestors https://intranet.example.com")
            named = set(re.findall(r'(?:src|href)="([^"#]+)"', await page.text())) | {"words.js", "hub.js"}
            for name in named:
                assert (await opened(browser, f"{url}/board/{name}")).status == 200, name
            totals = await opened(browser, f"{url}/board/api/totals")
            assert (await totals.json())["orders"] == 3
            assert (await opened(browser, f"{url}/board")).headers["Location"].endswith("/board/")
            assert (await opened(browser, f"{url}/api/totals")).status == 404
            assert await is_streamed(browser, f"{url}/board/api/stream")
        error = await browser.get(f"http://127.0.0.1:{here.address[1]}/board/", headers={"Host": "other.example.com"})
        assert error.status == 421


async def is_streamed(browser: aiohttp.ClientSession, url: str) -> bool:
    """Return whether totals and then two signs of life come through while the stream is open: nothing buffers it."""
    stream = await opened(browser, url)
    assert stream.headers["Content-Type"].startswith("text/event-stream")
    seen: list[bytes] = []
    async with asyncio.timeout(SECONDS):
        while seen.count(b"event: alive\n") < 2 or b"event: totals\n" not in seen:
            line = await stream.content.readline()
            if not line:
                return False
            seen.append(line)
    stream.close()
    return True


@pytest.fixture(autouse=True)
def _has_nginx() -> None:
    """Skip where there is no nginx; in CI that fails."""
    tool("nginx")
