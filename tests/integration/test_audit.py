"""`festival audit` and `festival rejected` as commands, against a ledger and topics on real Kafka."""

from __future__ import annotations

import asyncio
import json
from typing import TYPE_CHECKING, Any

import msgspec
import numpy as np
import pytest
from aiokafka import AIOKafkaProducer
from aiokafka.admin import AIOKafkaAdminClient, RecordsToDelete
from aiokafka.structs import TopicPartition
from click.testing import CliRunner, Result

from streams.cli.main import festival
from streams.domain.declarations import Declarations
from streams.domain.pages import (
    Cursor,
    PageKey,
    cursor_key,
    decode_cursor,
    decode_page,
    encode_cursor,
    encode_page,
)
from streams.engine.processor import PartitionProcessor
from streams.errors import UnreachableError
from streams.festivals import load_festivals
from streams.kafka.follower import read_committed_ledger
from streams.kafka.log_reader import LogReader
from streams.kafka.store import KafkaLedgerStore
from streams.kafka.topics import LEDGER, create_topics, rejected_topic
from streams.settings import Settings
from tests.unit.audit.bench import START_MS, encode, order, payment

if TYPE_CHECKING:
    from collections.abc import Callable

pytestmark = pytest.mark.kafka

PARTITIONS = 2
SOURCES = ("orders", "payments")
PAGE_KEY = PageKey("g1", "singles-day-2019", "payments_by_method", 0).encode()
GOOD = [(topic, partition) for topic in SOURCES for partition in range(PARTITIONS)]
RECORDS = 4 * 45


async def count_a_load(settings: Settings) -> None:
    """Write orders, payments, resends, bad records and an aborted transaction; count and commit all of it."""
    await create_topics(settings, PARTITIONS)
    async with AIOKafkaProducer(bootstrap_servers=settings.broker) as producer:
        for topic, partition in GOOD:
            event = order if topic == "orders" else payment
            values = [encode(event(f"e{i % 37}", merchant=f"m{i % 7}", ts=START_MS + 2_000 + i)) for i in range(40)]
            values += [b"{", b"\xff", encode(event("x", ts="12")), encode(event("y", ts=2**60)), b""]
            for value in values:
                await producer.send(settings.prefix + topic, value, partition=partition, key=b"k")
    transactional = {"bootstrap_servers": settings.broker, "transactional_id": f"{settings.prefix}src"}
    async with AIOKafkaProducer(**transactional) as producer:
        await producer.begin_transaction()
        await producer.send_and_wait(f"{settings.prefix}orders", encode(order("aborted")), partition=0)
        await producer.abort_transaction()
    await asyncio.gather(*(count_partition(settings, partition) for partition in range(PARTITIONS)))


async def count_partition(settings: Settings, partition: int) -> None:
    """Count one partition to its end into the ledger, as a worker would."""
    processor = PartitionProcessor(Declarations(load_festivals(), settings.settle_ms, 10), partition, "g1")
    reader = await LogReader.open(settings)
    store = KafkaLedgerStore(settings)
    try:
        partitions = [TopicPartition(topic, partition) for topic in SOURCES]
        ends = await reader.end_offsets(partitions)
        await reader.assign_from_beginning(partitions)
        for topic in SOURCES:
            processor.start_at(topic, 0)
        while any(processor.positions[tp.topic] < end for tp, end in ends.items()):
            for batch in await reader.fetch(1):
                processor.apply(batch)
        owned = await store.fence(partition, "g1")
        checkpoint = processor.cut()
        assert checkpoint is not None
        await owned.commit(checkpoint)
        await owned.close()
    finally:
        await reader.close()
        await store.close()


@pytest.fixture
async def settings(kafka: str, prefix: str) -> Settings:
    """Return settings whose prefix holds a counted load."""
    settings = Settings(broker=kafka, prefix=prefix)
    await count_a_load(settings)
    return settings


async def run(settings: Settings, *arguments: str) -> Result:
    """Run a festival command against the prefix."""
    flags = ["--broker", settings.bootstrap_servers, "--prefix", settings.prefix]
    # In a thread: the command has an event loop of its own.
    return await asyncio.to_thread(CliRunner().invoke, festival, [*arguments, *flags], standalone_mode=False)


async def audit(settings: Settings) -> tuple[int, dict[str, Any]]:
    """Return exit status and document of `festival audit --json`."""
    result = await run(settings, "audit", "--json")
    assert result.exception is None, result.exception
    return result.return_value, json.loads(result.stdout)


async def test_an_honest_ledger_passes_and_the_command_says_so(settings: Settings) -> None:
    """Every record up to the committed positions, control records and aborted ones skipped."""
    status, document = await audit(settings)
    assert document["differences"] == []
    assert (status, document["exact"], document["records"]) == (0, True, RECORDS)
    assert document["compared_cells"] > 100
    assert document["outcomes"]["orders"]["rejected"] == PARTITIONS * 5
    assert document["outcomes"]["payments"]["duplicate"] == PARTITIONS * 3
    assert document["positions"]["payments"] == {"0": 45, "1": 45}
    told = await run(settings, "audit", "--festival", "singles-day-2019")
    assert told.return_value == 0
    assert told.stdout.startswith(f"Exact: {RECORDS} records and ")


def _page_with_one_more(value: bytes) -> bytes:
    page = decode_page(value)
    low = page.cells().copy()
    low[3, int(np.flatnonzero(low[3])[0])] += 1
    return encode_page(msgspec.structs.replace(page, low=low.tobytes()))


async def rewrite(
    settings: Settings, key: bytes, change: Callable[[bytes], bytes], cursor: Callable[[Cursor], Cursor] = lambda c: c
) -> None:
    """Plant a fault: write a record of partition 0's ledger again, changed, and a cursor behind it."""
    committed = await read_committed_ledger(settings)
    old = decode_cursor(committed.cursors[0])
    topic = settings.prefix + LEDGER
    async with AIOKafkaProducer(bootstrap_servers=settings.broker) as producer:
        if (0, key) in committed.changed_pages:
            value = change(committed.changed_pages[0, key])
            await producer.send_and_wait(topic, value, key=key, partition=0)
        await producer.send_and_wait(topic, encode_cursor(cursor(old)), key=cursor_key("g1"), partition=0)


async def test_a_fault_in_a_page_on_kafka_is_found(settings: Settings) -> None:
    """One cell of one page, one too many: exit 1, the table names measure and cell."""
    await rewrite(settings, PAGE_KEY, _page_with_one_more)
    status, document = await audit(settings)
    assert (status, document["exact"], document["differing"]) == (1, False, 1)
    (difference,) = document["differences"]
    assert (difference["measure"], difference["method"]) == ("paid_minor", "alipay")
    told = await run(settings, "audit")
    assert told.return_value == 1
    assert told.stdout.startswith("NOT exact: 1 differences")
    assert "paid_minor" in told.stdout
    assert "at 2019-11-10T16:00:00Z method=alipay currency=USD" in told.stdout


async def test_a_fault_in_a_cursor_on_kafka_is_found(settings: Settings) -> None:
    """The numbers of records by outcome are totals too."""

    def one_duplicate_more(cursor: Cursor) -> Cursor:
        cursor.outcomes["orders"]["duplicate"] += 1
        return cursor

    await rewrite(settings, b"", lambda value: value, one_duplicate_more)
    status, document = await audit(settings)
    assert status == 1
    assert [d["measure"] for d in document["differences"]] == ["duplicate"]


async def test_a_rejected_record_too_many_on_kafka_is_found(settings: Settings) -> None:
    """A second copy of one that is there already."""
    topic = rejected_topic("orders")
    async with AIOKafkaProducer(bootstrap_servers=settings.broker) as producer:
        headers = [("reason", b"empty"), ("detail", b""), ("source_topic", b"orders")]
        headers += [("source_partition", b"1"), ("source_offset", b"44")]
        await producer.send_and_wait(settings.prefix + topic, b"", key=b"k", headers=headers, partition=0)
    status, document = await audit(settings)
    assert status == 1
    (difference,) = document["differences"]
    assert (difference["measure"], difference["offset"], difference["ledger"]) == ("rejected_records", 44, 2)


async def test_a_log_deleted_below_the_ledgers_beginning_cannot_be_audited(settings: Settings) -> None:
    """No answer is given where there is none, and it is said why."""
    admin = AIOKafkaAdminClient(bootstrap_servers=settings.bootstrap_servers)
    await admin.start()
    await admin.delete_records({TopicPartition(f"{settings.prefix}orders", 1): RecordsToDelete(before_offset=3)})
    await admin.close()
    result = await run(settings, "audit")
    assert isinstance(result.exception, UnreachableError)
    assert "orders[1] begins at offset 3, the ledger at 0" in str(result.exception)


async def test_nothing_committed_cannot_be_audited(kafka: str, prefix: str) -> None:
    """Topics without a worker: exit 3 with what to do."""
    settings = Settings(broker=kafka, prefix=prefix)
    await create_topics(settings, PARTITIONS)
    result = await run(settings, "audit")
    assert isinstance(result.exception, UnreachableError)
    assert "festival worker" in str(result.exception)


async def test_rejected_records_are_listed_with_reason_and_source(settings: Settings) -> None:
    """The newest first bytes, the reasons counted over all."""
    result = await run(settings, "rejected", "--json", "--limit", "7")
    document = json.loads(result.stdout)
    assert document["count"] == 20
    assert document["reasons"]["orders"] == {
        "empty": 2, "not_json": 2, "not_utf8": 2, "out_of_range": 2, "wrong_type": 2,
    }  # fmt: skip
    assert len(document["rejected"]) == 7
    listed = await run(settings, "rejected", "--topic", "orders")
    (line,) = [line for line in listed.stdout.splitlines() if "orders[1]@41" in line]
    assert "not_utf8: byte 0 is not UTF-8" in line
    assert line.endswith(r"\xff")
    assert "payments" not in listed.stdout


async def test_followed_rejected_records_come_one_document_per_line(settings: Settings) -> None:
    """`--follow --json` goes on where the past ends."""
    from streams.audit.set_aside import read_set_aside  # noqa: PLC0415 - the reader alone: the command never ends

    seen = []
    async for records in read_set_aside(settings, ["orders"], is_following=True):
        if records is not None:
            seen += records
        else:
            assert len(seen) == 10
            async with AIOKafkaProducer(bootstrap_servers=settings.broker) as producer:
                name = settings.prefix + rejected_topic("orders")
                await producer.send_and_wait(name, b"late", headers=[("reason", b"not_json")], partition=1)
        if len(seen) == 11:
            break
    assert (seen[-1].value, seen[-1].reason, seen[-1].topic) == (b"late", "not_json", "orders")
