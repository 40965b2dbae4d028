"""A recount beside a real worker under load: the worker moves over, nothing is lost, doubled or rejected twice."""

from __future__ import annotations

import asyncio
import json
import subprocess
import sys
from typing import TYPE_CHECKING

import pytest

from streams.domain.pages import decode_cursor
from streams.kafka.ledger.follower import read_committed_ledger
from tests.integration import worker_processes as w
from tests.integration.ledgers import pages, rejected_offsets

if TYPE_CHECKING:
    from pathlib import Path

    from streams.settings import Settings

pytestmark = pytest.mark.kafka


async def recount(settings: Settings) -> dict[str, object]:
    command = [sys.executable, "-m", "streams.cli", "recount", "--json"]
    command += ["--broker", settings.bootstrap_servers, "--prefix", settings.prefix]
    done = await asyncio.to_thread(subprocess.run, command, capture_output=True, text=True, check=False, timeout=120)
    assert done.returncode == 0, done.stderr
    report: dict[str, object] = json.loads(done.stdout)
    return report


async def test_a_worker_under_load_takes_the_new_generation_over_and_nothing_is_rejected_twice(
    kafka: str, prefix: str, tmp_path: Path
) -> None:
    settings = await w.prepare(kafka, prefix, tmp_path)
    worker, load = w.WorkerProcess(settings, "one").start(), w.Load(settings)
    loading = asyncio.create_task(load.run(500, 90))
    try:
        await worker.counting(w.PARTITIONS)
        await asyncio.sleep(2)  # so that there is something to recount
        assert (await recount(settings))["generation"] == "g2"
        await worker.counting(2 * w.PARTITIONS)
        load.end()
        await loading
        ends = await w.end_offsets(settings)
        async with asyncio.timeout(60):
            while True:
                delta = await read_committed_ledger(settings)
                if {p: decode_cursor(cursor).positions for p, cursor in delta.cursors.items()} == ends:
                    break
                await asyncio.sleep(0.5)
        assert delta.generation == "g2"
        assert worker.stop() == 0
        rejected = await rejected_offsets(settings, w.PARTITIONS)
        assert len(rejected) == len(set(rejected)) > 0
        # Another count of the whole log, beside nobody, comes to the same pages and finds nothing new to reject.
        assert (await recount(settings))["generation"] == "g3"
        assert pages(await read_committed_ledger(settings)) == pages(delta)
        assert await rejected_offsets(settings, w.PARTITIONS) == rejected
    finally:
        load.end()
        worker.end()
        await asyncio.gather(loading, return_exceptions=True)
