"""The topics on a real broker: created as they must be, checked, and never touched once they exist."""

from __future__ import annotations

import asyncio
import dataclasses
import json
from contextlib import asynccontextmanager
from typing import TYPE_CHECKING

import pytest
from aiokafka.admin import NewTopic
from aiokafka.admin.config_resource import ConfigResource, ConfigResourceType

from streams.broker.embedded import any_free_port
from streams.cli.main import run
from streams.configuration import DAY_MS
from streams.engine.topic_names import IMPORTS, SOURCES, rejected_topic
from streams.errors import UnreachableError
from streams.kafka.client.administrator import Administrator
from streams.kafka.cluster import topics
from streams.kafka.cluster.topic_settings import specs_of
from streams.kafka.cluster.topics import TopicsError, check_topics, create_topics
from streams.settings import Settings

if TYPE_CHECKING:
    from collections.abc import AsyncIterator, Mapping

pytestmark = pytest.mark.kafka
PATIENCE_SECONDS = 20


@pytest.fixture
def settings(kafka: str, prefix: str) -> Settings:
    return Settings(broker=kafka, prefix=prefix)


@asynccontextmanager
async def admin(settings: Settings) -> AsyncIterator[Administrator]:
    client = Administrator(**settings.client_options())
    await client.start()
    try:
        yield client
    finally:
        await client.close()


async def alter(settings: Settings, topic: str, configs: Mapping[str, str]) -> None:
    """Change some settings of a topic; the request replaces them all, so those it was created with go along."""
    name = settings.prefix + topic
    created_with = next(spec.created_with for spec in specs_of(settings) if spec.name == name)
    wanted = {**created_with, **configs}
    async with admin(settings) as client:
        await client.alter_configs([ConfigResource(ConfigResourceType.TOPIC, name, configs=wanted)])
        async with asyncio.timeout(PATIENCE_SECONDS):
            while not wanted.items() <= (await topics._configs(client, [name]))[name].items():
                await asyncio.sleep(0.05)


async def delete(settings: Settings, topic: str) -> None:
    name = settings.prefix + topic
    async with admin(settings) as client:
        await client.delete_topics([name])
        async with asyncio.timeout(PATIENCE_SECONDS):
            while name in await client.list_topics():
                await asyncio.sleep(0.05)


async def create_by_hand(settings: Settings, topic: str, partitions: int) -> None:
    name = settings.prefix + topic
    async with admin(settings) as client:
        await client.create_topics([NewTopic(name, partitions, 1)])
        async with asyncio.timeout(PATIENCE_SECONDS):
            while name not in await client.list_topics():
                await asyncio.sleep(0.05)


async def test_all_topics_are_created_and_a_second_run_creates_nothing(settings: Settings) -> None:
    first = await create_topics(settings, 3)
    assert first.partitions == 3
    assert len(first.created) == len(first.topics) == 14
    assert {first.counts[name] for name in first.topics} == {1, 3}
    assert first.counts[f"{settings.prefix}festival.audits"] == 1
    assert all(name.startswith(settings.prefix) for name in first.topics)
    second = await create_topics(settings)
    assert (second.partitions, second.created, second.topics) == (3, (), first.topics)
    assert await check_topics(settings) == 3


async def test_a_missing_topic_is_named_with_the_command_and_created_with_the_number_the_others_have(
    settings: Settings,
) -> None:
    with pytest.raises(TopicsError, match=f"missing: .*festival topics --broker .* --prefix {settings.prefix}"):
        await check_topics(settings)
    await create_topics(settings, 2)
    await delete(settings, rejected_topic("payments"))
    with pytest.raises(TopicsError, match=rf"missing: {settings.prefix}payments\.rejected\. "):
        await check_topics(settings)
    again = await create_topics(settings)
    assert (again.partitions, again.created) == (2, (f"{settings.prefix}payments.rejected",))


@pytest.mark.parametrize(
    ("topic", "configs", "problem"),
    [
        ("orders", {"message.timestamp.type": "CreateTime"}, "message.timestamp.type is CreateTime, must be LogAppend"),
        ("payments", {"retention.ms": str(35 * DAY_MS - 1)}, f"retention.ms is .*, must be at least {35 * DAY_MS}"),
        ("parcels", {"retention.bytes": "1000000"}, "retention.bytes is 1000000, must be -1"),
        ("recycling", {"cleanup.policy": "compact,delete"}, "cleanup.policy is compact,delete, must be delete"),
        ("orders.rejected", {"cleanup.policy": "compact"}, "cleanup.policy is compact, must be delete"),
        ("festival.ledger", {"cleanup.policy": "delete"}, "cleanup.policy is delete, must be compact"),
        ("festival.seen", {"min.compaction.lag.ms": "0"}, "min.compaction.lag.ms is 0, must be at least 60000"),
    ],
)
async def test_a_topic_that_is_not_as_it_must_be_is_named_with_the_command_that_mends_it_and_left_alone(
    settings: Settings, topic: str, configs: dict[str, str], problem: str
) -> None:
    await create_topics(settings, 1)
    await alter(settings, topic, configs)
    for attempt in (check_topics, create_topics):
        with pytest.raises(TopicsError) as caught:
            await attempt(settings)
        message = str(caught.value)
        assert message.count("kafka-configs.sh") == 1, message
        assert f"--entity-name {settings.prefix}{topic} --add-config {next(iter(configs))}=" in message
        with pytest.raises(TopicsError, match=problem):
            await attempt(settings)


async def test_retention_without_end_is_enough(settings: Settings) -> None:
    await create_topics(settings, 1)
    for source in SOURCES:
        await alter(settings, source, {"retention.ms": "-1"})
    assert await check_topics(settings) == 1


async def test_a_longer_settle_asks_for_a_longer_retention(settings: Settings) -> None:
    await create_topics(settings, 1)
    with pytest.raises(TopicsError, match=f"must be at least {65 * DAY_MS}"):
        await check_topics(dataclasses.replace(settings, settle_ms=60 * DAY_MS))


async def test_unequal_numbers_of_partitions_are_refused_and_never_grown(settings: Settings) -> None:
    await create_by_hand(settings, "orders", 2)
    await create_by_hand(settings, "payments", 3)
    with pytest.raises(TopicsError, match=r"unequal numbers of partitions: 2 have "):
        await check_topics(settings)
    with pytest.raises(TopicsError, match="Partitions are never added"):
        await create_topics(settings, 3)
    async with admin(settings) as client:
        described = await client.describe_topics([settings.prefix + "orders"])
    assert len(described[0]["partitions"]) == 2


def test_the_command_prints_one_document_and_exits_by_what_it_found(
    settings: Settings, capsys: pytest.CaptureFixture[str]
) -> None:
    arguments = ["topics", "--broker", settings.bootstrap_servers, "--prefix", settings.prefix]
    assert run([*arguments, "--partitions", "2", "--json"]) == 0
    document = json.loads(capsys.readouterr().out)
    assert document["partitions"] == 2
    assert sorted(document["created"]) == sorted(document["topics"])
    assert run(arguments) == 0
    assert f"{settings.prefix}orders: 2 partitions, checked\n" in capsys.readouterr().out
    assert run([*arguments, "--partitions", "4"]) == 2
    assert run([*arguments, "--partitions", "0"]) == 2
    asyncio.run(alter(settings, "orders", {"cleanup.policy": "compact"}))
    assert run(arguments) == 2
    assert "cleanup.policy" in capsys.readouterr().err


async def test_a_broker_nobody_reaches_is_told_as_such() -> None:
    with pytest.raises(UnreachableError, match="cannot be reached"):
        await check_topics(Settings(broker=f"127.0.0.1:{any_free_port()}"))


async def test_only_an_import_asks_for_the_topic_of_imports(settings: Settings) -> None:
    await create_topics(settings, 2)
    assert await check_topics(settings, also=(IMPORTS,)) == 2
    await delete(settings, "festival.imports")
    assert await check_topics(settings) == 2
    with pytest.raises(TopicsError, match=r"missing: \S*festival\.imports"):
        await check_topics(settings, also=(IMPORTS,))
