"""A worker process of the simulated cluster: the product's `Crew` on the in-memory Kafka, one `turn` after the other.

It stands where `streams.kafka.group.worker` stands: it is a member of the group, and looks after topics and generation.
"""

from __future__ import annotations

from typing import TYPE_CHECKING

from streams.domain.declarations import FingerprintError
from streams.engine import crew as crews
from streams.engine import effects as fx
from streams.engine.generations import Generations, declared, decode
from streams.engine.judgement import epochs_of
from streams.engine.ledger_keys import GENERATIONS_KEY
from streams.engine.memory import Member, MemoryLedgerStore, Revoked
from streams.engine.memory.errors import FencedInstanceError, KafkaFaultError, NotStableError
from streams.engine.topic_names import GROUP, LEDGER
from tests.simulation.hands import Hands

if TYPE_CHECKING:
    from collections.abc import Callable, Sequence
    from random import Random

    from streams.domain.declarations import Declarations
    from streams.engine.memory.cluster import Kafka
    from streams.engine.steps import AtStep

SESSION_MS = 6_000
CHECKPOINT_MS = 700
SOURCES_MS, GENERATION_MS = 4_000, 3_000


class Process(Hands):
    """One process, from its start until `is_over`."""

    def __init__(
        self,
        name: str,
        declarations: Declarations,
        *,
        kafka: Kafka,
        draw: Random,
        at_step: AtStep,
        tell: Callable[[str], None],
    ) -> None:
        """Read which generation is current, and declare festivals that are new.

        Raises `KafkaFaultError` where the broker does not say, `FingerprintError` where it lacks one that is counted.
        """
        self._kafka = kafka
        self._watched, self._generations = 0, Generations()
        self._follow_generation()
        crew = crews.Crew(
            declarations,
            self._generations.current,
            session_timeout_ms=SESSION_MS,
            checkpoint_interval_ms=CHECKPOINT_MS,
        )
        self._ledger = MemoryLedgerStore(at_step, kafka)
        super().__init__(name, crew, self._ledger, draw=draw, tell=tell)
        self._declarations = declarations
        self._declare()
        self._begin(GROUP, declarations.topics)

    def _begin(self, group: str, topics: Sequence[str]) -> None:
        """Begin outside of the group."""
        self._topics = tuple(topics)
        self.is_over = self.is_closing = False
        self.is_ending = False
        """All that it has is held: it ends in order, as soon as it comes to that."""
        self.stopped_until_ms = 0
        self.member = Member(self._kafka, group, self._topics, instance_id=self.name, session_timeout_ms=SESSION_MS)
        self._counts: dict[str, int] = {}
        self._sources_ms = self._generation_ms = 0

    @property
    def is_still(self) -> bool:
        """Return whether the process does nothing at the moment."""
        return self.is_over or self.is_busy or self._kafka.now_ms < self.stopped_until_ms

    def turn(self) -> None:
        """Do what is due. Raises `KilledError` where a step of a commit says so."""
        if self.is_still:
            return
        self.move()
        self._watch()
        self.wake()
        if self.is_ending and not self.is_closing:
            self.close()
        self._be_member()

    def close(self) -> None:
        """Begin to end in order: the last checkpoints are made, then the group is left."""
        self.is_closing = True
        self.on(crews.Closing())

    def all_held(self, effect: crews.AllHeld) -> None:
        """End, so that the group deals what it has to others."""
        self._tell(f"{self.name} ends: its partitions {list(effect.partitions)} are held")
        assert not any(isinstance(r.request, fx.LeaveNote) for r in self.requests), "it ends before it has noted why"
        self.is_ending = True

    def is_member(self) -> bool:
        """Return whether the group says that what it dealt is still the process's."""
        return self.member.is_in()

    def may_release(self) -> bool:
        """Return whether the group deals the process anything."""
        return self.member.generation is not None

    def _watch(self) -> None:
        """Look after topics and the generation, as the worker's loops do."""
        now_ms = self._kafka.now_ms
        try:
            if now_ms >= self._sources_ms:
                self._sources_ms = now_ms + SOURCES_MS
                asked = self.crew.counted()
                epochs = epochs_of({number: counted for number, (_, counted) in asked.items()})
                self.on(crews.Seen(self.surveyed(self._topics, None, epochs), asked))
            if now_ms >= self._generation_ms:
                self._generation_ms = now_ms + GENERATION_MS
                self._follow_generation()
                self._compare_festivals()
                if self._generations.current != self.crew.terms.generation:
                    self._tell(f"{self.name} sees that generation {self._generations.current} is current")
                    self.on(crews.Switched(self._generations.current))
        except KafkaFaultError:
            return  # there will be a next time

    def stop(self, error: BaseException) -> None:
        """Be told that going on could count wrongly: end in order."""
        if not isinstance(error, FingerprintError):
            raise error
        self._tell(f"{self.name} ends: {error}")
        self.is_ending = True

    def _compare_festivals(self) -> None:
        """End where a festival is declared that this process does not know; declare what nobody has."""
        try:
            is_declared = declared(self._generations, self._declarations) == self._generations
        except FingerprintError as error:
            self.stop(error)
        else:
            if not is_declared:
                self._declare()

    def _declare(self) -> None:
        try:
            self._ledger.declare_now(self._declarations)
        except (KafkaFaultError, NotStableError) as error:
            self._tell(f"{self.name} cannot declare its festivals yet: {error}")

    def _follow_generation(self) -> None:
        batch = self._kafka.fetch(LEDGER, 0, self._watched)
        self._watched = batch.next_offset
        for key, value in zip(batch.keys, batch.values, strict=True):
            if key == GENERATIONS_KEY and value is not None:
                self._generations = decode(value)

    def _be_member(self) -> None:
        """Do what the group asks for; a rebalance waits until every partition is let go."""
        if not self.crew.is_away and self.member.generation is None:
            return
        if self.is_closing:
            self.is_over = self.crew.is_away
            return
        try:
            told = self._joins_again() or self.member.turn()
        except FencedInstanceError:
            self._tell(f"{self.name} ends: another process has its name")
            self.is_over = True
            return
        except KafkaFaultError:
            return
        if isinstance(told, Revoked):
            self._tell(f"{self.name} gives {list(told.partitions)} back")
            self.source.take_back()
            self.on(crews.TakenBack())
        elif told is not None:
            self._counts = self._partitions()
            self._tell(f"{self.name} is dealt {list(told.partitions)} in generation {told.generation} of the group")
            topics = {n: frozenset(t for t, count in self._counts.items() if n < count) for n in told.partitions}
            self.on(crews.Dealt({n: found for n, found in topics.items() if found}, told.generation))

    def _joins_again(self) -> Revoked | None:
        """Ask for a rebalance where topics have other partitions."""
        if self.member.generation is None or self._partitions() == self._counts:
            return None
        self._tell(f"{self.name} sees that topics have other partitions")
        return self.member.join_again()

    def _partitions(self) -> dict[str, int]:
        found = {topic: self._kafka.topics.get(topic) for topic in self._topics}
        return {topic: 0 if known is None else len(known.logs) for topic, known in found.items()}
