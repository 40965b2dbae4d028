"""Machines whose clocks are off: delays and the screen's ages are right, and the clock is told."""

from __future__ import annotations

import asyncio
import json
import re
import subprocess
import sys
import urllib.request
from typing import TYPE_CHECKING, Any

import pytest
from prometheus_client.parser import text_string_to_metric_families

from tests.integration.worker_processes import Load, WorkerProcess, ended, eventually, prepare

if TYPE_CHECKING:
    from pathlib import Path

    from streams.settings import Settings

pytestmark = pytest.mark.kafka
HOUR_MS = 3_600_000
PROGRAM = "tests.integration.off_clock"
SECONDS = 30


def url_of(worker: WorkerProcess) -> str:
    found = re.search(r"serving url=(\S+)", worker.log())
    assert found is not None, worker.log()
    return found.group(1)


def scraped(url: str) -> dict[str, float]:
    """Return the values of a page of metrics that have no labels, and the bucket of a minute's delay."""
    with urllib.request.urlopen(f"{url}metrics", timeout=SECONDS) as answer:  # noqa: S310 - our own server
        families = text_string_to_metric_families(answer.read().decode())
    samples = [sample for family in families for sample in family.samples]
    found = {sample.name: sample.value for sample in samples if not sample.labels}
    found["minute"] = next(
        s.value for s in samples if s.name == "streams_event_delay_seconds_bucket" and s.labels["le"] == "60.0"
    )
    return found


def alive(url: str) -> dict[str, Any]:
    """Return the first `alive` that a screen is told."""
    with urllib.request.urlopen(f"{url}api/stream", timeout=SECONDS) as answer:  # noqa: S310 - our own server
        is_alive = False
        for line in answer:
            if is_alive:
                told: dict[str, Any] = json.loads(line.decode().removeprefix("data: "))
                return told
            is_alive = line.strip() == b"event: alive"
    raise AssertionError("the stream has ended")


def checked(settings: Settings, off_ms: int) -> dict[str, Any]:
    """Return what `festival check` says of the clock, on a machine whose clock is off."""
    place = ["--broker", settings.bootstrap_servers, "--prefix", settings.prefix, "--json"]
    done = subprocess.run(
        [sys.executable, "-m", PROGRAM, str(off_ms), "check", *place],
        capture_output=True,
        text=True,
        check=False,
        timeout=60,
    )
    findings: list[dict[str, Any]] = json.loads(done.stdout)["checks"]
    return next(finding for finding in findings if finding["name"] == "clock")


@pytest.mark.parametrize("off_ms", [-HOUR_MS, HOUR_MS])
async def test_with_a_clock_an_hour_off_delays_and_ages_are_right_and_the_clock_is_told(
    off_ms: int, kafka: str, prefix: str, tmp_path: Path
) -> None:
    settings = await prepare(kafka, prefix, tmp_path)
    worker = WorkerProcess(settings, "off", program=(PROGRAM, str(off_ms)))
    load = Load(settings)
    with ended(worker):
        worker.start()
        await worker.working()
        running = asyncio.create_task(load.run(100, 60))
        url = url_of(worker)
        await eventually("it counts", lambda: scraped(url)["streams_event_delay_seconds_count"] > 500)
        found = scraped(url)
        delays = found["streams_event_delay_seconds_count"]
        assert found["minute"] == delays
        assert 0 < found["streams_event_delay_seconds_sum"] < 60 * delays
        assert abs(found["streams_clock_offset_seconds"] - off_ms / 1000) < 1
        side = "ahead of" if off_ms > 0 else "behind"
        await eventually("the clock is told", lambda: "this machine's clock is 3," in worker.log())
        assert f"s {side} the broker's; ages are told by the broker's" in worker.log()
        finding = await asyncio.to_thread(checked, settings, off_ms)
        assert (finding["ok"], finding["detail"].split(" s ")[1]) == (False, f"{side} the broker's")
        assert "timedatectl" in finding["mend"]
        assert (await asyncio.to_thread(checked, settings, 0))["ok"]
        told = await asyncio.to_thread(alive, url)
        assert -1_000 < told["now_ms"] - told["fresh_ms"] < 10_000
        load.end()
        await running
        assert worker.stop() == 0


async def test_a_ledger_that_nobody_writes_to_does_not_tell_the_brokers_time(
    kafka: str, prefix: str, tmp_path: Path
) -> None:
    settings = await prepare(kafka, prefix, tmp_path)
    finding = await asyncio.to_thread(checked, settings, HOUR_MS)
    assert finding["ok"]
    assert "not known" in finding["detail"]
