"""CSV files: lines into cells, so that a stray quotation mark costs its own line at most."""

from __future__ import annotations

import re
from typing import TYPE_CHECKING

from streams.errors import UsageError
from streams.imports.rows import Row, readable
from streams.imports.text_files import LINE_LIMIT, Lines, LineTooLongError, open_text
from streams.mapping.problems import Problem

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator, Sequence
    from pathlib import Path

    from streams.imports.mapping import Layout

CELL_LINES = 100
"""Lines of a quoted cell: a longer one begins with a stray quotation mark, and would swallow rows."""
_SEPARATOR = re.compile(r'"?sep=(.)"?\s*', re.IGNORECASE)
"""The first line of files that spreadsheets write for each other."""


class BadLineError(Exception):
    """A line that is no row."""

    def __init__(self, reason: str, detail: str) -> None:
        """Remember both."""
        super().__init__(detail)
        self.reason = reason


class CsvTable:
    """A CSV file: every cell is text, without white space at its ends."""

    def __init__(self, path: Path, layout: Layout, *, is_tabbed: bool = False, is_packed: bool = False) -> None:
        """Read the header. `is_tabbed`: what the layout does not say is as in .tsv files. Raises `UsageError`."""
        self._path = path
        self._layout = layout
        self._is_packed = is_packed
        self._quote = layout.quote if layout.quote is not None else "" if is_tabbed else '"'
        self._delimiter = layout.delimiter or ("\t" if is_tabbed else ",")
        self.lines: dict[str, int] = {}
        """How many lines were what, once all were read."""
        with open_text(path, layout.encoding, is_packed=is_packed) as file:
            self.header: tuple[str, ...] = self._begin(Lines(file))

    def rows(self, columns: Sequence[str], after: int) -> Iterator[Row]:
        """Yield the rows behind the first `after` ones."""
        places = [self.header.index(column) for column in columns]
        width = len(self.header)
        until = self._layout.until
        with readable(self._path), open_text(self._path, self._layout.encoding, is_packed=self._is_packed) as file:
            lines = Lines(file)
            self._begin(lines)
            number = 0
            while True:
                first = lines.taken + 1
                cells: list[str] = []
                problem, reason = "", ""
                try:
                    line = lines.take()
                    if line is None:
                        break
                    if until is not None and line.startswith(until):
                        lines.tell("behind", 1 + _rest(lines))
                        break
                    if not line.strip() and self._delimiter not in line:
                        lines.tell("blank")
                        continue
                    cells = self._cells(line, lines)
                    if len(cells) != width:
                        problem, reason = f"{len(cells)} cells, the header has {width}", Problem.UNREADABLE
                except LineTooLongError as error:
                    problem, reason = str(error), Problem.UNREADABLE
                except BadLineError as error:
                    problem, reason = str(error), error.reason
                lines.tell("rows", lines.taken + 1 - first)
                number += 1
                if number <= after:
                    continue
                if problem:
                    yield Row(number, first, (), problem, reason)
                else:
                    yield Row(number, first, [cells[place].strip() for place in places])
            lines.reconcile()
            self.lines = dict(lines.kinds)

    def _begin(self, lines: Lines) -> tuple[str, ...]:
        """Read up to the first row and return the names of the columns. Raises `UsageError`."""
        header = self._layout.header
        try:
            line = lines.take()
            found = _SEPARATOR.fullmatch(line or "")
            if found is not None:
                self._delimiter = self._layout.delimiter or found[1]
            skip = max(self._layout.skip, 1 if found is not None else 0)
            for _ in range(skip):
                if line is not None:
                    lines.tell("skipped")
                line = _next(lines)
            # Blank lines in front of the header are none.
            while header is None and line is not None and not line.strip():
                lines.tell("blank")
                line = lines.take()
            if line is None:
                if header is not None:
                    return header
                raise UsageError(f"{self._path}: it has no header")
            if header is not None:
                lines.push_back([line])
                return header
            first = lines.taken
            names = tuple(name.strip() for name in self._cells(line, lines))
            lines.tell("header", lines.taken + 1 - first)
        except (BadLineError, LineTooLongError) as error:
            raise UsageError(f"{self._path}: its header cannot be read: {error}") from error
        return names

    def _cells(self, line: str, lines: Lines) -> list[str]:
        """Return the cells of the row that begins with `line`. Raises `BadLineError`, and only `line` is taken then."""
        body = line.rstrip("\r\n")
        if not self._quote or self._quote not in body:
            return body.split(self._delimiter)
        taken: list[str] = []

        def more() -> str | None:
            if not self._layout.is_multiline:
                return None
            try:
                found = lines.take()
            except LineTooLongError:
                raise BadLineError(Problem.OPEN_QUOTE, "a quoted cell goes on in a line that is too long") from None
            if found is not None:
                taken.append(found)
            return found if sum(map(len, taken)) <= LINE_LIMIT else None

        try:
            return split(line, self._delimiter, self._quote, more)
        except BadLineError:
            lines.push_back(taken)
            raise


def split(line: str, delimiter: str, quote: str, more: Callable[[], str | None]) -> list[str]:
    """Return the cells of a row. `more` returns the next line for a quoted cell that goes on in it, or None.

    A quote within an unquoted cell is text; doubled within a quoted one it stands for itself. Raises `BadLineError`.
    """
    cells: list[str] = []
    at = 0
    while True:
        body = line.rstrip("\r\n")
        if not body.startswith(quote, at):
            end = body.find(delimiter, at)
            if end < 0:
                cells.append(body[at:])
                return cells
            cells.append(body[at:end])
            at = end + 1
            continue
        cell, line, at = _quoted(line, at + 1, quote, more)
        cells.append(cell)
        body = line.rstrip("\r\n")
        end = body.find(delimiter, at)
        if body[at : end if end >= 0 else None].strip():
            raise BadLineError(Problem.UNREADABLE, f"cell {len(cells)}: text behind the closing quotation mark")
        if end < 0:
            return cells
        at = end + 1


def _quoted(line: str, at: int, quote: str, more: Callable[[], str | None]) -> tuple[str, str, int]:
    """Return a quoted cell whose text begins at `at`, the line it ends in, and the place behind its last quote."""
    text = ""
    count = 1
    while True:
        end = line.find(quote, at)
        if end >= 0:
            text += line[at:end]
            at = end + 1
            if not line.startswith(quote, at):
                return text, line, at
            text += quote
            at += 1
            continue
        text += line[at:]
        count += 1
        following = more() if count <= CELL_LINES else None
        if following is None:
            raise BadLineError(
                Problem.OPEN_QUOTE,
                f"a quotation mark opens a cell that does not end on its line: {line[at - 1 : at + 20].rstrip()!r}"
                if count == 2  # noqa: PLR2004 - on its first line
                else f"a quoted cell does not end within {CELL_LINES} lines or the file",
            )
        line, at = following, 0


def _next(lines: Lines) -> str | None:
    """Return the next line, of one that is too long nothing but that it is there."""
    try:
        return lines.take()
    except LineTooLongError:
        return ""


def _rest(lines: Lines) -> int:
    """Return how many lines follow."""
    before = lines.taken
    while _next(lines) is not None:
        pass
    return lines.taken - before
