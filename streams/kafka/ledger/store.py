"""The ledger on Kafka: each checkpoint one transaction, each partition and generation one transactional id.

Made by the worker and the recount, used through the protocol in `streams.engine.checkpoint`. Why it is done like
this, and what a failure at each step means, is in docs/delivery.md and docs/decisions.
"""

from __future__ import annotations

import asyncio
import logging
import os
from dataclasses import dataclass
from typing import TYPE_CHECKING

from aiokafka.structs import OffsetAndMetadata, TopicPartition

from streams.engine.checkpoint import Checkpoint, FencedError, Restored
from streams.engine.clock import BrokerClock, SystemClock
from streams.engine.generations import declared, set_aside_below
from streams.engine.ledger_keys import parse_key
from streams.engine.ledger_records import Live, decode_restored, encode_headers, encode_held
from streams.engine.steps import Step, at_nth, nothing_at, parse_crash
from streams.engine.topic_names import GROUP, LEDGER, SEEN, rejected_topic
from streams.errors import UsageError
from streams.kafka.client import clients
from streams.kafka.client.sole_writer import SoleWriter
from streams.kafka.ledger.generations import GenerationWatch, change_generations
from streams.kafka.ledger.restore import read_back

if TYPE_CHECKING:
    from collections.abc import Collection, Mapping

    from streams.domain.declarations import Declarations
    from streams.engine.checkpoint import RejectedRecord
    from streams.engine.generations import Generations, Remade
    from streams.engine.judgement import Note
    from streams.engine.steps import AtStep
    from streams.kafka.client.transaction import Transaction
    from streams.settings import Settings

log = logging.getLogger("festival.ledger")

CRASH_VARIABLE = "FESTIVAL_CRASH_AT"
"""A test hook: the process dies like under SIGKILL at STEP, or the N-th time it gets there with STEP:N."""
KILLED = 137
RESTORES_AT_ONCE = 4
"""One process restores no more: each holds its fetches in memory besides the restored pages."""


def transactional_id(prefix: str, generation: str, partition: int) -> str:
    """Return the id whose newest producer alone may write `partition` in `generation`."""
    return f"{prefix}festival-{generation}-{partition}"


@dataclass(frozen=True, slots=True)
class _Context:
    """What the partition stores of one ledger store share."""

    settings: Settings
    counts_beside: bool
    keeps: frozenset[str]
    at_step: AtStep
    clock: BrokerClock
    restores: asyncio.Semaphore


class KafkaLedgerStore:
    """A `LedgerStore` on Kafka.

    `counts_beside`: for a recount, which counts a generation that is not current: writes pages only, neither
    rejected records nor the group's offsets, and leaves the writers of the current generation alone.

    `keeps` names generations: given, each restore removes the records of all others from its partition.
    """

    def __init__(
        self,
        settings: Settings,
        *,
        counts_beside: bool = False,
        keeps: Collection[str] = (),
        at_step: AtStep | None = None,
        clock: BrokerClock | None = None,
    ) -> None:
        """`at_step` is called at each step of each commit; unset: what FESTIVAL_CRASH_AT says, mostly nothing.

        `clock` learns the broker's time from its answers.
        """
        self._settings = settings
        self._context = _Context(
            settings,
            counts_beside,
            frozenset(keeps),
            at_step or crash_from_environment(),
            clock or BrokerClock(SystemClock()),
            asyncio.Semaphore(RESTORES_AT_ONCE),
        )
        self._watch = GenerationWatch(settings)

    async def generations(self) -> Generations:
        """Return which generation is current; cheap after the first time, fit to be asked every few seconds.

        Raises `KafkaError` where the broker does not answer, `UnreadableError` where the record cannot be read.
        """
        return await self._watch.look()

    async def declare(self, declarations: Declarations) -> None:
        """Write festivals that are new beside the current generation.

        Raises `FingerprintError` where that is counted under other declarations, or counts a festival that these do not
        know; `KafkaError` where it is not known whether it is written.
        """
        if declared(found := await self._watch.look(), declarations) != found:
            await change_generations(self._settings, self._watch, lambda found: declared(found, declarations))

    async def fence(self, partition: int, generation: str) -> KafkaPartitionStore:
        """Become the only writer of `partition` in `generation`; every older owner is fenced from now on.

        Waits through an outage of the broker. Raises `FencedError` where `generation` is not current any more (ask
        `generations` and fence again), `KafkaError` where the broker does not allow it or went away: try again.
        """
        name = transactional_id(self._settings.prefix, generation, partition)
        heard = self._context.clock.appended
        writer = await SoleWriter.open(self._settings, name, f"partition {partition}", heard)
        remade: tuple[Remade, ...] = ()
        try:
            if not self._context.counts_beside:
                remade = (await self._confirm(partition, generation)).remade_of(partition)
        except BaseException:
            await writer.close()
            raise
        return KafkaPartitionStore(self._context, writer, partition, generation, remade)

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
        writer: SoleWriter,
        partition: int,
        generation: str,
        remade: tuple[Remade, ...],
    ) -> None:
        """Made by `KafkaLedgerStore.fence` only."""
        self._context = context
        self._writer = writer
        self._partition = partition
        self._generation = generation
        self._remade = remade
        self._set_aside_below: Mapping[str, int] = {}
        """Offset per source below which the rejected records were written by other generations."""
        self._live = Live()

    async def restore(self) -> Restored:
        """Return what is committed; waits through an outage of the broker.

        May raise `UnreadableError`, and, where generations are removed, what `commit` may.
        """
        self._writer.assert_unfinished()
        async with self._context.restores:
            # A recount mends a ledger with strange records in it: it begins without them, and removes them.
            found = await read_back(
                self._context.settings,
                self._partition,
                self._generation,
                skips_strange=self._context.counts_beside,
            )
        self._set_aside_below = set_aside_below(found.others_read_to, self._remade)
        if self._context.keeps:
            await self._forget(found.others)
        self._live = Live(self._generation, found.written)
        return decode_restored(self._partition, self._generation, found.written, self._live)

    async def _forget(self, others: Mapping[str, Collection[bytes]]) -> None:
        """Remove the records of generations that are not kept, in a transaction."""
        keeps = self._context.keeps
        stale = [
            (self._place(topic), key)
            for topic, keys in others.items()
            for key in keys
            if _generation_of(key) not in keeps
        ]
        if not stale:
            return
        async with self._writer.transaction() as transaction:
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
        assert (checkpoint.partition, checkpoint.generation) == (self._partition, self._generation), checkpoint
        async with self._writer.transaction() as transaction:
            await self._commit(transaction, checkpoint)

    async def leave_note(self, note: Note) -> None:
        """Write why the partition is held, in a transaction: the next cursor overrules it. Raises like `commit`."""
        async with self._writer.transaction() as transaction:
            transaction.add(self._place(LEDGER), *encode_held(self._generation, note))
            await transaction.commit()

    async def close(self) -> None:
        """Release the connections; ends within a few seconds. Never raises, may be called twice."""
        await self._writer.close()

    async def _commit(self, transaction: Transaction, checkpoint: Checkpoint) -> None:
        prefix = self._context.settings.prefix
        at_step = self._context.at_step
        at_step(Step.BEFORE_BEGIN)

        async def reach(step: Step) -> None:
            # Under test, so that a crash at a step leaves behind what was sent before it; else all of it travels in
            # one produce request.
            if at_step is not nothing_at:
                await transaction.flush()
                at_step(step)

        await reach(Step.AFTER_BEGIN)
        ledger, seen, encoded = self._place(LEDGER), self._place(SEEN), self._live.encode(checkpoint)
        for key, content in encoded.pages.items():
            transaction.add(ledger, key, content)
        await reach(Step.AFTER_PAGES)
        for key, hashes in encoded.seen.items():
            transaction.add(seen, key, hashes)
        await reach(Step.AFTER_SEEN)
        for record in checkpoint.rejected:
            if not self._is_written_before(record):
                place = self._place(rejected_topic(record.topic))
                transaction.add(place, record.key, record.value, encode_headers(record, prefix))
        await reach(Step.AFTER_REJECTED)
        transaction.add(ledger, *encoded.last)
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
        return self._context.counts_beside or record.offset < self._set_aside_below.get(record.topic, 0)


def _generation_of(key: bytes) -> str | None:
    try:
        return parse_key(key)[0]
    except ValueError:
        return None


def crash_from_environment() -> AtStep:
    """Return the hook that FESTIVAL_CRASH_AT asks for, mostly one that does nothing. Raises `UsageError`."""
    text = os.environ.get(CRASH_VARIABLE)
    if not text:
        return nothing_at
    try:
        step, nth = parse_crash(text)
    except ValueError as error:
        raise UsageError(f"{CRASH_VARIABLE}: {error}") from error
    log.warning("this process will crash on purpose", extra={"step": step, "time": nth})
    return at_nth(step, nth, lambda: os._exit(KILLED))
