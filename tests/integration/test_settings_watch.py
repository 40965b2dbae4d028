"""Settings that somebody changes while a worker runs: told with the command, and counting goes on."""

from __future__ import annotations

import asyncio
import json
from typing import TYPE_CHECKING, Any

import pytest

from streams.cli.main import run
from tests.integration.test_topics import alter
from tests.integration.worker_processes import Load, WorkerProcess, counted_up, ended, eventually, prepare

if TYPE_CHECKING:
    from pathlib import Path

    from streams.settings import Settings

pytestmark = pytest.mark.kafka
CHANGED = {
    "orders": {"retention.ms": "86400000"},
    "parcels": {"cleanup.policy": "compact"},
    "payments": {"message.timestamp.type": "CreateTime"},
    "festival.ledger": {"message.timestamp.type": "CreateTime"},
    "festival.seen": {"min.compaction.lag.ms": "0"},
}
NEEDED = {
    ("orders", "retention.ms"): "3024000000",
    ("parcels", "cleanup.policy"): "delete",
    ("payments", "message.timestamp.type"): "LogAppendTime",
    ("festival.ledger", "message.timestamp.type"): "LogAppendTime",
    ("festival.seen", "min.compaction.lag.ms"): "60000",
}
MINUTE_SECONDS = 60


def command(settings: Settings, topic: str, key: str, needed: str) -> str:
    return (
        f"kafka-configs.sh --bootstrap-server {settings.bootstrap_servers} --alter --entity-type topics --entity-name "
        f"{settings.prefix}{topic} --add-config {key}={needed}"
    )


async def test_changed_settings_are_told_within_a_minute_with_the_command_and_counting_goes_on(
    kafka: str, prefix: str, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    settings = await prepare(kafka, prefix, tmp_path)
    worker, load = WorkerProcess(settings, "watching"), Load(settings)
    commands = [command(settings, *place, needed) for place, needed in NEEDED.items()]
    with ended(worker):
        worker.start()
        await worker.working()
        assert "Mend it" not in worker.log()
        for topic, configs in CHANGED.items():
            await alter(settings, topic, configs)
        await eventually("all is told", lambda: all(one in worker.log() for one in commands), MINUTE_SECONDS)
        await load.run(100, 3)
        await counted_up(settings)
        for topic in ("orders", "payments", "parcels"):
            await alter(settings, topic, {})
        place = ["--broker", kafka, "--prefix", prefix, "--json"]
        assert await asyncio.to_thread(run, ["check", *place]) == 1
        findings: list[dict[str, Any]] = json.loads(capsys.readouterr().out)["checks"]
        mends = [finding["mend"] for finding in findings if finding["name"] == "topics"]
        assert sorted(mends) == sorted(one for one in commands if "festival." in one)
        gone = [f"as it must be again: topic {prefix}{topic}" for topic in ("orders: retention", "payments: message")]
        await eventually("what is mended is told", lambda: all(one in worker.log() for one in gone), MINUTE_SECONDS)
        assert [worker.log().count(one) for one in commands] == [1] * len(commands)
        assert worker.stop() == 0
