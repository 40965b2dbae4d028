"""A member of a group: what the group deals goes to crews, what was fetched goes to their tenures.

Ties Faust's app (membership, agents) to drivers: a worker has one for all topics, a bridge one for each. Everything
happens in one event loop. `failure` tells the composition root why the process must end.
"""

from __future__ import annotations

import asyncio
import logging
from collections import defaultdict
from typing import TYPE_CHECKING, Any, NamedTuple, Protocol

from aiokafka.errors import KafkaError, OffsetOutOfRangeError

from streams.engine.crew import Dealt, Seen, TakenBack, To
from streams.engine.judgement import epochs_of
from streams.engine.signals import Delivered, Fetched, FetchFailed, Looked
from streams.kafka.client.causes import cause_of
from streams.kafka.client.denials import denial
from streams.kafka.group.hindrances import Hindrances
from streams.kafka.group.transport import batch_topic

if TYPE_CHECKING:
    from collections.abc import AsyncIterator, Iterable, Mapping, Sequence

    from aiokafka import TopicPartition
    from faust.types import TP

    from streams.engine.batch import RecordBatch
    from streams.engine.clock import Clock
    from streams.engine.judgement import Sources
    from streams.engine.status import WorkerStatus
    from streams.kafka.group.driver import Driver
    from streams.kafka.group.intake import Epochs
    from streams.kafka.group.transport import BatchApp

log = logging.getLogger("festival.worker")

TICK_SECONDS = 1.0
STALL_SECONDS = 1.0
"""Longer than any batch takes: told, so that a late total can be told from a slow broker."""
TURNS = 8
"""Turns of the event loop left to others after each batch; an idle one costs 5 µs."""
SOURCES_SECONDS = 2.0
"""After so long it is noticed that topics have grown."""


def agent_name(verb: str, topic: str) -> str:
    """Return what the agent is called that does something with a topic (its name on Kafka)."""
    return f"{verb}-{topic}"


class FetchingSource(Protocol):
    """Where batches come from, as a member looks at it."""

    async def survey(self, partition: int | None, topics: Sequence[str], epochs: Epochs, /) -> Sources:
        """Return the topics as they are now; may raise `KafkaError`."""

    def fetch_state(self, partition: int, topic: str) -> tuple[int | None, int | None]:
        """Return the fetch position and the high watermark, None where not known."""

    def has_in_hand(self, partition: int, topic: str) -> bool:
        """Return whether batches were fetched that are not counted yet."""

    def check(self) -> KafkaError | None:
        """Raise what ended a background task of the consumer; return what the group does not allow at the moment."""

    def done(self, batch: RecordBatch) -> None:
        """Note that a batch was counted, or dropped."""

    async def close(self) -> None:
        """Release the connections of the looks. Never raises."""


class Charge(NamedTuple):
    """A crew with what goes with it."""

    driver: Driver
    status: WorkerStatus

    @property
    def topics(self) -> tuple[str, ...]:
        """Return the source topics of the crew."""
        return self.driver.crew.terms.topics


class Member:
    """The group and the agents on one side, crews and their drivers on the other."""

    def __init__(self, app: BatchApp, source: FetchingSource, clock: Clock) -> None:
        """`take_charge` follows once the drivers are made, before `app` is started."""
        self.failure: asyncio.Future[BaseException] = asyncio.get_running_loop().create_future()
        """Done when the process must end, with the reason."""
        self._app = app
        self._clock = clock
        self._source = source
        self.charges: tuple[Charge, ...] = ()
        self._by_topic: dict[str, Charge] = {}
        self._principal = app.settings.security.principal
        self._hindrances = Hindrances()

    def take_charge(self, charges: Sequence[Charge], verb: str) -> None:
        """Register with the app; agents are called after what they do."""
        app = self._app
        self.charges = tuple(charges)
        self._by_topic = {topic: charge for charge in charges for topic in charge.topics}
        app.on_fault = self._fault
        # Faust's types ask for more than it hands over.
        take: Any = self._take
        revoked: Any = self._revoked
        assigned: Any = self._assigned
        for topic in app.sources:
            app.agent(batch_topic(app, topic), name=agent_name(verb, topic))(take)
        app.on_partitions_revoked.connect(revoked)
        app.on_partitions_assigned.connect(assigned)

    async def watch(self) -> None:
        """Look after the tenures until cancelled: holes at the tail, dead tasks of aiokafka, topics that grow."""
        try:
            # Loops of their own: asking the broker waits while it is away.
            await asyncio.gather(*(loop() for loop in self._loops()))
        except Exception as error:  # noqa: BLE001 - whatever it is, nobody looks after the process any more
            self.fail(error)

    def _loops(self) -> list[Any]:
        return [self._watch_partitions, self._watch_sources]

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
            self._tell_hindrances(self._source.check())
            for charge in self.charges:
                for number in list(charge.driver.crew.tenures):
                    self._look_at(charge, number)

    def _tell_hindrances(self, refusal: KafkaError | None) -> None:
        now_ms = self._clock.now_ms()
        group = None if refusal is None else denial(refusal, self._principal, "Describe")
        waiting = {number: why for charge in self.charges for number, why in charge.status.waiting().items()}
        self._hindrances.look(waiting, group, now_ms)
        for charge in self.charges:
            charge.status.group_denies(group, now_ms)

    def _look_at(self, charge: Charge, number: int) -> None:
        """Tell the tenure of a partition how far it was fetched."""
        fetched = {}
        for topic in charge.topics:
            position, end = self._source.fetch_state(number, topic)
            if end is not None:
                charge.status.end_offset(topic, number, end)
            if position is not None:
                fetched[topic] = Fetched(position, self._source.has_in_hand(number, topic))
        tenure = charge.driver.crew.tenures[number]
        waited_ms = 0 if tenure.processor is None else tenure.cutting.waited_ms(self._clock.monotonic_ms())
        charge.status.checkpoint_waits(number, waited_ms)
        charge.driver.on(To(number, Looked(fetched)))

    async def _watch_sources(self) -> None:
        while True:
            await asyncio.sleep(SOURCES_SECONDS)
            await self._follow_sources()

    async def _follow_sources(self) -> None:
        """Note where the logs end, what the topics are by now, and whether they are still those that were counted."""
        for charge in self.charges:
            asked = charge.driver.crew.counted()
            epochs = epochs_of({number: counted for number, (_, counted) in asked.items()})
            try:
                sources = await self._source.survey(None, charge.topics, epochs)
            except (KafkaError, OSError) as error:
                # Kafka is away, or a topic is being made; there will be a next time.
                charge.status.unanswered(denial(error, self._principal, "Describe") or cause_of(error))
                return
            charge.status.looked(sources.ranges, self._clock.now_ms())
            charge.driver.on(Seen(sources, asked))

    async def stop(self) -> None:
        """Make the final checkpoints and give all partitions up; bounded by the time a checkpoint may take."""
        await asyncio.gather(*(charge.driver.close() for charge in self.charges))
        await self._source.close()

    def fail(self, error: BaseException) -> None:
        """End the process; only the first reason counts."""
        if not self.failure.done():
            self.failure.set_result(error)

    async def _take(self, stream: AsyncIterator[RecordBatch]) -> None:
        """Take batches of one topic; the body of its agent."""
        async for batch in stream:
            self._deliver(batch)
            self._source.done(batch)
            # Catching up there is always a next batch: without this a checkpoint, which takes a dozen turns of the
            # loop, would last for a dozen batches.
            for _ in range(TURNS):
                await asyncio.sleep(0)
            await self._breathe(batch)

    async def _breathe(self, batch: RecordBatch) -> None:
        """Wait after a batch, where there is a reason to."""

    def _deliver(self, batch: RecordBatch) -> None:
        age_ms = self._clock.now_ms() - int(batch.record_times_ms[-1]) if len(batch) else 0
        try:
            self._by_topic[batch.topic].driver.on(To(batch.partition, Delivered(batch, age_ms)))
        except Exception as error:  # noqa: BLE001 - Faust would acknowledge the batch and go on with the next one
            self.fail(error)

    async def _revoked(self, app: Any, revoked: set[TP], **_: object) -> None:  # noqa: ANN401, ARG002 - Faust's signal
        """Let everything go; the group waits for the final checkpoints."""
        for charge in self.charges:
            charge.status.rebalance_started(self._clock.now_ms())
            charge.driver.on(TakenBack())
        await asyncio.gather(*(charge.driver.until_away() for charge in self.charges))

    async def _assigned(self, app: Any, assigned: set[TP], **_: object) -> None:  # noqa: ANN401 - Faust's signal
        """Take over what was dealt."""
        group_generation = app.consumer_generation_id
        for charge in self.charges:
            topics = _by_number(assigned, app.sources, charge.topics)
            dealt = {"partitions": sorted(topics), "group_generation": group_generation}
            log.info("partitions assigned", extra={**charge.driver.told, **dealt})
            charge.status.assigned(sorted(topics), self._clock.now_ms())
            charge.driver.on(Dealt(topics, group_generation))

    def _fault(self, partition: TopicPartition, error: BaseException) -> None:
        topic = self._app.sources[partition.topic]
        denied = denial(error, self._principal, "Read")
        detail = denied or str(error) or type(error).__name__
        failed = FetchFailed(topic, isinstance(error, OffsetOutOfRangeError), detail, denied is not None)
        self._by_topic[topic].driver.on(To(partition.partition, failed))


def _by_number(assigned: Iterable[TP], sources: Mapping[str, str], only: Sequence[str]) -> dict[int, frozenset[str]]:
    numbers: defaultdict[int, set[str]] = defaultdict(set)
    for tp in assigned:
        topic = sources.get(tp.topic)
        if topic is not None and topic in only:
            numbers[tp.partition].add(topic)
    return {number: frozenset(topics) for number, topics in numbers.items()}
