"""Reading the ledger of one partition back, from logs in memory."""

from __future__ import annotations

from typing import TYPE_CHECKING

import pytest
from aiokafka.errors import (
    CorruptRecordException,
    KafkaConnectionError,
    KafkaError,
    OffsetOutOfRangeError,
    TopicAuthorizationFailedError,
)

from streams.engine.checkpoint import UnreadableError
from streams.engine.topic_names import LEDGER, SEEN
from streams.kafka.client import clients
from streams.kafka.ledger import restore
from streams.kafka.ledger.restore import Found, _Newest, read_back
from tests.unit.kafka.ledger.kafka_logs import SETTINGS, Logs, Reader, cursor, logs

if TYPE_CHECKING:
    from streams.engine.batch import RecordBatch

__all__ = ["logs"]

PAGE, OTHER_PAGE = b'["g1","page",1]', b'["g1","page",2]'
CURSOR, OTHER_CURSOR, THIRD_CURSOR = b'["g1","cursor"]', b'["g2","cursor"]', b'["g3","cursor"]'


@pytest.fixture(autouse=True)
def _without_pauses(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(clients, "RETRY_SECONDS", 0)
    monkeypatch.setattr(clients, "outage", clients.Outage())


async def read(logs: Logs, *, skips_strange: bool = False) -> Found:
    """Read partition 0 of the first generation back, and leave no reader open."""
    try:
        return await read_back(SETTINGS, 0, "g1", skips_strange=skips_strange)
    finally:
        assert not logs.open


async def test_of_each_key_the_newest_record_is_restored_in_the_order_of_the_writes(logs: Logs) -> None:
    logs.commit(LEDGER, (PAGE, b"old"), (OTHER_PAGE, b"kept"), (CURSOR, b"first"))
    logs.commit(LEDGER, (PAGE, b"new"), (CURSOR, b"second"))
    logs.commit(LEDGER, (PAGE, b"elsewhere"), partition=1)
    found = await read(logs)
    assert list(found.written.ledger.items()) == [(OTHER_PAGE, b"kept"), (PAGE, b"new"), (CURSOR, b"second")]
    assert found.written.seen == {}
    assert found.others == {LEDGER: set(), SEEN: set()}
    assert found.others_read_to == {}


async def test_hashes_of_ids_are_restored_from_their_own_topic(logs: Logs) -> None:
    key, gone = b'["g1","ids",7]', b'["g1","ids",8]'
    logs.commit(SEEN, (key, b"hashes"), (gone, b"hashes"))
    logs.commit(SEEN, (gone, None))
    logs.commit(LEDGER, (PAGE, b"page"))
    found = await read(logs)
    assert found.written.seen == {key: b"hashes"}
    assert found.written.ledger == {PAGE: b"page"}


async def test_nothing_of_an_aborted_checkpoint_is_restored(logs: Logs) -> None:
    logs.commit(LEDGER, (PAGE, b"committed"))
    logs.write(LEDGER, (PAGE, b"aborted")).abort()
    assert (await read(logs)).written.ledger == {PAGE: b"committed"}


async def test_what_lies_behind_an_open_transaction_of_a_recount_is_waited_for(
    logs: Logs, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Else a checkpoint of this generation, committed beside it, would be missed."""
    recount = logs.write(LEDGER, (b'["g2","page",1]', b"beside"), by="recount")
    logs.commit(LEDGER, (PAGE, b"behind"))
    fetch, waits = Reader.fetch, 0

    async def patient(self: Reader, timeout_seconds: float) -> list[RecordBatch]:
        nonlocal waits
        waits += 1
        if waits == 3:
            recount.commit()
        return await fetch(self, timeout_seconds)

    monkeypatch.setattr(Reader, "fetch", patient)
    found = await read(logs)
    assert found.written.ledger == {PAGE: b"behind"}
    assert found.others[LEDGER] == {b'["g2","page",1]'}
    assert waits > 3


async def test_a_note_is_no_part_of_what_is_restored(logs: Logs) -> None:
    logs.commit(LEDGER, (PAGE, b"page"), (b'["g1","held"]', b"why"))
    found = await read(logs)
    assert found.written.ledger == {PAGE: b"page"}
    assert found.others[LEDGER] == set()


def test_what_stands_behind_a_note_in_one_fetch_is_restored_too(logs: Logs) -> None:
    logs.commit(LEDGER, (b'["g1","held"]', b"why"), (PAGE, b"page"))
    newest = _Newest("g1")
    newest.add(logs.kafka.fetch(LEDGER, 0, 0))
    assert newest.pages == {PAGE: b"page"}


async def test_keys_of_other_generations_are_told_by_topic_until_they_are_deleted(logs: Logs) -> None:
    page, gone, ids = b'["g2","page",1]', b'["g2","page",2]', b'["g2","ids",1]'
    logs.commit(LEDGER, (page, b"x"), (gone, b"x"), (b'["g12","page",1]', b"x"))
    logs.commit(LEDGER, (gone, None), (b'["generations"]', b"{}"))
    logs.commit(SEEN, (ids, b"x"))
    found = await read(logs)
    assert found.others == {LEDGER: {page, b'["g12","page",1]'}, SEEN: {ids}}
    assert found.written.ledger == {}


async def test_how_far_other_generations_read_stands_in_their_cursors(logs: Logs) -> None:
    logs.commit(LEDGER, (OTHER_CURSOR, cursor(orders=7, payments=2)), (THIRD_CURSOR, cursor(orders=5, payments=4)))
    logs.commit(LEDGER, (CURSOR, cursor(orders=100)))
    assert (await read(logs)).others_read_to == {
        "g2": {"orders": 7, "payments": 2},
        "g3": {"orders": 5, "payments": 4},
    }


async def test_a_cursor_that_was_deleted_says_nothing_any_more(logs: Logs) -> None:
    logs.commit(LEDGER, (OTHER_CURSOR, cursor(orders=7)))
    logs.commit(LEDGER, (OTHER_CURSOR, None))
    assert (await read(logs)).others_read_to == {}


async def test_a_cursor_of_another_generation_that_cannot_be_read_is_left_out_alone(
    logs: Logs, caplog: pytest.LogCaptureFixture
) -> None:
    logs.commit(LEDGER, (OTHER_CURSOR, b"rubbish"), (THIRD_CURSOR, cursor(orders=5)), (b'["g2","page",1]', b"page"))
    assert (await read(logs)).others_read_to == {"g3": {"orders": 5}}
    assert caplog.text.count("cursor of another generation") == 1


async def test_a_record_of_another_version_makes_the_ledger_unreadable_with_its_place(logs: Logs) -> None:
    logs.commit(LEDGER, (PAGE, b"page"), (b"strange", b"x"))
    with pytest.raises(UnreadableError, match=r"festival\.ledger partition 0 offset 1: .*strange"):
        await read(logs)
    found = await read(logs, skips_strange=True)
    assert found.written.ledger == {PAGE: b"page"}
    assert found.others[LEDGER] == {b"strange"}


async def test_a_strange_record_that_was_deleted_is_none_any_more(logs: Logs) -> None:
    logs.commit(LEDGER, (b"strange", b"x"))
    logs.commit(LEDGER, (b"strange", None))
    assert (await read(logs)).others[LEDGER] == set()


async def test_a_fetch_without_an_answer_is_made_again_and_told(logs: Logs, caplog: pytest.LogCaptureFixture) -> None:
    logs.commit(LEDGER, (PAGE, b"page"))
    logs.faults = [KafkaConnectionError("away"), OSError("away")] * restore.ATTEMPTS
    assert (await read(logs)).written.ledger == {PAGE: b"page"}
    assert caplog.text.count("waiting for the broker") == 1


async def test_a_missing_right_is_not_waited_for(logs: Logs) -> None:
    logs.faults_of_ends = [TopicAuthorizationFailedError(LEDGER)]
    with pytest.raises(TopicAuthorizationFailedError, match=LEDGER):
        await read(logs)


@pytest.mark.parametrize("error", [CorruptRecordException("bytes"), OffsetOutOfRangeError({})])
async def test_damaged_records_are_read_again_and_then_given_up(
    logs: Logs, error: KafkaError, caplog: pytest.LogCaptureFixture
) -> None:
    """They may have been damaged on the way."""
    logs.commit(LEDGER, (PAGE, b"page"))
    logs.faults = [error] * (restore.ATTEMPTS - 1)
    assert (await read(logs)).written.ledger == {PAGE: b"page"}
    assert caplog.text.count("reading the ledger again") == restore.ATTEMPTS - 1
    logs.faults = [error] * restore.ATTEMPTS
    with pytest.raises(UnreadableError, match="ledger of partition 0"):
        await read(logs)
    assert not logs.faults
