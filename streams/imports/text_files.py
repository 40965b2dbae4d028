"""The lines of a text file, whatever its encoding, one by one in bounded memory, and what became of each."""

from __future__ import annotations

import codecs
import gzip
from collections import Counter
from typing import TYPE_CHECKING, TextIO

if TYPE_CHECKING:
    from pathlib import Path

LINE_LIMIT = 1024 * 1024
"""Characters of a line: a longer one is a bad row, of which no more is kept in memory."""
_MARKS = (
    (codecs.BOM_UTF32_LE, "utf-32"),
    (codecs.BOM_UTF32_BE, "utf-32"),
    (codecs.BOM_UTF16_LE, "utf-16"),
    (codecs.BOM_UTF16_BE, "utf-16"),
)
"""Byte-order marks that no text of another encoding begins with; that of UTF-32 begins with that of UTF-16."""


class LineTooLongError(ValueError):
    """A line of more than `LINE_LIMIT` characters; it is read past."""


class Lines:
    """The lines of a file, their ends included. Call order: `take` until None, `push_back` what was taken too much.

    Every physical line is accounted for once: `tell` says what the lines taken last were.
    """

    def __init__(self, file: TextIO) -> None:
        """Begin at the first line."""
        self._file = file
        self._back: list[str] = []
        self.taken = 0
        """How many lines were taken and not pushed back: the number of the last one."""
        self.kinds: Counter[str] = Counter()

    def take(self) -> str | None:
        """Return the next line, None behind the last. Raises `LineTooLongError`."""
        if self._back:
            self.taken += 1
            return self._back.pop()
        line = self._file.readline(LINE_LIMIT + 1)
        if not line:
            return None
        if not self.taken:
            line = line.removeprefix("\ufeff")  # a byte-order mark in an encoding that keeps it
        self.taken += 1
        if len(line) > LINE_LIMIT:
            while line and not line.endswith(("\n", "\r")):
                line = self._file.readline(LINE_LIMIT)
            raise LineTooLongError(f"a line of more than {LINE_LIMIT:,} characters")
        return line

    def push_back(self, lines: list[str]) -> None:
        """Let `take` return these lines again, in this order."""
        self._back += reversed(lines)
        self.taken -= len(lines)

    def tell(self, kind: str, count: int = 1) -> None:
        """Say what the lines taken last were."""
        self.kinds[kind] += count

    def reconcile(self) -> None:
        """Check that every line taken was told: nothing that was read is unaccounted for."""
        assert self.kinds.total() == self.taken, (dict(self.kinds), self.taken)


def open_text(path: Path, encoding: str, *, is_packed: bool) -> TextIO:
    """Return a file's text; a byte-order mark of UTF-16 or UTF-32 stands above `encoding`.

    What is not of the encoding comes as lone surrogates: only its row is bad, not the rest of the file.
    """
    with gzip.open(path, "rb") if is_packed else path.open("rb") as file:
        first = file.read(4)
    found = next((name for mark, name in _MARKS if first.startswith(mark)), encoding)
    if is_packed:
        return gzip.open(path, "rt", encoding=found, errors="surrogateescape", newline="")
    return path.open(encoding=found, errors="surrogateescape", newline="")
