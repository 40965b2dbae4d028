"""What people see of the demo on stderr while it runs: a table on a terminal, else a line a second."""

from __future__ import annotations

import datetime as dt
import math
import os
import sys
from contextlib import contextmanager
from typing import TYPE_CHECKING, Any, TextIO
from zoneinfo import ZoneInfo

from streams.board.answers.totals_text import amount_text

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator, Mapping, Sequence

    from streams.domain.festivals import Festival

LINE_EVERY_SHOWS = 4
"""Documents per line where stderr is no terminal: they come four times a second."""
BARS = " ▁▂▃▄▅▆▇█"
BAR_STEPS = len(BARS) - 1
_DAY_MS = 86_400_000


def rows_of(document: Mapping[str, Any], festival: Festival) -> list[tuple[str, str]]:
    """Return what a person wants to see of a totals document: names and values."""
    if not document["counted"]:
        return [("orders", "not counted by this ledger")]
    rows = []
    for currency, money in document["money"].items():
        rows += [(f"{name} {currency}", amount_text(money.get(name, 0), currency)) for name in ("gross", "net", "paid")]
    home = document["home"]
    if set(document["money"]) - {festival.home_currency}:
        bound = " at least" if home["missing"] else ""
        rows.append((f"gross in {home['currency']}{bound}", amount_text(home["gross"], home["currency"])))
    rows += [("orders", f"{document['orders']:,}"), ("cancelled", f"{document['cancelled']:,}")]
    rows += [(f"payments {name}", f"{count:,}") for name, count in document["payments"].items()]
    names = ("duplicates", "rejected", "late", "expired", "outside")
    rows += [(name, f"{document[name]:,}") for name in names if document[name]]
    return rows


def story_of(document: Mapping[str, Any], festival: Festival) -> list[tuple[str, str]]:
    """Return what a terminal tells of the day beside its totals: the peak, and how far the milestones are."""
    rows = []
    if (peak := document["peak"]["second"])["orders"]:
        rows.append(("peak second", f"{peak['orders']:,} orders at {_clock(peak['start_ms'], festival)}"))
    passed = [milestone for milestone in document["milestones"] if milestone["time_ms"] is not None]
    if passed:
        newest = (
            f"{amount_text(passed[-1]['minor'], festival.home_currency).partition('.')[0]} {festival.home_currency}"
        )
        told = f"{len(passed)} of {len(document['milestones'])}, {newest} at {_clock(passed[-1]['time_ms'], festival)}"
        rows.append(("milestones", told))
    return rows


def _clock(time_ms: int, festival: Festival) -> str:
    """Return the festival's own time of day; its end is 24:00:00, not the next day's first second."""
    if time_ms >= festival.end_ms and festival.end_ms - festival.start_ms == _DAY_MS:
        return "24:00:00"
    return f"{dt.datetime.fromtimestamp(time_ms / 1000, ZoneInfo(festival.timezone)):%H:%M:%S}"


def _state(document: Mapping[str, Any], watermark_ms: int | None, festival: Festival) -> str:
    words = []
    if watermark_ms is not None:
        words.append(f"festival time {_clock(min(watermark_ms, festival.end_ms), festival)}")
    if document["lag_records"]:
        words.append(f"{document['lag_records']:,} records behind")
    if not document["complete"]:
        words.append("not all partitions counted yet")
    return ", ".join(words)


def sparkline(values: Sequence[int]) -> str:
    """Return a bar per value, its height by the square root: the first minutes would flatten the day otherwise."""
    most = max(values, default=0)
    if most <= 0:
        return BARS[0] * len(values)
    heights = (math.isqrt(max(value, 0) * BAR_STEPS**2 // most) for value in values)
    return "".join(BARS[height] for height in heights)


def hours(bars: int) -> str:
    """Return the hours of a day under so many bars, four of them."""
    return "".join(f"{quarter * 6:02}:00".ljust(bars // 4) for quarter in range(4))[:bars].ljust(bars)


def has_display() -> bool:
    """Return whether a browser that is opened here would be seen."""
    return sys.platform in {"darwin", "win32"} or bool(os.environ.get("DISPLAY") or os.environ.get("WAYLAND_DISPLAY"))


@contextmanager
def live_totals(festival: Festival, stream: TextIO | None = None) -> Iterator[Callable[..., None]]:
    """Give a function that shows a totals document, its watermark and a note: `show(document, watermark_ms, note)`."""
    stream = stream or sys.stderr
    if not stream.isatty():
        yield _Lines(festival, stream)
        return
    # Imported here: rich takes a tenth of a second, and most commands show no table.
    from rich.box import SIMPLE_HEAD  # noqa: PLC0415
    from rich.console import Console  # noqa: PLC0415
    from rich.live import Live  # noqa: PLC0415
    from rich.table import Table  # noqa: PLC0415
    from rich.text import Text  # noqa: PLC0415

    with Live(console=Console(file=stream), refresh_per_second=4) as live:

        def show(document: Mapping[str, Any], watermark_ms: int | None, note: str, day: Sequence[int] = ()) -> None:
            caption = f"{_state(document, watermark_ms, festival)} {note}".strip()
            table = Table(title=festival.name, caption=caption, box=SIMPLE_HEAD, title_style="bold")
            table.add_column("committed")
            table.add_column("total", justify="right")
            for place, (name, value) in enumerate((*rows_of(document, festival), *story_of(document, festival))):
                table.add_row(name, value, style="bold" if place == 0 else "")
            if day:
                # To the left, as the day goes: to the right like numbers they would begin at its end.
                table.add_row("the day", Text(sparkline(day), justify="left"))
                table.add_row("", Text(hours(len(day)), justify="left"), style="dim")
            live.update(table)

        yield show


class _Lines:
    """For logs and pipes."""

    def __init__(self, festival: Festival, stream: TextIO) -> None:
        self._festival, self._stream = festival, stream
        self._shown = 0

    def __call__(
        self, document: Mapping[str, Any], watermark_ms: int | None, note: str, _day: Sequence[int] = ()
    ) -> None:
        self._shown += 1
        if self._shown % LINE_EVERY_SHOWS == 1:
            told = dict(rows_of(document, self._festival))
            home = self._festival.home_currency
            line = f"orders {told['orders']}, gross {home} {told.get(f'gross {home}', '0')}"
            state = _state(document, watermark_ms, self._festival)
            print("; ".join(part for part in (line, state, note) if part), file=self._stream, flush=True)
