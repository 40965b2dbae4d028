"""The broker compacts the ledger while it is used: restores and readers never notice."""

from __future__ import annotations

import asyncio
import hashlib
from typing import TYPE_CHECKING

import pytest
from aiokafka.structs import TopicPartition

from streams.domain.pages import cursor_key, decode_cursor
from streams.engine.topic_names import LEDGER, SEEN
from streams.kafka.client.log_reader import LogReader
from streams.kafka.ledger import follower as follower_module
from streams.kafka.ledger.follower import LedgerFollower, read_committed_ledger
from streams.kafka.ledger.restore import read_back
from streams.kafka.ledger.store import KafkaLedgerStore
from tests.contract.test_ledger_store import checkpoint, page_key, sequence_of
from tests.integration.test_topics import alter

if TYPE_CHECKING:
    from collections.abc import AsyncIterator

    from streams.engine.batch import RecordBatch
    from streams.engine.checkpoint import PartitionStore
    from streams.settings import Settings

pytestmark = pytest.mark.kafka

PATIENCE_SECONDS = 60
"""The broker's cleaner looks every 15 s."""
AT_ONCE = {
    "min.compaction.lag.ms": "0",
    "min.cleanable.dirty.ratio": "0.01",
    "segment.ms": "200",
    "segment.bytes": str(1024 * 1024),
}
PAGE_BYTES = 600 * 1024
"""Two such pages do not fit a record batch, nor a segment: a checkpoint is spread over several."""


@pytest.fixture
async def owner(settings: Settings) -> AsyncIterator[PartitionStore]:
    """Return the owner of partition 0 of a ledger that is compacted as soon as the broker can."""
    for topic in (LEDGER, SEEN):
        await alter(settings, topic, AT_ONCE)
    store = KafkaLedgerStore(settings)
    owner = await store.fence(0, "g1")
    yield owner
    await owner.close()
    await store.close()


async def offsets_left(settings: Settings) -> list[int]:
    """Return the offsets of the records that are left in partition 0 of the ledger."""
    reader = await LogReader.open(settings)
    try:
        ends = await reader.end_offsets([TopicPartition(LEDGER, 0)])
        await reader.assign_from_beginning(ends)
        offsets: list[int] = []
        while any(reader.positions[tp] < end for tp, end in ends.items()):
            offsets += [int(offset) for batch in await reader.fetch(1) for offset in batch.offsets]
        return offsets
    finally:
        await reader.close()


async def test_a_restore_and_a_reader_find_all_that_was_ever_written_in_a_compacted_log(
    settings: Settings, owner: PartitionStore
) -> None:
    await owner.commit(checkpoint(1, pages={"once": b"1"}, seen={1: b"12345678", 2: b"23456789"}))
    number, left = 1, [0]
    async with asyncio.timeout(PATIENCE_SECONDS):
        while len(left) >= number:  # written were twice as many
            for _ in range(10):
                number += 1
                seen: dict[int, bytes | None] = {2: None, 3: b"34567890"} if number == 2 else {}
                await owner.commit(checkpoint(number, pages={f"p{number % 7}": b"%d" % number}, seen=seen))
            await asyncio.sleep(0.2)
            left = await offsets_left(settings)
    await owner.close()
    written = (await read_back(settings, 0, "g1")).written
    newest = {page_key(f"p{n % 7}"): b"%d" % n for n in range(number - 6, number + 1)}
    cursor = written.ledger[cursor_key("g1")]
    assert sequence_of(cursor) == number
    assert written.ledger == {page_key("once"): b"1"} | newest | {cursor_key("g1"): cursor}
    left_over = {1: b"12345678", 3: b"34567890"}
    assert written.seen == {b'["g1","seen","orders",%d,1,0]' % minute: hashes for minute, hashes in left_over.items()}
    shown = await read_committed_ledger(settings)
    assert {key: value for (_, key), value in shown.changed_pages.items()} == {page_key("once"): b"1"} | newest


async def test_a_follower_that_fell_behind_shows_no_checkpoint_that_compaction_has_mixed_with_a_later_one(
    settings: Settings, owner: PartitionStore, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(follower_module, "STALE_MS", 200)
    monkeypatch.setattr(follower_module, "GATHER_BYTES", 1)  # a record batch for each look
    flows = asyncio.Event()
    shown: list[tuple[int, set[int]]] = []
    state: dict[bytes, bytes] = {}
    follower = LedgerFollower(settings)
    fetch = LogReader.fetch

    async def watched(self: LogReader, timeout_seconds: float) -> list[RecordBatch]:
        delta = follower.drain()
        if delta is not None:
            state.update({key: value for (_, key), value in delta.changed_pages.items()})
            written = {int.from_bytes(value[:8], "big") for value in state.values()}
            shown.append((decode_cursor(delta.cursors[0]).sequence, written))
            flows.clear()
        await flows.wait()
        return await fetch(self, timeout_seconds)

    def checkpoint_of(number: int) -> dict[str, bytes]:
        head = number.to_bytes(8, "big")
        page = head + hashlib.shake_128(head).digest(PAGE_BYTES)  # nothing that compresses
        return {"a": page, "b": page}

    await owner.commit(checkpoint(1, pages=checkpoint_of(1)))
    flows.set()
    with monkeypatch.context() as patch:
        patch.setattr(LogReader, "fetch", watched)
        follower.start()
        async with asyncio.timeout(PATIENCE_SECONDS):
            while not shown:
                await asyncio.sleep(0.02)
        number = 1
        patch.setattr(LogReader, "fetch", fetch)
        async with asyncio.timeout(PATIENCE_SECONDS):
            while number < 4 or len(await offsets_left(settings)) > 3 * number // 2:
                number += 1
                await owner.commit(checkpoint(number, pages=checkpoint_of(number)))
                await asyncio.sleep(0.2)
        patch.setattr(LogReader, "fetch", watched)
        async with asyncio.timeout(PATIENCE_SECONDS):
            while shown[-1][0] < number:
                flows.set()
                await asyncio.sleep(0.02)
    await follower.stop()
    assert shown[0] == (1, {1})
    assert [written for sequence, written in shown if written != {sequence}] == []
