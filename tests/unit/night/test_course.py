"""The steps that the demo and a rehearsal share: what ends a wait, and what is said of a load that is not counted."""

from __future__ import annotations

import threading
from dataclasses import dataclass, field
from typing import Any

import pytest

from streams.engine.clock import ManualClock
from streams.night import course
from streams.night.course import STALL_SECONDS, Night, StalledError
from streams.replay.processes import Replayed

ENDS = {"orders": {"0": 10, "1": 5}, "payments": {"0": 3}}


@dataclass
class Snapshots:
    """A board that stands at one position after the other, the last one for ever; each look takes time."""

    clock: ManualClock
    orders: list[int]
    is_complete: bool = True

    def snapshot(self) -> Snapshots:
        self.clock.advance(1_000)
        return self

    def positions(self) -> dict[str, dict[int, int]]:
        position = self.orders.pop(0) if len(self.orders) > 1 else self.orders[0]
        return {"orders": {0: position, 1: 99}, "payments": {0: 3}}


@dataclass
class Workers:
    """Workers that live, until one is said to be dead."""

    death: Exception | None = None
    checked: int = field(default=0)

    def check(self) -> None:
        self.checked += 1
        if self.death is not None:
            raise self.death


@pytest.fixture(autouse=True)
def no_pauses(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(course, "LOOK_SECONDS", 0.0)


def night(*orders: int, death: Exception | None = None, is_complete: bool = True) -> Night:
    clock = ManualClock()
    parts: Any = {"settings": None, "festivals": (), "festival": None, "load": None}
    board: Any = Snapshots(clock, [*orders], is_complete)
    workers: Any = Workers(death)
    return Night(**parts, workers=workers, board=board, stop=threading.Event(), clock=clock)


def done(error: str | None = None) -> Replayed:
    tally: Any = {"end_offsets": ENDS}
    return Replayed(tally, 0, 0, 0, 0, is_interrupted=False, error=error)


async def test_it_waits_until_every_acknowledged_record_is_committed() -> None:
    behind: list[int] = []
    assert await night(0, 4, 10).until_covered(done(), behind.append)
    assert behind == [10, 6, 0], "partitions that are ahead make up for none that is behind"


async def test_records_that_nobody_counts_are_told_with_their_number() -> None:
    with pytest.raises(StalledError, match="3 records are not counted, and nothing has moved for 60 s"):
        await night(7).until_covered(done(), course.ignore)


async def test_covered_is_not_complete() -> None:
    with pytest.raises(StalledError, match="0 records are not counted"):
        await night(10, is_complete=False).until_covered(done(), course.ignore)


async def test_what_kafka_did_not_take_is_told_once_the_rest_is_counted() -> None:
    behind: list[int] = []
    with pytest.raises(StalledError, match="Kafka did not take all events: gone"):
        await night(9, 10).until_covered(done("gone"), behind.append)
    assert behind == [1, 0]


async def test_who_is_stopped_asks_for_nothing_more() -> None:
    stopped = night(7, death=AssertionError("is not asked"))
    stopped.stop.set()
    assert not await stopped.until_covered(done("gone"), course.ignore)
    await stopped.until_stopped()
    await stopped.until(stopped.is_counting, "never")


async def test_a_worker_that_died_ends_every_wait() -> None:
    class DiedError(Exception):
        pass

    dead = night(7, death=DiedError(), is_complete=False)
    for wait in (dead.until_covered(done(), course.ignore), dead.until_stopped(), dead.until(dead.is_counting, "")):
        with pytest.raises(DiedError):
            await wait


async def test_a_wait_has_a_limit_and_says_what_for() -> None:
    slow = night(7, is_complete=False)
    with pytest.raises(StalledError, match="no worker counts after 60 s"):
        await slow.until(slow.is_counting, "no worker counts after", look_seconds=0)
    assert slow.clock.monotonic_ms() == (STALL_SECONDS + 1) * 1_000
