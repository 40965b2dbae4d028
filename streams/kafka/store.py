"""The ledger on Kafka: each checkpoint one transaction, each partition and generation one transactional id.

Made by the worker and the recount, used through the protocol in `streams.engine.checkpoint`. Why it is done like
this, and what a failure at each step means, is in docs/delivery.md and docs/decisions.
"""

from __future__ import annotations

import asyncio
import logging
import os
from contextlib import asynccontextmanager
from dataclasses import dataclass
from typing import TYPE_CHECKING

from aiokafka.errors import KafkaError
from aiokafka.structs import OffsetAndMetadata, TopicPartition

from streams.engine.checkpoint import Checkpoint, FencedError, OutcomeUnknownError, Restored, UnreadableError
from streams.engine.steps import Step, at_nth, nothing_at, parse_crash
from streams.errors import UsageError
from streams.kafka import clients
from streams.kafka.generations import GenerationWatch
from streams.kafka.ledger_keys import parse_key
from streams.kafka.restore import read_back
from streams.kafka.topics import LEDGER, SEEN
from streams.kafka.transaction import Transaction, stop_sender

if TYPE_CHECKING:
    from collections.abc import AsyncIterator, Collection, Mapping

    from aiokafka import AIOKafkaProducer

    from streams.engine.checkpoint import RejectedRecord
    from streams.engine.steps import AtStep
    from streams.kafka.generations import Generations
    from streams.settings import Settings

log = logging.getLogger("festival.ledger")

GROUP = "festival"
CRASH_VARIABLE = "FESTIVAL_CRASH_AT"
"""A test hook: the process dies like under SIGKILL at STEP, or the N-th time it gets there with STEP:N."""
KILLED = 137
RESTORES_AT_ONCE = 4
"""Of one process: each holds its fetches in memory besides the restored pages."""


def transactional_id(prefix: str, generation: str, partition: int) -> str:
    """Return the id whose newest producer alone may write `partition` in `generation`."""
    return f"{prefix}festival-{generation}-{partition}"


@dataclass(frozen=True, slots=True)
class _Context:
    """What the partition stores of one ledger store share."""

    settings: Settings
    counts_beside: bool
    at_step: AtStep
    restores: asyncio.Semaphore


class KafkaLedgerStore:
    """A `LedgerStore` on Kafka.

    `counts_beside`: for a recount, which counts a generation that is not current: writes pages only, neither
    rejected records nor the group's offsets, and leaves the writers of the current generation alone.
    """

    def __init__(self, settings: Settings, *, counts_beside: bool = False, at_step: AtStep | None = None) -> None:
        """`at_step` is called at each step of each commit; unset: what FESTIVAL_CRASH_AT says, mostly nothing."""
        self._settings = settings
        self._context = _Context(
            settings, counts_beside, at_step or _crash_from_environment(), asyncio.Semaphore(RESTORES_AT_ONCE)
        )
        self._watch = GenerationWatch(settings)

    async def generations(self) -> Generations:
        """Return which generation is current; cheap after the first time, fit to be asked every few seconds.

        Raises `KafkaError` where the broker does not answer, `UnreadableError` where the record cannot be read.
        """
        return await self._watch.look()

    async def fence(self, partition: int, generation: str) -> KafkaPartitionStore:
        """Become the only writer of `partition` in `generation`; every older owner is fenced from now on.

        Waits through an outage of the broker. Raises `FencedError` where `generation` is not current any more (ask
        `generations` and fence again), `UnreadableError` where the broker refuses for good, another `KafkaError` where
        it went away in between: try again.
        """
        try:
            producer = await clients.start_producer(
                self._settings, transactional_id(self._settings.prefix, generation, partition)
            )
            remade: tuple[tuple[str, int], ...] = ()
            try:
                if not self._context.counts_beside:
                    remade = (await self._confirm(partition, generation)).remade
                await stop_sender(producer)
            except BaseException:
                await clients.stop(producer)
                raise
        except KafkaError as error:
            if clients.is_permanent(error):
                raise UnreadableError(f"the broker refuses: {error!r}") from error
            raise
        topics = frozenset(topic for topic, number in remade if number == partition)
        return KafkaPartitionStore(self._context, producer, partition, generation, topics)

    async def close(self) -> None:
        """Release the connections of the store itself; partition stores have their own. Never raises."""
        await self._watch.close()

    async def _confirm(self, partition: int, generation: str) -> Generations:
        """Make sure that nobody writes rejected records of `partition` under another generation from now on.

        After our own fence: a recount switches first and fences then, so of two that overlap one sees the other.
        """
        generations = await self._watch.confirm()
        if generations.current != generation:
            raise FencedError(f"generation {generations.current} is current, not {generation}")
        if generations.previous is not None:
            await clients.stop(
                await clients.start_producer(
                    self._settings, transactional_id(self._settings.prefix, generations.previous, partition)
                )
            )
        return generations


class KafkaPartitionStore:
    """A `PartitionStore` on Kafka: one transactional producer."""

    def __init__(
        self,
        context: _Context,
        producer: AIOKafkaProducer,
        partition: int,
        generation: str,
        remade_topics: frozenset[str],
    ) -> None:
        """Made by `KafkaLedgerStore.fence` only."""
        self._context = context
        self._producer = producer
        self._partition = partition
        self._generation = generation
        self._remade_topics = remade_topics
        self._is_finished = False
        self._others: dict[str, set[bytes]] = {}
        self.read_by_others: Mapping[str, int] = {}
        """Next offset per source that the cursors of other generations had reached by the restore: rejected records
        below were written then."""

    async def restore(self) -> Restored:
        """Return what is committed; waits through an outage of the broker. May raise `UnreadableError`."""
        assert not self._is_finished
        async with self._context.restores:
            # A recount mends a ledger with strange records in it: it begins without them, and removes them.
            found = await read_back(
                self._context.settings,
                self._partition,
                self._generation,
                skips_strange=self._context.counts_beside,
            )
        self.read_by_others = found.others_read_to
        self._others = found.others
        return found.restored

    async def forget_all_but(self, generations: Collection[str]) -> None:
        """Remove the records of other generations that the restore met, in a transaction. Raises like `commit`."""
        stale = [
            (self._place(topic), key)
            for topic, keys in self._others.items()
            for key in keys
            if _generation_of(key) not in generations
        ]
        self._others = {}
        if not stale:
            return
        async with self._writing():
            transaction = Transaction(self._producer)
            for place, key in stale:
                transaction.add(place, key, None)
            await transaction.commit()
        log.info("old generations removed", extra={"partition": self._partition, "records": len(stale)})

    async def commit(self, checkpoint: Checkpoint) -> None:
        """Make `checkpoint` durable; raises `FencedError` or `OutcomeUnknownError`, and is finished then.

        Waits as long as the broker does not answer. Cancelled, its outcome is unknown too. `FencedError` also where
        the broker has ended the transaction by its timeout, this process having stood still: if the partition is
        still assigned, it has to be taken over afresh.
        """
        assert checkpoint.partition == self._partition, (checkpoint.partition, self._partition)
        async with self._writing():
            await self._commit(checkpoint)

    async def close(self) -> None:
        """Release the connections; ends within a few seconds. Never raises, may be called twice."""
        self._is_finished = True
        await clients.stop(self._producer)

    @asynccontextmanager
    async def _writing(self) -> AsyncIterator[None]:
        """Allow one transaction at a time, and none after one that did not end well."""
        assert not self._is_finished, "this store is finished, or a commit is under way: fence again"
        self._is_finished = True
        try:
            yield
        except Exception as error:
            if clients.is_fenced(error):
                raise FencedError(f"partition {self._partition}: a newer owner has taken over") from error
            raise OutcomeUnknownError(f"partition {self._partition}: {error!r}") from error
        self._is_finished = False

    async def _commit(self, checkpoint: Checkpoint) -> None:
        prefix = self._context.settings.prefix
        at_step = self._context.at_step
        at_step(Step.BEFORE_BEGIN)
        transaction = Transaction(self._producer)

        async def reach(step: Step) -> None:
            # Under test, so that a crash at a step leaves behind what was sent before it; else all of it travels in
            # one produce request.
            if at_step is not nothing_at:
                await transaction.flush()
                at_step(step)

        await reach(Step.AFTER_BEGIN)
        ledger, seen = self._place(LEDGER), self._place(SEEN)
        for key, page in checkpoint.pages:
            transaction.add(ledger, key, page)
        await reach(Step.AFTER_PAGES)
        for key, hashes in checkpoint.seen:
            transaction.add(seen, key, hashes)
        await reach(Step.AFTER_SEEN)
        for record in checkpoint.rejected:
            if not self._is_written_before(record):
                headers = [(name, _on_kafka(prefix, name, value)) for name, value in record.headers]
                transaction.add(self._place(record.topic), record.key, record.value, headers)
        await reach(Step.AFTER_REJECTED)
        transaction.add(ledger, *checkpoint.cursor)
        await reach(Step.AFTER_CURSOR)
        if checkpoint.positions and not self._context.counts_beside:
            # Only then the offsets: sent at the same time, the broker refuses one or the other as concurrent.
            await transaction.flush()
            await transaction.add_offsets(self._offsets(checkpoint.positions), prefix + GROUP)
        await reach(Step.AFTER_OFFSETS)
        if at_step is nothing_at:
            await transaction.commit()
            return
        committing = asyncio.ensure_future(transaction.commit())
        await asyncio.sleep(0.002)  # the request leaves, its answer is not awaited
        at_step(Step.DURING_COMMIT)
        await committing
        at_step(Step.AFTER_COMMIT)

    def _place(self, topic: str) -> TopicPartition:
        return TopicPartition(self._context.settings.prefix + topic, self._partition)

    def _offsets(self, positions: Mapping[str, int]) -> dict[TopicPartition, OffsetAndMetadata]:
        return {self._place(topic): OffsetAndMetadata(offset, "") for topic, offset in positions.items()}

    def _is_written_before(self, record: RejectedRecord) -> bool:
        if self._context.counts_beside:
            return True
        if not self.read_by_others:
            return False
        headers = dict(record.headers)
        topic = headers["source_topic"].decode()
        return topic not in self._remade_topics and int(headers["source_offset"]) < self.read_by_others.get(topic, 0)


def _generation_of(key: bytes) -> str | None:
    try:
        return parse_key(key)[0]
    except ValueError:
        return None


def _crash_from_environment() -> AtStep:
    text = os.environ.get(CRASH_VARIABLE)
    if not text:
        return nothing_at
    try:
        step, nth = parse_crash(text)
    except ValueError as error:
        raise UsageError(f"{CRASH_VARIABLE}: {error}") from error
    log.warning("this process will crash on purpose", extra={"step": step, "time": nth})
    return at_nth(step, nth, lambda: os._exit(KILLED))


def _on_kafka(prefix: str, header: str, value: bytes) -> bytes:
    """Return a header's value as readers of the rejected topic need it: the source under its real name."""
    return prefix.encode() + value if header == "source_topic" else value
