"""Where a bridge's checkpoints go: events, rejected records and the cursor in one Kafka transaction.

One transactional id for each partition of each source: whoever takes it over fences every older owner. Used through
the protocol in `streams.engine.checkpoint`.
"""

from __future__ import annotations

import itertools
import logging
from dataclasses import dataclass
from typing import TYPE_CHECKING

import msgspec
import numpy as np
from aiokafka.structs import OffsetAndMetadata, TopicPartition

from streams.bridge import progress
from streams.bridge.cluster import PLACE
from streams.bridge.progress import BridgeCursor, Gap, KeptMap, Stretch, TranslatedCheckpoint
from streams.bridge.sources import EARLIEST, LATEST
from streams.engine.checkpoint import Restored
from streams.engine.judgement import epochs_of, judge_partition
from streams.engine.steps import Step, nothing_at
from streams.engine.topic_names import BRIDGE, BRIDGE_REJECTED
from streams.errors import UsageError
from streams.imports.partitioning import partitions_of
from streams.native.texts import joined, taken

if TYPE_CHECKING:
    from collections.abc import Sequence

    from streams.bridge.cluster import Cluster, Writer
    from streams.bridge.map import BridgeMap
    from streams.bridge.progress import Progress, Sent
    from streams.bridge.sources import Source
    from streams.engine.checkpoint import Checkpoint
    from streams.engine.judgement import LogRange, Note
    from streams.engine.steps import AtStep
    from streams.kafka.client.transaction import Transaction

log = logging.getLogger("festival.bridge")


def group_of(bridge: str) -> str:
    """Return the consumer group of a map's bridges, without prefix."""
    return f"festival-bridge-{bridge}"


def transactional_id(prefix: str, bridge: str, topic: str, partition: int) -> str:
    """Return the id whose newest producer alone may write what comes of a partition.

    No name of a map or topic has a colon, so no two are alike.
    """
    return f"{prefix}{group_of(bridge)}-{partition}:{topic}"


@dataclass(frozen=True, slots=True)
class Translating:
    """What the stores of one bridge share."""

    cluster: Cluster
    prefix: str
    bridge: str
    kept: KeptMap
    """The map as it is kept for the audit."""
    digest: str
    """That of the whole map."""
    translations: dict[str, str]
    """Digest of each source, by topic."""
    superseded: frozenset[str] = frozenset()
    """Digests of translations in whose place this map's was accepted."""
    accepts_loss: bool = False
    at_step: AtStep = nothing_at


def translating(
    cluster: Cluster,
    prefix: str,
    bridge_map: BridgeMap,
    *,
    superseded: frozenset[str] = frozenset(),
    accepts_loss: bool = False,
    at_step: AtStep = nothing_at,
) -> Translating:
    """Return what the stores of a map share."""
    files = {s.document["descriptor"]: s.descriptor for s in bridge_map.sources if s.descriptor is not None}
    kept = KeptMap(text=bridge_map.text, descriptors=files)
    digest, translations = bridge_map.digest, bridge_map.translations
    name = bridge_map.name
    return Translating(cluster, prefix, name, kept, digest, translations, superseded, accepts_loss, at_step)


class BridgeStore:
    """A `LedgerStore` for one source of a map."""

    def __init__(self, shared: Translating, source: Source) -> None:
        """Connect to nothing yet."""
        self._shared = shared
        self._source = source

    async def fence(self, partition: int, generation: str) -> BridgePartitionStore:
        """Become the only writer of what comes of a partition. Raises `KafkaError`."""
        del generation  # there is one only
        shared = self._shared
        name = transactional_id(shared.prefix, shared.bridge, self._source.topic, partition)
        writer = await shared.cluster.writer(name, f"{self._source.topic}[{partition}]")
        return BridgePartitionStore(shared, self._source, writer, partition)


class BridgePartitionStore:
    """A `PartitionStore`: one transactional producer."""

    def __init__(
        self,
        shared: Translating,
        source: Source,
        writer: Writer,
        partition: int,
    ) -> None:
        """Made by `BridgeStore.fence` only."""
        self._shared = shared
        self._source = source
        self._writer = writer
        self._partition = partition

    async def restore(self) -> Restored:
        """Return the committed cursor; where there is none, the first position, which is committed before it is read.

        Raises `UnreadableError`, `KafkaError`, `UsageError` where another map was followed, and what `commit` raises.
        """
        found = await self._shared.cluster.progress(self._shared.bridge)
        cursor = found.cursors.get((self._shared.bridge, self._source.topic, self._partition))
        start = await self._first(found) if cursor is None else await self._next(cursor)
        if start != cursor:
            async with self._writer.transaction() as transaction:
                kept = progress.map_key(self._shared.bridge, self._shared.digest)
                transaction.add(self._progress, kept, msgspec.json.encode(self._shared.kept))
                transaction.add(self._progress, self._key, progress.encode_cursor(start))
                await transaction.commit()
        return Restored(cursor=start)

    async def _next(self, cursor: BridgeCursor) -> BridgeCursor:
        """Return a cursor as it goes on: under this map, and, where that was accepted, behind what is lost."""
        topic, shared = self._source.topic, self._shared
        position = cursor.positions[topic]
        if shared.accepts_loss:
            cursor = await self._behind_loss(cursor)
            position = cursor.positions[topic]
        before = cursor.stretches[-1].translation
        if before != shared.translations[topic]:
            if before not in shared.superseded:
                raise UsageError(f"{topic}: another map of this name was accepted meanwhile: start again with that one")
            stretch = Stretch(position, shared.translations[topic], shared.digest)
            cursor = msgspec.structs.replace(cursor, stretches=[*cursor.stretches, stretch])
        return cursor

    async def _behind_loss(self, cursor: BridgeCursor) -> BridgeCursor:
        topic, number = place = self._source.topic, self._partition
        sources = await self._shared.cluster.look(topic, number, epochs_of({number: cursor}))
        found = judge_partition(number, sources, cursor)
        if found is None or place not in sources.ranges:
            return cursor
        position, beginning = cursor.positions[topic], sources.ranges[place].beginning
        lost = {"topic": topic, "partition": number, "position": position, "goes_on": beginning}
        log.warning("records were lost, going on at the log's beginning", extra={**lost, "reason": str(found.reason)})
        return msgspec.structs.replace(
            cursor,
            positions={topic: beginning},
            identity=sources.identity,
            epochs={},
            gaps=[*cursor.gaps, Gap(position, beginning, sources.identity.topics[topic])],
        )

    async def _first(self, found: Progress) -> BridgeCursor:
        """Return the cursor of a partition that was never read."""
        source, shared = self._source, self._shared
        begun = [cursor.begun_partitions for (_, topic, _), cursor in found.cursors.items() if topic == source.topic]
        looked = await shared.cluster.look(source.topic, self._partition, {})
        is_added = bool(begun) and self._partition >= min(begun)
        log_range = looked.ranges[source.topic, self._partition]
        position = await self._start(log_range, EARLIEST if is_added else source.start)
        return BridgeCursor(
            positions={source.topic: position},
            started={source.topic: position},
            stream_times_ms={},
            max_event_times_ms={},
            outcomes={},
            rejected={},
            sequence=0,
            identity=looked.identity,
            epochs={},
            begun_partitions=looked.counts[source.topic],
            stretches=[Stretch(position, shared.translations[source.topic], shared.digest)],
        )

    async def _start(self, log_range: LogRange, start: str | int) -> int:
        if start == EARLIEST:
            return log_range.beginning
        if start == LATEST:
            return log_range.stable
        assert isinstance(start, int)
        found = await self._shared.cluster.first_newer(self._source.topic, self._partition, start - 1)
        return log_range.stable if found is None else found

    async def commit(self, checkpoint: Checkpoint) -> None:
        """Make `checkpoint` durable; raises `FencedError` or `OutcomeUnknownError`, and is finished then."""
        assert isinstance(checkpoint, TranslatedCheckpoint), checkpoint
        async with self._writer.transaction() as transaction:
            await self._commit(transaction, checkpoint)

    async def _commit(self, transaction: Transaction, checkpoint: TranslatedCheckpoint) -> None:
        shared = self._shared
        prefix, at_step = shared.prefix, shared.at_step
        at_step(Step.BEFORE_BEGIN)

        async def reach(step: Step) -> None:
            if at_step is not nothing_at:
                await transaction.flush()
                at_step(step)

        if checkpoint.events:
            await self._send(transaction, checkpoint.events)
        await reach(Step.AFTER_PAGES)
        if checkpoint.set_aside:
            count = await transaction.partition_count(prefix + BRIDGE_REJECTED)
            for aside in checkpoint.set_aside:
                place = TopicPartition(prefix + BRIDGE_REJECTED, aside.partition % count)
                transaction.add(place, aside.key, aside.value, list(aside.headers))  # type: ignore[arg-type]
        await reach(Step.AFTER_REJECTED)
        transaction.add(self._progress, self._key, progress.encode_cursor(checkpoint.progress))
        await reach(Step.AFTER_CURSOR)
        if checkpoint.positions:
            await transaction.flush()
            offsets = {
                TopicPartition(topic, self._partition): OffsetAndMetadata(offset, "")
                for topic, offset in checkpoint.positions.items()
            }
            await transaction.add_offsets(offsets, prefix + group_of(shared.bridge))
        await reach(Step.AFTER_OFFSETS)
        await transaction.commit()
        at_step(Step.AFTER_COMMIT)

    async def _send(self, transaction: Transaction, events: Sequence[Sent]) -> None:
        """Append the events to their partitions, in their order."""
        for name, several in itertools.groupby(events, lambda sent: sent.topic):
            parts = list(several)
            keys, values = joined([part.keys for part in parts]), joined([part.values for part in parts])
            topic = self._shared.prefix + name
            chosen = partitions_of(keys, await transaction.partition_count(topic))
            order = np.argsort(chosen, kind="stable")
            for rows in np.split(order, np.flatnonzero(np.diff(chosen[order])) + 1):
                place = TopicPartition(topic, int(chosen[rows[0]]))
                transaction.add_many(place, taken(keys, rows), taken(values, rows))

    async def leave_note(self, note: Note) -> None:
        """Write why the partition is held. Raises like `commit`."""
        async with self._writer.transaction() as transaction:
            key = progress.note_key(self._shared.bridge, self._source.topic, self._partition)
            transaction.add(self._progress, key, msgspec.json.encode(note))
            await transaction.commit()

    async def close(self) -> None:
        """Release the connections; ends within a few seconds. Never raises, may be called twice."""
        await self._writer.close()

    @property
    def _progress(self) -> TopicPartition:
        return TopicPartition(self._shared.prefix + BRIDGE, PLACE)

    @property
    def _key(self) -> bytes:
        return progress.cursor_key(self._shared.bridge, self._source.topic, self._partition)
