"""What the ledger's store on the in-memory Kafka does beyond the contract suite."""

from __future__ import annotations

import asyncio
import dataclasses

import pytest

from streams.engine.checkpoint import FencedError, OutcomeUnknownError, Restored, UnreadableError
from streams.engine.memory import Fate, Kafka, MemoryLedgerStore, Producer, Request, at_request, create_topics
from streams.engine.memory.errors import AnswerLostError, NotStableError, TransactionTimedOutError
from streams.engine.memory.ledger import TRANSACTION_TIMEOUT_MS
from streams.engine.steps import Step, at_nth
from streams.engine.topic_names import LEDGER, SEEN
from tests.contract.test_ledger_store import bad_record, checkpoint, page, page_key


@pytest.fixture
def kafka() -> Kafka:
    kafka = Kafka()
    create_topics(kafka, 1)
    return kafka


def test_a_commit_whose_answer_was_lost_is_committed_and_its_owner_does_not_know(kafka: Kafka) -> None:
    store = MemoryLedgerStore(kafka=kafka)
    owner = store.fence_now(0, "g1")
    kafka.faults.on_request = at_request(Request.END_TRANSACTION, Fate.UNANSWERED)
    with pytest.raises(OutcomeUnknownError) as caught:
        owner.commit_now(checkpoint(1, pages={"a": b"1"}))
    assert isinstance(caught.value.__cause__, AnswerLostError)
    assert store.commits == 0
    assert store.committed(0, "g1").pages[page("a")] == b"1"


def test_a_crash_during_the_commit_leaves_the_transaction_open_until_somebody_fences(kafka: Kafka) -> None:
    def crash() -> None:
        raise RuntimeError

    owner = MemoryLedgerStore(at_nth(Step.DURING_COMMIT, 1, crash), kafka).fence_now(0, "g1")
    with pytest.raises(OutcomeUnknownError):
        owner.commit_now(checkpoint(1, pages={"a": b"1"}))
    assert kafka.end_offset(LEDGER, 0) == 0
    successor = MemoryLedgerStore(kafka=kafka).fence_now(0, "g1")
    assert not successor.restore_now().pages


def test_the_cause_of_a_fence_tells_a_timeout_from_a_newer_owner(kafka: Kafka) -> None:
    store = MemoryLedgerStore(
        at_nth(Step.AFTER_CURSOR, 1, lambda: kafka.tick(kafka.now_ms + TRANSACTION_TIMEOUT_MS)), kafka
    )
    with pytest.raises(FencedError) as caught:
        store.fence_now(0, "g1").commit_now(checkpoint(1))
    assert isinstance(caught.value.__cause__, TransactionTimedOutError)


def test_a_fence_that_a_step_raises_is_a_fence(kafka: Kafka) -> None:
    def fence() -> None:
        raise FencedError

    owner = MemoryLedgerStore(at_nth(Step.BEFORE_BEGIN, 1, fence), kafka).fence_now(0, "g1")
    with pytest.raises(FencedError):
        owner.commit_now(checkpoint(1))


async def test_a_takeover_waits_for_transactions_that_may_change_what_it_reads(kafka: Kafka) -> None:
    store = MemoryLedgerStore(kafka=kafka)
    owner = store.fence_now(0, "g1")
    beside = Producer(kafka, "recount")
    beside.send(LEDGER, 0, [b"1"], [page_key("a", "g2")])
    with pytest.raises(NotStableError, match="open at offset 0"):
        owner.restore_now()
    with pytest.raises(NotStableError):
        store.fence_now(0, "g1")
    waiting = asyncio.gather(store.fence(0, "g1"), owner.restore())
    await asyncio.sleep(0)
    assert not waiting.done()
    beside.commit()
    _, restored = await waiting
    assert not restored.pages


def test_a_damaged_ledger_is_unreadable(kafka: Kafka) -> None:
    owner = MemoryLedgerStore(kafka=kafka).fence_now(0, "g1")
    owner.commit_now(checkpoint(1))
    kafka.log(LEDGER, 0).damaged.add(0)
    with pytest.raises(UnreadableError):
        owner.restore_now()


def test_a_store_of_its_own_makes_a_kafka_and_finds_rejected_records_of_all_topics() -> None:
    store = MemoryLedgerStore()
    records = [dataclasses.replace(bad_record(7), topic=topic) for topic in ("payments", "orders")]
    store.fence_now(0, "g1").commit_now(checkpoint(1, rejected=records))
    assert store.rejected == [records[1], records[0]]
    assert store.group_offsets == {("orders", 0): 100}
    assert store.committed(0, "g1") == Restored(checkpoint(1).cursor)


async def test_a_store_that_was_closed_writes_nothing_more(kafka: Kafka) -> None:
    owner = MemoryLedgerStore(kafka=kafka).fence_now(0, "g1")
    await owner.close()
    with pytest.raises(AssertionError, match="finished"):
        owner.commit_now(checkpoint(1))


def test_the_topics_of_a_ledger_are_compacted_and_the_sources_are_not() -> None:
    kafka = Kafka()
    create_topics(kafka, 2)
    compacted = {name for name in (LEDGER, SEEN, "orders", "orders.rejected") if kafka.topics[name].is_compacted}
    assert compacted == {LEDGER, SEEN}
