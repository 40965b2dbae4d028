"""The bridge's part of its group: a crew for each source of the map, so that topics may have any number of partitions.

Made and run by `streams.bridging`.
"""

from __future__ import annotations

import asyncio
from dataclasses import dataclass
from functools import partial
from typing import TYPE_CHECKING, Any

from aiokafka import TopicPartition
from aiokafka.errors import KafkaError

from streams.bridge.cluster import look
from streams.bridge.processor import GENERATION, restore_bridge
from streams.bridge.status import tell_bridge
from streams.bridge.store import BridgeStore
from streams.bridge.translation import Translation
from streams.engine import bounds
from streams.engine.crew import Crew
from streams.errors import UnreachableError
from streams.kafka.group.driver import Driver
from streams.kafka.group.membership import Charge, Member
from streams.kafka.group.worker import BatchSource

if TYPE_CHECKING:
    from collections.abc import Sequence

    from streams.bridge.map import BridgeMap
    from streams.bridge.registry import Registry
    from streams.bridge.status import BridgeStatus
    from streams.bridge.store import Translating
    from streams.engine.batch import RecordBatch
    from streams.engine.checkpoint import Restored
    from streams.engine.clock import Clock
    from streams.engine.judgement import Sources
    from streams.kafka.group.intake import Epochs
    from streams.kafka.group.transport import BatchApp
    from streams.mapping.hashing import Hash

CATCH_BREATH_SECONDS = 0.01
PENDING_LIMIT_BYTES = 2 * bounds.PENDING_REJECTED_LIMIT_BYTES
"""Translated and not committed, of one partition: then its topic waits for the commit."""


@dataclass(frozen=True, slots=True)
class OneSource:
    """What a crew is made for: one foreign topic."""

    topics: tuple[str, ...]


class ForeignSource(BatchSource):
    """The transport, by the names of foreign topics."""

    async def survey(self, partition: int | None, topics: Sequence[str], epochs: Epochs) -> Sources:
        """Return the topics as they are now."""
        reader = await self._looking()
        try:
            only = None if partition is None else (partition,)
            return await look(reader.client, self._app.settings.prefix, topics, only, epochs)
        except KafkaError:
            await self.close()
            raise

    def _tp(self, topic: str, partition: int) -> TopicPartition:
        return TopicPartition(topic, partition)


class BridgeMember(Member):
    """All crews of one bridge."""

    def __init__(  # noqa: PLR0917 - made in one place
        self,
        app: BatchApp,
        bridge_map: BridgeMap,
        shared: Translating,
        registry: Registry,
        statuses: Sequence[BridgeStatus],
        clock: Clock,
        hashing: Hash | None,
    ) -> None:
        """Register with `app`, which is started afterwards."""
        stores = {source.topic: BridgeStore(shared, source) for source in bridge_map.sources}
        foreign = ForeignSource(app)
        super().__init__(app, foreign, clock)
        settings = app.settings
        charges = []
        for source, status in zip(bridge_map.sources, statuses, strict=True):
            restore = partial(_restore, bridge_map.name, Translation(source, registry, hashing), registry, clock)
            crew = Crew(
                OneSource((source.topic,)),
                GENERATION,
                session_timeout_ms=settings.session_timeout_ms,
                checkpoint_interval_ms=settings.checkpoint_interval_ms,
                restore=restore,
            )
            driver = Driver(
                crew,
                store=stores[source.topic],
                source=foreign,
                status=status,
                clock=clock,
                on_failure=self.fail,
                tell=tell_bridge,
                told={"topic": source.topic},
                principal=settings.security.principal,
            )
            charges.append(Charge(driver, status))
        app.sources = {source.topic: source.topic for source in bridge_map.sources}
        app.with_headers = True
        self.take_charge(charges, "translate")

    def fail(self, error: BaseException) -> None:
        """End the bridge; where the partitions of one source are all held, only if those of all others are."""
        if isinstance(error, UnreachableError):
            tenures = [tenure for charge in self.charges for tenure in charge.driver.crew.tenures.values()]
            if not all(tenure.held is not None and tenure.is_at_rest for tenure in tenures):
                return
        super().fail(error)

    async def _breathe(self, batch: RecordBatch) -> None:
        """Let a commit catch up before more of a partition is translated."""
        crew = self._by_topic[batch.topic].driver.crew
        while True:
            tenure = crew.tenures.get(batch.partition)
            processor = tenure.processor if tenure is not None else None
            if processor is None or processor.pending_rejected_bytes < PENDING_LIMIT_BYTES:
                return
            await asyncio.sleep(CATCH_BREATH_SECONDS)


def _restore(  # noqa: PLR0917 - what is known beforehand, and what a tenure hands over
    bridge: str,
    translation: Translation,
    registry: Registry,
    clock: Clock,
    _source: Any,  # noqa: ANN401 - the crew's own
    partition: int,
    _generation: str,
    restored: Restored,
) -> Any:  # noqa: ANN401 - a processor
    return restore_bridge(bridge, translation, registry, clock, partition, restored)
