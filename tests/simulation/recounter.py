"""A recount of the simulated cluster: the product's decisions, on the in-memory Kafka, one `turn` after the other.

`LoneCount`, `Chase`, `Reached` and the turns of the generations are the product's (`streams.engine`); this stands where
`streams.kafka.ledger.recount` and `lone_crew` stand. Whatever fails makes it begin again, as an operator would.
"""

from __future__ import annotations

import hashlib
from typing import TYPE_CHECKING

from streams.domain.declarations import FingerprintError
from streams.engine.checkpoint import FencedError, OutcomeUnknownError, UnreadableError
from streams.engine.generations import Generations, decode, encode
from streams.engine.judgement import epochs_of
from streams.engine.ledger_keys import GENERATIONS_KEY
from streams.engine.lone_count import LoneCount
from streams.engine.losses import begun_later, cut_off, losses, of_other_logs, other_from, overtaken
from streams.engine.memory import UNCOMMITTED, MemoryLedgerStore, Producer
from streams.engine.memory.errors import KafkaFaultError
from streams.engine.recounting import (
    Chase,
    Reached,
    check_festivals,
    goes_on,
    is_left_behind,
    renewed,
    switched,
    uncounted,
)
from streams.engine.steps import nothing_at
from streams.engine.topic_names import LEDGER
from tests.simulation.hands import Hands
from tests.simulation.source import survey

if TYPE_CHECKING:
    from collections.abc import Callable, Generator, Iterator, Mapping
    from random import Random

    from streams.domain.declarations import Declarations
    from streams.engine.judgement import Sources, Verdict
    from streams.engine.losses import Loss
    from streams.engine.memory.cluster import Kafka
    from tests.simulation.hands import Requested
    from tests.simulation.world import Place

LEAVE = 0.7
"""How often an operator gives leave to lose what is lost."""
PAUSES_MS = (0, 300, 4_000)
"""Until an operator begins it again."""


class HeldError(Exception):
    """A partition cannot be counted."""

    def __init__(self, verdict: Verdict) -> None:
        super().__init__(verdict.detail)
        self.verdict = verdict


class LossError(Exception):
    """Totals would become smaller, and nobody has given leave."""

    def __init__(self, losses: tuple[Loss, ...]) -> None:
        super().__init__("; ".join(map(str, losses)))
        self.losses = losses


class Lone(Hands):
    """A crew without a group, which counts as `LoneCount` decides."""

    def __init__(  # noqa: PLR0917 - what it is started with
        self,
        declarations: Declarations,
        generation: str,
        kafka: Kafka,
        draw: Random,
        tell: Callable[[str], None],
        counts_beside: bool,  # noqa: FBT001 - as the store has it
    ) -> None:
        store = MemoryLedgerStore(nothing_at, kafka, counts_beside=counts_beside)
        self.count = LoneCount(declarations, generation)
        super().__init__("the recount", self.count.crew, store, draw=draw, tell=tell)
        self.source.targets = {}

    @property
    def positions(self) -> dict[Place, int]:
        """Return the committed positions of the partitions that are still ours, while nothing is under way."""
        gone = self.count.handed_over
        return {place: offset for place, offset in self.count.counted.items() if place[1] not in gone}

    def take_over(self, numbers: list[int]) -> Iterator[None]:
        """Have a cursor in each partition."""
        self.on(self.count.take_over(numbers))
        yield from self._until_done()

    def count_to(self, targets: Mapping[Place, int]) -> Iterator[None]:
        """Count up to these offsets, and commit."""
        self.source.targets = targets
        dealt = self.count.count_to(targets)
        if dealt is not None:
            self.on(dealt)
        yield from self._until_done()

    def _until_done(self) -> Iterator[None]:
        while True:
            if self.count.held is not None:
                raise HeldError(self.count.held)
            signal = self.count.look(self.positions)
            if signal is not None:
                self.on(signal)
            elif self.count.is_done:
                return
            yield
            self.move()
            self.wake()


class Recounter:
    """One run after the other, until one has switched and counted what there was."""

    def __init__(
        self, declare: Callable[[], Declarations], kafka: Kafka, draw: Random, tell: Callable[[str], None]
    ) -> None:
        """`declare` tells what the operator's files say when a run begins."""
        self._declare, self._kafka, self._draw, self._tell = declare, kafka, draw, tell
        self._declarations = declare()
        self._lone: Lone | None = None
        self._steps = self._run()
        self._begins_ms = 0
        self._accepts_loss = False
        self._others: tuple[Loss, ...] = ()
        self.is_over = False

    def turn(self) -> None:
        """Do the next piece."""
        if self._kafka.now_ms < self._begins_ms:
            return
        try:
            next(self._steps)
        except StopIteration:
            self.is_over = True
        except LossError as error:
            self._be_refused(error)
        except (
            KafkaFaultError,
            OutcomeUnknownError,
            FencedError,
            UnreadableError,
            HeldError,
            FingerprintError,
        ) as error:
            self._tell(f"the recount ends: {error}")
            self.begin_again()

    def _be_refused(self, error: LossError) -> None:
        """Be told that records are lost; an operator gives leave, or lets it be. Raises where none are."""
        self._tell(f"the recount is refused: {error}")
        for loss in error.losses:
            log = self._kafka.log(loss.topic, loss.partition)
            is_shorter = log.beginning > loss.began or log.high_watermark < loss.position
            # A log that is another one may have grown beyond the position since the recount looked.
            is_other = any(other.place == loss.place and other.reason is not None for other in error.losses)
            assert is_shorter or is_other, f"refused without a loss: {loss}"
        self._accepts_loss = self._draw.random() < LEAVE
        if self._accepts_loss:
            self.begin_again()
        self.is_over = not self._accepts_loss

    def begin_again(self) -> list[Requested]:
        """Be killed, and begun again by somebody; returns what was on its way to the broker."""
        wire = [] if self._lone is None else self._lone.wire()
        self._steps, self._lone = self._run(), None
        self._begins_ms = self._kafka.now_ms + self._draw.choice(PAUSES_MS)
        return wire

    @property
    def hands(self) -> Lone | None:
        """Return who counts at the moment."""
        return self._lone

    def _run(self) -> Iterator[None]:
        """Do what `Recount.run` does, in its order."""
        self._declarations = self._declare()
        fingerprint = hashlib.sha256(self._declarations.fingerprint).hexdigest()
        kafka, topics = self._kafka, self._declarations.topics
        numbers = list(range(len(kafka.topics[LEDGER].logs)))
        ends = {(topic, n): kafka.end_offset(topic, n) for topic in topics for n in numbers if self._has(topic, n)}
        found = self._read()
        reached, read = Reached(found.current, topics), {n: kafka.beginning_offset(LEDGER, n) for n in numbers}
        self._follow(reached, read)
        yield  # a worker goes on
        now = self._look(reached)
        lost = losses(reached.began, reached.positions, now.ranges)
        if goes_on(found, fingerprint):
            self._ask_leave((*self._others, *(loss for loss in lost if loss.ends is not None)))
        else:
            self._ask_leave((*self._others, *lost))
            yield from self._stable()
            confirmed = self._read()
            if confirmed.current != found.current:
                raise FencedError(f"generation {confirmed.current} is current")
            found = self._renew(confirmed, fingerprint)
        yield
        try:
            made, positions = yield from self._count_beside(found, numbers, reached, read)
        except HeldError as error:
            if not is_left_behind(error.verdict):
                raise
            self._tell(f"the unfinished recount is left behind: {error}")
            found = self._renew(found, fingerprint)
            made, positions = yield from self._count_beside(found, numbers, reached, read)
        self._tell(f"the recount has switched to {made.current}")
        self._lone = self._lone_of(made.current, counts_beside=False)
        behind = uncounted(positions, ends)
        yield from self._lone.take_over(behind)
        yield from self._lone.count_to(ends)

    def _count_beside(
        self, found: Generations, numbers: list[int], reached: Reached, read: dict[int, int]
    ) -> Generator[None, None, tuple[Generations, dict[Place, int]]]:
        assert found.next is not None
        self._lone = lone = self._lone_of(found.next.id, counts_beside=True)
        yield from lone.take_over(numbers)
        _demand_all(lone)
        began = lone.count.began
        self._ask_leave(begun_later(reached.began, reached.positions, began))
        while True:
            chase = Chase()
            while not chase.is_over:
                yield from lone.count_to(self._aim(chase, lone, reached, read))
                _demand_all(lone)
            yield from self._stable()
            seen = chase.remade
            self._aim(chase, lone, reached, read)
            if chase.remade == seen:
                break
        positions = lone.positions
        lost = (
            *self._others,
            *begun_later(reached.began, reached.positions, began),
            *cut_off(reached.began, reached.positions, began, chase.remade),
        )
        self._ask_leave(lost)
        made = switched(self._read(), found, chase.remade, lost, self._declarations.read_back())
        self._write(made)
        return made, positions

    def _look(self, reached: Reached) -> Sources:
        now = survey(self._kafka, self._declarations.topics, None, epochs_of(reached.cursors))
        self._others = of_other_logs(reached.began, reached.cursors, now)
        return now

    def _aim(self, chase: Chase, lone: Lone, reached: Reached, read: dict[int, int]) -> dict[Place, int]:
        self._follow(reached, read)
        now = self._look(reached)
        ends = {place: log_range.end for place, log_range in now.ranges.items()}
        targets = chase.aim(reached.positions, ends, lone.positions, other_from(self._others, now))
        if (why := overtaken(chase.remade, lone.count.began, lone.positions)) is not None:
            raise HeldError(why)
        return targets

    def _follow(self, reached: Reached, read: dict[int, int]) -> None:
        """Read on what cursors there are."""
        for number, offset in read.items():
            batch = self._kafka.fetch(LEDGER, number, offset)
            reached.take(batch)
            read[number] = batch.next_offset

    def _ask_leave(self, lost: tuple[Loss, ...]) -> None:
        if lost and not self._accepts_loss:
            raise LossError(lost)

    def _lone_of(self, generation: str, *, counts_beside: bool) -> Lone:
        return Lone(self._declarations, generation, self._kafka, self._draw, self._tell, counts_beside)

    def _has(self, topic: str, number: int) -> bool:
        return topic in self._kafka.topics and number < len(self._kafka.topics[topic].logs)

    def _stable(self) -> Iterator[None]:
        """Wait until nothing is open in the ledger."""
        for number in range(len(self._kafka.topics[LEDGER].logs)):
            wanted = self._kafka.end_offset(LEDGER, number, UNCOMMITTED)
            while self._kafka.end_offset(LEDGER, number) < wanted:
                yield

    def _read(self) -> Generations:
        batch = self._kafka.fetch(LEDGER, 0, self._kafka.beginning_offset(LEDGER, 0))
        value = dict(zip(batch.keys, batch.values, strict=True)).get(GENERATIONS_KEY)
        return Generations() if value is None else decode(value)

    def _renew(self, found: Generations, fingerprint: str) -> Generations:
        check_festivals(found, self._declarations.festivals)
        begun = renewed(found, fingerprint)
        self._write(begun)
        return begun

    def _write(self, generations: Generations) -> None:
        producer = Producer(self._kafka, "festival-generations", 10_000)
        producer.send(LEDGER, 0, [encode(generations)], [GENERATIONS_KEY])
        producer.commit()


def _demand_all(lone: Lone) -> None:
    if lone.count.handed_over:
        raise FencedError(f"another recount has taken over {sorted(lone.count.handed_over)}")
