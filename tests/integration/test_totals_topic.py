"""The topic of totals on real Kafka, read by a foreign consumer while boards that write it are killed and stopped."""

from __future__ import annotations

import asyncio
import json
import os
import signal
import sys
import time
from contextlib import asynccontextmanager
from dataclasses import dataclass, field, replace
from typing import TYPE_CHECKING, Any

import pytest
from aiokafka import AIOKafkaConsumer
from aiokafka.structs import TopicPartition

from streams.app import declare
from streams.broker.embedded import any_free_port
from streams.cli.main import run
from streams.kafka.cluster.topics import create_topics
from streams.settings import Settings
from tests.integration.ledgers import PARTITIONS, count, orders, send

if TYPE_CHECKING:
    from collections.abc import AsyncIterator, Callable
    from pathlib import Path

pytestmark = pytest.mark.kafka
DAY = "singles-day-2019"
PATIENCE_SECONDS = 60.0
GOES_ON_SECONDS = 15.0
"""As the contract has it: within this time another board writes."""
ORDERS = 10


@pytest.fixture
async def settings(kafka: str, prefix: str, tmp_path: Path) -> Settings:
    settings = Settings(broker=kafka, prefix=prefix, data_dir=tmp_path, publish=True)
    await create_topics(settings, PARTITIONS)
    return settings


@dataclass
class Seen:
    """What a plain consumer of committed records has seen, in the order it came."""

    settings: Settings
    records: list[tuple[str, dict[str, Any], int]] = field(default_factory=list)
    """Key, document, time of the record."""

    async def watch(self) -> None:
        """Read from the beginning, until cancelled."""
        place = TopicPartition(f"{self.settings.prefix}festival.totals", 0)
        options: dict[str, Any] = {"isolation_level": "read_committed", "enable_auto_commit": False}
        async with AIOKafkaConsumer(bootstrap_servers=self.settings.broker, **options) as consumer:
            consumer.assign([place])
            await consumer.seek_to_beginning(place)
            async for record in consumer:
                self.records.append((record.key.decode(), json.loads(record.value), record.timestamp))

    def last(self, key: str) -> dict[str, Any]:
        """Return the newest document of a key; an empty one where there is none."""
        return next((document for name, document, _ in reversed(self.records) if name == key), {})

    async def until(self, is_told: Callable[[], bool]) -> None:
        """Return once that is told."""
        deadline = time.monotonic() + PATIENCE_SECONDS
        while not is_told():
            assert time.monotonic() < deadline, self.records[-1:]
            await asyncio.sleep(0.05)

    async def until_orders(self, wanted: int) -> None:
        """Return once so many orders are told."""
        await self.until(lambda: self.last(DAY).get("orders") == wanted)


@asynccontextmanager
async def watching(settings: Settings) -> AsyncIterator[Seen]:
    seen = Seen(settings)
    task = asyncio.create_task(seen.watch())
    try:
        yield seen
    finally:
        task.cancel()
        await asyncio.gather(task, return_exceptions=True)


class Board:
    """A `festival board` that publishes."""

    def __init__(self, settings: Settings, log: Path) -> None:
        self._settings, self._log = settings, log
        self.process: asyncio.subprocess.Process | None = None

    async def start(self) -> Board:
        own = {
            "FESTIVAL_BROKER": self._settings.bootstrap_servers,
            "FESTIVAL_PREFIX": self._settings.prefix,
            "FESTIVAL_DATA_DIR": str(self._settings.data_dir),
            "FESTIVAL_PUBLISH": "yes",
        }
        command = [sys.executable, "-m", "streams.cli", "board", "--web-port", str(any_free_port())]
        with self._log.open("wb") as log:
            self.process = await asyncio.create_subprocess_exec(
                *command, env={**os.environ, **own}, stdout=log, stderr=log
            )
        return self

    def signal(self, number: int) -> None:
        assert self.process is not None
        self.process.send_signal(number)

    async def end(self) -> None:
        """Kill it, if it is still there."""
        assert self.process is not None
        if self.process.returncode is None:
            self.process.kill()
        await self.process.wait()

    def began(self) -> list[str]:
        """Return when it began to write, each time that it did."""
        return [line.split()[0] for line in self._log.read_text().splitlines() if "publishes the totals topic=" in line]


async def until_one_publishes(*boards: Board) -> Board:
    deadline = time.monotonic() + PATIENCE_SECONDS
    while True:
        for board in boards:
            if board.began():
                return board
        assert time.monotonic() < deadline, "no board publishes"
        await asyncio.sleep(0.05)


async def send_and_count(settings: Settings, first: int) -> None:
    await send(settings, orders(first, ORDERS))
    counting = await count(settings, declare(settings)[1])
    await counting.close()


def amounts_of(partition: int, count: int) -> list[int]:
    """Return the amounts of the first orders of a partition, as `send_and_count` deals them."""
    return [number for number in range(5 * ORDERS) if number % ORDERS % PARTITIONS == partition][:count]


def check(seen: Seen) -> None:
    """See that every record is one committed state, that no position goes back, and that keys get one a second."""
    positions: dict[tuple[str, str], int] = {}
    before: dict[str, tuple[dict[str, Any], int]] = {}
    for key, document, time_ms in seen.records:
        for topic, of in document["positions"].items():
            for partition, offset in of.items():
                assert offset >= positions.get((topic, partition), 0), f"{key}: a position goes back"
                positions[topic, partition] = offset
        assert document["ledger"] == "g1"
        # Each record of `orders` is one order of the day, so a state that was never committed would not add up.
        at = document["positions"]["orders"]
        ordered = sum(at.values())
        if key == DAY:
            gross = document["money"]["CNY"]["gross"] if document["money"] else 0
            told = sum(sum(amounts_of(int(partition), offset)) for partition, offset in at.items())
            assert (document["orders"], gross) == (ordered, told)
        elif key.startswith(f"{DAY}/"):
            assert sum(row["orders"] for row in document["by"]) == ordered, key
        if key in before:
            assert document != before[key][0], f"{key}: nothing had changed"
            assert time_ms - before[key][1] >= 1_000, f"{key}: two records within a second"
        before[key] = document, time_ms


async def test_a_foreign_consumer_sees_committed_states_in_order_while_the_writing_board_is_killed(
    settings: Settings, tmp_path: Path
) -> None:
    boards = [await Board(settings, tmp_path / f"board{number}.log").start() for number in range(2)]
    try:
        async with watching(settings) as seen:
            await send_and_count(settings, 0)
            await seen.until_orders(ORDERS)
            writer = await until_one_publishes(*boards)
            (other,) = (board for board in boards if board is not writer)
            assert not other.began(), "one board writes"
            writer.signal(signal.SIGKILL)
            killed = time.monotonic()
            await send_and_count(settings, ORDERS)
            counted = time.monotonic()
            await seen.until_orders(2 * ORDERS)
            assert time.monotonic() - max(killed, counted) < GOES_ON_SECONDS
            assert len(other.began()) == 1
            third = await Board(settings, tmp_path / "third.log").start()
            boards.append(third)
            await send_and_count(settings, 2 * ORDERS)
            await seen.until_orders(3 * ORDERS)
            other.signal(signal.SIGTERM)
            await send_and_count(settings, 3 * ORDERS)
            await seen.until_orders(4 * ORDERS)
            assert len(third.began()) == 1, "who ends in order hands its turn on"
            await seen.until(lambda: len(seen.last(f"{DAY}/merchant")["by"]) == 4 * ORDERS)  # a key of its own
            check(seen)
            keys = {key for key, _, _ in seen.records}
            assert {DAY, f"{DAY}/platform", f"{DAY}/merchant", "singles-day-2014"} <= keys
    finally:
        for board in boards:
            await board.end()


@pytest.mark.long
async def test_a_writer_that_stood_still_writes_nothing_old_when_it_goes_on(settings: Settings, tmp_path: Path) -> None:
    boards = [await Board(settings, tmp_path / f"board{number}.log").start() for number in range(2)]
    try:
        async with watching(settings) as seen:
            await send_and_count(settings, 0)
            await seen.until_orders(ORDERS)
            for turn in range(1, 5):
                writer = max(boards, key=lambda board: board.began()[-1:])
                writer.signal(signal.SIGSTOP)
                await send_and_count(settings, turn * ORDERS)
                await seen.until_orders((turn + 1) * ORDERS)
                writer.signal(signal.SIGCONT)
                assert max(boards, key=lambda board: board.began()[-1:]) is not writer
                check(seen)
    finally:
        for board in boards:
            await board.end()


async def test_without_the_setting_no_topic_is_made_and_no_board_writes(kafka: str, prefix: str) -> None:
    settings = Settings(broker=kafka, prefix=prefix)
    made = await create_topics(settings, 1)
    assert f"{prefix}festival.totals" not in made.topics
    made = await create_topics(replace(settings, publish=True))
    assert (made.created, made.counts[f"{prefix}festival.totals"]) == ((f"{prefix}festival.totals",), 1)


def test_the_setting_is_yes_or_no(monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]) -> None:
    monkeypatch.setenv("FESTIVAL_PUBLISH", "perhaps")
    assert run(["topics", "--broker", "127.0.0.1:1"]) == 2
    assert "FESTIVAL_PUBLISH: 'perhaps' is neither yes nor no" in capsys.readouterr().err
