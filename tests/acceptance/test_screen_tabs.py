"""The tabs of one browser share one event stream: a browser opens six connections to a host, and no more."""

from __future__ import annotations

from contextlib import contextmanager
from typing import TYPE_CHECKING

import pytest

from streams.web.stream import stream_channel
from tests.acceptance.hall import FESTIVALS, Hall

if TYPE_CHECKING:
    from collections.abc import Iterator, Mapping

    from aiohttp import web

    from streams.web.channel import Channel
    from tests.acceptance.browser import Browser

DAY = FESTIVALS["singles-day-2019"]
TABS = 8
HIDE = """Object.defineProperty(document, 'hidden', { configurable: true, get: () => arguments[0] });
document.dispatchEvent(new Event('visibilitychange'));"""
HIDE = f"((...arguments) => {{ {HIDE} }})(arguments[0])"


class Streams:
    """How many event streams are open, and how many were ever opened."""

    def __init__(self) -> None:
        self.open = 0
        self.ever = 0


@pytest.fixture
def streams(monkeypatch: pytest.MonkeyPatch) -> Streams:
    """Return the streams that the servers of this test have open."""
    counted = Streams()

    async def counting(request: web.Request, channel: Channel, headers: Mapping[str, str]) -> web.StreamResponse:
        counted.open += 1
        counted.ever += 1
        try:
            return await stream_channel(request, channel, headers)
        finally:
            counted.open -= 1

    monkeypatch.setattr("streams.web.api.stream_channel", counting)
    return counted


@pytest.fixture
def hall() -> Iterator[Hall]:
    """Return the screen of 2019 after its first order."""
    with Hall(DAY) as hall:
        hall.sell(700_00, DAY.start_ms)
        hall.commit(DAY.start_ms + 1_000)
        yield hall


@contextmanager
def tabs(browser: Browser, address: str, number: int) -> Iterator[list[str]]:
    """Open so many tabs of a page; close all but the first."""
    browser.driver.get(address)
    first = browser.driver.current_window_handle
    for _ in range(number - 1):
        browser.run("window.open(arguments[0])", address)
    try:
        yield browser.driver.window_handles
    finally:
        for handle in browser.driver.window_handles:
            if handle != first:
                browser.driver.switch_to.window(handle)
                browser.driver.close()
        browser.driver.switch_to.window(first)


def is_shown(browser: Browser, hero: str, hall: Hall) -> bool:
    hall.clock.advance(100)  # the server speaks once a second of its own clock
    return browser.text("hero") == hero


def has_none(streams: Streams, hall: Hall) -> bool:
    hall.clock.advance(100)  # a server notices that a client has gone when it speaks
    return streams.open == 0


def address(hall: Hall) -> str:
    return f"{hall.url}?lang=en&festival={DAY.id}"


def test_eight_tabs_show_the_newest_number_over_one_stream(browser: Browser, hall: Hall, streams: Streams) -> None:
    browser.media(prefers_reduced_motion="reduce")
    with tabs(browser, address(hall), TABS) as handles:
        assert len(handles) == TABS
        for yuan in (700, 1_700, 3_700):
            for handle in handles:
                browser.driver.switch_to.window(handle)
                browser.until(lambda sold=f"¥{yuan:,}": is_shown(browser, sold, hall), f"tab {handle} shows {yuan}", 20)  # type: ignore[misc]
            assert streams.open == 1
            hall.sell((1_000 if yuan == 700 else 2_000) * 100, DAY.start_ms + yuan)
            hall.commit(DAY.start_ms + 2_000)
        browser.until(
            lambda: browser.run("return document.querySelector('#running .line') !== null"), "a late tab draws"
        )
    assert streams.ever == 1


def test_a_stream_is_closed_when_its_pages_are_hidden(browser: Browser, hall: Hall, streams: Streams) -> None:
    with tabs(browser, address(hall), 2) as handles:
        for handle in handles:
            browser.driver.switch_to.window(handle)
            browser.until(lambda: is_shown(browser, "¥700", hall), "the page has loaded", 20)
        browser.run(HIDE, True)
        browser.driver.switch_to.window(handles[0])
        browser.until(lambda: is_shown(browser, "¥700", hall), "another page is seen", 20)
        assert streams.open == 1
        browser.run(HIDE, True)
        browser.until(lambda: has_none(streams, hall), "no page is seen", 60)
        hall.sell(300_00, DAY.start_ms + 5_000)
        hall.commit(DAY.start_ms + 6_000)
        browser.run(HIDE, False)
        browser.until(lambda: is_shown(browser, "¥1,000", hall), "a page that is seen again goes on", 20)
        assert streams.open == 1


@pytest.mark.long
def test_a_stream_is_closed_when_its_pages_are_left(browser: Browser, hall: Hall, streams: Streams) -> None:
    """The browser ends the worker that holds the stream when it likes: on a busy machine after more than a minute."""
    with tabs(browser, address(hall), 2) as handles:
        for handle in handles:
            browser.driver.switch_to.window(handle)
            browser.until(lambda: is_shown(browser, "¥700", hall), "the page has loaded", 20)
    browser.driver.get("about:blank")
    deadline = iter(range(1_200))
    while not has_none(streams, hall):
        assert next(deadline, None) is not None, "left pages close their stream"
        browser.driver.execute_async_script("setTimeout(arguments[0], 50)")


@contextmanager
def before_each_page(browser: Browser, script: str) -> Iterator[None]:
    """Run a script in each page before its own."""
    added = browser.driver.execute_cdp_cmd("Page.addScriptToEvaluateOnNewDocument", {"source": script})
    try:
        yield
    finally:
        browser.driver.execute_cdp_cmd("Page.removeScriptToEvaluateOnNewDocument", added)


@pytest.mark.parametrize(
    "missing",
    [
        "delete globalThis.SharedWorker",
        "globalThis.SharedWorker = class { constructor() { throw new DOMException('no', 'SecurityError'); } }",
        "globalThis.SharedWorker = class { constructor() { this.port = new MessageChannel().port1; } }",
    ],
    ids=["none", "forbidden", "dead"],
)
def test_a_browser_without_shared_workers_has_a_stream_a_page(
    browser: Browser, hall: Hall, streams: Streams, missing: str
) -> None:
    with before_each_page(browser, missing):
        browser.driver.get(address(hall))
        browser.until(lambda: is_shown(browser, "¥700", hall), "the page has loaded", 30)
        assert streams.open == 1
        browser.run(HIDE, True)
        browser.until(lambda: has_none(streams, hall), "the page is not seen", 10)


REFUSING = """globalThis.fetch = async () =>
    new Response(JSON.stringify(arguments[0]), { status: 503, headers: { 'Retry-After': '1' } });"""


@pytest.mark.parametrize(
    ("answer", "told"),
    [
        (
            {"error": "the ledger is being read", "loaded": False},
            "The server has read no committed total yet. These are the last totals known",
        ),
        ({"error": "too many visitors"}, "The server has too many visitors, trying again"),
    ],
    ids=["nothing read yet", "too many visitors"],
)
def test_a_server_that_has_no_answer_leaves_the_last_number_and_it_is_said(
    browser: Browser, hall: Hall, streams: Streams, answer: dict[str, object], told: str
) -> None:
    with before_each_page(browser, "delete globalThis.SharedWorker"):
        browser.driver.get(address(hall))
        browser.until(lambda: is_shown(browser, "¥700", hall), "the page has loaded", 30)
        browser.run(HIDE, True)
        browser.until(lambda: has_none(streams, hall), "the page is not seen", 10)
        browser.run(REFUSING, answer)
        browser.run(HIDE, False)
        browser.until(lambda: browser.text("state") == told, "it says what is so", 10)
        assert browser.run("return document.body.dataset.state") == "doubtful"
        assert browser.text("hero") == "¥700"
