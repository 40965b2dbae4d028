"""Visitors of a server, as many and as rude as a test wants; a process of its own: `python -m tests.acceptance.crowd`.

Each asks again as soon as it is answered, as fast as it can, on a connection that stays open. At the end it prints how
often it was answered with which status.
"""

from __future__ import annotations

import argparse
import asyncio
import json
import sys
import time
from collections import Counter
from typing import TYPE_CHECKING

import aiohttp

if TYPE_CHECKING:
    from collections.abc import Sequence


async def visit(client: aiohttp.ClientSession, url: str, until: float, statuses: Counter[str]) -> None:
    """Ask again and again."""
    while time.monotonic() < until:
        try:
            async with client.get(url) as answer:
                await answer.read()
                statuses[str(answer.status)] += 1
                if answer.status == 503:
                    statuses[f"Retry-After: {answer.headers.get('Retry-After')}"] += 1
        except (aiohttp.ClientError, TimeoutError) as error:
            statuses[type(error).__name__] += 1


async def flood(url: str, visitors: int, seconds: float) -> Counter[str]:
    """Return how the visitors were answered."""
    statuses: Counter[str] = Counter()
    until = time.monotonic() + seconds
    connector = aiohttp.TCPConnector(limit=visitors)
    async with (
        aiohttp.ClientSession(connector=connector, timeout=aiohttp.ClientTimeout(60)) as client,
        asyncio.TaskGroup() as tasks,
    ):
        for _ in range(visitors):
            tasks.create_task(visit(client, url, until, statuses))
    return statuses


def main(arguments: Sequence[str] | None = None) -> None:
    """Flood one URL and print what came back as JSON."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("url")
    parser.add_argument("--visitors", type=int, default=20)
    parser.add_argument("--seconds", type=float, default=10)
    given = parser.parse_args(arguments)
    json.dump(asyncio.run(flood(given.url, given.visitors, given.seconds)), sys.stdout)


if __name__ == "__main__":
    main()
