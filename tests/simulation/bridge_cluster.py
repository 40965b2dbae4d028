"""The in-memory Kafka as a bridge's store asks for it: the product's own store runs on it, from one await to the next.

Nothing here waits, so a coroutine of the store is over when it is first resumed (`done`).
"""

from __future__ import annotations

from contextlib import asynccontextmanager
from dataclasses import replace
from typing import TYPE_CHECKING, Any

from streams.bridge.cluster import NO_LIMIT, PLACE
from streams.bridge.progress import Progress
from streams.engine.checkpoint import FencedError, OutcomeUnknownError
from streams.engine.memory import Producer
from streams.engine.memory.cluster import UNCOMMITTED
from streams.engine.memory.errors import NotStableError, ProducerFencedError
from streams.engine.memory.ledger import TRANSACTION_TIMEOUT_MS
from streams.engine.topic_names import BRIDGE
from tests.simulation.readers import at_once
from tests.simulation.source import survey

if TYPE_CHECKING:
    from collections.abc import AsyncIterator, Mapping, Sequence

    from aiokafka.structs import OffsetAndMetadata, TopicPartition

    from streams.bridge.store import BridgePartitionStore, BridgeStore
    from streams.engine.checkpoint import Checkpoint, Restored
    from streams.engine.judgement import Note, Sources
    from streams.engine.memory.cluster import Kafka
    from streams.kafka.group.intake import Epochs
    from streams.native.texts import Texts


class MemoryCluster:
    """A `Cluster` (`streams.bridge.cluster`)."""

    def __init__(self, kafka: Kafka) -> None:
        self._kafka = kafka

    async def progress(self, bridge: str) -> Progress:
        """Return what is committed of one map. Raises `NotStableError` while a transaction is open there."""
        kafka, found = self._kafka, Progress(bridge)
        if kafka.end_offset(BRIDGE, PLACE) < kafka.end_offset(BRIDGE, PLACE, UNCOMMITTED):
            raise NotStableError(f"a transaction is open on {BRIDGE}")
        batch = kafka.fetch(BRIDGE, PLACE, kafka.beginning_offset(BRIDGE, PLACE))
        for key, value in zip(batch.keys, batch.values, strict=True):
            found.take(key, value)
        return found

    async def look(self, topic: str, partition: int, epochs: Epochs) -> Sources:
        """Return how a partition of a source is now."""
        found = survey(self._kafka, (topic,), partition, epochs, (BRIDGE,))
        return replace(found, ledger_partitions=NO_LIMIT)

    async def first_newer(self, topic: str, partition: int, time_ms: int) -> int | None:
        """Return the first offset whose record time is later; None where there is none."""
        found = self._kafka.offset_for_time(topic, partition, time_ms + 1)
        return None if found is None else found[0]

    async def writer(self, transactional_id: str, place: str) -> MemoryWriter:
        """Fence every older writer."""
        return MemoryWriter(Producer(self._kafka, transactional_id, TRANSACTION_TIMEOUT_MS), self._kafka, place)


class MemoryWriter:
    """The newest producer of a transactional id: one transaction at a time, none after one that ended badly."""

    def __init__(self, producer: Producer, kafka: Kafka, place: str) -> None:
        self._producer, self._kafka, self._place = producer, kafka, place
        self._is_finished = False

    @asynccontextmanager
    async def transaction(self) -> AsyncIterator[Any]:
        """Give a transaction, which is to be committed inside."""
        assert not self._is_finished, "this store is finished: fence again"
        self._is_finished = True
        try:
            yield MemoryTransaction(self._producer, self._kafka)
        except ProducerFencedError as error:
            raise FencedError(f"{self._place}: a newer owner has taken over") from error
        except Exception as error:
            raise OutcomeUnknownError(f"{self._place}: {error!r}") from error
        self._is_finished = False

    async def close(self) -> None:
        """Give the right to write up."""
        self._is_finished = True


class MemoryTransaction:
    """What a store asks of a transaction."""

    def __init__(self, producer: Producer, kafka: Kafka) -> None:
        self._producer, self._kafka = producer, kafka
        self._unsent: dict[TopicPartition, list[tuple[bytes | None, bytes | None, Any]]] = {}

    def add(
        self,
        place: TopicPartition,
        key: bytes | None,
        value: bytes | None,
        headers: Sequence[tuple[str, bytes]] = (),
    ) -> None:
        """Append a record."""
        self._unsent.setdefault(place, []).append((key, value, tuple(headers)))

    def add_many(self, place: TopicPartition, keys: Texts, values: Texts) -> None:
        """Append many."""
        for key, value in zip(keys, values, strict=True):
            self.add(place, key, value)

    async def partition_count(self, topic: str) -> int:
        """Return how many partitions a topic has."""
        known = self._kafka.describe_topic(topic)
        return 0 if known is None else known.partitions

    async def flush(self) -> None:
        """Send what was added."""
        unsent, self._unsent = self._unsent, {}
        for place, records in unsent.items():
            keys, values, headers = zip(*records, strict=True)
            self._producer.send(place.topic, place.partition, values, keys, headers)

    async def add_offsets(self, offsets: Mapping[TopicPartition, OffsetAndMetadata], group: str) -> None:
        """Move the offsets of a group with the commit."""
        told = {(place.topic, place.partition): found.offset for place, found in offsets.items()}
        self._producer.add_offsets(group, told)

    async def commit(self) -> None:
        """Send what was added and commit it."""
        await self.flush()
        self._producer.commit()


class StoreNow:
    """A bridge's store without an event loop."""

    def __init__(self, store: BridgeStore, kafka: Kafka) -> None:
        self.store, self.kafka = store, kafka

    def fence_now(self, partition: int, generation: str) -> PartitionNow:
        """Become the only writer of what comes of a partition."""
        return PartitionNow(at_once(self.store.fence(partition, generation)))


class PartitionNow:
    """The same of one partition."""

    def __init__(self, store: BridgePartitionStore) -> None:
        self._store = store

    def restore_now(self) -> Restored:
        """Return what is committed."""
        return at_once(self._store.restore())

    def commit_now(self, checkpoint: Checkpoint) -> None:
        """Make a checkpoint durable."""
        at_once(self._store.commit(checkpoint))

    def leave_note_now(self, note: Note) -> None:
        """Write why the partition is held."""
        at_once(self._store.leave_note(note))
