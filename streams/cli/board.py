"""`festival board`: the read-only HTTP server, no counting."""

from __future__ import annotations

import asyncio
import json
from typing import TYPE_CHECKING

import click

from streams.cli.options import broker_options, json_option, web_options
from streams.serving import run_board

if TYPE_CHECKING:
    from streams.settings import Settings


@click.command("board")
@json_option
@web_options
@broker_options
def command(settings: Settings, *, as_json: bool) -> None:
    """Serve the committed totals over HTTP until Ctrl-C: the page, the API, metrics. Counts nothing.

    Reads the ledger topic only, on any machine that reaches the broker; waits for the broker where it is away.
    """

    def announce(url: str) -> None:
        click.echo(json.dumps({"url": url}) if as_json else f"The board is at {url}")

    asyncio.run(run_board(settings, announce))
