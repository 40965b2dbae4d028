"""The committed state again and again: what `festival totals --watch` shows."""

from __future__ import annotations

import asyncio
import contextlib
from typing import TYPE_CHECKING

import click

from streams.board.view.live_board import LiveBoard
from streams.cli.committed import read_committed
from streams.festivals.declared import load_declared
from streams.kafka.ledger.follower import LedgerFollower

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator

    from streams.board.view.committed_view import Snapshot
    from streams.engine.judgement import Judgement
    from streams.settings import Settings

LOOK_SECONDS = 0.25
"""A new state is shown within so long of its arrival."""


async def watch(settings: Settings, tell: Callable[[Snapshot, Judgement], None]) -> None:
    """Tell of the committed state, and of each new one, until cancelled.

    The first is read as by a command that answers once, so that a broker that is away ends it; later outages are waited
    through. Raises what `read_committed` does.
    """
    committed = await read_committed(settings)
    tell(committed.snapshot, committed.judgement)
    board = LiveBoard(LedgerFollower(settings), load_declared(settings.declarations).rollups)
    following = asyncio.create_task(board.run())
    try:
        seen: tuple[Snapshot, Judgement] | None = None
        while not following.done():
            # Until the sources were looked at, nothing is known of them, and no state would be complete.
            if board.is_loaded() and board.contacted_ms() is not None:
                snapshot, judgement = board.snapshot(), board.judgement()
                is_one_state = board.snapshot() is snapshot  # else the judgement is of a newer one
                if is_one_state and (seen is None or snapshot is not seen[0] or judgement is not seen[1]):
                    seen = snapshot, judgement
                    tell(snapshot, judgement)
            await asyncio.sleep(LOOK_SECONDS)
        await following
    finally:
        following.cancel()
        await asyncio.gather(following, return_exceptions=True)


@contextlib.contextmanager
def showing(*, as_json: bool) -> Iterator[Callable[[str], None]]:
    """Give what shows a text in place of the one before: on a terminal there, elsewhere after it.

    The same text twice is shown once.
    """
    last: list[str] = []
    if as_json:
        yield lambda text: _once(last, text, click.echo)
        return
    # Imported here: rich takes a tenth of a second.
    from rich.console import Console  # noqa: PLC0415
    from rich.live import Live  # noqa: PLC0415
    from rich.text import Text  # noqa: PLC0415

    console = Console()
    if not console.is_terminal:
        yield lambda text: _once(last, text, lambda new: click.echo(f"{new}\n"))
        return
    with Live(console=console, auto_refresh=False, vertical_overflow="visible") as live:
        yield lambda text: _once(last, text, lambda new: live.update(Text(new), refresh=True))


def _once(last: list[str], text: str, show: Callable[[str], object]) -> None:
    if last != [text]:
        last[:] = [text]
        show(text)
