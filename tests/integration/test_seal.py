"""A festival on real Kafka is counted, sealed, and read back without it."""

from __future__ import annotations

import asyncio
import dataclasses
import datetime as dt
import json
from typing import TYPE_CHECKING, Any

import pytest
from aiokafka.admin import AIOKafkaAdminClient

from streams.app import declare
from streams.cli.main import run
from streams.engine.clock import SystemClock
from streams.engine.sealed.container import Members
from streams.engine.topic_names import SOURCES
from streams.festivals import load_festivals
from streams.kafka.cluster.topics import create_topics
from streams.replay.load import festival_load
from streams.replay.processes import replay
from streams.replay.sender import Sending
from tests.integration.ledgers import PARTITIONS, count, orders, send, source_ends
from tests.unit.handover.days import SHARES
from tests.unit.handover.seals import with_member

if TYPE_CHECKING:
    from pathlib import Path

    from streams.settings import Settings

pytestmark = pytest.mark.kafka
DAY = "singles-day-2019"


class Shell:
    """Runs commands against the prefix, or without any broker."""

    def __init__(self, settings: Settings, folder: Path, capsys: pytest.CaptureFixture[str]) -> None:
        self.settings, self.folder, self._capsys = settings, folder, capsys
        self._place = ["--broker", settings.bootstrap_servers, "--prefix", settings.prefix]

    async def run(self, *arguments: object, status: int = 0, has_broker: bool = True) -> tuple[str, str]:
        """Return what a command printed on stdout and stderr; in a thread: it has an event loop of its own."""
        place = [*(self._place if has_broker else []), "--data", str(self.folder / "data")]
        ended = await asyncio.to_thread(run, [*map(str, arguments), *place])
        told = self._capsys.readouterr()
        assert ended == status, told.err
        return told.out, told.err

    async def document(self, *arguments: object, status: int = 0, has_broker: bool = True) -> dict[str, Any]:
        out, _ = await self.run(*arguments, "--json", status=status, has_broker=has_broker)
        document: dict[str, Any] = json.loads(out)
        return document


@pytest.fixture
async def shell(settings: Settings, tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> Shell:
    return Shell(settings, tmp_path, capsys)


async def replay_and_count(shell: Shell) -> None:
    """Count a small day with resends, late and bad records."""
    festivals = load_festivals()
    load = festival_load(festivals[DAY], SystemClock().now_ms(), orders=2_000, partitions=PARTITIONS, shares=SHARES)
    done = await asyncio.to_thread(replay, load, Sending(shell.settings, tuple(festivals.values())))
    assert done.error is None
    counting = await count(shell.settings, declare(shell.settings)[1])
    await counting.close()


async def test_a_counted_festival_is_sealed_and_read_back_without_kafka(shell: Shell) -> None:
    await replay_and_count(shell)
    file = shell.folder / "day.zip"
    sealed = await shell.document("seal", "--festival", DAY, "--out", file)
    digest = Members(file.read_bytes()).digest
    assert (sealed["sealed"], sealed["complete"], sealed["exact"], sealed["reasons"]) == (digest, True, True, [])

    questions: list[list[str]] = [
        [],
        ["--by", "platform"],
        ["--by", "merchant", "--top", "3"],
        ["--at", "11:11:11", "--in", "JPY"],
    ]
    for asked in questions:
        ledger = await shell.document("totals", "--festival", DAY, *asked)
        read = await shell.document("totals", "--sealed", file, *asked, has_broker=False)
        assert read.pop("sealed") == digest
        assert read == ledger
    assert ledger["orders"] > 500

    ways: list[tuple[str, list[object], bool]] = [
        ("ledger", ["--festival", DAY], True),
        ("sealed", ["--sealed", file, "--festival", DAY], False),
    ]
    for name, source, has_broker in ways:
        out = ["--out", shell.folder / name, "--format", "csv", "--step", "second"]
        await shell.run("export", *source, *out, has_broker=has_broker)
        await shell.run("report", *source, "--out", shell.folder / f"{name}.html", has_broker=has_broker)
    written = sorted(path.name for path in (shell.folder / "ledger").iterdir())
    assert written == sorted(path.name for path in (shell.folder / "sealed").iterdir())
    for table in (name for name in written if name.endswith(".csv")):
        assert (shell.folder / "sealed" / table).read_bytes() == (shell.folder / "ledger" / table).read_bytes()
    assert f"SHA-256 {digest}" in (shell.folder / "sealed.html").read_text("utf-8")

    # Written once: another one needs another name, and one changed byte makes it useless.
    _, error = await shell.run("seal", "--festival", DAY, "--out", file, status=2)
    assert "exists already" in error
    changed = bytearray(file.read_bytes())
    changed[-100] ^= 1
    file.chmod(0o644)
    file.write_bytes(changed)
    _, error = await shell.run("totals", "--sealed", file, status=2, has_broker=False)
    assert "was changed or cut off" in error


async def test_what_is_not_over_is_sealed_by_force_only(shell: Shell) -> None:
    started = dt.datetime.fromtimestamp(SystemClock().now_ms() // 1_000, dt.UTC) - dt.timedelta(hours=1)
    folder = shell.folder / "festivals"
    folder.mkdir()
    (folder / "now.toml").write_text(
        f'id = "now"\nstarts = {started:%Y-%m-%dT%H:%M:%S}\ntimezone = "UTC"\nhours = 24\nhome_currency = "EUR"\n'
    )
    ts = SystemClock().now_ms() - 60_000
    order = {"type": "order_placed", "platform": "p", "merchant": "m", "market": "DE", "currency": "EUR"}
    values = [{**order, "event_id": f"e{n}", "order_id": f"o{n}", "ts": ts, "amount_minor": n} for n in range(10)]
    await send(shell.settings, [json.dumps(value).encode() for value in values])
    own = ["--festivals", folder]
    counting = await count(shell.settings, declare(dataclasses.replace(shell.settings, festivals_dir=folder))[1])
    await counting.close()
    file = shell.folder / "now.zip"
    asked = ["seal", "--festival", "now", "--out", file, *own]
    _, error = await shell.run(*asked, status=1)
    assert "now is not over yet" in error
    assert not file.exists()
    sealed = await shell.document(*asked, "--force")
    assert (sealed["complete"], sealed["exact"], sealed["reasons"]) == (True, True, ["now is not over yet"])
    read = await shell.document("totals", "--sealed", file, has_broker=False)
    assert (read["festival"], read["orders"], read["complete"]) == ("now", 10, True)


async def test_a_sealed_file_is_counted_again_while_its_topics_are_there(shell: Shell) -> None:
    await send(shell.settings, orders(0, 50))
    counting = await count(shell.settings, declare(shell.settings)[1])
    file = shell.folder / "day.zip"
    await shell.run("seal", "--festival", DAY, "--out", file)
    # What is counted since is no difference: it is beyond where the file was sealed.
    await send(shell.settings, orders(50, 20))
    await counting.count_to(await source_ends(shell.settings, declare(shell.settings)[1]))
    await counting.close()
    again = await shell.document("audit", "--sealed", file)
    assert (again["counted_again"], again["exact"], again["records"]) == (True, True, 50)
    assert again["totals"][DAY]["orders"] == {"CNY": 50}

    forged = shell.folder / "forged.zip"
    table = Members(file.read_bytes()).read("totals/orders_by_platform.csv").replace(b",CNY,50,", b",CNY,51,")
    forged.write_bytes(with_member(file.read_bytes(), "totals/orders_by_platform.csv", table))
    again = await shell.document("audit", "--sealed", forged, status=1)
    assert (again["exact"], again["differing"]) == (False, 1)

    admin = AIOKafkaAdminClient(**shell.settings.client_options())
    await admin.start()
    await admin.delete_topics([shell.settings.prefix + topic for topic in SOURCES])
    await admin.close()
    gone = await shell.document("audit", "--sealed", file)
    assert (gone["counted_again"], gone["exact"]) == (False, True)
    assert "orders[0]" in gone["detail"]
    await asyncio.sleep(0.5)  # Kafka deletes in the background
    await create_topics(shell.settings, PARTITIONS)
    await send(shell.settings, orders(100, 50))
    other = await shell.document("audit", "--sealed", file)
    assert (other["counted_again"], other["exact"]) == (False, True)
    assert "the topic was deleted and made again since it was counted" in other["detail"]
    out, error = await shell.run("audit", "--sealed", file)
    assert out.startswith("Not counted again: ")
    assert "When it was sealed it was exact." in out
    assert "the digest holds: sealed as" in error
    await shell.run("audit", "--sealed", file, status=3, has_broker=False)
