"""A new generation of the ledger: counted from the beginning of the log beside the current one, then made current.

Run by `festival recount`. While workers go on with the current generation, the next one is counted up to where the
current one stands and never beyond, so that rejected records, which the current one has written, need not be written
again. Then the control record is switched; from that moment readers show the next generation and workers take it
over. Killed at any point, a recount under the same declarations goes on where it was.

A log that has lost what the current generation counted is not counted anew unasked: `LossError`.
"""

from __future__ import annotations

import asyncio
import hashlib
import logging
from contextlib import AsyncExitStack
from dataclasses import dataclass
from typing import TYPE_CHECKING, Protocol

from aiokafka.errors import KafkaError
from aiokafka.structs import TopicPartition

from streams.domain.declarations import FingerprintError
from streams.engine.checkpoint import FencedError, OutcomeUnknownError, UnreadableError
from streams.engine.judgement import epochs_of
from streams.engine.losses import begun_later, cut_off, losses, of_other_logs, other_from, overtaken
from streams.engine.recounting import (
    Chase,
    Reached,
    behind,
    check_festivals,
    goes_on,
    is_left_behind,
    renewed,
    switched,
    uncounted,
)
from streams.engine.topic_names import LEDGER
from streams.errors import AnswerNo, UnreachableError, UsageError
from streams.kafka.client.log_reader import LogReader
from streams.kafka.cluster.survey import survey
from streams.kafka.cluster.topics import OWN, check_topics
from streams.kafka.group.intake import HeldError
from streams.kafka.ledger.cursors import Cursors
from streams.kafka.ledger.follower import read_committed_ledger
from streams.kafka.ledger.generations import GenerationWatch, change_generations
from streams.kafka.ledger.lone_crew import LoneCrew, open_lone_crew

if TYPE_CHECKING:
    from collections.abc import Callable, Collection, Iterable, Mapping, Sequence

    from streams.domain.declarations import Declarations
    from streams.engine.clock import Clock
    from streams.engine.generations import Generations
    from streams.engine.judgement import Sources
    from streams.engine.ledger_view import FollowerDelta
    from streams.engine.losses import Loss
    from streams.settings import Settings

log = logging.getLogger("festival.recount")

POLL_SECONDS = 0.1
VISIBLE_TRIES = 200
WRITE_SECONDS = 60.0
"""Longest wait for the control record to be written: a dead recount's transaction ends within 15 s."""


class Progress(Protocol):
    """Where a recount reports to."""

    def advance(self, done: int) -> None:
        """Report `done` more records."""

    def expect(self, total: int) -> None:
        """Change the number of records expected."""


class LossError(AnswerNo):
    """The log holds less than the current generation has counted; nothing was changed."""

    def __init__(self, losses: Sequence[Loss]) -> None:
        """Name the source partitions."""
        super().__init__("\n".join(map(str, losses)))
        self.losses = tuple(losses)


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
    counted_from: dict[str, dict[str, int]]
    """Where the generation begins later than its log did, by an operator's leave."""
    losses: tuple[Loss, ...] = ()
    """What this recount had leave to lose."""


class Recount:
    """One run of a recount; call `run` once."""

    def __init__(
        self,
        settings: Settings,
        declarations: Declarations,
        progress: Progress,
        clock: Clock,
        *,
        accepts_loss: bool = False,
    ) -> None:
        """Connect to nothing yet. `accepts_loss`: count what is left of a log that has lost what was counted."""
        self._settings = settings
        self._declarations = declarations
        self._progress = progress
        self._clock = clock
        self._fingerprint = hashlib.sha256(declarations.fingerprint).hexdigest()
        self._accepts_loss = accepts_loss
        self._lost: tuple[Loss, ...] = ()
        self._others: tuple[Loss, ...] = ()
        """What was counted of logs that others stand in place of."""
        self._records = 0
        self.before: FollowerDelta | None = None
        """The ledger as it was when the recount began."""

    async def run(self) -> RecountReport:
        """Count the next generation and make it current.

        Raises `TopicsError`, `UsageError`, `UnreachableError` where the broker is away (a new run goes on), `LossError`
        where totals would become smaller, another `AnswerNo` where another recount is at work.
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
                # What a killed recount left open would hide the newest for ten seconds and more; the takeover's fence
                # ends it.
                found = await watch.look()
                cursors = await self._read_cursors(found.current, partitions)
                stack.push_async_callback(cursors.close)
                now = await self._look(reader, cursors.reached)
                generations, is_resumed = await self._begin(found, cursors.reached, now, watch)
                generations, positions = await self._count_beside(generations, partitions, watch, cursors)
                positions |= await self._count_on(generations, positions, ends)
        except (OutcomeUnknownError, KafkaError, TimeoutError) as error:
            raise UnreachableError(f"Kafka went away: {error!r}. Run `festival recount` again, it goes on") from error
        except HeldError as error:
            raise UsageError(f"a partition cannot be counted: {error}") from error
        except UnreadableError as error:
            raise UsageError(f"the ledger cannot be read: {error}") from error
        except FingerprintError as error:
            raise UsageError(str(error)) from error
        except FencedError as error:
            raise AnswerNo(f"another recount is at work: {error}") from error
        assert generations.previous is not None
        return RecountReport(
            generations.current,
            generations.previous,
            is_resumed,
            partitions,
            self._records,
            _by_topic(positions),
            generations.counted_from,
            self._lost,
        )

    async def _read_cursors(self, generation: str, partitions: int) -> Cursors:
        """Read the current generation, and follow its cursors from now on."""
        cursors = await Cursors.open(self._settings, generation, partitions, self._declarations.topics)
        try:
            self.before = await read_committed_ledger(self._settings)
        except BaseException:
            await cursors.close()
            raise
        cursors.reached.begin(self.before.cursors)
        return cursors

    async def _look(self, reader: LogReader, reached: Reached) -> Sources:
        """Look at the logs, after the cursors were read: none of these is beyond an end that is seen now."""
        topics, epochs = self._declarations.topics, epochs_of(reached.cursors)
        now = await survey(reader.client, self._settings.prefix, topics, own=OWN, epochs=epochs)
        self._others = of_other_logs(reached.began, reached.cursors, now)
        return now

    async def _begin(
        self, found: Generations, reached: Reached, now: Sources, watch: GenerationWatch
    ) -> tuple[Generations, bool]:
        """Return the generations with the next one to count; a recount of the same declarations is gone on with."""
        assert self.before is not None, "read"
        _demand_same(self.before.generation, found.current)
        lost = losses(reached.began, reached.positions, now.ranges)
        if found.next is not None and goes_on(found, self._fingerprint):
            # Where it began is known once it is taken over: perhaps before the log lost anything.
            self._ask_leave([*self._others, *(loss for loss in lost if loss.ends is not None)])
            log.info("going on with a recount", extra={"generation": found.next.id})
            return found, True
        self._ask_leave([*self._others, *lost])
        return await self._renew(found, watch), False

    def _ask_leave(self, lost: Iterable[Loss]) -> None:
        """Raise where something would be lost that nobody has given leave to lose."""
        found = _once(lost)
        if found and not self._accepts_loss:
            raise LossError(found)

    async def _renew(self, found: Generations, watch: GenerationWatch) -> Generations:
        """Name a new generation to be counted beside the current one that was found."""

        def change(confirmed: Generations) -> Generations:
            _demand_same(confirmed.current, found.current)
            check_festivals(confirmed, self._declarations.festivals)
            return renewed(confirmed, self._fingerprint)

        begun = await self._change(watch, change)
        assert begun.next is not None
        log.info("recount begins", extra={"generation": begun.next.id, "current": found.current})
        return begun

    async def _count_beside(
        self,
        generations: Generations,
        partitions: int,
        watch: GenerationWatch,
        cursors: Cursors,
    ) -> tuple[Generations, dict[TopicPartition, int]]:
        """Count the next generation up to the current one's positions and switch.

        Returns the generations as they are then, and how far the now current one is counted.
        """
        try:
            return await self._count_next(generations, partitions, watch, cursors)
        except HeldError as error:
            if not is_left_behind(error.verdict):
                raise
            log.warning("the unfinished recount cannot be gone on with", extra={"reason": str(error)})
        generations = await self._renew(generations, watch)
        return await self._count_next(generations, partitions, watch, cursors)

    async def _count_next(
        self,
        generations: Generations,
        partitions: int,
        watch: GenerationWatch,
        cursors: Cursors,
    ) -> tuple[Generations, dict[TopicPartition, int]]:
        assert generations.next is not None
        kept = (generations.current, generations.next.id)
        counting = await self._crew(generations.next.id, counts_beside=True, keeps=kept)
        try:
            await counting.take_over(range(partitions))
            _demand_all(counting)
            began, reached = counting.began, cursors.reached
            self._ask_leave(begun_later(reached.began, reached.positions, began))
            remade = await self._chase(counting, cursors, partitions)
            # A worker may have begun a partition since, and a log may have lost its end.
            lost = [
                *self._others,
                *begun_later(reached.began, reached.positions, began),
                *cut_off(reached.began, reached.positions, began, remade),
            ]
            self._ask_leave(lost)
            self._lost = tuple(_once(lost))
            return await self._switch(generations, watch, remade), counting.positions
        finally:
            await counting.close()

    async def _chase(self, counting: LoneCrew, cursors: Cursors, partitions: int) -> dict[tuple[str, int], int]:
        """Count up to the current generation's positions, again and again until it is hardly ahead, and readers see it.

        Returns the logs that are not those that the current generation counted, and from which offset on.
        """
        reader = await LogReader.open(self._settings, is_patient=False)
        try:
            while True:
                chase = Chase()
                while not chase.is_over:
                    targets = await self._aim(chase, counting, cursors, reader)
                    self._progress.expect(self._records + chase.behind)
                    await counting.count_to(targets)
                    _demand_all(counting)
                await self._await_visible(partitions)
                seen = chase.remade
                await self._aim(chase, counting, cursors, reader)
                if chase.remade == seen:
                    return seen
        finally:
            await reader.close()

    async def _aim(
        self, chase: Chase, counting: LoneCrew, cursors: Cursors, reader: LogReader
    ) -> dict[TopicPartition, int]:
        """Look where the current generation stands in which logs; return up to where to count.

        Raises `HeldError` where the next generation has counted what was lost since.
        """
        reached = await cursors.read()
        now = await self._look(reader, cursors.reached)
        ends = {TopicPartition(*place): log_range.end for place, log_range in now.ranges.items()}
        targets = chase.aim(reached, ends, counting.positions, other_from(self._others, now))
        positions = {(tp.topic, tp.partition): offset for tp, offset in counting.positions.items()}
        if (why := overtaken(chase.remade, counting.began, positions)) is not None:
            raise HeldError(why)
        return targets

    async def _switch(
        self, generations: Generations, watch: GenerationWatch, remade: Mapping[tuple[str, int], int]
    ) -> Generations:
        document, lost = self._declarations.read_back(), self._lost
        made = await self._change(watch, lambda found: switched(found, generations, remade, lost, document))
        log.info("the new generation is current", extra={"generation": made.current})
        return made

    async def _change(self, watch: GenerationWatch, change: Callable[[Generations], Generations]) -> Generations:
        async with asyncio.timeout(WRITE_SECONDS):
            return await change_generations(self._settings, watch, change)

    async def _count_on(
        self, generations: Generations, positions: Mapping[TopicPartition, int], ends: Mapping[TopicPartition, int]
    ) -> dict[TopicPartition, int]:
        """Count what no worker had counted when the recount began, as an owner of the now current generation.

        Workers that run take the partitions over at any moment, which is as good.
        """
        counting = await self._crew(generations.current, counts_beside=False)
        try:
            await counting.take_over(uncounted(positions, ends))
            self._progress.expect(self._records + behind(counting.positions, ends))
            await counting.count_to(ends)
            return counting.positions
        finally:
            await counting.close()

    async def _await_visible(self, partitions: int) -> None:
        """Wait until readers can see all that was committed: the markers follow a commit after some milliseconds."""
        ledger = [TopicPartition(LEDGER, p) for p in range(partitions)]
        async with AsyncExitStack() as stack:
            everything = await LogReader.open(self._settings, is_committed_only=False, is_patient=False)
            stack.push_async_callback(everything.close)
            committed = await LogReader.open(self._settings, is_patient=False)
            stack.push_async_callback(committed.close)
            wanted = await everything.end_offsets(ledger)
            for _try in range(VISIBLE_TRIES):
                visible = await committed.end_offsets(ledger)
                if all(visible[tp] >= end for tp, end in wanted.items()):
                    return
                await asyncio.sleep(POLL_SECONDS)

    async def _crew(self, generation: str, *, counts_beside: bool, keeps: Collection[str] = ()) -> LoneCrew:
        return await open_lone_crew(
            self._settings,
            self._declarations,
            generation,
            counts_beside=counts_beside,
            keeps=keeps,
            on_counted=self._counted,
            clock=self._clock,
        )

    def _counted(self, records: int) -> None:
        self._records += records
        self._progress.advance(records)


def _once(lost: Iterable[Loss]) -> list[Loss]:
    """Return one loss for each partition, the first that is named, in the order of topics and partitions."""
    first: dict[tuple[str, int], Loss] = {}
    for loss in lost:
        first.setdefault(loss.place, loss)
    return sorted(first.values(), key=lambda loss: loss.place)


def _demand_same(generation: str, current: str) -> None:
    """Raise where another recount has switched."""
    if generation != current:
        raise FencedError(f"generation {generation} is current")


def _demand_all(counting: LoneCrew) -> None:
    """Raise where another recount has taken a partition."""
    if counting.handed_over:
        raise FencedError(f"it has taken over the partitions {sorted(counting.handed_over)}")


def _by_topic(positions: Mapping[TopicPartition, int]) -> dict[str, dict[int, int]]:
    by_topic: dict[str, dict[int, int]] = {}
    for tp, offset in sorted(positions.items()):
        by_topic.setdefault(tp.topic, {})[tp.partition] = offset
    return by_topic
