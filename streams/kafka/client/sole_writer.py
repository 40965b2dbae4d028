"""The newest producer of a transactional id: one transaction at a time, and none after one that did not end well.

What the stores of the ledger and of bridges have in common. Whoever opens one fences every older one.
"""

from __future__ import annotations

from contextlib import asynccontextmanager
from typing import TYPE_CHECKING, Self

from streams.engine.checkpoint import FencedError, OutcomeUnknownError
from streams.kafka.client import clients
from streams.kafka.client.transaction import Transaction, start_writer

if TYPE_CHECKING:
    from collections.abc import AsyncIterator

    from aiokafka import AIOKafkaProducer

    from streams.kafka.client.transaction import Heard
    from streams.settings import Settings


class SoleWriter:
    """Call order: `open`, then `transaction` as often as needed, `close`."""

    def __init__(self, producer: AIOKafkaProducer, place: str, heard: Heard) -> None:
        """Made by `open`."""
        self._producer = producer
        self._heard = heard
        self._place = place
        self._is_finished = False

    @classmethod
    async def open(cls, settings: Settings, transactional_id: str, place: str, heard: Heard) -> Self:
        """Fence every older writer of `transactional_id`. `place` is what errors call the partition.

        `heard` is told the times that the broker gives to records.

        Waits through an outage of the broker. Raises `KafkaError` where waiting does not help.
        """
        return cls(await start_writer(settings, transactional_id), place, heard)

    @asynccontextmanager
    async def transaction(self) -> AsyncIterator[Transaction]:
        """Give a transaction, which is to be committed inside.

        Raises `FencedError` where a newer writer exists, `OutcomeUnknownError` for whatever else goes wrong.
        """
        self.assert_unfinished()
        self._is_finished = True
        try:
            yield Transaction(self._producer, self._heard)
        except Exception as error:
            if clients.is_fenced(error):
                raise FencedError(f"{self._place}: a newer owner has taken over") from error
            raise OutcomeUnknownError(f"{self._place}: {error!r}") from error
        self._is_finished = False

    def assert_unfinished(self) -> None:
        """Assert that no transaction is under way, and that none ended badly."""
        assert not self._is_finished, "this store is finished, or a commit is under way: fence again"

    async def close(self) -> None:
        """Release the connections; ends within a few seconds. Never raises, may be called twice."""
        self._is_finished = True
        await clients.stop(self._producer)
