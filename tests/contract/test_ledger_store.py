"""One set of promises, two stores: the ledger in memory and the ledger on Kafka (`streams.engine.checkpoint`)."""

from __future__ import annotations

import asyncio
import random
from typing import TYPE_CHECKING, Any, Protocol

import pytest
from aiokafka import AIOKafkaConsumer
from aiokafka.admin import AIOKafkaAdminClient
from aiokafka.structs import TopicPartition

from streams.domain.pages import Cursor, cursor_key, encode_cursor
from streams.engine.checkpoint import (
    Checkpoint,
    FencedError,
    LedgerStore,
    OutcomeUnknownError,
    RejectedRecord,
    Restored,
)
from streams.engine.memory import MemoryLedgerStore
from streams.engine.steps import AtStep, InjectedCrashError, Step, crash_at, nothing_at
from streams.kafka.restore import read_back
from streams.kafka.store import GROUP, KafkaLedgerStore
from streams.kafka.topics import create_topics
from streams.settings import Settings

if TYPE_CHECKING:
    from collections.abc import AsyncIterator

MEMORY, KAFKA = "memory", pytest.param("kafka", marks=pytest.mark.kafka)


class World(Protocol):
    """A place for ledgers, and a look at what is committed there that disturbs nobody."""

    def open(self, at_step: AtStep = nothing_at) -> LedgerStore:
        """Return a store as another process would have it."""

    async def committed(self, partition: int, generation: str) -> Restored:
        """Return what is committed."""

    async def rejected(self) -> list[RejectedRecord]:
        """Return the committed rejected records of the orders of all partitions."""

    async def group_offset(self, topic: str, partition: int) -> int | None:
        """Return what lag tools see."""


class MemoryWorld:
    """All processes share one store."""

    def __init__(self) -> None:
        self.store = MemoryLedgerStore()

    def open(self, at_step: AtStep = nothing_at) -> LedgerStore:
        self.store.at_step = at_step
        return self.store

    async def committed(self, partition: int, generation: str) -> Restored:
        return self.store.committed(partition, generation)

    async def rejected(self) -> list[RejectedRecord]:
        return self.store.rejected

    async def group_offset(self, topic: str, partition: int) -> int | None:
        return self.store.group_offsets.get((topic, partition))


class KafkaWorld:
    """Real Kafka."""

    def __init__(self, settings: Settings) -> None:
        self.settings = settings
        self.stores: list[KafkaLedgerStore] = []

    def open(self, at_step: AtStep = nothing_at) -> LedgerStore:
        self.stores.append(KafkaLedgerStore(self.settings, at_step=at_step))
        return self.stores[-1]

    async def committed(self, partition: int, generation: str) -> Restored:
        return (await read_back(self.settings, partition, generation)).restored

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
                    found += [RejectedRecord("orders.rejected", r.key, r.value, self._inside(r)) for r in records]
        return found

    def _inside(self, record: Any) -> list[tuple[str, bytes]]:  # noqa: ANN401 - a ConsumerRecord, untyped
        """Return a record's headers with the source under its name here; on Kafka it stands under its real one."""
        headers = dict(record.headers)
        source = self.settings.prefix.encode() + b"orders"
        assert headers["source_topic"] == source
        return list({**headers, "source_topic": b"orders"}.items())

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
    await create_topics(settings, 2)
    kafka_world = KafkaWorld(settings)
    yield kafka_world
    for store in kafka_world.stores:
        await store.close()


def page_key(name: str, generation: str = "g1") -> bytes:
    return f'["{generation}","page","{name}"]'.encode()


def checkpoint(
    number: int,
    *,
    generation: str = "g1",
    partition: int = 0,
    pages: dict[str, bytes] | None = None,
    seen: dict[str, bytes | None] | None = None,
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
    )
    return Checkpoint(
        partition=partition,
        pages=[(page_key(name, generation), value) for name, value in (pages or {}).items()],
        cursor=(cursor_key(generation), encode_cursor(cursor)),
        seen=[(f'["{generation}","seen",{name}]'.encode(), value) for name, value in (seen or {}).items()],
        rejected=rejected or [],
        positions=positions,
    )


def bad_record(offset: int, key: bytes | None = b"o1", value: bytes | None = b"{") -> RejectedRecord:
    headers = (("reason", b"not_json"), ("source_topic", b"orders"), ("source_offset", str(offset).encode()))
    return RejectedRecord("orders.rejected", key, value, headers)


def cursor_of(number: int) -> bytes:
    return checkpoint(number).cursor[1]


async def test_a_partition_never_written_restores_to_nothing(world: World) -> None:
    owner = await world.open().fence(0, "g1")
    restored = await owner.restore()
    assert (dict(restored.pages), dict(restored.seen)) == ({}, {})
    await owner.close()


async def test_restore_returns_the_newest_page_of_each_key_in_the_order_of_their_writes_and_the_cursor_last(
    world: World,
) -> None:
    owner = await world.open().fence(0, "g1")
    await owner.commit(checkpoint(1, pages={"a": b"a1", "b": b"b1", "c": b"c1"}))
    await owner.commit(checkpoint(2, pages={"b": b"b2", "a": b"a2"}))
    await owner.close()
    restored = await (successor := await world.open().fence(0, "g1")).restore()
    assert list(restored.pages.items()) == [
        (page_key("c"), b"c1"),
        (page_key("b"), b"b2"),
        (page_key("a"), b"a2"),
        (cursor_key("g1"), cursor_of(2)),
    ]
    await successor.close()


async def test_a_tombstone_removes_the_hashes_of_a_bucket(world: World) -> None:
    owner = await world.open().fence(0, "g1")
    await owner.commit(checkpoint(1, seen={"1": b"hashes", "2": b"more"}))
    await owner.commit(checkpoint(2, seen={"1": None}))
    await owner.close()
    assert dict((await world.committed(0, "g1")).seen) == {b'["g1","seen",2]': b"more"}


async def test_rejected_records_keep_key_value_and_headers_also_where_there_is_neither_key_nor_value(
    world: World,
) -> None:
    records = [bad_record(1), bad_record(2, None, b"\xff"), bad_record(3, b"k", None), bad_record(4, None, None)]
    owner = await world.open().fence(0, "g1")
    await owner.commit(checkpoint(1, rejected=records))
    await owner.close()
    assert [(r.key, r.value, tuple(r.headers)) for r in await world.rejected()] == [
        (r.key, r.value, tuple(r.headers)) for r in records
    ]


async def test_the_positions_are_told_to_the_group_for_lag_tools(world: World) -> None:
    owner = await world.open().fence(1, "g1")
    await owner.commit(checkpoint(3, partition=1))
    await owner.close()
    assert await world.group_offset("orders", 1) == 300


async def test_a_newer_owner_fences_the_older_one_whose_late_commit_leaves_no_trace(world: World) -> None:
    older = await world.open().fence(0, "g1")
    await older.commit(checkpoint(1, pages={"a": b"old"}))
    newer = await world.open().fence(0, "g1")
    assert page_key("a") in (await newer.restore()).pages
    with pytest.raises(FencedError):
        await older.commit(checkpoint(2, pages={"a": b"zombie"}, seen={"1": b"zombie"}, rejected=[bad_record(1)]))
    await newer.commit(checkpoint(2, pages={"a": b"new"}))
    with pytest.raises(AssertionError, match="finished"):
        await older.commit(checkpoint(3))
    await older.close()
    await older.close()
    await newer.close()
    committed = await world.committed(0, "g1")
    assert committed.pages[page_key("a")] == b"new"
    assert not committed.seen
    assert not await world.rejected()


@pytest.mark.parametrize("step", Step)
async def test_a_crash_at_any_step_commits_all_of_a_checkpoint_or_nothing(world: World, step: Step) -> None:
    owner = await world.open(crash_at(step, nth=2)).fence(0, "g1")
    await owner.commit(checkpoint(1, pages={"a": b"a1"}, seen={"1": b"1"}, rejected=[bad_record(1)]))
    second = checkpoint(2, pages={"a": b"a2", "b": b"b2"}, seen={"1": None, "2": b"2"}, rejected=[bad_record(150)])
    with pytest.raises(OutcomeUnknownError) as caught:
        await owner.commit(second)
    assert isinstance(caught.value.__cause__, InjectedCrashError)

    successor = await world.open().fence(0, "g1")
    restored = await successor.restore()
    is_committed = restored.pages[cursor_key("g1")] == cursor_of(2)
    assert is_committed == (step is Step.AFTER_COMMIT) or step is Step.DURING_COMMIT
    assert restored.pages[page_key("a")] == (b"a2" if is_committed else b"a1")
    assert (page_key("b") in restored.pages) == is_committed
    assert list(restored.seen.values()) == ([b"2"] if is_committed else [b"1"])

    # The successor does again what was not committed, and nothing is there twice.
    if not is_committed:
        await successor.commit(second)
    await successor.close()
    await owner.close()
    assert [dict(r.headers)["source_offset"] for r in await world.rejected()] == [b"1", b"150"]
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
        assert cursor_key("g1") in committed.pages
    assert (page_key("a") in committed.pages) == (cursor_key("g1") in committed.pages)


async def test_partitions_do_not_see_or_fence_each_other(world: World) -> None:
    owners = [await world.open().fence(partition, "g1") for partition in (0, 1)]
    await asyncio.gather(*(owners[p].commit(checkpoint(p + 1, partition=p, pages={"a": b"%d" % p})) for p in (0, 1)))
    for partition, owner in enumerate(owners):
        restored = await owner.restore()
        assert restored.pages == {page_key("a"): b"%d" % partition, cursor_key("g1"): cursor_of(partition + 1)}
        await owner.close()


async def test_a_checkpoint_of_several_megabytes_is_one_transaction_too(world: World) -> None:
    # Bytes that do not compress, so that neither batches nor records shrink below the broker's limits.
    noise = [random.Random(seed).randbytes(100_000) for seed in range(30)]  # noqa: S311
    records = [bad_record(1, b"k" * 1_000, noise[0] * 9), bad_record(2, None, noise[1] * 9)]
    owner = await world.open().fence(0, "g1")
    await owner.commit(checkpoint(1, pages={f"p{i}": value for i, value in enumerate(noise)}, rejected=records))
    await owner.close()
    restored = await world.committed(0, "g1")
    assert list(restored.pages) == [*(page_key(f"p{i}") for i in range(30)), cursor_key("g1")]
    assert restored.pages[page_key("p29")] == noise[29]
    assert [r.value for r in await world.rejected()] == [noise[0] * 9, noise[1] * 9]
