"""Workbooks (.xlsx): one sheet, row by row, with the types its cells have."""

from __future__ import annotations

import math
import warnings
from contextlib import contextmanager
from itertools import islice
from typing import TYPE_CHECKING, Any

from streams.errors import UsageError
from streams.imports.rows import Row, readable
from streams.mapping.problems import BadValueError
from streams.mapping.values import WHOLE_LIMIT, as_text

if TYPE_CHECKING:
    from collections.abc import Iterator, Sequence
    from pathlib import Path

    from streams.imports.mapping import Layout

FETCH_ROWS = 1_000
_ERROR = "e"
"""The type of cells with #N/A, #DIV/0! and the like."""


class SheetTable:
    """A sheet. Texts lose white space at both ends, whole numbers below 10^15 are integers, dates are dates."""

    def __init__(self, path: Path, layout: Layout, sheet: str | None) -> None:
        """Read the names of its columns. Raises `UsageError`."""
        self._path = path
        self._layout = layout
        self._sheet = sheet
        self.lines: dict[str, int] = {}
        self.count: int | None = None
        """About how many rows it has, where it says so."""
        header = layout.header
        with self._open() as found:
            if header is None:
                header = next((_names(cells) for _, cells in self._cells(found, layout.skip) if _is_row(cells)), None)
        if not header:
            raise UsageError(f"{path}: the sheet has no header")
        self.header: tuple[str, ...] = header

    def rows(self, columns: Sequence[str], after: int) -> Iterator[Row]:
        """Yield the rows behind the first `after` ones."""
        places = [self.header.index(column) for column in columns]
        until = self._layout.until
        number = 0 if self._layout.header is not None else -1
        with self._open() as found:
            for line, cells in self._cells(found, self._layout.skip):
                if until is not None and cells and str(cells[0].value or "").lstrip().startswith(until):
                    return
                if not _is_row(cells):
                    continue
                number += 1
                if number > after:
                    yield self._row(number, line, cells, columns, places)

    def _row(self, number: int, line: int, cells: Sequence[Any], columns: Sequence[str], places: Sequence[int]) -> Row:
        width = len(self.header)
        if _is_row(cells[width:]):
            return Row(number, line, (), f"cells behind column {width}, the last that has a name")
        wanted = [cells[place] if place < len(cells) else None for place in places]
        for column, cell in zip(columns, wanted, strict=True):
            if cell is not None and cell.data_type == _ERROR:
                return Row(number, line, (), f"{column}: the cell holds the error {cell.value}")
        return Row(number, line, [None if cell is None else _value(cell.value) for cell in wanted])

    def _cells(self, sheet: Any, skip: int) -> Iterator[tuple[int, Sequence[Any]]]:  # noqa: ANN401 - of openpyxl
        """Yield the cells of each row behind the first `skip`, with its number from 1 on."""
        rows = enumerate(sheet.iter_rows(min_row=skip + 1), skip + 1)
        while True:
            with self._quiet():
                found = list(islice(rows, FETCH_ROWS))
            if not found:
                return
            yield from found

    @contextmanager
    def _open(self) -> Iterator[Any]:
        # Imported here: it takes 0.2 s, and other files do without.
        from openpyxl import load_workbook  # noqa: PLC0415

        with readable(self._path), self._path.open("rb") as file:  # by its name openpyxl would judge the ending too
            with self._quiet():
                workbook = load_workbook(file, read_only=True, data_only=True)
            try:
                yield self._chosen(workbook.worksheets)
            finally:
                workbook.close()

    def _chosen(self, sheets: Sequence[Any]) -> Any:  # noqa: ANN401 - a sheet of openpyxl
        """Return the sheet that the mapping names, or the first. Raises `UsageError`."""
        found = next((sheet for sheet in sheets if self._sheet in {None, sheet.title}), None)
        if found is None:
            names = ", ".join(sheet.title for sheet in sheets)
            raise UsageError(f"{self._path}: there is no sheet {self._sheet}; there are {names}")
        if found.max_row is not None:
            self.count = max(found.max_row - self._layout.skip - (self._layout.header is None), 0)
        # Some programs write a range that is too small: without it all rows are read.
        found.reset_dimensions()
        return found

    @contextmanager
    def _quiet(self) -> Iterator[None]:
        """Turn what a damaged file raises into a `UsageError`, and keep back what openpyxl says about styles."""
        with readable(self._path), warnings.catch_warnings():
            warnings.simplefilter("ignore")
            try:
                yield
            except Exception as error:  # of a damaged file its parsers raise anything
                raise UsageError(f"{self._path}: cannot be read as a workbook: {error}") from error


def _is_row(cells: Sequence[Any]) -> bool:
    return any(cell.value is not None and str(cell.value).strip() for cell in cells)


def _names(cells: Sequence[Any]) -> tuple[str, ...]:
    """Return the names of the columns, without the empty ones at the end."""
    names = []
    for cell in cells:
        try:
            names.append((as_text(cell.value) or "").strip())
        except BadValueError:
            names.append(str(cell.value))
    while names and not names[-1]:
        names.pop()
    return tuple(names)


def _value(value: Any) -> Any:  # noqa: ANN401 - whatever the cell holds
    """Return a cell's value; a number that may have lost digits is a floating-point one."""
    if isinstance(value, str):
        return value.strip()
    if isinstance(value, bool) or not isinstance(value, int | float):
        return value
    if value == value // 1 and abs(value) < WHOLE_LIMIT:
        return int(value)
    try:
        return float(value)
    except OverflowError:
        return math.inf
