"""The live board: a view of what a follower of the ledger has read, made up to date when somebody looks.

Runs in one event loop; its readers may be in any thread.
"""

from __future__ import annotations

import asyncio
import logging
import threading
from collections.abc import Iterable, Mapping
from typing import TYPE_CHECKING, Protocol

from streams.board.view import CommittedView
from streams.domain.rollups import ROLLUPS
from streams.engine.clock import SystemClock

if TYPE_CHECKING:
    from streams.board.view import Delta, Snapshot
    from streams.engine.clock import Clock

_log = logging.getLogger("festival.board")

EndOffsets = Mapping[str, Mapping[int, int]]
"""Topic → partition → end offset."""
COUNTED_TOPICS = tuple(dict.fromkeys(rollup.fact for rollup in ROLLUPS))
"""Topics that some rollup counts; what lies in others is no lag."""
LOAD_SECONDS = 0.1
"""How often the follower is asked until it has read the ledger."""
KEEP_SECONDS = 2.0
"""How often afterwards, when nobody looks: what waits in the follower is not packed, and not yet thrown away."""
END_OFFSETS_SECONDS = 1.0


class Follower(Protocol):
    """Reads the ledger topic in the background, through outages of the broker (`streams.kafka.follower`).

    Call order: `start`, then the others as often as liked, `stop`; from one event loop, `drain` also from any thread.
    """

    def start(self) -> None:
        """Begin to follow, in a task of the running loop."""

    def drain(self) -> Delta | None:
        """Return what changed since the last call; None where nothing did, and before the ledger was read."""

    async def source_end_offsets(self, topics: Iterable[str]) -> EndOffsets:
        """Return the end offsets of source topics; raises while the broker does not answer."""

    async def stop(self) -> None:
        """Stop following. Never raises."""


class LiveBoard:
    """The newest committed state, and the ends of the source topics."""

    def __init__(self, follower: Follower, clock: Clock | None = None) -> None:
        """Prepare; `run` starts the follower."""
        self._follower = follower
        self._clock = clock or SystemClock()
        self._contacted_ms: int | None = None
        self._view = CommittedView()
        self._feeding = threading.Lock()
        self._end_offsets: EndOffsets | None = None
        self._is_loaded = False

    def snapshot(self) -> Snapshot:
        """Return the newest snapshot, with all that the follower has read; from any thread."""
        with self._feeding:
            delta = self._follower.drain()
            if delta is not None:
                self._view.feed(delta)
                self._is_loaded = True
            return self._view.snapshot()

    def end_offsets(self) -> EndOffsets | None:
        """Return the ends of the source topics as last seen, None before; from any thread."""
        return self._end_offsets

    def contacted_ms(self) -> int | None:
        """Return when Kafka last answered, None before; from any thread."""
        return self._contacted_ms

    def is_loaded(self) -> bool:
        """Return whether the ledger was read up to its end once; from any thread."""
        return self._is_loaded

    async def run(self) -> None:
        """Follow until cancelled."""
        self._follower.start()
        try:
            async with asyncio.TaskGroup() as tasks:
                tasks.create_task(self._keep())
                tasks.create_task(self._watch_ends())
        finally:
            await self._follower.stop()

    async def _keep(self) -> None:
        """Look now and then, for the case that nobody else does."""
        while True:
            self.snapshot()
            await asyncio.sleep(KEEP_SECONDS if self._is_loaded else LOAD_SECONDS)

    async def _watch_ends(self) -> None:
        has_failed = False
        while True:
            try:
                self._end_offsets = await self._follower.source_end_offsets(COUNTED_TOPICS)
                self._contacted_ms = self._clock.now_ms()
                has_failed = False
            except Exception as error:  # noqa: BLE001 - lag stays as last seen until the broker answers again
                if not has_failed and self._is_loaded:
                    _log.warning("end offsets cannot be read, trying on", extra={"error": repr(error)})
                has_failed = True
            await asyncio.sleep(END_OFFSETS_SECONDS)
