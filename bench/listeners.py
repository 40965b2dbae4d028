"""How soon 1,000 screens of one board have what was committed: `python -m bench.listeners`.

A board over a ledger in memory, in a process of its own, commits ten times a second, and each commit's orders tell when
it was made. Listeners are plain sockets in this process that read and take no notice, but for the totals of each state:
what is measured is from the commit to the last byte of its totals event at each listener.
"""

from __future__ import annotations

import argparse
import asyncio
import json
import multiprocessing
import os
import resource
import statistics
import time
from typing import TYPE_CHECKING

from streams.board.view.committed_view import CommittedView
from streams.engine.memory import CellLedger
from streams.festivals import load_festivals
from streams.web.ports import listen, url_of
from streams.web.server import start_server
from streams.web.shown import Shown

if TYPE_CHECKING:
    from multiprocessing.connection import Connection

DAY = load_festivals()["singles-day-2019"]
COMMIT_SECONDS = 0.1
MARK = b'"orders":'
OPEN_AT_ONCE = 50


async def _serve(pipe: Connection) -> None:
    ledger, view = CellLedger(4), CommittedView()
    source = Shown({DAY.id: DAY}, view.snapshot)
    listener = listen("127.0.0.1", 0, is_explicit=True)
    pipe.send(url_of(listener))
    runner = await start_server(listener, source)
    minute, sent = 0, 0
    while not pipe.poll():
        minute = (minute + 1) % 1440
        # The orders counted so far are the milliseconds at which they were committed: what arrives tells its age.
        now_ms = time.monotonic_ns() // 1_000_000
        at_ms = DAY.start_ms + minute * 60_000
        ledger.add(0, DAY, "orders_by_second", ("CNY",), at_ms, orders=now_ms - sent, gross_minor=20_000)
        for merchant in range(20):
            ledger.add(0, DAY, "orders_by_merchant", (f"m{merchant:04}", "CNY"), at_ms, orders=1, gross_minor=20_000)
        ledger.commit(0, {"orders": now_ms}, {"orders": 1}, {"orders": at_ms})
        view.feed(ledger.drain())
        sent = now_ms
        await asyncio.sleep(COMMIT_SECONDS)
    used = resource.getrusage(resource.RUSAGE_SELF)
    pipe.send((used.ru_utime + used.ru_stime, used.ru_maxrss * 1024))
    await runner.cleanup()


def serve(pipe: Connection) -> None:
    """Serve in a process of its own until the pipe says something."""
    asyncio.run(_serve(pipe))


async def hear(host: str, port: int, delays_ms: list[int], counts: dict[str, int], until: float) -> None:
    """Listen, and note the age of the totals in each event."""
    reader, writer = await asyncio.open_connection(host, port, limit=1 << 20)
    writer.write(f"GET /api/stream?festival={DAY.id} HTTP/1.1\r\nHost: {host}:{port}\r\n\r\n".encode())
    is_totals = False
    while time.monotonic() < until:
        line = await reader.readline()
        if not line:
            counts["dropped"] += 1
            break
        counts["bytes"] += len(line)
        if line.startswith(b"event: "):
            is_totals = line == b"event: totals\n"
        elif is_totals and line.startswith(b"data: "):
            begin = line.index(MARK) + len(MARK)
            if line[begin : begin + 1] == b"{":  # the positions name a topic of that name first
                begin = line.index(MARK, begin) + len(MARK)
            committed_ms = int(line[begin : line.index(b",", begin)])
            delays_ms.append(time.monotonic_ns() // 1_000_000 - committed_ms)
    writer.close()


async def measure(address: str, listeners: int, seconds: float) -> tuple[list[int], dict[str, int]]:
    """Return the ages at arrival in milliseconds, after everybody has connected, and what was counted beside."""
    host, port = address.removeprefix("http://").rstrip("/").split(":")
    delays_ms: list[int] = []
    counts = {"bytes": 0, "dropped": 0}
    until = time.monotonic() + seconds + listeners / 200
    tasks = []
    for number in range(listeners):
        tasks.append(asyncio.create_task(hear(host, int(port), delays_ms, counts, until)))
        if number % OPEN_AT_ONCE == 0:
            await asyncio.sleep(0.1)
    delays_ms.clear()
    counts["bytes"] = 0
    await asyncio.gather(*tasks)
    return delays_ms, counts


def main() -> None:
    """Print one line."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--listeners", type=int, default=1_000)
    parser.add_argument("--seconds", type=float, default=20)
    arguments = parser.parse_args()
    ours, theirs = multiprocessing.Pipe()
    process = multiprocessing.get_context("spawn").Process(target=serve, args=(theirs,), daemon=True)
    process.start()
    delays_ms, counts = asyncio.run(measure(ours.recv(), arguments.listeners, arguments.seconds))
    ours.send("stop")
    cpu_seconds, peak_bytes = ours.recv()
    process.join(10)
    cuts = statistics.quantiles(delays_ms, n=100)
    result = {
        "listeners": arguments.listeners,
        "events": len(delays_ms),
        "p50_ms": cuts[49],
        "p99_ms": cuts[98],
        "max_ms": max(delays_ms),
        "dropped": counts["dropped"],
        "megabytes": round(counts["bytes"] / 1e6, 1),
        "board_cpu_seconds": round(cpu_seconds, 1),
        "board_peak_megabytes": round(peak_bytes / 1e6, 1),
        "load_of_machine": os.getloadavg()[0],
    }
    print(json.dumps(result))  # noqa: T201 - a command


if __name__ == "__main__":
    main()
