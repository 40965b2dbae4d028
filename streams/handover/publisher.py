"""Publishes the committed totals on the topic `festival.totals`, from boards: one writes, the others wait.

Who writes is the member of a consumer group to which the topic's only partition is assigned. Its records go out in
transactions of one id: whoever takes the turn fences the writer before, even one that only stood still, and then reads
what the topic holds. So a reader of committed records never sees a state that goes back.
"""

from __future__ import annotations

import asyncio
import logging
from typing import TYPE_CHECKING, Any, Self

from aiokafka import AIOKafkaConsumer, ConsumerRebalanceListener
from aiokafka.coordinator.assignors.sticky.sticky_assignor import StickyPartitionAssignor
from aiokafka.structs import TopicPartition

from streams.engine.clock import SystemClock
from streams.engine.topic_names import PUBLISHERS, TOTALS
from streams.handover.published import Published
from streams.kafka.client import clients
from streams.kafka.client.internals import install
from streams.kafka.client.log_reader import LogReader
from streams.kafka.client.transaction import Transaction, start_writer
from streams.kafka.cluster.topics import partitions_of

if TYPE_CHECKING:
    from collections.abc import Iterable, Sequence

    from aiokafka import AIOKafkaProducer

    from streams.handover.published import Record
    from streams.settings import Settings
    from streams.web.shown import Shown

log = logging.getLogger("festival.totals")

TICK_SECONDS = 1.0
"""From a commit to the next state: a key gets at most one record a second."""
SESSION_MS = 6_000
"""After this silence of the writer another board has its turn: the broker's smallest by default."""
HEARTBEAT_MS = 1_000
RETRY_SECONDS = 3.0
"""After a failure; a writer that was fenced has learnt by then that its turn is over."""
ROOM_BYTES = 1_024
"""For a record's key, and for what a batch has beside it."""
ROWS_SHARE = 20
"""Rows take at most one part in so many of a core: sorting 50,000 merchants must not slow a board."""
ROWS_LONGEST_MS = 5_000


class TotalsPublisher:
    """Call `run` once; it ends when it is cancelled, and leaves the turn to another board."""

    def __init__(self, settings: Settings, shown: Shown) -> None:
        """Publish what `shown` shows."""
        self._settings, self._shown = settings, shown
        self._topic = settings.prefix + TOTALS
        self._has_told = False

    async def run(self) -> None:
        """Publish, through outages of the broker. Never raises but when cancelled."""
        while True:
            try:
                await self._take_turns()
            except Exception as error:  # noqa: BLE001 - whatever it is, the board goes on
                if not self._has_told:
                    log.warning("totals are not published, trying on", extra={"error": repr(error)})
                self._has_told = True
            await asyncio.sleep(RETRY_SECONDS)

    async def _take_turns(self) -> None:
        if self._topic not in await partitions_of(self._settings, [self._topic]):
            raise LookupError(f"topic {self._topic} is not there: run `festival topics` with FESTIVAL_PUBLISH=yes")
        turn = _Turn()
        install()
        member: Any = AIOKafkaConsumer(
            **self._settings.client_options(),
            group_id=self._settings.prefix + PUBLISHERS,
            session_timeout_ms=SESSION_MS,
            heartbeat_interval_ms=HEARTBEAT_MS,
            enable_auto_commit=False,
            auto_offset_reset="latest",
            partition_assignment_strategy=(StickyPartitionAssignor,),
        )
        turn.member = member
        member.subscribe([self._topic], listener=turn)
        writer: _Writer | None = None
        try:
            await member.start()
            while True:
                await member.getmany(timeout_ms=0)  # a member that never asks is taken for dead after some minutes
                if not turn.is_ours and writer is not None:
                    log.info("another board publishes the totals now")
                    await writer.close()
                    writer = None
                if turn.is_ours and writer is None:
                    writer = await _Writer.open(self._settings, self._shown)
                    log.info("publishes the totals", extra={"topic": self._topic})
                    self._has_told = False
                if writer is not None:
                    await writer.write_news()
                await asyncio.sleep(TICK_SECONDS)
        finally:
            if writer is not None:
                await writer.close()
            await clients.stop(member)


class _Turn(ConsumerRebalanceListener):
    """Whether it is ours to write."""

    def __init__(self) -> None:
        self.is_ours = False
        self.member: Any = None

    def on_partitions_revoked(self, revoked: Iterable[TopicPartition]) -> None:  # noqa: ARG002 - aiokafka's signature
        """Give the turn up: whoever has it next fences us, should a commit be under way."""
        self.is_ours = False

    def on_partitions_assigned(self, assigned: Iterable[TopicPartition]) -> None:
        """Take the turn; nothing is read by way of the group."""
        places = list(assigned)
        self.member.pause(*places)
        self.is_ours = bool(places)


class _Writer:
    """The only writer, from its fencing of the one before. Call order: `open`, `write_news` as often as liked, `close`.

    Whatever `write_news` raises, the writer is finished then.
    """

    def __init__(self, producer: AIOKafkaProducer, place: TopicPartition, shown: Shown) -> None:
        """Made by `open`."""
        self._producer, self._place, self._shown = producer, place, shown
        self._published = Published()
        self._clock = SystemClock()
        self._rows_at_ms = 0
        self._is_waiting = False
        self._too_large: set[str] = set()

    @classmethod
    async def open(cls, settings: Settings, shown: Shown) -> Self:
        """Become the only writer, and read what the topic holds; raises `KafkaError`."""
        producer = await start_writer(settings, settings.prefix + PUBLISHERS)
        writer = cls(producer, TopicPartition(settings.prefix + TOTALS, 0), shown)
        try:
            # Only now that no older writer's transaction can end any more is the topic what it will stay.
            await writer._read(settings)
        except BaseException:
            await writer.close()
            raise
        return writer

    async def write_news(self) -> None:
        """Write what the topic does not say of the newest state, in one transaction; raises `KafkaError`."""
        records = await asyncio.to_thread(self._news)
        if not records:
            return
        transaction = Transaction(self._producer)
        for record in records:
            key, value = record.encoded()
            if len(value) <= clients.MAX_BATCH_BYTES - ROOM_BYTES:
                transaction.add(self._place, key, value)
            elif record.key not in self._too_large:
                self._too_large.add(record.key)
                log.warning("a record of the totals is too large for Kafka", extra={"key": record.key})
        await transaction.commit()
        self._published.written(records)

    async def close(self) -> None:
        """Release the connections. Never raises."""
        await clients.stop(self._producer)

    def _news(self) -> Sequence[Record]:
        """Return what is new of the newest state: nothing before one was read, and while it is behind the topic's."""
        shown, snapshot = self._shown, self._shown.snapshot()
        if not shown.is_loaded() or not snapshot.has_state:
            return []
        is_waiting = not self._published.may_follow(snapshot)
        if is_waiting and not self._is_waiting:
            log.warning("the topic of totals holds a later state than this board has read: waiting until it has")
        self._is_waiting = is_waiting
        if is_waiting:
            return []
        began_ms = self._clock.monotonic_ms()
        with_rows = began_ms >= self._rows_at_ms
        news = self._published.news(snapshot, shown.festivals.values(), shown.judgement(), with_rows=with_rows)
        if with_rows:
            took_ms = self._clock.monotonic_ms() - began_ms
            self._rows_at_ms = began_ms + min(took_ms * ROWS_SHARE, ROWS_LONGEST_MS)
        return news

    async def _read(self, settings: Settings) -> None:
        reader = await LogReader.open(settings)
        try:
            async for key, value in reader.records(TopicPartition(TOTALS, 0)):
                self._published.take(key, value)
        finally:
            await reader.close()
