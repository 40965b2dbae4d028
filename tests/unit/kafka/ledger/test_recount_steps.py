"""The steps of a recount: what is counted next, up to where, and when it is made current; from logs in memory."""

from __future__ import annotations

import asyncio
import hashlib
from dataclasses import dataclass, field
from typing import TYPE_CHECKING, Any

import pytest
from aiokafka.structs import TopicPartition

from streams.domain.pages import Identity
from streams.engine import recounting
from streams.engine.checkpoint import FencedError
from streams.engine.clock import ManualClock
from streams.engine.generations import Generations, NextGeneration, Remade, encode
from streams.engine.judgement import LogRange, Sources
from streams.engine.ledger_keys import GENERATIONS_KEY
from streams.engine.topic_names import LEDGER
from streams.kafka.client.log_reader import LogReader
from streams.kafka.group.intake import HeldError
from streams.kafka.ledger import recount as module
from streams.kafka.ledger.cursors import Cursors
from streams.kafka.ledger.generations import GenerationWatch
from streams.kafka.ledger.recount import LossError, Recount, _by_topic
from tests.unit.domain.samples import IDENTITY, declarations
from tests.unit.kafka.ledger.kafka_logs import PARTITIONS, SETTINGS, Logs, cursor, logs

if TYPE_CHECKING:
    from collections.abc import Awaitable, Callable, Mapping

__all__ = ["logs"]

ORDERS, PAYMENTS = TopicPartition("orders", 0), TopicPartition("payments", 0)
SAME = hashlib.sha256(declarations().fingerprint).hexdigest()
TOPICS = declarations().topics


@dataclass
class Seen:
    """A progress that remembers what it was told."""

    done: list[int] = field(default_factory=list)
    expected: list[int] = field(default_factory=list)

    def advance(self, done: int) -> None:
        self.done.append(done)

    def expect(self, total: int) -> None:
        self.expected.append(total)


@dataclass
class Counting:
    """Counts to what it is told, at once."""

    positions: dict[TopicPartition, int] = field(default_factory=dict)
    began: dict[tuple[str, int], int] = field(default_factory=dict)
    handed_over: frozenset[int] = frozenset()
    asked: list[dict[TopicPartition, int]] = field(default_factory=list)

    async def count_to(self, targets: Mapping[TopicPartition, int]) -> None:
        self.asked.append(dict(targets))
        self.positions |= targets


class Bench:
    """A recount over logs in memory, with its watch."""

    def __init__(self, logs: Logs, monkeypatch: pytest.MonkeyPatch) -> None:
        self.logs = logs
        self.progress = Seen()
        self.recount = Recount(SETTINGS, declarations(), self.progress, ManualClock(0))
        self.watch = GenerationWatch(SETTINGS)
        self.ranges: dict[tuple[str, int], LogRange] = {}
        self.identity = IDENTITY
        self.epoch_ends: dict[tuple[str, int], int] = {}

        async def change(
            _: object, watch: GenerationWatch, change: Callable[[Generations], Generations]
        ) -> Generations:
            made = change(await watch.confirm())
            self.write(made)
            return made

        monkeypatch.setattr(module, "change_generations", change)

    def write(self, generations: Generations) -> None:
        self.logs.commit(LEDGER, (GENERATIONS_KEY, encode(generations)))

    async def written(self) -> Generations:
        return await self.watch.confirm()

    def now(self) -> Sources:
        """Return the logs as they are."""
        return Sources(dict.fromkeys(TOPICS, PARTITIONS), self.ranges, PARTITIONS, self.identity, self.epoch_ends)

    async def look(self, *_: object, **__: object) -> Sources:
        """Stand where `survey` does."""
        return self.now()

    def lose(self, epoch_ends: dict[tuple[str, int], int]) -> Callable[[int], Awaitable[None]]:
        """Return what loses tails of logs while it is waited for."""

        async def wait(_partitions: int) -> None:
            self.epoch_ends = epoch_ends

        return wait

    async def begin(self) -> tuple[Generations, bool]:
        """Begin as a recount does that has read the ledger."""
        found = await self.watch.look()
        cursors = await self.recount._read_cursors(found.current, PARTITIONS)
        await cursors.close()
        with pytest.MonkeyPatch.context() as patch:
            patch.setattr(module, "survey", self.look)
            now = await self.recount._look(await LogReader.open(SETTINGS), cursors.reached)
        return await self.recount._begin(found, cursors.reached, now, self.watch)

    async def chase(self, counting: Counting) -> dict[tuple[str, int], int]:
        """Chase what the first generation's cursors say from now on."""
        following: Any = counting
        cursors = await Cursors.open(SETTINGS, "g1", PARTITIONS, TOPICS)
        try:
            return await self.recount._chase(following, cursors, PARTITIONS)
        finally:
            await cursors.close()


@pytest.fixture
def bench(logs: Logs, monkeypatch: pytest.MonkeyPatch) -> Bench:
    monkeypatch.setattr(module, "POLL_SECONDS", 0.0001)
    return Bench(logs, monkeypatch)


async def test_the_next_generation_is_written_before_it_is_counted(bench: Bench) -> None:
    begun, is_resumed = await bench.begin()
    assert begun == Generations(current="g1", next=NextGeneration(id="g2", fingerprint=SAME))
    assert not is_resumed
    assert await bench.written() == begun


async def test_a_recount_under_the_same_declarations_is_gone_on_with(bench: Bench) -> None:
    unfinished = Generations(current="g4", next=NextGeneration(id="g6", fingerprint=SAME), previous="g3")
    bench.write(unfinished)
    assert await bench.begin() == (unfinished, True)
    assert await bench.written() == unfinished


async def test_a_recount_under_other_declarations_begins_a_newer_generation(bench: Bench) -> None:
    bench.write(Generations(current="g4", next=NextGeneration(id="g6", fingerprint="other"), previous="g3"))
    begun, is_resumed = await bench.begin()
    assert begun == Generations(current="g4", next=NextGeneration(id="g7", fingerprint=SAME), previous="g3")
    assert not is_resumed


async def test_the_switch_makes_the_next_generation_current_and_names_what_it_replaced(bench: Bench) -> None:
    found = Generations(current="g1", next=NextGeneration(id="g2", fingerprint=SAME), previous="g0")
    bench.write(found)
    switched = await bench.recount._switch(found, bench.watch, {PAYMENTS: 4})
    document = declarations().read_back()
    assert switched == Generations(
        current="g2", previous="g1", remade=(Remade("payments", 0, 4, "g2"),), declared=document
    )
    assert await bench.written() == switched


async def test_a_recount_does_not_switch_where_another_one_was_at_work(bench: Bench) -> None:
    mine = Generations(current="g1", next=NextGeneration(id="g2", fingerprint=SAME))
    others = Generations(current="g1", next=NextGeneration(id="g3", fingerprint="other"))
    bench.write(others)
    with pytest.raises(FencedError, match="changed meanwhile"):
        await bench.recount._switch(mine, bench.watch, {})
    assert await bench.written() == others


async def test_a_recount_does_not_begin_where_another_one_has_switched(bench: Bench) -> None:
    found = await bench.watch.look()
    cursors = await bench.recount._read_cursors("g1", PARTITIONS)
    await cursors.close()
    bench.write(Generations(current="g2", previous="g1"))
    with pytest.raises(FencedError, match="generation g2 is current"):
        await bench.recount._begin(found, cursors.reached, bench.now(), bench.watch)
    with pytest.raises(FencedError, match="generation g1 is current"):
        await bench.recount._begin(await bench.watch.look(), cursors.reached, bench.now(), bench.watch)


async def test_a_log_that_is_shorter_than_the_ledger_is_recounted_with_leave_only(bench: Bench) -> None:
    bench.logs.commit(LEDGER, (b'["g1","cursor"]', cursor(orders=9, payments=4)))
    bench.ranges = {ORDERS: LogRange(3, 9, 9), PAYMENTS: LogRange(0, 2, 2)}
    with pytest.raises(LossError) as refused:
        await bench.begin()
    assert list(map(str, refused.value.losses)) == [
        "orders[0]: the ledger counted offsets 0 to 9, the log begins at offset 3",
        "payments[0]: the ledger counted offsets 0 to 4, the log holds 0 to 2",
    ]
    assert await bench.written() == Generations()
    bench.recount = Recount(SETTINGS, declarations(), bench.progress, ManualClock(0), accepts_loss=True)
    assert (await bench.begin())[0].next is not None


async def test_a_recount_that_is_gone_on_with_may_have_begun_before_the_log_lost_its_beginning(bench: Bench) -> None:
    bench.logs.commit(LEDGER, (b'["g1","cursor"]', cursor(orders=9)))
    bench.write(Generations(next=NextGeneration(id="g2", fingerprint=SAME)))
    bench.ranges = {ORDERS: LogRange(3, 9, 9)}
    assert (await bench.begin())[1]
    bench.ranges = {ORDERS: LogRange(3, 8, 8)}
    with pytest.raises(LossError, match="holds 3 to 8"):
        await bench.begin()


async def test_another_log_that_is_as_long_as_the_one_counted_is_recounted_with_leave_only(
    bench: Bench, monkeypatch: pytest.MonkeyPatch
) -> None:
    """And is counted from its beginning, after the switch: nothing of it was ever set aside."""
    bench.logs.commit(LEDGER, (b'["g1","cursor"]', cursor(orders=9, payments=4)))
    bench.ranges = {ORDERS: LogRange(0, 20, 20), PAYMENTS: LogRange(0, 20, 20)}
    bench.identity = Identity(cluster="another", own={}, topics={})
    with pytest.raises(LossError) as refused:
        await bench.begin()
    assert list(map(str, refused.value.losses)) == [
        "orders[0]: the ledger counted offsets 0 to 9; it was counted on another cluster, the log begins at offset 0",
        "payments[0]: the ledger counted offsets 0 to 4; it was counted on another cluster, the log begins at offset 0",
    ]
    assert await bench.written() == Generations()
    bench.recount = Recount(SETTINGS, declarations(), bench.progress, ManualClock(0), accepts_loss=True)
    assert (await bench.begin())[0].next is not None
    monkeypatch.setattr(module, "survey", bench.look)
    counting = Counting()
    assert await follow(bench, counting, orders=9, payments=4) == {ORDERS: 0, PAYMENTS: 0}
    assert counting.asked == [{ORDERS: 0, PAYMENTS: 0}]


async def test_a_log_that_loses_its_tail_amid_a_recount_is_counted_up_to_where_it_is_the_same(
    bench: Bench, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Looked at once more when nothing is left to be counted: then it is chased anew."""
    bench.ranges = {ORDERS: LogRange(0, 40, 40)}
    bench.epoch_ends = {ORDERS: 40}
    monkeypatch.setattr(module, "survey", bench.look)
    monkeypatch.setattr(bench.recount, "_await_visible", bench.lose({ORDERS: 6}))
    counting = Counting({ORDERS: 5})
    assert await follow(bench, counting, orders=5) == {}
    counting.asked.clear()
    assert await follow(bench, counting, orders=9, epochs={"orders": 3}) == {ORDERS: 6}
    assert counting.asked == [{ORDERS: 6}]


async def test_a_generation_that_counted_what_is_lost_amid_a_recount_is_left_behind(
    bench: Bench, monkeypatch: pytest.MonkeyPatch
) -> None:
    bench.ranges = {ORDERS: LogRange(0, 40, 40)}
    bench.epoch_ends = {ORDERS: 40}
    monkeypatch.setattr(module, "survey", bench.look)
    monkeypatch.setattr(bench.recount, "_await_visible", bench.lose({ORDERS: 6}))
    with pytest.raises(HeldError, match=r"orders\[0\] is counted up to 9, and is another log from 6 on"):
        await follow(bench, Counting({ORDERS: 0}), orders=9, epochs={"orders": 3})


async def test_cursors_are_followed_from_where_the_ledger_ended(bench: Bench) -> None:
    bench.logs.commit(LEDGER, (b'["g1","cursor"]', cursor(orders=3)))
    cursors = await Cursors.open(SETTINGS, "g1", PARTITIONS, TOPICS)
    assert await cursors.read() == {}
    bench.logs.commit(LEDGER, (b'["g1","cursor"]', cursor(orders=5, payments=2)))
    bench.logs.commit(LEDGER, (b'["g1","cursor"]', cursor(orders=8)), partition=1)
    assert await cursors.read() == {ORDERS: 5, PAYMENTS: 2, TopicPartition("orders", 1): 8}
    bench.logs.commit(LEDGER, (b'["g1","cursor"]', cursor(orders=9)))
    assert (await cursors.read())[ORDERS] == 9
    await cursors.close()
    assert not bench.logs.open


async def test_only_cursors_of_the_followed_generation_count(bench: Bench) -> None:
    cursors = await Cursors.open(SETTINGS, "g1", PARTITIONS, TOPICS)
    bench.logs.commit(LEDGER, (b'["g2","cursor"]', cursor(orders=5)), (b'["g1","page",1]', b"page"), (b"strange", b"x"))
    bench.logs.commit(LEDGER, (b'["g1","cursor"]', None))
    assert await cursors.read() == {}


async def follow(
    bench: Bench, counting: Counting, *, epochs: dict[str, int] | None = None, **positions: int
) -> dict[tuple[str, int], int]:
    """Write a cursor as soon as the chase follows, and return which logs it takes as made again."""
    opened = Cursors.open

    async def then_write(*args: Any) -> Cursors:  # noqa: ANN401 - as in Cursors
        cursors = await opened(*args)
        bench.logs.commit(LEDGER, (b'["g1","cursor"]', cursor(epochs, **positions)))
        return cursors

    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(Cursors, "open", then_write)
        return await bench.chase(counting)


def fill(bench: Bench, topic: str, records: int) -> None:
    bench.logs.write(topic, *[(b"k", b"v")] * records, by=None)


async def test_the_chase_counts_up_to_the_cursors_and_never_beyond(bench: Bench) -> None:
    fill(bench, "orders", 10)
    fill(bench, "payments", 4)
    counting = Counting({ORDERS: 2, PAYMENTS: 0})
    assert await follow(bench, counting, orders=7, payments=4, elsewhere=5) == {}
    assert counting.asked == [{ORDERS: 7, PAYMENTS: 4}]
    assert bench.progress.expected == [9]
    assert not bench.logs.open


async def test_a_log_that_ends_before_the_cursor_was_made_again(bench: Bench) -> None:
    fill(bench, "orders", 10)
    fill(bench, "payments", 4)
    counting = Counting({ORDERS: 2, PAYMENTS: 0})
    assert await follow(bench, counting, orders=10, payments=5) == {PAYMENTS: 4}
    assert counting.asked == [{ORDERS: 10, PAYMENTS: 4}]


async def test_the_chase_goes_on_until_it_is_hardly_behind(bench: Bench, monkeypatch: pytest.MonkeyPatch) -> None:
    """Each time to where the cursors are by then."""
    monkeypatch.setattr(recounting, "CLOSE_ENOUGH", 3)
    fill(bench, "orders", 20)
    counting = Counting({ORDERS: 0})
    counted = counting.count_to

    async def count_to(targets: Mapping[TopicPartition, int]) -> None:
        await counted(targets)
        bench.logs.commit(LEDGER, (b'["g1","cursor"]', cursor(orders={10: 14, 14: 17}.get(targets[ORDERS], 20))))

    monkeypatch.setattr(counting, "count_to", count_to)
    await follow(bench, counting, orders=10)
    assert [asked[ORDERS] for asked in counting.asked] == [10, 14, 17]
    assert bench.progress.expected == [10, 4, 3]


async def test_the_chase_ends_though_it_is_never_close(bench: Bench, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(recounting, "CLOSE_ENOUGH", -1)
    fill(bench, "orders", 1)
    counting = Counting({ORDERS: 0})
    await follow(bench, counting, orders=1)
    assert len(counting.asked) == recounting.CHASES


async def test_what_was_committed_is_waited_for_until_readers_see_it(
    bench: Bench, monkeypatch: pytest.MonkeyPatch
) -> None:
    """In every partition of the ledger."""
    opened = bench.logs.write(LEDGER, (b'["g2","page",1]', b"x"), partition=PARTITIONS - 1)
    pauses = 0

    async def pause(_: float) -> None:
        nonlocal pauses
        pauses += 1
        if pauses == 3:
            opened.commit()

    monkeypatch.setattr(asyncio, "sleep", pause)
    await bench.recount._await_visible(PARTITIONS)
    assert pauses == 3
    assert not bench.logs.open


async def test_what_never_becomes_visible_is_not_waited_for_for_ever(
    bench: Bench, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(module, "VISIBLE_TRIES", 2)
    bench.logs.write(LEDGER, (b'["g2","page",1]', b"x"))
    await bench.recount._await_visible(PARTITIONS)
    assert not bench.logs.open


def test_records_counted_are_summed_and_shown(bench: Bench) -> None:
    bench.recount._counted(3)
    bench.recount._counted(4)
    assert bench.recount._records == 7
    assert bench.progress.done == [3, 4]


def test_positions_are_told_by_topic_and_partition() -> None:
    positions = {PAYMENTS: 5, TopicPartition("orders", 1): 2, ORDERS: 1}
    assert list(_by_topic(positions).items()) == [("orders", {0: 1, 1: 2}), ("payments", {0: 5})]
