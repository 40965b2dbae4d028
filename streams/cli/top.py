"""`festival top`: the workers at work, live in the terminal."""

from __future__ import annotations

import asyncio
import contextlib
import logging
from typing import TYPE_CHECKING

import aiohttp
import click
import msgspec
from aiokafka.errors import KafkaError

from streams.cli.options import broker_options, json_option
from streams.cli.scrapes import Scrape, Scraper, checked_url
from streams.engine.clock import SystemClock
from streams.errors import UnreachableError
from streams.kafka.cluster.topics import open_admin
from streams.kafka.group.roster import Roster, read_roster
from streams.serving import quiet_clients

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator, Sequence

    from rich.console import RenderableType

    from streams.settings import Settings

EVERY_SECONDS = 1.0
PATIENCE = 30
"""Failed looks after which Kafka is taken to be away."""


class Top(msgspec.Struct, frozen=True):
    """One look: what `--json` prints a line of each second."""

    at_ms: int
    group: Roster
    """As Kafka tells it."""
    workers: list[Scrape]
    """Those that were named with `--worker`, as they tell it."""


@click.command("top")
@click.option("--worker", "urls", multiple=True, metavar="URL", help="Ask this worker too; may be given several times.")
@click.option("--once", "is_once", is_flag=True, help="Look once and end.")
@json_option
@broker_options
def command(settings: Settings, urls: Sequence[str], *, is_once: bool, as_json: bool) -> None:
    """Show the workers at work: their partitions, positions and lag; delay and checkpoints of those named.

    Until Ctrl-C; with --json one document a line and second. Members, positions and lag are Kafka's word; delay,
    checkpoints and partitions that stand still are that of the workers named.
    """
    quiet_clients(settings, logging.CRITICAL)
    scrapers = [Scraper(checked_url(url)) for url in urls]
    with _shown(as_json=as_json, is_once=is_once) as show:
        asyncio.run(_watch(settings, scrapers, show, is_once=is_once))


async def _watch(
    settings: Settings, scrapers: Sequence[Scraper], show: Callable[[Top], None], *, is_once: bool
) -> None:
    clock = SystemClock()
    failures = 0
    async with open_admin(settings) as admin, aiohttp.ClientSession() as session:
        while True:
            began_ms = clock.monotonic_ms()
            try:
                roster = await read_roster(admin, settings.prefix)
                failures = 0
            except KafkaError as error:
                # A coordinator that is only just chosen, a broker that restarts: they answer a moment later.
                if not error.retriable:
                    raise
                failures = _failed(failures, error)
            else:
                now_ms = clock.now_ms()
                workers = await asyncio.gather(*(scraper.look(session, now_ms) for scraper in scrapers))
                show(Top(now_ms, roster, list(workers)))
                if is_once:
                    return
            spent = (clock.monotonic_ms() - began_ms) / 1000
            await asyncio.sleep(max(0.0, EVERY_SECONDS - spent))


def _failed(failures: int, error: Exception) -> int:
    if failures + 1 >= PATIENCE:
        raise UnreachableError(f"Kafka does not tell of the group: {error!r}") from error
    return failures + 1


@contextlib.contextmanager
def _shown(*, as_json: bool, is_once: bool) -> Iterator[Callable[[Top], None]]:
    """Give what shows a look: a line of JSON, or tables that replace those before on a terminal."""
    if as_json:
        yield lambda top: click.echo(msgspec.json.encode(top).decode())
        return
    # Imported here: rich takes a tenth of a second.
    from rich.console import Console  # noqa: PLC0415
    from rich.live import Live  # noqa: PLC0415

    console = Console()
    if is_once or not console.is_terminal:
        yield lambda top: console.print(_tables(top))
        return
    with Live(console=console, refresh_per_second=4) as live:
        yield lambda top: live.update(_tables(top))


def _tables(top: Top) -> RenderableType:
    from rich.box import SIMPLE_HEAD  # noqa: PLC0415 - as above
    from rich.console import Group  # noqa: PLC0415
    from rich.table import Table  # noqa: PLC0415
    from rich.text import Text  # noqa: PLC0415

    def table(*columns: str) -> Table:
        made = Table(box=SIMPLE_HEAD, title_style="bold")
        for place, column in enumerate(columns):
            made.add_column(column, justify="left" if place == 0 else "right")
        return made

    group = top.group
    heading = Text(f"group {group.state.lower()}, {len(group.members)} members, {group.lag_records:,} records behind")
    members = table("member", "host", "process", "version", "partitions")
    for member in group.members:
        numbers = ", ".join(map(str, member.partitions)) or "none"
        members.add_row(member.name, member.host, str(member.process_id or "–"), member.version or "–", numbers)
    partitions = table("topic", "partition", "member", "position", "end", "lag")
    for one in group.partitions:
        position = "–" if one.position is None else f"{one.position:,}"
        style = "" if one.member is not None else "bold red"
        counts = (position, f"{one.end_offset:,}", f"{one.lag_records:,}")
        partitions.add_row(one.topic, str(one.partition), one.member or "nobody", *counts, style=style)
    parts: list[RenderableType] = [heading, members, partitions]
    if top.workers:
        workers = table("worker", "delay p50", "p99", "checkpoints", "a second", "failed", "stands still")
        for worker in top.workers:
            workers.add_row(worker.url, *_cells(worker), style="" if worker.answers else "bold red")
        parts.append(workers)
    return Group(*parts)


def _cells(worker: Scrape) -> Iterator[str]:
    if not worker.answers or worker.delay_seconds is None:
        yield from ("–", "–", "–", "–", "–", worker.detail or "does not answer")
        return
    for delay in (worker.delay_seconds.p50, worker.delay_seconds.p99):
        yield "–" if delay is None else f"{delay:.3f} s"
    yield f"{worker.checkpoints:,}"
    yield "–" if worker.checkpoints_per_second is None else f"{worker.checkpoints_per_second:g}"
    yield f"{worker.checkpoint_failures:,}"
    still = [f"{one.partition} held: {one.reason}" for one in worker.held or ()]
    still += [f"{one.partition} waits: {one.reason}" for one in worker.waiting or ()]
    yield "; ".join(still) or "none"
