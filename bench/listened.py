"""What 1,000 screens cost the worker that serves them: `python -m bench.listened`.

Rounds without and with listeners of `/api/stream` in turn, each on topics of its own: a worker starts, the listeners
connect, then orders are sent as fast as Kafka takes them. CPU is that of the worker's process, from the first order
until all are committed. A tick's age is taken from the server's clock in each `alive` event to its arrival.
"""

from __future__ import annotations

import argparse
import asyncio
import contextlib
import json
import multiprocessing
import os
import re
import statistics
import time
from dataclasses import asdict, dataclass
from typing import TYPE_CHECKING, Any

import psutil

from bench.catch_up import DEADLINE_SECONDS, POLL_SECONDS, STOP_SECONDS, Positions, start_worker
from bench.topics import open_bench, prepare, replay

if TYPE_CHECKING:
    import subprocess
    from collections.abc import Iterator
    from multiprocessing.connection import Connection
    from pathlib import Path

    from bench.topics import Bench

FESTIVAL = "singles-day-2019"
SERVING = re.compile(r"serving url=http://([\d.]+):(\d+)/")
OPEN_AT_ONCE = 50


Address = tuple[str, int]


@dataclass(frozen=True)
class Round:
    """One round's numbers."""

    listeners: int
    events_per_cpu_second: int
    events_per_second: int
    cpu_seconds: float
    wall_seconds: float
    tick_p50_ms: float | None = None
    tick_p99_ms: float | None = None
    dropped: int = 0


class Crowd:
    """Listeners as plain sockets in a process of their own, which only read and note when ticks were made."""

    def __init__(self, address: Address, listeners: int) -> None:
        self._address = address
        self._ages_ms: list[float] = []
        self._dropped = 0
        self._listeners = listeners

    async def listen(self, pipe: Connection) -> None:
        """Connect, say so, and listen until the pipe says something; then tell what was heard."""
        tasks = []
        for number in range(self._listeners):
            opened = await asyncio.open_connection(*self._address, limit=1 << 20)
            tasks.append(asyncio.create_task(self._hear(*opened)))
            if number % OPEN_AT_ONCE == 0:
                await asyncio.sleep(POLL_SECONDS)
        await asyncio.sleep(2)
        self._ages_ms.clear()
        pipe.send("listening")
        while not pipe.poll():
            await asyncio.sleep(POLL_SECONDS)
        for task in tasks:
            task.cancel()
        await asyncio.gather(*tasks, return_exceptions=True)
        pipe.send((self._ages_ms, self._dropped))

    async def _hear(self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        writer.write(f"GET /api/stream?festival={FESTIVAL} HTTP/1.1\r\nHost: 127.0.0.1\r\n\r\n".encode())
        is_alive = False
        while line := await reader.readline():
            if is_alive:
                made_ms = json.loads(line.removeprefix(b"data: "))["now_ms"]
                self._ages_ms.append(time.time_ns() / 1e6 - made_ms)
            is_alive = line == b"event: alive\n"
        self._dropped += 1


def listen(pipe: Connection, address: Address, listeners: int) -> None:
    """Be the crowd's process."""
    asyncio.run(Crowd(address, listeners).listen(pipe))


@contextlib.contextmanager
def serving_worker(bench: Bench, log: Path) -> Iterator[tuple[subprocess.Popen[bytes], Address]]:
    """Run a worker, from when it serves on."""
    worker = start_worker(bench, 0, log)
    try:
        while (serving := SERVING.search(log.read_text("utf-8"))) is None:
            assert worker.poll() is None, log.read_text("utf-8")[-2_000:]
            time.sleep(POLL_SECONDS)
        yield worker, (serving[1], int(serving[2]))
    finally:
        worker.terminate()
        worker.wait(STOP_SECONDS)


async def run_round(bench: Bench, orders: int, listeners: int) -> Round:
    """Count `orders` that are sent while so many listen."""
    await prepare(bench)
    log = bench.directory / "worker.log"
    with serving_worker(bench, log) as (worker, address):
        async with Positions(bench) as positions:
            while len(positions.by_partition) < bench.partitions:
                assert worker.poll() is None, log.read_text("utf-8")[-2_000:]
                positions.look()
                await asyncio.sleep(POLL_SECONDS)
            ours, theirs = multiprocessing.Pipe()
            context = multiprocessing.get_context("spawn")
            crowd = context.Process(target=listen, args=(theirs, address, listeners), daemon=True)
            crowd.start()
            theirs.close()  # so that the end of the crowd ends the waiting for it
            assert await asyncio.to_thread(ours.recv) == "listening"
            before, began = psutil.Process(worker.pid).cpu_times(), time.monotonic()
            await asyncio.to_thread(replay, bench, orders, "--facts", "orders", "--compression", "lz4")
            while sum(positions.by_partition.values()) < orders:
                assert time.monotonic() < began + DEADLINE_SECONDS, positions.by_partition
                positions.look()
                await asyncio.sleep(POLL_SECONDS)
            after, ended = psutil.Process(worker.pid).cpu_times(), time.monotonic()
            ours.send("enough")
            ages_ms, dropped = await asyncio.to_thread(ours.recv)
            crowd.join(10)
    used = after.user + after.system - before.user - before.system
    cuts = statistics.quantiles(ages_ms, n=100) if len(ages_ms) > 1 else None
    p50, p99 = (None, None) if cuts is None else (round(cuts[49], 1), round(cuts[98], 1))
    took = ended - began
    rates = round(orders / used), round(orders / took)
    return Round(listeners, *rates, round(used, 2), round(took, 1), p50, p99, dropped)


def main() -> None:
    """Print every round, and the medians."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--broker", help="HOST:PORT; default: an embedded Kafka of its own")
    parser.add_argument("--listeners", type=int, default=1_000)
    parser.add_argument("--orders", type=int, default=1_000_000)
    parser.add_argument("--rounds", type=int, default=3)
    arguments = parser.parse_args()
    os.environ["FESTIVAL_WEB_CONNECTIONS"] = str(2 * arguments.listeners)
    rounds: list[Round] = []
    with open_bench(arguments.broker) as first:
        for _ in range(arguments.rounds):
            for listeners in (0, arguments.listeners):
                with open_bench(first.broker) as bench:
                    rounds.append(asyncio.run(run_round(bench, arguments.orders, listeners)))
                print(json.dumps(asdict(rounds[-1])), flush=True)  # noqa: T201 - a command
    print(json.dumps(summary(rounds)))  # noqa: T201


def summary(rounds: list[Round]) -> dict[str, Any]:
    """Return what the listeners cost: of the worker's rate, and of a core while orders came as fast as they could."""
    without, listened = ([r for r in rounds if bool(r.listeners) is is_listened] for is_listened in (False, True))
    rate, listened_rate = (statistics.median(r.events_per_cpu_second for r in some) for some in (without, listened))
    more = statistics.median(r.cpu_seconds for r in listened) - statistics.median(r.cpu_seconds for r in without)
    return {
        "rate_without": rate,
        "rate_with": listened_rate,
        "ratio": round(listened_rate / rate, 3),
        "share_of_a_core": round(more / statistics.median(r.wall_seconds for r in listened), 3),
        "load_of_machine": os.getloadavg()[0],
    }


if __name__ == "__main__":
    main()
