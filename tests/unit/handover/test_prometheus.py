"""What is asked of a Prometheus, and what becomes of its answers."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

import pytest
from aiohttp import web

from streams.errors import UnreachableError
from streams.handover.incidents import Alert, Gap
from streams.handover.prometheus import ALERTS, CHECKPOINTS, LAGS, STRETCH_MS, read_incidents
from streams.web.ports import listen, url_of

if TYPE_CHECKING:
    from collections.abc import AsyncIterator, Callable

NOW = 1_795_000_000_000
Answer = dict[str, Any] | str


class Server:
    """Answers every query by a function of it, and keeps what it was asked."""

    def __init__(self) -> None:
        self.asked: list[dict[str, str]] = []
        self.answer: Callable[[str], Answer] = lambda _: success([])
        self.url = ""

    async def handle(self, request: web.Request) -> web.Response:
        query = {name: str(value) for name, value in (await request.post()).items()}
        self.asked.append(query)
        answer = self.answer(query["query"])
        return web.Response(text=answer) if isinstance(answer, str) else web.json_response(answer)


def success(result: list[Any]) -> Answer:
    return {"status": "success", "data": {"resultType": "matrix", "result": result}}


def series(labels: dict[str, str], *samples: tuple[int, float]) -> dict[str, Any]:
    return {"metric": labels, "values": [[NOW / 1000 + second, str(value)] for second, value in samples]}


@pytest.fixture
async def server() -> AsyncIterator[Server]:
    server = Server()
    app = web.Application()
    app.router.add_post("/prefix/api/v1/query", server.handle)
    runner = web.AppRunner(app)
    await runner.setup()
    listener = listen("127.0.0.1", 0, is_explicit=True)
    await web.SockSite(runner, listener).start()
    server.url = f"{url_of(listener)}prefix"
    yield server
    await runner.cleanup()


async def test_raw_samples_become_incidents(server: Server) -> None:
    def answer(query: str) -> Answer:
        if query.startswith(ALERTS):
            return success([series({"alertname": "Down", "severity": "page"}, (5, 1), (10, 1))])
        if query.startswith(CHECKPOINTS):
            return success([series({"instance": "a"}, (0, 1), (5, 2), (30, 2), (35, 3))])
        return success([series({"instance": "a"}, (10, 4), (20, 7))])

    server.answer = answer
    incidents = await read_incidents(server.url, NOW, NOW + 60_000)
    assert incidents.alerts == [Alert("Down", "page", NOW + 5_000, NOW + 10_000)]
    assert incidents.gaps == [Gap(NOW + 5_000, NOW + 30_000, 7)]
    assert incidents.has_checkpoints
    assert [query["query"] for query in server.asked] == [f"{one}[60000ms]" for one in (ALERTS, CHECKPOINTS, LAGS)]
    assert {query["time"] for query in server.asked} == {f"{(NOW + 60_000) / 1000:.3f}"}


async def test_a_long_time_is_asked_for_in_stretches_and_no_sample_counts_twice(server: Server) -> None:
    server.answer = lambda query: success(
        [series({"instance": "a"}, (0, 1), (5, 2))] if query.startswith(CHECKPOINTS) else []
    )
    incidents = await read_incidents(server.url, NOW, NOW + STRETCH_MS + 1_000)
    assert len(server.asked) == 6
    assert incidents.gaps == []
    assert (await read_incidents(server.url, NOW, NOW + 1_000)).has_checkpoints


async def test_a_server_without_checkpoints_knows_of_no_gaps(server: Server) -> None:
    assert not (await read_incidents(server.url, NOW, NOW + 1_000)).has_checkpoints


@pytest.mark.parametrize(
    ("answer", "sentence"),
    [
        ("<html>", "not as a Prometheus does"),
        ({"status": "error", "error": "too many samples"}, "refuses: too many samples"),
        ({"status": "success", "data": {"result": [{"metric": 1}]}}, "not as a Prometheus does"),
    ],
)
async def test_what_is_no_answer_is_told(server: Server, answer: Answer, sentence: str) -> None:
    server.answer = lambda _: answer
    with pytest.raises(UnreachableError, match=sentence):
        await read_incidents(server.url, NOW, NOW + 1_000)
