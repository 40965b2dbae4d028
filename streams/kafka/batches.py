"""The records of one transaction in as few batches as they fit, acknowledged together.

One future per batch, where `producer.send` makes one per record. Used by the import, whose parts go to all partitions;
the ledger's store does without aiokafka's sender (`streams.kafka.transaction`).
"""

from __future__ import annotations

import asyncio
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from collections.abc import Sequence

    from aiokafka import AIOKafkaProducer


class TransactionBatches:
    """Call order: `add` in the order the records shall lie in each topic, `send`, `acknowledged`."""

    def __init__(self, producer: AIOKafkaProducer, partition: int) -> None:
        """All records go to `partition` of their topic."""
        self._producer = producer
        self._partition = partition
        self._open: dict[str, Any] = {}
        self._sent: list[asyncio.Future[Any]] = []

    async def add(
        self, topic: str, key: bytes | None, value: bytes | None, headers: Sequence[tuple[str, bytes]] = ()
    ) -> None:
        """Append a record; a full batch is sent, and may be waited for."""
        record = {"timestamp": None, "key": key, "value": value, "headers": list(headers)}
        batch = self._open.get(topic)
        if batch is not None:
            if batch.append(**record) is not None:
                return
            await self._send(topic)
        batch = self._open[topic] = self._producer.create_batch()
        # The first record of a batch is taken whatever its size.
        taken = batch.append(**record)
        assert taken is not None

    async def send(self) -> None:
        """Hand what was added to the producer, without waiting for the broker."""
        for topic in list(self._open):
            await self._send(topic)

    async def acknowledged(self) -> None:
        """Send what was added and wait until the broker has all of it; raises what any batch failed with."""
        await self.send()
        sent, self._sent = self._sent, []
        # All are looked at: an exception that nobody sees would be logged much later.
        outcomes = await asyncio.gather(*sent, return_exceptions=True)
        for outcome in outcomes:
            if isinstance(outcome, BaseException):
                raise outcome

    async def _send(self, topic: str) -> None:
        self._sent.append(await self._producer.send_batch(self._open.pop(topic), topic, partition=self._partition))
