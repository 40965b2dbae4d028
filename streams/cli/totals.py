"""`festival totals`: the committed totals, also as of an instant."""

from __future__ import annotations

import asyncio
import json
from typing import TYPE_CHECKING

import click

from streams.board.answers.documents import totals_json
from streams.board.answers.instants import parse_instant
from streams.board.answers.totals import totals_of
from streams.board.answers.totals_text import totals_text
from streams.cli.committed import read_committed
from streams.cli.options import broker_options, json_option
from streams.cli.sealed import committed_of, known_festivals, sealed_option
from streams.cli.watching import showing, watch
from streams.domain.built_in import DIMENSIONS, ROLLUPS
from streams.domain.currencies import EXPONENTS
from streams.domain.rollups import Window
from streams.engine.clock import SystemClock
from streams.errors import UsageError
from streams.festivals import load_festivals
from streams.festivals.selection import choose_festival

if TYPE_CHECKING:
    from streams.board.view.committed_view import Snapshot
    from streams.board.view.sealed import SealedState
    from streams.engine.judgement import Judgement
    from streams.settings import Settings


_WHOLE = {rollup.dimension for rollup in ROLLUPS if rollup.window is Window.FESTIVAL}
KEPT_PER_MINUTE = tuple(dimension for dimension in DIMENSIONS if dimension not in _WHOLE)
BY = (
    f"Add one row per value of this dimension, the largest first: {', '.join(DIMENSIONS)}, or one that was declared. "
    f"Kept per minute: {', '.join(KEPT_PER_MINUTE)}; the other built-in ones for the whole festival."
)


@click.command("totals")
@click.option("--festival", "named", metavar="ID", help="Default: the one running now, else the latest with data.")
@click.option("--at", metavar="TIME", help="As of this instant of festival time, such as 2019-11-11T00:01:36.")
@click.option("--by", metavar="DIM", help=BY)
@click.option("--top", type=click.IntRange(min=1), help="With --by: the N largest rows only.")
@click.option(
    "--in",
    "also_in",
    metavar="CUR",
    type=click.Choice(tuple(EXPONENTS)),
    multiple=True,
    help="Tell the home total in this currency too, at the rate of the festival's file; may be given several times.",
)
@click.option(
    "--watch", "is_watching", is_flag=True, help="Again at each new state, until Ctrl-C; --json: a line each."
)
@sealed_option
@json_option
@broker_options
def command(
    settings: Settings,
    named: str | None,
    at: str | None,
    by: str | None,
    top: int | None,
    *,
    also_in: tuple[str, ...],
    is_watching: bool,
    sealed: SealedState | None,
    as_json: bool,
) -> int:
    """Print the committed totals of a festival.

    TIME is local to the festival unless it has an offset; it counts up to the end of its second. With --by that must
    be the end of a minute, and the dimension one that is kept per minute. Exit status: 1
    where the ledger does not count the festival.
    """
    if top is not None and by is None:
        raise UsageError("--top: say of which dimension, with --by")
    if is_watching and sealed is not None:
        raise UsageError("--watch: what is sealed does not change")
    festivals = known_festivals(sealed, load_festivals(settings.festivals_dir), named)

    def answer(snapshot: Snapshot, judgement: Judgement) -> tuple[str, bool]:
        """Return the text of one state, and whether the festival is counted."""
        festival = choose_festival(festivals, named, snapshot.festivals, SystemClock().now_ms())
        at_ms = None if at is None else parse_instant(at, festival)
        totals = totals_of(snapshot, festival, at_ms=at_ms, by=by, top=top, also_in=also_in, judgement=judgement)
        shown = json.dumps(totals_json(totals), ensure_ascii=False) if as_json else totals_text(totals, festival)
        return shown, totals.counted

    if is_watching:
        with showing(as_json=as_json) as show:
            asyncio.run(watch(settings, lambda *state: show(answer(*state)[0])))
        return 0
    committed = asyncio.run(read_committed(settings)) if sealed is None else committed_of(sealed)
    shown, is_counted = answer(committed.snapshot, committed.judgement)
    click.echo(shown)
    return 0 if is_counted else 1
