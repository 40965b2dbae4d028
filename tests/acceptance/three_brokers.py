"""Three brokers, two workers, and a steady flow of orders: the stage of the tests in which brokers fail.

What is measured is how long counting stood still: the longest time between two cursors of a partition on
`festival.ledger`, by the broker's times, while records wait. The producer's own longest gap in its worst partition
(`Flow.longest_gap_s`) is what nobody can beat.
"""

from __future__ import annotations

import asyncio
import contextlib
import os
import subprocess
import sys
import time
from collections import defaultdict
from dataclasses import dataclass
from itertools import pairwise
from typing import TYPE_CHECKING, Self

import orjson
from aiokafka import AIOKafkaProducer
from aiokafka.errors import KafkaError
from aiokafka.structs import TopicPartition

from streams.audit.procedure import run_audit
from streams.domain.pages import cursor_key
from streams.engine.topic_names import GROUP, LEDGER, SOURCES
from streams.kafka.client.internals import install
from streams.kafka.client.log_reader import LogReader
from streams.kafka.cluster.survey import describe, survey
from streams.kafka.cluster.topics import create_topics
from streams.settings import Settings

if TYPE_CHECKING:
    from collections.abc import Awaitable, Callable
    from pathlib import Path
    from types import TracebackType

    from streams.broker.cluster import EmbeddedCluster
    from streams.broker.embedded import EmbeddedKafka

PARTITIONS = 4
GENERATION = "g1"
EVERY_SECONDS = 0.1
"""Between two orders of a partition."""
START_MS = 1_573_401_600_000
SETTLED_SECONDS = 3.0
"""Counted before the fault, and the least that is counted after it."""
DEADLINE_SECONDS = 120.0
GROUP_COORDINATOR, TRANSACTION_COORDINATOR = 0, 1


@dataclass(frozen=True, slots=True)
class Standstill:
    """What a fault has cost, in seconds."""

    longest_s: float
    """In the worst partition."""
    producer_s: float
    """The producer's own, of its worst partition."""
    ended_s: float
    """From the end of the fault to the first cursor of the partition that was last to have one."""

    def __str__(self) -> str:
        """Return it as the table in docs/proof.md has it."""
        return f"{self.longest_s:.1f} (P {self.producer_s:.1f}; after its end {self.ended_s:.1f})"


class Flow:
    """An order in each partition ten times a second, each acknowledged by all replicas in sync."""

    def __init__(self, settings: Settings) -> None:
        """Send nothing yet."""
        self._settings = settings
        self._acknowledged: defaultdict[int, list[float]] = defaultdict(list)
        self._sending: asyncio.Task[None] | None = None
        self._is_ended = False

    def start(self) -> None:
        """Begin to send."""
        self._sending = asyncio.create_task(self._send())

    async def end(self) -> None:
        """Send nothing more; returns once all is acknowledged."""
        self._is_ended = True
        assert self._sending is not None
        await self._sending

    @property
    def longest_gap_s(self) -> float:
        """Return the longest time without an acknowledgement, of the worst partition."""
        return max(later - earlier for times in self._acknowledged.values() for earlier, later in pairwise(times))

    async def _send(self) -> None:
        install()
        producer = AIOKafkaProducer(**self._settings.client_options(), enable_idempotence=True, linger_ms=0)
        await producer.start()
        try:
            await asyncio.gather(*(self._send_to(producer, partition) for partition in range(PARTITIONS)))
        finally:
            await producer.stop()

    async def _send_to(self, producer: AIOKafkaProducer, partition: int) -> None:
        number = 0
        while not self._is_ended:
            number += 1
            name = f"{partition}-{number}"
            order = {
                "type": "order_placed",
                "event_id": f"e{name}",
                "ts": START_MS + number,
                "order_id": f"o{name}",
                "platform": "tmall",
                "merchant": "m",
                "market": "CN",
                "currency": "CNY",
                "amount_minor": 100,
            }
            sent = await producer.send(self._settings.prefix + "orders", orjson.dumps(order), partition=partition)
            sent.add_done_callback(lambda _: self._acknowledged[partition].append(time.monotonic()))
            await asyncio.sleep(EVERY_SECONDS)


class Stage:
    """Workers and a flow on a prefix of their own. An asynchronous context: leaving it ends every process."""

    def __init__(self, cluster: EmbeddedCluster, prefix: str, directory: Path, *, address: str | None = None) -> None:
        """`address` is where the workers find the brokers, where that is not where they listen."""
        self.cluster = cluster
        self.settings = Settings(broker=cluster.address, prefix=prefix)
        self.flow = Flow(self.settings)
        self._address, self._directory = address or cluster.address, directory
        self._workers: dict[str, subprocess.Popen[bytes]] = {}

    async def __aenter__(self) -> Self:
        """Create the topics and let two workers count the flow."""
        await create_topics(self.settings, PARTITIONS)
        for name in ("one", "two"):
            self.start_worker(name)
        self.flow.start()
        await self.until(self._is_shared, "both workers count")
        await asyncio.sleep(SETTLED_SECONDS)
        return self

    async def __aexit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        """End every process that still runs."""
        if error is not None:
            print(self.logs())  # noqa: T201 - shown by pytest with the failure
        with contextlib.suppress(KafkaError):
            await self.flow.end()
        for process in self._workers.values():
            if process.poll() is None:
                process.kill()
            process.wait()

    def start_worker(self, name: str) -> None:
        """Start a worker; one of that name must not run."""
        inherited = {key: value for key, value in os.environ.items() if not key.startswith("FESTIVAL_")}
        own = {
            "FESTIVAL_BROKER": self._address,
            "FESTIVAL_PREFIX": self.settings.prefix,
            "FESTIVAL_DATA_DIR": str(self._directory / "data"),
            "FESTIVAL_SHOW": "no",
        }
        command = [sys.executable, "-m", "streams.cli", "worker", "--name", name, "--web-port", "0"]
        with (self._directory / f"{name}.log").open("ab") as log:
            self._workers[name] = subprocess.Popen(command, env=inherited | own, stdout=log, stderr=log)

    async def kill_worker(self, name: str, after_s: float, back_after_s: float = 1.0) -> None:
        """Kill a worker in a while, and start it again."""
        await asyncio.sleep(after_s)
        self._workers[name].kill()
        self._workers[name].wait()
        await asyncio.sleep(back_after_s)
        self.start_worker(name)

    async def suffer(self, fault: Callable[[], Awaitable[None]], deadline_s: float = DEADLINE_SECONDS) -> Standstill:
        """Let a fault come and go, wait until all is counted, and return what it cost. Nothing may differ."""
        began_ms = time.time() * 1000
        await fault()
        ended_ms = time.time() * 1000
        await self.until(lambda: self._is_counted_since(ended_ms + SETTLED_SECONDS * 1000), "it is counted", deadline_s)
        await self.flow.end()
        await self.until(self._is_caught_up, "all is counted")
        for name, process in self._workers.items():
            assert process.poll() is None, f"worker {name} has ended\n{self.logs()}"
        result = await run_audit(self.settings)
        assert result.records > 0
        assert result.differences == [], result.differences[:5]
        cursors = await self._cursors_ms()
        first = {number: min(ms for ms in times if ms >= ended_ms) for number, times in cursors.items()}
        longest_ms = max(
            later - earlier
            for number, times in cursors.items()
            for earlier, later in pairwise(times)
            if later > began_ms and earlier < first[number]
        )
        ended_s = (max(first.values()) - ended_ms) / 1000
        return Standstill(longest_ms / 1000, self.flow.longest_gap_s, ended_s)

    def logs(self) -> str:
        """Return the ends of all logs."""
        return "\n".join(f"--- {name}\n{self.log(name)[-6_000:]}" for name in self._workers)

    def log(self, name: str) -> str:
        """Return what a worker has written."""
        return (self._directory / f"{name}.log").read_text(encoding="utf-8", errors="replace")

    async def until(
        self, is_so: Callable[[], Awaitable[bool]], what: str, deadline_s: float = DEADLINE_SECONDS
    ) -> None:
        """Return once `is_so`; a question that nobody answers is asked again."""
        deadline = time.monotonic() + deadline_s
        while True:
            with contextlib.suppress(KafkaError, OSError):
                if await is_so():
                    return
            assert time.monotonic() < deadline, f"not within {deadline_s} s: {what}\n{self.logs()}"
            await asyncio.sleep(0.2)

    # -- who does what -----------------------------------------------------------------------------------------

    async def leader(self, partition: int = 0) -> EmbeddedKafka:
        """Return the broker that leads a partition of the orders."""
        topic = self.settings.prefix + "orders"
        async with self._reader() as reader:
            described = await describe(reader.client, [topic])
        return self.cluster.brokers[described.leaders[topic, partition] - 1]

    async def coordinator(self, kind: int) -> EmbeddedKafka:
        """Return the broker that looks after the group, or after the transactions of partition 0."""
        key = GROUP if kind == GROUP_COORDINATOR else f"festival-{GENERATION}-0"
        async with self._reader() as reader:
            node: int = await reader.client.coordinator_lookup(kind, self.settings.prefix + key)
        return self.cluster.brokers[node - 1]

    @contextlib.asynccontextmanager
    async def _reader(self):  # type: ignore[no-untyped-def] # noqa: ANN202 - a context that gives a reader
        reader = await LogReader.open(self.settings, is_patient=False)
        try:
            yield reader
        finally:
            await reader.close()

    async def _cursors_ms(self) -> dict[int, list[int]]:
        """Return the record times of the cursors on the ledger, by partition."""
        found: dict[int, list[int]] = {}
        key = cursor_key(GENERATION)
        async with self._reader() as reader:
            partitions = [TopicPartition(LEDGER, number) for number in range(PARTITIONS)]
            ends = await reader.end_offsets(partitions)
            await reader.assign_from_beginning(partitions)
            async for batch in reader.read_to(ends):
                times = [int(t) for k, t in zip(batch.keys, batch.record_times_ms, strict=True) if k == key]
                found.setdefault(batch.partition, []).extend(times)
        return found

    async def _is_shared(self) -> bool:
        cursors = await self._cursors_ms()
        both = all("partition restored" in self.log(name) for name in self._workers)
        return both and len(cursors) == PARTITIONS and all(len(times) > 1 for times in cursors.values())

    async def _is_counted_since(self, ms: float) -> bool:
        cursors = await self._cursors_ms()
        return len(cursors) == PARTITIONS and all(times[-1] > ms for times in cursors.values())

    async def _is_caught_up(self) -> bool:
        async with self._reader() as reader:
            sources = await survey(reader.client, self.settings.prefix, SOURCES)
        counted = {
            **{number: (await self._position(number)) for number in range(PARTITIONS)},
        }
        return all(counted[number] >= sources.ranges["orders", number].end for number in range(PARTITIONS))

    async def _position(self, number: int) -> int:
        from tests.integration.worker_processes import committed  # noqa: PLC0415 - its load is not ours

        cursor, _ = await committed(self.settings, number)
        return -1 if cursor is None else cursor.positions.get("orders", -1)
