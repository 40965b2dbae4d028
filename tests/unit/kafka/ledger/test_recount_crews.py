"""Whom a recount lets count: which generation, which partitions, up to where, and what stays open when it fails."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

import pytest
from aiokafka.structs import TopicPartition

from streams.engine.checkpoint import FencedError
from streams.engine.generations import Generations, NextGeneration, Remade
from streams.engine.judgement import verdict
from streams.engine.status import HeldReason
from streams.engine.topic_names import LEDGER
from streams.kafka.client.log_reader import LogReader
from streams.kafka.group.intake import HeldError
from streams.kafka.ledger import recount as module
from streams.kafka.ledger.recount import LossError
from tests.unit.domain.samples import declarations
from tests.unit.kafka.ledger.kafka_logs import PARTITIONS, SETTINGS, cursor, logs
from tests.unit.kafka.ledger.test_recount_steps import SAME, Bench, bench

if TYPE_CHECKING:
    from collections.abc import Callable, Iterable, Mapping

    from streams.settings import Settings

__all__ = ["bench", "logs"]

ORDERS, OTHER = TopicPartition("orders", 0), TopicPartition("orders", 1)
TOPICS = declarations().topics
NOTHING = {TopicPartition(topic, number): 0 for topic in TOPICS for number in range(PARTITIONS)}
"""Where nothing was counted."""
NEXT = Generations(current="g1", next=NextGeneration(id="g2", fingerprint=SAME), previous="g0")


class Crew:
    """Stands where a lone crew does: counts at once up to what it is told, unless the test says otherwise."""

    def __init__(self, generation: str, on_counted: Callable[[int], None], **asked: Any) -> None:  # noqa: ANN401
        self.generation, self.asked = generation, asked
        self.positions: dict[TopicPartition, int] = {}
        self.handed_over: set[int] = set()
        self.began: dict[tuple[str, int], int] = {("orders", 0): 0}
        self.taken: list[int] = []
        self.targets: list[dict[TopicPartition, int]] = []
        self.is_closed = False
        self.held: HeldReason | None = None
        self.lost_while_counting: set[int] = set()
        self._on_counted = on_counted

    async def take_over(self, partitions: Iterable[int]) -> None:
        self.taken = list(partitions)
        if self.held is not None:
            raise HeldError(verdict(self.held, "orders", "gone"))
        self.positions = {TopicPartition(topic, number): 0 for topic in TOPICS for number in self.taken}

    async def count_to(self, targets: Mapping[TopicPartition, int]) -> None:
        self.targets.append(dict(targets))
        self._on_counted(sum(target - self.positions.get(tp, target) for tp, target in targets.items()))
        self.positions |= {tp: target for tp, target in targets.items() if tp in self.positions}
        self.handed_over |= self.lost_while_counting

    async def close(self) -> None:
        self.is_closed = True


class Crews:
    """Whoever was asked to count, in order; `prepare` is shown each before it begins."""

    def __init__(self, bench: Bench, monkeypatch: pytest.MonkeyPatch) -> None:
        self.made: list[Crew] = []
        self.prepare: Callable[[Crew], None] = lambda _: None
        self.bench = bench

        async def open_crew(settings: object, declared: object, generation: str, **asked: Any) -> Crew:  # noqa: ANN401
            assert settings is SETTINGS
            assert declared is not None
            assert asked.pop("clock") is not None
            crew = Crew(generation, **asked)
            self.made.append(crew)
            self.prepare(crew)
            return crew

        async def check_topics(_: object) -> int:
            return PARTITIONS

        monkeypatch.setattr(module, "open_lone_crew", open_crew)
        monkeypatch.setattr(module, "check_topics", check_topics)
        bench.logs.write("orders", *[(b"k", b"v")] * 5, by=None)
        bench.logs.commit(LEDGER, (b'["g1","cursor"]', cursor(orders=3)))

    async def beside(self) -> tuple[Generations, dict[TopicPartition, int]]:
        """Count the next generation beside the current one."""
        self.bench.write(NEXT)
        cursors = await self.bench.recount._read_cursors("g1", PARTITIONS)
        try:
            return await self.bench.recount._count_beside(NEXT, PARTITIONS, self.bench.watch, cursors)
        finally:
            await cursors.close()
            await self.bench.watch.close()
            assert not self.bench.logs.open
            assert all(crew.is_closed for crew in self.made)


@pytest.fixture
def crews(bench: Bench, monkeypatch: pytest.MonkeyPatch) -> Crews:
    return Crews(bench, monkeypatch)


async def test_the_next_generation_is_counted_in_all_partitions_up_to_the_current_one_and_made_current(
    crews: Crews,
) -> None:
    switched, positions = await crews.beside()
    assert switched == Generations(current="g2", previous="g1", declared=declarations().read_back())
    assert positions == {**NOTHING, ORDERS: 3}
    (crew,) = crews.made
    assert (crew.generation, crew.taken, crew.targets) == ("g2", [0, 1], [{ORDERS: 3}])
    assert crew.asked == {"counts_beside": True, "keeps": ("g1", "g2")}
    assert (crews.bench.progress.expected, crews.bench.progress.done) == ([3], [3])


@pytest.mark.parametrize(
    "reason", [HeldReason.LEDGER_UNREADABLE, HeldReason.LOG_DELETED, HeldReason.LOG_REPLACED, HeldReason.BEYOND_END]
)
async def test_an_unfinished_generation_that_cannot_be_gone_on_with_is_left_for_a_newer_one(
    crews: Crews, reason: HeldReason
) -> None:
    def prepare(crew: Crew) -> None:
        crew.held = reason if crew.generation == "g2" else None

    crews.prepare = prepare
    switched, _ = await crews.beside()
    assert switched == Generations(current="g3", previous="g1", declared=declarations().read_back())
    assert [crew.generation for crew in crews.made] == ["g2", "g3"]
    assert crews.made[1].asked["keeps"] == ("g1", "g3")


async def test_what_retention_takes_while_a_generation_begins_is_lost_with_leave_only(crews: Crews) -> None:
    def prepare(crew: Crew) -> None:
        crew.began = {ORDERS: 2}

    crews.prepare = prepare
    with pytest.raises(LossError, match="the log begins at offset 2"):
        await crews.beside()
    assert crews.made[0].targets == []
    crews.bench.recount._accepts_loss = True
    switched, _ = await crews.beside()
    assert switched.counted_from == {"orders": {"0": 2}}
    assert [loss.begins for loss in crews.bench.recount._lost] == [2]


async def test_what_ends_before_its_position_while_it_is_chased_is_lost_with_leave_only(crews: Crews) -> None:
    crews.bench.logs.commit(LEDGER, (b'["g1","cursor"]', cursor(orders=7)))
    with pytest.raises(LossError, match="the log holds 0 to 5"):
        await crews.beside()
    crews.bench.recount._accepts_loss = True
    switched, _ = await crews.beside()
    assert switched.counted_from == {"orders": {"0": 0}}
    assert switched.remade == (Remade("orders", 0, 5, "g2"),)


@pytest.mark.parametrize("reason", [HeldReason.NOT_COLOCATED, HeldReason.LOG_MISSING, HeldReason.LOG_UNREADABLE])
async def test_what_a_newer_generation_would_not_mend_ends_the_recount(crews: Crews, reason: HeldReason) -> None:
    def prepare(crew: Crew) -> None:
        crew.held = reason

    crews.prepare = prepare
    with pytest.raises(HeldError):
        await crews.beside()
    assert len(crews.made) == 1


async def test_a_partition_that_another_recount_takes_ends_this_one_before_it_counts(crews: Crews) -> None:
    def prepare(crew: Crew) -> None:
        crew.handed_over = {1}

    crews.prepare = prepare
    with pytest.raises(FencedError, match=r"taken over the partitions \[1\]"):
        await crews.beside()
    assert crews.made[0].targets == []


async def test_a_partition_lost_while_it_was_counted_keeps_the_old_generation_current(crews: Crews) -> None:
    def prepare(crew: Crew) -> None:
        crew.lost_while_counting = {0}

    crews.prepare = prepare
    with pytest.raises(FencedError, match=r"\[0\]"):
        await crews.beside()


async def test_after_the_switch_only_what_lies_behind_the_ends_is_counted_on(crews: Crews) -> None:
    crews.prepare = lambda _: None
    ends = {ORDERS: 5, OTHER: 2, TopicPartition("orders", 2): 7}
    positions = {ORDERS: 5, OTHER: 1, TopicPartition("orders", 2): 9}
    crews.bench.recount._counted(10)
    found = await crews.bench.recount._count_on(Generations(current="g2"), positions, ends)
    (crew,) = crews.made
    assert (crew.generation, crew.taken, crew.targets, crew.is_closed) == ("g2", [1], [ends], True)
    assert (crew.asked["counts_beside"], tuple(crew.asked.get("keeps", ()))) == (False, ())
    assert found == {OTHER: 2, **{TopicPartition(topic, 1): 0 for topic in TOPICS if topic != "orders"}}
    assert crews.bench.progress.expected == [12]


async def test_a_whole_recount_counts_beside_and_then_on_to_where_the_logs_ended(crews: Crews) -> None:
    report = await crews.bench.recount.run()
    assert report.positions == {topic: {0: 5 if topic == "orders" else 0, 1: 0} for topic in TOPICS}
    assert (report.generation, report.previous, report.resumed, report.partitions) == ("g2", "g1", False, PARTITIONS)
    assert report.records == 3 + 5
    assert [(crew.generation, crew.taken) for crew in crews.made] == [("g2", [0, 1]), ("g2", [0])]
    assert crews.made[1].targets == [{**NOTHING, ORDERS: 5}]
    assert not crews.bench.logs.open


async def test_no_reader_of_a_recount_waits_for_a_broker_that_is_away(
    crews: Crews, monkeypatch: pytest.MonkeyPatch
) -> None:
    """A new run goes on: whoever called is told at once that Kafka is away."""
    patience: list[bool] = []
    opened = LogReader.open

    async def open_reader(settings: Settings, *, is_patient: bool = True, **options: bool) -> LogReader:
        patience.append(is_patient)
        return await opened(settings, is_patient=is_patient, **options)

    monkeypatch.setattr(LogReader, "open", open_reader)
    await crews.bench.recount.run()
    assert len(patience) >= 6
    assert not any(patience)
