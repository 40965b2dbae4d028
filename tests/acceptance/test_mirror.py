"""The cluster is lost, its sources were mirrored by MirrorMaker 2: they are counted anew, to the very same totals.

`bin/test tests/acceptance/test_mirror.py -m long`. The runbook is docs/operations.md, "The cluster is lost"; the
properties are read from there.
"""

from __future__ import annotations

import asyncio
import re
import shlex
import subprocess
import time
from pathlib import Path
from typing import TYPE_CHECKING, Any

import pytest
from aiokafka import AIOKafkaProducer, TopicPartition
from aiokafka.admin.config_resource import ConfigResource, ConfigResourceType

from streams.broker.embedded import EmbeddedKafka, any_free_port
from streams.engine.topic_names import SOURCES
from streams.errors import UnreachableError
from streams.kafka.client.log_reader import LogReader
from streams.kafka.cluster.topic_settings import specs_of
from streams.kafka.cluster.topics import TopicsError, check_topics, open_admin
from streams.settings import Settings
from streams.truth.tally import DIMENSIONS
from tests.acceptance.cluster import Cluster
from tests.acceptance.mirror_maker import MirrorMaker, java
from tests.conftest import skip

if TYPE_CHECKING:
    from collections.abc import Mapping, Sequence

pytestmark = [pytest.mark.kafka, pytest.mark.long, pytest.mark.timeout(900)]
RUNBOOK = Path(__file__).parents[2] / "docs" / "operations.md"
PARTITIONS = 3
ORDERS = 20_000
MIRROR_SECONDS = 240
Record = tuple[bytes | None, bytes | None, int]
"""Key, value and record time."""


def properties(lost: str, new: str) -> dict[str, str]:
    """Return those of the runbook, for these two clusters of one broker each."""
    (block,) = re.findall(r"```properties\n(clusters = .*?)```", RUNBOOK.read_text(encoding="utf-8"), re.DOTALL)
    pairs = (line.split(" = ", 1) for line in block.splitlines() if line and not line.startswith("#"))
    alone = {
        f"{alias}.{name}.replication.factor": "1"
        for alias in ("lost", "new")
        for name in ("config.storage", "offset.storage", "status.storage")
    }
    own = {
        "lost-kafka:9092": lost,
        "new-kafka:9092": new,
        "http://127.0.0.1:8083": f"http://127.0.0.1:{any_free_port()}",
    }
    written = {key: own.get(value, value) for key, value in pairs}
    names = ("", "offset-syncs.topic.", "heartbeats.topic.", "checkpoints.topic.")
    return {**written, **alone, **{f"{name}replication.factor": "1" for name in names}}


async def records(broker: str) -> dict[TopicPartition, list[Record]]:
    """Return the committed records of the sources; of those that are there."""
    reader = await LogReader.open(Settings(broker=broker))
    try:
        counts = {topic: await reader.partition_count(topic) for topic in SOURCES}
        places = [TopicPartition(topic, number) for topic, count in counts.items() for number in range(count)]
        found: dict[TopicPartition, list[Record]] = {place: [] for place in places}
        ends = await reader.end_offsets(places)
        await reader.assign_from_beginning(places)
        async for batch in reader.read_to(ends):
            place = TopicPartition(batch.topic, batch.partition)
            times = [int(time_ms) for time_ms in batch.record_times_ms]
            pairs = zip(batch.keys, batch.values, times, strict=True)
            found[place] += [(_bytes(key), _bytes(value), time_ms) for key, value, time_ms in pairs]
        return found
    finally:
        await reader.close()


def _bytes(value: bytes | None) -> bytes | None:
    return None if value is None else bytes(value)


async def abort_some(broker: str) -> None:
    """Send orders in a transaction that is aborted: a mirror that reads uncommitted would make them real."""
    producer = AIOKafkaProducer(bootstrap_servers=broker, transactional_id="a-shop")
    await producer.start()
    try:
        await producer.begin_transaction()
        for number in range(PARTITIONS):
            await producer.send_and_wait("orders", b'{"type": "order_placed"}', partition=number)
        await producer.abort_transaction()
    finally:
        await producer.stop()


async def until_mirrored(mirror: MirrorMaker, broker: str, wanted: Mapping[TopicPartition, Sequence[Record]]) -> None:
    """Wait until the cluster has as many records as wanted."""
    deadline = time.monotonic() + MIRROR_SECONDS
    counts: dict[TopicPartition, int] = {}
    while counts != {place: len(written) for place, written in wanted.items()}:
        assert not mirror.has_ended(), mirror.log()[-5_000:]
        assert time.monotonic() < deadline, f"{counts}\n{mirror.log()[-5_000:]}"
        await asyncio.sleep(2)
        counts = {place: len(written) for place, written in (await records(broker)).items()}


async def until_begun(mirror: MirrorMaker, broker: str) -> None:
    """Wait until something was copied."""
    deadline = time.monotonic() + MIRROR_SECONDS
    while not any((await records(broker)).values()):
        assert not mirror.has_ended(), mirror.log()[-5_000:]
        assert time.monotonic() < deadline, mirror.log()[-5_000:]
        await asyncio.sleep(0.1)


async def set_timestamps(settings: Settings) -> None:
    """Let the broker give record times from now on, as the command in the runbook does."""
    specs = {spec.name: spec for spec in specs_of(settings)}
    resources = [ConfigResource(ConfigResourceType.TOPIC, name, configs=specs[name].created_with) for name in SOURCES]
    async with open_admin(settings) as admin:
        await admin.alter_configs(resources)


def totals(cluster: Cluster) -> dict[str, Any]:
    """Return what is counted by every dimension, without what belongs to one cluster's log."""
    ours = {"positions", "lag_records", "complete"}
    documents = {dimension: cluster.totals(dimension) for dimension in DIMENSIONS}
    return {name: {key: told for key, told in one.items() if key not in ours} for name, one in documents.items()}


def times_back(broker: str, topic: str, partition: int) -> str:
    """Return what the runbook's command tells of a partition."""
    (block,) = re.findall(
        r"```\n\s*(kafka-console-consumer\.sh .*?)```", RUNBOOK.read_text(encoding="utf-8"), re.DOTALL
    )
    tool = shlex.join([*java(), "org.apache.kafka.tools.consumer.ConsoleConsumer"])
    for shown, here in (
        ("kafka-console-consumer.sh", tool),
        ("new-kafka:9092", broker),
        ("--topic orders", f"--topic {topic}"),
        ("--partition 0", f"--partition {partition}"),
    ):
        assert shown in block
        block = block.replace(shown, here)
    done = subprocess.run(block, shell=True, capture_output=True, text=True, check=False, timeout=120)  # noqa: S602
    assert done.returncode == 0, done.stderr
    return done.stdout.strip()


async def test_a_mirror_that_was_sent_twice_shows_by_record_times_that_go_back(tmp_path: Path) -> None:
    """Its places were lost, so that it begins anew."""
    lost, new = (EmbeddedKafka(tmp_path / name, port=any_free_port()) for name in ("lost", "new"))
    try:
        lost.start()
        new.start()
        async with Cluster(lost.address, "", tmp_path / "lost", PARTITIONS) as before:
            before.start_replay("replay", "--orders", str(ORDERS), "--speed", "max")
            assert await before.ended("replay") == 0, before.logs()
        written = await records(lost.address)
        place = max(written, key=lambda one: len(written[one]))
        assert written[place][0][2] < written[place][-1][2]
        with MirrorMaker(tmp_path / "mirror", properties(lost.address, new.address)) as mirror:
            await until_mirrored(mirror, new.address, written)
        assert times_back(new.address, *place) == "0 times back"
        async with open_admin(Settings(broker=new.address)) as admin:
            await admin.delete_topics([name for name in await admin.list_topics() if name.startswith("mm2-offsets")])
        twice = {place: [*once, *once] for place, once in written.items()}
        with MirrorMaker(tmp_path / "mirror", properties(lost.address, new.address)) as mirror:
            await until_mirrored(mirror, new.address, twice)
        assert times_back(new.address, *place) == "1 times back"
    except UnreachableError as error:
        skip(str(error))
    finally:
        for broker in (lost, new):
            broker.stop()


async def test_mirrored_sources_are_counted_anew_to_the_same_totals(tmp_path: Path) -> None:
    lost, new = (EmbeddedKafka(tmp_path / name, port=any_free_port()) for name in ("lost", "new"))
    try:
        lost.start()
        new.start()
        async with Cluster(lost.address, "", tmp_path / "lost", PARTITIONS) as before:
            before.start_worker("one")
            load = ["--orders", str(ORDERS), "--speed", "max", "--duplicates", "0.02", "--poison", "0.01"]
            before.start_replay("replay", *load)
            assert await before.ended("replay") == 0, before.logs()
            await abort_some(lost.address)
            await before.until_caught_up()
            expected, written = totals(before), await records(lost.address)
        assert sum(map(len, written.values())) > ORDERS
        with MirrorMaker(tmp_path / "mirror", properties(lost.address, new.address)) as mirror:
            await until_begun(mirror, new.address)
            mirror.kill()
        with MirrorMaker(tmp_path / "mirror", properties(lost.address, new.address)) as mirror:
            await until_mirrored(mirror, new.address, written)
        lost.kill()
        assert await records(new.address) == written  # in order, with their record times
        settings = Settings(broker=new.address)
        with pytest.raises(TopicsError, match=r"orders: message.timestamp.type is CreateTime, must be LogAppendTime"):
            await check_topics(settings)
        await set_timestamps(settings)
        async with Cluster(new.address, "", tmp_path / "new", PARTITIONS) as after:
            after.start_worker("one")
            await after.until_caught_up()
            assert totals(after) == expected
            assert await after.differences_from_audit() == []
    except UnreachableError as error:
        skip(str(error))
    finally:
        for broker in (lost, new):
            broker.stop()
