"""The totals of one rollup as CSV, and as the pages of a ledger again: all partitions added.

A row holds the measures of one group in one window: `start` (unless the rollup has no windows), the dimension, the
currency, then the measures as integers. Rows of zeros are left out, unless their group had no other row: it was seen.
"""

from __future__ import annotations

import csv
import datetime as dt
import io
from typing import TYPE_CHECKING, NamedTuple

import msgspec
import numpy as np

from streams.domain.pages import HIGH_SHIFT, Page, PageKey, encode_page
from streams.domain.rollups import PAGE_MS, WINDOW_MS
from streams.engine.sealed.container import SealError

if TYPE_CHECKING:
    from collections.abc import Iterable, Iterator, Mapping, Sequence

    from streams.domain.rollups import Rollup

START = "start"
_EPOCH = dt.datetime(1970, 1, 1, tzinfo=dt.UTC)
_SECOND = dt.timedelta(seconds=1)
_SECOND_MS = 1_000
_PAGE_MS = {window_ms: PAGE_MS[window] for window, window_ms in WINDOW_MS.items()}


class TableShape(msgspec.Struct, frozen=True, kw_only=True):
    """What a table's columns are."""

    name: str
    """The name of the rollup and of the file."""
    fact: str
    window_ms: int | None
    """How long each row's window is; None: the whole festival is one, and no column tells a start."""
    dimension: str | None
    currency: str | None
    """The column of the currency, in whose minor units the money beside it is; None where there is no money."""
    measures: tuple[str, ...]

    @property
    def groups(self) -> tuple[str, ...]:
        """Return the columns that name a group."""
        return tuple(name for name in (self.dimension, self.currency) if name is not None)

    @property
    def header(self) -> tuple[str, ...]:
        """Return all columns."""
        return (*((START,) if self.window_ms else ()), *self.groups, *self.measures)

    @property
    def slots(self) -> int:
        """Return how many windows a page of it spans; raises `SealError` for windows that no page has."""
        if self.window_ms is None:
            return 1
        if self.window_ms not in _PAGE_MS:
            raise SealError(f"{self.name}: no totals are kept by windows of {self.window_ms} ms")
        return _PAGE_MS[self.window_ms] // self.window_ms


def shape_of(rollup: Rollup) -> TableShape:
    """Return the columns of a rollup."""
    return TableShape(
        name=rollup.name,
        fact=rollup.fact,
        window_ms=WINDOW_MS.get(rollup.window),
        dimension=rollup.dimension,
        currency=rollup.currency,
        measures=tuple(measure.name for measure in rollup.measures),
    )


class TableRow(NamedTuple):
    """One group in one window."""

    window: int
    """Its number since the festival's start; 0 of a table without windows."""
    group: tuple[str, ...]
    values: Sequence[int]


def encode_table(shape: TableShape, start_ms: int, rows: Iterable[TableRow]) -> bytes:
    """Return the CSV (RFC 4180, UTF-8) of rows in any order: sorted by window and group."""
    out = io.StringIO(newline="")
    writer = csv.writer(out)
    writer.writerow(shape.header)
    for window, group, values in sorted(rows, key=lambda row: row[:2]):
        start = () if shape.window_ms is None else (_told(start_ms + window * shape.window_ms),)
        writer.writerow((*start, *group, *values))
    return out.getvalue().encode()


def decode_table(shape: TableShape, start_ms: int, data: bytes) -> Iterator[TableRow]:
    """Yield the rows of a CSV; raises `SealError` where it is none of this shape."""
    at = 1 if shape.window_ms else 0
    end = at + len(shape.groups)
    try:
        reader = csv.reader(io.StringIO(data.decode(), newline=""), strict=True)
        if tuple(next(reader, ())) != shape.header:
            raise SealError(f"{shape.name}: the columns are not {', '.join(shape.header)}")
        for cells in reader:
            if len(cells) != len(shape.header):
                raise SealError(f"{shape.name}: line {reader.line_num} has {len(cells)} cells")
            window = 0 if shape.window_ms is None else _window(cells[0], start_ms, shape.window_ms)
            yield TableRow(window, tuple(cells[at:end]), list(map(int, cells[end:])))
    except (csv.Error, TypeError, ValueError) as error:
        raise error if isinstance(error, SealError) else SealError(f"{shape.name}: {error}") from error


def pages_of(shape: TableShape, rows: Iterable[TableRow], generation: str, festival: str) -> Mapping[bytes, bytes]:
    """Return rows as records of a ledger's topic: key and value of each page."""
    slots = shape.slots
    by_page: dict[int, list[TableRow]] = {}
    for row in rows:
        by_page.setdefault(row.window // slots, []).append(row)
    return {
        PageKey(generation, festival, shape.name, number).encode(): encode_page(_page(shape, slots, by_page[number]))
        for number in sorted(by_page)
    }


def _page(shape: TableShape, slots: int, rows: Sequence[TableRow]) -> Page:
    groups = {group: place for place, group in enumerate(sorted({row.group for row in rows}))}
    columns = np.array([groups[row.group] * slots + row.window % slots for row in rows])
    values = [row.values for row in rows]
    is_small = all(-(1 << HIGH_SHIFT) < value < 1 << HIGH_SHIFT for row in values for value in row)
    cells = np.array(values, dtype=np.int64 if is_small else object).T
    shaped = np.zeros((len(shape.measures), len(groups) * slots), dtype=cells.dtype)
    shaped[:, columns] = cells
    if is_small:
        return Page(tuple(groups), slots, len(shape.measures), shaped.astype("<i8").tobytes(), None)
    low, high = shaped & ((1 << HIGH_SHIFT) - 1), shaped >> HIGH_SHIFT
    parts = (low.astype("<i8").tobytes(), high.astype("<i8").tobytes())
    return Page(tuple(groups), slots, len(shape.measures), *parts)


def _told(time_ms: int) -> str:
    return f"{_EPOCH + dt.timedelta(milliseconds=time_ms):%Y-%m-%dT%H:%M:%SZ}"


def _window(text: str, start_ms: int, window_ms: int) -> int:
    """Return which window begins at a time; raises ValueError where none does."""
    passed_ms = (dt.datetime.fromisoformat(text) - _EPOCH) // _SECOND * _SECOND_MS - start_ms
    window, rest_ms = divmod(passed_ms, window_ms)
    if rest_ms:
        raise ValueError(f"{text} begins no window")
    return window
