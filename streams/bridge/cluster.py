"""What a bridge's store asks of a cluster: progress, a look at a source, and the right to be its only writer."""

from __future__ import annotations

from dataclasses import replace
from typing import TYPE_CHECKING, Any, Protocol

from aiokafka.structs import TopicPartition

from streams.bridge.progress import Progress
from streams.engine.topic_names import BRIDGE
from streams.errors import UsageError
from streams.kafka.client.log_reader import LogReader
from streams.kafka.client.sole_writer import SoleWriter
from streams.kafka.cluster.survey import survey

if TYPE_CHECKING:
    from collections.abc import Collection, Sequence
    from contextlib import AbstractAsyncContextManager

    from streams.engine.clock import BrokerClock
    from streams.engine.judgement import Sources
    from streams.kafka.client.transaction import Transaction
    from streams.kafka.group.intake import Epochs
    from streams.settings import Settings

NO_LIMIT = 1 << 30
PLACE = 0
"""The partition of the progress: one holds all of it."""


class Writer(Protocol):
    """The only writer of what comes of a partition."""

    def transaction(self) -> AbstractAsyncContextManager[Transaction]:
        """Give a transaction. Raises `FencedError` where a newer writer exists, else `OutcomeUnknownError`."""

    async def close(self) -> None:
        """Release what it holds; never raises."""


class Cluster(Protocol):
    """All methods but `close` may raise what the broker answers in place of a result: then try again."""

    async def progress(self, bridge: str) -> Progress:
        """Return what is committed of one map. Raises `UnreadableError`."""

    async def look(self, topic: str, partition: int, epochs: Epochs) -> Sources:
        """Return how a partition of a source is now, and where these leader epochs end in it."""

    async def first_newer(self, topic: str, partition: int, time_ms: int) -> int | None:
        """Return the first offset whose record time is later; None where there is none."""

    async def writer(self, transactional_id: str, place: str) -> Writer:
        """Fence every older writer of `transactional_id`; `place` is what errors call the partition."""


class KafkaCluster:
    """The cluster that the settings name."""

    def __init__(self, settings: Settings, clock: BrokerClock) -> None:
        """Connect to nothing yet; `clock` learns the broker's time from its answers."""
        self._settings = settings
        self._clock = clock

    async def progress(self, bridge: str) -> Progress:
        """Do what `read_progress` does."""
        return await read_progress(self._settings, bridge)

    async def look(self, topic: str, partition: int, epochs: Epochs) -> Sources:
        """Return how a partition of a source is now, and where these leader epochs end in it."""
        reader = await LogReader.open(self._settings, is_foreign=True)
        try:
            return await look(reader.client, self._settings.prefix, (topic,), (partition,), epochs)
        finally:
            await reader.close()

    async def first_newer(self, topic: str, partition: int, time_ms: int) -> int | None:
        """Return the first offset whose record time is later; None where there is none."""
        reader = await LogReader.open(self._settings, is_foreign=True)
        try:
            return await reader.first_newer(TopicPartition(topic, partition), time_ms)
        finally:
            await reader.close()

    async def writer(self, transactional_id: str, place: str) -> SoleWriter:
        """Fence every older writer. Waits through an outage of the broker."""
        return await SoleWriter.open(self._settings, transactional_id, place, self._clock.appended)


async def look(
    client: Any,  # noqa: ANN401 - aiokafka's client has no public type
    prefix: str,
    topics: Sequence[str],
    only: Collection[int] | None,
    epochs: Epochs,
) -> Sources:
    """Return sources as they are now; the progress has room for any partition, where it is there at all."""
    found = await survey(client, "", topics, own=(prefix + BRIDGE,), only=only, epochs=epochs)
    return replace(found, ledger_partitions=NO_LIMIT if found.ledger_partitions else 0)


async def read_progress(settings: Settings, bridge: str | None = None) -> Progress:
    """Return what is committed of one map, or of all. Raises `KafkaError`, and `UnreadableError`."""
    found = Progress(bridge)
    reader = await LogReader.open(settings)
    try:
        place = TopicPartition(BRIDGE, PLACE)
        # Up to the high watermark: of several bridges one's transaction may be open before what another has committed.
        looked = await survey(reader.client, settings.prefix, (BRIDGE,), own=(BRIDGE,))
        if (BRIDGE, PLACE) not in looked.ranges:
            raise UsageError(f"the topic {settings.prefix}{BRIDGE} is not there: run `festival topics`")
        end = looked.ranges[BRIDGE, PLACE].end
        async for key, value in reader.records(place, end):
            found.take(key, value)
    finally:
        await reader.close()
    return found
