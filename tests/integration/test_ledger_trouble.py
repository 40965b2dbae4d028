"""What the ledger's readers and writers do when aiokafka, the broker or the bytes fail them."""

from __future__ import annotations

import asyncio
import random
import time
from typing import TYPE_CHECKING

import pytest
from aiokafka import AIOKafkaProducer
from aiokafka.errors import CorruptRecordException, KafkaConnectionError, TransactionalIdAuthorizationFailed
from aiokafka.structs import TopicPartition

from streams.broker.embedded import any_free_port
from streams.engine.checkpoint import FencedError, OutcomeUnknownError, UnreadableError
from streams.engine.generations import Generations
from streams.engine.steps import Step
from streams.engine.topic_names import LEDGER
from streams.errors import UsageError
from streams.kafka.client import clients, raw_consumer
from streams.kafka.client.log_reader import LogReader
from streams.kafka.ledger.generations import GenerationWatch
from streams.kafka.ledger.store import KafkaLedgerStore
from streams.settings import Settings
from tests.contract.test_ledger_store import bad_record, checkpoint, page

if TYPE_CHECKING:
    from collections.abc import AsyncIterator

pytestmark = pytest.mark.kafka


@pytest.fixture
async def store(settings: Settings) -> AsyncIterator[KafkaLedgerStore]:
    store = KafkaLedgerStore(settings)
    yield store
    await store.close()


async def test_damaged_bytes_make_a_partition_unreadable_after_a_few_attempts(
    settings: Settings, store: KafkaLedgerStore, monkeypatch: pytest.MonkeyPatch
) -> None:
    owner = await store.fence(0, "g1")
    await owner.commit(checkpoint(1, pages={"a": b"1"}))
    monkeypatch.setattr(clients, "RETRY_SECONDS", 0.01)
    attempts = []

    def damaged(*arguments: object, **_: object) -> None:
        attempts.append(arguments)
        raise ValueError("lz4 frame")

    monkeypatch.setattr(raw_consumer, "unpack", damaged)
    with pytest.raises(UnreadableError, match=r"partition 0.*lz4 frame"):
        await owner.restore()
    assert len(attempts) == 3
    reader = await LogReader.open(settings)
    await reader.assign_from_beginning([TopicPartition(LEDGER, 0)])
    with pytest.raises(CorruptRecordException):
        await reader.fetch(20)
    await reader.close()
    await owner.close()


async def test_a_restore_reads_on_after_an_error_that_passes(
    store: KafkaLedgerStore, monkeypatch: pytest.MonkeyPatch
) -> None:
    owner = await store.fence(0, "g1")
    await owner.commit(checkpoint(1, pages={"a": b"1"}))
    monkeypatch.setattr(clients, "RETRY_SECONDS", 0.01)
    healthy, failures = LogReader.end_offsets, [KafkaConnectionError(), TimeoutError(), OSError()]

    async def shaky(self: LogReader, partitions: list[TopicPartition]) -> dict[TopicPartition, int]:
        if failures:
            raise failures.pop()
        return await healthy(self, partitions)

    monkeypatch.setattr(LogReader, "end_offsets", shaky)
    assert (await owner.restore()).pages[page("a")] == b"1"
    assert not failures
    await owner.close()


async def test_a_reader_whose_fetcher_has_died_says_so_and_a_watch_starts_over(settings: Settings) -> None:
    watch = GenerationWatch(settings)
    assert await watch.look() == Generations()
    assert watch._reader is not None
    watch._reader._consumer._fetcher._fetch_task.cancel()
    await asyncio.sleep(0)
    with pytest.raises(KafkaConnectionError, match="died"):
        await watch._reader.fetch(0)
    watch._reader.positions[TopicPartition(LEDGER, 0)] = -1
    with pytest.raises(KafkaConnectionError, match="died"):
        await watch.look()
    assert await watch.look() == Generations()
    await watch.close()


async def test_a_fence_that_the_broker_does_not_allow_is_told_as_that_and_can_be_tried_again(
    store: KafkaLedgerStore, monkeypatch: pytest.MonkeyPatch
) -> None:
    async def refused(*_: object) -> None:
        raise TransactionalIdAuthorizationFailed("festival-g1-0")

    with monkeypatch.context() as patched:
        patched.setattr(AIOKafkaProducer, "start", refused)
        with pytest.raises(TransactionalIdAuthorizationFailed):
            await store.fence(0, "g1")
    await (await store.fence(0, "g1")).close()


async def test_a_failed_batch_fails_the_commit_and_nothing_of_it_is_there(store: KafkaLedgerStore) -> None:
    owner = await store.fence(0, "g1")
    await owner.commit(checkpoint(1, pages={"a": b"1"}))
    # Larger than the broker takes: the batch fails, and aiokafka would commit the rest without a word.
    too_large = random.Random(1).randbytes(1_200_000)  # noqa: S311
    with pytest.raises(OutcomeUnknownError, match="MessageSizeTooLarge"):
        await owner.commit(checkpoint(2, pages={"a": b"2"}, rejected=[bad_record(1, value=too_large)]))
    await owner.close()
    successor = await store.fence(0, "g1")
    assert (await successor.restore()).pages[page("a")] == b"1"
    await successor.close()


async def test_an_owner_that_stood_still_until_the_broker_ended_its_transaction_is_told_that_it_is_fenced(
    settings: Settings, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(clients, "TRANSACTION_TIMEOUT_MS", 1_000)

    def stand_still(step: Step) -> None:
        if step is Step.AFTER_PAGES:
            time.sleep(12)  # nothing of this process runs; the broker looks for old transactions every ten seconds

    store = KafkaLedgerStore(settings, at_step=stand_still)
    owner = await store.fence(0, "g1")
    with pytest.raises(FencedError):
        await owner.commit(checkpoint(1, pages={"a": b"1"}))
    await owner.close()
    successor = await store.fence(0, "g1")
    assert not (await successor.restore()).pages
    await successor.close()
    await store.close()


async def test_an_unknown_crash_step_is_a_usage_error(settings: Settings, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("FESTIVAL_CRASH_AT", "sometimes")
    with pytest.raises(UsageError, match=r"FESTIVAL_CRASH_AT: .*before_begin"):
        KafkaLedgerStore(settings)


async def test_an_impatient_reader_gives_up_at_once_and_patient_ones_wait_with_one_log_line_until_cancelled(
    monkeypatch: pytest.MonkeyPatch, caplog: pytest.LogCaptureFixture
) -> None:
    nowhere = Settings(broker=f"127.0.0.1:{any_free_port()}")
    monkeypatch.setattr(clients, "outage", clients.Outage())
    monkeypatch.setattr(clients, "RETRY_SECONDS", 0.05)
    with pytest.raises(KafkaConnectionError):
        await LogReader.open(nowhere, is_patient=False)
    waiting = [asyncio.create_task(KafkaLedgerStore(nowhere).fence(partition, "g1")) for partition in range(4)]
    done, _ = await asyncio.wait(waiting, timeout=0.7)
    assert not done
    for task in waiting:
        task.cancel()
    outcomes = await asyncio.gather(*waiting, return_exceptions=True)
    assert [type(outcome) for outcome in outcomes] == [asyncio.CancelledError] * 4
    assert [record.getMessage() for record in caplog.records if record.name == "festival.kafka"] == [
        "waiting for the broker"
    ]
