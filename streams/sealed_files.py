"""Files of sealed festivals, on disk: read whole and checked, written whole or not at all."""

from __future__ import annotations

import os
import tempfile
from pathlib import Path
from typing import TYPE_CHECKING

from streams.engine.sealed.container import SealError
from streams.engine.sealed.contents import unseal
from streams.errors import UsageError

if TYPE_CHECKING:
    from streams.engine.sealed.contents import Sealed


def read_sealed_file(path: Path) -> Sealed:
    """Return the sealed festival in a file; raises `UsageError` where it is none, or not as it was sealed."""
    try:
        return unseal(path.read_bytes())
    except OSError as error:
        raise UsageError(f"{path}: cannot be read: {error.strerror}") from error
    except SealError as error:
        raise UsageError(f"{path}: {error}") from error


def check_place(path: Path) -> None:
    """Raise `UsageError` where no new file can be written to `path`."""
    if path.exists():
        raise UsageError(f"--out: {path} exists already")
    if not path.parent.is_dir():
        raise UsageError(f"--out: {path.parent} is no directory")


def write_sealed_file(path: Path, data: bytes) -> None:
    """Write a file that appears whole or not at all, and lasts; raises `UsageError` where that cannot be."""
    check_place(path)
    try:
        handle, draft = tempfile.mkstemp(dir=path.parent, prefix=f".{path.name}.")
        try:
            with os.fdopen(handle, "wb") as file:
                file.write(data)
                file.flush()
                os.fsync(file.fileno())
            Path(draft).chmod(0o444)  # nothing changes it any more
            Path(draft).rename(path)
        finally:
            Path(draft).unlink(missing_ok=True)
    except OSError as error:
        raise UsageError(f"--out: {path} cannot be written: {error.strerror or error}") from error
