"""Where the batches of a lone crew come from: one reader of the source topics, up to given offsets and no further."""

from __future__ import annotations

import asyncio
from typing import TYPE_CHECKING, Self

from aiokafka.structs import TopicPartition

from streams.kafka.client.log_reader import LogReader
from streams.kafka.cluster.survey import survey
from streams.kafka.cluster.topics import OWN

if TYPE_CHECKING:
    from collections.abc import Callable, Collection, Mapping, Sequence

    from aiokafka.errors import KafkaError

    from streams.engine.batch import RecordBatch
    from streams.engine.judgement import Sources
    from streams.kafka.group.intake import Epochs
    from streams.settings import Settings

FETCH_BYTES = 2 * 1024 * 1024
POLL_SECONDS = 0.1


class LogIntake:
    """An `Intake` (`streams.kafka.group.intake`) whose batches are fetched by whoever drives it."""

    def __init__(self, settings: Settings, reader: LogReader, looks: LogReader) -> None:
        """Made by `open`; `on_fault` is set before the first fetch.

        `looks` only asks: on the connections of the fetches each question would wait for a fetch to come back.
        """
        self._settings = settings
        self._reader = reader
        self._looks = looks
        reader.on_fault = self._fault
        self.on_fault: Callable[[TopicPartition, KafkaError], None]
        """Told of a topic that cannot be fetched: nothing more of it is delivered until it is released again."""
        self.targets: Mapping[TopicPartition, int] = {}
        """Up to, not including, these offsets is delivered; nothing of a topic without one."""
        self._next: dict[TopicPartition, int] = {}
        """Next offset to be delivered, of what is released."""
        self._is_moved = False
        """Whether something was released, or held back, since the reader was told what to read."""

    @classmethod
    async def open(cls, settings: Settings) -> Self:
        """Connect; raises `KafkaConnectionError` where the broker is away."""
        reader = await LogReader.open(settings, is_patient=False, max_partition_fetch_bytes=FETCH_BYTES)
        try:
            return cls(settings, reader, await LogReader.open(settings, is_patient=False))
        except BaseException:
            await reader.close()
            raise

    async def fetch(self) -> list[RecordBatch]:
        """Return what has come of the released topics, cut at their targets; waits a moment for something.

        Raises `KafkaConnectionError` where the reader is of no use any more.
        """
        wanted = {tp: offset for tp, offset in self._next.items() if offset < self.targets.get(tp, 0)}
        if not wanted:
            await asyncio.sleep(POLL_SECONDS)
            return []
        # Also where targets were reached, or are further: what was fetched beyond one was thrown away.
        if self._is_moved or wanted != self._reader.positions:
            self._is_moved = False
            self._reader.assign(wanted)
        batches = await self._reader.fetch(POLL_SECONDS)
        if self._is_moved:
            return []  # they may be from before a rewind: what is wanted of them is read again
        return [part for batch in batches if (part := self._wanted_of(batch)) is not None]

    async def release(self, partition: int, positions: Mapping[str, int]) -> None:
        """Let topics of a partition flow from the given positions."""
        self._next |= {TopicPartition(topic, partition): offset for topic, offset in positions.items()}
        self._is_moved = True

    async def hold_back(self, partition: int, topics: Collection[str]) -> None:
        """Deliver nothing more of a partition."""
        for topic in topics:
            self._next.pop(TopicPartition(topic, partition), None)
        self._is_moved = True

    async def is_member(self) -> bool:
        """Return False: nobody deals a recount anything."""
        return False

    async def survey(self, partition: int | None, topics: Sequence[str], epochs: Epochs) -> Sources:
        """Return the topics as they are now, with the offsets of one partition number, None: of all."""
        only = None if partition is None else (partition,)
        return await survey(self._looks.client, self._settings.prefix, topics, own=OWN, only=only, epochs=epochs)

    async def close(self) -> None:
        """Release the connections. Never raises."""
        await self._reader.close()
        await self._looks.close()

    def _wanted_of(self, batch: RecordBatch) -> RecordBatch | None:
        tp = TopicPartition(batch.topic, batch.partition)
        target = self.targets[tp]
        if batch.start >= target:
            return None
        part = batch.up_to(target)
        self._next[tp] = part.next_offset
        return part

    def _fault(self, partition: TopicPartition, error: KafkaError) -> None:
        self._next.pop(partition, None)
        self._is_moved = True
        self.on_fault(partition, error)
