"""One set of promises, two stores: the ledger in memory and the ledger on Kafka (`streams.engine.checkpoint`)."""

from __future__ import annotations

import asyncio
import random
from dataclasses import replace
from typing import TYPE_CHECKING, Any, Protocol

import msgspec
import pytest
from aiokafka import AIOKafkaConsumer
from aiokafka.admin import AIOKafkaAdminClient
from aiokafka.structs import TopicPartition
from xxhash import xxh3_64_intdigest

from streams.domain.pages import Cursor, Digests, PageKey, decode_cursor
from streams.domain.rejections import Reason, Rejection
from streams.engine.checkpoint import (
    Checkpoint,
    FencedError,
    LedgerStore,
    Original,
    OutcomeUnknownError,
    RejectedRecord,
    Restored,
    SeenKey,
)
from streams.engine.generations import Generations, Remade, encode
from streams.engine.judgement import Note
from streams.engine.ledger_keys import GENERATIONS_KEY
from streams.engine.ledger_records import Live, decode_rejected, decode_restored
from streams.engine.memory import Kafka, MemoryLedgerStore, Producer, create_topics
from streams.engine.status import HeldReason
from streams.engine.steps import AtStep, InjectedCrashError, Step, crash_at, nothing_at
from streams.engine.topic_names import GROUP, LEDGER, SEEN
from streams.kafka.client.log_reader import LogReader
from streams.kafka.cluster.topics import create_topics as create_on_kafka
from streams.kafka.ledger.generations import GenerationWatch, change_generations
from streams.kafka.ledger.restore import read_back
from streams.kafka.ledger.store import KafkaLedgerStore
from streams.settings import Settings
from tests.unit.domain.samples import IDENTITY

if TYPE_CHECKING:
    from collections.abc import AsyncIterator

MEMORY, KAFKA = "memory", pytest.param("kafka", marks=pytest.mark.kafka)


class World(Protocol):
    """A place for ledgers, and a look at what is committed there that disturbs nobody."""

    def open(self, at_step: AtStep = nothing_at, *, counts_beside: bool = False) -> LedgerStore:
        """Return a store as another process would have it; `counts_beside`: as a recount has it."""

    async def switch(self, current: str, previous: str, *remade: Remade) -> None:
        """Make another generation current; `remade`: logs that are others since."""

    async def committed(self, partition: int, generation: str) -> Restored:
        """Return what is committed."""

    async def rejected(self) -> list[RejectedRecord]:
        """Return the committed rejected records of the orders of all partitions."""

    async def written(self, topic: str, partition: int) -> list[tuple[bytes | None, bytes | None]]:
        """Return the bytes of the committed records of a topic, key and value."""

    async def group_offset(self, topic: str, partition: int) -> int | None:
        """Return what lag tools see."""


class MemoryWorld:
    """All processes share one in-memory Kafka."""

    def __init__(self) -> None:
        self.kafka = Kafka()
        create_topics(self.kafka, 2)
        self.store = MemoryLedgerStore(kafka=self.kafka)

    def open(self, at_step: AtStep = nothing_at, *, counts_beside: bool = False) -> LedgerStore:
        return MemoryLedgerStore(at_step, self.kafka, counts_beside=counts_beside)

    async def switch(self, current: str, previous: str, *remade: Remade) -> None:
        value = encode(Generations(current=current, previous=previous, remade=remade))
        producer = Producer(self.kafka, "festival-generations")
        producer.send(LEDGER, 0, [value], [GENERATIONS_KEY])
        producer.commit()

    async def committed(self, partition: int, generation: str) -> Restored:
        return self.store.committed(partition, generation)

    async def rejected(self) -> list[RejectedRecord]:
        return self.store.rejected

    async def written(self, topic: str, partition: int) -> list[tuple[bytes | None, bytes | None]]:
        return [(record.key, record.value) for record in self.kafka.log(topic, partition).records()]

    async def group_offset(self, topic: str, partition: int) -> int | None:
        return self.store.group_offsets.get((topic, partition))


class KafkaWorld:
    """Real Kafka."""

    def __init__(self, settings: Settings) -> None:
        self.settings = settings
        self.stores: list[KafkaLedgerStore] = []

    def open(self, at_step: AtStep = nothing_at, *, counts_beside: bool = False) -> LedgerStore:
        self.stores.append(KafkaLedgerStore(self.settings, at_step=at_step, counts_beside=counts_beside))
        return self.stores[-1]

    async def switch(self, current: str, previous: str, *remade: Remade) -> None:
        watch, made = GenerationWatch(self.settings), Generations(current=current, previous=previous, remade=remade)
        await change_generations(self.settings, watch, lambda _: made)
        await watch.close()

    async def committed(self, partition: int, generation: str) -> Restored:
        written = (await read_back(self.settings, partition, generation)).written
        return decode_restored(partition, generation, written, Live(generation, written))

    async def rejected(self) -> list[RejectedRecord]:
        options: dict[str, Any] = {"auto_offset_reset": "earliest", "isolation_level": "read_committed"}
        async with AIOKafkaConsumer(**self.settings.client_options(), **options) as consumer:
            partitions = [TopicPartition(f"{self.settings.prefix}orders.rejected", p) for p in range(2)]
            consumer.assign(partitions)
            await consumer.seek_to_beginning(*partitions)
            ends = await consumer.end_offsets(partitions)
            found = []
            while any([await consumer.position(tp) < ends[tp] for tp in partitions]):
                for records in (await consumer.getmany(timeout_ms=200)).values():
                    found += [decode_rejected(r.key, r.value, r.headers, self.settings.prefix) for r in records]
                    # Readers need the source's real name.
                    sources = {dict(record.headers)["source_topic"].decode() for record in records}
                    assert sources == {f"{self.settings.prefix}orders"}
        return found

    async def written(self, topic: str, partition: int) -> list[tuple[bytes | None, bytes | None]]:
        reader = await LogReader.open(self.settings)
        try:
            ends = await reader.end_offsets([TopicPartition(topic, partition)])
            await reader.assign_from_beginning(ends)
            return [pair async for b in reader.read_to(ends) for pair in zip(b.keys, b.values, strict=True)]
        finally:
            await reader.close()

    async def group_offset(self, topic: str, partition: int) -> int | None:
        admin = AIOKafkaAdminClient(**self.settings.client_options())
        await admin.start()
        try:
            offsets = await admin.list_consumer_group_offsets(self.settings.prefix + GROUP)
        finally:
            await admin.close()
        found = offsets.get(TopicPartition(self.settings.prefix + topic, partition))
        return found.offset if found else None


@pytest.fixture(params=[MEMORY, KAFKA])
async def world(request: pytest.FixtureRequest) -> AsyncIterator[World]:
    if request.param == "memory":
        yield MemoryWorld()
        return
    kafka, prefix = request.getfixturevalue("kafka"), request.getfixturevalue("prefix")
    settings = Settings(broker=kafka, prefix=prefix)
    await create_on_kafka(settings, 2)
    kafka_world = KafkaWorld(settings)
    yield kafka_world
    for store in kafka_world.stores:
        await store.close()


NO_DIGESTS = Digests(ledger=0, seen=0)
TOO_LARGE = Rejection(Reason.TOO_LARGE, "9 bytes")
NOTE = Note(HeldReason.LOG_DELETED, "orders", 7, "gone")


def page(name: str, generation: str = "g1") -> PageKey:
    return PageKey(generation, "day", name, 0)


def page_key(name: str, generation: str = "g1") -> bytes:
    """Return the name of a page as it stands on the topic."""
    return f'["{generation}","page","day","{name}",0]'.encode()


def seen_key(minute: int, generation: str = "g1") -> SeenKey:
    return SeenKey(generation, "orders", minute, 1, 0)


def checkpoint(
    number: int,
    *,
    generation: str = "g1",
    partition: int = 0,
    fingerprint: bytes | None = None,
    pages: dict[str, bytes] | None = None,
    seen: dict[int, bytes | None] | None = None,
    rejected: list[RejectedRecord] | None = None,
) -> Checkpoint:
    positions = {"orders": 100 * number}
    cursor = Cursor(
        positions=positions,
        started={},
        stream_times_ms={},
        max_event_times_ms={},
        outcomes={},
        rejected={},
        sequence=number,
        identity=IDENTITY,
        epochs={},
    )
    return Checkpoint(
        partition=partition,
        generation=generation,
        fingerprint=fingerprint,
        pages=[(page(name, generation), value) for name, value in (pages or {}).items()],
        cursor=cursor,
        seen=[(seen_key(minute, generation), value) for minute, value in (seen or {}).items()],
        rejected=rejected or [],
        positions=positions,
    )


def bad_record(offset: int, key: bytes | None = b"o1", value: bytes | None = b"{") -> RejectedRecord:
    return RejectedRecord("orders", 0, offset, Rejection(Reason.NOT_JSON, "not JSON"), key, value)


def sequence_of(cursor: bytes) -> int:
    """Return the number of the checkpoint that a cursor on the topic ended."""
    return decode_cursor(cursor).sequence


def plain(restored: Restored) -> Restored:
    """Return what was restored without the digests that the store has put into the cursor."""
    assert restored.misfit is None
    cursor = restored.cursor
    return replace(restored, cursor=None if cursor is None else msgspec.structs.replace(cursor, digests=NO_DIGESTS))


async def test_a_partition_never_written_restores_to_nothing(world: World) -> None:
    owner = await world.open().fence(0, "g1")
    restored = await owner.restore()
    assert restored == Restored()
    await owner.close()


async def test_restore_returns_the_newest_page_of_each_key_in_the_order_of_their_writes(world: World) -> None:
    owner = await world.open().fence(0, "g1")
    await owner.commit(checkpoint(1, pages={"a": b"a1", "b": b"b1", "c": b"c1"}))
    await owner.commit(checkpoint(2, pages={"b": b"b2", "a": b"a2"}))
    await owner.close()
    restored = await (successor := await world.open().fence(0, "g1")).restore()
    assert list(restored.pages.items()) == [(page("c"), b"c1"), (page("b"), b"b2"), (page("a"), b"a2")]
    assert plain(restored).cursor == checkpoint(2).cursor
    await successor.close()


async def test_these_are_the_bytes_of_a_checkpoint_and_its_cursor_comes_last(world: World) -> None:
    """Ledgers outlive versions: what is written must not change unnoticed."""
    owner = await world.open().fence(0, "g1")
    first = checkpoint(1, fingerprint=b"{}", pages={"a": b"1"}, seen={26: b"8 bytes."})
    await owner.commit(first)
    await owner.leave_note(NOTE)
    await owner.close()
    ledger = xxh3_64_intdigest(b'["g1","fingerprint"]{}') + xxh3_64_intdigest(b'["g1","page","day","a",0]1')
    seen = xxh3_64_intdigest(b'["g1","seen","orders",26,1,0]8 bytes.')
    cursor = (
        b'{"positions":{"orders":100},"started":{},"stream_times_ms":{},"max_event_times_ms":{},"outcomes":{},'
        b'"rejected":{},"sequence":1,"identity":{"cluster":"memory","own":{},"topics":{}},"epochs":{},'
        b'"digests":{"ledger":%d,"seen":%d}}' % (ledger % 2**64, seen)
    )
    assert await world.written(LEDGER, 0) == [
        (b'["g1","fingerprint"]', b"{}"),
        (b'["g1","page","day","a",0]', b"1"),
        (b'["g1","cursor"]', cursor),
        (b'["g1","held"]', b'{"reason":"log_deleted","topic":"orders","since_ms":7,"detail":"gone"}'),
    ]
    assert await world.written(SEEN, 0) == [(b'["g1","seen","orders",26,1,0]', b"8 bytes.")]
    assert plain(await world.committed(0, "g1")) == Restored(
        first.cursor, b"{}", dict(first.pages), {seen_key(26): b"8 bytes."}
    )


async def test_a_tombstone_removes_the_hashes_of_a_bucket(world: World) -> None:
    owner = await world.open().fence(0, "g1")
    await owner.commit(checkpoint(1, seen={1: b"hashes", 2: b"more"}))
    await owner.commit(checkpoint(2, seen={1: None}))
    await owner.close()
    assert dict((await world.committed(0, "g1")).seen) == {seen_key(2): b"more"}


async def test_rejected_records_stay_what_they_are_also_where_there_is_neither_key_nor_value(
    world: World,
) -> None:
    records = [bad_record(1), bad_record(2, None, b"\xff"), bad_record(3, b"k", None), bad_record(4, None, None)]
    head = RejectedRecord("orders", 0, 5, TOO_LARGE, b"k", b"x", Original(9, "0a"), original_key_bytes=8)
    records.append(head)
    owner = await world.open().fence(0, "g1")
    await owner.commit(checkpoint(1, rejected=records))
    await owner.close()
    assert await world.rejected() == records


async def test_the_positions_are_told_to_the_group_for_lag_tools(world: World) -> None:
    owner = await world.open().fence(1, "g1")
    await owner.commit(checkpoint(3, partition=1))
    await owner.close()
    assert await world.group_offset("orders", 1) == 300


async def test_a_newer_owner_fences_the_older_one_whose_late_commit_leaves_no_trace(world: World) -> None:
    older = await world.open().fence(0, "g1")
    await older.commit(checkpoint(1, pages={"a": b"old"}))
    newer = await world.open().fence(0, "g1")
    assert page("a") in (await newer.restore()).pages
    with pytest.raises(FencedError):
        await older.commit(checkpoint(2, pages={"a": b"zombie"}, seen={1: b"zombie"}, rejected=[bad_record(1)]))
    await newer.commit(checkpoint(2, pages={"a": b"new"}))
    with pytest.raises(AssertionError, match="finished"):
        await older.commit(checkpoint(3))
    await older.close()
    await older.close()
    await newer.close()
    committed = await world.committed(0, "g1")
    assert committed.pages[page("a")] == b"new"
    assert not committed.seen
    assert not await world.rejected()


@pytest.mark.parametrize("step", Step)
async def test_a_crash_at_any_step_commits_all_of_a_checkpoint_or_nothing(world: World, step: Step) -> None:
    owner = await world.open(crash_at(step, nth=2)).fence(0, "g1")
    await owner.commit(checkpoint(1, pages={"a": b"a1"}, seen={1: b"1"}, rejected=[bad_record(1)]))
    second = checkpoint(2, pages={"a": b"a2", "b": b"b2"}, seen={1: None, 2: b"2"}, rejected=[bad_record(150)])
    with pytest.raises(OutcomeUnknownError) as caught:
        await owner.commit(second)
    assert isinstance(caught.value.__cause__, InjectedCrashError)

    successor = await world.open().fence(0, "g1")
    restored = await successor.restore()
    is_committed = plain(restored).cursor == second.cursor
    assert is_committed == (step is Step.AFTER_COMMIT) or step is Step.DURING_COMMIT
    assert restored.pages[page("a")] == (b"a2" if is_committed else b"a1")
    assert (page("b") in restored.pages) == is_committed
    assert list(restored.seen.values()) == ([b"2"] if is_committed else [b"1"])

    # The successor does again what was not committed, and nothing is there twice.
    if not is_committed:
        await successor.commit(second)
    await successor.close()
    await owner.close()
    assert [record.offset for record in await world.rejected()] == [1, 150]
    assert await world.group_offset("orders", 0) == 200


async def test_a_commit_that_is_cancelled_has_an_unknown_outcome_and_ends_the_store(world: World) -> None:
    owner = await world.open().fence(0, "g1")
    committing = asyncio.ensure_future(owner.commit(checkpoint(1, pages={"a": b"1"})))
    await asyncio.sleep(0)
    committing.cancel()
    outcome = (await asyncio.gather(committing, return_exceptions=True))[0]
    await owner.close()
    committed = await world.committed(0, "g1")
    if isinstance(outcome, asyncio.CancelledError):
        with pytest.raises(AssertionError, match="finished"):
            await owner.commit(checkpoint(2))
    else:
        assert committed.cursor is not None
    assert (page("a") in committed.pages) == (committed.cursor is not None)


async def test_a_note_is_no_part_of_what_is_restored_and_needs_the_right_to_write(world: World) -> None:
    """It says why the partition is held; the owner who goes on goes on from the checkpoint before it."""
    first = await world.open().fence(0, "g1")
    await first.restore()
    await first.commit(checkpoint(1, pages={"a": b"1"}))
    await first.leave_note(NOTE)
    kept = Restored(checkpoint(1).cursor, None, {page("a"): b"1"})
    assert plain(await world.committed(0, "g1")) == kept
    second = await world.open().fence(0, "g1")
    assert plain(await second.restore()) == kept
    with pytest.raises(FencedError):
        await first.leave_note(NOTE)
    await second.commit(checkpoint(2, pages={"a": b"2"}))
    await first.close()
    await second.close()


async def test_partitions_do_not_see_or_fence_each_other(world: World) -> None:
    owners = [await world.open().fence(partition, "g1") for partition in (0, 1)]
    await asyncio.gather(*(owners[p].commit(checkpoint(p + 1, partition=p, pages={"a": b"%d" % p})) for p in (0, 1)))
    for partition, owner in enumerate(owners):
        restored = await owner.restore()
        assert plain(restored) == Restored(checkpoint(partition + 1).cursor, None, {page("a"): b"%d" % partition})
        await owner.close()


async def test_a_checkpoint_of_several_megabytes_is_one_transaction_too(world: World) -> None:
    # Bytes that do not compress, so that neither batches nor records shrink below the broker's limits.
    noise = [random.Random(seed).randbytes(100_000) for seed in range(30)]  # noqa: S311
    records = [bad_record(1, b"k" * 1_000, noise[0] * 9), bad_record(2, None, noise[1] * 9)]
    owner = await world.open().fence(0, "g1")
    await owner.commit(checkpoint(1, pages={f"p{i}": value for i, value in enumerate(noise)}, rejected=records))
    await owner.close()
    restored = await world.committed(0, "g1")
    assert list(restored.pages) == [page(f"p{i}") for i in range(30)]
    assert restored.pages[page("p29")] == noise[29]
    assert [r.value for r in await world.rejected()] == [noise[0] * 9, noise[1] * 9]


async def test_only_the_current_generation_is_written_once_one_is_named_and_its_owner_fences_the_one_before(
    world: World,
) -> None:
    before = await world.open().fence(0, "g1")
    await before.commit(checkpoint(1, pages={"a": b"1"}))
    beside = await world.open(counts_beside=True).fence(0, "g2")
    await beside.commit(checkpoint(1, generation="g2", pages={"a": b"2"}))
    await world.switch("g2", "g1")
    with pytest.raises(FencedError):
        await world.open().fence(0, "g1")
    after = await world.open().fence(0, "g2")
    with pytest.raises(FencedError):
        await before.commit(checkpoint(2, rejected=[bad_record(1)]))
    with pytest.raises(FencedError):
        await beside.commit(checkpoint(2, generation="g2"))
    assert (await after.restore()).pages[page("a", "g2")] == b"2"
    assert (await world.committed(0, "g1")).pages[page("a")] == b"1"
    for owner in (before, beside, after):
        await owner.close()


@pytest.mark.parametrize(
    ("remade", "again"),
    [
        ([], []),
        ([Remade("orders", 1, 0, "g2")], [40, 60]),
        ([Remade("orders", 1, 50, "g2")], [60]),
        ([Remade("orders", 1, 60, "g2")], [60]),
        ([Remade("orders", 1, 61, "g2")], []),
        ([Remade("orders", 1, 0, "g1")], []),
        ([Remade("payments", 1, 0, "g2"), Remade("orders", 0, 0, "g2")], []),
    ],
    ids=["the log goes on", "made again", "cut before", "cut at", "cut behind", "before that", "elsewhere"],
)
async def test_what_the_generation_before_has_rejected_is_not_rejected_again_unless_its_log_is_another_one_there(
    world: World, remade: list[Remade], again: list[int]
) -> None:
    before = await world.open().fence(1, "g1")
    await before.commit(checkpoint(1, partition=1, rejected=[bad_record(40), bad_record(60)]))
    await before.close()
    await world.switch("g2", "g1", *remade)
    after = await world.open().fence(1, "g2")
    await after.restore()
    rejected = [bad_record(40), bad_record(60), bad_record(150)]
    await after.commit(checkpoint(1, generation="g2", partition=1, rejected=rejected))
    await after.close()
    assert sorted(record.offset for record in await world.rejected()) == sorted([40, 60, 150, *again])


async def test_a_recount_beside_writes_neither_rejected_records_nor_the_offsets_of_the_group(world: World) -> None:
    owner = await world.open().fence(0, "g1")
    await owner.commit(checkpoint(1))
    beside = await world.open(counts_beside=True).fence(0, "g2")
    await beside.commit(checkpoint(3, generation="g2", rejected=[bad_record(1)]))
    await owner.commit(checkpoint(2))
    assert await world.group_offset("orders", 0) == 200
    assert not await world.rejected()
    assert plain(await world.committed(0, "g2")) == Restored(checkpoint(3, generation="g2").cursor)
    await owner.close()
    await beside.close()
