"""No total is replaced by a smaller one unasked: `festival recount` over a log that has lost its beginning."""

from __future__ import annotations

import asyncio
import json
from typing import TYPE_CHECKING, Any

import pytest
from aiokafka.admin import AIOKafkaAdminClient, RecordsToDelete
from aiokafka.structs import TopicPartition
from click.testing import CliRunner, Result

from streams.app import declare
from streams.board.answers.gauges import Scene, counted_from
from streams.board.view.committed_view import CommittedView
from streams.cli.main import festival
from streams.kafka.cluster.topics import create_topics
from streams.kafka.ledger.follower import read_committed_ledger
from streams.kafka.ledger.generations import current_generation
from streams.settings import Settings
from tests.integration.ledgers import PARTITIONS, count, orders, send

if TYPE_CHECKING:
    from collections.abc import Mapping

pytestmark = pytest.mark.kafka

ORDERS = 6_000
LOST = 1_200
"""Records that are gone of partition 0."""
FROM = {"orders": {"0": LOST}}
DAY = "singles-day-2019"


@pytest.fixture
async def settings(kafka: str, prefix: str) -> Settings:
    """Return settings whose prefix holds orders, counted, some of which are gone by now."""
    settings = Settings(broker=kafka, prefix=prefix)
    await create_topics(settings, PARTITIONS)
    await send(settings, orders(0, ORDERS))
    await (await count(settings, declare(settings)[1])).close()
    await delete(settings, {0: LOST})
    return settings


async def delete(settings: Settings, below: Mapping[int, int]) -> None:
    """Delete orders as retention, or somebody's DeleteRecords, would."""
    admin = AIOKafkaAdminClient(**settings.client_options())
    await admin.start()
    await admin.delete_records(
        {TopicPartition(f"{settings.prefix}orders", p): RecordsToDelete(o) for p, o in below.items()}
    )
    await admin.close()


async def run(settings: Settings, *arguments: str) -> Result:
    flags = ["--broker", settings.bootstrap_servers, "--prefix", settings.prefix]
    # In a thread: the command has an event loop of its own.
    result = await asyncio.to_thread(CliRunner().invoke, festival, [*arguments, *flags], standalone_mode=False)
    assert result.exception is None, result.exception
    return result


async def document(settings: Settings, *arguments: str) -> tuple[int, dict[str, Any]]:
    """Return exit status and document of a command."""
    result = await run(settings, *arguments, "--json")
    return result.return_value, json.loads(result.stdout)


async def test_a_shortened_log_is_audited_from_where_it_begins_and_recounted_with_leave_only(
    settings: Settings,
) -> None:
    status, audit = await document(settings, "audit", "--no-record")
    assert (status, audit["exact"], audit["records"]) == (0, True, ORDERS - LOST)
    assert audit["from"]["orders"] == {"0": LOST, "1": 0}
    told = await run(settings, "audit", "--no-record")
    assert "orders[0]: the log begins at offset 1,200 and the ledger at 0" in told.stdout
    assert "recount" not in told.stdout

    refused = await run(settings, "recount")
    assert refused.return_value == 1
    assert "orders[0]: the ledger counted offsets 0 to 3000, the log begins at offset 1200" in refused.stdout
    assert f"{DAY} (orders[0]) now: 6,000 orders, gross " in refused.stdout
    status, refusal = await document(settings, "recount")
    assert (status, refusal["recounted"], refusal["before"][DAY]["orders"]) == (1, False, ORDERS)
    loss = {
        "topic": "orders",
        "partition": 0,
        "began": 0,
        "position": 3000,
        "begins": LOST,
        "ends": None,
        "reason": None,
    }
    assert (refusal["losses"], refusal["after"]) == ([{**loss, "ends": None, "reason": None}], {})
    assert await current_generation(settings) == "g1"

    status, report = await document(settings, "recount", "--accept-loss")
    assert (status, report["generation"], report["counted_from"]) == (0, "g2", FROM)
    assert (report["before"][DAY]["orders"], report["after"][DAY]["orders"]) == (ORDERS, ORDERS - LOST)
    status, totals = await document(settings, "totals", "--festival", DAY)
    assert (status, totals["orders"], totals["complete"], totals["counted_from"]) == (0, ORDERS - LOST, True, FROM)
    shown = await run(settings, "totals", "--festival", DAY)
    assert "COUNTED FROM offset 1,200 of orders[0] on" in shown.stdout
    status, audit = await document(settings, "audit", "--no-record")
    assert (status, audit["exact"], audit["counted_from"]) == (0, True, FROM)
    assert audit["from"]["orders"] == {"0": LOST, "1": 0}
    view = CommittedView()
    view.feed(await read_committed_ledger(settings))
    told_by = dict(counted_from(Scene(view.snapshot(), list(declare(settings)[0].values()))))
    assert (told_by[DAY,], told_by["cardboard-day-2019",]) == (1, 0)

    # What was accepted once stays told, and a recount that loses nothing more needs no leave.
    status, report = await document(settings, "recount")
    assert (status, report["generation"], report["losses"], report["counted_from"]) == (0, "g3", [], FROM)


async def test_a_topic_that_was_made_again_and_has_outgrown_its_position_is_recounted_with_leave_only(
    kafka: str, prefix: str
) -> None:
    settings = Settings(broker=kafka, prefix=prefix)
    await create_topics(settings, PARTITIONS)
    await send(settings, [*[b"no order"] * 4, *orders(0, 1_000)])
    await (await count(settings, declare(settings)[1])).close()
    await make_again(settings, "orders")
    await send(settings, [b"no order either", *orders(5_000, 3_000), b"no order"])

    status, refusal = await document(settings, "recount")
    assert (status, refusal["recounted"], refusal["before"][DAY]["orders"]) == (1, False, 1_000)
    assert {loss["reason"] for loss in refusal["losses"]} == {"log_replaced"}
    assert "the topic was deleted and made again" in (await run(settings, "recount")).stdout

    status, report = await document(settings, "recount", "--accept-loss")
    assert (status, report["after"][DAY]["orders"]) == (0, 3_000)
    assert report["counted_from"] == {"orders": {"0": 0, "1": 0}}
    status, audit = await document(settings, "audit", "--no-record")
    assert (status, audit["exact"], audit["records"]) == (0, True, 3_002), "the bad ones are set aside, and once"


async def make_again(settings: Settings, topic: str) -> None:
    """Delete a topic and let `festival topics` make it again."""
    admin = AIOKafkaAdminClient(**settings.client_options())
    await admin.start()
    await admin.delete_topics([settings.prefix + topic])
    while settings.prefix + topic in await admin.list_topics():
        await asyncio.sleep(0.1)
    await admin.close()
    await create_topics(settings, PARTITIONS)
