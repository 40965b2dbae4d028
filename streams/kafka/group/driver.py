"""Drives a crew: performs what it asks for on Kafka, and hands the answers back. It decides nothing.

The worker's signals go in by `on`. Everything lives in one event loop; what is decided, and why, is in
`streams.engine.crew` and `streams.engine.tenure`.
"""

from __future__ import annotations

import asyncio
import contextlib
import logging
from collections import defaultdict
from typing import TYPE_CHECKING, Any

from aiokafka.errors import IllegalStateError, KafkaError

from streams.engine import crew as crews
from streams.engine import effects as fx
from streams.engine import signals as sig
from streams.engine.checkpoint import FencedError, OutcomeUnknownError, UnreadableError
from streams.engine.judgement import Note
from streams.errors import UnreachableError
from streams.kafka.client.denials import denial
from streams.kafka.group.telling import tell

if TYPE_CHECKING:
    from collections.abc import Callable, Coroutine, Mapping

    from streams.engine.checkpoint import LedgerStore, PartitionStore
    from streams.engine.clock import Clock
    from streams.engine.crew import Crew
    from streams.engine.status import WorkerStatus
    from streams.kafka.group.intake import Intake

log = logging.getLogger("festival.worker")

if TYPE_CHECKING:
    Tell = Callable[[fx.Telling, int, Any, int], None]
TRIED_ON_TOPICS: Mapping[type[fx.Request], str] = {
    fx.Fence: "Read",
    fx.Restore: "Read",
    fx.Survey: "Describe",
    fx.Release: "Read",
    fx.Commit: "Write",
    fx.LeaveNote: "Write",
}
"""The operation that each request tries on topics: a broker that denies it names the topic only."""
Takeover = tuple[int, int]
"""Partition number and number of the takeover."""


class Driver:
    """The crew of one process on one store and one source."""

    def __init__(
        self,
        crew: Crew,
        *,
        store: LedgerStore,
        source: Intake,
        status: WorkerStatus,
        clock: Clock,
        on_failure: Callable[[BaseException], None],
        tell: Tell = tell,
        told: Mapping[str, str] | None = None,
        principal: str | None = None,
    ) -> None:
        """`on_failure` is told what nothing here gets over: the worker must end.

        `tell` is told the news, `told` stands beside the partition in each line of the log,
        `principal` is who may not do what the broker denies.
        """
        self.crew = crew
        self.told = dict(told or {})
        self._tell = tell
        self._store = store
        self._source = source
        self._status = status
        self._clock = clock
        self._on_failure = on_failure
        self._principal = principal
        self._stores: dict[Takeover, PartitionStore] = {}
        self._requests: defaultdict[Takeover, set[asyncio.Task[None]]] = defaultdict(set)
        self._chores: set[asyncio.Task[None]] = set()
        self._timer: asyncio.TimerHandle | None = None
        self._changed = asyncio.Event()

    def on(self, signal: crews.Signal) -> None:
        """Hand a signal to the crew, and perform what it makes necessary."""
        now_ms = self._clock.monotonic_ms()
        for effect in self.crew.on(signal, now_ms):
            self._perform(effect)
        if self._timer is not None:
            self._timer.cancel()
            self._timer = None
        if (wake_at_ms := self.crew.wake_at_ms) is not None:
            pause_s = max(0, wake_at_ms - now_ms) / 1000
            self._timer = asyncio.get_running_loop().call_later(pause_s, self.on, crews.Due())
        self._changed.set()

    async def until_away(self) -> None:
        """Return once no partition is counted, or under way to it, any more."""
        while not self.crew.is_away:
            self._changed.clear()
            await self._changed.wait()

    async def close(self) -> None:
        """Make the final checkpoints and give everything up. Never raises."""
        self.on(crews.Closing())
        await self.until_away()
        await asyncio.gather(*self._chores, return_exceptions=True)

    def _perform(self, effect: crews.Effect) -> None:
        if isinstance(effect, crews.AllHeld):
            held = list(effect.partitions)
            self._on_failure(
                UnreachableError(f"every partition of this worker is held ({held}); see the log for what to do")
            )
            return
        number, wanted = effect.partition, effect.effect
        match wanted:
            case fx.Fence() | fx.Restore() | fx.Survey() | fx.Release() | fx.Commit() | fx.LeaveNote():
                requests = self._requests[number, wanted.takeover]
                task = asyncio.create_task(self._request(number, wanted), name=f"partition {number}")
                requests.add(task)
                task.add_done_callback(requests.discard)
            case fx.GiveUp():
                self._give_up((number, wanted.takeover))
            case fx.HoldBack():
                self._chore(self._hold_back(number))
            case fx.Stop():
                self._on_failure(wanted.error)
            case fx.Say():
                level = logging.DEBUG if wanted.is_known else logging.WARNING if wanted.is_warning else logging.INFO
                log.log(level, wanted.text, extra={**self.told, "partition": number, **wanted.fields})
            case _:
                self._tell(wanted, number, self._status, self._clock.now_ms())

    async def _request(self, number: int, request: fx.Request) -> None:
        takeover = request.takeover
        answer: sig.Signal
        try:
            answer = await self._answer(number, request)
        except FencedError as error:
            is_dealt = isinstance(request, fx.Commit) and await self._source.is_member()
            answer = sig.Refused(takeover, str(error), is_dealt)
        except UnreadableError as error:
            answer = sig.Unreadable(takeover, str(error))
        except (OutcomeUnknownError, KafkaError, OSError) as error:
            denied = denial(error, self._principal, TRIED_ON_TOPICS[type(request)])
            detail = denied or str(error) or type(error).__name__
            answer = fx.failed(request, detail, is_denied=denied is not None)
        except Exception as error:  # noqa: BLE001 - a fault in the program
            answer = sig.Broken(error)
        self.on(crews.To(number, answer))

    async def _answer(self, number: int, request: fx.Request) -> sig.Answer:
        """Perform a request; what it raises is its answer, too."""
        takeover = request.takeover
        match request:
            case fx.Fence():
                self._stores[number, takeover] = await self._store.fence(number, request.generation)
                return sig.Fenced(takeover)
            case fx.Restore():
                return sig.ReadBack(takeover, await self._stores[number, takeover].restore())
            case fx.Survey():
                epochs = {(topic, number): epoch for topic, epoch in request.epochs.items()}
                sources = await self._source.survey(number, request.topics, epochs)
                return sig.Surveyed(takeover, request.request, sources)
            case fx.Release():
                with contextlib.suppress(IllegalStateError):  # a rebalance took it; whoever gets it seeks
                    await self._source.release(number, request.positions)
                return sig.Released(takeover, frozenset(request.positions))
            case fx.Commit():
                await self._stores[number, takeover].commit(request.checkpoint)
                return sig.Committed(takeover)
            case fx.LeaveNote():
                await self._leave_note(number, request)
                return sig.Noted(takeover)

    async def _leave_note(self, number: int, request: fx.LeaveNote) -> None:
        reason, topic, detail = request.verdict
        note = Note(reason, topic, self._clock.now_ms() - request.held_ms, detail)
        store = self._stores.pop((number, request.takeover), None)
        store = store or await self._store.fence(number, request.generation)
        try:
            await store.leave_note(note)
        finally:
            await store.close()

    def _give_up(self, takeover: Takeover) -> None:
        for task in self._requests.pop(takeover, ()):
            if task is not asyncio.current_task():
                task.cancel()
                self._chore(_ended(task))
        store = self._stores.pop(takeover, None)
        if store is not None:
            self._chore(store.close())
            self._chore(self._hold_back(takeover[0]))

    async def _hold_back(self, number: int) -> None:
        with contextlib.suppress(KafkaError, OSError):
            await self._source.hold_back(number, self.crew.terms.topics)

    def _chore(self, work: Coroutine[Any, Any, None]) -> None:
        task = asyncio.create_task(work)
        self._chores.add(task)
        task.add_done_callback(self._chores.discard)


async def _ended(task: asyncio.Task[None]) -> None:
    await asyncio.wait([task])
