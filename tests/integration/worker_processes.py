"""Real workers in processes of their own, a load under them, and the comparison that decides: cell by cell.

The truth is not the load's intention but the log: a fresh ledger fed with everything on the source topics, in one
go and without any fault, must hold the same cells as the committed one.
"""

from __future__ import annotations

import asyncio
import contextlib
import os
import random
import signal
import subprocess
import sys
import time
from typing import TYPE_CHECKING

import orjson
from aiokafka import AIOKafkaProducer, TopicPartition

from streams.app import declare
from streams.domain.pages import cursor_key, decode_cursor, decode_page, fingerprint_key
from streams.engine.ledger_records import Live
from streams.engine.processor import PartitionProcessor
from streams.kafka.client.log_reader import LogReader
from streams.kafka.cluster.topics import create_topics
from streams.kafka.ledger.restore import read_back
from streams.settings import Settings
from tests.unit.domain.samples import IDENTITY

if TYPE_CHECKING:
    from collections.abc import Awaitable, Callable, Iterator, Mapping, Sequence
    from pathlib import Path

    from streams.domain.pages import Cursor

PARTITIONS = 4
GENERATION = "g1"
TOPICS = declare(Settings())[1].topics
START_MS = 1_573_401_600_000
SPAN_MS = 600_000
"""The span of event times: a few pages per checkpoint, as live."""
Cells = dict[tuple[object, ...], list[int]]


class WorkerProcess:
    """`festival worker` under a name; its log goes to a file."""

    def __init__(
        self,
        settings: Settings,
        name: str,
        environ: Mapping[str, str] | None = None,
        program: Sequence[str] = ("streams.cli",),
    ) -> None:
        """Start nothing yet; `environ` is added to the worker's environment. `program` is a module with arguments."""
        self.name = name
        self._program = program
        self.log_file = settings.data_dir / f"{name}.log"
        self._environ = {
            **os.environ,
            "FESTIVAL_BROKER": settings.bootstrap_servers,
            "FESTIVAL_PREFIX": settings.prefix,
            "FESTIVAL_DATA_DIR": str(settings.data_dir),
            **(environ or {}),
        }
        self._process: subprocess.Popen[bytes] | None = None
        self._taken_before = 0

    @property
    def process(self) -> subprocess.Popen[bytes]:
        """The running process."""
        assert self._process is not None, "not started"
        return self._process

    def start(self, *options: str) -> WorkerProcess:
        """Start the process, which takes about two seconds to count."""
        self.log_file.parent.mkdir(parents=True, exist_ok=True)
        self._taken_before = self.takeovers if self.log_file.exists() else 0
        command = [sys.executable, "-m", *self._program, "worker", "--name", self.name, "--web-port", "0", *options]
        with self.log_file.open("ab") as log:
            self._process = subprocess.Popen(command, env=self._environ, stdout=log, stderr=log)
        return self

    def signal(self, number: signal.Signals) -> None:
        """Send a signal."""
        self.process.send_signal(number)

    def kill(self) -> None:
        """SIGKILL, and wait until it is gone."""
        self.process.kill()
        self.process.wait(10)

    def stop(self) -> int:
        """SIGTERM; return the exit status."""
        self.signal(signal.SIGTERM)
        return self.process.wait(20)

    def has_ended(self) -> bool:
        """Return whether it ended by itself."""
        return self.process.poll() is not None

    def log(self) -> str:
        """Return what it wrote so far."""
        return self.log_file.read_text(encoding="utf-8")

    @property
    def takeovers(self) -> int:
        """Partitions it has taken over since it was first started."""
        return self.log().count("partition restored")

    async def working(self, timeout: float = 60) -> None:  # noqa: ASYNC109 - names what is missing
        """Wait until it has taken over a partition since its last start."""
        await eventually(f"{self.name} took over", lambda: self.takeovers > self._taken_before, timeout)

    async def counting(self, takeovers: int, timeout: float = 30) -> None:  # noqa: ASYNC109 - names what is missing
        """Wait until it has taken over so many partitions since it was first started."""
        what = f"{self.name} took over {takeovers} partitions"
        await eventually(what, lambda: self.takeovers >= takeovers, timeout)

    def end(self) -> None:
        """Make sure that nothing of it runs on."""
        if self._process is not None and self._process.poll() is None:
            self._process.send_signal(signal.SIGCONT)
            self._process.kill()
            self._process.wait(10)


class Load:
    """Orders and payments at a rate, with resends and damaged records; deterministic in its seed."""

    def __init__(self, settings: Settings, seed: int = 1) -> None:
        """Produce nothing yet."""
        self.settings = settings
        self.sent = 0
        self._is_ended = False
        self._random = random.Random(seed)  # noqa: S311 - a load, not a secret
        self._recent: list[tuple[str, int, bytes]] = []

    def end(self) -> None:
        """Let `run` come to its end."""
        self._is_ended = True

    async def run(self, events_per_second: int, seconds: float) -> None:
        """Produce for some seconds, or until `end`; every record is acknowledged when it returns."""
        producer = AIOKafkaProducer(**self.settings.client_options(), compression_type="lz4", linger_ms=20)
        await producer.start()
        try:
            started, last = time.monotonic(), time.monotonic() + seconds
            sends = []
            sent = 0
            while (now := time.monotonic()) < last and not self._is_ended:
                while sent < (now - started) * events_per_second:
                    topic, partition, value = self.next_record()
                    sends.append(await producer.send(self.settings.prefix + topic, value, partition=partition))
                    sent += 1
                await asyncio.sleep(0.01)
            await asyncio.gather(*sends)
            self.sent += sent
        finally:
            await producer.stop()

    def next_record(self) -> tuple[str, int, bytes]:
        """Return topic, partition and value of the next record."""
        draw = self._random.random()
        if draw < 0.1 and self._recent:
            return self._random.choice(self._recent)
        number, partition = self._random.getrandbits(60), self._random.randrange(PARTITIONS)
        if draw < 0.12:
            return "orders", partition, b'{"type": "order_placed", "broken": %d' % number
        ts = START_MS + self._random.randrange(SPAN_MS)
        event = {
            "event_id": f"e{number}",
            "ts": ts,
            "order_id": f"o{number}",
            "platform": self._random.choice(("tmall", "taobao", "lazada")),
            "merchant": f"m{self._random.randrange(500)}",
            "market": self._random.choice(("CN", "RU", "ES")),
            "currency": self._random.choice(("CNY", "USD")),
            "amount_minor": self._random.randrange(1, 100_000),
        }
        if draw < 0.7:
            event |= {"type": self._random.choice(("order_placed", "order_placed", "order_cancelled"))}
            topic = "orders"
        else:
            event |= {"type": "payment_captured", "payment_id": f"p{number}", "method": "alipay"}
            topic = "payments"
        record = topic, partition, orjson.dumps(event)
        self._recent = [*self._recent[-200:], record]
        return record


async def prepare(broker: str, prefix: str, data_dir: Path) -> Settings:
    """Create the topics and return the settings of this test."""
    settings = Settings(broker=broker, prefix=prefix, data_dir=data_dir)
    await create_topics(settings, PARTITIONS)
    return settings


async def end_offsets(settings: Settings) -> dict[int, dict[str, int]]:
    """Return the end offset of each source topic by partition number."""
    reader = await LogReader.open(settings)
    try:
        ends = await reader.end_offsets([TopicPartition(t, p) for t in TOPICS for p in range(PARTITIONS)])
    finally:
        await reader.close()
    return {p: {t: ends[TopicPartition(t, p)] for t in TOPICS} for p in range(PARTITIONS)}


async def committed(settings: Settings, partition: int) -> tuple[Cursor | None, Cells]:
    """Return the committed cursor and cells of a partition."""
    pages = (await read_back(settings, partition, GENERATION)).written.ledger
    cursor = pages.get(cursor_key(GENERATION))
    return (decode_cursor(cursor) if cursor is not None else None), _cells(pages)


async def positions(settings: Settings) -> dict[int, Mapping[str, int]]:
    """Return the committed positions by partition number; of those that have a cursor."""
    cursors = {p: (await committed(settings, p))[0] for p in range(PARTITIONS)}
    return {p: cursor.positions for p, cursor in cursors.items() if cursor is not None}


async def counted_up(settings: Settings, timeout: float = 60) -> None:  # noqa: ASYNC109 - names the state it saw
    """Wait until everything on the source topics is committed."""
    deadline = time.monotonic() + timeout
    # The end is asked for again each time: an aborted transaction's markers may not be written yet.
    while (found := await positions(settings)) != (ends := await end_offsets(settings)):
        assert time.monotonic() < deadline, f"after {timeout} s the ledger stands at {found}, the log ends at {ends}"
        await asyncio.sleep(0.3)


async def assert_exact(settings: Settings) -> int:
    """Compare every committed cell with a count of the whole log in one go; return the number of counted records."""
    _, declarations = declare(settings)
    total = 0
    for partition in range(PARTITIONS):
        truth = PartitionProcessor(declarations, partition, GENERATION)
        truth.belongs_to(IDENTITY)
        reader = await LogReader.open(settings)
        try:
            sources = [TopicPartition(topic, partition) for topic in TOPICS]
            beginnings, ends = await reader.beginning_offsets(sources), await reader.end_offsets(sources)
            for source in sources:
                truth.start_at(source.topic, beginnings[source])
            await reader.assign_from_beginning(sources)
            while any(truth.positions[source.topic] < ends[source] for source in sources):
                for batch in await reader.fetch(1.0):
                    truth.apply(batch)
        finally:
            await reader.close()
        checkpoint = truth.cut()
        assert checkpoint is not None
        expected = checkpoint.cursor
        cursor, cells = await committed(settings, partition)
        assert cursor is not None
        assert cells == _cells(dict(Live().encode(checkpoint).pages))
        assert cursor.outcomes == expected.outcomes
        assert cursor.rejected == expected.rejected
        assert cursor.positions == expected.positions
        total += sum(outcomes.get("counted", 0) for outcomes in cursor.outcomes.values())
    return total


async def assert_rejected_once(settings: Settings) -> int:
    """Every rejected record lies in its topic exactly once (each damaged record of a `Load` is unique)."""
    cursors = [(await committed(settings, partition))[0] for partition in range(PARTITIONS)]
    expected = sum(sum(c.rejected.get("orders", {}).values()) for c in cursors if c is not None)
    reader = await LogReader.open(settings)
    found: list[bytes | None] = []
    try:
        topics = [TopicPartition("orders.rejected", p) for p in range(PARTITIONS)]
        ends = await reader.end_offsets(topics)
        await reader.assign_from_beginning(topics)
        while any(reader.positions[tp] < end for tp, end in ends.items()):
            for batch in await reader.fetch(1.0):
                found += batch.values
    finally:
        await reader.close()
    assert len(found) == len(set(found)) == expected
    return expected


async def eventually(what: str, check: Callable[[], bool], timeout: float = 30) -> None:  # noqa: ASYNC109
    """Wait until `check()` is true; fails naming `what` was waited for."""
    deadline = time.monotonic() + timeout
    while not check():
        assert time.monotonic() < deadline, f"after {timeout} s still not: {what}"
        await asyncio.sleep(0.1)


async def eventually_async(
    what: str,
    check: Callable[[], Awaitable[bool]],
    timeout: float = 30,  # noqa: ASYNC109
) -> None:
    """Wait until `check()` answers true; fails naming `what` was waited for."""
    deadline = time.monotonic() + timeout
    while not await check():
        assert time.monotonic() < deadline, f"after {timeout} s still not: {what}"
        await asyncio.sleep(0.2)


@contextlib.contextmanager
def ended(*workers: WorkerProcess) -> Iterator[None]:
    """Leave no worker behind, and show the logs of a failed test."""
    try:
        yield
    except BaseException:
        for worker in workers:
            if worker.log_file.exists():
                sys.stderr.write(f"--- log of {worker.name}\n{worker.log()[-6000:]}\n")
        raise
    finally:
        for worker in workers:
            worker.end()


def _cells(pages: Mapping[bytes, bytes]) -> Cells:
    """Return the sums by festival, rollup, page, group and slot."""
    cells: Cells = {}
    for key, value in pages.items():
        if key in {cursor_key(GENERATION), fingerprint_key(GENERATION)}:
            continue
        _, _, festival, rollup, number = orjson.loads(key)
        page = decode_page(value)
        low, high = page.cells(), page.high_cells()
        for column in range(low.shape[1]):
            group = page.groups[column // page.slots]
            sums = [
                int(low[m, column]) + (int(high[m, column]) << 62 if high is not None else 0) for m in range(len(low))
            ]
            if any(sums):
                cells[festival, rollup, number, group, column % page.slots] = sums
    return cells
