"""The worker's part of the group: one crew for all source topics, and which generation of the ledger it counts.

Made and run by `streams.app`.
"""

from __future__ import annotations

import asyncio
import logging
from typing import TYPE_CHECKING, Any, Protocol

from aiokafka import TopicPartition
from aiokafka.errors import KafkaError

from streams.domain.declarations import FingerprintError
from streams.engine.checkpoint import UnreadableError
from streams.engine.crew import Crew, Switched
from streams.engine.generations import declared
from streams.engine.processor import CountingError
from streams.errors import FestivalError
from streams.kafka.client.clients import outage
from streams.kafka.client.log_reader import LogReader
from streams.kafka.cluster.survey import survey
from streams.kafka.cluster.topics import OWN
from streams.kafka.group.driver import Driver
from streams.kafka.group.membership import Charge, Member
from streams.kafka.group.transport import BatchApp, BatchConsumer

if TYPE_CHECKING:
    from collections.abc import Collection, Mapping, Sequence

    from streams.domain.declarations import Declarations
    from streams.engine.batch import RecordBatch
    from streams.engine.checkpoint import LedgerStore
    from streams.engine.clock import Clock
    from streams.engine.generations import Generations
    from streams.engine.judgement import Sources
    from streams.engine.status import WorkerStatus
    from streams.kafka.group.intake import Epochs
    from streams.kafka.group.transport import BatchConsumerThread
    from streams.settings import Settings

log = logging.getLogger("festival.worker")

COUNT = "count"
"""What a worker's agents do: the verb of their names."""
GENERATION_SECONDS = 3.0
"""After so long a recount that switched generations is noticed."""


async def declare_festivals(store: Store, declarations: Declarations) -> None:
    """Write festivals that are new beside the current generation; where that fails it is tried again in a moment.

    Nobody counts wrongly meanwhile: each partition's ledger says itself which festivals it counts. Raises
    `FingerprintError` where the ledger is counted under other declarations.
    """
    try:
        await store.declare(declarations)
    except (KafkaError, OSError, UnreadableError) as error:
        outage.tell("the festivals to be declared", error)


class Store(Protocol):
    """The ledger store as a worker needs it: `LedgerStore`, and which generation is current."""

    async def fence(self, partition: int, generation: str) -> Any:  # noqa: ANN401 - as in LedgerStore
        """Become the only writer of a partition."""

    async def generations(self) -> Generations:
        """Return which generation is current; may raise `KafkaError`."""

    async def declare(self, declarations: Declarations) -> None:
        """Write festivals that are new beside the current generation; may raise `KafkaError`, `FingerprintError`."""


class FailStopError(FestivalError):
    """A fault in the program: going on could count wrongly."""

    exit_status = 70


class BatchSource:
    """The transport, by partition number and names without prefix: `streams.kafka.group.intake.Intake`."""

    def __init__(self, app: BatchApp) -> None:
        """`app` need not be started yet."""
        self._app = app
        self._reader: LogReader | None = None
        """For looks at the topics: on the connections of the fetches each would wait for a fetch to come back."""
        self._opening = asyncio.Lock()

    async def release(self, partition: int, positions: Mapping[str, int]) -> None:
        """Let topics of a partition flow from the given positions."""
        await self._thread.release({self._tp(topic, partition): offset for topic, offset in positions.items()})

    async def hold_back(self, partition: int, topics: Collection[str]) -> None:
        """Deliver nothing more of a partition."""
        await self._thread.hold_back([self._tp(topic, partition) for topic in topics])

    async def is_member(self) -> bool:
        """Return whether the group says, asked now, that what it dealt is ours; False where it does not answer."""
        try:
            return await self._thread.is_member()
        except (KafkaError, OSError):
            return False

    async def survey(self, partition: int | None, topics: Sequence[str], epochs: Epochs) -> Sources:
        """Return the topics as they are now, with the offsets of one partition number, None: of all."""
        reader = await self._looking()
        try:
            only = None if partition is None else (partition,)
            prefix = self._app.settings.prefix
            return await survey(reader.client, prefix, topics, own=OWN, only=only, epochs=epochs)
        except KafkaError:
            await self.close()
            raise

    async def _looking(self) -> LogReader:
        async with self._opening:
            if self._reader is None:
                self._reader = await LogReader.open(self._app.settings, is_patient=False)
            return self._reader

    async def close(self) -> None:
        """Release the connections of the looks. Never raises; another look connects again."""
        reader, self._reader = self._reader, None
        if reader is not None:
            await reader.close()

    def fetch_state(self, partition: int, topic: str) -> tuple[int | None, int | None]:
        """Return the fetch position and the high watermark, None where not known."""
        return self._thread.fetch_state(self._tp(topic, partition))

    def has_in_hand(self, partition: int, topic: str) -> bool:
        """Return whether batches were fetched that are not counted yet."""
        return self._consumer.in_hand[self._tp(topic, partition)] > 0

    def check(self) -> KafkaError | None:
        """Raise what ended a background task of the consumer; return what the group does not allow at the moment."""
        return self._thread.check()

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


class Worker(Member):
    """The counting of one process: all source topics of a partition number belong to one tenure."""

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
        source = BatchSource(app)
        super().__init__(app, source, clock)
        self.status = status
        self._store = store
        self._declarations = declarations
        self._crew = Crew(
            declarations,
            generation,
            session_timeout_ms=settings.session_timeout_ms,
            checkpoint_interval_ms=settings.checkpoint_interval_ms,
        )
        ledger_store: LedgerStore = store
        self._driver = Driver(
            self._crew,
            store=ledger_store,
            source=source,
            status=status,
            clock=clock,
            on_failure=self.fail,
            principal=settings.security.principal,
        )
        app.sources = {settings.prefix + topic: topic for topic in declarations.topics}
        self.take_charge([Charge(self._driver, status)], COUNT)

    @property
    def generation(self) -> str:
        """The generation of the ledger that is counted."""
        return self._crew.terms.generation

    def _loops(self) -> list[Any]:
        return [*super()._loops(), self._watch_generation]

    async def _watch_generation(self) -> None:
        while True:
            await asyncio.sleep(GENERATION_SECONDS)
            await self._follow_generation()

    def fail(self, error: BaseException) -> None:
        """End the worker; only the first reason counts."""
        if isinstance(error, CountingError) and not self.failure.done():
            log.error("counting failed", exc_info=error, extra=vars(error))
            failure = FailStopError(
                f"counting {error} failed ({error.__cause__!r}). Nothing of it is committed: start the worker again, "
                "and if it fails there once more, report it with the log."
            )
            failure.__cause__ = error
            error = failure
        super().fail(error)

    async def _follow_generation(self) -> None:
        """Take everything over afresh where a recount has switched the ledger to a new generation."""
        try:
            generations = await self._store.generations()
        except (KafkaError, OSError):
            return  # Kafka is away; there will be a next time
        except UnreadableError as error:
            log.warning("the ledger's generation is not known: %s", error)
            return
        self.status.contacted(self._clock.now_ms())
        try:
            is_declared = declared(generations, self._declarations) == generations
        except FingerprintError as error:
            self.fail(error)
            return
        if not is_declared:
            await declare_festivals(self._store, self._declarations)
        if generations.current == self.generation:
            return
        log.info("the ledger has a new generation", extra={"generation": generations.current})
        self._driver.on(Switched(generations.current))
