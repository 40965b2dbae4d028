"""What the cluster tells of a topic's identity, asked by requests of our own of a real broker."""

from __future__ import annotations

from contextlib import suppress
from dataclasses import replace
from typing import TYPE_CHECKING

import pytest
from aiokafka import AIOKafkaProducer
from aiokafka.admin import AIOKafkaAdminClient, NewTopic
from aiokafka.errors import LeaderNotAvailableError, NotLeaderForPartitionError, UnknownError

from streams.kafka.client.log_reader import LogReader
from streams.kafka.cluster.survey import Described, describe, epoch_ends
from streams.settings import Settings

if TYPE_CHECKING:
    from collections.abc import AsyncIterator

pytestmark = pytest.mark.kafka


@pytest.fixture
async def admin(kafka: str) -> AsyncIterator[AIOKafkaAdminClient]:
    """Return a client that makes and deletes topics."""
    client = AIOKafkaAdminClient(bootstrap_servers=kafka)
    await client.start()
    yield client
    await client.close()


@pytest.fixture
async def reader(kafka: str, prefix: str) -> AsyncIterator[LogReader]:
    """Return a reader with a client to ask with."""
    found = await LogReader.open(Settings(broker=kafka, prefix=prefix))
    yield found
    await found.close()


async def make(admin: AIOKafkaAdminClient, reader: LogReader, name: str) -> Described:
    """Create a topic of two partitions; return it once the broker tells of it, and leads it."""
    await admin.create_topics([NewTopic(name, 2, 1)])
    while True:
        described = await describe(reader.client, [name])
        with suppress(LeaderNotAvailableError, NotLeaderForPartitionError):
            if described.counts[name]:
                await epoch_ends(reader.client, described, dict.fromkeys([(name, 0), (name, 1)], 0))
                return described


async def test_a_topic_that_is_made_again_has_another_id(
    admin: AIOKafkaAdminClient, reader: LogReader, prefix: str
) -> None:
    name = f"{prefix}orders"
    await make(admin, reader, name)
    before = await describe(reader.client, [name, f"{prefix}nothing"])
    assert before.counts == {name: 2, f"{prefix}nothing": 0}
    assert set(before.ids) == {name}
    await admin.delete_topics([name])
    while (await describe(reader.client, [name])).counts[name]:
        pass
    after = await make(admin, reader, name)
    assert after.ids[name] != before.ids[name]
    assert len(after.ids[name]) == len(before.ids[name]) == 22
    assert after.cluster_id == before.cluster_id != ""


async def test_where_the_records_of_an_epoch_end_is_told_and_an_epoch_that_never_was_is_not(
    admin: AIOKafkaAdminClient, reader: LogReader, kafka: str, prefix: str
) -> None:
    name = f"{prefix}orders"
    described = await make(admin, reader, name)
    async with AIOKafkaProducer(bootstrap_servers=kafka) as producer:
        for number in range(3):
            await producer.send_and_wait(name, b"%d" % number, partition=1)
    now = described.epochs[name, 1]
    assert await epoch_ends(reader.client, described, {(name, 1): now}) == {(name, 1): (now, 3)}
    never = await epoch_ends(reader.client, described, {(name, 1): now + 7})
    assert never == {(name, 1): (-1, -1)}


async def test_a_leader_that_does_not_know_of_a_newer_epoch_answers_with_an_error(
    admin: AIOKafkaAdminClient, reader: LogReader, prefix: str
) -> None:
    name = f"{prefix}orders"
    described = await make(admin, reader, name)
    newer = replace(described, epochs={(name, 0): described.epochs[name, 0] + 1})
    with pytest.raises(UnknownError):  # UNKNOWN_LEADER_EPOCH, which aiokafka has no name for
        await epoch_ends(reader.client, newer, {(name, 0): 0})
