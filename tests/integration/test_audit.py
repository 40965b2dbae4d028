"""`festival audit` and `festival rejected` as commands, against a ledger and topics on real Kafka."""

from __future__ import annotations

import asyncio
import json
from typing import TYPE_CHECKING, Any
from unittest.mock import patch

import msgspec
import numpy as np
import pytest
from aiokafka import AIOKafkaProducer
from aiokafka.admin import AIOKafkaAdminClient, RecordsToDelete
from aiokafka.structs import TopicPartition
from click.testing import CliRunner, Result
from confluent_kafka import KafkaError, Message, Producer

from streams.audit import set_aside
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
from streams.engine.topic_names import LEDGER, SEEN, rejected_topic
from streams.errors import AnswerNo, UnreachableError, UsageError
from streams.festivals import load_festivals
from streams.kafka.client import clients
from streams.kafka.client.log_reader import LogReader
from streams.kafka.cluster.survey import survey
from streams.kafka.cluster.topics import create_topics
from streams.kafka.ledger.follower import read_committed_ledger
from streams.kafka.ledger.store import KafkaLedgerStore
from streams.settings import Settings
from tests.unit.audit.bench import START_MS, encode, order, payment

if TYPE_CHECKING:
    from collections.abc import Callable
    from pathlib import Path

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
        processor.belongs_to((await survey(reader.client, settings.prefix, SOURCES, own=(LEDGER, SEEN))).identity)
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


async def test_a_festival_that_the_ledger_does_not_count_is_answered_with_no(
    settings: Settings, tmp_path: Path
) -> None:
    """It is known from its file; a word that is no festival is wrong usage."""
    (tmp_path / "next.toml").write_text('id = "next"\nstarts = 2099-11-11T00:00:00\ntimezone = "Asia/Shanghai"\n')
    told = await run(settings, "audit", "--festival", "next", "--festivals", str(tmp_path))
    assert isinstance(told.exception, AnswerNo)
    assert "does not count next" in str(told.exception)
    told = await run(settings, "audit", "--festival", "nonsense")
    assert isinstance(told.exception, UsageError)


async def test_ids_resent_by_a_client_with_another_partitioner_are_noted_and_no_difference(
    kafka: str, prefix: str
) -> None:
    """Keys are hashed by CRC32 in librdkafka, by murmur2 in aiokafka: about half of the resends go elsewhere."""
    settings = Settings(broker=kafka, prefix=prefix)
    await create_topics(settings, PARTITIONS)
    values = {f"e{i}": encode(order(f"e{i}", order_id=f"o{i}")) for i in range(40)}
    places: dict[str, list[tuple[int, int]]] = {event_id: [] for event_id in values}
    async with AIOKafkaProducer(bootstrap_servers=settings.broker) as producer:
        for event_id, value in values.items():
            sent = await producer.send_and_wait(f"{prefix}orders", value, key=event_id.encode())
            places[event_id].append((sent.partition, sent.offset))

    def delivered(_: KafkaError | None, sent: Message) -> None:
        partition, offset, key = sent.partition(), sent.offset(), sent.key()
        assert partition is not None
        assert offset is not None
        assert isinstance(key, bytes)
        places[key.decode()].append((partition, offset))

    other = Producer({"bootstrap.servers": kafka, "partitioner": "consistent"})
    for event_id, value in values.items():
        other.produce(f"{prefix}orders", value, key=event_id.encode(), on_delivery=delivered)
    assert await asyncio.to_thread(other.flush, 30) == 0
    twice = {event_id for event_id, ((first, _), (second, _)) in places.items() if first != second}
    assert 5 < len(twice) < 35
    await asyncio.gather(*(count_partition(settings, partition) for partition in range(PARTITIONS)))
    status, document = await audit(settings)
    assert (status, document["exact"]) == (0, True)
    assert document["outcomes"]["orders"]["counted"] == 40 + len(twice)
    (note,) = document["notes"]
    example = note["example"]
    found = [(place["partition"], place["offset"]) for place in example["places"]]
    assert (note["note"], note["topic"], note["ids"]) == ("ids_in_two_partitions", "orders", len(twice))
    assert sorted(found) == sorted(places[example["event_id"]])
    told = await run(settings, "audit")
    assert told.return_value == 0
    assert told.stdout.startswith("Exact: ")
    assert f"Note: {len(twice)} ids on orders were seen in two partitions" in told.stdout


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
    assert "NOT exact: 1 differences" in told.stdout
    assert "partition 0 is held (ledger_unreadable)" in told.stdout, "its digest tells it, too"
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


async def test_a_log_that_has_lost_its_beginning_is_audited_from_there_on(settings: Settings) -> None:
    """It is said from where on, and what is wrong in what is left is found."""
    admin = AIOKafkaAdminClient(bootstrap_servers=settings.bootstrap_servers)
    await admin.start()
    await admin.delete_records({TopicPartition(f"{settings.prefix}orders", 1): RecordsToDelete(before_offset=3)})
    await admin.close()
    status, document = await audit(settings)
    assert (status, document["exact"], document["records"]) == (0, True, RECORDS - 3)
    assert document["from"]["orders"] == {"0": 0, "1": 3}
    await rewrite(settings, PAGE_KEY, _page_with_one_more)
    assert (await audit(settings))[0] == 1


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


async def test_what_is_committed_is_there_as_soon_as_its_commit_is_told(kafka: str, prefix: str) -> None:
    """A transaction that is open when somebody asks is waited for; one that stays open is named."""
    settings = Settings(broker=kafka, prefix=prefix)
    await create_topics(settings, PARTITIONS)
    name = prefix + rejected_topic("orders")
    place = TopicPartition(name, 1)
    consumer = await clients.start_consumer(settings)
    async with AIOKafkaProducer(bootstrap_servers=kafka, transactional_id=f"{prefix}open") as producer:
        await producer.begin_transaction()
        sent = await producer.send_and_wait(name, b"{", headers=[("reason", b"not_json")], partition=1)
        with patch.object(set_aside, "OPEN_SECONDS", 0.0):
            assert await set_aside.settled_ends(consumer, settings, [place]) == (
                {place: sent.offset},
                [f"{name}[1]@{sent.offset}"],
            )
            result = await run(settings, "rejected", "--json")
            assert json.loads(result.stdout)["count"] == 0
        waiting = asyncio.create_task(set_aside.settled_ends(consumer, settings, [place]))
        await producer.commit_transaction()
        ends, open_places = await waiting
    await clients.stop(consumer)
    assert (ends[place] > sent.offset, open_places) == (True, [])


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
