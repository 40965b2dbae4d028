"""`festival rehearse`: the coming night's load, now, beside the real topics, and a report of how it went."""

from __future__ import annotations

import asyncio
import logging
from typing import TYPE_CHECKING

import click
import orjson

from streams.cli.options import broker_options, json_option, web_options
from streams.cli.progress import Bar, progress
from streams.cli.stopping import INTERRUPTED, stop_on_signals
from streams.night import rehearsal, report
from streams.night.leftovers import leftovers, remove
from streams.serving import quiet_clients

if TYPE_CHECKING:
    from contextlib import AbstractContextManager

    from streams.settings import Settings


@click.command("rehearse")
@click.option("--festival", "festival_id", metavar="ID", help="What to rehearse; default: the coming festival.")
@click.option(
    "--orders",
    type=click.IntRange(min=1),
    default=1_000_000,
    show_default=True,
    metavar="N",
    help="Expected of the whole day.",
)
@click.option(
    "--seconds", type=click.FloatRange(1, 86_400), default=120.0, show_default=True, help="From its start on."
)
@click.option("--partitions", type=click.IntRange(1, 1_000), help="Default: as many as the real topics have.")
@click.option("--workers", type=click.IntRange(1, 64), default=1, show_default=True, metavar="W", help="Started here.")
@click.option("--processes", type=click.IntRange(1, 64), default=1, show_default=True, help="That send.")
@click.option("--lead", type=click.IntRange(1, 3_600), default=20, show_default=True, help="Seconds before it begins.")
@click.option("--prometheus", metavar="URL", help="Report the alerts that fired there.")
@click.option("--keep", is_flag=True, help="Leave the rehearsal's topics there, and say how to ask them.")
@click.option("--remove", "removed", metavar="NAME", help="Only delete the topics of a rehearsal that was left there.")
@json_option
@web_options
@broker_options
def command(  # noqa: PLR0917 - click passes names
    settings: Settings,
    festival_id: str | None,
    orders: int,
    seconds: float,
    partitions: int | None,
    workers: int,
    processes: int,
    lead: int,
    prometheus: str | None,
    removed: str | None,
    *,
    keep: bool,
    as_json: bool,
) -> int:
    """Send the first seconds of a festival, in real time, to topics of their own; count, audit, report.

    The festival begins now, as ID-rehearsal and at the size that --orders says, on topics, ledger and group that begin
    with "rehearsal." and the time, counted by workers started here, beside the real ones. Its first two minutes hold
    the night's peak. Exit status 1 if a total was wrong, late, or a critical alert fired. The topics are deleted
    afterwards.
    """
    quiet_clients(settings, logging.CRITICAL)  # what goes wrong is told once, by the command
    viewer = _Terminal()
    if removed is not None:
        viewer.say(f"{asyncio.run(remove(settings, removed))} topics deleted")
        return 0
    for sentence in asyncio.run(leftovers(settings)):
        viewer.say(sentence)
    planned = asyncio.run(
        rehearsal.planned(
            settings,
            festival_id,
            orders=orders,
            seconds=seconds,
            partitions=partitions,
            workers=workers,
            processes=processes,
            lead_seconds=lead,
            prometheus=prometheus,
            is_kept=keep,
        )
    )
    with stop_on_signals() as stop:
        told = asyncio.run(rehearsal.rehearse(planned, viewer, stop))
    if told is None:
        return INTERRUPTED
    click.echo(orjson.dumps(told).decode() if as_json else report.text(told))
    return 1 if told["problems"] else 0


class _Terminal:
    """The person at the terminal."""

    def say(self, line: str) -> None:
        click.echo(line, err=True)

    def sending(self, orders: int) -> AbstractContextManager[Bar]:
        return progress("rehearsal", orders, "orders")
