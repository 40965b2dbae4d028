"""The worker's part of the group: which partition numbers it owns, and which batch goes to which ledger.

Ties Faust's app (membership, agents) to the ownerships. Made and run by `streams.app`; everything happens in one
event loop. `failure` tells the composition root why the worker must end.
"""

from __future__ import annotations

import asyncio
import logging
from collections import defaultdict
from typing import TYPE_CHECKING, Any, Protocol

from aiokafka import TopicPartition
from aiokafka.errors import KafkaError

from streams.engine.checkpoint import UnreadableError
from streams.engine.processor import CountingError
from streams.engine.status import HeldReason
from streams.errors import FestivalError, UnreachableError
from streams.kafka.counting import Counting
from streams.kafka.log_reader import LogReader
from streams.kafka.ownership import Ownership
from streams.kafka.source import HeldError
from streams.kafka.transport import BatchApp, BatchConsumer, LogRange, batch_topic

if TYPE_CHECKING:
    from collections.abc import AsyncIterator, Collection, Iterable, Mapping

    from faust.types import TP

    from streams.domain.declarations import Declarations
    from streams.engine.batch import RecordBatch
    from streams.engine.checkpoint import LedgerStore
    from streams.engine.clock import Clock
    from streams.engine.status import WorkerStatus
    from streams.kafka.generations import Generations
    from streams.kafka.transport import BatchConsumerThread
    from streams.settings import Settings

log = logging.getLogger("festival.worker")

TICK_SECONDS = 1.0
STALL_SECONDS = 1.0
"""Longer than any batch takes: told, so that a late total can be told from a slow broker."""
LOOK_SECONDS = 1.0
TURNS = 8
"""Turns of the event loop left to others after each batch; an idle one costs 5 µs."""
GENERATION_SECONDS = 3.0
"""After so long a recount that switched generations is noticed."""


class Store(Protocol):
    """The ledger store as a worker needs it: `LedgerStore`, and which generation is current."""

    async def fence(self, partition: int, generation: str) -> Any:  # noqa: ANN401 - as in LedgerStore
        """Become the only writer of a partition."""

    async def generations(self) -> Generations:
        """Return which generation is current; may raise `KafkaError`."""


class FailStopError(FestivalError):
    """A fault in the program: going on could count wrongly."""

    exit_status = 70


class BatchSource:
    """The transport, by partition number and names without prefix: `streams.kafka.source.Source`."""

    def __init__(self, app: BatchApp) -> None:
        """`app` need not be started yet."""
        self._app = app

    async def release(self, partition: int, positions: Mapping[str, int]) -> None:
        """Let topics of a partition flow from the given positions."""
        await self._thread.release({self._tp(topic, partition): offset for topic, offset in positions.items()})

    async def hold_back(self, partition: int, topics: Collection[str]) -> None:
        """Deliver nothing more of a partition."""
        await self._thread.hold_back([self._tp(topic, partition) for topic in topics])

    async def log_ranges(self, partition: int, topics: Collection[str]) -> dict[str, LogRange]:
        """Return what can be read."""
        ranges = await self._thread.log_ranges([self._tp(topic, partition) for topic in topics])
        return {topic: ranges[self._tp(topic, partition)] for topic in topics}

    async def has_newer(self, partition: int, topic: str, record_time_ms: int, below: int) -> bool:
        """Return whether a record below offset `below` is newer than `record_time_ms`."""
        first = await self._thread.first_newer(self._tp(topic, partition), record_time_ms)
        if first is None or first >= below:
            return False
        # It may be a control record or an aborted one, which no ledger takes note of: look.
        reader = await LogReader.open(self._app.settings)
        plain = TopicPartition(topic, partition)
        try:
            reader.assign({plain: first})
            while reader.positions[plain] < below:
                for batch in await reader.fetch(LOOK_SECONDS):
                    times = zip(batch.offsets, batch.record_times_ms, strict=True)
                    if any(offset < below and time_ms > record_time_ms for offset, time_ms in times):
                        return True
        finally:
            await reader.close()
        return False

    def fetch_state(self, partition: int, topic: str) -> tuple[int | None, int | None]:
        """Return the fetch position and the end offset, None where not known."""
        return self._thread.fetch_state(self._tp(topic, partition))

    def has_in_hand(self, partition: int, topic: str) -> bool:
        """Return whether batches were fetched that are not counted yet."""
        return self._consumer.in_hand[self._tp(topic, partition)] > 0

    def check(self) -> None:
        """Raise what ended a background task of the consumer."""
        self._thread.check()

    def done(self, batch: RecordBatch) -> None:
        """Note that a batch was counted, or dropped."""
        self._consumer.done(self._tp(batch.topic, batch.partition))

    @property
    def _consumer(self) -> BatchConsumer:
        consumer: Any = self._app.consumer
        assert isinstance(consumer, BatchConsumer)
        return consumer

    @property
    def _thread(self) -> BatchConsumerThread:
        return self._consumer.batches

    def _tp(self, topic: str, partition: int) -> TopicPartition:
        return TopicPartition(self._app.settings.prefix + topic, partition)


class Worker:
    """All ownerships of one process."""

    def __init__(
        self,
        app: BatchApp,
        store: Store,
        declarations: Declarations,
        generation: str,
        *,
        status: WorkerStatus,
        clock: Clock,
    ) -> None:
        """Register with `app`, which is started afterwards; `generation` is the current one."""
        settings: Settings = app.settings
        self.status = status
        self.failure: asyncio.Future[BaseException] = asyncio.get_running_loop().create_future()
        """Done when the worker must end, with the reason."""
        self._app = app
        self._source = BatchSource(app)
        self._store = store
        self._clock = clock
        ledger_store: LedgerStore = store
        self._counting = Counting(
            store=ledger_store,
            source=self._source,
            declarations=declarations,
            generation=generation,
            topics=declarations.topics,
            status=status,
            clock=clock,
            checkpoint_interval_ms=settings.checkpoint_interval_ms,
            session_timeout_ms=settings.session_timeout_ms,
            on_failure=self.fail,
            on_held=self._check_held,
            owned=lambda: len(self._ownerships),
        )
        self._ownerships: dict[int, Ownership] = {}
        self._group_generation: int | None = None
        self._is_dealt = False
        """Between an assignment and the next revocation."""
        self._farewells: set[asyncio.Task[None]] = set()
        app.sources = {settings.prefix + topic: topic for topic in declarations.topics}
        app.on_fault = self._fault
        # Faust's types ask for more than it hands over.
        count: Any = self._count
        revoked: Any = self._revoked
        assigned: Any = self._assigned
        for topic in app.sources:
            app.agent(batch_topic(app, topic), name=f"count-{topic}")(count)
        app.on_partitions_revoked.connect(revoked)
        app.on_partitions_assigned.connect(assigned)

    @property
    def generation(self) -> str:
        """The generation of the ledger that is counted."""
        return self._counting.generation

    async def watch(self) -> None:
        """Look after the ownerships until cancelled: holes at the tail, dead tasks of aiokafka, a new generation."""
        try:
            # Two loops: asking for the generation waits while the broker is away.
            await asyncio.gather(self._watch_partitions(), self._watch_generation())
        except Exception as error:  # noqa: BLE001 - whatever it is, nobody looks after the worker any more
            self.fail(error)

    async def _watch_partitions(self) -> None:
        while True:
            began_ms = self._clock.monotonic_ms()
            await asyncio.sleep(TICK_SECONDS)
            slept_s = (self._clock.monotonic_ms() - began_ms) / 1000
            if slept_s > TICK_SECONDS + STALL_SECONDS:
                log.warning(
                    "all partitions stood still: the process had no CPU, or did not let go of it",
                    extra={"seconds": slept_s - TICK_SECONDS},
                )
            self._source.check()
            for ownership in self._ownerships.values():
                ownership.tick()

    async def _watch_generation(self) -> None:
        while True:
            await asyncio.sleep(GENERATION_SECONDS)
            await self._follow_generation()

    async def stop(self) -> None:
        """Make the final checkpoints and give all partitions up; bounded by the time a checkpoint may take."""
        ownerships, self._ownerships = self._ownerships, {}
        await asyncio.gather(*(ownership.close() for ownership in ownerships.values()))
        await asyncio.gather(*self._farewells, return_exceptions=True)

    def fail(self, error: BaseException) -> None:
        """End the worker; only the first reason counts."""
        if self.failure.done():
            return
        if isinstance(error, CountingError):
            log.error("counting failed", exc_info=error, extra=vars(error))
            failure = FailStopError(
                f"counting {error} failed ({error.__cause__!r}). Nothing of it is committed: start the worker again, "
                "and if it fails there once more, report it with the log."
            )
            failure.__cause__ = error
            error = failure
        self.failure.set_result(error)

    async def _count(self, stream: AsyncIterator[RecordBatch]) -> None:
        """Count batches of one topic; the body of its agent."""
        async for batch in stream:
            ownership = self._ownerships.get(batch.partition)
            if ownership is not None:
                self._apply(ownership, batch)
            self._source.done(batch)
            # Catching up there is always a next batch: without this a checkpoint, which takes a dozen turns of the
            # loop, would last for a dozen batches.
            for _ in range(TURNS):
                await asyncio.sleep(0)

    def _apply(self, ownership: Ownership, batch: RecordBatch) -> None:
        try:
            ownership.apply(batch)
        except Exception as error:  # noqa: BLE001 - Faust would acknowledge the batch and go on with the next one
            self.fail(error)

    async def _revoked(self, app: Any, revoked: set[TP], **_: object) -> None:  # noqa: ANN401, ARG002 - Faust's signal
        """Suspend everything: a rebalance takes all partitions back, and may deal the same ones again."""
        self._is_dealt = False
        self.status.rebalance_started(self._clock.now_ms())
        await asyncio.gather(*(ownership.suspend() for ownership in self._ownerships.values()))

    async def _assigned(self, app: Any, assigned: set[TP], **_: object) -> None:  # noqa: ANN401 - Faust's signal
        """Take over what was dealt; ledgers kept through the rebalance go on, where nobody can have owned them."""
        topics = _by_number(assigned, app.sources)
        group_generation = app.consumer_generation_id
        # A generation of the group that this worker was no member of: somebody else may have counted its partitions.
        has_missed_some = group_generation != (self._group_generation or 0) + 1
        self._group_generation, self._is_dealt = group_generation, True
        for number in list(self._ownerships):
            if number not in topics or has_missed_some:
                self._say_farewell(self._ownerships.pop(number))
        log.info("partitions assigned: %s", sorted(topics) or "none", extra={"group_generation": group_generation})
        self.status.assigned(sorted(topics), self._clock.now_ms())
        # All are known before the first can be found to be held: only when all are does the worker end.
        for number in sorted(topics):
            self._ownerships.setdefault(number, Ownership(number, self._counting))
        for number, ownership in self._ownerships.items():
            missing = set(self._counting.topics) - topics[number]
            if missing:
                detail = f"partition {number} of {', '.join(sorted(missing))} is not on this worker"
                ownership.hold(HeldError(HeldReason.NOT_COLOCATED, detail))
            else:
                ownership.start()

    def _fault(self, partition: TopicPartition, error: BaseException) -> None:
        ownership = self._ownerships.get(partition.partition)
        if ownership is not None:
            ownership.fault(self._app.sources[partition.topic], error)

    def _check_held(self) -> None:
        """End the worker when everything it was dealt is held: others may be better off with its place."""
        held = [number for number, ownership in self._ownerships.items() if ownership.is_held]
        if held and len(held) == len(self._ownerships):
            self.fail(UnreachableError(f"every partition of this worker is held ({held}); see the log for what to do"))

    def _say_farewell(self, ownership: Ownership) -> None:
        task = asyncio.create_task(ownership.close())
        self._farewells.add(task)
        task.add_done_callback(self._farewells.discard)

    async def _follow_generation(self) -> None:
        """Take everything over afresh where a recount has switched the ledger to a new generation."""
        try:
            generations = await self._store.generations()
        except (KafkaError, OSError):
            return  # Kafka is away; there will be a next time
        except UnreadableError as error:
            log.warning("the ledger's generation is not known: %s", error)
            return
        if generations.current == self._counting.generation:
            return
        log.info("the ledger has a new generation", extra={"generation": generations.current})
        self._counting = self._counting._replace(generation=generations.current)
        for number, ownership in list(self._ownerships.items()):
            if ownership.is_running:
                successor = self._ownerships[number] = Ownership(number, self._counting)
                await ownership.close()
                # A rebalance in between has started it, or will.
                if self._is_dealt and self._ownerships.get(number) is successor and not successor.is_running:
                    successor.start()


def _by_number(assigned: Iterable[TP], sources: Mapping[str, str]) -> dict[int, set[str]]:
    numbers: defaultdict[int, set[str]] = defaultdict(set)
    for tp in assigned:
        if tp.topic in sources:
            numbers[tp.partition].add(sources[tp.topic])
    return dict(numbers)
