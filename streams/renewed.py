"""Files that are read again when they change, and TLS for connections that are made after that.

Certificates, keys, passwords and tokens are renewed under a running process: whoever connects later uses the new ones.
"""

from __future__ import annotations

import ssl
from typing import TYPE_CHECKING, Any, Self

if TYPE_CHECKING:
    from collections.abc import Callable, Sequence
    from pathlib import Path

Signature = tuple[tuple[int, int, int] | None, ...]
"""Inode, size and time of change of each file; None for one that is not there."""


def signature(files: Sequence[Path]) -> Signature:
    """Return what tells a changed file from an unchanged one."""
    return tuple(_of(file) for file in files)


def _of(file: Path) -> tuple[int, int, int] | None:
    try:
        found = file.stat()
    except OSError:
        return None
    return found.st_ino, found.st_size, found.st_mtime_ns


class RenewedContext(ssl.SSLContext):
    """A context whose connections are each made with the one that is current then.

    Servers and clients hold one context for their life; asyncio and uvloop ask it for each connection (`wrap_bio`).
    """

    _current: Callable[[], ssl.SSLContext]

    def __new__(cls, protocol: int, current: Callable[[], ssl.SSLContext]) -> Self:
        """Make one that asks `current` for each connection; what that raises ends the connection."""
        self = super().__new__(cls, protocol)
        self._current = current
        return self

    def wrap_bio(self, *args: Any, **options: Any) -> ssl.SSLObject:  # noqa: ANN401 - as the library's
        """Return the TLS of one connection."""
        return self._current().wrap_bio(*args, **options)
