"""Source topics on the in-memory Kafka, as the owner of partitions sees them (`streams.kafka.group.source.Source`)."""

from __future__ import annotations

from types import MappingProxyType
from typing import TYPE_CHECKING

from streams.domain.pages import Identity
from streams.engine.judgement import LogRange, Sources, end_of_epoch
from streams.engine.memory.cluster import UNCOMMITTED, Kafka
from streams.engine.topic_names import LEDGER, SEEN

if TYPE_CHECKING:
    from collections.abc import Collection, Mapping, Sequence

    from streams.engine.batch import RecordBatch

Place = tuple[str, int]
NO_EPOCHS: Mapping[Place, int] = MappingProxyType({})


class MemorySource:
    """What is released flows: `fetch` returns it. Names are without prefix, for the Kafka has none."""

    def __init__(self, kafka: Kafka) -> None:
        """Let nothing flow yet."""
        self.kafka = kafka
        self.positions: dict[tuple[str, int], int] = {}
        """Next offset to fetch, of what flows."""
        self.is_dealt = False
        """Whether a group says that what it dealt is still ours."""

    async def release(self, partition: int, positions: Mapping[str, int]) -> None:
        """Let topics of a partition flow from the given positions; also rewinds one that flows already."""
        self.positions |= {(topic, partition): offset for topic, offset in positions.items()}

    async def hold_back(self, partition: int, topics: Collection[str]) -> None:
        """Deliver nothing more of a partition."""
        for topic in topics:
            self.positions.pop((topic, partition), None)

    async def is_member(self) -> bool:
        """Return what `is_dealt` says."""
        return self.is_dealt

    async def survey(self, partition: int | None, topics: Sequence[str], epochs: Mapping[Place, int]) -> Sources:
        """Do what `survey` does."""
        return survey(self.kafka, topics, partition, epochs)

    def fetch(self, topic: str, partition: int, max_records: int | None = None) -> RecordBatch:
        """Return the next records of a topic that flows; raises what the broker answers in their place."""
        batch = self.kafka.fetch(topic, partition, self.positions[topic, partition], max_records=max_records)
        self.positions[topic, partition] = batch.next_offset
        return batch

    def fetch_state(self, partition: int, topic: str) -> tuple[int | None, int | None]:
        """Return the fetch position of a topic and its end; None for what is not known."""
        position = self.positions.get((topic, partition))
        return position, None if position is None else self.kafka.end_offset(topic, partition, UNCOMMITTED)

    def has_in_hand(self, _partition: int, _topic: str) -> bool:
        """Return whether batches were fetched and not delivered: never, they are delivered as they are fetched."""
        return False

    def done(self, batch: RecordBatch) -> None:
        """Take note that a batch was taken."""

    def check(self) -> None:
        """Raise what ended the source: nothing does."""

    async def close(self) -> None:
        """Let nothing flow any more."""
        self.positions.clear()


def survey(
    kafka: Kafka, topics: Collection[str], only: int | None = None, epochs: Mapping[Place, int] = NO_EPOCHS
) -> Sources:
    """Return the topics as they are now, with the offsets of one partition number, None: of all.

    `epochs`: leader epochs by topic and partition, of which is told where they end.
    """
    found = {topic: kafka.describe_topic(topic) for topic in (*topics, LEDGER, SEEN)}
    counts = {topic: 0 if known is None else known.partitions for topic, known in found.items()}
    ranges, epoch_ends, leader_epochs = {}, {}, {}
    for topic in topics:
        for number in range(counts[topic]):
            if only is None or number == only:
                beginning, stable = kafka.beginning_offset(topic, number), kafka.end_offset(topic, number)
                ranges[topic, number] = LogRange(beginning, stable, kafka.end_offset(topic, number, UNCOMMITTED))
                leader_epochs[topic, number] = kafka.log(topic, number).leader_epochs[-1][0]
                if (topic, number) in epochs:
                    asked = epochs[topic, number]
                    answer = kafka.offset_for_leader_epoch(topic, number, asked)
                    epoch_ends[topic, number] = end_of_epoch(asked, *answer)
    ids = {topic: known.topic_id for topic, known in found.items() if known is not None}
    own = {topic: ids.pop(topic) for topic in (LEDGER, SEEN) if topic in ids}
    identity = Identity(cluster=kafka.cluster_id, own=own, topics=ids)
    room = min(counts[LEDGER], counts[SEEN])
    return Sources({topic: counts[topic] for topic in topics}, ranges, room, identity, epoch_ends, leader_epochs)
