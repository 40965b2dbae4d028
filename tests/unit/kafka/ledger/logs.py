"""Source topics of the in-memory Kafka, read by a lone crew."""

from __future__ import annotations

from typing import TYPE_CHECKING

from aiokafka.structs import TopicPartition

from streams.engine.memory import Kafka, MemoryLedgerStore
from streams.engine.memory.source import survey
from streams.kafka.client.memory_reader import MemoryReader
from streams.kafka.ledger.log_intake import LogIntake
from streams.settings import Settings
from tests.unit.domain.samples import START_MS, encode, order

if TYPE_CHECKING:
    from collections.abc import Collection, Iterable, Mapping, Sequence

    from streams.engine.judgement import Sources
    from streams.kafka.group.intake import Epochs

TOPICS = ("orders", "payments")
SIZE = 4
"""Records of a topic in one fetch."""


class Reader(MemoryReader):
    """A reader that remembers what it was told to read."""

    def __init__(self, kafka: Kafka) -> None:
        super().__init__(kafka, max_records=SIZE)
        self.assigned: list[dict[TopicPartition, int]] = []

    def assign(self, positions: Mapping[TopicPartition, int]) -> None:
        super().assign(positions)
        self.assigned.append(dict(positions))


class KafkaSource(LogIntake):
    """The source of a lone crew on the in-memory Kafka; `failures` are raised by the next surveys."""

    def __init__(self, kafka: Kafka) -> None:
        self.kafka = kafka
        self.reader, self.looks = Reader(kafka), Reader(kafka)
        super().__init__(Settings(broker="127.0.0.1:1"), self.reader, self.looks)
        self.failures: list[Exception] = []

    async def survey(self, partition: int | None, topics: Sequence[str], epochs: Epochs) -> Sources:
        if self.failures:
            raise self.failures.pop(0)
        return survey(self.kafka, topics, partition, epochs)


class Store(MemoryLedgerStore):
    """A store with what a recount asks for besides."""

    is_closed = False

    async def close(self) -> None:
        self.is_closed = True


def fill(kafka: Kafka, ends: Mapping[TopicPartition, int]) -> None:
    """Let logs end where it is said, each record a different order."""
    kafka.tick(START_MS + 1)
    for (topic, partition), end in ends.items():
        start = kafka.log(topic, partition).end
        values = [encode(order(event_id=f"e{partition}-{offset}")) for offset in range(start, end)]
        if values:
            kafka.produce(topic, partition, values)


def ends(numbers: Collection[int], end: int, topics: Iterable[str] = TOPICS) -> dict[TopicPartition, int]:
    """Return the same end of each topic's partitions."""
    return {TopicPartition(topic, number): end for topic in topics for number in numbers}
