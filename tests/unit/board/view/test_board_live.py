"""The live board follows a ledger in memory: what it shows, what it may say of it, and what it does in an outage."""

from __future__ import annotations

import asyncio
from typing import TYPE_CHECKING

import pytest

from streams.board.view import live_board as module
from streams.board.view.live_board import COUNTED_TOPICS, LiveBoard
from streams.engine.clock import BrokerClock, ManualClock
from streams.engine.judgement import LogRange, Note, OpenTransaction, Sources, standing
from streams.engine.ledger_view import FollowerDelta
from streams.engine.memory import CellLedger
from streams.engine.status import HeldReason
from streams.festivals import load_festivals
from tests.unit.domain.samples import IDENTITY

if TYPE_CHECKING:
    from collections.abc import AsyncIterator, Collection, Mapping, Sequence

    from streams.board.view.committed_view import Delta
    from streams.engine.judgement import Standing

DAY = load_festivals()["singles-day-2019"]
NOW_MS = DAY.start_ms


def sources_of(end: int) -> Sources:
    """Return one partition whose orders go to `end`; the other topics are empty."""
    ranges = {(topic, 0): LogRange(0, 0, 0) for topic in COUNTED_TOPICS}
    ranges["orders", 0] = LogRange(0, end, end)
    return Sources(dict.fromkeys(COUNTED_TOPICS, 1), ranges, 1, IDENTITY)


class Follower:
    """Hands over what a ledger in memory has, and what the test says of the sources."""

    def __init__(self, ledger: CellLedger) -> None:
        self.ledger = ledger
        self.own = ManualClock(NOW_MS)
        self.clock = BrokerClock(self.own)
        self.sources = sources_of(5)
        self.opened: tuple[OpenTransaction, ...] = ()
        self.error: Exception | None = None
        self.is_running = False
        self.asked: list[object] = []

    def start(self) -> None:
        self.is_running = True

    def drain(self) -> Delta | None:
        delta = self.ledger.drain()
        assert delta is None or isinstance(delta, FollowerDelta)
        return delta

    async def survey(self, topics: Sequence[str], epochs: Mapping[tuple[str, int], int]) -> Sources:
        assert not epochs, "cells were added, and no batch was read"
        self.asked.append(topics)
        if self.error is not None:
            raise self.error
        return self.sources

    async def open_transactions(self, places: Collection[Standing], now_ms: int) -> tuple[OpenTransaction, ...]:
        self.asked.append((places, now_ms))
        if self.error is not None:
            raise self.error
        return self.opened

    async def stop(self) -> None:
        self.is_running = False


class Bench:
    """A board over one partition in which three orders were counted."""

    def __init__(self) -> None:
        self.ledger = CellLedger(1)
        self.follower = Follower(self.ledger)
        self.clock = self.follower.own
        self.board = LiveBoard(self.follower)

    def count(self, offset: int) -> None:
        self.ledger.add(0, DAY, "orders_by_second", ("CNY",), DAY.start_ms, orders=1)
        self.ledger.commit(0, {topic: offset if topic == "orders" else 0 for topic in COUNTED_TOPICS})


@pytest.fixture
def bench() -> Bench:
    made = Bench()
    made.count(3)
    return made


@pytest.fixture
async def running(bench: Bench, monkeypatch: pytest.MonkeyPatch) -> AsyncIterator[Bench]:
    """Return a bench whose board runs without pauses."""
    for name in ("LOAD_SECONDS", "KEEP_SECONDS", "LOOK_SECONDS"):
        monkeypatch.setattr(module, name, 0)
    task = asyncio.create_task(bench.board.run())
    yield bench
    task.cancel()
    await asyncio.gather(task, return_exceptions=True)
    assert not bench.follower.is_running


async def turns() -> None:
    for _ in range(20):
        await asyncio.sleep(0)


def test_a_board_shows_what_its_follower_has_read_by_now(bench: Bench) -> None:
    assert not bench.board.is_loaded()
    first = bench.board.snapshot()
    assert bench.board.is_loaded()
    assert first.committed[0]["orders"] == 3
    bench.count(4)
    assert bench.board.snapshot().committed[0]["orders"] == 4
    assert first.committed[0]["orders"] == 3


async def test_without_a_look_at_the_sources_nothing_is_called_complete(bench: Bench) -> None:
    assert not bench.board.judgement().is_complete
    assert bench.board.contacted_ms() is None


async def test_a_look_names_the_topics_and_the_places_that_stand_still(bench: Bench) -> None:
    await bench.board._look()
    committed = bench.board.snapshot().cursors
    assert bench.follower.asked == [COUNTED_TOPICS, (standing(bench.follower.sources, committed), NOW_MS)]
    assert bench.board.contacted_ms() == NOW_MS
    assert bench.board.judgement().is_complete


async def test_the_same_snapshot_and_look_are_judged_once(bench: Bench) -> None:
    await bench.board._look()
    judged = bench.board.judgement()
    assert bench.board.judgement() is judged
    await bench.board._look()
    assert bench.board.judgement() is not None


async def test_a_note_of_this_process_counts_beside_the_ledgers(bench: Bench) -> None:
    await bench.board._look()
    assert bench.board.judgement().held == ()
    own = {0: Note(HeldReason.LEDGER_UNREADABLE, None, NOW_MS, "why")}
    judged = bench.board.judgement(own)
    assert [(held.partition, held.reason, held.since_ms) for held in judged.held] == [
        (0, HeldReason.LEDGER_UNREADABLE, NOW_MS)
    ]
    assert not judged.is_complete
    assert bench.board.judgement().held == ()


async def test_a_position_that_went_on_after_the_look_is_not_beyond_the_end(bench: Bench) -> None:
    """What was committed is taken before the ends are asked for."""
    bench.follower.sources = sources_of(3)
    await bench.board._look()
    bench.count(9)
    assert bench.board.judgement().held == ()
    await bench.board._look()
    assert [held.reason for held in bench.board.judgement().held] == [HeldReason.BEYOND_END]


async def test_transactions_seen_last_stay_while_the_broker_does_not_answer(bench: Bench) -> None:
    opened = OpenTransaction("orders", 0, 3, NOW_MS)
    bench.follower.opened = (opened,)
    await bench.board._look()
    bench.follower.opened = ()

    async def away(*_: object) -> tuple[OpenTransaction, ...]:
        raise OSError("away")

    bench.follower.open_transactions = away  # type: ignore[assignment, method-assign]
    with pytest.raises(OSError, match="away"):
        await bench.board._look()
    looked = bench.board._looked
    assert looked is not None
    assert looked[2] == (opened,)


async def test_a_board_that_nobody_looks_at_follows_all_the_same(running: Bench) -> None:
    await turns()
    assert running.follower.is_running
    assert running.board.is_loaded()
    assert running.board.contacted_ms() == NOW_MS
    running.clock.advance(5_000)
    await turns()
    assert running.board.contacted_ms() == NOW_MS + 5_000


async def test_an_outage_leaves_what_was_seen_last_and_one_line_in_the_log(
    running: Bench, caplog: pytest.LogCaptureFixture
) -> None:
    """And one line for each outage."""
    await turns()
    for outage in (1, 2):
        running.follower.error = OSError("away")
        await turns()
        running.clock.advance(1_000)
        await turns()
        assert running.board.contacted_ms() == NOW_MS + (outage - 1) * 1_000
        assert caplog.text.count("the source topics cannot be looked at") == outage
        running.follower.error = None
        await turns()
        assert running.board.contacted_ms() == NOW_MS + outage * 1_000


async def test_a_board_that_was_never_loaded_does_not_complain(
    bench: Bench, monkeypatch: pytest.MonkeyPatch, caplog: pytest.LogCaptureFixture
) -> None:
    """The command that started it tells that it waits."""
    monkeypatch.setattr(module, "LOOK_SECONDS", 0)
    monkeypatch.setattr(bench.follower, "drain", lambda: None)
    bench.follower.error = OSError("away")
    task = asyncio.create_task(bench.board._watch_sources())
    await turns()
    task.cancel()
    await asyncio.gather(task, return_exceptions=True)
    assert not caplog.records
    assert not bench.board.is_loaded()


async def test_what_is_learnt_of_the_brokers_time_does_not_change_how_long_ago_kafka_answered(running: Bench) -> None:
    await turns()
    running.follower.error = OSError("away")
    running.clock.advance(2_000)
    board = running.board
    assert board.contacted_ms() == board.clock.now_ms() - 2_000
    board.clock.appended(NOW_MS + 3_600_000)
    assert board.clock.now_ms() == NOW_MS + 3_600_000
    assert board.contacted_ms() == board.clock.now_ms() - 2_000
