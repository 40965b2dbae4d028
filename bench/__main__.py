"""`python -m bench`: preload, all contenders in turn for some rounds, a steady load, and the table."""

from __future__ import annotations

import argparse
import asyncio
import logging
from pathlib import Path

from bench.catch_up import catch_up, loops, plain_faust
from bench.live import live
from bench.measures import Run, median, tell
from bench.report import FAUST, LOOP, LOOPS, ONE, TWO, live_rows, machine, memory_row, table, write
from bench.topics import Bench, open_bench, prepare, replay

REPLAYED = 3_000_000
"""Orders at most in a measure of the replay: a million are over before the first tenth is forgotten."""


def _arguments() -> argparse.Namespace:
    parser = argparse.ArgumentParser(prog="python -m bench")
    parser.add_argument("--broker", help="HOST:PORT; default: an embedded Kafka of its own")
    parser.add_argument("--orders", type=int, default=8_000_000)
    parser.add_argument("--faust-orders", type=int, default=20_000)
    parser.add_argument("--rounds", type=int, default=3)
    parser.add_argument("--rate", type=int, default=5_000, help="orders per second of the steady load")
    parser.add_argument("--seconds", type=int, default=30, help="of the steady load")
    parser.add_argument("--write", type=Path, help="Markdown file whose measured part is replaced")
    return parser.parse_args()


async def _contend(bench: Bench, arguments: argparse.Namespace, ends: dict[int, int]) -> dict[str, list[Run]]:
    """Let each contender run once per round, so that what else the machine does meets all of them."""
    runs: dict[str, list[Run]] = {ONE: [], LOOP: [], TWO: [], LOOPS: [], FAUST: []}
    for number in range(arguments.rounds):
        runs[ONE].append(await catch_up(bench, arguments.orders, 1))
        runs[LOOP].append(loops(bench, ends, 1))
        runs[TWO].append(await catch_up(bench, arguments.orders, 2))
        runs[LOOPS].append(loops(bench, ends, 2))
        runs[FAUST].append(plain_faust(bench, arguments.faust_orders))
        rates = ", ".join(f"{name} {found[-1].events_per_cpu_second:,.0f}" for name, found in runs.items())
        tell(f"round {number + 1} of {arguments.rounds}, events per CPU second: {rates}")
    return runs


async def _main() -> None:
    arguments = _arguments()
    logging.getLogger("aiokafka").setLevel(logging.CRITICAL)
    with open_bench(arguments.broker) as bench:
        await prepare(bench)
        lz4 = ("--facts", "orders", "--compression", "lz4")
        loaded = replay(bench, arguments.orders, *lz4)
        first = {int(p): end for p, end in loaded["end_offsets"]["orders"].items()}
        tell(f"{arguments.orders:,} orders preloaded")
        runs = await _contend(bench, arguments, first)
        steady = await live(bench, arguments.rate, arguments.seconds, first)
        rates = [
            replay(bench, min(arguments.orders, REPLAYED), "--facts", facts, "--seed", str(2 + n))["run"][
                "orders_per_cpu_second"
            ]
            for facts in ("orders", "orders,payments")
            for n in range(arguments.rounds)
        ]
    half = len(rates) // 2
    lines = [f"Machine: {machine()}. {arguments.rounds} rounds, medians.", "", *table(runs), "", "| | |", "|---|---:|"]
    lines += [*live_rows(steady.document(), arguments.rate), memory_row(runs[ONE])]
    lines.append(f"| replay, orders only: orders per CPU second | {median(rates[:half]):,.0f} |")
    lines.append(f"| replay, orders and payments: orders per CPU second | {median(rates[half:]):,.0f} |")
    print("\n".join(lines))  # noqa: T201
    if arguments.write:
        write(arguments.write, lines)


asyncio.run(_main())
