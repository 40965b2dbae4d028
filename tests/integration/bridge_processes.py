"""Real bridges in processes of their own, a shop's topics under them, and what must stand on ours."""

from __future__ import annotations

import json
import random
import subprocess
import sys
from collections import Counter
from dataclasses import dataclass, field
from typing import TYPE_CHECKING

from aiokafka import AIOKafkaProducer
from aiokafka.admin import AIOKafkaAdminClient, NewTopic

from streams.bridge.cluster import read_progress
from streams.kafka.client.log_reader import LogReader
from streams.kafka.cluster.survey import survey
from tests.integration.worker_processes import WorkerProcess

if TYPE_CHECKING:
    from collections.abc import Collection
    from pathlib import Path

    from streams.settings import Settings

MAP = """
name = "{name}"
[[source]]
topic = "{prefix}shop.orders"
to = "orders"
encoding = "json"
type = {{ path = "status", values = {{ NEW = "order_placed", VOID = "order_cancelled" }}, others = "ignore" }}
[source.fields]
event_id = {{ template = "{{id}}:{{status}}" }}
order_id = "id"
ts = {{ record = "timestamp" }}
platform = {{ header = "channel", default = "web" }}
merchant = "shop"
market = "country"
currency = "currency"
amount = "total"

[[source]]
topic = "{prefix}shop.payments"
to = "payments"
encoding = "json"
type = {{ constant = "payment_captured" }}
[source.fields]
event_id = "event"
order_id = "order"
payment_id = "event"
ts = {{ record = "timestamp" }}
platform = {{ constant = "web" }}
merchant = "shop"
market = "country"
method = "method"
currency = "currency"
amount_minor = "cents"
"""
POISON = [b"", b"{", b"\xff\xfe", b"[]", b'{"id": 1}']


class BridgeProcess(WorkerProcess):
    """`festival bridge` under a name; its log goes to a file."""

    def start(self, *options: str) -> BridgeProcess:
        """Start the process."""
        self.log_file.parent.mkdir(parents=True, exist_ok=True)
        self._taken_before = self.takeovers if self.log_file.exists() else 0
        command = [sys.executable, "-m", "streams.cli", "bridge", "--name", self.name, "--web-port", "0", *options]
        with self.log_file.open("ab") as log:
            self._process = subprocess.Popen(command, env=self._environ, stdout=log, stderr=log)
        return self


@dataclass
class Shop:
    """A producer of foreign records, and what it knows of them: the broker has all of it once `send` returns."""

    settings: Settings
    seed: int = 1
    sent: int = 0
    events: Counter[tuple[str, str]] = field(default_factory=Counter)
    """Topic of ours and event id → how often it must stand there, resends included."""
    minor: Counter[str] = field(default_factory=Counter)
    """Sum of amounts by type, each event once."""
    poison: int = 0

    def __post_init__(self) -> None:
        """Begin with nothing sent."""
        self._random = random.Random(self.seed)  # noqa: S311 - a load, not a secret
        self._known: set[str] = set()

    @property
    def topics(self) -> dict[str, int]:
        """Return the names of the shop's topics, each with its number of partitions."""
        return {f"{self.settings.prefix}shop.orders": 3, f"{self.settings.prefix}shop.payments": 5}

    async def make_topics(self, topics: dict[str, int] | None = None) -> None:
        """Create the shop's topics, or others: their producers' times count, and they have partitions of their own."""
        admin = AIOKafkaAdminClient(**self.settings.client_options())
        await admin.start()
        try:
            config = {"message.timestamp.type": "CreateTime"}
            await admin.create_topics(
                [NewTopic(n, count, 1, topic_configs=config) for n, count in (topics or self.topics).items()]
            )
        finally:
            await admin.close()

    async def send(self, count: int) -> None:
        """Send orders and payments, some again, some damaged."""
        producer = AIOKafkaProducer(**self.settings.client_options(), linger_ms=10)
        await producer.start()
        try:
            sends = []
            for _ in range(count):
                for topic, value in self._records():
                    key = str(self.sent).encode()
                    sends.append(await producer.send(topic, value, key=key, headers=[("channel", b"app")]))
                    self.sent += 1
            for acknowledged in sends:
                await acknowledged
        finally:
            await producer.stop()

    def _records(self) -> list[tuple[str, bytes]]:
        orders, payments = self.topics
        number, chance = self.sent, self._random
        name, cents = f"o-{self.seed}-{number}", chance.randrange(1, 10**6)
        order = {"id": name, "status": "NEW", "shop": f"s{number % 7}", "country": "DE", "currency": "EUR"}
        order["total"] = f"{cents // 100}.{cents % 100:02}"
        payment = {"event": f"p-{name}", "order": name, "shop": "s", "country": "DE", "method": "card"}
        payment |= {"currency": "EUR", "cents": cents}  # type: ignore[dict-item]
        found = [(orders, order), (payments, payment)]
        if chance.random() < 0.1:
            found.append((orders, {**order, "status": "VOID"}))
        if chance.random() < 0.1:
            found.append((orders, {**order, "status": "PACKED"}))
        if chance.random() < 0.1:
            found.append(found[0])
        for topic, value in found:
            self._expect(topic == orders, value, cents)
        records = [(topic, json.dumps(value).encode()) for topic, value in found]
        if chance.random() < 0.05:
            records.append((orders, chance.choice(POISON)))
            self.poison += 1
        return records

    def _expect(self, is_order: bool, value: dict[str, str], cents: int) -> None:  # noqa: FBT001
        kinds = {"NEW": "order_placed", "VOID": "order_cancelled"}
        kind = kinds.get(value["status"], "") if is_order else "payment_captured"
        if not kind:
            return
        name = f"{value['id']}:{value['status']}" if is_order else value["event"]
        self.events["orders" if is_order else "payments", name] += 1
        if name not in self._known:
            self._known.add(name)
            self.minor[kind] += cents

    def write_map(self, folder: Path, name: str = "shop", **changed: str) -> Path:
        """Write the map of the shop into a file; `changed` are texts in it."""
        text = MAP.format(prefix=self.settings.prefix, name=name)
        for before, after in changed.items():
            assert before in text
            text = text.replace(before, after)
        folder.mkdir(parents=True, exist_ok=True)
        file = folder / f"{name}.toml"
        file.write_text(text, "utf-8")
        return file


async def lag_records(settings: Settings, topics: Collection[str], bridge: str) -> int:
    """Return how many offsets of a shop's topics no committed cursor covers yet."""
    progress = await read_progress(settings, bridge)
    reader = await LogReader.open(settings, is_foreign=True)
    try:
        found = await survey(reader.client, "", tuple(topics), own=tuple(topics))
    finally:
        await reader.close()
    positions = {(t, p): cursor.positions[t] for (_, t, p), cursor in progress.cursors.items()}
    return sum(log_range.end - positions.get(place, 0) for place, log_range in found.ranges.items())


async def standing(settings: Settings, topic: str) -> list[tuple[bytes | None, bytes | None, dict[str, bytes | None]]]:
    """Return key, value and headers of all committed records on a topic of ours."""
    from streams.bridge.audit.reckoning import _whole  # noqa: PLC0415 - reads a topic whole, as the audit does
    from streams.bridge.newest import records_of  # noqa: PLC0415

    found = []
    async for _, batch in _whole(settings, [topic]):
        found += [(record.key, record.value, dict(record.headers)) for record in records_of(batch)]
    return found
