"""One set of promises, two brokers: what the counter and the simulation stand on, in memory and on real Kafka."""

from __future__ import annotations

import random
from typing import TYPE_CHECKING

import pytest

from tests.contract.brokers import FencedError, MemoryBroker, OutsideError, RealBroker, RefusedError

if TYPE_CHECKING:
    from collections.abc import AsyncIterator

    from streams.engine.batch import RecordBatch
    from tests.contract.brokers import Broker, GroupMember, Place

MEMORY, LATE, KAFKA = "memory", "memory-late", pytest.param("kafka", marks=pytest.mark.kafka)


@pytest.fixture(params=[MEMORY, LATE, KAFKA])
async def broker(request: pytest.FixtureRequest) -> AsyncIterator[Broker]:
    if request.param in {MEMORY, LATE}:
        # Late, as on a real broker, whose control records follow the answer to a commit.
        yield MemoryBroker(marker_delay_ms=5 if request.param == LATE else 0)
        return
    real = RealBroker(request.getfixturevalue("kafka"))
    await real.start()
    yield real
    await real.close()


@pytest.fixture
async def place(broker: Broker, prefix: str) -> Place:
    """Return the only partition of a topic of this test's own."""
    await broker.create(f"{prefix}orders")
    return f"{prefix}orders", 0


async def comes_to(broker: Broker, place: Place, *, stable: int, end: int, beginning: int = 0) -> None:
    """Wait for the offsets of a log: a commit that was answered is seen by readers a moment later."""

    async def has_come() -> bool:
        return await broker.ends(place) == (beginning, stable, end)

    await broker.until(has_come)


async def tells(broker: Broker, group: str, offsets: dict[Place, int]) -> None:
    """Wait for the committed offsets of a group."""

    async def has_them() -> bool:
        return await broker.group_offsets(group) == offsets

    await broker.until(has_them)


def values(batches: list[RecordBatch]) -> list[bytes | None]:
    return [value for batch in batches for value in batch.values]


def offsets(batches: list[RecordBatch]) -> list[int]:
    return [int(offset) for batch in batches for offset in batch.offsets]


async def test_an_open_transaction_holds_the_last_stable_offset_back_and_not_the_high_watermark(
    broker: Broker, place: Place, prefix: str
) -> None:
    await broker.write(place, b"before")
    sender = await broker.sender(f"{prefix}a")
    await sender.send(place, b"open")
    await broker.write(place, b"behind")
    assert await broker.ends(place) == (0, 1, 3)
    assert values(await broker.read(place, 0)) == [b"before"]
    assert await broker.read_uncommitted(place) == [b"before", b"open", b"behind"]
    await sender.commit()
    await comes_to(broker, place, stable=4, end=4)
    assert values(await broker.read(place, 0)) == [b"before", b"open", b"behind"]


async def test_the_oldest_of_several_open_transactions_counts(broker: Broker, place: Place, prefix: str) -> None:
    older, newer = await broker.sender(f"{prefix}a"), await broker.sender(f"{prefix}b")
    await older.send(place, b"1")
    await newer.send(place, b"2")
    await newer.commit()
    await comes_to(broker, place, stable=0, end=3)
    await older.abort()
    await comes_to(broker, place, stable=4, end=4)
    assert values(await broker.read(place, 0)) == [b"2"]


async def test_aborted_records_are_left_out_and_positions_move_over_them(
    broker: Broker, place: Place, prefix: str
) -> None:
    sender = await broker.sender(f"{prefix}a")
    await sender.send(place, b"lost", b"lost too")
    await sender.abort()
    await sender.send(place, b"kept")
    await sender.commit()
    await sender.send(place, b"lost at the end")
    await sender.abort()
    await comes_to(broker, place, stable=7, end=7)
    batches = await broker.read(place, 0)
    assert (values(batches), offsets(batches)) == ([b"kept"], [3])
    assert (batches[0].start, batches[-1].next_offset) == (0, 7)
    assert await broker.read_uncommitted(place) == [b"lost", b"lost too", b"kept", b"lost at the end"]


async def test_a_fetch_of_nothing_but_aborted_records_still_moves_the_position(
    broker: Broker, place: Place, prefix: str
) -> None:
    sender = await broker.sender(f"{prefix}a")
    await sender.send(place, b"lost")
    await sender.abort()
    await comes_to(broker, place, stable=2, end=2)
    batches = await broker.read(place, 0)
    assert (offsets(batches), batches[-1].next_offset) == ([], 2)


async def test_control_records_are_positions(broker: Broker, place: Place, prefix: str) -> None:
    sender = await broker.sender(f"{prefix}a")
    for value in (b"a", b"b"):
        await sender.send(place, value)
        await sender.commit()
    await comes_to(broker, place, stable=4, end=4)
    batches = await broker.read(place, 0)
    assert offsets(batches) == [0, 2]
    assert batches[-1].next_offset == 4
    # Behind the last record lies only a control record.
    rest = await broker.read(place, 3)
    assert (offsets(rest), rest[-1].next_offset) == ([], 4)


async def test_an_empty_transaction_leaves_nothing_behind(broker: Broker, place: Place, prefix: str) -> None:
    await (await broker.sender(f"{prefix}a")).commit()
    assert await broker.ends(place) == (0, 0, 0)


async def test_a_fetch_may_end_amid_a_committed_transaction_and_the_next_one_joins_it(
    broker: Broker, place: Place, prefix: str
) -> None:
    sender = await broker.sender(f"{prefix}a")
    sent = [random.Random(seed).randbytes(30_000) for seed in range(4)]  # noqa: S311
    for value in sent:
        await sender.send(place, value)
    await sender.commit()
    await comes_to(broker, place, stable=5, end=5)
    batches = await broker.read(place, 0, max_bytes=40_000)
    assert len([batch for batch in batches if len(batch)]) > 1
    assert values(batches) == sent
    assert [batch.start for batch in batches] == [0, *(batch.next_offset for batch in batches[:-1])]
    assert batches[-1].next_offset == 5


async def test_a_newer_producer_fences_the_older_one_and_ends_its_transaction(
    broker: Broker, place: Place, prefix: str
) -> None:
    older = await broker.sender(f"{prefix}a")
    await older.send(place, b"older")
    newer = await broker.sender(f"{prefix}a")
    await comes_to(broker, place, stable=2, end=2)
    with pytest.raises(FencedError):
        await older.commit()
    await newer.send(place, b"newer")
    await newer.commit()
    await comes_to(broker, place, stable=4, end=4)
    assert values(await broker.read(place, 0)) == [b"newer"]


async def test_a_zombie_that_begins_to_write_late_leaves_no_trace(broker: Broker, place: Place, prefix: str) -> None:
    older = await broker.sender(f"{prefix}a")
    await older.send(place, b"older")
    await older.commit()
    newer = await broker.sender(f"{prefix}a")
    with pytest.raises(FencedError):
        await older.send(place, b"zombie")
    await newer.send(place, b"newer")
    with pytest.raises(FencedError):
        await older.commit()
    await newer.commit()
    await comes_to(broker, place, stable=4, end=4)
    assert values(await broker.read(place, 0)) == [b"older", b"newer"]
    assert b"zombie" not in await broker.read_uncommitted(place)


async def test_the_offsets_of_a_group_move_with_the_commit_and_only_then(
    broker: Broker, place: Place, prefix: str
) -> None:
    group = f"{prefix}group"
    sender = await broker.sender(f"{prefix}a")
    await sender.send(place, b"1")
    await sender.add_offsets(group, {place: 10})
    await sender.commit()
    await tells(broker, group, {place: 10})
    await sender.send(place, b"2")
    await sender.add_offsets(group, {place: 20})
    assert await broker.group_offsets(group) == {place: 10}
    await sender.abort()
    await comes_to(broker, place, stable=4, end=4)
    assert await broker.group_offsets(group) == {place: 10}


async def test_a_zombie_does_not_move_the_offsets_of_a_group(broker: Broker, place: Place, prefix: str) -> None:
    group = f"{prefix}group"
    older = await broker.sender(f"{prefix}a")
    await older.send(place, b"older")
    await older.add_offsets(group, {place: 10})
    newer = await broker.sender(f"{prefix}a")
    with pytest.raises(FencedError):
        await older.commit()
    late = await broker.sender(f"{prefix}a")
    with pytest.raises(FencedError):
        await newer.add_offsets(group, {place: 20})
    await late.commit()
    assert await broker.group_offsets(group) == {}


async def test_the_broker_aborts_a_transaction_that_takes_too_long_and_its_producer_is_fenced(
    broker: Broker, place: Place, prefix: str
) -> None:
    sender = await broker.sender(f"{prefix}a", timeout_ms=1_000)
    await sender.send(place, b"too slow")
    assert await broker.ends(place) == (0, 0, 1)
    await comes_to(broker, place, stable=2, end=2)
    with pytest.raises(FencedError):
        await sender.commit()
    again = await broker.sender(f"{prefix}a")
    await again.send(place, b"in time")
    await again.commit()
    await comes_to(broker, place, stable=4, end=4)
    assert values(await broker.read(place, 0)) == [b"in time"]


async def test_a_producer_whose_transaction_took_too_long_is_fenced_when_it_goes_on_writing_too(
    broker: Broker, place: Place, prefix: str
) -> None:
    sender = await broker.sender(f"{prefix}a", timeout_ms=1_000)
    await sender.send(place, b"too slow")
    await comes_to(broker, place, stable=2, end=2)
    with pytest.raises(FencedError):
        await sender.send(place, b"more")
    assert await broker.read_uncommitted(place) == [b"too slow"]


async def test_a_compacted_topic_refuses_a_record_without_a_key(broker: Broker, prefix: str) -> None:
    place = (f"{prefix}ledger", 0)
    await broker.create(place[0], is_compacted=True)
    with pytest.raises(RefusedError):
        await broker.write(place, b"no key")
    await broker.write(place, b"with key", key=b"k")
    assert await broker.ends(place) == (0, 1, 1)


async def test_deleted_records_and_what_was_never_written_are_out_of_range(broker: Broker, place: Place) -> None:
    await broker.write(place, b"0", b"1", b"2", b"3")
    await broker.delete_below(place, 2)
    assert await broker.ends(place) == (2, 4, 4)
    with pytest.raises(OutsideError):
        await broker.read(place, 1)
    with pytest.raises(OutsideError):
        await broker.read(place, 5)
    assert values(await broker.read(place, 2)) == [b"2", b"3"]
    assert values(await broker.read(place, 4)) == []


async def test_compaction_keeps_the_newest_record_of_each_key_and_leaves_holes_that_are_positions(
    broker: Broker, prefix: str
) -> None:
    place = (f"{prefix}ledger", 0)
    await broker.create(place[0], is_compacted=True)
    sender = await broker.sender(f"{prefix}a")
    for number in range(3):
        await sender.send(place, b"a%d" % number, key=b"a")
        await sender.send(place, b"b%d" % number, key=b"b")
        await (sender.commit() if number != 1 else sender.abort())
    await comes_to(broker, place, stable=9, end=9)
    # A later record, so that those before it do not lie in the segment that is written to.
    await broker.roll()
    await broker.write(place, b"last", key=b"c")
    await broker.compact(place, 3)
    batches = await broker.read(place, 0)
    assert (values(batches), offsets(batches)) == ([b"a2", b"b2", b"last"], [6, 7, 9])
    assert (batches[0].start, batches[-1].next_offset) == (0, 10)
    assert await broker.ends(place) == (0, 10, 10)


async def test_a_topic_made_again_has_another_id_and_begins_at_0(broker: Broker, place: Place, prefix: str) -> None:
    topic, group = place[0], f"{prefix}group"
    await broker.write(place, b"old", b"old")
    sender = await broker.sender(f"{prefix}a")
    await sender.add_offsets(group, {place: 2})
    await sender.commit()
    await tells(broker, group, {place: 2})
    older = await broker.topic_id(topic)
    assert await broker.topic_id(topic) == older
    await broker.delete(topic)
    await broker.create(topic)
    assert await broker.topic_id(topic) != older
    await broker.write(place, b"new")
    assert await broker.ends(place) == (0, 1, 1)
    assert values(await broker.read(place, 0)) == [b"new"]
    # A reader that knows topics by name only notices nothing but that its position is not there.
    with pytest.raises(OutsideError):
        await broker.read(place, 2)
    await broker.write(place, b"newer")
    assert values(await broker.read(place, 2)) == []
    await tells(broker, group, {})


async def test_an_added_partition_begins_empty_and_the_others_stay(broker: Broker, place: Place) -> None:
    await broker.write(place, b"0")
    before = await broker.topic_id(place[0])
    await broker.add_partitions(place[0], 2)
    assert await broker.topic_id(place[0]) == before
    assert await broker.ends((place[0], 1)) == (0, 0, 0)
    assert await broker.ends(place) == (0, 1, 1)


async def test_the_first_record_since_a_time_is_found_control_records_included(
    broker: Broker, place: Place, prefix: str
) -> None:
    await broker.write(place, b"0")
    await broker.write(place, b"1")
    sender = await broker.sender(f"{prefix}a")
    await sender.send(place, b"2")
    await sender.commit()
    await comes_to(broker, place, stable=4, end=4)
    times = [int(time) for batch in await broker.read(place, 0) for time in batch.record_times_ms]
    assert times == sorted(times)
    assert times[0] < times[1]
    assert [await broker.first_since(place, time) for time in times[:2]] == [0, 1]
    assert await broker.first_since(place, times[0] + 1) == 1
    assert await broker.first_since(place, times[2] + 3_600_000) is None


async def settled(broker: Broker, *members: GroupMember, count: int) -> list[list[Place]]:
    """Let the members turn until they have `count` partitions in all, none of them twice; returns what each has."""
    dealt: list[list[Place]] = []

    async def is_dealt() -> bool:
        dealt[:] = [await member.turn() for member in members]
        every = [place for places in dealt for place in places]
        return len(every) == count == len(set(every)) and all(dealt)

    await broker.until(is_dealt)
    return dealt


async def test_a_partition_number_of_all_topics_goes_to_one_member(broker: Broker, prefix: str) -> None:
    topics = [f"{prefix}orders", f"{prefix}payments"]
    for topic in topics:
        await broker.create(topic, 4)
    one = await broker.member(f"{prefix}group", "one", topics)
    assert len((await settled(broker, one, count=8))[0]) == 8
    two = await broker.member(f"{prefix}group", "two", topics)
    for places in await settled(broker, one, two, count=8):
        numbers = [{p for topic, p in places if topic == wanted} for wanted in topics]
        assert numbers[0] == numbers[1]
        assert len(numbers[0]) == 2


async def test_a_member_of_the_same_instance_id_takes_the_place_of_the_older_which_is_fenced(
    broker: Broker, prefix: str
) -> None:
    topic = f"{prefix}orders"
    await broker.create(topic, 2)
    older = await broker.member(f"{prefix}group", "one", [topic])
    await settled(broker, older, count=2)
    newer = await broker.member(f"{prefix}group", "one", [topic])
    await settled(broker, newer, count=2)

    async def is_fenced() -> bool:
        try:
            await older.turn()
        except FencedError:
            return True
        return False

    await broker.until(is_fenced)
    assert len((await settled(broker, newer, count=2))[0]) == 2


async def test_a_static_member_that_goes_is_missed_only_after_its_session(broker: Broker, prefix: str) -> None:
    topic = f"{prefix}orders"
    await broker.create(topic, 2)
    one = await broker.member(f"{prefix}group", "one", [topic])
    two = await broker.member(f"{prefix}group", "two", [topic])
    await settled(broker, one, two, count=2)
    await one.go()
    assert len(await two.turn()) == 1
    assert len((await settled(broker, two, count=2))[0]) == 2
