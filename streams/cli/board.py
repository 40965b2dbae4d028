"""`festival board`: the read-only HTTP server, no counting."""

from __future__ import annotations

import asyncio
import json
from typing import TYPE_CHECKING

import click

from streams.cli.options import broker_options, json_option, setting_option, web_options
from streams.cli.sealed import SEALED
from streams.configuration import WEB_CONFIG
from streams.errors import UsageError
from streams.serving import run_board, run_sealed_board

if TYPE_CHECKING:
    from streams.board.view.sealed import SealedState
    from streams.settings import Settings


@click.command("board")
@click.option(
    "--sealed",
    type=SEALED,
    multiple=True,
    metavar="FILE",
    help="Show a sealed festival in place of a ledger, without a broker; may be given several times.",
)
@json_option
@setting_option(WEB_CONFIG)
@web_options
@broker_options
def command(settings: Settings, sealed: tuple[SealedState, ...], *, as_json: bool) -> None:
    """Serve the committed totals over HTTP until Ctrl-C: the page, the API, metrics. Counts nothing.

    Reads the ledger topic only, on any machine that reaches the broker; waits for the broker where it is away.
    """
    names = [state.festival.id for state in sealed]
    if twice := sorted({name for name in names if names.count(name) > 1}):
        raise UsageError(f"--sealed: several files hold {', '.join(twice)}: show one of them")

    def announce(url: str) -> None:
        click.echo(json.dumps({"url": url}) if as_json else f"The board is at {url}")

    asyncio.run(run_sealed_board(settings, sealed, announce) if sealed else run_board(settings, announce))
