"""A new generation of the ledger: counted from the beginning of the log beside the current one, then made current.

Run by `festival recount`. While workers go on with the current generation, the next one is counted up to where the
current one stands and never beyond, so that rejected records, which the current one has written, need not be written
again. Then the control record is switched; from that moment readers show the next generation and workers take it
over. Killed at any point, a recount under the same declarations goes on where it was.
"""

from __future__ import annotations

import asyncio
import hashlib
import logging
from contextlib import AsyncExitStack
from dataclasses import dataclass
from typing import TYPE_CHECKING, Protocol

import msgspec
from aiokafka.errors import KafkaError
from aiokafka.structs import TopicPartition

from streams.domain.pages import decode_cursor
from streams.engine.checkpoint import FencedError, OutcomeUnknownError, UnreadableError
from streams.errors import AnswerNo, UnreachableError, UsageError
from streams.kafka.catch_up import CatchUp, LogMovedError
from streams.kafka.generations import Generations, GenerationWatch, NextGeneration, write_generations
from streams.kafka.ledger_keys import Kind, parse_key
from streams.kafka.log_reader import LogReader
from streams.kafka.topics import LEDGER, check_topics

if TYPE_CHECKING:
    from collections.abc import Mapping

    from streams.domain.declarations import Declarations
    from streams.engine.clock import Clock
    from streams.settings import Settings

log = logging.getLogger("festival.recount")

CLOSE_ENOUGH = 20_000
"""Records behind the current generation at which chasing it ends: a fraction of a second of counting."""
CHASES = 20
POLL_SECONDS = 0.1
VISIBLE_TRIES = 200


class Progress(Protocol):
    """Where a recount reports to."""

    def advance(self, done: int) -> None:
        """Report `done` more records."""

    def expect(self, total: int) -> None:
        """Change the number of records expected."""


@dataclass(frozen=True, slots=True)
class RecountReport:
    """What a recount did."""

    generation: str
    previous: str
    resumed: bool
    partitions: int
    records: int
    """Offsets passed in this run."""
    positions: dict[str, dict[int, int]]
    """Next offset by source topic and partition, of the partitions that no worker has taken over meanwhile."""


class Recount:
    """One run of a recount; call `run` once."""

    def __init__(self, settings: Settings, declarations: Declarations, progress: Progress, clock: Clock) -> None:
        """Connect to nothing yet."""
        self._settings = settings
        self._declarations = declarations
        self._progress = progress
        self._clock = clock
        self._records = 0

    async def run(self) -> RecountReport:
        """Count the next generation and make it current.

        Raises `TopicsError`, `UsageError`, `UnreachableError` where the broker is away (a new run goes on), `AnswerNo`
        where another recount is at work.
        """
        partitions = await check_topics(self._settings)
        try:
            async with AsyncExitStack() as stack:
                watch = GenerationWatch(self._settings, is_patient=False)
                stack.push_async_callback(watch.close)
                reader = await LogReader.open(self._settings, is_patient=False)
                stack.push_async_callback(reader.close)
                sources = [TopicPartition(topic, p) for topic in self._declarations.topics for p in range(partitions)]
                ends = await reader.end_offsets(sources)
                generations, is_resumed = await self._begin(watch)
                generations, positions = await self._count_beside(generations, partitions, ends, watch)
                positions |= await self._count_on(generations, positions, ends)
        except (OutcomeUnknownError, KafkaError) as error:
            raise UnreachableError(f"Kafka went away: {error!r}. Run `festival recount` again, it goes on") from error
        except UnreadableError as error:
            raise UsageError(f"the ledger cannot be read: {error}") from error
        except FencedError as error:
            raise AnswerNo(f"another recount is at work: {error}") from error
        assert generations.previous is not None
        return RecountReport(
            generations.current, generations.previous, is_resumed, partitions, self._records, _by_topic(positions)
        )

    async def _begin(self, watch: GenerationWatch) -> tuple[Generations, bool]:
        """Return the generations with the next one to count; a recount of the same declarations is gone on with."""
        fingerprint = hashlib.sha256(self._declarations.fingerprint).hexdigest()
        # What a killed recount left open would hide the newest for ten seconds and more; the takeover's fence ends it.
        found = await watch.look()
        if found.next is not None and found.next.fingerprint == fingerprint:
            log.info("going on with a recount", extra={"generation": found.next.id})
            return found, True
        return await self._renew(await watch.confirm()), False

    async def _renew(self, found: Generations) -> Generations:
        fingerprint = hashlib.sha256(self._declarations.fingerprint).hexdigest()
        following = NextGeneration(id=found.newer(), fingerprint=fingerprint)
        renewed = msgspec.structs.replace(found, next=following)
        await write_generations(self._settings, renewed)
        log.info("recount begins", extra={"generation": following.id, "current": found.current})
        return renewed

    async def _count_beside(
        self, generations: Generations, partitions: int, ends: Mapping[TopicPartition, int], watch: GenerationWatch
    ) -> tuple[Generations, dict[TopicPartition, int]]:
        """Count the next generation up to the current one's positions and switch.

        Returns the generations as they are then, and how far the now current one is counted.
        """
        cursors = await _Cursors.open(self._settings, generations.current, partitions)
        counting = None
        try:
            generations, counting = await self._take_over(generations, partitions)
            cursors.known.update(counting.read_by_others)
            remade = await self._chase(counting, cursors, ends)
            if counting.handed_over:
                raise FencedError(f"it has taken over the partitions {sorted(counting.handed_over)}")
            await self._await_visible(partitions)
            return await self._switch(generations, watch, remade), counting.positions
        finally:
            if counting is not None:
                await counting.close()
            await cursors.close()

    async def _take_over(self, generations: Generations, partitions: int) -> tuple[Generations, CatchUp]:
        """Take the next generation over; one that cannot be gone on with gives way to a newer one."""
        for is_last in (False, True):
            assert generations.next is not None
            counting = self._catch_up(generations.next.id, counts_beside=True)
            try:
                await counting.take_over(range(partitions), forget_all_but=(generations.current, generations.next.id))
            except (UnreadableError, LogMovedError) as error:
                await counting.close()
                if is_last:
                    raise
                log.warning("the unfinished recount cannot be gone on with", extra={"reason": str(error)})
                generations = await self._renew(generations)
            except BaseException:
                await counting.close()
                raise
            else:
                return generations, counting
        raise AssertionError("returned or raised")

    async def _chase(
        self, counting: CatchUp, cursors: _Cursors, ends: Mapping[TopicPartition, int]
    ) -> list[TopicPartition]:
        """Count up to the current generation's positions, again and again until it is hardly ahead.

        Returns the partitions whose positions are beyond the end of the log, which was made again then: it is counted
        from its beginning, after the switch.
        """
        reader = await LogReader.open(self._settings)
        try:
            for _chase in range(CHASES):
                # The ends after the cursors: a worker goes on in between.
                reached = await cursors.read()
                log_ends = await reader.end_offsets(ends)
                remade = [tp for tp, offset in reached.items() if tp in log_ends and offset > log_ends[tp]]
                targets = {tp: offset for tp, offset in reached.items() if tp in log_ends and tp not in remade}
                behind = _behind(counting, targets)
                self._progress.expect(self._records + behind)
                await counting.count_to(targets)
                if behind <= CLOSE_ENOUGH:
                    break
        finally:
            await reader.close()
        return remade

    async def _switch(
        self, generations: Generations, watch: GenerationWatch, remade: list[TopicPartition]
    ) -> Generations:
        assert generations.next is not None
        if await watch.confirm() != generations:
            raise FencedError("the generations were changed meanwhile")
        switched = Generations(
            current=generations.next.id,
            previous=generations.current,
            remade=tuple((tp.topic, tp.partition) for tp in remade),
        )
        await write_generations(self._settings, switched)
        log.info("the new generation is current", extra={"generation": switched.current})
        return switched

    async def _count_on(
        self, generations: Generations, positions: Mapping[TopicPartition, int], ends: Mapping[TopicPartition, int]
    ) -> dict[TopicPartition, int]:
        """Count what no worker had counted when the recount began, as an owner of the now current generation.

        Workers that run take the partitions over at any moment, which is as good.
        """
        behind = sorted({tp.partition for tp, end in ends.items() if positions[tp] < end})
        counting = self._catch_up(generations.current, counts_beside=False)
        try:
            await counting.take_over(behind)
            self._progress.expect(self._records + _behind(counting, ends))
            await counting.count_to(ends)
            return counting.positions
        finally:
            await counting.close()

    async def _await_visible(self, partitions: int) -> None:
        """Wait until readers can see all that was committed: the markers follow a commit after some milliseconds."""
        ledger = [TopicPartition(LEDGER, p) for p in range(partitions)]
        async with AsyncExitStack() as stack:
            everything = await LogReader.open(self._settings, is_committed_only=False)
            stack.push_async_callback(everything.close)
            committed = await LogReader.open(self._settings)
            stack.push_async_callback(committed.close)
            wanted = await everything.end_offsets(ledger)
            for _try in range(VISIBLE_TRIES):
                visible = await committed.end_offsets(ledger)
                if all(visible[tp] >= end for tp, end in wanted.items()):
                    return
                await asyncio.sleep(POLL_SECONDS)

    def _catch_up(self, generation: str, *, counts_beside: bool) -> CatchUp:
        return CatchUp(
            self._settings,
            self._declarations,
            generation,
            counts_beside=counts_beside,
            on_counted=self._counted,
            clock=self._clock,
        )

    def _counted(self, records: int) -> None:
        self._records += records
        self._progress.advance(records)


class _Cursors:
    """Follows the cursors of one generation: how far each partition is counted in it."""

    def __init__(self, reader: LogReader, generation: str) -> None:
        self._reader = reader
        self._generation = generation
        self.known: dict[TopicPartition, int] = {}

    @classmethod
    async def open(cls, settings: Settings, generation: str, partitions: int) -> _Cursors:
        """Follow from now on: what was written before, a takeover finds in the ledger."""
        reader = await LogReader.open(settings)
        reader.assign(await reader.end_offsets(TopicPartition(LEDGER, p) for p in range(partitions)))
        return cls(reader, generation)

    async def read(self) -> dict[TopicPartition, int]:
        """Return the next offset of each source partition as of now."""
        ends = await self._reader.end_offsets(list(self._reader.positions))
        while any(self._reader.positions[tp] < end for tp, end in ends.items()):
            for batch in await self._reader.fetch(POLL_SECONDS):
                for key, value in zip(batch.keys, batch.values, strict=True):
                    self._take(batch.partition, key, value)
        return self.known

    async def close(self) -> None:
        """Release the connection."""
        await self._reader.close()

    def _take(self, partition: int, key: bytes | None, value: bytes | None) -> None:
        try:
            generation, kind = parse_key(key)
        except ValueError:
            return  # the takeover of the partition tells it
        if kind is Kind.CURSOR and generation == self._generation and value is not None:
            for topic, offset in decode_cursor(value).positions.items():
                self.known[TopicPartition(topic, partition)] = offset


def _behind(counting: CatchUp, targets: Mapping[TopicPartition, int]) -> int:
    positions = counting.positions
    return sum(max(0, target - positions.get(tp, target)) for tp, target in targets.items())


def _by_topic(positions: Mapping[TopicPartition, int]) -> dict[str, dict[int, int]]:
    by_topic: dict[str, dict[int, int]] = {}
    for tp, offset in sorted(positions.items()):
        by_topic.setdefault(tp.topic, {})[tp.partition] = offset
    return by_topic
