"""A ledger counts only for the logs it was made from: topics made again beside a worker, a ledger that was copied."""

from __future__ import annotations

import asyncio
import json
from contextlib import suppress
from dataclasses import replace
from typing import TYPE_CHECKING, Any

import pytest
from aiokafka import AIOKafkaConsumer, AIOKafkaProducer
from aiokafka.admin import AIOKafkaAdminClient
from aiokafka.structs import TopicPartition
from click.testing import CliRunner

from streams.app import declare
from streams.cli.main import festival
from streams.engine.topic_names import LEDGER, SEEN
from streams.errors import UnreachableError
from streams.kafka.cluster.topics import create_topics
from streams.settings import Settings
from tests.integration import worker_processes as w
from tests.integration.ledgers import PARTITIONS, count, orders, send

if TYPE_CHECKING:
    from pathlib import Path

pytestmark = pytest.mark.kafka

ORDERS, BURST = 400, 600
DAY = "singles-day-2019"


async def delete(settings: Settings, topic: str) -> None:
    """Delete a topic."""
    admin = AIOKafkaAdminClient(**settings.client_options())
    await admin.start()
    await admin.delete_topics([settings.prefix + topic])
    await admin.close()


async def make_again(settings: Settings, partitions: int) -> None:
    """Make what was deleted again; the broker still deletes for a moment."""
    for _ in range(100):
        with suppress(Exception):
            await create_topics(settings, partitions)
            return
        await asyncio.sleep(0.1)


async def totals(settings: Settings) -> dict[str, Any]:
    """Return what `festival totals` says."""
    flags = ["--broker", settings.bootstrap_servers, "--prefix", settings.prefix, "--json"]
    command = ["totals", "--festival", DAY, *flags]
    # In a thread: the command has an event loop of its own.
    result = await asyncio.to_thread(CliRunner().invoke, festival, command, standalone_mode=False)
    assert result.exception is None, result.exception
    found: dict[str, Any] = json.loads(result.stdout)
    return found


@pytest.mark.parametrize(
    ("topic", "is_made_again", "reason"),
    [
        pytest.param("festival.ledger", True, "ledger_replaced"),
        pytest.param("festival.ledger", False, "ledger_missing", marks=pytest.mark.long),
        pytest.param("orders", True, "log_replaced"),
    ],
)
async def test_a_topic_that_goes_beside_a_running_worker_holds_all_and_is_told_with_the_command(
    kafka: str, prefix: str, tmp_path: Path, topic: str, reason: str, *, is_made_again: bool
) -> None:
    """Within seconds, though the new log has grown beyond the position; nothing is called complete any more."""
    settings = await w.prepare(kafka, prefix, tmp_path)
    worker = w.WorkerProcess(settings, "one")
    with w.ended(worker):
        worker.start()
        await worker.counting(w.PARTITIONS)
        await send(settings, orders(0, ORDERS))
        await w.counted_up(settings)
        assert (await totals(settings))["complete"]
        await delete(settings, topic)
        if is_made_again:
            await make_again(settings, w.PARTITIONS)
            await send(settings, orders(ORDERS, BURST))
        await w.eventually("it ends", worker.has_ended, 60)
        assert worker.process.returncode == UnreachableError.exit_status
        told = worker.log()
        assert told.count(f"reason={reason}") == w.PARTITIONS
        assert "festival recount" in told
        assert "reason=beyond_end" not in told
        if not is_made_again:
            return
        found = await totals(settings)
        assert not found["complete"]
        # To some partitions of the ledger that was made again nothing may have been written: these are not covered.
        assert {one["reason"] for one in found["held"]} <= {reason}
        if topic == "orders":
            worker.start()
            await w.eventually("it ends again", worker.has_ended, 60)
            assert worker.log().count(f"reason={reason}") == 2 * w.PARTITIONS


async def copied(settings: Settings, into: Settings, topic: str, leave_out: int = 0) -> None:
    """Copy what is committed on a topic record by record, as a mirror does, but for so many of its last records."""
    places = [TopicPartition(settings.prefix + topic, number) for number in range(PARTITIONS)]
    options: dict[str, Any] = {"isolation_level": "read_committed", "auto_offset_reset": "earliest"}
    async with (
        AIOKafkaConsumer(**settings.client_options(), **options) as consumer,
        AIOKafkaProducer(**into.client_options()) as producer,
    ):
        consumer.assign(places)
        ends = await consumer.end_offsets(places)
        records = {place: [] for place in places}  # type: dict[TopicPartition, list[Any]]
        while any([await consumer.position(place) < ends[place] for place in places]):
            for place, found in (await consumer.getmany(timeout_ms=200)).items():
                records[place] += found
        for place, found in records.items():
            for record in found[: len(found) - leave_out]:
                await producer.send_and_wait(
                    into.prefix + topic, record.value, key=record.key, partition=place.partition
                )


async def test_a_ledger_that_was_copied_is_refused_and_one_that_was_cut_inside_a_checkpoint_is_unreadable(
    kafka: str, prefix: str, tmp_path: Path
) -> None:
    """Complete to the last record, it counted other topics; with records missing, or older ones, it is nobody's."""
    settings = Settings(broker=kafka, prefix=prefix, data_dir=tmp_path)
    mirror = replace(settings, prefix=f"{prefix}mirror-")
    for one in (settings, mirror):
        await create_topics(one, PARTITIONS)
    await send(settings, orders(0, ORDERS))
    await (await count(settings, declare(settings)[1])).close()
    assert (await totals(settings))["complete"]
    for topic in ("orders", LEDGER, SEEN):
        await copied(settings, mirror, topic)
    found = await totals(mirror)
    assert (found["complete"], found["orders"]) == (False, ORDERS)
    assert {one["partition"]: one["reason"] for one in found["held"]} == dict.fromkeys((0, 1), "ledger_replaced")
    # What lies on the ledger itself is not what its cursors were committed with: the first pages once more.
    await copied(settings, settings, LEDGER, leave_out=3)
    found = await totals(settings)
    assert not found["complete"]
    assert {one["reason"] for one in found["held"]} == {"ledger_unreadable"}
    worker = w.WorkerProcess(settings, "one")
    with w.ended(worker):
        worker.start()
        await w.eventually("it ends", worker.has_ended, 60)
        assert worker.process.returncode == UnreachableError.exit_status
        assert worker.log().count("reason=ledger_unreadable") == PARTITIONS
