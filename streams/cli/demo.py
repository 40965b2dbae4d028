"""`festival demo`: the whole product on this machine, from Kafka to audited totals."""

from __future__ import annotations

import asyncio
import json
import logging
import sys
import webbrowser
from typing import TYPE_CHECKING

import click

from streams.cli.options import json_option, settings_options
from streams.cli.progress import progress
from streams.cli.stopping import INTERRUPTED, stop_on_signals
from streams.cli.ticker import has_display, live_totals, rows_of
from streams.engine.clock import SystemClock
from streams.night import demo
from streams.serving import quiet_clients

if TYPE_CHECKING:
    from collections.abc import Callable
    from contextlib import AbstractContextManager

    from streams.domain.festivals import Festival
    from streams.night.course import Night
    from streams.settings import Settings


@click.command("demo")
@click.option("--orders", type=int, default=100_000, show_default=True, metavar="N", help="Orders of the day.")
@click.option(
    "--seconds", type=click.FloatRange(min=0.1), default=20.0, show_default=True, help="How long the day takes."
)
@click.option("--workers", type=click.IntRange(1, 16), default=1, show_default=True, metavar="W", help="How many.")
@click.option("--seed", type=int, default=1, show_default=True, metavar="K", help="Same arguments, same events.")
@click.option("--exit", "is_exit", is_flag=True, help="Leave after the audit: 0 exact, 1 not.")
@json_option
@settings_options
def command(
    settings: Settings, orders: int, seconds: float, workers: int, seed: int, *, is_exit: bool, as_json: bool
) -> int:
    """Start Apache Kafka and workers, replay the 2019 festival in some seconds, audit and print the totals.

    With --broker, or where an embedded Kafka runs already, that one is used, with topics of this run's own. Without
    --exit it serves the screen and the metrics until Ctrl-C.
    """
    # A broker that has just started tells its clients to wait, and they tell us.
    quiet_clients(settings, logging.ERROR)
    viewer = _Terminal(is_exit=is_exit)
    load = demo.day_of(settings, SystemClock().now_ms(), orders=orders, seed=seed)
    viewer.say(f"{load.orders:,} orders of 11 November 2019 in {seconds:g} s, on Apache Kafka")
    with (
        stop_on_signals() as stop,
        demo.own_directory(settings) as directory,
        demo.some_kafka(settings, directory, viewer.say, progress) as connected,
    ):
        if stop.is_set():
            return INTERRUPTED
        night = demo.night_of(connected, load, directory, workers, stop)
        return asyncio.run(_run(night, seconds, viewer, as_json=as_json))


class _Terminal:
    """The person at the terminal; who does not leave at once is shown the screen."""

    def __init__(self, *, is_exit: bool) -> None:
        self.is_exit = is_exit

    def say(self, line: str) -> None:
        click.echo(line, err=True)

    def open_screen(self, url: str) -> None:
        if not self.is_exit and sys.stderr.isatty() and has_display():
            webbrowser.open(url)

    def totals(self, festival: Festival) -> AbstractContextManager[Callable[..., None]]:
        return live_totals(festival)


async def _run(night: Night, seconds: float, viewer: _Terminal, *, as_json: bool) -> int:
    async with demo.performed(night, seconds, viewer) as problems:
        if problems is None:
            return INTERRUPTED
        _print(night, problems, as_json=as_json)
        if not viewer.is_exit:
            viewer.say(f"serving {' '.join(night.workers.urls)} until Ctrl-C")
            await night.until_stopped()
        return 1 if problems else 0


def _print(night: Night, problems: list[str], *, as_json: bool) -> None:
    document = night.document()
    if as_json:
        # Not orjson: a sum may exceed 64 bits.
        click.echo(json.dumps(document))
        return
    rows = [("festival", night.festival.name), *rows_of(document, night.festival)]
    rows.append(("audit", f"{len(problems)} differences" if problems else "exact"))
    widths = [max(len(row[i]) for row in rows) for i in (0, 1)]
    for name, value in rows:
        click.echo(f"{name:<{widths[0]}}  {value:>{widths[1]}}")
