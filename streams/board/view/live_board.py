"""The live board: a view of what a follower of the ledger has read, made up to date when somebody looks.

Runs in one event loop; its readers may be in any thread.
"""

from __future__ import annotations

import asyncio
import logging
import threading
from collections.abc import Mapping
from typing import TYPE_CHECKING, Protocol

from streams.board.view.committed_view import CommittedView
from streams.domain.built_in import ROLLUPS
from streams.engine.judgement import UNKNOWN, Basis, epochs_of, judge, standing

if TYPE_CHECKING:
    from collections.abc import Collection, Iterable, Sequence

    from streams.board.view.committed_view import Delta, Snapshot
    from streams.domain.rollups import Rollup
    from streams.engine.clock import BrokerClock
    from streams.engine.judgement import Judgement, Note, OpenTransaction, Sources, Standing

_log = logging.getLogger("festival.board")

COUNTED_TOPICS = tuple(dict.fromkeys(rollup.fact for rollup in ROLLUPS))
"""Topics that some rollup counts; what lies in others is no lag."""
Asked = Mapping[int, Basis]
"""Committed cursor by partition number."""
_NO_NOTES: Mapping[int, Note] = {}
LOAD_SECONDS = 0.1
"""How often the follower is asked until it has read the ledger."""
KEEP_SECONDS = 2.0
"""How often afterwards, when nobody looks: what waits in the follower is not packed, and not yet thrown away."""
LOOK_SECONDS = 1.0


class Follower(Protocol):
    """Reads the ledger topic in the background, through outages of the broker (`streams.kafka.ledger.follower`).

    `clock` shows the broker's time, which it learns from what it reads.

    Call order: `start`, then the others as often as liked, `stop`; from one event loop, `drain` also from any thread.
    """

    @property
    def clock(self) -> BrokerClock:
        """Return the clock by which the age of what is committed is told."""

    def start(self) -> None:
        """Begin to follow, in a task of the running loop."""

    def drain(self) -> Delta | None:
        """Return what changed since the last call; None where nothing did, and before the ledger was read."""

    async def survey(self, topics: Sequence[str], epochs: Mapping[tuple[str, int], int]) -> Sources:
        """Return the source topics as they are now, and where these leader epochs end.

        Raises while the broker does not answer.
        """

    async def open_transactions(self, places: Collection[Standing], now_ms: int) -> tuple[OpenTransaction, ...]:
        """Return the transactions that are open at `places` for long enough; raises as `survey` does."""

    async def stop(self) -> None:
        """Stop following. Never raises."""


class LiveBoard:
    """The newest committed state, and what may be said of it."""

    def __init__(self, follower: Follower, rollups: Iterable[Rollup] = ROLLUPS) -> None:
        """Prepare; `run` starts the follower. `rollups` are told of until the ledger says what it has."""
        self._follower = follower
        self._contacted_ms: int | None = None
        """By the monotonic clock: what is learnt of the broker's afterwards changes no age."""
        self._view = CommittedView(rollups)
        self._feeding = threading.Lock()
        self._looked: tuple[Sources, Asked, tuple[OpenTransaction, ...]] | None = None
        """The sources as last seen, what was committed just before, and what stands still."""
        self._judged: tuple[object, Judgement] = (None, UNKNOWN)
        self._is_loaded = False

    @property
    def clock(self) -> BrokerClock:
        """Return the clock that shows the broker's time."""
        return self._follower.clock

    def snapshot(self) -> Snapshot:
        """Return the newest snapshot, with all that the follower has read; from any thread."""
        with self._feeding:
            delta = self._follower.drain()
            if delta is not None:
                self._view.feed(delta)
                self._is_loaded = True
            return self._view.snapshot()

    def judgement(self, own: Mapping[int, Note] = _NO_NOTES) -> Judgement:
        """Return what may be said of the newest snapshot; `own` are notes of this process. From any thread."""
        snapshot, looked = self.snapshot(), self._looked
        with self._feeding:
            seen = (snapshot, looked, own)
            if self._judged[0] != seen:
                sources, asked, opened = looked if looked is not None else (None, None, ())
                judgement = judge(
                    sources,
                    snapshot.cursors,
                    asked=asked,
                    notes={**snapshot.notes, **own},
                    open_transactions=opened,
                    before=self._judged[1],
                    now_ms=self.clock.now_ms(),
                )
                self._judged = (seen, judgement)
            return self._judged[1]

    def contacted_ms(self) -> int | None:
        """Return when Kafka last answered, by its clock, None before; from any thread."""
        contacted_ms = self._contacted_ms
        return None if contacted_ms is None else self.clock.now_ms() - (self.clock.monotonic_ms() - contacted_ms)

    def is_loaded(self) -> bool:
        """Return whether the ledger was read up to its end once; from any thread."""
        return self._is_loaded

    async def run(self) -> None:
        """Follow until cancelled."""
        self._follower.start()
        try:
            async with asyncio.TaskGroup() as tasks:
                tasks.create_task(self._keep())
                tasks.create_task(self._watch_sources())
        finally:
            await self._follower.stop()

    async def _keep(self) -> None:
        """Look now and then, for the case that nobody else does."""
        while True:
            self.snapshot()
            await asyncio.sleep(KEEP_SECONDS if self._is_loaded else LOAD_SECONDS)

    async def _watch_sources(self) -> None:
        has_failed = False
        while True:
            try:
                await self._look()
                has_failed = False
            except Exception as error:  # noqa: BLE001 - lag stays as last seen until the broker answers again
                if not has_failed and self._is_loaded:
                    _log.warning("the source topics cannot be looked at, trying on", extra={"error": repr(error)})
                has_failed = True
            # Until it was there once, the follower is only just connecting.
            await asyncio.sleep(LOAD_SECONDS if self._looked is None else LOOK_SECONDS)

    async def _look(self) -> None:
        # What is committed before the look: a position that is further by now is not beyond an end seen earlier.
        asked = self.snapshot().cursors
        sources = await self._follower.survey(COUNTED_TOPICS, epochs_of(asked))
        self._contacted_ms = self.clock.monotonic_ms()
        # The transactions seen last stay until it is known what stands still now.
        self._looked = (sources, asked, self._looked[2] if self._looked is not None else ())
        opened = await self._follower.open_transactions(standing(sources, asked), self.clock.now_ms())
        self._looked = (sources, asked, opened)
