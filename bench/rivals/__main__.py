"""`python -m bench.rivals`: preload, our worker and its rivals in turn for some rounds, and the table."""

from __future__ import annotations

import argparse
import asyncio
import logging
import subprocess
import sys
from pathlib import Path
from typing import TYPE_CHECKING

from bench.measures import tell
from bench.report import machine, write
from bench.rivals.contenders import RIVALS, WORKER, Truth, run_rival, run_worker
from bench.rivals.java import FLINK_VERSION, build, find_javac
from bench.rivals.table import PART, table
from bench.topics import Bench, open_bench, prepare, replay
from streams.broker.distribution import KAFKA_VERSION
from streams.errors import FestivalError

if TYPE_CHECKING:
    from bench.rivals.course import Course

DUPLICATES = 0.01


def _arguments() -> argparse.Namespace:
    parser = argparse.ArgumentParser(prog="python -m bench.rivals")
    parser.add_argument("--broker", help="HOST:PORT; default: an embedded Kafka of its own")
    parser.add_argument("--orders", type=int, default=1_000_000)
    parser.add_argument("--rounds", type=int, default=3)
    parser.add_argument("--only", default="", help="beside the worker, only rivals with this in their name")
    parser.add_argument("--write", type=Path, help="Markdown file whose section on rivals is replaced")
    return parser.parse_args()


def _load(bench: Bench, orders: int) -> Truth:
    arguments = ("--facts", "orders", "--compression", "lz4", "--duplicates", str(DUPLICATES))
    tally = replay(bench, orders, *arguments)
    shown = tally["festivals"]["singles-day-2019"]
    return Truth(sum(tally["acknowledged"]["orders"].values()), shown["orders"], shown["money"]["CNY"]["gross"])


async def _contend(bench: Bench, arguments: argparse.Namespace) -> dict[str, list[Course]]:
    """Let each contender run once per round, so that what else the machine does meets all of them."""
    rivals = [rival for rival in RIVALS if arguments.only.lower() in rival.name.lower()]
    commands = {program: build(program, bench.directory) for program in dict.fromkeys(r.program for r in rivals)}
    await prepare(bench)
    truth = _load(bench, arguments.orders)
    tell(f"{truth.records:,} records preloaded, {truth.orders:,} orders in them")
    courses: dict[str, list[Course]] = {WORKER: [], **{rival.name: [] for rival in rivals}}
    for number in range(arguments.rounds):
        courses[WORKER].append(await run_worker(bench, truth))
        for rival in rivals:
            courses[rival.name].append(await run_rival(bench, rival, commands[rival.program], truth))
        rates = ", ".join(f"{name} {found[-1].per_cpu_second:,.0f}" for name, found in courses.items())
        tell(f"round {number + 1} of {arguments.rounds}, records per CPU second: {rates}")
    return courses


def _java() -> str:
    shown = subprocess.run([find_javac(), "-version"], capture_output=True, text=True, check=True)
    return shown.stdout.strip().replace("javac", "Java")


async def _main() -> None:
    arguments = _arguments()
    logging.getLogger("aiokafka").setLevel(logging.CRITICAL)
    find_javac()
    with open_bench(arguments.broker) as bench:
        courses = await _contend(bench, arguments)
    versions = f"Kafka Streams {KAFKA_VERSION}, Flink {FLINK_VERSION}, {_java()}"
    lines = [f"Machine: {machine()}. {versions}. {arguments.rounds} rounds, medians.", "", *table(courses)]
    print("\n".join(lines))  # noqa: T201
    if arguments.write:
        write(arguments.write, lines, PART)


try:
    asyncio.run(_main())
except FestivalError as error:
    tell(f"rivals: {error}")
    sys.exit(error.exit_status)
