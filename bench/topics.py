"""The benchmark's topics: filled once, and a fresh ledger for each round."""

from __future__ import annotations

import asyncio
import contextlib
import json
import subprocess
import sys
import tempfile
import uuid
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Any

from aiokafka.admin import AIOKafkaAdminClient
from aiokafka.errors import KafkaError

from streams.broker.embedded import EmbeddedKafka, any_free_port
from streams.engine.topic_names import LEDGER, SEEN
from streams.kafka.cluster.topics import create_topics
from streams.settings import Settings

if TYPE_CHECKING:
    from collections.abc import Iterator

PARTITIONS = 4
PAUSE_SECONDS = 0.2


@dataclass(frozen=True)
class Bench:
    """Where a benchmark runs."""

    broker: str
    prefix: str
    directory: Path
    partitions: int = PARTITIONS

    @property
    def settings(self) -> Settings:
        """Return the settings of the product's own parts."""
        return Settings(broker=self.broker, prefix=self.prefix, data_dir=self.directory)

    def arguments(self) -> list[str]:
        """Return the common options of every command."""
        return ["--broker", self.broker, "--prefix", self.prefix, "--data", str(self.directory)]

    def command(self, *arguments: str) -> list[str]:
        """Return the command line of a `festival` command."""
        return [sys.executable, "-m", "streams.cli", arguments[0], *self.arguments(), *arguments[1:]]


@contextlib.contextmanager
def open_bench(broker: str | None, partitions: int = PARTITIONS) -> Iterator[Bench]:
    """Give a bench with a prefix of its own, on `broker` or an embedded Kafka."""
    prefix = f"bench-{uuid.uuid4().hex[:8]}-"
    with tempfile.TemporaryDirectory(prefix="festival-bench-") as name:
        if broker:
            yield Bench(broker, prefix, Path(name), partitions)
            return
        with EmbeddedKafka(Path(name) / "kafka", port=any_free_port()) as kafka:
            yield Bench(kafka.address, prefix, Path(name), partitions)


def replay(bench: Bench, orders: int, *arguments: str) -> dict[str, Any]:
    """Run `festival replay` to its end and return what it prints."""
    command = bench.command("replay", "--orders", str(orders), "--json", *arguments)
    done = subprocess.run(command, capture_output=True, text=True, check=False)
    assert done.returncode == 0, done.stderr
    found: dict[str, Any] = json.loads(done.stdout)
    return found


async def prepare(bench: Bench) -> None:
    """Create the topics."""
    await create_topics(bench.settings, bench.partitions)


async def fresh_ledger(bench: Bench) -> None:
    """Delete what was counted, so that the next round counts the topics from their beginning."""
    admin = AIOKafkaAdminClient(bootstrap_servers=bench.broker)
    await admin.start()
    try:
        await admin.delete_topics([bench.prefix + LEDGER, bench.prefix + SEEN])
        while {bench.prefix + LEDGER, bench.prefix + SEEN} & set(await admin.list_topics()):
            await asyncio.sleep(PAUSE_SECONDS)
    finally:
        await admin.close()
    while True:
        # Kafka forgets a topic in several places, one after the other.
        try:
            await create_topics(bench.settings, bench.partitions)
        except KafkaError:
            await asyncio.sleep(PAUSE_SECONDS)
        else:
            return
