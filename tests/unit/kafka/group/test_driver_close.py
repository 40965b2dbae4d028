"""What a driver does at the end of a partition: it writes why, closes what it opened, and waits for both."""

from __future__ import annotations

import asyncio
from typing import TYPE_CHECKING

from streams.engine import effects as fx
from streams.engine.crew import For
from streams.engine.judgement import Verdict
from streams.engine.status import HeldReason, PartitionState
from tests.unit.domain.samples import START_MS
from tests.unit.kafka.group.test_driver import GENERATION, PARTITION, Bench, until

if TYPE_CHECKING:
    from collections.abc import Collection

    import pytest


async def test_a_driver_has_closed_when_the_last_partition_is_held_back(monkeypatch: pytest.MonkeyPatch) -> None:
    """Else the source would be asked after it has gone."""
    bench = Bench()
    held_back = []

    async def hold_back(partition: int, topics: Collection[str]) -> None:
        for _ in range(10):
            await asyncio.sleep(0)
        held_back.append((partition, sorted(topics)))

    monkeypatch.setattr(bench.source, "hold_back", hold_back)
    await bench.start()
    bench.apply(0, 3)
    await bench.driver.close()
    assert bench.committed()["orders"] == 3
    assert held_back == [(3, ["orders", "payments"])] * len(held_back) != []
    assert not bench.driver._chores


async def test_a_note_says_since_when_the_partition_is_held_and_its_right_is_given_up() -> None:
    """By a right of its own where the takeover had none."""
    bench = Bench()
    bench.clock.advance(5_000)
    fenced = bench.store.fence
    closed: list[int] = []

    async def fence(partition: int, generation: str) -> object:
        store = await fenced(partition, generation)
        close = store.close

        async def closing() -> None:
            closed.append(partition)
            await close()

        store.close = closing  # type: ignore[method-assign]
        return store

    bench.store.fence = fence  # type: ignore[assignment, method-assign]
    verdict = Verdict(HeldReason.LOG_MISSING, "orders", "why")
    await bench.driver._leave_note(PARTITION, fx.LeaveNote(1, GENERATION, verdict, 3_000))
    written = bench.store.note(PARTITION, GENERATION)
    assert written is not None
    assert written.since_ms == START_MS + 2_000
    assert closed == [PARTITION]


async def test_requests_that_were_answered_are_forgotten() -> None:
    """A worker makes thousands of them a day."""
    bench = Bench()
    await bench.start()
    bench.apply(0, 3)
    bench.wake()
    await until(lambda: bench.committed()["orders"] == 3)
    await asyncio.sleep(0)
    assert not any(bench.driver._requests.values())
    await bench.driver.close()
    assert not any(bench.driver._requests.values())


async def test_a_request_under_way_is_broken_off_when_its_takeover_is_given_up(monkeypatch: pytest.MonkeyPatch) -> None:
    """Nobody waits for its answer any more."""
    bench = Bench()
    ended: list[str] = []

    async def fence(*_: object) -> None:
        ended.append("begun")
        try:
            await asyncio.Event().wait()
        finally:
            ended.append("broken off")

    monkeypatch.setattr(bench.store, "fence", fence)
    bench.deal()
    await until(lambda: ended == ["begun"])
    await asyncio.wait_for(bench.driver.close(), 5)
    assert ended == ["begun", "broken off"]
    assert bench.failures == []


async def test_an_answer_that_gives_its_own_takeover_up_is_heard_to_the_end() -> None:
    """The request whose answer it is must not be broken off by it."""
    bench = Bench()
    await bench.start()
    bench.store.fence_now(PARTITION, GENERATION)
    bench.apply(0, 3)
    bench.wake()
    await until(lambda: bench.status.snapshot().checkpoint_failures == 1)
    await until(lambda: bench.state is PartitionState.CONSUMING and bench.processor is not None)
    assert bench.failures == []
    await bench.driver.close()


async def test_a_driver_has_closed_when_what_it_gave_up_has_ended(monkeypatch: pytest.MonkeyPatch) -> None:
    """A request that takes its time to end would else speak to a source that is gone."""
    bench = Bench()
    steps: list[str] = []

    async def survey(*_: object) -> object:
        steps.append("asked")
        try:
            await asyncio.sleep(3_600)
        finally:
            for _turn in range(10):
                await asyncio.sleep(0)
            steps.append("ended")
        raise AssertionError

    monkeypatch.setattr(bench.source, "survey", survey)
    bench.deal()
    await until(lambda: steps == ["asked"])
    await bench.driver.close()
    assert steps == ["asked", "ended"]


async def test_what_a_partition_says_is_no_warning_unless_it_is_one(caplog: pytest.LogCaptureFixture) -> None:
    bench = Bench()
    caplog.set_level("INFO", logger="festival.worker")
    await bench.start()
    for said in (fx.Say("a thing to know"), fx.Say("a thing to mind", is_warning=True)):
        bench.driver._perform(For(PARTITION, said))
    levels = {record.message: record.levelname for record in caplog.records}
    assert (levels["a thing to know"], levels["a thing to mind"]) == ("INFO", "WARNING")
    await bench.driver.close()
