"""The same count as Faust's documentation would have it: an agent and a tumbling table.

A process of its own: prints one JSON document after `BENCH_EVENTS` events and ends.
"""

from __future__ import annotations

import json
import os
import resource
import sys
import time
import uuid
from typing import Any

import faust

BROKER = os.environ["BENCH_BROKER"]
TOPIC = os.environ["BENCH_TOPIC"]
EVENTS = int(os.environ["BENCH_EVENTS"])
PARTITIONS = int(os.environ["BENCH_PARTITIONS"])

app = faust.App(
    f"plain-faust-{uuid.uuid4().hex}",
    broker=f"kafka://{BROKER}",
    datadir=os.environ["BENCH_DATA"],
    store="memory://",
    topic_partitions=PARTITIONS,
    web_enabled=False,
    table_standby_replicas=0,
    topic_disable_leader=True,
)
source = app.topic(TOPIC, value_serializer="json")
totals = app.Table("totals", default=int, partitions=PARTITIONS).tumbling(60.0, expires=3600.0)
started: dict[str, float] = {}


def cpu_seconds() -> float:
    """Return the CPU seconds of the process."""
    used = resource.getrusage(resource.RUSAGE_SELF)
    return used.ru_utime + used.ru_stime


@app.agent(source)
async def count(orders: Any) -> None:  # noqa: ANN401 - a Faust stream
    """Count orders per platform and minute."""
    seen = 0
    async for order in orders:
        if not started:
            started.update(cpu=cpu_seconds(), wall=time.monotonic())
        totals[order["platform"]] += 1
        seen += 1
        if seen == EVENTS:
            found = {
                "events": seen,
                "cpu_seconds": cpu_seconds() - started["cpu"],
                "wall_seconds": time.monotonic() - started["wall"],
                "peak_rss_mb": resource.getrusage(resource.RUSAGE_SELF).ru_maxrss / 1024,
            }
            # Past the redirection of stdout into Faust's log.
            os.write(1, b"\n" + json.dumps(found).encode() + b"\n")
            os._exit(0)


if __name__ == "__main__":
    sys.argv = [sys.argv[0], "worker", "-l", "error", "--without-web"]
    app.main()
