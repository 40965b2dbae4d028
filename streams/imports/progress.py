"""How far an import has come: what is written to Kafka with the rows themselves, and what is told in the end."""

from __future__ import annotations

import json
from collections import Counter
from dataclasses import asdict, dataclass, field, replace
from typing import Any, NamedTuple

BAD_ROWS_KEPT = 10_000
"""Bad rows of one import that are kept with their sentence; all are counted."""
DETAIL_LENGTH = 200


class BadRow(NamedTuple):
    """A row that is not sent, and why."""

    row: int
    line: int | None
    reason: str
    detail: str


@dataclass(frozen=True, slots=True)
class ImportKey:
    """What an import is known by: its file's content and its mapping's."""

    sha256: str
    mapping: str

    @property
    def short(self) -> str:
        """Return enough of both to tell imports apart in ids."""
        return f"{self.sha256[:16]}-{self.mapping[:8]}"


@dataclass(frozen=True, slots=True)
class Progress:
    """How far one run of an import is. The sums cover the rows sent, by festival, as `festival totals` has them."""

    run: int = 1
    rows: int = 0
    is_done: bool = False
    sent: int = 0
    bad: dict[str, int] = field(default_factory=dict)
    left_out: dict[str, int] = field(default_factory=dict)
    festivals: dict[str, dict[str, Any]] = field(default_factory=dict)
    file: str = ""
    to: str = "orders"
    """The topic."""
    lines: dict[str, int] = field(default_factory=dict)
    """How many lines of a text file were what, once it was read to its end: their sum is all of them."""

    @property
    def bad_count(self) -> int:
        """Return how many rows were bad."""
        return sum(self.bad.values())

    def after(self, part: Part) -> Progress:
        """Return the progress with one more part of the file in it."""
        return replace(
            self,
            rows=part.rows,
            sent=self.sent + len(part.records),
            bad=dict(Counter(self.bad) + Counter(bad.reason for bad in part.bad)),
            left_out=dict(Counter(self.left_out) + Counter(part.left_out)),
            festivals=_added(self.festivals, part.festivals),
        )


@dataclass(frozen=True, slots=True)
class Part:
    """Some rows of a file, converted: what one transaction takes."""

    rows: int
    """Number of the last row in it."""
    records: list[tuple[bytes, bytes]]
    """Key and value of each event, in the file's order."""
    bad: list[BadRow]
    left_out: dict[str, int]
    festivals: dict[str, dict[str, Any]]


def encode(progress: Progress) -> bytes:
    """Return the value of the progress record. Sums may exceed 64 bits, hence the standard library's JSON."""
    return json.dumps(asdict(progress), separators=(",", ":")).encode()


def decode(value: bytes) -> Progress:
    """Return the progress in a record's value."""
    return Progress(**json.loads(value))


def encode_bad(rows: list[BadRow]) -> bytes:
    """Return the value of a record of bad rows."""
    return json.dumps([row._replace(detail=row.detail[:DETAIL_LENGTH]) for row in rows]).encode()


def decode_bad(value: bytes) -> list[BadRow]:
    """Return the bad rows in a record's value."""
    return [BadRow(*row) for row in json.loads(value)]


def _added(sums: dict[str, Any], more: dict[str, Any]) -> dict[str, Any]:
    """Return two trees of numbers, added leaf by leaf."""
    found = dict(sums)
    for name, value in more.items():
        if isinstance(value, dict):
            found[name] = _added(found.get(name, {}), value)
        else:
            found[name] = found.get(name, 0) + value
    return found
