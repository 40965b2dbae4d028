"""Finds transactions that producers have left open on the source topics: what lies behind them cannot be read.

Used by boards, workers that show and commands, for the places where the last stable offset stands still. The broker is
asked by DescribeProducers and ListTransactions, which need Read on the topic and Describe on the transactional ids.
"""

from __future__ import annotations

import asyncio
import logging
from typing import TYPE_CHECKING, Any

from aiokafka.errors import KafkaError
from aiokafka.structs import TopicPartition

from streams.engine.judgement import OpenTransaction, Standing, epochs_of, is_told, standing
from streams.kafka.client.log_reader import LogReader
from streams.kafka.client.requests import ProducersRequest, TransactionsRequest
from streams.kafka.cluster.survey import describe, survey

if TYPE_CHECKING:
    from collections.abc import Collection, Mapping, Sequence

    from streams.engine.judgement import Basis, Sources
    from streams.settings import Settings

log = logging.getLogger("festival.transactions")

LOOK_SECONDS = 5.0
"""Longest wait for the record at a place."""
FETCH_BYTES = 64 * 1024
"""One record is wanted of each place."""
PATIENCE_MS = 3_000
"""Producers at work have transactions open all the time, each for milliseconds: they cost nobody a look."""
RENEW_MS = 30_000
"""So long nobody is asked again whose transaction it is."""


async def look_once(
    settings: Settings, topics: Sequence[str], cursors: Mapping[int, Basis] | None, now_ms: int
) -> tuple[Sources, tuple[OpenTransaction, ...]]:
    """Return the source topics as they are now, and what is open there, for a process that asks once.

    `cursors` are the committed ones by partition number, read before; None: tell of every place. Raises `KafkaError`.
    """
    reader = await LogReader.open(settings, is_patient=False)
    try:
        sources = await survey(reader.client, settings.prefix, topics, epochs=epochs_of(cursors or {}))
        places = standing(sources, cursors)
        return sources, await TransactionWatch(settings, patience_ms=0).look(reader.client, places, now_ms)
    finally:
        await reader.close()


class TransactionWatch:
    """Remembers the places that stand still, so that the broker is asked once for each. One task at a time may look."""

    def __init__(self, settings: Settings, patience_ms: int = PATIENCE_MS) -> None:
        """Connect to nothing yet. A place is looked at once it has stood still for `patience_ms`."""
        self._settings = settings
        self._patience_ms = patience_ms
        self._seen_ms: dict[Standing, int] = {}
        self._known: dict[Standing, OpenTransaction] = {}
        self._renewed_ms: dict[Standing, int] = {}

    async def look(self, client: Any, places: Collection[Standing], now_ms: int) -> tuple[OpenTransaction, ...]:  # noqa: ANN401 - aiokafka's client has no public type
        """Return the transactions at `places` that are open for long enough to be told. Raises `KafkaError`."""
        self._seen_ms = {place: self._seen_ms.get(place, now_ms) for place in places}
        self._known = {place: opened for place, opened in self._known.items() if place in places}
        self._renewed_ms = {place: due_ms for place, due_ms in self._renewed_ms.items() if place in places}
        new = [p for p in places if p not in self._known and now_ms - self._seen_ms[p] >= self._patience_ms]
        if new:
            since_ms = await self._since_ms(new)
            # What cannot be read is told by when it was seen first.
            self._known |= {place: OpenTransaction(*place, since_ms.get(place, self._seen_ms[place])) for place in new}
        told = {place: opened for place, opened in self._known.items() if is_told(opened, now_ms)}
        for place, opened in told.items():
            due_ms = self._renewed_ms.get(place)
            if due_ms is None or (opened.transactional_id is None and now_ms >= due_ms):
                self._renewed_ms[place] = now_ms + RENEW_MS
                self._known[place] = told[place] = await self._named(client, opened)
        return tuple(told[place] for place in sorted(told))

    async def _since_ms(self, places: Collection[Standing]) -> dict[Standing, int]:
        """Return the record times at places, as far as they can be read."""
        found: dict[Standing, int] = {}
        wanted = {TopicPartition(place.topic, place.partition): place for place in places}
        try:
            reader = await LogReader.open(
                self._settings, is_patient=False, is_committed_only=False, max_partition_fetch_bytes=FETCH_BYTES
            )
            try:
                reader.assign({tp: place.offset for tp, place in wanted.items()})
                async with asyncio.timeout(LOOK_SECONDS):
                    while len(found) < len(wanted):
                        for batch in await reader.fetch(LOOK_SECONDS):
                            if len(batch):
                                place = wanted[TopicPartition(batch.topic, batch.partition)]
                                found.setdefault(place, int(batch.record_times_ms[0]))
            finally:
                await reader.close()
        except (KafkaError, TimeoutError, OSError) as error:
            log.info("records of open transactions cannot be read", extra={"error": repr(error)})
        return found

    async def _named(self, client: Any, opened: OpenTransaction) -> OpenTransaction:  # noqa: ANN401 - see above
        """Return the transaction with the ids of its producer, as far as the broker tells."""
        producer_id = transactional_id = None
        try:
            producer_id = await self._producer_id(client, opened)
            if producer_id is not None:
                transactional_id = await _transactional_id(client, producer_id)
        except (KafkaError, NotImplementedError) as error:
            # An older broker does not know the request.
            log.info("whose transaction is open is not told", extra={"topic": opened.topic, "error": repr(error)})
        return OpenTransaction(
            opened.topic, opened.partition, opened.offset, opened.since_ms, producer_id, transactional_id
        )

    async def _producer_id(self, client: Any, opened: OpenTransaction) -> int | None:  # noqa: ANN401 - see above
        topic = self._settings.prefix + opened.topic
        leaders = (await describe(client, [topic])).leaders
        leader = leaders.get((topic, opened.partition), -1)
        if leader < 0:
            return None
        answer = await client.send(leader, ProducersRequest(topic, opened.partition))
        producers = [
            producer
            for told in answer.to_object()["topics"]
            for partition in told["partitions"]
            for producer in partition["active_producers"] or ()
            if producer["current_txn_start_offset"] == opened.offset
        ]
        return producers[0]["producer_id"] if producers else None


async def _transactional_id(client: Any, producer_id: int) -> str | None:  # noqa: ANN401 - see above
    """Return the id that a producer has at whichever broker coordinates its transactions."""
    nodes = [broker.nodeId for broker in client.cluster.brokers()]
    answers = await asyncio.gather(*(client.send(node, TransactionsRequest([producer_id])) for node in nodes))
    states = [state for answer in answers for state in answer.to_object()["transaction_states"] or ()]
    return next((state["transactional_id"] for state in states if state["producer_id"] == producer_id), None)
