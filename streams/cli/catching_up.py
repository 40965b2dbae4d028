"""Waiting until the committed totals cover a replay: the end of the demo, and of a rehearsal."""

from __future__ import annotations

import asyncio
from typing import TYPE_CHECKING

from streams.engine.clock import SystemClock
from streams.errors import FestivalError

if TYPE_CHECKING:
    import threading
    from collections.abc import Callable

    from streams.board.live import LiveBoard
    from streams.board.view import Snapshot
    from streams.cli.children import Workers
    from streams.replay.processes import Replayed

LOOK_SECONDS = 0.25
STALL_MS = 60_000
"""Without any progress for this long the workers are given up."""


class StalledError(FestivalError):
    """The workers do not get ahead."""

    exit_status = 3


async def catch_up(
    board: LiveBoard, workers: Workers, done: Replayed, stop: threading.Event, look: Callable[[int], None]
) -> None:
    """Return once everything that was acknowledged is committed, or `stop` is set.

    `look` is called with the records behind, four times a second and at the end. Raises `WorkerDiedError` and
    `StalledError`.
    """
    clock = SystemClock()
    before, since_ms = -1, clock.monotonic_ms()
    while not stop.is_set():
        workers.check()
        snapshot = board.snapshot()
        behind = _records_behind(snapshot, done)
        look(behind)
        if not behind and snapshot.is_complete:
            return
        if behind != before:
            before, since_ms = behind, clock.monotonic_ms()
        elif clock.monotonic_ms() - since_ms > STALL_MS:
            raise StalledError(f"{behind:,} records are not counted, and nothing has moved for {STALL_MS // 1000} s")
        await asyncio.sleep(LOOK_SECONDS)


def _records_behind(snapshot: Snapshot, done: Replayed) -> int:
    positions = snapshot.positions()
    return sum(
        max(0, end - positions.get(topic, {}).get(int(partition), 0))
        for topic, ends in done.tally["end_offsets"].items()
        for partition, end in ends.items()
    )
