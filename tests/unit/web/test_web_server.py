"""Ports, the board that follows, and the server in a thread of its own."""

from __future__ import annotations

import asyncio
import json
import socket
import threading
import urllib.request
from typing import TYPE_CHECKING, Any

import pytest

from streams.board.view.live_board import COUNTED_TOPICS, LiveBoard
from streams.engine.clock import BrokerClock, ManualClock
from streams.engine.judgement import LogRange, Note, OpenTransaction, Sources, Standing, encode_note
from streams.engine.memory import CellLedger
from streams.engine.status import HeldReason
from streams.errors import UsageError
from streams.festivals import load_festivals
from streams.festivals.selection import choose_festival
from streams.web.ports import listen, url_of
from streams.web.server import ServerThread, serve_board
from tests.unit.domain.samples import IDENTITY

if TYPE_CHECKING:
    from collections.abc import Collection, Mapping, Sequence

    from streams.engine.ledger_view import FollowerDelta

FESTIVALS = load_festivals()
DAY = FESTIVALS["singles-day-2019"]


class MemoryFollower:
    """Hands over what a ledger in memory has, once it is told that the ledger was read."""

    def __init__(self, ledger: CellLedger) -> None:
        self.ledger = ledger
        self.clock = BrokerClock(ManualClock(DAY.end_ms))
        self.has_read = True
        self.is_reachable = True
        self.is_running = False
        self.asked = 0

    def start(self) -> None:
        self.is_running = True

    def drain(self) -> FollowerDelta | None:
        assert self.is_running
        return self.ledger.drain() if self.has_read else None

    async def survey(self, topics: Sequence[str], epochs: Mapping[tuple[str, int], int]) -> Sources:
        assert not epochs, "nothing of the day was read"
        self.asked += 1
        if not self.is_reachable:
            raise ConnectionError("planted")
        return Sources(dict.fromkeys(topics, 1), {(topic, 0): LogRange(0, 3, 5) for topic in topics}, 1, IDENTITY)

    async def open_transactions(self, places: Collection[Standing], now_ms: int) -> tuple[OpenTransaction, ...]:
        return tuple(OpenTransaction(*place, now_ms - 6_000) for place in places)

    async def stop(self) -> None:
        self.is_running = False


def a_ledger() -> CellLedger:
    ledger = CellLedger(1)
    ledger.add(0, DAY, "orders_by_second", ("CNY",), DAY.start_ms, orders=3)
    ledger.commit(0, {"orders": 3})
    return ledger


@pytest.fixture
def _quick(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("streams.board.view.live_board.LOAD_SECONDS", 0)
    monkeypatch.setattr("streams.board.view.live_board.KEEP_SECONDS", 0)
    monkeypatch.setattr("streams.board.view.live_board.LOOK_SECONDS", 0)


async def turns(count: int = 20) -> None:
    """Let the event loop go round."""
    for _ in range(count):
        await asyncio.sleep(0)


@pytest.mark.usefixtures("_quick")
async def test_the_board_shows_what_its_follower_hands_over_and_is_loaded_only_then() -> None:
    follower = MemoryFollower(a_ledger())
    follower.has_read = False
    board = LiveBoard(follower)
    running = asyncio.create_task(board.run())
    await turns()
    assert not board.is_loaded()
    assert not board.snapshot().is_complete
    follower.has_read = True
    await turns()
    assert board.is_loaded()
    assert board.snapshot().is_complete
    judgement = board.judgement()
    assert (judgement.is_complete, judgement.lag_records) == (True, 2 + 5 * (len(COUNTED_TOPICS) - 1))
    assert [(one.topic, one.offset) for one in judgement.open_transactions] == [("orders", 3)]
    note = Note(HeldReason.LOG_UNREADABLE, "orders", 9, "damaged")
    assert [one.since_ms for one in board.judgement({0: note}).held] == [9]
    follower.ledger.hold(0, encode_note(note))
    follower.ledger.commit(0, {"orders": 4})
    assert board.judgement().is_complete
    follower.ledger.hold(0, encode_note(note))
    assert [one.reason for one in board.judgement().held] == [HeldReason.LOG_UNREADABLE]
    follower.ledger.hold(0, b"{}")
    assert "another version" in board.judgement().held[0].detail
    running.cancel()
    await asyncio.gather(running, return_exceptions=True)
    assert not follower.is_running


@pytest.mark.usefixtures("_quick")
async def test_an_outage_leaves_what_was_seen_last_and_one_line_in_the_log(caplog: pytest.LogCaptureFixture) -> None:
    follower = MemoryFollower(a_ledger())
    board = LiveBoard(follower)
    running = asyncio.create_task(board.run())
    await turns()
    follower.is_reachable = False
    asked = follower.asked
    await turns()
    assert follower.asked > asked + 2
    assert board.judgement().is_complete
    assert [r.message for r in caplog.records] == ["the source topics cannot be looked at, trying on"]
    running.cancel()
    await asyncio.gather(running, return_exceptions=True)


def test_a_default_port_that_is_taken_gives_way_to_the_next_free_one() -> None:
    with listen("127.0.0.1", 0, is_explicit=True) as taken:
        port = taken.getsockname()[1]
        if port == 65_535:
            pytest.skip("the system gave out the last port")
        with listen("127.0.0.1", port, is_explicit=False) as found:
            assert found.getsockname()[1] > port
            assert url_of(found) == f"http://127.0.0.1:{found.getsockname()[1]}/"


def test_an_explicit_port_that_is_taken_is_refused() -> None:
    with listen("127.0.0.1", 0, is_explicit=True) as taken:
        port = taken.getsockname()[1]
        with pytest.raises(UsageError, match=f"--web-port: {port} on 127.0.0.1 is taken"):
            listen("127.0.0.1", port, is_explicit=True)


@pytest.mark.parametrize("host", ["192.0.2.1", "no such host"])
def test_an_address_that_is_not_ours_is_refused(host: str) -> None:
    with pytest.raises(UsageError, match="--web-host"):
        listen(host, 6066, is_explicit=False)


@pytest.mark.skipif(not socket.has_ipv6, reason="no IPv6 here")
def test_an_address_of_version_6_is_written_in_brackets() -> None:
    try:
        listener = listen("::1", 0, is_explicit=True)
    except UsageError:
        pytest.skip("no IPv6 here")
    with listener:
        assert url_of(listener).startswith("http://[::1]:")


def read(url: str) -> Any:  # noqa: ANN401
    with urllib.request.urlopen(url, timeout=10) as answer:  # noqa: S310 - our own server
        return json.load(answer)


def test_the_server_answers_from_its_thread_while_the_loop_of_the_worker_is_busy() -> None:
    listener = listen("127.0.0.1", 0, is_explicit=True)
    url = url_of(listener)
    follower = MemoryFollower(a_ledger())
    server = ServerThread(lambda: serve_board(listener, follower, FESTIVALS))
    server.start()
    try:
        while not follower.asked:
            read(url + "livez")
        assert read(url + f"api/totals?festival={DAY.id}")["orders"] == 3
    finally:
        server.stop()
    assert not follower.is_running
    assert "web" not in {thread.name for thread in threading.enumerate()}
    with pytest.raises(OSError, match="refused"):
        read(url + "livez")


def test_a_server_that_fails_ends_alone_and_says_so(caplog: pytest.LogCaptureFixture) -> None:
    async def fail() -> None:
        raise RuntimeError("planted")

    server = ServerThread(fail)
    server.start()
    server.stop()
    assert "the web server ended; counting goes on" in caplog.text


def test_the_festival_meant_is_the_running_one_then_one_with_data_then_the_latest() -> None:
    assert choose_festival(FESTIVALS, None, (), DAY.start_ms).id == DAY.id
    earlier = min(FESTIVALS.values(), key=lambda f: f.start_ms)
    assert choose_festival(FESTIVALS, None, {earlier.id}, DAY.end_ms * 2) == earlier
    latest = max(FESTIVALS.values(), key=lambda f: f.start_ms)
    assert choose_festival(FESTIVALS, None, (), DAY.end_ms * 2).start_ms == latest.start_ms
    assert choose_festival(FESTIVALS, DAY.id, (), 0) == DAY
    with pytest.raises(UsageError, match="not known; there are"):
        choose_festival(FESTIVALS, "x", (), 0)
    with pytest.raises(UsageError, match="none is known"):
        choose_festival({}, None, (), 0)
