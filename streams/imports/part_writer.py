"""Where imports go: each part of a file one Kafka transaction with its events, its bad rows and the progress.

The transactional id is the import's own: whoever opens it last is the only one that can write, so two processes that
import one file with one mapping cannot both send a row. The topic `festival.imports` is compacted:

- `[sha256, mapping]` → the progress, newest last
- `[sha256, mapping, run, first row]` → bad rows of one part

All records of a file lie in one partition, whatever the mapping.
"""

from __future__ import annotations

import json
from typing import TYPE_CHECKING, Self

from aiokafka.errors import KafkaError
from aiokafka.structs import TopicPartition

from streams.engine.topic_names import IMPORTS
from streams.errors import UnreachableError, UsageError
from streams.imports.partitioning import partitions_of
from streams.imports.progress import BAD_ROWS_KEPT, decode, decode_bad, encode, encode_bad
from streams.kafka.client import clients
from streams.kafka.client.log_reader import LogReader
from streams.kafka.client.transaction import Transaction, start_writer

if TYPE_CHECKING:
    from aiokafka import AIOKafkaProducer

    from streams.imports.progress import BadRow, ImportKey, Part, Progress
    from streams.settings import Settings

BAD_ROWS_IN_RECORD = 1_000
"""A bad row has up to about 300 bytes: a record stays far below Kafka's limit of 1 MB."""


class PartWriter:
    """The only writer of one import. Call order: `open`, `commit` part by part, `close`."""

    def __init__(
        self, settings: Settings, producer: AIOKafkaProducer, key: ImportKey, partitions: int, topic: str
    ) -> None:
        """Made by `open`."""
        self._settings = settings
        self._producer = producer
        self._key = key
        self._partitions = partitions
        self._place = 0
        self._bad: dict[int, list[BadRow]] = {}
        self.progress: Progress | None = None
        """What was committed last, None for a file that is new with this mapping."""
        self.others: dict[str, Progress] = {}
        """The same file's progress with other mappings, by their digests."""
        self._topic = topic

    @classmethod
    async def open(cls, settings: Settings, key: ImportKey, partitions: int, topic: str) -> Self:
        """Become the only writer of the import `key` to `topic`, and read how far it is. Raises `UnreachableError`."""
        try:
            producer = await start_writer(settings, f"{settings.prefix}festival-import-{key.short}")
            store = cls(settings, producer, key, partitions, topic)
            try:
                # Only now that no older writer's transaction can end any more is the progress what it will stay.
                await store._read()
            except BaseException:
                await store.close()
                raise
        except KafkaError as error:
            raise UnreachableError(f"Kafka refuses: {error!r}") from error
        return store

    def bad_rows(self, run: int) -> list[BadRow]:
        """Return the bad rows of a run, by number; no more than were kept."""
        return sorted(self._bad.get(run, []))

    async def commit(self, part: Part, progress: Progress) -> None:
        """Write one part with the progress after it, all or nothing.

        Raises `UsageError` where another process imports the same, `UnreachableError` where the outcome is not known:
        an import that is started again finds out. The store is finished then.
        """
        kept = self._bad.setdefault(progress.run, [])
        bad = part.bad[: max(BAD_ROWS_KEPT - len(kept), 0)]
        try:
            await self._written(part, bad, progress).commit()
        except (KafkaError, OSError) as error:
            if clients.is_fenced(error):
                raise UsageError(
                    "another process imports the same file now, or this one stood still for too long: what was sent "
                    "is committed, the same command goes on behind it"
                ) from error
            raise UnreachableError(
                f"Kafka did not take everything: {error!r}. Once it is back, the same command goes on where this ended"
            ) from error
        kept += bad
        self.progress = progress

    async def close(self) -> None:
        """Release the connections. Never raises, may be called twice."""
        await clients.stop(self._producer)

    def _written(self, part: Part, bad: list[BadRow], progress: Progress) -> Transaction:
        """Return a transaction with all records of a part, none of which is sent yet."""
        prefix = self._settings.prefix
        transaction = Transaction(self._producer)
        chosen = partitions_of([key for key, _ in part.records], self._partitions)
        for partition, (key, value) in zip(chosen.tolist(), part.records, strict=True):
            transaction.add(TopicPartition(prefix + self._topic, partition), key, value)
        place = TopicPartition(prefix + IMPORTS, self._place)
        for first in range(0, len(bad), BAD_ROWS_IN_RECORD):
            rows = bad[first : first + BAD_ROWS_IN_RECORD]
            key = _encode_key(self._key.sha256, self._key.mapping, progress.run, rows[0].row)
            transaction.add(place, key, encode_bad(rows))
        transaction.add(place, _encode_key(self._key.sha256, self._key.mapping), encode(progress))
        return transaction

    async def _read(self) -> None:
        reader = await LogReader.open(self._settings, is_patient=False)
        try:
            # By the number of its own: were it that of the sources, a file would be sent again once those have grown.
            self._place = int(self._key.sha256[:8], 16) % await reader.partition_count(IMPORTS)
            async for key, value in reader.records(TopicPartition(IMPORTS, self._place)):
                self._take(key, value)
        finally:
            await reader.close()

    def _take(self, key: bytes | None, value: bytes | None) -> None:
        if key is None or value is None:
            return
        sha256, mapping, *run = json.loads(key)
        if sha256 != self._key.sha256:
            return
        if mapping != self._key.mapping:
            if not run:
                self.others[mapping] = decode(value)
        elif run:
            self._bad.setdefault(run[0], []).extend(decode_bad(value))
        else:
            self.progress = decode(value)


def _encode_key(*parts: str | int) -> bytes:
    return json.dumps(parts, separators=(",", ":")).encode()
