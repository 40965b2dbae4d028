"""How a recount chases the current generation, and how it ends, without Kafka."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

import pytest
from aiokafka.errors import KafkaConnectionError
from aiokafka.structs import TopicPartition

from streams.domain.pages import Cursor, cursor_key, encode_cursor
from streams.engine.checkpoint import FencedError, OutcomeUnknownError, UnreadableError
from streams.engine.clock import ManualClock
from streams.engine.generations import Generations, NextGeneration
from streams.engine.judgement import verdict
from streams.engine.memory import Kafka, create_topics
from streams.engine.memory.source import survey
from streams.engine.recounting import CHASES, CLOSE_ENOUGH, Reached
from streams.engine.status import HeldReason
from streams.engine.topic_names import LEDGER
from streams.errors import AnswerNo, UnreachableError, UsageError
from streams.kafka.client.memory_reader import MemoryReader
from streams.kafka.group.intake import HeldError
from streams.kafka.ledger import recount as recounts
from streams.kafka.ledger.cursors import Cursors
from streams.kafka.ledger.recount import Recount
from streams.settings import Settings
from tests.unit.domain.samples import IDENTITY, declarations

if TYPE_CHECKING:
    from collections.abc import Callable, Mapping, Sequence

    from streams.engine.judgement import Sources

ORDERS = [TopicPartition("orders", number) for number in range(2)]
OTHER = TopicPartition("other", 0)
BEGUN = Generations(next=NextGeneration(id="g2", fingerprint="f"))
Positions = dict[TopicPartition, int]


class Bar:
    """Remembers what was expected."""

    def __init__(self) -> None:
        self.totals: list[int] = []

    def advance(self, done: int) -> None:
        assert done >= 0

    def expect(self, total: int) -> None:
        self.totals.append(total)


class Moving:
    """The current generation, which a worker moves on."""

    def __init__(self, *places: Positions) -> None:
        self._places = list(places)
        self.reached = Reached("g1", ("orders",))

    async def read(self) -> Positions:
        return self._places.pop(0) if len(self._places) > 1 else self._places[0]


class Crew:
    """Gets wherever it is told."""

    def __init__(self) -> None:
        self.positions: Positions = dict.fromkeys(ORDERS, 0)
        self.began: Positions = {}
        self.handed_over: set[int] = set()
        self.targets: list[Positions] = []

    async def count_to(self, targets: Mapping[TopicPartition, int]) -> None:
        self.targets.append(dict(targets))
        self.positions |= targets


class Bench:
    """A recount whose logs end at a million."""

    def __init__(self, monkeypatch: pytest.MonkeyPatch) -> None:
        self.bar = Bar()
        self.kafka = Kafka()
        create_topics(self.kafka, len(ORDERS))
        self.end(1_000_000)
        self.reader = MemoryReader(self.kafka)
        self.crew: Any = Crew()
        self.recount: Any = Recount(Settings(broker="127.0.0.1:1"), declarations(), self.bar, ManualClock())

        async def opened(*_: object, **__: object) -> MemoryReader:
            return self.reader

        async def look(_client: object, _prefix: str, topics: Sequence[str], **_: object) -> Sources:
            return survey(self.kafka, topics)

        monkeypatch.setattr("streams.kafka.ledger.recount.LogReader.open", opened)
        monkeypatch.setattr(recounts, "survey", look)
        monkeypatch.setattr(MemoryReader, "client", None)

    def end(self, end: int) -> None:
        """Let the logs of the orders end there; retention has deleted what lay in them."""
        for log in self.kafka.topics["orders"].logs:
            log.beginning = log.end = end

    async def chase(self, *reached: Positions) -> dict[tuple[str, int], int]:
        cursors: Any = Moving(*reached)
        found: dict[tuple[str, int], int] = await self.recount._chase(self.crew, cursors, len(ORDERS))
        assert self.reader.is_closed
        return found


def at(first: int, second: int) -> Positions:
    return dict(zip(ORDERS, (first, second), strict=True))


async def test_a_generation_that_is_far_behind_chases_until_it_hardly_is(monkeypatch: pytest.MonkeyPatch) -> None:
    bench = Bench(monkeypatch)
    reached = [at(500_000, 400_000), at(500_000, 400_000 + CLOSE_ENOUGH + 1), at(500_001, 430_000), at(0, 0)]
    assert await bench.chase(*reached) == {}
    assert bench.crew.targets == reached[:3]
    assert bench.bar.totals == [900_000, CLOSE_ENOUGH + 1, 1 + 430_000 - 400_000 - CLOSE_ENOUGH - 1]


async def test_close_enough_is_the_last_chase(monkeypatch: pytest.MonkeyPatch) -> None:
    bench = Bench(monkeypatch)
    await bench.chase(at(CLOSE_ENOUGH, 0), at(700_000, 0))
    assert len(bench.crew.targets) == 1


async def test_a_worker_that_is_as_fast_is_not_chased_for_ever(monkeypatch: pytest.MonkeyPatch) -> None:
    bench = Bench(monkeypatch)
    await bench.chase(*(at(number * 30_000, 0) for number in range(1, CHASES + 5)))
    assert len(bench.crew.targets) == CHASES


async def test_a_log_that_ends_below_the_position_is_counted_to_its_end_before_the_switch(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    bench = Bench(monkeypatch)
    assert await bench.chase({**at(1_000_001, 1_000_000), OTHER: 5}) == {ORDERS[0]: 1_000_000}
    assert bench.crew.targets[0] == at(1_000_000, 1_000_000)


async def test_a_partition_that_another_recount_takes_ends_the_chase(monkeypatch: pytest.MonkeyPatch) -> None:
    bench = Bench(monkeypatch)
    bench.crew.handed_over = {1}
    with pytest.raises(FencedError, match=r"partitions \[1\]"):
        await bench.chase(at(5, 5))


def held(reason: HeldReason) -> HeldError:
    return HeldError(verdict(reason, "orders", "orders[0]"))


async def count_beside(bench: Bench, monkeypatch: pytest.MonkeyPatch, *outcomes: Exception | None) -> list[str]:
    """Return the generations that were tried; each ends as in `outcomes`."""
    pending, tried = list(outcomes), list[str]()

    async def count_next(generations: Generations, *_: object) -> tuple[Generations, Positions]:
        assert generations.next is not None
        tried.append(generations.next.id)
        outcome = pending.pop(0)
        if outcome is not None:
            raise outcome
        return generations, {}

    async def change(_settings: Settings, _watch: object, change: Callable[[Generations], Generations]) -> Generations:
        """Write nothing."""
        return change(BEGUN)

    monkeypatch.setattr(bench.recount, "_count_next", count_next)
    monkeypatch.setattr(recounts, "change_generations", change)
    try:
        await bench.recount._count_beside(BEGUN, 2, None, None)
    except HeldError:
        tried.append("held")
    return tried


@pytest.mark.parametrize(
    "reason", [HeldReason.LEDGER_UNREADABLE, HeldReason.LOG_DELETED, HeldReason.LOG_REPLACED, HeldReason.BEYOND_END]
)
async def test_a_generation_that_cannot_be_gone_on_with_is_left_behind_once(
    reason: HeldReason, monkeypatch: pytest.MonkeyPatch
) -> None:
    bench = Bench(monkeypatch)
    assert await count_beside(bench, monkeypatch, held(reason), None) == ["g2", "g3"]
    assert await count_beside(bench, monkeypatch, held(reason), held(reason)) == ["g2", "g3", "held"]


@pytest.mark.parametrize("reason", [HeldReason.LOG_UNREADABLE, HeldReason.LOG_MISSING, HeldReason.UNEQUAL_PARTITIONS])
async def test_what_another_generation_would_not_mend_ends_it(
    reason: HeldReason, monkeypatch: pytest.MonkeyPatch
) -> None:
    assert await count_beside(Bench(monkeypatch), monkeypatch, held(reason), None) == ["g2", "held"]


@pytest.mark.parametrize(
    ("raised", "told", "text"),
    [
        (OutcomeUnknownError("no leader"), UnreachableError, "no leader.*Run `festival recount` again, it goes on"),
        (KafkaConnectionError("gone"), UnreachableError, "gone.*Run `festival recount` again, it goes on"),
        (TimeoutError(), UnreachableError, "Run `festival recount` again, it goes on"),
        (held(HeldReason.LOG_DELETED), UsageError, r"a partition cannot be counted: orders\[0\]"),
        (UnreadableError("strange"), UsageError, "the ledger cannot be read: strange"),
        (FencedError("newer"), AnswerNo, "another recount is at work: newer"),
    ],
)
async def test_each_ending_has_its_status_and_sentence(
    raised: Exception, told: type[Exception], text: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    bench = Bench(monkeypatch)
    bench.end(0)

    async def checked(_: Settings) -> int:
        return 2

    async def begin(*_: object) -> object:
        raise raised

    monkeypatch.setattr(recounts, "check_topics", checked)
    monkeypatch.setattr(bench.recount, "_read_cursors", begin)
    with pytest.raises(told, match=text):
        await bench.recount.run()


def cursor(generation: str, offset: int) -> tuple[bytes, bytes]:
    names = ("stream_times_ms", "max_event_times_ms", "outcomes", "rejected", "epochs")
    empty: dict[str, Any] = {name: {} for name in names}
    return cursor_key(generation), encode_cursor(
        Cursor(positions={"orders": offset}, started={"orders": 1}, sequence=1, identity=IDENTITY, **empty)
    )


async def test_cursors_are_followed_from_where_the_ledger_had_them() -> None:
    """Another generation's are not, and what is followed is newer than what was found."""
    kafka = Kafka()
    create_topics(kafka, 2)
    reader = MemoryReader(kafka)
    await reader.assign_from_beginning(TopicPartition(LEDGER, number) for number in range(2))
    cursors = Cursors(reader, "g1", ("orders",))
    cursors.reached.begin({0: cursor("g1", 3)[1], 1: cursor("g1", 5)[1]})
    for key, value in (cursor("g1", 7), cursor("g2", 9), (b"?", b"?")):
        kafka.produce(LEDGER, 1, [value], [key])
    assert await cursors.read() == {ORDERS[0]: 3, ORDERS[1]: 7}
    assert cursors.reached.began == {ORDERS[0]: 1, ORDERS[1]: 1}
