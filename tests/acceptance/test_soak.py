"""A soak: a steady load for half an hour, a worker killed every three minutes. Exact at the end, memory flat.

`pytest -m long tests/acceptance/test_soak.py`. Shorter or slower, and where the report goes:

    FESTIVAL_SOAK_SECONDS=480 FESTIVAL_SOAK_RATE=15000 FESTIVAL_SOAK_KILL_SECONDS=120 FESTIVAL_SOAK_REPORT=soak.json

The report has a row for each minute: orders sent, the delay until they were committed, each worker's memory and CPU.
"""

from __future__ import annotations

import asyncio
import json
import os
import time
from decimal import Decimal
from pathlib import Path
from typing import TYPE_CHECKING, Any

import psutil
import pytest

from bench.catch_up import Positions
from bench.live import SteadySender, delays, watch
from bench.measures import percentile
from bench.topics import Bench
from streams.engine.clock import SystemClock

if TYPE_CHECKING:
    from bench.live import Seen
    from tests.acceptance.cluster import Cluster

SECONDS = int(os.environ.get("FESTIVAL_SOAK_SECONDS", "1800"))
RATE = int(os.environ.get("FESTIVAL_SOAK_RATE", "30000"))
KILL_SECONDS = int(os.environ.get("FESTIVAL_SOAK_KILL_SECONDS", "180"))
REPORT = os.environ.get("FESTIVAL_SOAK_REPORT")
ROW_SECONDS = 60
WORKERS = ("one", "two")
SHARES = {"duplicates": Decimal("0.01"), "late": Decimal("0.01"), "poison": Decimal("0.0001")}
FLAT_SECONDS = 1_500
"""A shorter run says nothing about memory: ids are remembered for ten minutes, and it grows until then."""
FLAT = 1.2

pytestmark = [pytest.mark.kafka, pytest.mark.long, pytest.mark.timeout(2 * SECONDS + 900)]


def used(cluster: Cluster) -> dict[str, tuple[float, float]]:
    """Return the CPU seconds and the memory in MB of each worker."""
    found = {}
    for name in WORKERS:
        process = psutil.Process(cluster.pid(name))
        times = process.cpu_times()
        found[name] = times.user + times.system, process.memory_info().rss / 2**20
    return found


class Soak:
    """The load, the kills and the rows of the report."""

    def __init__(self, cluster: Cluster, sender: SteadySender, positions: Positions) -> None:
        """Prepare."""
        self._cluster, self._sender, self._positions = cluster, sender, positions
        self._kills = 0
        self._seen: list[Seen] = []
        self.rows: list[dict[str, Any]] = []

    async def run(self) -> None:
        """Write a row for each minute, and kill a worker when it is time."""
        began = time.monotonic()
        before = used(self._cluster)
        while (elapsed := time.monotonic() - began) < SECONDS:
            row_ends = (len(self.rows) + 1) * ROW_SECONDS
            kill_at = (self._kills + 1) * KILL_SECONDS
            self._seen += await watch(self._positions, min(row_ends, kill_at) - elapsed)
            if kill_at <= row_ends:
                self._kill()
                before = used(self._cluster)
            if time.monotonic() - began >= row_ends:
                before = self._row(before)

    def _kill(self) -> None:
        """Kill a worker and start it again, as a supervisor would; the workers in turn."""
        name = WORKERS[self._kills % len(WORKERS)]
        self._cluster.kill(name)
        self._cluster.start_worker(name)
        self._kills += 1

    def _row(self, before: dict[str, tuple[float, float]]) -> dict[str, tuple[float, float]]:
        taken, self._sender.taken = self._sender.taken, []
        found = delays(taken, self._seen)
        self._seen = self._seen[-1_000:]
        now = used(self._cluster)
        self.rows.append(
            {
                "minute": len(self.rows) + 1,
                "records": sum(len(batch.rows) for batch in taken),
                "delay_p50": percentile(found, 0.5),
                "delay_p99": percentile(found, 0.99),
                "delay_max": max((seconds for seconds, _ in found), default=0.0),
                "rss_mb": {name: round(rss) for name, (_, rss) in now.items()},
                "cpu_seconds": {name: round(now[name][0] - before[name][0], 1) for name in WORKERS},
                "kills": self._kills,
            }
        )
        return now


async def test_a_soak_with_kills_is_exact_and_its_memory_flat(cluster: Cluster, tmp_path: Path) -> None:
    settings = cluster.settings
    bench = Bench(settings.broker or "", settings.prefix, tmp_path, cluster.partitions)
    for name in WORKERS:
        cluster.start_worker(name)
    await cluster.until(lambda: cluster.snapshot().is_complete, "every partition has a cursor")
    sender = SteadySender(bench, RATE, 1, SHARES)
    await sender.start()
    ended = asyncio.Event()
    sending = asyncio.create_task(sender.run(SystemClock().monotonic_ms(), lambda _n: None, ended.is_set))
    async with Positions(bench) as positions:
        soak = Soak(cluster, sender, positions)
        await soak.run()
    ended.set()
    await sending
    await sender.close()
    await cluster.until_caught_up()
    differences = cluster.differences_from(sender.tally())
    report = {"rate": RATE, "seconds": SECONDS, "kill_seconds": KILL_SECONDS, "differences": differences}
    (Path(REPORT) if REPORT else tmp_path / "soak.json").write_text(
        json.dumps({**report, "minutes": soak.rows}, indent=1)
    )
    assert sender.error is None
    assert differences == []
    if SECONDS >= FLAT_SECONDS:
        third = len(soak.rows) // 3
        most = [
            max(max(row["rss_mb"].values()) for row in rows) for rows in (soak.rows[third:-third], soak.rows[-third:])
        ]
        assert most[1] <= FLAT * most[0], most
