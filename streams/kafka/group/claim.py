"""The claim on a worker's name: two members of one group instance id would evict each other without an error.

The lock is the machine's: on different machines the operator keeps names apart (the default holds the host's name).
It goes with the process, however that ends.
"""

from __future__ import annotations

import fcntl
import os
import re
import socket
from typing import TYPE_CHECKING

from streams.errors import UsageError

if TYPE_CHECKING:
    from pathlib import Path

    from streams.settings import Settings

DEFAULT_TRIES = 100


class NameTakenError(UsageError):
    """A worker of that name runs on this machine."""


class Claim:
    """A name that nobody else on this machine has until `release`, and its directory."""

    def __init__(self, workers_dir: Path, name: str) -> None:
        """Raise `NameTakenError` where a running worker has the name."""
        self.name = name
        self.directory = workers_dir / name
        self.directory.mkdir(parents=True, exist_ok=True)
        self._file = (self.directory / "lock").open("a+", encoding="utf-8")
        try:
            fcntl.flock(self._file, fcntl.LOCK_EX | fcntl.LOCK_NB)
        except OSError:
            self._file.close()
            raise NameTakenError(
                f"a worker named {name!r} runs on this machine already: choose another --name, or stop that one "
                f"(its process id stands in {self.directory / 'lock'})"
            ) from None
        self._file.truncate(0)
        self._file.write(f"{os.getpid()}\n")
        self._file.flush()

    def release(self) -> None:
        """Let others have the name; may be called twice."""
        self._file.close()


def claim_name(settings: Settings, folder: str = "workers") -> Claim:
    """Return the claim on the name that is set, else on the first free one made of host and web port.

    Each group has a `folder` of its own: its names are its members'. Raises `NameTakenError`.
    """
    workers_dir = settings.data_dir / folder
    if settings.name is not None:
        return Claim(workers_dir, settings.name)
    host = re.sub(r"[^A-Za-z0-9._-]", "-", socket.gethostname())[:100] or "worker"
    for port in range(settings.web_port, settings.web_port + DEFAULT_TRIES):
        try:
            return Claim(workers_dir, f"{host}-{port}")
        except NameTakenError:
            continue
    raise NameTakenError(f"{DEFAULT_TRIES} workers run on this machine already: choose a --name")
