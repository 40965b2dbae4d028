"""What is sealed of a finished festival, gathered out of one committed state and the audit of that very state."""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

import numpy as np

from streams.board.answers.totals import totals_document
from streams.board.view.sealed import read_sealed
from streams.board.view.tables import slots_per_page
from streams.domain.rollups import Window
from streams.engine.sealed.contents import Contents, Header, SealedEdition, seal, sha256, unseal
from streams.engine.sealed.tables import TableRow, shape_of
from streams.errors import AnswerNo
from streams.handover.edition import edition_of

if TYPE_CHECKING:
    from collections.abc import Iterator, Mapping, Sequence

    from streams.audit.result import AuditResult
    from streams.board.view.committed_view import Snapshot
    from streams.board.view.tables import Table
    from streams.domain.festivals import Festival
    from streams.engine.judgement import Judgement

    Document = Mapping[str, Any]

MARKS = frozenset({"sealed", "exact"})
"""Keys of a totals document that only a sealed festival's has."""


@dataclass(frozen=True, slots=True)
class Audited:
    """What the audit of the state said."""

    result: AuditResult | None
    """None where it could not be made."""
    why_not: str
    """Why it could not."""
    audited_ms: int

    @property
    def is_exact(self) -> bool | None:
        """Return the verdict; None where there is none."""
        return None if self.result is None else self.result.is_exact


@dataclass(frozen=True, slots=True)
class State:
    """One committed state of a festival that the ledger counts, and what is known of it."""

    snapshot: Snapshot
    judgement: Judgement
    festival: Festival
    fingerprint: bytes
    audited: Audited
    first_record_ms: int | None
    version: str

    def document(self) -> dict[str, Any]:
        """Return its totals document; complete only if all tables can be read, those by a dimension too."""
        document = totals_document(self.snapshot, self.festival, judgement=self.judgement)
        counted = self.snapshot.as_counted(self.festival)
        tables = [self.snapshot.table(counted.id, rollup.name) for rollup in self.snapshot.rollups_of(counted)]
        return {**document, "complete": document["complete"] and not any(table.unreadable for table in tables)}


def reasons_against(state: State, document: Document, now_ms: int) -> list[str]:
    """Return why the state is not to be sealed as the festival's last word; empty where it is."""
    festival = state.snapshot.as_counted(state.festival)
    reasons = [] if festival.end_ms <= now_ms else [f"{festival.id} is not over yet"]
    if not document["complete"]:
        judgement = state.judgement
        why = [f"partition {one.partition} is held ({one.reason})" for one in judgement.held]
        held = {one.partition for one in judgement.held}
        why += [f"partition {number} has no total" for number in judgement.uncovered if number not in held]
        told = ": " + "; ".join(why) if why else ": pages of the ledger cannot be read"
        reasons.append(f"the totals of {festival.id} are not complete{told}")
    result = state.audited.result
    if result is None:
        reasons.append(f"it is not known whether {festival.id} is exact: {state.audited.why_not}")
    elif not result.is_exact:
        what = [f"{result.differing:,} differences"] if result.differing else []
        what += [f"{len(result.lacking):,} partitions not counted"] if result.lacking else []
        reasons.append(f"{festival.id} is not exact: the audit found {' and '.join(what)}; see `festival audit`")
    return reasons


def sealed_bytes(state: State, document: Document, reasons: Sequence[str], now_ms: int) -> tuple[bytes, str]:
    """Return the file of a state, and its digest."""
    snapshot, festival, audited = state.snapshot, state.snapshot.as_counted(state.festival), state.audited
    rollups = snapshot.rollups_of(festival)
    edition, why_not = _edition(state, reasons, now_ms)
    header = Header(
        made_by=state.version,
        sealed_ms=now_ms,
        festival=festival.id,
        start_ms=festival.start_ms,
        ledger=snapshot.generation,
        partitions=snapshot.partitions,
        identity=next((cursor.identity for cursor in snapshot.cursors.values()), None),
        complete=document["complete"],
        exact=audited.is_exact,
        reasons=tuple(reasons),
        audited_ms=None if audited.result is None else audited.audited_ms,
        first_record_ms=state.first_record_ms,
        fingerprint_sha256=sha256(state.fingerprint),
        judgement=state.judgement,
        tables=tuple(map(shape_of, rollups)),
        edition=edition,
        why_no_edition=why_not,
    )
    data, digest = seal(
        Contents(
            header=header,
            festival=festival,
            fingerprint=state.fingerprint,
            cursors=snapshot.raw_cursors,
            totals=document,
            audit=None if audited.result is None else audited.result.document(),
            tables={rollup.name: list(table_rows(snapshot.table(festival.id, rollup.name))) for rollup in rollups},
            sketches=snapshot.sketches(festival.id),
        )
    )
    _check(data, document)
    return data, digest


def _check(data: bytes, document: Document) -> None:
    """Read a file back before anybody relies on it: it says what the ledger said."""
    read = read_sealed(unseal(data))
    told = totals_document(read.snapshot, read.festival, judgement=read.judgement)
    other = [name for name in document.keys() | told.keys() - MARKS if told.get(name) != document.get(name)]
    assert not other, f"what was counted is not what was sealed: {other}"


def table_rows(table: Table) -> Iterator[TableRow]:
    """Yield the cells of a table that are not 0; a group that has none is told once, as it was seen."""
    if table.rollup.window is Window.FESTIVAL:
        yield from (TableRow(0, group, values) for group, values in table.totals.items())
        return
    unseen = {group: number for number, page in sorted(table.pages.items(), reverse=True) for group in page.groups}
    for number, page in table.pages.items():
        slots = page.cells.shape[2]
        for group, place in page.groups.items():
            cells = page.cells[:, place, :]
            for slot in np.flatnonzero(cells.any(axis=0)).tolist():
                unseen.pop(group, None)
                yield TableRow(number * slots + slot, group, cells[:, slot].tolist())
    slots = slots_per_page(table.rollup)
    zeros = [0] * len(table.rollup.measures)
    yield from (TableRow(number * slots, group, zeros) for group, number in unseen.items())


def _edition(state: State, reasons: Sequence[str], now_ms: int) -> tuple[SealedEdition | None, str | None]:
    """Return the festival as the last edition of the next one, or why it is none."""
    if reasons:
        return None, "; ".join(reasons)
    try:
        edition = edition_of(state.snapshot, state.festival, state.judgement, now_ms)
    except AnswerNo as error:
        return None, "; ".join(str(error).splitlines())
    told = {name: getattr(edition, name) for name in ("name", "total_minor", "orders", "before_minor")}
    curve = tuple((second, minor) for second, minor in edition.curve)
    return SealedEdition(currency=state.festival.home_currency, curve=curve, **told), None
