"""The contenders: our worker, and the rivals in each variant. Each counts the same topic, and has to count it right."""

from __future__ import annotations

import asyncio
import contextlib
import json
import shutil
import struct
import subprocess
import time
import uuid
from dataclasses import dataclass
from typing import TYPE_CHECKING

from confluent_kafka import Consumer, TopicPartition
from confluent_kafka.admin import AdminClient
from confluent_kafka.cimpl import NewTopic

from bench.catch_up import Positions, restored_ms, workers
from bench.rivals.course import POLL_SECONDS, Course, follow
from bench.rivals.java import FLINK, STREAMS, Program
from bench.topics import Bench, fresh_ledger

if TYPE_CHECKING:
    from collections.abc import Iterator
    from pathlib import Path

ROLLUPS = 6
EASY = "easy"
"""The variant without duplicates told apart, and with one rollup."""
STOP_SECONDS = 15
ANSWER_SECONDS = 10
AT_ONCE = 10_000
BEGAN = "began "
"""What a rival prints before the time of its first record."""


@dataclass(frozen=True, slots=True)
class Truth:
    """What was loaded."""

    records: int
    orders: int
    """Without the duplicates."""
    gross_minor: int


@dataclass(frozen=True, slots=True)
class Rival:
    """A program with what it is told to do, and the topic its committed totals end up in."""

    name: str
    program: Program
    variant: str
    totals: str
    """What follows the run's name in its totals' topic."""


RIVALS = (
    Rival("Kafka Streams", STREAMS, "full", "-totals-changelog"),
    Rival("Flink, heap", FLINK, "hashmap", "-totals"),
    Rival("Flink, RocksDB", FLINK, "rocksdb", "-totals"),
    Rival("Kafka Streams, easy", STREAMS, EASY, "-totals-changelog"),
    Rival("Flink, easy", FLINK, EASY, "-totals"),
)
WORKER = "one worker"


async def run_worker(bench: Bench, truth: Truth) -> Course:
    """Let one worker count from an empty ledger."""
    await fresh_ledger(bench)
    with workers(bench, 1) as [(process, log)]:
        async with Positions(bench) as positions:

            def position() -> int:
                positions.look()
                return sum(positions.by_partition.values())

            course = await follow(process, log, truth.records, position, restored_ms)
    _check_worker(bench, truth)
    return course


def _check_worker(bench: Bench, truth: Truth) -> None:
    done = subprocess.run(bench.command("totals", "--json"), capture_output=True, text=True, check=True)
    totals = json.loads(done.stdout)
    assert totals["complete"], totals
    assert totals["orders"] == truth.orders, totals
    assert totals["money"]["CNY"]["gross"] == truth.gross_minor, totals


async def run_rival(bench: Bench, rival: Rival, command: list[str], truth: Truth) -> Course:
    """Let a rival count, with a group and topics of its own."""
    name = f"{bench.prefix}{rival.program.folder}-{uuid.uuid4().hex[:8]}"
    topic, partitions = f"{bench.prefix}orders", range(bench.partitions)
    group = {"bootstrap.servers": bench.broker, "group.id": name, "enable.auto.commit": False}
    admin = AdminClient({"bootstrap.servers": bench.broker, "log_level": 3})
    if rival.program is FLINK:  # Kafka Streams makes its topics itself
        admin.create_topics([NewTopic(name + rival.totals, bench.partitions, 1)])[name + rival.totals].result()
    state = bench.directory / name
    arguments = [bench.broker, topic, name, str(state), rival.variant]
    with contextlib.closing(Consumer(group)) as member, _run([*command, *arguments], bench.directory) as (process, log):

        def position() -> int:
            found = member.committed([TopicPartition(topic, number) for number in partitions], ANSWER_SECONDS)
            return sum(max(partition.offset, 0) for partition in found)

        course = await follow(process, log, truth.records, position, _began_ms)
        await _check_rival(bench.broker, name + rival.totals, rival.variant, truth)
    shutil.rmtree(state, ignore_errors=True)
    for deleted in admin.delete_topics(
        [found for found in admin.list_topics().topics if found.startswith(name)]
    ).values():
        deleted.result()
    return course


@contextlib.contextmanager
def _run(command: list[str], directory: Path) -> Iterator[tuple[subprocess.Popen[bytes], Path]]:
    log = directory / "rival.log"
    with log.open("wb") as output:
        process = subprocess.Popen(command, stdout=output, stderr=output)
    try:
        yield process, log
    finally:
        process.terminate()
        try:
            process.wait(STOP_SECONDS)
        except subprocess.TimeoutExpired:
            process.kill()
            process.wait()


def _began_ms(log: Path) -> int:
    lines = log.read_text("utf-8").splitlines()
    return next(int(line.removeprefix(BEGAN)) for line in lines if line.startswith(BEGAN))


def committed_totals(broker: str, topic: str) -> dict[int, tuple[int, int]]:
    """Return the sums of orders and GMV over all totals, per rollup, of the latest committed values in a topic."""
    reader = Consumer(
        {
            "bootstrap.servers": broker,
            "group.id": topic,
            "enable.auto.commit": False,
            "enable.partition.eof": True,
            "isolation.level": "read_committed",
            "fetch.queue.backoff.ms": 5,
        }
    )
    with contextlib.closing(reader):
        partitions = list(reader.list_topics(topic, ANSWER_SECONDS).topics[topic].partitions)
        reader.assign([TopicPartition(topic, partition, 0) for partition in partitions])
        latest: dict[tuple[int, bytes], bytes] = {}
        ended: set[int] = set()
        while len(ended) < len(partitions):
            for message in reader.consume(AT_ONCE, 1):
                partition, key, value = message.partition(), message.key(), message.value()
                assert partition is not None
                if message.error():
                    ended.add(partition)
                else:
                    assert key
                    assert value
                    latest[partition, key] = value
    sums: dict[int, tuple[int, int]] = {}
    for (_, key), value in latest.items():
        orders, gross = sums.get(key[0], (0, 0))
        more, more_gross = struct.unpack(">qq", value)
        sums[key[0]] = orders + more, gross + more_gross
    return sums


async def _check_rival(broker: str, topic: str, variant: str, truth: Truth) -> None:
    """Assert that every rollup holds every order once; the easy variant counts the duplicates too.

    Flink commits its totals and its position one after the other, so they may come a little later.
    """
    deadline = time.monotonic() + ANSWER_SECONDS
    while True:
        sums = list(committed_totals(broker, topic).values())
        if variant == EASY:
            is_right = [orders for orders, _ in sums] == [truth.records]
        else:
            is_right = sums == [(truth.orders, truth.gross_minor)] * ROLLUPS
        if is_right:
            return
        assert time.monotonic() < deadline, (topic, truth, sums)
        await asyncio.sleep(POLL_SECONDS)
