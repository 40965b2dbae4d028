"""Where the embedded Kafka listens: a file the running broker leaves in the data directory for all other commands."""

from __future__ import annotations

import json
import os
from typing import TYPE_CHECKING

import msgspec

from streams.errors import UnreachableError

if TYPE_CHECKING:
    from pathlib import Path

    from streams.settings import Settings


class Address(msgspec.Struct, frozen=True):
    """What the file holds."""

    address: str
    """HOST:PORT to connect to."""
    pid: int
    """The process that keeps the broker running."""


def address_file(data_dir: Path) -> Path:
    """Return where the address lies."""
    return data_dir / "broker.json"


def announce(data_dir: Path, address: str, pid: int) -> None:
    """Write the address; a reader sees the old file or the new one, never half of one."""
    path = address_file(data_dir)
    path.parent.mkdir(parents=True, exist_ok=True)
    new = path.with_name(f"{path.name}.{pid}")
    new.write_text(json.dumps({"address": address, "pid": pid}) + "\n", encoding="utf-8")
    new.replace(path)


def withdraw(data_dir: Path, pid: int) -> None:
    """Remove the address if it is the one of `pid`."""
    found = _read(data_dir)
    if found is not None and found.pid == pid:
        address_file(data_dir).unlink(missing_ok=True)


def running(data_dir: Path) -> Address | None:
    """Return the address of the running embedded Kafka, None where there is none; a dead one's is ignored."""
    found = _read(data_dir)
    return found if found is not None and _is_alive(found.pid) else None


def resolve(settings: Settings) -> str:
    """Return the broker to use: the one that is set, else the running embedded one.

    Raises `UnreachableError` where neither exists.
    """
    if settings.broker is not None:
        return settings.broker
    found = running(settings.data_dir)
    if found is None:
        raise UnreachableError(
            "no broker: neither --broker nor FESTIVAL_BROKER is set, and no embedded Kafka is running here. "
            f"Start one with: festival broker --data {settings.data_dir}"
        )
    return found.address


def _read(data_dir: Path) -> Address | None:
    try:
        return msgspec.json.decode(address_file(data_dir).read_bytes(), type=Address)
    except (OSError, msgspec.DecodeError):
        return None


def _is_alive(pid: int) -> bool:
    if pid <= 0:
        return False
    try:
        os.kill(pid, 0)
    except ProcessLookupError:
        return False
    except PermissionError:  # somebody else's process: alive
        return True
    return True
