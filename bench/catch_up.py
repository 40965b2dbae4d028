"""The worker catching up with everything on, beside the loop and plain Faust, on the same topic."""

from __future__ import annotations

import asyncio
import contextlib
import datetime as dt
import json
import os
import re
import subprocess
import sys
import time
from concurrent.futures import ThreadPoolExecutor
from typing import TYPE_CHECKING, Any, Self

from bench.measures import Run, Sampler
from bench.topics import Bench, fresh_ledger
from streams.domain.pages import decode_cursor
from streams.kafka.ledger.follower import LedgerFollower

if TYPE_CHECKING:
    from collections.abc import Iterator, Mapping, Sequence
    from pathlib import Path

RESTORED = re.compile(r"^(\S+) INFO festival\.worker partition restored", re.MULTILINE)
POLL_SECONDS = 0.1
DEADLINE_SECONDS = 600
STOP_SECONDS = 15


@contextlib.contextmanager
def workers(bench: Bench, count: int) -> Iterator[list[tuple[subprocess.Popen[bytes], Path]]]:
    """Run workers, each with its log file."""
    running = []
    try:
        for number in range(count):
            log = bench.directory / f"worker-{number}.log"
            running.append((start_worker(bench, number, log), log))
        yield running
    finally:
        for process, _ in running:
            process.terminate()
        for process, _ in running:
            process.wait(STOP_SECONDS)


def start_worker(bench: Bench, number: int, log: Path) -> subprocess.Popen[bytes]:
    """Start one worker; its name is its number."""
    command = bench.command("worker", "--name", f"bench-{number}", "--web-port", "0")
    with log.open("wb") as output:
        return subprocess.Popen(command, stdout=output, stderr=output)


class Positions:
    """The committed positions, as the ledger's followers see them."""

    def __init__(self, bench: Bench) -> None:
        """Prepare; `async with` follows."""
        self._follower = LedgerFollower(bench.settings)
        self.by_partition: dict[int, int] = {}
        """Next offset of `orders` per partition."""

    async def __aenter__(self) -> Self:
        """Begin to follow."""
        self._follower.start()
        return self

    async def __aexit__(self, *_: object) -> None:
        """Stop."""
        await self._follower.stop()

    def look(self) -> dict[int, int]:
        """Return the positions that have moved since the last look."""
        delta = self._follower.drain()
        if delta is None:
            return {}
        found = {p: decode_cursor(value).positions.get("orders", 0) for p, value in delta.cursors.items()}
        moved = {p: offset for p, offset in found.items() if offset != self.by_partition.get(p)}
        self.by_partition |= moved
        return moved


async def catch_up(bench: Bench, events: int, count: int) -> Run:
    """Count `events` preloaded orders with `count` workers, from an empty ledger.

    CPU and time run from the moment the first partition is restored (before that a worker imports and joins) to the
    moment the last record is committed.
    """
    await fresh_ledger(bench)
    deadline = time.monotonic() + DEADLINE_SECONDS
    half: tuple[int, int] | None = None
    with workers(bench, count) as running, Sampler([process.pid for process, _ in running]) as sampler:
        async with Positions(bench) as positions:
            while sum(positions.by_partition.values()) < events:
                assert time.monotonic() < deadline, positions.by_partition
                for process, log in running:
                    assert process.poll() is None, log.read_text("utf-8")[-2000:]
                await asyncio.sleep(POLL_SECONDS)
                positions.look()
                if half is None and (counted := sum(positions.by_partition.values())) >= events // 2:
                    half = time.time_ns() // 1_000_000, counted
            end = sampler.samples[-1]
        began = sampler.at(min(restored_ms(log) for _, log in running))
    used = [sample for sample in sampler.samples if began.time_ms <= sample.time_ms <= end.time_ms]
    assert half is not None, "all is more than half"
    middle = sampler.at(half[0])
    first, second = middle.cpu_seconds - began.cpu_seconds, end.cpu_seconds - middle.cpu_seconds
    return Run(
        events,
        first + second,
        (end.time_ms - began.time_ms) / 1000,
        max(sample.rss_mb for sample in used),
        middle.rss_mb,
        (half[1] / first, (events - half[1]) / second if second else 0.0),
    )


def restored_ms(log: Path) -> int:
    """Return when a worker's first partition was restored; far in the future where none was."""
    found = RESTORED.search(log.read_text("utf-8"))
    if found is None:
        return 1 << 62
    return int(dt.datetime.fromisoformat(found.group(1)).timestamp() * 1000)


def loops(bench: Bench, ends: Mapping[int, int], count: int) -> Run:
    """Count the same orders with do-it-yourself loops at the same time, each on its share of the partitions.

    `ends` are the end offsets of the preloaded partitions.
    """
    shares = [sorted(ends)[number::count] for number in range(count)]
    with ThreadPoolExecutor(count) as pool:
        runs = list(pool.map(lambda share: _loop(bench, {p: ends[p] for p in share}), shares))
    return Run(
        sum(run.events for run in runs),
        sum(run.cpu_seconds for run in runs),
        max(run.wall_seconds for run in runs),
        sum(run.peak_rss_mb for run in runs),
    )


def _loop(bench: Bench, ends: Mapping[int, int]) -> Run:
    arguments = [bench.broker, f"{bench.prefix}orders", str(sum(ends.values())), *map(str, ends)]
    return _child([sys.executable, "-m", "bench.loop", *arguments], {})


def plain_faust(bench: Bench, events: int) -> Run:
    """Count some of the orders with a tumbling table."""
    variables = {
        "BENCH_BROKER": bench.broker,
        "BENCH_TOPIC": f"{bench.prefix}orders",
        "BENCH_EVENTS": str(events),
        "BENCH_PARTITIONS": str(bench.partitions),
        "BENCH_DATA": str(bench.directory / "plain-faust"),
    }
    return _child([sys.executable, "-m", "bench.plain_faust"], variables)


def _child(command: Sequence[str], variables: dict[str, str]) -> Run:
    done = subprocess.run(
        command, capture_output=True, text=True, check=False, env={**os.environ, **variables}, timeout=DEADLINE_SECONDS
    )
    assert done.returncode == 0, done.stderr[-2000:]
    found: dict[str, Any] = json.loads(done.stdout.splitlines()[-1])
    return Run(**found)
