"""Persons as keyed hashes: the same text is the same hash wherever the key is, and nobody without it can try texts."""

from __future__ import annotations

import hmac
from hashlib import sha256
from typing import TYPE_CHECKING

from streams.errors import UsageError

if TYPE_CHECKING:
    from collections.abc import Callable, Iterable
    from pathlib import Path

    Hash = Callable[[str], str]

DIGITS = 32
HASHED = ("buyer", "user")
"""Fields that tell a person: hashed wherever there is a key."""


def refuse_without_key(asked: Iterable[str], hashing: Hash | None, where: str) -> None:
    """Raise `UsageError` where fields ask for a hash and there is no key."""
    names = ", ".join(asked)
    if names and hashing is None:
        raise UsageError(f"{where}: {names}: hash = true needs FESTIVAL_HASH_KEY_FILE")


def hash_with(key: bytes) -> Hash:
    """Return what replaces a text by its HMAC-SHA-256, 32 hex digits."""
    begun = hmac.new(key, digestmod=sha256)

    def hashed(text: str) -> str:
        found = begun.copy()
        found.update(text.encode())
        return found.hexdigest()[:DIGITS]

    return hashed


def load_hash(file: Path | None) -> Hash | None:
    """Return the hash with the key in a file, without its final line end; None without a file. Raises `UsageError`."""
    if file is None:
        return None
    try:
        key = file.read_bytes()
    except OSError as error:
        raise UsageError(f"FESTIVAL_HASH_KEY_FILE: {file} cannot be read: {error.strerror}") from error
    key = key.removesuffix(b"\n").removesuffix(b"\r")
    if not key:
        raise UsageError(f"FESTIVAL_HASH_KEY_FILE: {file} is empty")
    return hash_with(key)
