"""What a sealed festival holds, member by member: `seal` writes it, `unseal` reads it. docs/sealing.md has the layout.

A sealed file outlives the ledger's format, so nothing in it is a page: totals are CSV, all else is JSON, and sketches
are those of Apache DataSketches. Read back, it is what a follower of a ledger hands over: one more source of the view.
"""

from __future__ import annotations

import hashlib
import json
import re
from dataclasses import dataclass, replace
from functools import cached_property
from typing import TYPE_CHECKING, Any, TypeVar

import msgspec

from streams.domain.festivals import Festival
from streams.domain.pages import Identity, Page, PageKey, encode_page, fingerprint_key
from streams.engine.judgement import Judgement  # noqa: TC001 - msgspec reads the annotations
from streams.engine.ledger_view import FollowerDelta
from streams.engine.sealed.container import Members, SealError, pack_members
from streams.engine.sealed.tables import TableRow, TableShape, decode_table, encode_table, pages_of

if TYPE_CHECKING:
    from collections.abc import Mapping, Sequence

FORMAT = 1
"""A reader refuses a greater one."""
README = """\
A shopping festival, counted and sealed.

This is a ZIP. Its comment, the last 64 bytes, is the SHA-256 of all bytes before it:
    head -c -64 FILE | sha256sum
    tail -c 64 FILE

seal.json         what was sealed: complete? exact? when, by which version, which tables
totals.json       the totals document at that moment; money in minor units of its currency
festival.json     the festival as its file told it: interval, home currency, rates
audit.json        what an independent recount of the log found of this very state; null: not audited
cursors.json      by partition: up to which offset of which topic is counted, and what came of its records
fingerprint.json  the rules that it was counted under
totals/           a CSV for each table: all partitions added; counts and minor units as integers
distinct/         sketches of Apache DataSketches (HLL), one for each partition: how many different ones

In totals/, a row is one group in one window of time. `start` is when the window begins (UTC). A table that has no
`start` holds the whole festival. Windows in which nothing was counted have no row. Sums over the rows are the totals.
"""
T = TypeVar("T")
_DISTINCT = "distinct"
_SKETCH = re.compile(rf"{_DISTINCT}/(\w+)/(\d+)\.hll")
_ORIGIN_CURSOR: Mapping[str, Any] = {"sequence": 0}
"""What a cursor says where its file is older than the field."""


class SealedEdition(msgspec.Struct, frozen=True, kw_only=True):
    """The festival as the last edition of the next one; money in minor units of its home currency."""

    name: str
    currency: str
    total_minor: int
    orders: int
    before_minor: int | None
    curve: tuple[tuple[int, int], ...]
    """(Seconds after the start, cumulative minor units)."""


class Header(msgspec.Struct, frozen=True, kw_only=True):
    """What stands in `seal.json`."""

    format: int = FORMAT
    made_by: str
    """Version of this program."""
    sealed_ms: int
    festival: str
    start_ms: int
    """Where its windows begin: its start, as it was counted."""
    ledger: str
    """Generation."""
    partitions: int
    identity: Identity | None
    """Which cluster and topics were counted."""
    complete: bool
    exact: bool | None
    """The verdict of the audit of this very state; None: it could not be audited."""
    reasons: tuple[str, ...]
    """Why it is not complete or not exact, or was sealed before its end: what `--force` passed over."""
    audited_ms: int | None
    first_record_ms: int | None
    """Record time of the first record that the source topics held."""
    fingerprint_sha256: str
    judgement: Judgement
    """What was said of the partitions: held, uncovered, lag."""
    tables: tuple[TableShape, ...]
    edition: SealedEdition | None
    why_no_edition: str | None


@dataclass(frozen=True, slots=True)
class Contents:
    """Everything that is sealed."""

    header: Header
    festival: Festival
    fingerprint: bytes
    """As it lies in the ledger."""
    cursors: Mapping[int, bytes]
    """As they lie in the ledger, by partition."""
    totals: Mapping[str, Any]
    audit: Mapping[str, Any] | None
    tables: Mapping[str, Sequence[TableRow]]
    """By the names of `header.tables`."""
    sketches: Mapping[str, Mapping[int, bytes]]
    """By what is counted, and partition."""


def seal(contents: Contents) -> tuple[bytes, str]:
    """Return the bytes of the file, and its digest; the same contents give the same."""
    header = contents.header
    members = {
        "README.txt": README.encode(),
        "seal.json": _json(msgspec.to_builtins(header)),
        "totals.json": _json(contents.totals),
        # What a replay sells is no part of what was counted.
        "festival.json": _json(msgspec.to_builtins(replace(contents.festival, sales=None))),
        "audit.json": _json(contents.audit),
        "cursors.json": _json({str(part): json.loads(contents.cursors[part]) for part in sorted(contents.cursors)}),
        "fingerprint.json": contents.fingerprint,
    }
    for shape in header.tables:
        members[f"totals/{shape.name}.csv"] = encode_table(shape, header.start_ms, contents.tables[shape.name])
    for name, by_partition in sorted(contents.sketches.items()):
        for partition, sketch in sorted(by_partition.items()):
            members[f"{_DISTINCT}/{name}/{partition}.hll"] = sketch
    return pack_members(members)


@dataclass(frozen=True)
class Sealed:
    """A sealed festival, whose digest fits."""

    members: Members
    header: Header

    @property
    def digest(self) -> str:
        """Return the SHA-256 that names it."""
        return self.members.digest

    @cached_property
    def festival(self) -> Festival:
        """Return the festival as it was sealed, rates and names included. Raises `SealError`, as all below."""
        return _converted(self._read("festival.json"), Festival, "festival.json")

    @property
    def totals(self) -> Mapping[str, Any]:
        """Return the totals document as it was sealed."""
        return _converted(self._read("totals.json"), dict[str, Any], "totals.json")

    @property
    def audit(self) -> dict[str, Any] | None:
        """Return what the audit found; None where it could not be made."""
        audit = self._read("audit.json")
        return None if audit is None else _converted(audit, dict[str, Any], "audit.json")

    @property
    def fingerprint(self) -> bytes:
        """Return the document that the generation was counted under, as it lay in the ledger."""
        return self.members.read("fingerprint.json")

    def delta(self, *, knows_others: bool = False) -> FollowerDelta:
        """Return all that a follower of the ledger would have handed over, the totals of all partitions as one's.

        Its fingerprint is that of the sealed festival alone: nothing is held of the others that were counted beside it.
        Who counts again `knows_others`, which decide what is outside of all of them.
        """
        generation, pages = self.header.ledger, dict[bytes, bytes]()
        for shape in self.header.tables:
            rows = decode_table(shape, self.header.start_ms, self.members.read(f"totals/{shape.name}.csv"))
            pages |= pages_of(shape, rows, generation, self.header.festival)
        changed = {(0, key): value for key, value in pages.items()}
        changed |= {(p, key): value for p, key, value in self._sketches(generation)}
        cursors = _converted(self._read("cursors.json"), dict[int, dict[str, Any]], "cursors.json")
        told = self.fingerprint if knows_others else self._own_fingerprint()
        changed |= {(partition, fingerprint_key(generation)): told for partition in cursors}
        encoded = {part: json.dumps({**_ORIGIN_CURSOR, **cursor}).encode() for part, cursor in cursors.items()}
        lost = _converted(self.totals.get("counted_from", {}), dict[str, dict[str, int]], "totals.json")
        return FollowerDelta(generation, self.header.partitions, True, changed, encoded, counted_from=lost)

    def _own_fingerprint(self) -> bytes:
        document = _converted(self._read("fingerprint.json"), dict[str, Any], "fingerprint.json")
        festivals = _converted(document.get("festivals"), dict[str, Any], "fingerprint.json")
        if self.header.festival not in festivals:
            raise SealError(f"this is no sealed festival: its fingerprint does not have {self.header.festival}")
        return _json({**document, "festivals": {self.header.festival: festivals[self.header.festival]}})

    def _sketches(self, generation: str) -> list[tuple[int, bytes, bytes]]:
        """Return partition, key and value of the pages of sketches."""
        found = []
        for path in self.members.names():
            if path.startswith(f"{_DISTINCT}/"):
                named = _SKETCH.fullmatch(path)
                if named is None:
                    raise SealError(f"this is no sealed festival: {path} is no sketch of a partition")
                key = PageKey(generation, self.header.festival, named[1], 0).encode()
                page = Page((), 1, 1, self.members.read(path), None)
                found.append((int(named[2]), key, encode_page(page)))
        return found

    def _read(self, name: str) -> object:
        return _parsed(self.members.read(name), name)


def unseal(data: bytes) -> Sealed:
    """Return the sealed festival in the bytes of a file; raises `SealError` where they are none, or not whole."""
    members = Members(data)
    header = _parsed(members.read("seal.json"), "seal.json")
    version = header.get("format") if isinstance(header, dict) else None
    if isinstance(version, int) and version > FORMAT:
        raise SealError(f"its format is {version}, this version reads up to {FORMAT}: read it with a newer version")
    return Sealed(members, _converted(header, Header, "seal.json"))


def sha256(fingerprint: bytes) -> str:
    """Return how a fingerprint is named."""
    return hashlib.sha256(fingerprint).hexdigest()


def _json(value: object) -> bytes:
    # The standard library's: it writes integers beyond 64 bits.
    return json.dumps(value, ensure_ascii=False, indent=1).encode() + b"\n"


def _parsed(data: bytes, name: str) -> object:
    try:
        return json.loads(data)
    except (ValueError, RecursionError) as error:
        raise SealError(f"this is no sealed festival: {name}: {error}") from error


def _converted(value: object, wanted: type[T], name: str) -> T:
    try:
        return msgspec.convert(value, wanted, str_keys=True)
    except msgspec.ValidationError as error:
        raise SealError(f"this is no sealed festival: {name}: {error}") from error
