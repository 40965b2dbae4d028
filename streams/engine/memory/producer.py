"""A producer as a client has it: it numbers its records, and knows whether a transaction of its own is open."""

from __future__ import annotations

from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from collections.abc import Mapping, Sequence

    from streams.engine.memory.cluster import Kafka
    from streams.engine.memory.log import Headers
    from streams.engine.memory.transactions import Place


class Producer:
    """Idempotent, and with a transactional id transactional. Older producers of the same id are fenced.

    A transaction begins with the first `send` or `add_offsets`. All methods raise what `Kafka` raises. A `send` whose
    answer was lost may be called again with the same records: they are stored once.
    """

    def __init__(self, kafka: Kafka, transactional_id: str | None = None, timeout_ms: int = 60_000) -> None:
        """Ask for a producer id and an epoch."""
        self._kafka = kafka
        self._is_transactional = transactional_id is not None
        self.identity = kafka.init_producer(transactional_id, timeout_ms)
        """Producer id and epoch."""
        self.is_in_transaction = False
        self._next: dict[Place, int] = {}

    def send(
        self,
        topic: str,
        partition: int,
        values: Sequence[bytes | None],
        keys: Sequence[bytes | None] | None = None,
        headers: Sequence[Headers] | None = None,
    ) -> int:
        """Append records; returns the offset of the first."""
        self.is_in_transaction = self._is_transactional
        sequence = self._next.get((topic, partition), 0)
        base = self._kafka.produce(
            topic,
            partition,
            values,
            keys,
            headers,
            producer=self.identity,
            sequence=sequence,
            is_transactional=self._is_transactional,
        )
        self._next[topic, partition] = sequence + len(values)
        return base

    def add_offsets(self, group: str, offsets: Mapping[Place, int]) -> None:
        """Let the commit move offsets of a consumer group."""
        self.is_in_transaction = True
        self._kafka.add_offsets(self.identity, group, offsets)

    def commit(self) -> None:
        """Commit; costs nothing where nothing was sent. May be called again after an answer was lost."""
        self._end(is_commit=True)

    def abort(self) -> None:
        """Abort; like `commit`."""
        self._end(is_commit=False)

    def _end(self, *, is_commit: bool) -> None:
        if self.is_in_transaction:
            self._kafka.end_transaction(self.identity, is_commit=is_commit)
            self.is_in_transaction = False
