"""What a worker uses under a steady load, and how late its totals are: `python -m bench.steady`.

Beside the percentiles it lists the longest pauses between two commits of a partition, and how many partitions shared
them: a stall of the worker shows in all at once, a slow transaction in one.
"""

from __future__ import annotations

import argparse
import asyncio
import json
import logging
import re
import time
import urllib.request
from typing import TYPE_CHECKING, Any

from bench.catch_up import Positions, workers
from bench.live import WARM_UP_SECONDS, SteadySender, delays, until, watch
from bench.measures import Sampler, percentile, tell
from bench.topics import Bench, open_bench, prepare
from streams.engine.clock import SystemClock

if TYPE_CHECKING:
    from collections.abc import Sequence
    from pathlib import Path

    from bench.live import Seen
    from bench.measures import Sample

WORST = 5
STALL_MS = 1_000
"""Between two commits of one partition: twice the checkpoint interval."""
URL = re.compile(r"http://\S+")


def _arguments() -> argparse.Namespace:
    parser = argparse.ArgumentParser(prog="python -m bench.steady")
    parser.add_argument("--broker", help="HOST:PORT; default: an embedded Kafka of its own")
    parser.add_argument("--partitions", type=int, default=8)
    parser.add_argument("--rate", type=int, default=15_000, help="orders per second")
    parser.add_argument("--seconds", type=int, default=600)
    return parser.parse_args()


def pauses(seen: Sequence[Seen]) -> list[dict[str, Any]]:
    """Return the longest pauses between two commits of a partition, those of one moment together."""
    last: dict[int, int] = {}
    found: dict[int, list[int]] = {}
    for time_ms, partition, _ in seen:
        pause_ms = time_ms - last.get(partition, time_ms)
        last[partition] = time_ms
        if pause_ms >= STALL_MS:
            found.setdefault(time_ms // 1000, []).append(pause_ms)
    worst = sorted(found.items(), key=lambda item: -max(item[1]))[:WORST]
    return [{"at_s": at, "pause_ms": max(ms), "partitions": len(ms)} for at, ms in worst]


def metric(url: str, name: str) -> float:
    """Return a metric of a worker, all its series added."""
    with urllib.request.urlopen(f"{url}/metrics", timeout=10) as answer:  # noqa: S310 - our own server
        lines = answer.read().decode().splitlines()
    return sum(float(line.rsplit(" ", 1)[1]) for line in lines if re.match(rf"{name}(\{{| )", line))


def document(sampled: Sequence[Sample], found: Sequence[tuple[float, int]], seen: Sequence[Seen]) -> dict[str, Any]:
    """Return what was measured."""
    first, last = sampled[0], sampled[-1]
    seconds = (last.time_ms - first.time_ms) / 1000
    return {
        "cores": round((last.cpu_seconds - first.cpu_seconds) / seconds, 4),
        "rss_mb": [round(first.rss_mb), round(last.rss_mb)],
        "records": sum(weight for _, weight in found),
        "delay_p50": percentile(found, 0.5),
        "delay_p99": percentile(found, 0.99),
        "delay_max": max((seconds for seconds, _ in found), default=0.0),
        "pauses": pauses(seen),
    }


async def steady(bench: Bench, per_second: int, seconds: int) -> dict[str, Any]:
    """Return what one worker uses at `per_second` orders for some seconds, and the delays."""
    with workers(bench, 1) as running:
        process, log = running[0]
        async with Positions(bench) as positions:
            await until(
                lambda: process.poll() is not None or len(positions.by_partition) == bench.partitions, positions
            )
            assert process.poll() is None, log.read_text("utf-8")
            sender = SteadySender(bench, per_second, seed=time.time_ns() % 10**9)
            await sender.start()
            ended = asyncio.Event()
            sending = asyncio.create_task(sender.run(SystemClock().monotonic_ms(), lambda _n: None, ended.is_set))
            await watch(positions, WARM_UP_SECONDS)
            skip, url = len(sender.taken), _url(log)
            checkpoints = metric(url, "streams_checkpoints_total")
            with Sampler([process.pid]) as sampler:
                seen = await watch(positions, seconds)
            found = document(sampler.samples, delays(sender.taken[skip:], seen), seen)
            found["checkpoints_per_second"] = round(
                (metric(url, "streams_checkpoints_total") - checkpoints) / seconds, 1
            )
            ended.set()
            await sending
            await sender.close()
    return found


def _url(log: Path) -> str:
    found = URL.search(log.read_text("utf-8"))
    assert found is not None, log.read_text("utf-8")
    return found.group(0).rstrip("/")


async def _main() -> None:
    arguments = _arguments()
    logging.getLogger("aiokafka").setLevel(logging.CRITICAL)
    with open_bench(arguments.broker, arguments.partitions) as bench:
        await prepare(bench)
        tell(f"{arguments.rate:,} orders/s in {arguments.partitions} partitions, {arguments.seconds} s")
        print(json.dumps(await steady(bench, arguments.rate, arguments.seconds)))  # noqa: T201


if __name__ == "__main__":
    asyncio.run(_main())
