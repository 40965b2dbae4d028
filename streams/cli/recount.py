"""`festival recount`: a new generation of the ledger from the beginning of the log."""

from __future__ import annotations

import asyncio
import dataclasses
import json
from typing import TYPE_CHECKING

import click

from streams.app import declare
from streams.cli.options import broker_options, json_option
from streams.cli.progress import progress
from streams.engine.clock import SystemClock
from streams.kafka.recount import Recount, RecountReport

if TYPE_CHECKING:
    from streams.settings import Settings


@click.command("recount")
@json_option
@broker_options
def command(settings: Settings, *, as_json: bool) -> None:
    """Count the whole log under the present declarations into a new generation of the ledger.

    Workers go on counting the current generation meanwhile, and `totals` shows it. When the new one has caught up it
    becomes current: workers whose declarations fit take it over, others end with exit status 2. Killed, run it again:
    it goes on where it was.
    """
    report = asyncio.run(_recount(settings))
    if as_json:
        click.echo(json.dumps(dataclasses.asdict(report)))
        return
    click.echo(
        f"generation {report.generation} is current, before it was {report.previous}: "
        f"{report.records:,} records of {report.partitions} partitions counted"
        + (", going on with an earlier recount" if report.resumed else "")
    )


async def _recount(settings: Settings) -> RecountReport:
    _, declarations = declare(settings)
    with progress("recounting", unit="records") as bar:
        return await Recount(settings, declarations, bar, SystemClock()).run()
