"""The cursors of one generation as they are committed: how far a recount has to come."""

from __future__ import annotations

from typing import TYPE_CHECKING

from aiokafka.structs import TopicPartition

from streams.engine.recounting import Reached
from streams.engine.topic_names import LEDGER
from streams.kafka.client.log_reader import LogReader

if TYPE_CHECKING:
    from collections.abc import Sequence

    from streams.settings import Settings


class Cursors:
    """Follows the cursors of one generation: how far each partition is counted in it."""

    def __init__(self, reader: LogReader, generation: str, topics: Sequence[str]) -> None:
        """Made by `open`."""
        self._reader = reader
        self.reached = Reached(generation, topics)

    @classmethod
    async def open(cls, settings: Settings, generation: str, partitions: int, topics: Sequence[str]) -> Cursors:
        """Follow from now on: what was written before, somebody reads in the ledger afterwards."""
        reader = await LogReader.open(settings, is_patient=False)
        reader.assign(await reader.end_offsets(TopicPartition(LEDGER, p) for p in range(partitions)))
        return cls(reader, generation, topics)

    async def read(self) -> dict[TopicPartition, int]:
        """Return the next offset of each source partition as of now."""
        ends = await self._reader.end_offsets(list(self._reader.positions))
        async for batch in self._reader.read_to(ends):
            self.reached.take(batch)
        return {TopicPartition(*place): offset for place, offset in self.reached.positions.items()}

    async def close(self) -> None:
        """Release the connection."""
        await self._reader.close()
