"""The digest of live records: one number that tells whether all of them are there, each as it was written.

It is the sum, modulo 2^64, of the xxh3-64 hash of key and value of each record. So a checkpoint changes it by what it
writes and by what that replaces, in any order, and compaction changes nothing. Kept by the stores of the ledger and by
its readers, who know nothing of what keys mean. 16 bytes a live record: the hash of its key, and of the whole.
"""

from __future__ import annotations

from typing import TYPE_CHECKING

import numpy as np
from xxhash import xxh3_64_intdigest

if TYPE_CHECKING:
    from collections.abc import Mapping

    from streams.domain.texts import Hashes

MODULUS = 1 << 64
NONE_LIVES = np.uint64(0)
"""Stands for the hash of a record that is not there."""


def misfit(topic: str, committed: int, found: int) -> str:
    """Return what is wrong where a topic holds something else than its cursor was committed with."""
    return f"what lies on {topic} is not what its cursor was committed with (digest {found:x}, not {committed:x})"


class Digest:
    """That of the records of one partition and generation on one topic."""

    def __init__(self) -> None:
        """Begin with nothing written."""
        self._keys: Hashes = np.empty(0, dtype=np.uint64)
        """Hashes of the keys, ascending."""
        self._records: Hashes = np.empty(0, dtype=np.uint64)
        self.total = 0

    def write(self, records: Mapping[bytes, bytes | None]) -> None:
        """Take note of records by key, each replacing the one before; None removes it."""
        count = len(records)
        if not count:
            return
        keys = np.fromiter(map(xxh3_64_intdigest, records), np.uint64, count)
        written = np.fromiter(
            (0 if value is None else xxh3_64_intdigest(key + value) for key, value in records.items()), np.uint64, count
        )
        order = np.argsort(keys)
        keys, written = keys[order], written[order]
        places = np.searchsorted(self._keys, keys)
        is_known = np.zeros(count, dtype=np.bool_)
        inside = places < len(self._keys)
        is_known[inside] = self._keys[places[inside]] == keys[inside]
        replaced = self._records[places[is_known]]
        self.total = (self.total + int(written.sum(dtype=np.uint64)) - int(replaced.sum(dtype=np.uint64))) % MODULUS
        self._records[places[is_known]] = written[is_known]
        if not is_known.all():
            self._keys = np.insert(self._keys, places[~is_known], keys[~is_known])
            self._records = np.insert(self._records, places[~is_known], written[~is_known])
        if not written.all():
            lives = self._records != NONE_LIVES
            self._keys, self._records = self._keys[lives], self._records[lives]
