"""One Kafka transaction, carried out in the task of whoever commits: three requests and nothing else.

Used by the ledger's store and the import's. A producer of aiokafka hands each request of a transaction to a task of
its own, which wakes up a dozen times for one checkpoint: with 32 partitions that took as much CPU as the counting. Here
its requests and its handlers of answers are used without that task; the producer stays the owner of the connections,
the epoch and the sequence numbers.
"""

# ruff: noqa: SLF001 - aiokafka's private names, held by tests/contract/test_ledger_names.py

from __future__ import annotations

import asyncio
from collections.abc import Callable
from typing import TYPE_CHECKING, Any

from aiokafka.client import CoordinationType
from aiokafka.errors import KafkaError
from aiokafka.producer.sender import (
    AddOffsetsToTxnHandler,
    AddPartitionsToTxnHandler,
    EndTxnHandler,
    SendProduceReqHandler,
    TxnOffsetCommitHandler,
)
from aiokafka.producer.transaction_manager import TransactionResult

from streams.engine.clock import SystemClock
from streams.kafka.client import clients
from streams.kafka.client.whole_batch import fill

if TYPE_CHECKING:
    from collections.abc import Mapping, Sequence

    from aiokafka import AIOKafkaProducer
    from aiokafka.structs import OffsetAndMetadata, TopicPartition

    from streams.native.texts import Texts
    from streams.settings import Settings

RETRY_SECONDS = 0.1
Heard = Callable[[int, tuple[str, str, int]], None]
"""Told the record time that the broker gave to what was sent, on a topic where it does."""


def _ignore(_record_time_ms: int, _stream: object) -> None:
    """Do without it."""


async def start_writer(settings: Settings, transactional_id: str) -> AIOKafkaProducer:
    """Return a producer for transactions of ours that has fenced every older one of `transactional_id`.

    Waits through an outage of the broker. Raises `KafkaError` where waiting does not help.
    """
    producer = await clients.start_producer(settings, transactional_id)
    try:
        await stop_sender(producer)
    except BaseException:
        await clients.stop(producer)
        raise
    return producer


async def stop_sender(producer: AIOKafkaProducer) -> None:
    """End the task that would carry transactions out beside us, before the first transaction."""
    task = producer._sender.sender_task
    task.cancel()
    await asyncio.wait([task])  # not the sender's own close: it raises where the task has not begun yet
    if not task.cancelled():
        task.exception()  # looked at, what it died of before is not told again when the task is collected


class Transaction:
    """Call order: made (which begins it), `add`, `flush` and `add_offsets` as often as liked, `commit`.

    Waits as long as the broker does not answer. Whatever it raises, and also cancelled, the producer is of no use
    any more.
    """

    def __init__(self, producer: AIOKafkaProducer, heard: Heard = _ignore) -> None:
        """Begin; one transaction of a producer at a time."""
        self._heard = heard
        self._producer: Any = producer
        self._clock = SystemClock()
        self._sender: Any = producer._sender
        self._manager: Any = producer._txn_manager
        self._open: dict[TopicPartition, Any] = {}
        self._unsent: dict[TopicPartition, list[_Batch]] = {}
        self._manager.begin_transaction()

    def add(
        self,
        place: TopicPartition,
        key: bytes | None,
        value: bytes | None,
        headers: Sequence[tuple[str, bytes]] = (),
    ) -> None:
        """Append a record to those of its partition; it travels with the next `flush`."""
        record = {"timestamp": None, "key": key, "value": value, "headers": list(headers)}
        builder = self._open.get(place)
        if builder is not None and builder.append(**record) is not None:
            return
        builder = self._open[place] = self._producer.create_batch()
        self._unsent.setdefault(place, []).append(_Batch(builder, place, self._heard))
        # The first record of a batch is taken whatever its size.
        taken = builder.append(**record)
        assert taken is not None

    def add_many(self, place: TopicPartition, keys: Texts, values: Texts) -> None:
        """Append many records to those of their partition, in whole batches; they travel with the next `flush`."""
        first, time_ms = 0, self._clock.now_ms()
        self._open.pop(place, None)  # what is added later stands behind them
        while first < len(keys):
            batch, count = fill(
                self._producer,
                keys,
                values,
                first,
                time_ms=time_ms,
                compression=clients.COMPRESSION,
                is_transactional=True,
            )
            self._unsent.setdefault(place, []).append(_Batch(batch, place, self._heard))
            first += count

    async def partition_count(self, topic: str) -> int:
        """Return how many partitions a topic on Kafka has, 0 where it is not there."""
        client = self._producer.client
        await client._wait_on_metadata(topic)
        return len(client.cluster.partitions_for_topic(topic) or ())

    async def flush(self) -> None:
        """Send what was added and wait until the broker has all of it; raises what a batch was refused with."""
        unsent, self._unsent, self._open = self._unsent, {}, {}
        await self._enlist([place for place in unsent if place not in self._manager.txn_partitions])
        for place, batches in unsent.items():
            for batch in batches:
                self._number(place, batch)
        while unsent:
            await self._send({place: batches[0] for place, batches in unsent.items()})
            unsent = {place: left for place, batches in unsent.items() if (left := _not_done(batches))}

    async def add_offsets(self, offsets: Mapping[TopicPartition, OffsetAndMetadata], group: str) -> None:
        """Move the offsets of a consumer group with the commit. Everything must be flushed: not both at a time."""
        manager = self._manager
        done = manager.add_offsets_to_txn(dict(offsets), group)
        while manager.consumer_group_to_add() is not None:
            await AddOffsetsToTxnHandler(self._sender, group).do(await self._coordinator())
        while not done.done():
            node = await self._sender._find_coordinator(CoordinationType.GROUP, group)
            await TxnOffsetCommitHandler(self._sender, manager.offsets_to_commit()[0], group).do(node)
        done.result()

    async def commit(self) -> None:
        """Send what was added and commit it; an empty transaction costs nothing."""
        await self.flush()
        manager = self._manager
        manager.committing_transaction()
        if manager.is_empty_transaction():
            manager.complete_transaction()
            return
        while not await EndTxnHandler(self._sender, TransactionResult.COMMIT).do(await self._coordinator()):
            pass  # the handler has paused

    async def _enlist(self, places: Sequence[TopicPartition]) -> None:
        """Tell the coordinator which partitions the transaction is about."""
        manager = self._manager
        manager.partitions_to_add().update(places)
        while pending := set(manager.partitions_to_add()):
            await AddPartitionsToTxnHandler(self._sender, pending).do(await self._coordinator())
            if not manager.is_in_transaction():
                await manager.wait_for_transaction_end()  # raises what was refused

    def _number(self, place: TopicPartition, batch: _Batch) -> None:
        """Give a batch its place in the partition's sequence: sent twice, it is stored once."""
        manager, builder = self._manager, batch.builder
        builder._set_producer_state(manager.producer_id, manager.producer_epoch, manager.sequence_number(place))
        manager.increment_sequence_number(place, builder.record_count())

    async def _send(self, batches: Mapping[TopicPartition, _Batch]) -> None:
        """Send one batch per partition to its leader, once."""
        client = self._producer.client
        nodes: dict[int, dict[TopicPartition, _Batch]] = {}
        for place, batch in batches.items():
            await client._wait_on_metadata(place.topic)
            leader = client.cluster.leader_for_partition(place)
            if leader is None or leader < 0:
                await asyncio.sleep(RETRY_SECONDS)
                await client.force_metadata_update()
                return
            nodes.setdefault(leader, {})[place] = batch
        await asyncio.gather(*(_Produce(self._sender, group).do(node) for node, group in nodes.items()))

    async def _coordinator(self) -> int:
        kind = CoordinationType.TRANSACTION
        node: int = await self._sender._find_coordinator(kind, self._manager.transactional_id)
        return node


class _Batch:
    """A record batch on its way, with what aiokafka's handler of produce requests calls."""

    def __init__(self, builder: Any, place: TopicPartition, heard: Heard) -> None:  # noqa: ANN401 - untyped aiokafka
        self.builder = builder
        self._stream = ("written", place.topic, place.partition)
        self._heard = heard
        self.get_data_buffer: Callable[[], bytes] = builder._build
        self.is_done = False
        self.error: BaseException | None = None

    def done(self, _offset: int, record_time_ms: int, *_: object) -> None:
        """Hear that the broker has it."""
        self.is_done = True
        if record_time_ms >= 0:  # else it keeps what the sender wrote
            self._heard(record_time_ms, self._stream)

    def failure(self, exception: BaseException) -> None:
        """Hear that the broker has refused it for good."""
        self.error = exception


_untyped: Any = SendProduceReqHandler


class _Produce(_untyped):  # type: ignore[misc]
    """Sends one batch per partition once; one that has to be sent again is not done afterwards."""

    async def do(self, node_id: int) -> None:
        """Raise what a batch was refused with."""
        try:
            answer = await self._client.send(node_id, self.create_request())
        except KafkaError as error:
            if not error.retriable:
                raise
            self._to_reenqueue = list(self._batches.values())
        else:
            self.handle_response(answer)
        for batch in self._batches.values():
            if batch.error is not None:
                raise batch.error
        if self._to_reenqueue:
            await asyncio.sleep(RETRY_SECONDS)
            await self._client.force_metadata_update()


def _not_done(batches: list[_Batch]) -> list[_Batch]:
    return [batch for batch in batches if not batch.is_done]
