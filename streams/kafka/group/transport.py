"""A Faust driver that delivers record batches: one `RecordBatch` per partition and fetch instead of single records.

Faust keeps what it is good at: membership, assignment, rebalances, agents. Three things are replaced, because they
break on batches or on offsets that live in the ledger (docs/decisions/0001-batch-transport.md):

- what is fetched: raw, read committed, from released partitions only (`BatchConsumerThread`);
- when a partition flows: never by itself after a rebalance, only when its owner calls `release` with a position;
- commits: none here, offsets travel in checkpoints.

Chosen by `BatchApp._new_transport`. What of aiokafka is private is asked of `streams.kafka.client.raw_consumer`; the
methods of Faust that are overridden here stand in the contract test tests/contract/test_aiokafka_names.py.
"""

from __future__ import annotations

import asyncio
from collections import Counter
from typing import TYPE_CHECKING, Any, ClassVar, TypeVar

import aiokafka
import faust
from aiokafka.errors import ConsumerStoppedError, KafkaError
from faust.app.base import BootStrategy
from faust.tables.manager import TableManager
from faust.transport.drivers.aiokafka import (
    AIOKafkaConsumerThread,
    Consumer,
    ConsumerRebalanceListener,
    Transport,
)
from faust.types import TP, ConsumerMessage

from streams.kafka.client.clients import stop, through_trouble
from streams.kafka.client.internals import install
from streams.kafka.client.raw_consumer import Membership, RawConsumer
from streams.kafka.group.members import NameKeeper, this_process

if TYPE_CHECKING:
    from collections.abc import Callable, Collection, Coroutine, Iterable, Mapping

    from aiokafka import TopicPartition

    from streams.engine.batch import RecordBatch
    from streams.settings import Settings

T = TypeVar("T")

FETCH_BYTES = 1024 * 1024
"""Per partition and fetch: 5,000 to 30,000 orders, so a turn through Faust costs next to nothing per record."""
FETCH_LIMIT_BYTES = 16 * 1024 * 1024
"""All partitions together: unpacked it is five times as much, and with 64 partitions all of it was in memory."""
FETCH_MIN_BYTES = 1024 * 1024
FETCH_WAIT_MS = 150
"""Longest wait for a megabyte: at 5,000 events/s a worker's CPU fell from 37 % to 14 %, for 70 ms of delay."""
FETCH_WAIT_PER_PARTITION_MS = 11
FETCH_WAIT_LIMIT_MS = 350
"""With many partitions a fetch brings little of each, and costs by their number: with 32 a longer wait saves a third of
the CPU of a slow load, for 90 ms of delay."""
POLL_SECONDS = 1.0
REFUSED_SECONDS = 0.2
"""Between two waits for records, while the group refuses this member."""
REBALANCE_TIMEOUT_MS = 30_000
HEARTBEAT_MS = 500
"""A worker hears by its next heartbeat that another one joins or leaves; until then that one's partitions wait."""
METADATA_AGE_MS = 3_000
"""A topic that has grown or is gone is dealt anew after so long."""
QUEUED_BATCHES = 4
"""Batches waiting per source topic: memory is bounded by this many fetches, and the next fetch is under way."""


class BatchApp(faust.App):
    """A Faust app whose topics deliver record batches. `on_fault` is told what the fetcher cannot get over."""

    settings: Settings
    sources: Mapping[str, str]
    """Name without prefix by topic on Kafka."""
    on_fault: Callable[[TopicPartition, BaseException], None]
    with_headers: bool = False
    """Whether the headers of records are wanted."""

    def _new_transport(self) -> BatchTransport:
        return BatchTransport(self.conf.broker_consumer, self)


def fetch_wait_ms(partitions: int) -> int:
    """Return the longest wait for a megabyte of a worker with so many partition numbers."""
    return min(max(FETCH_WAIT_MS, FETCH_WAIT_PER_PARTITION_MS * partitions), FETCH_WAIT_LIMIT_MS)


class ConsumerOnly(BootStrategy):
    """Start no producer: nothing is sent through Faust, checkpoints have producers of their own."""

    enable_kafka_producer = False


class NoTables(TableManager):
    """The manager of no tables: Faust's waits a second for some to be declared, a third of a restart."""

    async def on_start(self) -> None:
        """Call when the app starts."""
        if not self.should_stop:
            await self._update_channels()
            await self.recovery.start()


class BatchSchema(faust.Schema[Any, Any]):
    """The schema of a topic whose messages are `RecordBatch`es: there is nothing to decode."""

    def compile(self, app: Any, **_: object) -> Any:  # noqa: ANN401 - Faust's signature
        """Return the coroutine function that makes an event of a message."""
        create_event = app.create_event

        async def decode(message: Any, *, propagate: bool = False) -> Any:  # noqa: ANN401, ARG001
            return create_event(None, message.value, None, message)

        return decode


class PausingListener(ConsumerRebalanceListener):
    """Pauses what is assigned before anything of it is fetched; runs in the consumer's thread."""

    async def on_partitions_assigned(self, assigned: Iterable[Any]) -> None:
        """Call when the group has dealt the partitions."""
        partitions = tuple(assigned)
        thread: Any = self._thread  # ours, `BatchConsumerThread`
        thread.pause_assigned(partitions)
        await super().on_partitions_assigned(partitions)


class BatchConsumerThread(AIOKafkaConsumerThread):
    """The thread that owns the aiokafka consumer. Private coroutines run in it, the public ones outside."""

    app: BatchApp

    def __post_init__(self) -> None:
        """Call when the service is made."""
        super().__post_init__()
        # Entries are aiokafka's and Faust's partition types alike: both are plain pairs.
        self.released: set[tuple[str, int]] = set()

    async def on_start(self) -> None:
        """Call in the thread when it begins: starts the consumer, and watches over its name from its first join on."""
        await through_trouble(self._begin)
        NameKeeper(self.app.settings.name or "").watch(Membership(self._ensure_consumer()))

    async def _begin(self) -> None:
        try:
            await super().on_start()
        except BaseException:
            await stop(self._consumer)
            raise

    async def fetch(self, timeout: float) -> list[tuple[TP, RecordBatch]]:  # noqa: ASYNC109 - not a cancellation
        """Return what was fetched of released partitions, after at most `timeout` seconds; may be empty."""
        return await self._in_thread(self._fetch(timeout))

    async def release(self, positions: Mapping[TopicPartition, int]) -> None:
        """Let partitions flow from the given positions; raises `IllegalStateError` where one is not assigned."""
        await self._in_thread(self._release(positions))

    async def hold_back(self, partitions: Collection[TopicPartition]) -> None:
        """Deliver nothing more of the partitions."""
        self.released.difference_update(partitions)
        await self._in_thread(self._pause(partitions))

    def fetch_state(self, partition: TopicPartition) -> tuple[int | None, int | None]:
        """Return position and high watermark as the last fetch left them, None where not known."""
        return self._raw().fetch_state(partition)

    def check(self) -> KafkaError | None:
        """Raise what ended a background task of aiokafka: without them the worker would stand still in silence.

        Returns what the group does not allow at the moment; it is asked again.
        """
        if self._consumer is None:
            return None
        refusal = self._raw().check()
        if refusal is not None:
            self.thread_loop.call_soon_threadsafe(self._raw().join_again)
        return refusal

    async def is_member(self) -> bool:
        """Return whether the group says, asked now, that this member has what it was dealt; may raise `KafkaError`."""
        return await self._in_thread(Membership(self._ensure_consumer()).is_in())

    def pause_assigned(self, partitions: Collection[TopicPartition]) -> None:
        """Pause what the group has just dealt. Called in the thread."""
        self._ensure_consumer().pause(*partitions)

    async def _in_thread(self, coroutine: Coroutine[Any, Any, T]) -> T:
        # Not Faust's method queue: it has two places, one of which a waiting fetch would take, and drops cancellation.
        if self.thread_loop.is_closed():
            coroutine.close()
            raise ConsumerStoppedError
        return await asyncio.wrap_future(asyncio.run_coroutine_threadsafe(coroutine, self.thread_loop))

    def _raw(self) -> RawConsumer:
        return RawConsumer(self._ensure_consumer())

    async def _fetch(self, timeout: float) -> list[tuple[TP, RecordBatch]]:  # noqa: ASYNC109
        raw = self._raw()
        with raw.polled():
            taken = self._take(raw)
            try:
                if not taken and await raw.wait(timeout):
                    taken = self._take(raw)
            except KafkaError:
                # What the group cannot get over is `check`'s to judge; it may be a right that is missing just now.
                await asyncio.sleep(REFUSED_SECONDS)
            return taken

    def _take(self, raw: RawConsumer) -> list[tuple[TP, RecordBatch]]:
        """Unpack what was fetched of released partitions, and let the next request be sent while it is counted."""
        taken: list[tuple[TP, RecordBatch]] = []
        for partition in raw.fetched():
            if partition not in self.released:
                continue
            tp = TP(partition.topic, partition.partition)
            try:
                batches = raw.take(partition, self.app.sources[tp.topic], with_headers=self.app.with_headers)
            except Exception as error:  # noqa: BLE001 - whatever a codec raises on damaged bytes
                self._fault(partition, error)
            else:
                taken += [(tp, batch) for batch in batches]
        raw.wake()
        return taken

    def _fault(self, partition: TopicPartition, error: BaseException) -> None:
        """Stop a partition that cannot be fetched and tell its owner; retrying at once would be a busy loop."""
        self.released.discard(partition)
        consumer: Any = self._ensure_consumer()
        consumer.pause(partition)
        self.parent_loop.call_soon_threadsafe(self.app.on_fault, partition, error)

    async def _release(self, positions: Mapping[TopicPartition, int]) -> None:
        consumer: Any = self._ensure_consumer()
        for partition, offset in positions.items():
            consumer.seek(partition, offset)
            consumer.resume(partition)
            self.released.add(partition)
        self._raw().wait_on_broker(fetch_wait_ms(len({number for _, number in self.released})))

    async def _pause(self, partitions: Collection[TopicPartition]) -> None:
        raw = self._raw()
        self._ensure_consumer().pause(*(tp for tp in partitions if raw.is_assigned(tp)))

    def _create_worker_consumer(self, transport: Any) -> aiokafka.AIOKafkaConsumer:  # noqa: ANN401, ARG002
        settings: Settings = self.app.settings
        # Faust's assignor also without tables, made to deal partition p of all source topics to one worker.
        self._assignor = self.app.assignor
        install()
        return aiokafka.AIOKafkaConsumer(
            client_id=this_process().client_id(settings.name or ""),
            group_id=self.app.conf.id,
            group_instance_id=settings.name,
            partition_assignment_strategy=[self._assignor],
            enable_auto_commit=False,
            auto_offset_reset="none",
            isolation_level="read_committed",
            max_partition_fetch_bytes=FETCH_BYTES,
            fetch_max_bytes=FETCH_LIMIT_BYTES,
            fetch_min_bytes=FETCH_MIN_BYTES,
            fetch_max_wait_ms=FETCH_WAIT_MS,
            session_timeout_ms=settings.session_timeout_ms,
            heartbeat_interval_ms=min(HEARTBEAT_MS, settings.session_timeout_ms // 4),
            rebalance_timeout_ms=REBALANCE_TIMEOUT_MS,
            metadata_max_age_ms=METADATA_AGE_MS,
            **settings.client_options(),
        )


class BatchConsumer(Consumer):
    """Faust's consumer with batches: no gaps, no acks, no commits; a partition flows once its owner released it."""

    RebalanceListener: ClassVar[type] = PausingListener
    _thread: BatchConsumerThread

    def __init__(self, *args: Any, **kwargs: Any) -> None:  # noqa: ANN401 - Faust's signature
        """Call when the app makes its consumer."""
        super().__init__(*args, **kwargs)
        self.in_hand: Counter[tuple[str, int]] = Counter()
        """Batches per partition that were fetched and are not counted yet."""

    def done(self, partition: tuple[str, int]) -> None:
        """Note that a batch was counted, or dropped."""
        if self.in_hand[partition] > 0:
            self.in_hand[partition] -= 1

    @property
    def batches(self) -> BatchConsumerThread:
        """What the owners of partitions talk to."""
        return self._thread

    def _new_consumer_thread(self) -> BatchConsumerThread:
        return BatchConsumerThread(self, loop=self.loop, beacon=self.beacon)

    async def _drain_messages(self, fetcher: Any) -> None:  # noqa: ANN401 - Faust's signature
        """Hand fetched batches to the agents, until the consumer or the fetcher is stopped."""
        thread = self._thread
        try:
            while not (self.should_stop or fetcher.should_stop):
                if not self.flow_active:
                    await self.wait(self.can_resume_flow)  # type: ignore[arg-type]
                    continue
                fetched = await thread.fetch(POLL_SECONDS)
                self.in_hand.update(tp for tp, _ in fetched)
                for tp, batch in fetched:
                    # Between fetch and here a rebalance may have begun: what is dropped is read again after it.
                    if self.flow_active and tp in thread.released:
                        await self.callback(self._to_message(tp, batch))
                    else:
                        self.done(tp)
        except (asyncio.CancelledError, ConsumerStoppedError):
            if not self.app.should_stop:
                raise

    def _to_message(self, tp: TP, record: RecordBatch) -> ConsumerMessage:
        make: Any = ConsumerMessage  # its types know single records only
        message: ConsumerMessage = make(
            tp.topic,
            tp.partition,
            record.next_offset - 1,
            timestamp=None,
            timestamp_type=None,
            headers=None,
            key=None,
            value=record,
            checksum=None,
            serialized_key_size=0,
            serialized_value_size=0,
            tp=tp,
            generation_id=self.app.consumer_generation_id,
        )
        return message

    async def on_partitions_revoked(self, revoked: set[TP]) -> None:
        """Call when a rebalance begins."""
        self._thread.released.clear()
        self.in_hand.clear()
        await super().on_partitions_revoked(revoked)

    async def commit(self, topics: Any = None, start_new_transaction: bool = True) -> bool:  # noqa: ANN401, ARG002, FBT001, FBT002
        """Do nothing: offsets travel in checkpoints."""
        return False

    async def perform_seek(self) -> None:
        """Do nothing: owners release partitions at the position of their ledger."""

    def on_buffer_full(self, tp: TP) -> None:
        """Do nothing: a full queue makes `_drain_messages` wait."""

    def on_buffer_drop(self, tp: TP) -> None:
        """Do nothing, as nothing was stopped."""

    def verify_event_path(self, now: float, tp: TP) -> None:
        """Do nothing: Faust would miss the commits; owners compare fetch position and ledger themselves."""


class BatchTransport(Transport):
    """The driver, as Faust's apps want it."""

    Consumer: ClassVar[type] = BatchConsumer


def batch_topic(app: BatchApp, topic: str) -> Any:  # noqa: ANN401 - untyped Faust
    """Return the channel of one source topic (its name on Kafka) for an agent.

    Not `app.topic`, which drops `maxsize`: 4,096 batches would be queued. Without acks, as nothing is committed.
    """
    return faust.Topic(app, topics=[topic], schema=BatchSchema(), acks=False, maxsize=QUEUED_BATCHES)
