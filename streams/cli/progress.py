"""Progress of long work, on stderr: a bar with rate and time left on a terminal, else a line now and then."""

from __future__ import annotations

import sys
from contextlib import contextmanager
from typing import TYPE_CHECKING, Protocol, TextIO

from streams.engine.clock import Clock, SystemClock

if TYPE_CHECKING:
    from collections.abc import Iterator

LINE_EVERY_MS = 5_000


class Bar(Protocol):
    """What work reports to."""

    def advance(self, done: int) -> None:
        """Report `done` more units."""

    def expect(self, total: int) -> None:
        """Change the number of units expected."""


@contextmanager
def progress(
    title: str,
    total: int | None = None,
    unit: str = "records",
    *,
    stream: TextIO | None = None,
    clock: Clock | None = None,
) -> Iterator[Bar]:
    """Show the progress of the work in the block; `total` None: not known, then there is no time left either."""
    stream = stream or sys.stderr
    if stream.isatty():
        with _terminal_bar(title, total, unit, stream) as bar:
            yield bar
        return
    lines = _Lines(title, total, unit, stream, clock or SystemClock())
    yield lines
    lines.finish()


class _Lines:
    """For logs and pipes: a line every few seconds, and one at the end."""

    def __init__(self, title: str, total: int | None, unit: str, stream: TextIO, clock: Clock) -> None:
        self._title, self._total, self._unit, self._stream, self._clock = title, total, unit, stream, clock
        self._done = 0
        self._start_ms = self._next_ms = clock.monotonic_ms()
        self._next_ms += LINE_EVERY_MS

    def advance(self, done: int) -> None:
        self._done += done
        now_ms = self._clock.monotonic_ms()
        if now_ms >= self._next_ms:
            self._next_ms = now_ms + LINE_EVERY_MS
            self._write(now_ms)

    def expect(self, total: int) -> None:
        self._total = total

    def finish(self) -> None:
        self._write(self._clock.monotonic_ms())

    def _write(self, now_ms: int) -> None:
        elapsed_ms = now_ms - self._start_ms
        of = f" of {self._total:,}" if self._total is not None else ""
        line = f"{self._title}: {self._done:,}{of} {self._unit}"
        if elapsed_ms and self._done:
            line += f", {self._done * 1000 // elapsed_ms:,}/s"
            if self._total is not None and self._done < self._total:
                line += f", {_duration((self._total - self._done) * elapsed_ms // self._done)} left"
        print(line, file=self._stream, flush=True)


def _duration(milliseconds: int) -> str:
    minutes, seconds = divmod(milliseconds // 1000, 60)
    hours, minutes = divmod(minutes, 60)
    return f"{hours}:{minutes:02}:{seconds:02}" if hours else f"{minutes}:{seconds:02}"


@contextmanager
def _terminal_bar(title: str, total: int | None, unit: str, stream: TextIO) -> Iterator[Bar]:
    # Imported here: rich takes a tenth of a second, and most commands show no bar.
    from rich.console import Console  # noqa: PLC0415
    from rich.progress import (  # noqa: PLC0415
        BarColumn,
        DownloadColumn,
        MofNCompleteColumn,
        Progress,
        ProgressColumn,
        Task,
        TextColumn,
        TimeRemainingColumn,
        TransferSpeedColumn,
    )
    from rich.table import Column  # noqa: PLC0415

    class Rate(ProgressColumn):
        def render(self, task: Task) -> str:
            return f"{int(task.speed or task.finished_speed or 0):,} {unit}/s"

    done: tuple[ProgressColumn, ProgressColumn] = (MofNCompleteColumn(), Rate(Column(no_wrap=True)))
    if unit == "bytes":
        done = (DownloadColumn(), TransferSpeedColumn())
    columns = (TextColumn("{task.description}"), BarColumn(), *done, TimeRemainingColumn())
    with Progress(*columns, console=Console(file=stream)) as shown:
        task = shown.add_task(title, total=total)

        class TerminalBar:
            def advance(self, done: int) -> None:
                shown.advance(task, done)

            def expect(self, total: int) -> None:
                shown.update(task, total=total)

        yield TerminalBar()
