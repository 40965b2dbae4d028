"""Logs of the in-memory Kafka, read through `LogReader`: what the Kafka side does with them, without a broker."""

from __future__ import annotations

from typing import TYPE_CHECKING

import pytest

from streams.domain.pages import Cursor, encode_cursor
from streams.engine.memory import Kafka, Producer, create_topics
from streams.engine.memory.source import survey
from streams.kafka.client.log_reader import LogReader
from streams.kafka.client.memory_reader import MemoryReader
from streams.settings import Settings
from tests.unit.domain.samples import IDENTITY

if TYPE_CHECKING:
    from collections.abc import Iterable, Mapping, Sequence

    from aiokafka.errors import KafkaError
    from aiokafka.structs import TopicPartition

    from streams.engine.batch import RecordBatch
    from streams.engine.judgement import Sources

PARTITIONS = 2
SETTINGS = Settings(broker="127.0.0.1:1", prefix="")


class Reader(MemoryReader):
    """A reader of one record at a time, so that nothing is done with whole fetches only; it fails as it is told."""

    def __init__(self, logs: Logs, *, is_committed_only: bool) -> None:
        super().__init__(logs.kafka, is_committed_only=is_committed_only, max_records=1)
        self._logs = logs

    @property
    def client(self) -> Kafka:
        """What a survey is asked of."""
        return self._logs.kafka

    async def end_offsets(self, partitions: Iterable[TopicPartition]) -> dict[TopicPartition, int]:
        if self._logs.faults_of_ends:
            raise self._logs.faults_of_ends.pop(0)
        return await super().end_offsets(partitions)

    async def fetch(self, timeout_seconds: float) -> list[RecordBatch]:
        if self._logs.faults:
            raise self._logs.faults.pop(0)
        return await super().fetch(timeout_seconds)

    async def close(self) -> None:
        await super().close()
        self._logs.open.remove(self)


class Logs:
    """One in-memory Kafka with the topics of a festival; `LogReader.open` opens its logs while a test runs."""

    def __init__(self, monkeypatch: pytest.MonkeyPatch) -> None:
        self.kafka = Kafka()
        create_topics(self.kafka, PARTITIONS)
        self.open: list[Reader] = []
        """Readers that nobody has closed."""
        self.faults: list[KafkaError | OSError] = []
        """What the next fetches raise."""
        self.faults_of_ends: list[KafkaError] = []

        async def open_reader(_: Settings, *, is_committed_only: bool = True, **__: object) -> Reader:
            self.open.append(Reader(self, is_committed_only=is_committed_only))
            return self.open[-1]

        async def look(
            kafka: Kafka, _: str, topics: Sequence[str], *, own: object, epochs: Mapping[tuple[str, int], int]
        ) -> Sources:
            assert own
            return survey(kafka, topics, None, epochs)

        monkeypatch.setattr(LogReader, "open", open_reader)
        monkeypatch.setattr("streams.kafka.ledger.recount.survey", look)

    def write(
        self, topic: str, *records: tuple[bytes, bytes | None], partition: int = 0, by: str | None = "writer"
    ) -> Producer:
        """Append records and leave their transaction open; `by` None: without a transaction."""
        producer = Producer(self.kafka, by)
        producer.send(topic, partition, [value for _, value in records], [key for key, _ in records])
        return producer

    def commit(self, topic: str, *records: tuple[bytes, bytes | None], partition: int = 0) -> None:
        """Append records in a committed transaction."""
        self.write(topic, *records, partition=partition).commit()


def cursor(epochs: dict[str, int] | None = None, **positions: int) -> bytes:
    """Return the value of a cursor; `epochs` are those of the leaders that were read."""
    return encode_cursor(
        Cursor(
            positions=positions,
            started={},
            stream_times_ms={},
            max_event_times_ms={},
            outcomes={},
            rejected={},
            sequence=1,
            identity=IDENTITY,
            epochs=epochs or {},
        )
    )


@pytest.fixture
def logs(monkeypatch: pytest.MonkeyPatch) -> Logs:
    """Return the logs of an in-memory Kafka, in place of a broker's."""
    return Logs(monkeypatch)
