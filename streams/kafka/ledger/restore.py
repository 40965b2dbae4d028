"""Reads one partition of the ledger back, as bytes: the third of the four steps of a takeover.

Called by the store, after the fence: from then on nobody else commits to this partition in this generation, so
whatever its log holds at that moment is all there is.
"""

from __future__ import annotations

import asyncio
import logging
from contextlib import AsyncExitStack
from dataclasses import dataclass, field
from typing import TYPE_CHECKING

import msgspec
from aiokafka.errors import CorruptRecordException, KafkaError, OffsetOutOfRangeError
from aiokafka.structs import TopicPartition

from streams.engine.checkpoint import UnreadableError
from streams.engine.judgement import note_key
from streams.engine.ledger_keys import Kind, newest_places, parse_key
from streams.engine.ledger_records import Written, decode_positions
from streams.engine.topic_names import LEDGER, SEEN
from streams.kafka.client import clients
from streams.kafka.client.log_reader import LogReader

if TYPE_CHECKING:
    from collections.abc import Mapping

    from streams.engine.batch import RecordBatch
    from streams.settings import Settings

log = logging.getLogger("festival.ledger")

FETCH_BYTES = 2 * 1024 * 1024
"""Unpacked it is several times as much, and a process makes four restores at once."""
ATTEMPTS = 3


@dataclass(slots=True)
class Found:
    """What a partition's log holds."""

    written: Written
    others_read_to: dict[str, Mapping[str, int]]
    """Positions in the cursors of other generations: by generation and source topic."""
    others: dict[str, set[bytes]]
    """Keys that have a value and are not of this generation, by topic."""


@dataclass(slots=True)
class _Newest:
    """The newest value per key while reading."""

    generation: str
    pages: dict[bytes, bytes] = field(default_factory=dict)
    seen: dict[bytes, bytes] = field(default_factory=dict)
    other_cursors: dict[bytes, bytes] = field(default_factory=dict)
    strange: dict[tuple[str, bytes], str] = field(default_factory=dict)
    """What is wrong with records that are none of this program's version, and where they lie."""
    others: dict[str, set[bytes]] = field(default_factory=lambda: {LEDGER: set(), SEEN: set()})

    def add(self, batch: RecordBatch) -> None:
        newest = self.pages if batch.topic == LEDGER else self.seen
        own, note = f'["{self.generation}",'.encode(), note_key(self.generation)
        # The newest record of each key: until the log is compacted, most pages are those of checkpoints long overtaken.
        keys = list(batch.keys)
        for place in newest_places(keys, 0, len(keys)):
            key = keys[place]
            assert key is not None, "a compacted topic refuses records without a key"
            value = batch.values[place]
            if key == note:
                continue  # why it was held does not count
            if key.startswith(own):
                # Removed first, so that the order is that of the newest write.
                newest.pop(key, None)
                if value is not None:
                    newest[key] = value
            else:
                self._add_foreign(batch, batch.offsets[place], key, value)

    def _add_foreign(self, batch: RecordBatch, offset: int, key: bytes, value: bytes | None) -> None:
        others, where = self.others[batch.topic], (batch.topic, key)
        self.strange.pop(where, None)
        if value is None:
            others.discard(key)
            self.other_cursors.pop(key, None)
            return
        try:
            kind = parse_key(key)[1]
        except ValueError as error:
            self.strange[where] = f"{batch.topic} partition {batch.partition} offset {offset}: {error}"
            kind = Kind.OTHER
        if kind is not Kind.GENERATIONS:
            others.add(key)
        if kind is Kind.CURSOR and batch.topic == LEDGER:
            self.other_cursors[key] = value


async def read_back(settings: Settings, partition: int, generation: str, *, skips_strange: bool = False) -> Found:
    """Return the newest committed value per key of `partition` in `generation`, undecoded.

    Waits through an outage of the broker. Raises `KafkaError` where the broker does not allow it, `UnreadableError` for
    damaged records, where the log changes under the reader again and again, and, unless it `skips_strange`, for records
    that are none of this program's version.
    """
    spoilt = 0
    while True:
        try:
            newest = await _read_once(settings, partition, generation)
        except (CorruptRecordException, OffsetOutOfRangeError) as error:
            # Damaged on the way perhaps, or the topic is being made again.
            spoilt += 1
            if spoilt == ATTEMPTS:
                raise UnreadableError(f"ledger of partition {partition}: {error!r}") from error
            log.warning("reading the ledger again", extra={"partition": partition, "error": repr(error)})
        except (KafkaError, OSError, TimeoutError) as error:
            if clients.is_permanent(error):
                raise
            clients.outage.tell(f"the ledger of partition {partition}", error)
        else:
            if newest.strange and not skips_strange:
                raise UnreadableError(next(iter(newest.strange.values())))
            return Found(Written(newest.pages, newest.seen), _read_to(partition, newest), newest.others)
        await asyncio.sleep(clients.RETRY_SECONDS)


async def _read_once(settings: Settings, partition: int, generation: str) -> _Newest:
    async with AsyncExitStack() as stack:
        reader = await LogReader.open(settings, max_partition_fetch_bytes=FETCH_BYTES)
        stack.push_async_callback(reader.close)
        ends = await LogReader.open(settings, is_committed_only=False)
        stack.push_async_callback(ends.close)
        return await _read(reader, ends, partition, generation)


async def _read(reader: LogReader, ends: LogReader, partition: int, generation: str) -> _Newest:
    # The end with all that is not yet committed: a recount's open transaction holds the last stable offset back, and
    # checkpoints of our own generation behind it would be missed. Ours has none open after the fence.
    topics = [TopicPartition(LEDGER, partition), TopicPartition(SEEN, partition)]
    end_offsets = await ends.end_offsets(topics)
    await reader.assign_from_beginning(topics)
    newest = _Newest(generation)
    async for batch in reader.read_to(end_offsets):
        newest.add(batch)
    return newest


def _read_to(partition: int, newest: _Newest) -> dict[str, Mapping[str, int]]:
    """Return the positions in the cursors of other generations."""
    read_to: dict[str, Mapping[str, int]] = {}
    for other, value in newest.other_cursors.items():
        try:
            read_to[parse_key(other)[0]] = decode_positions(value)
        except msgspec.DecodeError as error:
            # It belongs to a generation that is not ours: at worst a rejected record is written a second time.
            log.warning("cursor of another generation: %s", error, extra={"key": other, "partition": partition})
    return read_to
