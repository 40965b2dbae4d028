"""The course of a night: workers and a board of its own, the load, the catch-up, the audit.

The demo and a rehearsal are nights: each takes these steps in its order, between steps of its own.
"""

from __future__ import annotations

import asyncio
import threading
from contextlib import asynccontextmanager
from dataclasses import dataclass, field
from decimal import Decimal
from typing import TYPE_CHECKING, Any, Final

from streams.audit.procedure import run_audit
from streams.audit.recorded import record_audit
from streams.board.answers.totals import totals_document
from streams.engine.clock import Clock, SystemClock
from streams.errors import FestivalError
from streams.replay.processes import replay
from streams.replay.sender import Sending

if TYPE_CHECKING:
    from collections.abc import AsyncIterator, Awaitable, Callable
    from fractions import Fraction

    from streams.audit.result import AuditResult
    from streams.board.view.committed_view import Snapshot
    from streams.board.view.live_board import LiveBoard
    from streams.domain.festivals import Festival
    from streams.night.workers import Workers
    from streams.replay.load import Load
    from streams.replay.processes import Replayed
    from streams.settings import Settings

SHARES: Final = {
    "duplicates": Decimal("0.002"),
    "late": Decimal("0.001"),
    "poison": Decimal("0.0005"),
    "cancel": Decimal("0.01"),
}
"""Few enough not to disturb the picture, enough to be seen told apart."""
LOOK_SECONDS: Final = 0.25
STALL_SECONDS: Final = 60
"""Without any progress for this long the workers are given up."""


class StalledError(FestivalError):
    """The workers do not get ahead, or Kafka did not take the load."""

    exit_status = 3


def ignore(_report: object) -> None:
    """Look at nothing."""


@dataclass(frozen=True)
class Night:
    """One festival, counted by workers of its own.

    Call order: within `opened`: `workers.start`, `until`, `send`, `until_covered`, `audit`.
    Each step looks after the workers: it raises `WorkerDiedError` when one has ended.
    """

    settings: Settings
    festivals: tuple[Festival, ...]
    """All that the tally counts for."""
    festival: Festival
    load: Load
    workers: Workers
    board: LiveBoard
    stop: threading.Event
    """Set from outside to end the night early; every step then returns soon."""
    clock: Clock = field(default_factory=SystemClock)

    def document(self, by: str | None = None) -> dict[str, Any]:
        """Return the committed totals."""
        return totals_document(self.board.snapshot(), self.festival, by=by, judgement=self.board.judgement())

    @asynccontextmanager
    async def opened(self) -> AsyncIterator[None]:
        """Let the board follow the ledger while the block runs; end workers and board after it."""
        following = asyncio.create_task(self.board.run())
        try:
            yield
        finally:
            self.stop.set()
            await asyncio.to_thread(self.workers.stop)
            following.cancel()
            await asyncio.gather(following, return_exceptions=True)

    async def until(
        self,
        is_so: Callable[[], Awaitable[bool]],
        problem: str,
        *,
        limit_seconds: int = STALL_SECONDS,
        look_seconds: float = LOOK_SECONDS,
    ) -> None:
        """Return once `is_so`, or when stopped; raises `StalledError` of the problem after `limit_seconds`."""
        limit_ms = self.clock.monotonic_ms() + limit_seconds * 1000
        while not self.stop.is_set() and not await is_so():
            self.workers.check()
            if self.clock.monotonic_ms() > limit_ms:
                raise StalledError(f"{problem} {limit_seconds} s")
            await asyncio.sleep(look_seconds)

    async def is_counting(self) -> bool:
        """Return whether each partition has been taken over."""
        return self.board.snapshot().is_complete

    async def send(
        self,
        speed: Fraction,
        *,
        processes: int = 1,
        seconds: float | None = None,
        report: Callable[[int], None] = ignore,
        look: Callable[[], None],
    ) -> Replayed:
        """Send the load, or its first `seconds`; `look` is called four times a second meanwhile."""
        ended = threading.Event()
        sending = Sending(self.settings, self.festivals, speed)
        task = asyncio.create_task(
            asyncio.to_thread(replay, self.load, sending, processes=processes, report=report, stop=ended)
        )
        limit_ms = None if seconds is None else self.clock.monotonic_ms() + int(seconds * 1000)
        try:
            while not task.done():
                self.workers.check()
                look()
                if self.stop.is_set() or (limit_ms is not None and self.clock.monotonic_ms() >= limit_ms):
                    ended.set()
                await asyncio.wait([task], timeout=LOOK_SECONDS)
            return await task
        finally:
            ended.set()
            await asyncio.gather(task, return_exceptions=True)

    async def until_covered(self, done: Replayed, look: Callable[[int], None]) -> bool:
        """Return True once everything that was acknowledged is committed, False when stopped.

        `look` is called with the records behind, four times a second and at the end. Raises `StalledError` where
        nothing moves, and where Kafka did not take all.
        """
        before, since_ms = -1, self.clock.monotonic_ms()
        while not self.stop.is_set():
            self.workers.check()
            snapshot = self.board.snapshot()
            behind = _records_behind(snapshot, done)
            look(behind)
            if not behind and snapshot.is_complete:
                break
            if behind != before:
                before, since_ms = behind, self.clock.monotonic_ms()
            elif self.clock.monotonic_ms() - since_ms > STALL_SECONDS * 1000:
                raise StalledError(f"{behind:,} records are not counted, and nothing has moved for {STALL_SECONDS} s")
            await asyncio.sleep(LOOK_SECONDS)
        if self.stop.is_set():
            return False
        if done.error is not None:
            raise StalledError(f"Kafka did not take all events: {done.error}")
        return True

    async def until_stopped(self) -> None:
        """Return when stopped from outside."""
        while not self.stop.is_set():
            self.workers.check()
            await asyncio.sleep(LOOK_SECONDS)

    async def audit(self, say: Callable[[str], None]) -> AuditResult:
        """Count the topics again, by other code."""
        say("auditing: counting the topics again by another way")
        result = await run_audit(self.settings)
        await record_audit(self.settings, result, say)
        return result


def _records_behind(snapshot: Snapshot, done: Replayed) -> int:
    positions = snapshot.positions()
    return sum(
        max(0, end - positions.get(topic, {}).get(int(partition), 0))
        for topic, ends in done.tally["end_offsets"].items()
        for partition, end in ends.items()
    )
