"""What a worker refuses, and partitions that are held while the others go on."""

from __future__ import annotations

import asyncio
import subprocess
import sys
from typing import TYPE_CHECKING

import pytest
from aiokafka import AIOKafkaProducer, TopicPartition
from aiokafka.admin import AIOKafkaAdminClient, RecordsToDelete

from streams.kafka.cluster.topics import create_topics
from tests.integration import worker_processes as w

if TYPE_CHECKING:
    from pathlib import Path

    from streams.settings import Settings

pytestmark = pytest.mark.kafka
REFUSED = 2
UNREACHABLE = 3


async def _send(settings: Settings, partition: int, count: int, *, is_aborted: bool = False) -> None:
    """Send orders to one partition in one transaction."""
    load = w.Load(settings, seed=partition)
    producer = AIOKafkaProducer(**settings.client_options(), transactional_id=f"{settings.prefix}source-{partition}")
    await producer.start()
    try:
        await producer.begin_transaction()
        sent = 0
        while sent < count:
            topic, _, value = load.next_record()
            if topic == "orders":
                await producer.send(settings.prefix + topic, value, partition=partition)
                sent += 1
        await producer.flush()
        await (producer.abort_transaction() if is_aborted else producer.commit_transaction())
    finally:
        await producer.stop()


async def test_two_workers_of_one_name_are_refused(kafka: str, prefix: str, tmp_path: Path) -> None:
    """They would evict each other from the group without an error."""
    settings = await w.prepare(kafka, prefix, tmp_path)
    first, second = w.WorkerProcess(settings, "same"), w.WorkerProcess(settings, "same")
    second.log_file = tmp_path / "second.log"
    with w.ended(first, second):
        first.start()
        await first.counting(w.PARTITIONS)
        second.start()
        await w.eventually("the second is refused", second.has_ended)
        assert second.process.returncode == REFUSED
        assert "choose another --name" in second.log()
        assert first.stop() == 0


@pytest.mark.long
async def test_a_broker_that_is_not_there_is_waited_for_a_minute_and_then_told(tmp_path: Path) -> None:
    """Exit 3, with a sentence and no stack trace."""
    command = [sys.executable, "-m", "streams.cli", "worker", "--broker", "127.0.0.1:1", "--data", str(tmp_path)]
    done = await asyncio.to_thread(subprocess.run, command, capture_output=True, text=True, timeout=100, check=False)
    assert done.returncode == UNREACHABLE
    assert "Traceback" not in done.stderr
    assert "127.0.0.1:1" in done.stderr


async def test_what_the_group_refuses_ends_the_worker(kafka: str, prefix: str, tmp_path: Path) -> None:
    """A session timeout below the broker's bound: exit 2, where it would wait in silence for ever."""
    settings = await w.prepare(kafka, prefix, tmp_path)
    worker = w.WorkerProcess(settings, "one", {"FESTIVAL_SESSION_TIMEOUT_MS": "1000"})
    with w.ended(worker):
        worker.start()
        await w.eventually("refused", worker.has_ended)
        assert worker.process.returncode == REFUSED
        assert "FESTIVAL_SESSION_TIMEOUT_MS" in worker.log()


async def test_a_worker_under_other_declarations_is_refused(kafka: str, prefix: str, tmp_path: Path) -> None:
    """Exit 2, naming the difference; the ledger stays as it was."""
    settings = await w.prepare(kafka, prefix, tmp_path)
    worker = w.WorkerProcess(settings, "one")
    with w.ended(worker):
        worker.start()
        await worker.counting(w.PARTITIONS)
        assert worker.stop() == 0
        other = w.WorkerProcess(settings, "one", {"FESTIVAL_DEDUP_HORIZON_MINUTES": "11"})
        with w.ended(other):
            other.start()
            await w.eventually("refused", other.has_ended)
            assert other.process.returncode == REFUSED
            assert "FESTIVAL_DEDUP_HORIZON_MINUTES: the ledger has 10, here is 11" in other.log()
            assert "festival recount" in other.log()


async def test_records_deleted_before_they_were_counted_hold_their_partition(
    kafka: str, prefix: str, tmp_path: Path
) -> None:
    """The others go on; nothing is skipped in silence."""
    settings = await w.prepare(kafka, prefix, tmp_path)
    worker = w.WorkerProcess(settings, "one")
    with w.ended(worker):
        worker.start()
        await worker.counting(w.PARTITIONS)
        for partition in range(w.PARTITIONS):
            await _send(settings, partition, 20)
        await w.counted_up(settings)
        assert worker.stop() == 0
        await _send(settings, 1, 20)
        await _delete_records(settings, partition=1)
        worker.start()
        await w.eventually("held", lambda: "partition held" in worker.log())
        assert "orders[1]" in worker.log()
        assert "reason=log_deleted" in worker.log()
        await _send(settings, 2, 20)
        await w.eventually_async("partition 2 goes on", lambda: _is_counted(settings, 2))
        assert not await _is_counted(settings, 1)
        assert worker.stop() == 0


async def test_a_topic_made_again_holds_its_partitions_and_ends_a_worker_that_has_no_others(
    kafka: str, prefix: str, tmp_path: Path
) -> None:
    """Whether the new log ends before the position or behind it: exit 3."""
    settings = await w.prepare(kafka, prefix, tmp_path)
    worker = w.WorkerProcess(settings, "one")
    with w.ended(worker):
        worker.start()
        await worker.counting(w.PARTITIONS)
        for partition in range(w.PARTITIONS):
            await _send(settings, partition, 20)
        await w.counted_up(settings)
        assert worker.stop() == 0
        admin = AIOKafkaAdminClient(**settings.client_options())
        await admin.start()
        await admin.delete_topics([settings.prefix + "orders"])
        await admin.close()
        await w.eventually_async("made again", lambda: _is_made_again(settings))
        await _send(settings, 1, 40)
        worker.start()
        await w.eventually("ended", worker.has_ended)
        assert worker.process.returncode == UNREACHABLE
        assert worker.log().count("reason=log_replaced") == w.PARTITIONS


async def test_aborted_transactions_of_producers_are_not_counted(kafka: str, prefix: str, tmp_path: Path) -> None:
    """A partition that ends in aborted records is counted up all the same."""
    settings = await w.prepare(kafka, prefix, tmp_path)
    worker = w.WorkerProcess(settings, "one")
    with w.ended(worker):
        worker.start()
        await worker.counting(w.PARTITIONS)
        await _send(settings, 0, 50)
        await _send(settings, 0, 30, is_aborted=True)
        await _send(settings, 1, 30, is_aborted=True)
        await w.counted_up(settings)
        assert 0 < await w.assert_exact(settings) <= 50
        assert worker.stop() == 0
        worker.start()
        await worker.counting(2 * w.PARTITIONS)
        assert "held" not in worker.log(), "aborted records are newer than any counted one, and no other log"
        assert worker.stop() == 0


async def _delete_records(settings: Settings, partition: int) -> None:
    ends = await w.end_offsets(settings)
    tp = TopicPartition(settings.prefix + "orders", partition)
    admin = AIOKafkaAdminClient(**settings.client_options())
    await admin.start()
    try:
        await admin.delete_records({tp: RecordsToDelete(before_offset=ends[partition]["orders"])})
    finally:
        await admin.close()


async def _is_counted(settings: Settings, partition: int) -> bool:
    ends, positions = await w.end_offsets(settings), await w.positions(settings)
    return positions[partition] == ends[partition]


async def _is_made_again(settings: Settings) -> bool:
    try:
        await create_topics(settings, w.PARTITIONS)
    except Exception:  # noqa: BLE001 - the broker still deletes
        return False
    return True
