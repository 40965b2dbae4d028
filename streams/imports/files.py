"""A file as an import knows it: by its content, whatever its name, and unchanged while it is read."""

from __future__ import annotations

import hashlib
from dataclasses import dataclass
from typing import TYPE_CHECKING

from streams.errors import UsageError
from streams.imports.rows import readable

if TYPE_CHECKING:
    from collections.abc import Callable
    from pathlib import Path

BLOCK_BYTES = 1024 * 1024


@dataclass(frozen=True, slots=True)
class FileContent:
    """What a file held when it was looked at."""

    path: Path
    sha256: str
    lines: int
    """Line feeds in it: about as many rows, where it is a text."""
    state: tuple[int, ...]
    """What changes when somebody writes to it."""

    def refuse_change(self) -> None:
        """Raise `UsageError` if the file has been written to or exchanged since."""
        with readable(self.path):
            state = _state(self.path)
        if state != self.state:
            raise UsageError(f"{self.path}: has changed while it was read: import it again when it stays as it is")


def look_at(path: Path, report: Callable[[int], None] = lambda _: None) -> FileContent:
    """Read a whole file once; `report` is told the bytes read since it was last told. Raises `UsageError`."""
    with readable(path), path.open("rb") as file:
        state = _state(path)
        digest = hashlib.sha256()
        lines = 0
        while block := file.read(BLOCK_BYTES):
            digest.update(block)
            lines += block.count(b"\n")
            report(len(block))
    return FileContent(path, digest.hexdigest(), lines, state)


def _state(path: Path) -> tuple[int, ...]:
    found = path.stat()
    return found.st_dev, found.st_ino, found.st_size, found.st_mtime_ns
