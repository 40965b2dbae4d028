"""What an idle agent of a shop costs the worker beside it: `python -m bench.shop_agent [ROUNDS]`.

Each round counts the same orders twice, with the agent and without it, in changing order, and then looks at both
workers while nothing comes in.
"""

from __future__ import annotations

import asyncio
import logging
import statistics
import sys
from dataclasses import dataclass

from bench.catch_up import RESTORED, catch_up, workers
from bench.measures import Sampler, tell
from bench.topics import Bench, open_bench, prepare, replay

ORDERS = 1_000_000
ROUNDS = 5
IDLE_SECONDS = 15.0
SETTLED_SECONDS = 5.0
"""After the last partition is restored: by then both groups are joined."""
ALONE, BESIDE = "streams.faust", "bench.idle_shop"


@dataclass(frozen=True)
class FaustBench(Bench):
    """A bench whose worker is started by Faust's command."""

    app: str = ALONE

    def command(self, *arguments: str) -> list[str]:
        """Return the command line: of a worker Faust's, else `festival`'s."""
        if arguments[0] != "worker":
            return super().command(*arguments)
        settings = {"BROKER": self.broker, "PREFIX": self.prefix, "DATA_DIR": str(self.directory), "WEB_PORT": "0"}
        variables = [f"FESTIVAL_{name}={value}" for name, value in settings.items()]
        return ["env", *variables, sys.executable, "-m", "faust", "-A", self.app, "worker"]


async def idle_cores(bench: Bench) -> float:
    """Return the share of a core that a worker uses while nothing comes in."""
    with workers(bench, 1) as [(process, log)]:
        while len(RESTORED.findall(log.read_text("utf-8"))) < bench.partitions:
            assert process.poll() is None, log.read_text("utf-8")
            await asyncio.sleep(0.1)
        await asyncio.sleep(SETTLED_SECONDS)
        with Sampler([process.pid]) as sampler:
            await asyncio.sleep(IDLE_SECONDS)
    first, last = sampler.samples[0], sampler.samples[-1]
    return (last.cpu_seconds - first.cpu_seconds) / (last.time_ms - first.time_ms) * 1000


async def _main() -> None:
    rounds = int(sys.argv[1]) if len(sys.argv) > 1 else ROUNDS
    logging.getLogger("aiokafka").setLevel(logging.CRITICAL)
    with open_bench(None) as made:
        await prepare(made)
        replay(made, ORDERS, "--facts", "orders", "--compression", "lz4")
        benches = [
            FaustBench(made.broker, made.prefix, made.directory, made.partitions, app) for app in (ALONE, BESIDE)
        ]
        used: dict[str, list[float]] = {ALONE: [], BESIDE: []}
        idle: dict[str, list[float]] = {ALONE: [], BESIDE: []}
        for number in range(rounds):
            for bench in benches if number % 2 else benches[::-1]:
                used[bench.app].append((await catch_up(bench, ORDERS, 1)).cpu_seconds)
                idle[bench.app].append(await idle_cores(bench))
            tell(f"round {number + 1}: {used}, {idle}")
    pairs = [beside / alone - 1 for alone, beside in zip(used[ALONE], used[BESIDE], strict=True)]
    more = [beside - alone for alone, beside in zip(idle[ALONE], idle[BESIDE], strict=True)]
    print(  # noqa: T201
        f"{ORDERS:,} orders: {statistics.median(pairs):+.1%} CPU with the agent, pairs {[f'{p:+.1%}' for p in pairs]}\n"
        f"nothing coming in: {statistics.median(more):+.2%} of a core with it, pairs {[f'{m:+.2%}' for m in more]}"
    )


if __name__ == "__main__":
    asyncio.run(_main())
