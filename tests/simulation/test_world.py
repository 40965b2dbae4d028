"""The world is the same for the same seed, and the oracle agrees with a counter that crashes at any step.

The counter here is the plainest there can be: one owner per partition, which fences, restores, fetches and commits. It
proves that world, oracle, in-memory Kafka, ledger store and processor agree about what is right.
"""

from __future__ import annotations

import contextlib
import hashlib
import random
from collections import Counter
from typing import TYPE_CHECKING

import numpy as np
import pytest

from streams.domain.built_in import ROLLUPS
from streams.domain.declarations import Declarations
from streams.domain.pages import HIGH_SHIFT, PageKey, decode_page
from streams.engine.checkpoint import OutcomeUnknownError
from streams.engine.memory import Fate, MemoryLedgerStore, Request, at_request
from streams.engine.memory.errors import BrokerAwayError, KafkaFaultError, NotAuthorizedError, NotStableError
from streams.engine.memory.faults import answered
from streams.engine.processor import restore_processor
from streams.engine.steps import Step, crash_at, nothing_at
from streams.engine.topic_names import LEDGER
from tests.simulation.oracle import KINDS
from tests.simulation.world import RULES, World
from tests.unit.domain import samples
from tests.unit.domain.samples import IDENTITY

if TYPE_CHECKING:
    from collections.abc import Mapping

    from streams.engine.memory import MemoryPartitionStore
    from streams.engine.processor import PartitionProcessor

FESTIVAL = samples.festival("day", RULES.start_ms, 2)
DECLARATIONS = Declarations({"day": FESTIVAL}, RULES.settle_ms, RULES.horizon_minutes, ROLLUPS)
STEPS = 400
TOPIC = "orders"
MEASURES = KINDS[TOPIC].measures


def digest(world: World) -> str:
    """Return a hash of all that lies in the logs."""
    found = hashlib.sha256()
    for topic in world.kafka.topics.values():
        for log in topic.logs:
            found.update(repr((log.offsets, log.values, log.times_ms, bytes(log.kinds))).encode())
    return found.hexdigest()


def money_of(pages: Mapping[PageKey, bytes]) -> Counter[str]:
    """Return the sums of the orders in written pages, as the oracle names them."""
    found: Counter[str] = Counter()
    for key, value in pages.items():
        if (key.festival, key.rollup) != ("day", "orders_by_second"):
            continue
        page = decode_page(value)
        low, high = page.cells(), page.high_cells()
        for row, column in zip(*map(np.ndarray.tolist, np.nonzero(low if high is None else low | high)), strict=True):
            total = int(low[row, column]) + (0 if high is None else int(high[row, column]) << HIGH_SHIFT)
            found[f"{page.groups[column // page.slots][-1]}.{MEASURES[row]}"] += total
    return found


class Counting:
    """One partition in the hands of the plainest counter."""

    def __init__(self, world: World, partition: int, draw: random.Random) -> None:
        self._world, self._partition, self._draw = world, partition, draw
        self._owner: MemoryPartitionStore | None = None
        self._processor: PartitionProcessor | None = None
        self.committed = 0
        """The committed position."""
        self._looked_at = 0

    def turn(self) -> None:
        """Take over, fetch or commit; what the broker refuses is tried again in a later turn."""
        with contextlib.suppress(BrokerAwayError, NotAuthorizedError):
            self._turn()

    def _turn(self) -> None:
        if self._owner is None or self._processor is None:
            self._take_over()
        elif self._draw.random() < 0.6:
            size = self._draw.choice((1, 3, 20, None))
            position = self._processor.positions[TOPIC]
            self._processor.apply(self._world.kafka.fetch(TOPIC, self._partition, position, max_records=size))
        else:
            self._commit(self._owner, self._processor)

    def finish(self) -> None:
        """Count everything that is visible, without faults."""
        while self._owner is None or self.committed < self._world.end((TOPIC, self._partition)):
            self._world.settle()
            self._take_over()
            assert self._owner is not None
            assert self._processor is not None
            position = self._processor.positions[TOPIC]
            self._processor.apply(self._world.kafka.fetch(TOPIC, self._partition, position))
            self._owner.commit_now(self._processor.cut())  # type: ignore[arg-type]
            self.look()

    def _take_over(self) -> None:
        store = MemoryLedgerStore(nothing_at, self._world.kafka)
        try:
            owner = store.fence_now(self._partition, "g1")
            restored = owner.restore_now()
        except NotStableError:
            return
        self._processor = restore_processor(DECLARATIONS, self._partition, "g1", restored)
        if self._processor.identity is None:
            self._processor.belongs_to(IDENTITY)
        for topic in set(DECLARATIONS.topics) - set(self._processor.positions):
            self._processor.start_at(topic, 0)
        self._owner = owner

    def _give_up(self) -> None:
        """Throw the ledger in memory away: whether its checkpoint is committed is not known."""
        self._owner = self._processor = None

    def _commit(self, owner: MemoryPartitionStore, processor: PartitionProcessor) -> None:
        faults, store = self._world.kafka.faults, owner.store
        fault = self._draw.choice((None, None, None, *Step, *Fate))
        if isinstance(fault, Step):
            store.at_step = crash_at(fault)
        elif fault is not None:
            faults.on_request = at_request(Request.END_TRANSACTION, fault)
        checkpoint = processor.cut()
        try:
            if checkpoint is not None:
                owner.commit_now(checkpoint)
        except OutcomeUnknownError:
            self._give_up()
        faults.on_request, store.at_step = answered, nothing_at

    def look(self) -> None:
        """Compare what is committed with the oracle."""
        end, self._looked_at = self._looked_at, self._world.kafka.log(LEDGER, self._partition).end
        if end == self._looked_at:
            return
        committed = MemoryLedgerStore(nothing_at, self._world.kafka).committed(self._partition, "g1")
        cursor = committed.cursor
        if cursor is None:
            return
        position = cursor.positions[TOPIC]
        assert position >= self.committed, (position, self.committed)
        self.committed = position
        found = Counter(cursor.outcomes.get(TOPIC, {}))
        found.update({f"rejected.{reason}": n for reason, n in cursor.rejected.get(TOPIC, {}).items()})
        found.update(money_of(committed.pages))
        where = f"(seed {self._world.seed}, partition {self._partition}, position {position})"
        assert +found == +self._world.expected((TOPIC, self._partition), position), where


class Careless(Counting):
    """A counter with a fault: it takes a commit whose answer was lost for one that was not made."""

    def _give_up(self) -> None:
        try:
            self._owner = MemoryLedgerStore(nothing_at, self._world.kafka).fence_now(self._partition, "g1")
        except KafkaFaultError:
            super()._give_up()


def run(seed: int, steps: int = STEPS, kind: type[Counting] = Counting) -> tuple[World, list[str]]:
    """Run a world with a counter per partition; returns it with its trace."""
    counters: list[Counting] = []
    world = World(seed, floor=lambda place: counters[place[1]].committed)
    draw = random.Random(seed + 1)  # noqa: S311
    counters += [kind(world, partition, draw) for partition in range(world.partitions)]
    trace = []
    for _ in range(steps):
        trace.append(world.step())
        counter = draw.choice(counters)
        counter.turn()
        counter.look()
    for counter in counters:
        counter.finish()
    return world, trace


def test_the_same_seed_makes_the_same_world() -> None:
    one, other = run(7), run(7)
    assert (digest(one[0]), one[1]) == (digest(other[0]), other[1])
    assert digest(run(8)[0]) != digest(one[0])


@pytest.mark.parametrize("seed", range(10))
def test_what_is_committed_is_what_the_oracle_counts_and_every_rejected_record_stands_there_once(seed: int) -> None:
    world, _ = run(seed)
    rejected = Counter(
        (record.partition, record.offset) for record in MemoryLedgerStore(nothing_at, world.kafka).rejected
    )
    expected = {
        (place[1], offset)
        for place, oracle in world.oracles.items()
        for offset in oracle.rejected_offsets(world.end(place))
    }
    assert rejected == dict.fromkeys(expected, 1)
    totals = sum((world.expected(place, world.end(place)) for place in world.oracles), Counter())
    for outcome in ("counted", "duplicate", "rejected", "outside"):
        assert totals[outcome], f"seed {seed}: no record of this world is {outcome}"


def test_a_counter_with_a_fault_is_found() -> None:
    with pytest.raises(AssertionError, match=r"^\(seed 1, partition \d, position \d+\)"):
        run(1, kind=Careless)


def test_accidents_are_told_and_the_oracle_goes_on_with_what_is_left() -> None:
    happened: set[str] = set()
    for seed in range(5):
        world = World(seed, has_accidents=True)
        for _ in range(STEPS):
            world.step()
        world.settle()
        happened.update(reason for reasons in world.lost.values() for reason in reasons)
        for place in world.oracles:
            log = world.kafka.log(*place)
            visible = len(list(log.records()))
            outcomes = world.expected(place, log.stable_offset)
            known = sum(outcomes[outcome] for outcome in ("counted", "duplicate", "rejected", "outside", "expired"))
            assert known == visible or (known > visible and "log_deleted" in world.lost[place])
    assert happened == {"log_truncated", "log_deleted", "log_replaced", "log_unreadable"}
