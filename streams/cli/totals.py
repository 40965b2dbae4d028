"""`festival totals`: the committed totals, also as of an instant."""

from __future__ import annotations

import asyncio
import json
import logging
from typing import TYPE_CHECKING, Any

import click

from streams.board.choice import choose_festival, named_festival
from streams.board.instants import parse_instant
from streams.board.live import COUNTED_TOPICS
from streams.board.text import totals_text
from streams.board.totals import DIMENSIONS, totals_document
from streams.board.view import CommittedView
from streams.cli.options import broker_options, json_option
from streams.cli.progress import progress
from streams.engine.clock import SystemClock
from streams.errors import UsageError
from streams.festivals import load_festivals
from streams.kafka.follower import read_committed_ledger
from streams.kafka.log_reader import source_end_offsets
from streams.serving import quiet_clients

if TYPE_CHECKING:
    from streams.board.live import EndOffsets
    from streams.board.view import Snapshot
    from streams.settings import Settings


@click.command("totals")
@click.option("--festival", "named", metavar="ID", help="Default: the one running now, else the latest with data.")
@click.option("--at", metavar="TIME", help="As of this instant of festival time, such as 2019-11-11T00:01:36.")
@click.option("--by", type=click.Choice(DIMENSIONS), help="Add one row per value of this dimension, the largest first.")
@click.option("--top", type=click.IntRange(min=1), help="With --by: the N largest rows only.")
@json_option
@broker_options
def command(
    settings: Settings, named: str | None, at: str | None, by: str | None, top: int | None, *, as_json: bool
) -> None:
    """Print the committed totals of a festival.

    TIME is local to the festival unless it has an offset; it counts up to the end of its second. Totals by platform,
    market and method are kept per minute, those by merchant, category and brand for the whole festival.
    """
    if top is not None and by is None:
        raise UsageError("--top: say of which dimension, with --by")
    quiet_clients(settings, logging.CRITICAL)  # what goes wrong is told once, by the command
    festivals = load_festivals(settings.festivals_dir)
    if named is not None:
        named_festival(festivals, named)  # a wrong name is told before anything is read
    snapshot, ends = asyncio.run(_read(settings))
    festival = choose_festival(festivals, named, snapshot.festivals, SystemClock().now_ms())
    at_ms = None if at is None else parse_instant(at, festival)
    document: dict[str, Any] = totals_document(snapshot, festival, at_ms=at_ms, by=by, top=top, end_offsets=ends)
    click.echo(json.dumps(document, ensure_ascii=False) if as_json else totals_text(document, festival))


async def _read(settings: Settings) -> tuple[Snapshot, EndOffsets]:
    """Return the committed state, and after it the ends of the sources: so lag is never negative."""
    view = CommittedView()
    with progress("reading the ledger", unit="pages") as bar:
        delta = await read_committed_ledger(settings)
        bar.advance(len(delta.changed_pages))
    view.feed(delta)
    return view.snapshot(), await source_end_offsets(settings, COUNTED_TOPICS, delta.partitions)
