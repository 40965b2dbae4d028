"""Which generation of the ledger is current: the control record, read cheaply again and again, and written.

The record has the key `["generations"]` and lies in partition 0 of the ledger topic, among the pages. Without one
the generation is `g1`. Read by the store at each takeover, by the worker's watch and by the recount, which alone
writes it.
"""

from __future__ import annotations

import asyncio
import logging
from contextlib import asynccontextmanager
from typing import TYPE_CHECKING

from aiokafka.errors import KafkaError
from aiokafka.structs import TopicPartition

from streams.engine.generations import Generations, decode, encode
from streams.engine.ledger_keys import GENERATIONS_KEY
from streams.engine.topic_names import LEDGER
from streams.kafka.client import clients
from streams.kafka.client.log_reader import LogReader

if TYPE_CHECKING:
    from collections.abc import AsyncIterator, Callable

    from streams.settings import Settings

log = logging.getLogger("festival.generations")

CONTROL = TopicPartition(LEDGER, 0)


class GenerationWatch:
    """Follows the control record. The first look reads partition 0 of the ledger whole, later ones what is new.

    Looks may overlap; they are made one after another. All of them raise `KafkaError` where the broker does not
    answer, and `UnreadableError`.
    """

    def __init__(self, settings: Settings, *, is_patient: bool = True) -> None:
        """`is_patient`: the first look waits through an outage of the broker."""
        self._settings = settings
        self._is_patient = is_patient
        self._reader: LogReader | None = None
        self._ends: LogReader | None = None
        self._lock = asyncio.Lock()
        self._seen = Generations()

    async def look(self) -> Generations:
        """Return what is committed and visible now."""
        async with self._lock, self._dropping_what_fails():
            return await self._read_to((await (await self._log()).end_offsets([CONTROL]))[CONTROL])

    async def confirm(self) -> Generations:
        """Return what no transaction begun before this call can change any more; waits for open ones to end.

        Open ones end in milliseconds, or, their owner dead and not yet replaced, with the transaction timeout.
        """
        async with self._lock, self._dropping_what_fails():
            if self._ends is None:
                self._ends = await LogReader.open(self._settings, is_committed_only=False, is_patient=self._is_patient)
            return await self._read_to((await self._ends.end_offsets([CONTROL]))[CONTROL])

    async def close(self) -> None:
        """Release the connections. Never raises."""
        readers, self._reader, self._ends = (self._reader, self._ends), None, None
        for reader in readers:
            if reader is not None:
                await reader.close()

    @asynccontextmanager
    async def _dropping_what_fails(self) -> AsyncIterator[None]:
        """Start over with new connections after an error: a reader whose background task died stays dead."""
        try:
            yield
        except KafkaError:
            await self.close()
            raise

    async def _read_to(self, end_offset: int) -> Generations:
        reader = await self._log()
        if reader.positions[CONTROL] > end_offset:
            # The ledger topic was deleted and made again: what was seen of the old one is worth nothing.
            self._seen = Generations()
            await reader.assign_from_beginning([CONTROL])
        async for batch in reader.read_to({CONTROL: end_offset}):
            for key, value in zip(batch.keys, batch.values, strict=True):
                if key == GENERATIONS_KEY:
                    self._seen = Generations() if value is None else decode(value)
        return self._seen

    async def _log(self) -> LogReader:
        if self._reader is None:
            self._seen = Generations()
            reader = await LogReader.open(self._settings, is_patient=self._is_patient)
            try:
                await reader.assign_from_beginning([CONTROL])
            except BaseException:
                await reader.close()
                raise
            self._reader = reader
        return self._reader


async def current_generation(settings: Settings) -> str:
    """Return the current generation, for a process that asks once (a watch is cheaper for one that asks again).

    Raises `KafkaConnectionError` where the broker is not reachable.
    """
    watch = GenerationWatch(settings, is_patient=False)
    try:
        return (await watch.look()).current
    finally:
        await watch.close()


async def change_generations(
    settings: Settings, watch: GenerationWatch, change: Callable[[Generations], Generations]
) -> Generations:
    """Write the control record in a transaction of its own; return it.

    An older writer that is still at it fails from now on, so `change` is given what nobody else can change any more.
    Raises what `change` does, and `KafkaError` where it is not known whether it is written.
    """
    producer = await clients.start_producer(settings, f"{settings.prefix}festival-generations")
    try:
        found = await watch.confirm()
        made = change(found)
        if made != found:
            async with producer.transaction():
                await producer.send_and_wait(
                    settings.prefix + LEDGER, encode(made), key=GENERATIONS_KEY, partition=CONTROL.partition
                )
            log.info("generations written", extra={"current": made.current})
    finally:
        await clients.stop(producer)
    return made
