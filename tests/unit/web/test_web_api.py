"""The HTTP interface over a board in memory: documents, errors, readiness, the event stream."""

from __future__ import annotations

import asyncio
import itertools
import json
from typing import TYPE_CHECKING, Any

import pytest
from aiohttp import web
from aiohttp.test_utils import TestClient, TestServer
from prometheus_client.parser import text_string_to_metric_families

from streams.board.memory import MemoryLedger
from streams.board.view import CommittedView
from streams.engine.clock import ManualClock
from streams.engine.status import HeldReason, WorkerStatus
from streams.festivals import load_festivals
from streams.web.api import application
from streams.web.source import Source
from streams.web.stream import STOPPING, stream_totals

if TYPE_CHECKING:
    from collections.abc import AsyncIterator, Awaitable, Callable

FESTIVALS = load_festivals()
DAY = FESTIVALS["singles-day-2019"]
Client = TestClient[web.Request, web.Application]


class Counter:
    """A ledger, its view and what is served of it."""

    def __init__(self, status: WorkerStatus | None = None) -> None:
        self.ledger = MemoryLedger(1)
        self.view = CommittedView()
        self.ends = {"orders": {0: 9}}
        self.clock = ManualClock(DAY.start_ms)
        self.is_loaded = True
        self.source = Source(
            FESTIVALS,
            self.view.snapshot,
            lambda: self.ends,
            lambda: self.is_loaded,
            status,
            self.clock,
        )

    def count(self, orders: int, gross_minor: int = 0, at_ms: int = DAY.start_ms) -> None:
        """Count orders on one platform and commit."""
        for rollup, group in (("orders_by_second", ("CNY",)), ("orders_by_platform", ("tmall", "CNY"))):
            self.ledger.add(0, DAY, rollup, group, at_ms, orders=orders, gross_minor=gross_minor)
        self.ledger.commit(0, {"orders": 7}, {"orders": 1}, {"orders": at_ms})
        self.view.feed(self.ledger.drain())


@pytest.fixture
def counter() -> Counter:
    return Counter()


@pytest.fixture
async def client(counter: Counter) -> AsyncIterator[Client]:
    async with TestClient(TestServer(application(counter.source))) as client:
        yield client


async def got(client: Client, path: str, status: int = 200) -> Any:  # noqa: ANN401
    answer = await client.get(path)
    assert answer.status == status, await answer.text()
    assert answer.content_type == "application/json"
    assert answer.headers["Cache-Control"] == "no-store"
    return await answer.json()


async def test_totals_are_the_document_of_the_command_line(client: Client, counter: Counter) -> None:
    counter.count(3, 30_000)
    totals = await got(client, f"/api/totals?festival={DAY.id}&by=platform&top=1")
    assert totals == counter.source.totals(DAY, None, "platform", 1)
    assert (totals["orders"], totals["lag_records"], totals["complete"]) == (3, 2, True)
    assert totals["by"][0]["platform"] == "tmall"


async def test_totals_as_of_an_instant(client: Client, counter: Counter) -> None:
    counter.count(3)
    counter.count(4, at_ms=DAY.start_ms + 60_000)
    for at, orders in (("00:00:59", 3), ("2019-11-10T16:01:00Z", 7), ("2019-11-11T00:01:00%2B08:00", 7)):
        assert (await got(client, f"/api/totals?at={at}"))["orders"] == orders


async def test_totals_beyond_64_bits_arrive_in_full(client: Client, counter: Counter) -> None:
    counter.count(1, 2**70)
    assert (await got(client, "/api/totals"))["money"]["CNY"]["gross"] == 2**70


async def test_without_a_name_the_running_festival_is_shown(client: Client, counter: Counter) -> None:
    assert (await got(client, "/api/totals"))["festival"] == DAY.id
    counter.clock.advance(365 * 86_400_000)
    counter.count(1)
    assert (await got(client, "/api/totals"))["festival"] == DAY.id


@pytest.mark.parametrize(
    ("path", "sentence"),
    [
        ("/api/totals?festival=black-friday-1914", "'black-friday-1914' is not known; there are"),
        ("/api/totals?at=noon", "'noon' is no time"),
        ("/api/totals?at=00:00:30&by=platform", "kept per minute"),
        ("/api/totals?at=00:00:59&by=merchant", "for the whole festival only"),
        ("/api/totals?by=buyer", "no totals are kept by 'buyer'"),
        ("/api/totals?by=platform&top=0", "'0' is no number of rows"),
        ("/api/totals?by=platform&top=-1", "'-1' is no number of rows"),
        ("/api/totals?by=platform&top=%C2%B2", "is no number of rows"),
        ("/api/totals?top=3", "say by which dimension"),
        ("/api/totals?by=platform&by=market", "by: give one value"),
        ("/api/totals?festival=", "festival: give one value"),
        ("/api/totals?festval=x", "festval: no such parameter; /api/totals takes festival, at, by, top"),
        ("/api/series?measure=gmv", "'gmv' is not kept"),
        ("/api/series?measure=gross", "gross is money"),
        ("/api/series?step=day", "'day' is none"),
        ("/api/stream?festival=x", "'x' is not known"),
    ],
)
async def test_a_bad_parameter_is_400_with_a_sentence(client: Client, path: str, sentence: str) -> None:
    assert sentence in (await got(client, path, 400))["error"]


async def test_an_unknown_path_and_another_method_are_told_as_json(client: Client) -> None:
    assert "nothing at /api/nothing" in (await got(client, "/api/nothing", 404))["error"]
    answer = await client.post("/api/totals")
    assert (answer.status, answer.headers["Allow"]) == (405, "GET, HEAD")
    assert "POST is not served" in (await answer.json())["error"]


async def test_a_failure_of_ours_is_500_and_in_the_log(
    client: Client, counter: Counter, caplog: pytest.LogCaptureFixture
) -> None:
    def fail() -> Any:  # noqa: ANN401
        raise RuntimeError("planted")

    counter.source.snapshot = fail
    assert "its log says why" in (await got(client, "/api/totals", 500))["error"]
    assert "planted" in caplog.text


async def test_series(client: Client, counter: Counter) -> None:
    counter.count(3)
    hours = await got(client, f"/api/series?festival={DAY.id}&measure=orders&step=hour")
    assert hours["values"] == [3, *[0] * 23]
    assert (await got(client, "/api/series"))["step_ms"] == 60_000


async def test_a_process_is_live_as_soon_as_it_answers(client: Client) -> None:
    assert await got(client, "/livez") == {"status": "up"}


async def test_a_board_is_ready_once_it_has_read_the_ledger(client: Client, counter: Counter) -> None:
    assert (await got(client, "/readyz"))["ready"] is True
    counter.is_loaded = False
    assert "not read up to its end" in (await got(client, "/readyz", 503))["reason"]


async def test_a_worker_is_ready_as_its_status_says_and_a_held_partition_makes_totals_incomplete() -> None:
    status = WorkerStatus(("orders",))
    counter = Counter(status)
    counter.count(1)
    async with TestClient(TestServer(application(counter.source))) as client:
        assert "not joined" in (await got(client, "/readyz", 503))["reason"]
        status.assigned([0], 0)
        status.consuming(0)
        assert await got(client, "/readyz") == {"ready": True, "reason": "counting 1 partitions"}
        assert (await got(client, "/api/totals"))["complete"] is True
        status.held(0, HeldReason.BEYOND_END, "offset 5 of orders is beyond the end")
        assert "partition 0 is held (beyond_end)" in (await got(client, "/readyz", 503))["reason"]
        assert (await got(client, "/api/totals"))["complete"] is False
        metrics = await (await client.get("/metrics")).text()
        assert 'streams_partition_held{partition="0",reason="beyond_end"} 1.0' in metrics


async def test_metrics_are_what_prometheus_reads(client: Client, counter: Counter) -> None:
    counter.count(3)
    answer = await client.get("/metrics")
    assert answer.headers["Content-Type"].startswith("text/plain; version=0.0.4")
    shown = {m.name: m for m in text_string_to_metric_families(await answer.text())}
    orders = {s.labels["festival"]: s.value for s in shown["festival_orders"].samples}
    assert orders == {**dict.fromkeys(FESTIVALS, 0), DAY.id: 3}
    answer = await client.get("/metrics", headers={"Accept": "application/openmetrics-text; version=1.0.0"})
    assert answer.headers["Content-Type"].startswith("application/openmetrics-text; version=1.0.0")
    assert (await answer.text()).endswith("# EOF\n")


@pytest.mark.parametrize(
    ("path", "content_type"),
    [
        ("/", "text/html"),
        ("/board.css", "text/css"),
        ("/board.js", "text/javascript"),
        ("/favicon.svg", "image/svg+xml"),
    ],
)
async def test_the_page_needs_nothing_from_elsewhere(client: Client, path: str, content_type: str) -> None:
    answer = await client.get(path)
    text = await answer.text()
    assert (answer.status, answer.content_type) == (200, content_type)
    assert "'unsafe-inline'" not in answer.headers["Content-Security-Policy"]
    assert "script-src 'self'" in answer.headers["Content-Security-Policy"]
    assert "style=" not in text
    assert "https://" not in text
    assert "<script>" not in text


async def next_event(answer: Any) -> tuple[str, Any]:  # noqa: ANN401
    """Return the next event of a stream: its name and its data."""
    name = (await answer.content.readline()).decode().removeprefix("event: ").strip()
    data = (await answer.content.readline()).decode().removeprefix("data: ")
    assert await answer.content.readline() == b"\n"
    return name, json.loads(data)


async def test_the_stream_sends_totals_when_they_change(client: Client, counter: Counter) -> None:
    counter.count(1)
    async with client.get("/api/stream") as answer:
        assert answer.content_type == "text/event-stream"
        name, totals = await next_event(answer)
        assert (name, totals["orders"], totals["by"][0]["platform"]) == ("totals", 1, "tmall")
        counter.count(1)
        assert (await next_event(answer))[1]["orders"] == 2
        counter.ends = {"orders": {0: 20}}
        assert (await next_event(answer))[1]["lag_records"] == 13


async def test_all_listeners_share_one_document_until_something_changes(counter: Counter) -> None:
    counter.count(1)
    first = counter.source.newest(DAY)
    assert counter.source.newest(DAY) is first
    counter.ends = {"orders": {0: 9}}
    assert counter.source.newest(DAY) is first
    counter.count(1)
    assert counter.source.newest(DAY) != first


def streaming(handle: Callable[[web.Request], Awaitable[web.StreamResponse]]) -> TestServer:
    """Return a server of one event stream."""
    app = web.Application()
    app[STOPPING] = asyncio.Event()
    app.router.add_get("/", handle)
    return TestServer(app)


async def test_a_listener_that_does_not_read_is_dropped() -> None:
    turns = itertools.count()
    dropped = asyncio.Event()

    async def handle(request: web.Request) -> web.StreamResponse:
        try:
            return await stream_totals(
                request, lambda: b"%d" % next(turns) * 200_000, {}, interval_seconds=0.001, slow_seconds=0.1
            )
        finally:
            dropped.set()

    async with streaming(handle) as server:
        reader, writer = await asyncio.open_connection(server.host, server.port, limit=1)
        writer.write(b"GET / HTTP/1.1\r\nHost: x\r\n\r\n")
        await asyncio.wait_for(dropped.wait(), 30)
        with pytest.raises((ConnectionResetError, asyncio.IncompleteReadError)):
            await reader.readexactly(1 << 30)
        writer.close()


async def test_a_quiet_stream_shows_that_it_lives() -> None:
    async def handle(request: web.Request) -> web.StreamResponse:
        return await stream_totals(request, lambda: b"{}", {}, interval_seconds=0.001, heartbeat_seconds=0.005)

    async with TestClient(streaming(handle)) as client, client.get("/") as answer:
        assert await next_event(answer) == ("totals", {})
        assert await next_event(answer) == ("alive", {})
        assert await next_event(answer) == ("alive", {})


async def test_a_stopping_server_does_not_wait_for_its_listeners(counter: Counter) -> None:
    counter.count(1)
    server = TestServer(application(counter.source))
    client = TestClient(server)
    await client.start_server()
    answer = await client.get("/api/stream")
    await next_event(answer)
    async with asyncio.timeout(3):
        await server.close()
    answer.close()
    await client.close()
