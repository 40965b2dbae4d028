"""Follows the committed ledger of all partitions, so that any process can show the whole cluster.

Used by the board of every worker and of `festival board`, and once by the commands that show totals. It holds bytes:
what they mean is the board's business.
"""

from __future__ import annotations

import asyncio
import logging
import threading
from contextlib import AsyncExitStack
from typing import TYPE_CHECKING, Any

from aiokafka.errors import KafkaConnectionError, OffsetOutOfRangeError
from aiokafka.structs import TopicPartition

from streams.engine.clock import BrokerClock, SystemClock
from streams.engine.ledger_view import FollowerDelta, LedgerView
from streams.engine.topic_names import LEDGER
from streams.errors import UnreachableError
from streams.kafka.client import clients
from streams.kafka.client.log_reader import LogReader
from streams.kafka.cluster.broker_time import hear
from streams.kafka.cluster.open_transactions import TransactionWatch
from streams.kafka.cluster.survey import describe, survey
from streams.kafka.cluster.topic_settings import COMPACTION_LAG_MS

if TYPE_CHECKING:
    from collections.abc import Collection, Mapping, Sequence

    from streams.engine.generations import Generations
    from streams.engine.judgement import OpenTransaction, Sources, Standing
    from streams.settings import Settings

log = logging.getLogger("festival.follower")

GATHER_MS = 150
"""The broker holds an answer back for so long: checkpoints of many partitions come with one request, not one each."""
GATHER_BYTES = 8 * 1024 * 1024
"""And so many: several times as much in memory, unpacked, which is what a follower that lags behind holds at most."""
STALE_MS = COMPACTION_LAG_MS // 2
"""So long after it last was at the end a follower may meet checkpoints that compaction has mixed with later ones."""
POLL_SECONDS = 0.05
"""Between two looks, each of which costs a loop turn."""
WAIT_SECONDS = 1.0
RETRY_SECONDS = 1.0
TELL_EVERY = 60
"""Failed attempts between two log lines: one line in a minute."""
LOOK_SECONDS = 0.1
SILENCE_LIMIT = 150
"""Looks without anything new after which a command gives the broker up."""
OPEN_LIMIT = 10
"""Looks for which a command waits for transactions that are open: a dead owner's stay so for ten seconds and more."""


class LedgerReplacedError(Exception):
    """The topic of the ledger was deleted and made again: what was read of it lies there no more."""


class LedgerFollower:
    """Call order: `start`, then `drain` as often as liked and from any thread, `stop`.

    Survives outages of the broker: it goes on where it was. Nothing is handed over before everything has been read
    that was committed at the start, or, after it has fallen behind, when that was noticed.
    """

    def __init__(self, settings: Settings, clock: BrokerClock | None = None) -> None:
        """Connect to nothing yet. `clock` learns the broker's time from the records that come."""
        self._settings = settings
        self.clock = clock or BrokerClock(SystemClock())
        self._task: asyncio.Task[None] | None = None
        self._reader: LogReader | None = None
        self._view: LedgerView | None = None
        self._lock = threading.Lock()
        """Held while the view changes."""
        self._positions: dict[TopicPartition, int] = {}
        self._ends: dict[TopicPartition, int] | None = None
        """What has to be read before anything is handed over, None once it was."""
        self._at_end_ms = 0
        """When everything had been read the last time."""
        self._is_awaiting = False
        """Whether everything had been read on this connection, so that what comes was only just written."""
        self._ready = asyncio.Event()
        self._failures = 0
        self._ledger_id: str | None = None
        """That of the topic that is followed."""
        self._is_replaced = False
        self._ledger_partitions = 0
        """As the last survey saw them."""
        self._transactions = TransactionWatch(settings)

    @property
    def is_ready(self) -> bool:
        """Whether what was committed at the start has been read."""
        return self._ready.is_set()

    @property
    def generations(self) -> Generations | None:
        """Return the newest control record seen, None before the follower is ready."""
        return self._view.generations if self._view is not None and self.is_ready else None

    def start(self) -> None:
        """Begin to follow, in a task of the running loop."""
        assert self._task is None
        self._task = asyncio.create_task(self._run(), name="ledger follower")

    async def wait_until_ready(self) -> None:
        """Return once what was committed at the start has been read."""
        await self._ready.wait()

    async def stop(self) -> None:
        """Stop following and release the connection. Never raises."""
        if self._task is not None:
            self._task.cancel()
            await asyncio.gather(self._task, return_exceptions=True)
            self._task = None
        await self._disconnect()

    def drain(self) -> FollowerDelta | None:
        """Hand over what has changed since the last call; None where nothing has, or before the follower is ready."""
        with self._lock:
            if self._view is None or self._ends is not None:
                return None
            return self._view.drain()

    async def survey(self, topics: Sequence[str], epochs: Mapping[tuple[str, int], int]) -> Sources:
        """Return the source topics as they are now, and where these leader epochs end.

        Where the ledger has grown, it is followed as a whole.

        Raises `KafkaError` where the broker does not answer; connected or not, it never blocks the follower.
        """
        sources = await survey(self._client(), self._settings.prefix, topics, epochs=epochs)
        self._ledger_partitions = sources.ledger_partitions
        found = sources.identity.own.get(LEDGER)
        self._is_replaced = None not in {found, self._ledger_id} and found != self._ledger_id
        return sources

    async def open_transactions(self, places: Collection[Standing], now_ms: int) -> tuple[OpenTransaction, ...]:
        """Return the transactions that are open at `places` for long enough. Raises like `survey`."""
        return await self._transactions.look(self._client(), places, now_ms)

    def _client(self) -> Any:  # noqa: ANN401 - aiokafka's client has no public type
        if self._reader is None or self._view is None:
            raise KafkaConnectionError("the follower is not connected")
        return self._reader.client

    async def _run(self) -> None:
        while True:
            try:
                await self._follow()
            except (OffsetOutOfRangeError, LedgerReplacedError) as error:
                log.warning(
                    "the ledger topic was made again or truncated: reading it anew", extra={"error": str(error)}
                )
                self._forget()
            except Exception:
                # Whatever it is, the screen shall come back by itself.
                if self._failures % TELL_EVERY == 0:
                    log.exception("following the ledger failed, trying again")
                self._failures += 1
            await self._disconnect()
            await asyncio.sleep(RETRY_SECONDS)

    async def _follow(self) -> None:
        """Follow from where we are until something goes wrong; return where there is nothing to follow yet."""
        reader = self._reader = await LogReader.open(
            self._settings,
            fetch_min_bytes=GATHER_BYTES,
            fetch_max_bytes=GATHER_BYTES,
            max_partition_fetch_bytes=clients.MAX_BATCH_BYTES,
            fetch_max_wait_ms=GATHER_MS,
        )
        if self._view is None:
            count = await reader.partition_count(LEDGER)
            if not count:
                if self._failures % TELL_EVERY == 0:
                    log.info("waiting for the topics: run `festival topics`")
                self._failures += 1
                return
            partitions = [TopicPartition(LEDGER, p) for p in range(count)]
            topic = self._settings.prefix + LEDGER
            self._ledger_id = (await describe(reader.client, [topic])).ids.get(topic)
            self._ends = await reader.end_offsets(partitions)
            self._positions = await reader.beginning_offsets(partitions)
            self._view = LedgerView(count)
        reader.assign(self._positions)
        self._is_awaiting = False
        while True:
            if self._is_replaced:
                raise LedgerReplacedError("it has another id")
            self._grow(reader, self._view)
            await self._look(reader, self._view)
            if self._ends is None:
                await asyncio.sleep(POLL_SECONDS)

    def _grow(self, reader: LogReader, view: LedgerView) -> None:
        """Follow partitions that the ledger has got since from their beginning: nobody has deleted anything there."""
        if self._ledger_partitions <= view.partitions:
            return
        log.info("the ledger has more partitions now", extra={"partitions": self._ledger_partitions})
        with self._lock:
            for partition in range(view.partitions, self._ledger_partitions):
                self._positions[TopicPartition(LEDGER, partition)] = 0
            view.partitions = self._ledger_partitions
        reader.assign(self._positions)

    async def _look(self, reader: LogReader, view: LedgerView) -> None:
        batches = await reader.fetch(WAIT_SECONDS)
        now_ms = self.clock.monotonic_ms()
        hear(self.clock, batches, is_new=self._is_awaiting)
        self._is_awaiting = self._is_awaiting or reader.is_at_end()
        if batches and self._ends is None and now_ms - self._at_end_ms > STALE_MS:
            self._ends = await reader.end_offsets(self._positions)
        if batches and reader.is_at_end():
            self._at_end_ms = now_ms
        is_switched = False
        with self._lock:
            for batch in batches:
                self._failures = 0
                is_switched |= view.add(batch)
                _tell_strange(view)
                self._positions[TopicPartition(LEDGER, batch.partition)] = batch.next_offset
        if is_switched:
            # The other partitions may not have been read up to what the new generation began with.
            self._ends = await reader.end_offsets(self._positions)
        with self._lock:
            if self._has_caught_up():
                self._ends = None
                view.show_current()
                self._ready.set()

    def _has_caught_up(self) -> bool:
        return self._ends is not None and all(self._positions[tp] >= end for tp, end in self._ends.items())

    def _forget(self) -> None:
        self._view, self._ends, self._positions, self._ledger_partitions = None, None, {}, 0
        self._ledger_id, self._is_replaced = None, False

    async def _disconnect(self) -> None:
        reader, self._reader = self._reader, None
        if reader is not None:
            await reader.close()


async def read_committed_ledger(settings: Settings, clock: BrokerClock | None = None) -> FollowerDelta:
    """Return the whole committed ledger as of now; `clock` learns what time it is no more.

    What does not fit its cursors is read once more: compaction may have mixed checkpoints while it was read.

    Waits a moment for transactions that are open now: the marker that shows a commit to readers follows it by some
    milliseconds. Raises `KafkaConnectionError` where the broker is not reachable, `UnreachableError` where the ledger
    topic is missing or the broker stops answering.
    """
    view = await _whole_ledger(settings, clock or BrokerClock(SystemClock()))
    if view.is_misfit:
        view = await _whole_ledger(settings, clock or BrokerClock(SystemClock()))
    delta = view.drain()
    assert delta is not None, "a first hand-over is never empty"
    return delta


async def _whole_ledger(settings: Settings, clock: BrokerClock) -> LedgerView:
    async with AsyncExitStack() as stack:
        reader = await LogReader.open(settings, is_patient=False)
        stack.push_async_callback(reader.close)
        everything = await LogReader.open(settings, is_patient=False, is_committed_only=False)
        stack.push_async_callback(everything.close)
        count = await reader.partition_count(LEDGER)
        if not count:
            raise UnreachableError(f"topic {settings.prefix}{LEDGER} does not exist: create it with `festival topics`")
        partitions = [TopicPartition(LEDGER, p) for p in range(count)]
        committed, written = await reader.end_offsets(partitions), await everything.end_offsets(partitions)
        await reader.assign_from_beginning(partitions)
        view = LedgerView(count)
        await _read_to(reader, view, clock, committed, SILENCE_LIMIT)
        if not _is_at(reader, committed):
            raise UnreachableError("the broker has stopped answering while the ledger was read: try again")
        await _read_to(reader, view, clock, written, OPEN_LIMIT)
    view.show_current()
    return view


async def _read_to(
    reader: LogReader, view: LedgerView, clock: BrokerClock, ends: dict[TopicPartition, int], patience: int
) -> None:
    """Read up to `ends`, or until nothing came for `patience` looks."""
    silence = 0
    while not _is_at(reader, ends) and silence < patience:
        batches = await reader.fetch(LOOK_SECONDS)
        silence = 0 if batches else silence + 1
        hear(clock, batches, is_new=False)
        for batch in batches:
            view.add(batch)
            _tell_strange(view)


def _is_at(reader: LogReader, ends: dict[TopicPartition, int]) -> bool:
    return all(reader.positions[tp] >= end for tp, end in ends.items())


def _tell_strange(view: LedgerView) -> None:
    for partition, offset, error in view.take_strange():
        log.error("skipped on the ledger", extra={"partition": partition, "offset": offset, "error": error})
