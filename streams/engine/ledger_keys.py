"""Tells the records of the ledger topic apart by their keys, which are compact JSON arrays (`streams.domain.pages`)."""

from __future__ import annotations

from enum import Enum
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from collections.abc import Sequence


class Kind(Enum):
    """What a record of the ledger topic is."""

    PAGE = "page"
    CURSOR = "cursor"
    NOTE = "held"
    """Why a worker holds the partition; the cursor that follows overrules it."""
    OTHER = "other"
    """Any other key of a generation: the fingerprint, hashes of seen ids, what a newer version may add."""
    GENERATIONS = "generations"


GENERATIONS_KEY = b'["generations"]'
CURSOR_ENDS = b',"cursor"]'
_KINDS = {b"page": Kind.PAGE, b"cursor": Kind.CURSOR, b"held": Kind.NOTE}
_PARTS = 5


def parse_key(key: bytes | None) -> tuple[str, Kind]:
    """Return the generation a key belongs to and its kind; raises `ValueError` for a key that is none of ours.

    The control record of the generations belongs to the generation "".
    """
    if key is not None:
        if key == GENERATIONS_KEY:
            return "", Kind.GENERATIONS
        # ["g1","page",… in front of the second string there are four quotes.
        parts = key.split(b'"', 4)
        if len(parts) == _PARTS and parts[0] == b"[" and parts[2] == b"," and is_generation(parts[1]):
            return parts[1].decode(), _KINDS.get(parts[3], Kind.OTHER)
    raise ValueError(f"a record with the key {key!r} is none of this program's version")


def is_generation(name: bytes) -> bool:
    """Return whether `name` is g and a number."""
    return name[:1] == b"g" and name[1:].isdigit()


def newest_places(keys: Sequence[bytes | None], start: int, end: int) -> list[int]:
    """Return, in order, where the newest record of each key stands between two places of a log."""
    return sorted(dict(zip(keys[start:end], range(start, end), strict=True)).values())
