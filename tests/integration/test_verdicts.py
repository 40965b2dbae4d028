"""Verdicts of audits on real Kafka: recorded by the command, shown by boards that start before and after."""

from __future__ import annotations

import asyncio
import json
import urllib.error
import urllib.request
from typing import TYPE_CHECKING, Any

import pytest
from aiokafka import AIOKafkaConsumer, AIOKafkaProducer
from aiokafka.admin import AIOKafkaAdminClient
from aiokafka.structs import TopicPartition
from click.testing import CliRunner
from prometheus_client.parser import text_string_to_metric_families

from streams.app import declare
from streams.cli.main import festival
from streams.kafka.cluster.topics import create_topics
from streams.kafka.ledger.follower import read_committed_ledger
from streams.settings import Settings
from tests.integration.ledgers import PARTITIONS, count, orders, positions, send
from tests.integration.test_web import board, eventually

if TYPE_CHECKING:
    from collections.abc import Callable
    from pathlib import Path

    from click.testing import Result

pytestmark = pytest.mark.kafka
DAY = "singles-day-2019"
SECONDS = 30
UNAVAILABLE = 503
UNREAD = "nothing was read yet"


@pytest.fixture
async def settings(kafka: str, prefix: str, tmp_path: Path) -> Settings:
    """Return the settings of a prefix on which ten orders were counted."""
    settings = Settings(broker=kafka, prefix=prefix, data_dir=tmp_path)
    await create_topics(settings, PARTITIONS)
    await send_and_count(settings, 0, 10)
    return settings


async def send_and_count(settings: Settings, first: int, number: int) -> None:
    await send(settings, orders(first, number))
    counting = await count(settings, declare(settings)[1])
    await counting.close()


async def audit(settings: Settings, *arguments: str) -> Result:
    flags = ["--broker", settings.bootstrap_servers, "--prefix", settings.prefix, "--data", str(settings.data_dir)]
    # In a thread: the command has an event loop of its own.
    return await asyncio.to_thread(CliRunner().invoke, festival, ["audit", *arguments, *flags], standalone_mode=False)


async def recorded(settings: Settings) -> list[tuple[str, dict[str, Any]]]:
    """Return all that was ever recorded, key and value."""
    place = TopicPartition(f"{settings.prefix}festival.audits", 0)
    async with AIOKafkaConsumer(bootstrap_servers=settings.broker) as consumer:
        consumer.assign([place])
        await consumer.seek_to_beginning(place)
        found: list[tuple[str, dict[str, Any]]] = []
        end = (await consumer.end_offsets([place]))[place]
        while len(found) < end:
            for records in (await consumer.getmany(timeout_ms=500)).values():
                found += [(record.key.decode(), json.loads(record.value)) for record in records]
    return found


def shown(url: str) -> Any:  # noqa: ANN401 - JSON
    """Return what the screen is told of the audit; `UNREAD` while the board has no committed state."""
    try:
        with urllib.request.urlopen(f"{url}api/stream?festival={DAY}", timeout=SECONDS) as stream:  # noqa: S310 - our own
            is_told = False
            for line in stream:
                if is_told:
                    return json.loads(line.removeprefix(b"data: "))["audit"]
                is_told = line == b"event: totals\n"
    except urllib.error.HTTPError as error:
        if error.code != UNAVAILABLE:
            raise
        return UNREAD
    raise AssertionError("the stream has ended")


async def until_shown(url: str, is_wanted: Callable[[Any], bool]) -> Any:  # noqa: ANN401 - JSON
    """Return what the screen is told once that is wanted."""
    return await asyncio.to_thread(eventually, lambda: shown(url), lambda told: told != UNREAD and is_wanted(told))


def measured(url: str) -> dict[str, float]:
    """Return what the metrics tell of the audit, by measure, and when it was."""
    with urllib.request.urlopen(f"{url}metrics", timeout=SECONDS) as answer:  # noqa: S310 - our own server
        families = text_string_to_metric_families(answer.read().decode())
        samples = [sample for one in families for sample in one.samples if sample.name.startswith("streams_audit_")]
    return {sample.labels.get("measure", "time"): sample.value for sample in samples}


async def test_a_verdict_is_recorded_for_each_festival_and_shown_by_boards(settings: Settings, tmp_path: Path) -> None:
    elsewhere = Settings(broker=settings.broker, prefix=settings.prefix, data_dir=tmp_path / "elsewhere")
    with board(elsewhere) as url:
        await until_shown(url, lambda told: told is None)
        assert measured(url) == {}
        result = await audit(settings, "--json")
        assert result.return_value == 0, result.output
        festivals = sorted(declare(settings)[0])
        records = await recorded(settings)
        assert [key for key, _ in records] == festivals
        verdict = dict(records)[DAY]
        at = positions(await read_committed_ledger(settings))
        assert {(t, int(p)): o for t, of in verdict["positions"].items() for p, o in of.items()} == dict(at)
        assert {o for of in verdict["from"].values() for o in of.values()} == {0}
        assert (verdict["festival"], verdict["ledger"]) == (DAY, "g1")
        assert (verdict["exact"], verdict["differences"]) == (True, 0)
        told = await until_shown(url, lambda told: told is not None)
        expected = {"exact": True, "differences": 0, "audited_ms": verdict["audited_ms"], "is_of_this_state": True}
        assert told == expected
        assert measured(url) == {"any": 0, "time": pytest.approx(verdict["audited_ms"] / 1000)}
        await send_and_count(settings, 10, 10)
        told = await until_shown(url, lambda told: not told["is_of_this_state"])
        assert told == {**expected, "is_of_this_state": False}
    await plant_foreign_records(settings)
    assert (await audit(settings, "--festival", DAY)).return_value == 0
    with board(settings) as url:
        told = await until_shown(url, lambda told: told is not None)
        newest = (await recorded_after_foreign(settings))["audited_ms"]
        assert told == {**expected, "audited_ms": newest}
        assert measured(url)["orders"] == 0, "the audit ran on this machine: its measures are known"


async def plant_foreign_records(settings: Settings) -> None:
    async with AIOKafkaProducer(bootstrap_servers=settings.broker) as producer:
        for key, value in ((b"x", b"{"), (DAY.encode(), b'{"exact": true}'), (b"y", json.dumps({}).encode())):
            await producer.send_and_wait(f"{settings.prefix}festival.audits", value, key=key, partition=0)


async def recorded_after_foreign(settings: Settings) -> dict[str, Any]:
    """Return the last record, which is the verdict on the one festival that was audited again."""
    place = TopicPartition(f"{settings.prefix}festival.audits", 0)
    async with AIOKafkaConsumer(bootstrap_servers=settings.broker) as consumer:
        consumer.assign([place])
        consumer.seek(place, (await consumer.end_offsets([place]))[place] - 1)
        record = await consumer.getone()
    assert record.key == DAY.encode()
    document: dict[str, Any] = json.loads(record.value)
    return document


async def test_without_record_or_topic_the_exit_status_stays_the_verdicts(settings: Settings) -> None:
    result = await audit(settings, "--no-record")
    assert (result.return_value, await recorded(settings)) == (0, [])
    assert not (settings.data_dir / f"{settings.prefix}audit.json").exists()
    admin = AIOKafkaAdminClient(bootstrap_servers=settings.bootstrap_servers)
    await admin.start()
    try:
        await admin.delete_topics([f"{settings.prefix}festival.audits"])
    finally:
        await admin.close()
    result = await audit(settings)
    assert result.return_value == 0
    assert (
        f"the verdict is not recorded, no board will show it: topic {settings.prefix}festival.audits" in result.stderr
    )
    with board(settings) as url:
        await until_shown(url, lambda told: told is None)
