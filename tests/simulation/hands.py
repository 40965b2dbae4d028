"""Performs on the in-memory Kafka what a crew asks for, at drawn times, and hands the answers back at later ones.

It stands where `streams.kafka.group.driver` stands, and decides nothing. Workers (`process`) and recounts (`recounter`)
are made of it.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING

from streams.engine import crew as crews
from streams.engine import effects as fx
from streams.engine import signals as sig
from streams.engine.checkpoint import FencedError, OutcomeUnknownError, UnreadableError
from streams.engine.judgement import Note
from streams.engine.memory.errors import KafkaFaultError, NotAuthorizedError, NotStableError
from tests.simulation.source import NO_EPOCHS, Source, survey

if TYPE_CHECKING:
    from collections.abc import Callable, Collection, Mapping
    from random import Random

    from streams.engine.batch import RecordBatch
    from streams.engine.crew import Crew
    from streams.engine.judgement import Sources
    from streams.engine.memory import MemoryLedgerStore, MemoryPartitionStore
    from tests.simulation.bridge_cluster import PartitionNow, StoreNow

LOOK_MS = 1_000
DELAYS_MS = (0, 0, 0, 0, 20, 20, 300, 2_000)
"""How long a request, or its answer, is on its way."""
WAIT_MS = 200
"""Until a takeover that met an open transaction looks again."""


class KilledError(BaseException):
    """The process dies here, as under SIGKILL. Nothing that it runs may catch this."""


@dataclass(slots=True)
class Requested:
    """A request on its way, or its answer on the way back."""

    due_ms: int
    number: int
    request: fx.Request
    answer: sig.Signal | None = None
    store: MemoryPartitionStore | PartitionNow | None = None
    """The store of a request that was given up and reaches the broker nevertheless."""
    is_begun: bool = False
    """Whether the broker has met it: what a dead process was in the middle of is not sent again."""


class Hands:
    """What a process does with its crew."""

    def __init__(
        self, name: str, crew: Crew, store: MemoryLedgerStore | StoreNow, *, draw: Random, tell: Callable[[str], None]
    ) -> None:
        """Begin without a partition."""
        self.name, self.crew, self.store = name, crew, store
        self._kafka, self._draw, self._tell = store.kafka, draw, tell
        self.source = Source(store.kafka, draw, crew.terms.topics)
        self.stores: dict[tuple[int, int], MemoryPartitionStore | PartitionNow] = {}
        self.requests: list[Requested] = []
        self.is_busy = False
        """In the middle of a commit, while others have their turns."""
        self._look_ms = 0

    def surveyed(
        self, topics: Collection[str], number: int | None = None, epochs: Mapping[tuple[str, int], int] = NO_EPOCHS
    ) -> Sources:
        """Return the topics as they are now, with the offsets of one partition number, None: of all."""
        return survey(self._kafka, topics, number, epochs)

    def all_held(self, effect: crews.AllHeld) -> None:
        """Be told that nothing can be counted here."""

    def stop(self, error: BaseException) -> None:
        """Be told that going on could count wrongly."""
        raise error

    def is_member(self) -> bool:
        """Return whether the group says that what it dealt is still the process's."""
        return False

    def may_release(self) -> bool:
        """Return whether what is released may flow."""
        return True

    def on(self, signal: crews.Signal) -> None:
        """Hand a signal to the crew, and note what it asks for."""
        for effect in self.crew.on(signal, self._kafka.now_ms):
            if isinstance(effect, crews.AllHeld):
                self.all_held(effect)
            else:
                self._take(effect.partition, effect.effect)

    def move(self) -> None:
        """Let what is due reach the broker or the crew, fetch, deliver, look after the source, and wake."""
        now_ms = self._kafka.now_ms
        for requested in [r for r in self.requests if r.due_ms <= now_ms]:
            self._move(requested)
        for topic, number in self.source.places():
            failed = self.source.fetch(topic, number)
            if failed is not None:
                self.on(crews.To(number, failed))
        for batch in self.source.deliverable():
            self._deliver(batch)
        if now_ms >= self._look_ms:
            self._look_ms = now_ms + LOOK_MS
            for number in list(self.crew.tenures):
                self.on(crews.To(number, sig.Looked(self.source.looked(number))))

    def wake(self) -> None:
        """Tell the crew that the time has come which it named."""
        wake_ms = self.crew.wake_at_ms
        if wake_ms is not None and wake_ms <= self._kafka.now_ms:
            self.on(crews.Due())

    def wire(self) -> list[Requested]:
        """Return what a process that dies now has sent and the broker has not got yet."""
        return [r for r in self.requests if not r.is_begun and isinstance(r.request, fx.Commit | fx.Fence)]

    def perform(self, requested: Requested) -> sig.Signal | None:
        """Let the broker carry a request out; returns the answer, None where an open transaction keeps it waiting."""
        number, request = requested.number, requested.request
        takeover = request.takeover
        requested.is_begun = True
        answer: sig.Signal
        try:
            answer = self._answer(requested)
        except NotStableError:
            return None
        except FencedError as error:
            is_dealt = isinstance(request, fx.Commit) and self.is_member()
            answer = sig.Refused(takeover, str(error), is_dealt)
        except UnreadableError as error:
            answer = sig.Unreadable(takeover, str(error))
        except (OutcomeUnknownError, KafkaFaultError, OSError) as error:
            is_denied = isinstance(error, NotAuthorizedError) or isinstance(error.__cause__, NotAuthorizedError)
            answer = fx.failed(request, str(error), is_denied=is_denied)
        if not isinstance(answer, sig.Released | sig.Surveyed):
            self._tell(f"{self.name}: {_asked(request)} of {number}: {_told(answer)}")
        return answer

    def _move(self, requested: Requested) -> None:
        """Let a request reach the broker, or its answer the crew."""
        if not any(requested is other for other in self.requests):
            return  # given up meanwhile
        if requested.answer is None:
            requested.answer = self.perform(requested)
            delay_ms = self._draw.choice(DELAYS_MS) if requested.answer is not None else WAIT_MS
            requested.due_ms = self._kafka.now_ms + delay_ms
            if delay_ms:
                return
        self.requests = [other for other in self.requests if other is not requested]
        if requested.answer is not None:
            self.on(crews.To(requested.number, requested.answer))

    def _answer(self, requested: Requested) -> sig.Answer:
        number, request = requested.number, requested.request
        takeover = request.takeover
        match request:
            case fx.Fence():
                store = self.store.fence_now(number, request.generation)
                self.stores[number, takeover] = store
                return sig.Fenced(takeover)
            case fx.Restore():
                store = requested.store or self.stores[number, takeover]
                return sig.ReadBack(takeover, store.restore_now())
            case fx.Survey():
                epochs = {(topic, number): epoch for topic, epoch in request.epochs.items()}
                sources = self.surveyed(request.topics, number, epochs)
                return sig.Surveyed(takeover, request.request, sources)
            case fx.Release():
                if self.may_release():  # else a rebalance took it; whoever gets it seeks
                    self.source.release(number, request.positions)
                return sig.Released(takeover, frozenset(request.positions))
            case fx.Commit():
                store = requested.store or self.stores[number, takeover]
                self._commit(store, request)
                return sig.Committed(takeover)
            case fx.LeaveNote():
                reason, topic, detail = request.verdict
                note = Note(reason, topic, self._kafka.now_ms - request.held_ms, detail)
                kept = self.stores.pop((number, takeover), None)
                kept = kept or self.store.fence_now(number, request.generation)
                kept.leave_note_now(note)
                return sig.Noted(takeover)

    def _commit(self, store: MemoryPartitionStore | PartitionNow, request: fx.Commit) -> None:
        self.is_busy = True
        try:
            store.commit_now(request.checkpoint)
        finally:
            self.is_busy = False

    def _take(self, number: int, effect: fx.Effect) -> None:
        match effect:
            case fx.Fence() | fx.Restore() | fx.Survey() | fx.Release() | fx.Commit() | fx.LeaveNote():
                due_ms = self._kafka.now_ms + self._draw.choice(DELAYS_MS)
                self.requests.append(Requested(due_ms, number, effect))
            case fx.GiveUp():
                self._give_up(number, effect.takeover)
            case fx.HoldBack():
                self.source.hold_back(number)
            case fx.Stop():
                self.stop(effect.error)
            case fx.TellHeld():
                self._tell(f"{self.name}: {number} is held: {effect.verdict.reason}")
            case fx.TellTaking():
                self._tell(f"{self.name}: {number} is taken over")
            case _:
                pass

    def _give_up(self, number: int, takeover: int) -> None:
        """Break off what is under way; some of it is carried out nevertheless, and answered too late."""
        store = self.stores.pop((number, takeover), None)
        kept = []
        for requested in self.requests:
            if (requested.number, requested.request.takeover) == (number, takeover):
                requested.store = store
                is_sent = isinstance(requested.request, fx.Fence | fx.Survey) or store is not None
                if isinstance(requested.request, fx.Release | fx.LeaveNote) or self._draw.random() < 0.5 or not is_sent:
                    continue
            kept.append(requested)
        self.requests = kept
        if store is not None:
            self.source.hold_back(number)

    def _deliver(self, batch: RecordBatch) -> None:
        age_ms = max(0, self._kafka.now_ms - int(batch.record_times_ms[-1])) if len(batch) else 0
        self.on(crews.To(batch.partition, sig.Delivered(batch, age_ms)))


def _asked(request: fx.Request) -> str:
    if not isinstance(request, fx.Commit):
        return type(request).__name__
    cursor = request.checkpoint.cursor
    return f"Commit {cursor.sequence} (up to {cursor.positions})"


def _told(answer: sig.Signal | None) -> str:
    detail = getattr(answer, "detail", None)
    return type(answer).__name__ + (f" ({detail})" if detail else "")
