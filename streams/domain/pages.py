"""Pages: a group of cells as one record of the ledger topic, and the names of those records.

Keys of the ledger topic are JSON arrays:

- `["g1", "page", festival, rollup, page]`: a `Page`;
- `["g1", "cursor"]`: a `Cursor`, the last record of every checkpoint;
- `["g1", "fingerprint"]`: the fingerprint document that the partition is counted under (JSON), written with its first
  checkpoint, and with the first one that counts a festival declared since;
- `["g1", "held"]`: why a worker holds the partition (`streams.engine.judgement`); the next cursor overrules it;
- `["generations"]`, in partition 0 only: which generation is current (`streams.kafka.ledger.generations`).
"""

from __future__ import annotations

from typing import TYPE_CHECKING

import msgspec
import numpy as np
import numpy.typing as npt
import orjson

if TYPE_CHECKING:
    from collections.abc import Sequence

HIGH_SHIFT = 62
"""A cell beyond 64 bits is `high * 2**62 + low`."""


class Page(msgspec.Struct, array_like=True, frozen=True):
    """Cells of one page, as written: little-endian int64, shape (measures, groups x slots).

    Group g has the columns g x slots … g x slots + slots - 1, one for each window of the page (a page of a
    festival-long rollup has 1 slot). `high` is None while every cell fits 63 bits.
    """

    groups: tuple[tuple[str, ...], ...]
    """Value of the dimension (if the rollup has one), then currency (if it has one)."""
    slots: int
    measures: int
    low: bytes
    high: bytes | None

    def cells(self) -> npt.NDArray[np.int64]:
        """Return the low parts as a read-only array of shape (measures, groups x slots)."""
        return np.frombuffer(self.low, dtype="<i8").reshape(self.measures, -1)

    def high_cells(self) -> npt.NDArray[np.int64] | None:
        """Return the high parts in the same shape, or None where there are none."""
        if self.high is None:
            return None
        return np.frombuffer(self.high, dtype="<i8").reshape(self.measures, -1)

    def widened(self, measures: int) -> Page:
        """Return the page with more measures behind those that were known when it was written: zeros; else itself."""
        if not 0 < self.measures < measures:
            return self
        added = bytes(len(self.low) // self.measures * (measures - self.measures))
        high = None if self.high is None else self.high + added
        return Page(self.groups, self.slots, measures, self.low + added, high)


LATE = "late"
"""Counted beside the outcomes: a late event has an outcome too."""


class Identity(msgspec.Struct, frozen=True, kw_only=True):
    """Which logs a ledger was counted from, and where it lies itself, by the ids that the cluster gave."""

    cluster: str
    own: dict[str, str]
    """Id of each topic that the ledger lies on, by name without prefix."""
    topics: dict[str, str]
    """Id of each source topic."""


class Digests(msgspec.Struct, frozen=True, kw_only=True):
    """Sums, modulo 2^64, of the hashes of all records that a generation has on a topic (`streams.engine.digest`)."""

    ledger: int
    """Without cursor and note."""
    seen: int


class Cursor(msgspec.Struct, frozen=True, kw_only=True):
    """How far a partition is counted, and what came of its records (JSON on the ledger topic)."""

    positions: dict[str, int]
    """Next offset per source topic."""
    started: dict[str, int]
    """Offset per source topic at which this generation began: the log's start at that time."""
    stream_times_ms: dict[str, int]
    """Largest record time per source topic; missing while nothing was read."""
    max_event_times_ms: dict[str, int]
    """Largest event time of valid records per source topic; the watermark is 5 s below it."""
    outcomes: dict[str, dict[str, int]]
    """Number of records per source topic and outcome (rejected, duplicate, counted, expired, outside; late besides)."""
    rejected: dict[str, dict[str, int]]
    """Number of rejected records per source topic and reason."""
    sequence: int
    """Number of this checkpoint in its generation, from 1."""
    identity: Identity
    epochs: dict[str, int]
    """Leader epoch of the last batch below the position per source topic, whatever was in it; missing while nothing
    was read."""
    digests: Digests = Digests(ledger=0, seen=0)
    """Those of the generation with this checkpoint: filled in by the store that writes it."""


class PageKey(msgspec.Struct, frozen=True):
    """Name of a page in the ledger topic."""

    generation: str
    festival: str
    rollup: str
    number: int
    """The page's place since the festival's start, or for a festival-long rollup a running number."""

    def encode(self) -> bytes:
        """Return the record key."""
        return orjson.dumps([self.generation, "page", self.festival, self.rollup, self.number])


def cursor_key(generation: str) -> bytes:
    """Return the record key of the cursor."""
    return orjson.dumps([generation, "cursor"])


def fingerprint_key(generation: str) -> bytes:
    """Return the record key of the fingerprint."""
    return orjson.dumps([generation, "fingerprint"])


_encode_page = _encode_bytes = msgspec.msgpack.Encoder().encode
_NO_HIGH = _encode_bytes(None)
_decode_page = msgspec.msgpack.Decoder(Page).decode
_encode_cursor = msgspec.json.Encoder().encode
_decode_cursor = msgspec.json.Decoder(Cursor).decode


def encode_page(page: Page) -> bytes:
    """Return the record value of a page."""
    return _encode_page(page)


def page_head(groups: Sequence[tuple[str, ...]], slots: int, measures: int) -> bytes:
    """Return what stands in front of the low parts in the record value of a page: as long as its groups, the same."""
    size_bytes = 8 * len(groups) * slots * measures
    return _encode_page(Page(tuple(groups), slots, measures, bytes(size_bytes), None))[: -size_bytes - len(_NO_HIGH)]


def page_value(head: bytes, low: bytes, high: bytes | None) -> bytes:
    """Return the record value of a page, as `encode_page` would, in a tenth of its time."""
    return head + low + (_NO_HIGH if high is None else _encode_bytes(high))


def decode_page(value: bytes) -> Page:
    """Return the page in a record value; raises `msgspec.DecodeError` where it is none."""
    return _decode_page(value)


def encode_cursor(cursor: Cursor) -> bytes:
    """Return the record value of a cursor."""
    return _encode_cursor(cursor)


def decode_cursor(value: bytes) -> Cursor:
    """Return the cursor in a record value; raises `msgspec.DecodeError` where it is none."""
    return _decode_cursor(value)
