"""What a worker's visitors may cost, and answers that are made once for all who ask."""

from __future__ import annotations

import asyncio
import gzip
import threading
import time
from typing import TYPE_CHECKING, Any

import pytest
from aiohttp import web
from aiohttp.test_utils import TestClient, TestServer

from streams.board.view.committed_view import CommittedView
from streams.engine.memory import CellLedger
from streams.engine.status import WorkerStatus
from streams.errors import UsageError
from streams.festivals import load_festivals
from streams.web.answers import KEPT_ANSWERS, SharedAnswers
from streams.web.api import application
from streams.web.shown import Shown
from streams.web.visitors import (
    OPERATIONS,
    REFUSAL_LONGEST_SECONDS,
    REFUSALS_PER_SECOND,
    SAVED_SECONDS,
    SCREENS_SECONDS,
    SHARE,
    Budget,
    Busy,
    timed,
)
from tests.unit.looks import judging
from tests.unit.web.served import served

if TYPE_CHECKING:
    from collections.abc import AsyncIterator

DAY = load_festivals()["singles-day-2019"]
Client = TestClient[web.Request, web.Application]


class Watch:
    """A clock that a test turns."""

    def __init__(self) -> None:
        self.seconds = 100.0

    def __call__(self) -> float:
        return self.seconds


class Board:
    """A board in memory that notes what is asked of it."""

    def __init__(self, status: WorkerStatus | None = None) -> None:
        self.ledger, self.view = CellLedger(1), CommittedView()
        self.ends = {"orders": {0: 9}}
        judge = judging(self.view.snapshot, lambda: self.ends)
        self.source = Shown({DAY.id: DAY}, self.view.snapshot, judge, status=status)
        self.made = 0
        self.may_go_on = threading.Event()
        self.may_go_on.set()
        self.commit()

    def commit(self) -> None:
        self.ledger.add(0, DAY, "orders_by_second", ("CNY",), DAY.start_ms, orders=1)
        self.ledger.commit(0, {"orders": 1})
        self.view.feed(self.ledger.drain())

    def make(self) -> dict[str, Any]:
        self.made += 1
        assert self.may_go_on.wait(30)
        return {"made": self.made, "long": "x" * 2_000}


@pytest.fixture
def board() -> Board:
    return Board()


@pytest.fixture
def watch() -> Watch:
    return Watch()


def test_in_any_ten_seconds_visitors_have_a_twentieth_of_a_core(watch: Watch) -> None:
    budget = Budget(watch)
    spent = 0.0
    for _ in range(10_000):
        if budget.has_for_screens():
            budget.spend(1_000_000)
            spent += 0.001
        watch.seconds += 0.001
    assert spent == pytest.approx(0.05 * 10, abs=0.002)
    assert pytest.approx(0.05 * 10) == SAVED_SECONDS + 10 * SHARE


def test_what_costs_more_than_there_is_must_be_saved_up_afterwards(watch: Watch) -> None:
    budget = Budget(watch)
    budget.spend(round((SAVED_SECONDS + 3) * 1e9))
    watch.seconds += (3 / SHARE) - 0.1
    assert not budget.has_for_screens()
    watch.seconds += 0.2
    assert budget.has_for_screens()
    assert not budget.has_for_questions(), "screens come first"
    watch.seconds += SCREENS_SECONDS / SHARE
    assert budget.has_for_questions()


def test_refusals_come_one_after_another_and_nobody_waits_for_long(watch: Watch) -> None:
    budget = Budget(watch)
    pauses = [budget.refusal_seconds() for _ in range(1_000)]
    assert pauses[:3] == pytest.approx([0, 1 / REFUSALS_PER_SECOND, 2 / REFUSALS_PER_SECOND])
    assert max(pauses) == REFUSAL_LONGEST_SECONDS
    watch.seconds += 60
    assert budget.refusal_seconds() == 0


async def test_a_coroutine_is_charged_for_its_own_steps_and_works_as_before() -> None:
    costs: list[int] = []

    async def work(*, fails: bool) -> str:
        began = time.thread_time()
        while time.thread_time() - began < 0.02:
            pass
        await asyncio.sleep(0.05)
        if fails:
            raise ValueError("planted")
        return "done"

    assert await timed(work(fails=False), costs.append) == "done"
    assert 0.02e9 <= sum(costs) < 0.05e9
    with pytest.raises(ValueError, match="planted"):
        await timed(work(fails=True), costs.append)
    task = asyncio.create_task(asyncio.wait_for(_wrapped(work(fails=False), costs), 0.03))
    with pytest.raises(TimeoutError):
        await task


async def _wrapped(work: Any, costs: list[int]) -> str:  # noqa: ANN401
    done: str = await timed(work, costs.append)
    return done


async def test_who_ask_for_the_same_at_once_have_one_answer_made(board: Board) -> None:
    answers = SharedAnswers(board.source)
    board.may_go_on.clear()
    asking = [asyncio.create_task(answers.get(("a",), board.make)) for _ in range(20)]
    await asyncio.sleep(0.05)
    asking.pop().cancel()
    board.may_go_on.set()
    found = await asyncio.gather(*asking)
    assert (board.made, len(set(map(id, found)))) == (1, 1), "who leaves does not take it from the others"
    assert await answers.get(("a",), board.make) is found[0]
    await answers.get(("b",), board.make)
    assert board.made == 2


async def test_an_answer_is_dropped_with_its_snapshot_and_with_the_ends_of_the_topics(board: Board) -> None:
    answers = SharedAnswers(board.source)
    for made in (1, 2, 3):
        for _ in range(3):
            await answers.get(("a",), board.make)
        assert board.made == made
        if made == 1:
            board.commit()
        else:
            board.ends = {"orders": {0: 10}}


async def test_answers_that_are_kept_are_bounded(board: Board, monkeypatch: pytest.MonkeyPatch) -> None:
    answers = SharedAnswers(board.source)
    for number in range(KEPT_ANSWERS + 50):
        await answers.get((number,), board.make)
    assert len(answers._answers) == KEPT_ANSWERS
    monkeypatch.setattr("streams.web.answers.KEPT_BYTES", 10_000)
    await answers.get(("one more",), board.make)
    assert len(answers._answers) == 4
    made = board.made
    await answers.get(("one more",), board.make)
    assert board.made == made, "the newest stays"


async def test_a_failure_is_everybodys_and_is_not_kept(board: Board) -> None:
    answers = SharedAnswers(board.source)

    def fail() -> dict[str, Any]:
        raise UsageError("planted")

    for _ in range(2):
        found = await asyncio.gather(*(answers.get(("a",), fail) for _ in range(3)), return_exceptions=True)
        assert [str(error) for error in found] == ["planted"] * 3
    assert (await answers.get(("a",), board.make)).body


async def test_an_answer_is_compressed_once_and_only_if_somebody_wants_it(board: Board) -> None:
    answers = SharedAnswers(board.source)
    assert not (await answers.get(("a",), board.make)).is_zipped
    zipped = await answers.get(("a",), board.make, is_zipped=True)
    assert zipped.is_zipped
    assert gzip.decompress(zipped.zipped) == zipped.body
    assert board.made == 1


async def test_beside_counting_one_answer_is_made_at_a_time_and_none_without_time_for_it(
    board: Board, watch: Watch
) -> None:
    budget = Budget(watch)
    answers = SharedAnswers(board.source, budget)
    board.may_go_on.clear()
    asking = [asyncio.create_task(answers.get((number,), board.make)) for number in range(3)]
    await asyncio.sleep(0.05)
    assert board.made == 1
    budget.spend(10**9)
    board.may_go_on.set()
    found = await asyncio.gather(*asking, return_exceptions=True)
    assert [isinstance(one, Busy) for one in found] == [False, True, True]


@pytest.fixture
async def client(board: Board, watch: Watch) -> AsyncIterator[tuple[Client, Budget]]:
    budget = Budget(watch)
    async with TestClient(TestServer(application(board.source, budget=budget))) as client:
        yield client, budget


@pytest.mark.parametrize("path", ["/", "/api/totals", "/api/series", "/api/stream", "/api/festivals", "/nothing"])
async def test_visitors_beyond_the_budget_are_told_to_come_back(
    client: tuple[Client, Budget], watch: Watch, path: str
) -> None:
    visitor, budget = client
    budget.spend(10**9)
    answer = await visitor.get(path)
    assert (answer.status, answer.headers["Retry-After"]) == (503, "1")
    assert "counts first" in (await answer.json())["error"]
    for operation in OPERATIONS:
        assert (await visitor.get(operation)).status == 200
    watch.seconds += 100
    async with visitor.get(path) as answer:
        assert answer.status in {200, 404}


async def test_requests_to_a_worker_are_charged_and_to_a_board_free() -> None:
    for status, refused in ((WorkerStatus(("orders",)), True), (None, False)):
        async with served(status=status) as here:
            visitor = await here.visit()
            statuses = set()
            for _ in range(3_000):
                visitor.send(b"GET /screen.css HTTP/1.1\r\nHost: localhost\r\n\r\n")
                head = await visitor.reader.readuntil(b"\r\n\r\n")
                statuses.add(int(head.split()[1]))
                if 503 in statuses:
                    break
                length = next(line for line in head.split(b"\r\n") if line.lower().startswith(b"content-length"))
                await visitor.reader.readexactly(int(length.split()[1]))
            assert (503 in statuses) is refused
