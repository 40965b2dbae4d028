"""What the topic `festival.totals` holds: a committed state as records by key, and which state may follow which.

Key `<festival>`: the totals document. Key `<festival>/<dimension>`: its largest rows. `publisher` writes them.
"""

from __future__ import annotations

import json
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

from streams.board.answers.documents import row_json
from streams.board.answers.totals import rollups_of, rows_with_rest, totals_document

if TYPE_CHECKING:
    from collections.abc import Iterable, Iterator, Mapping, Sequence

    from streams.board.view.committed_view import Snapshot
    from streams.board.view.tables import Table
    from streams.domain.festivals import Festival
    from streams.engine.judgement import Judgement

    Document = Mapping[str, Any]

ROWS = 200
"""More of a dimension are told as one row."""
_BESIDE_ROWS = frozenset({"committed_ms", "positions"})
"""Fields of a dimension's record that say of when its rows are; rows that are still so are not written again."""


@dataclass(frozen=True, slots=True)
class Record:
    """A record to write."""

    key: str
    document: Document
    tables: tuple[Table, ...] = ()
    """What its rows were read from."""

    def encoded(self) -> tuple[bytes, bytes]:
        """Return key and value."""
        return self.key.encode(), _text(self.document)


class Published:
    """What the topic holds, and what of a state is new to it. Not for two threads at a time."""

    def __init__(self) -> None:
        """Begin with an empty topic."""
        self._told: dict[str, bytes] = {}
        """What each record says, but for what stands beside its rows."""
        self._tables: dict[str, tuple[Table, ...]] = {}
        self._generation: tuple[int, ...] = ()
        self._positions: dict[tuple[str, str], int] = {}

    def take(self, key: bytes | None, value: bytes | None) -> None:
        """Take over a record that is on the topic; one that is none of ours is passed over."""
        if key is None or value is None:
            return
        try:
            name, document = key.decode(), json.loads(value)
            self._note(document)
        except (ValueError, TypeError, KeyError, AttributeError, RecursionError):
            return
        self._told[name] = _said(name, document)

    def may_follow(self, snapshot: Snapshot) -> bool:
        """Return whether a state may come behind what the topic holds: positions never go back within a ledger."""
        generation = _generation(snapshot.generation)
        if generation != self._generation:
            return generation > self._generation
        positions = {(t, str(p)): offset for t, at in snapshot.positions().items() for p, offset in at.items()}
        return all(positions.get(place, -1) >= offset for place, offset in self._positions.items())

    def news(
        self, snapshot: Snapshot, festivals: Iterable[Festival], judgement: Judgement, *, with_rows: bool = True
    ) -> list[Record]:
        """Return what of a state the topic does not say yet; it must be one that may follow."""
        assert self.may_follow(snapshot)
        counted = [festival for festival in festivals if snapshot.counts(festival.id)]
        told = [Record(f.id, totals_document(snapshot, f, judgement=judgement)) for f in counted]
        complete = {record.key: record.document["complete"] for record in told}
        rows = [r for f in counted for r in self._rows(snapshot, f, is_complete=complete[f.id])] if with_rows else []
        return [record for record in (*told, *rows) if _said(record.key, record.document) != self._told.get(record.key)]

    def written(self, records: Sequence[Record]) -> None:
        """Note that records were committed to the topic."""
        for record in records:
            self._note(record.document)
            self._told[record.key] = _said(record.key, record.document)
            self._tables[record.key] = record.tables

    def _rows(self, snapshot: Snapshot, festival: Festival, *, is_complete: bool) -> Iterator[Record]:
        """Yield the records of those dimensions whose tables have changed, or whose completeness may have."""
        for dimension in snapshot.dimensions:
            rollups = [rollup for rollup in rollups_of(snapshot, dimension) if rollup.fact in festival.facts]
            tables = tuple(snapshot.table(festival.id, rollup.name) for rollup in rollups)
            key = f"{festival.id}/{dimension}"
            before = self._tables.get(key, ())
            is_same = len(before) == len(tables) and all(a is b for a, b in zip(before, tables, strict=True))
            if not any(table.totals for table in tables) or (is_same and self._is_said_complete(key) == is_complete):
                continue
            document = {
                "festival": festival.id,
                "ledger": snapshot.generation,
                "committed_ms": snapshot.committed_ms,
                "positions": {t: {str(p): o for p, o in at.items()} for t, at in snapshot.positions().items()},
                "complete": is_complete,
                "dimension": dimension,
                "by": [row_json(row) for row in rows_with_rest(snapshot, festival, dimension, ROWS)],
            }
            yield Record(key, document, tables)

    def _is_said_complete(self, key: str) -> bool:
        return b'"complete":true' in self._told.get(key, b"")

    def _note(self, document: Document) -> None:
        """Remember up to where a record counts."""
        generation = _generation(document["ledger"])
        positions = {(t, p): int(offset) for t, at in document["positions"].items() for p, offset in at.items()}
        if generation > self._generation:
            self._generation, self._positions = generation, {}
        if generation == self._generation:
            for place, offset in positions.items():
                self._positions[place] = max(offset, self._positions.get(place, 0))


def _generation(name: str) -> tuple[int, ...]:
    """Return a ledger's name so that a later one is greater: g2 < g10."""
    return tuple(int(part) for part in name.removeprefix("g").split("."))


def _said(key: str, document: Document) -> bytes:
    """Return what a record says, as text to compare."""
    return _text({n: v for n, v in document.items() if n not in _BESIDE_ROWS} if "/" in key else document)


def _text(document: Document) -> bytes:
    """Return a document as JSON; the standard library's, because it writes integers beyond 64 bits."""
    return json.dumps(document, ensure_ascii=False, separators=(",", ":")).encode()
