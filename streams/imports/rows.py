"""What every reader of files hands over: rows in order, numbered, each with its cells or with what is wrong."""

from __future__ import annotations

import zlib
from contextlib import contextmanager
from typing import TYPE_CHECKING, Any, NamedTuple, Protocol

from streams.errors import UsageError
from streams.mapping.problems import Problem

if TYPE_CHECKING:
    from collections.abc import Iterator, Mapping, Sequence
    from pathlib import Path


class Row(NamedTuple):
    """One row: its cells in the order asked for, or what is wrong with it."""

    number: int
    """From 1 on; header and blank lines are no rows."""
    line: int | None
    """Where the row begins in a text file or a sheet, from 1 on; None in other files."""
    cells: Sequence[Any]
    problem: str = ""
    reason: str = Problem.UNREADABLE
    """What the problem counts as."""


class Table(Protocol):
    """A file that can be read more than once."""

    @property
    def header(self) -> tuple[str, ...] | None:
        """Return the names of all columns, None where every row has its own (NDJSON)."""

    @property
    def lines(self) -> Mapping[str, int]:
        """Return how many lines of a text file were what, once all were read; of others nothing."""

    def rows(self, columns: Sequence[str], after: int) -> Iterator[Row]:
        """Yield the rows behind the first `after` ones, with the cells of `columns`. Raises `UsageError`."""


@contextmanager
def readable(path: Path) -> Iterator[None]:
    """Turn what a damaged or missing file raises in the block into a `UsageError`."""
    try:
        yield
    except (OSError, EOFError, zlib.error, UnicodeError) as error:
        raise UsageError(f"{path}: cannot be read: {error}") from error
