"""Whole batches of a foreign topic into events: by the compiled part where that is sure, by the rules elsewhere.

What comes out is the same either way, and in the order of the records.
"""

from __future__ import annotations

from collections import Counter
from dataclasses import dataclass
from typing import TYPE_CHECKING

import numpy as np

from streams.bridge.outcomes import NeedsSchemaError, Outcome
from streams.bridge.records import Record, read_headers
from streams.native import TRANSLATES
from streams.native.texts import Texts, joined, taken

if TRANSLATES:
    from streams.native.records import Values

if TYPE_CHECKING:
    from collections.abc import Sequence

    from streams.bridge.outcomes import RejectedError
    from streams.bridge.plan import Changes
    from streams.bridge.translation import Translation
    from streams.domain.texts import Bools, Ints
    from streams.engine.batch import RecordBatch
    from streams.native.translating import Translator

    _Columns = tuple[Values, Values | None, Values, Ints, Ints]

LEFT, IGNORED, SENT = range(3)
"""What the compiled part makes of a record."""


@dataclass(frozen=True, slots=True)
class Whole:
    """What became of a batch, or of its records before the first that waits."""

    outcomes: Counter[str]
    types: Counter[str]
    """How many events of each type there are."""
    keys: Texts
    values: Texts
    size: int
    """The bytes of both, about."""
    rejected: list[tuple[Record, RejectedError]]
    stop: int | None
    """Index of the record that waits, None where none does."""
    needs: str | None
    """The schema that it waits for."""


@dataclass(slots=True)
class _Piece:
    """Events of some rows of a batch, in their order."""

    rows: Ints
    types: Ints
    keys: Texts
    values: Texts


def translate_whole(translation: Translation, batch: RecordBatch, changes: Changes, now_ms: int) -> Whole:
    """Return what becomes of a batch; `changes` are of its partition, `now_ms` is when the events are sent."""
    work = _Work(translation, batch, changes)
    work.run()
    return work.whole(now_ms)


class _Work:
    """One batch on its way."""

    def __init__(self, translation: Translation, batch: RecordBatch, changes: Changes) -> None:
        self._translation = translation
        self._batch = batch
        self._changes = changes
        self._types = translation.source.fact.types
        self.pieces: list[_Piece] = []
        self.ignored = np.zeros(len(batch), dtype=np.bool_)
        self.rejected: dict[int, RejectedError] = {}
        self.size = 0
        self._first_compiled = len(batch)
        """The first record that the compiled part has sent or ignored."""
        self.stop: int | None = None
        self.needs: str | None = None

    def run(self) -> None:
        """Make the pieces."""
        left = np.arange(len(self._batch))
        known: set[bytes] = set()
        columns = self._columns()
        while len(left):
            for frame, translator in [*self._translation.translators.items()]:
                if columns is not None and frame not in known and len(left):
                    left = self._compiled(translator, columns, left)
            known = set(self._translation.translators)
            left = self._by_rules(left, known)

    def _columns(self) -> _Columns | None:
        """Return values, headers, keys, offsets and times as the compiled part takes them; None where it shall not."""
        batch, source = self._batch, self._translation.source
        headers = batch.headers
        if not TRANSLATES:
            return None
        places = headers if isinstance(headers, Values) else None
        if len(headers) and places is None:
            return None
        if source.takes_snapshots and not self._changes.is_past_snapshot:
            return None  # what a snapshot's row is hangs on the rows before it
        values, keys = (
            found if isinstance(found, Values) else Values.of(found) for found in (batch.values, batch.keys)
        )
        offsets, times = np.asarray(batch.offsets, dtype=np.int64), np.asarray(batch.record_times_ms, dtype=np.int64)
        return values, places, keys, offsets, times

    def _compiled(
        self, translator: Translator, columns: tuple[Values, Values | None, Values, Ints, Ints], left: Ints
    ) -> Ints:
        values, headers, keys, offsets, times = columns
        if len(left) < len(values):
            values, keys, offsets, times = values.taken(left), keys.taken(left), offsets[left], times[left]
            headers = headers.taken(left) if headers is not None else None
        partition = self._batch.partition
        outcomes, types, keys, values = translator.translate(values, headers, keys, offsets, times, partition)
        is_sent = outcomes == SENT
        self.pieces.append(_Piece(left[is_sent], types[is_sent], keys, values))
        self.ignored[left[outcomes == IGNORED]] = True
        self.size += translator.used
        done = left[outcomes != LEFT]
        self._first_compiled = min(self._first_compiled, int(done[0]) if len(done) else self._first_compiled)
        still: Ints = left[outcomes == LEFT]
        return still

    def _by_rules(self, left: Ints, known: set[bytes]) -> Ints:
        """Translate records one by one, up to the first whose schema has brought a translator; return what is left."""
        rows: list[int] = []
        types: list[int] = []
        keys: list[bytes] = []
        values: list[bytes] = []
        done = 0
        for row in left.tolist():
            try:
                result = self._translation.outcome(self.record(row), self._changes)
            except NeedsSchemaError as error:
                self.stop, self.needs, done = row, error.schema, len(left)
                break
            done += 1
            if result.outcome is Outcome.IGNORED:
                self.ignored[row] = True
            elif result.rejection is not None:
                self.rejected[row] = result.rejection
            for event in result.events:
                rows.append(row)
                types.append(self._types.index(event.fields["type"]))
                keys.append(event.key)
                values.append(event.value)
                self.size += len(event.key) + len(event.value)
            if len(self._translation.translators) > len(known):
                break
        if rows:
            self.pieces.append(_Piece(np.array(rows), np.array(types), keys, values))
        return left[done:]

    def record(self, row: int) -> Record:
        """Return a record of the batch."""
        batch = self._batch
        headers = read_headers(batch.headers[row]) if len(batch.headers) else ()
        time_ms = int(batch.record_times_ms[row])
        return Record(
            batch.topic, batch.partition, batch.offsets[row], time_ms, batch.keys[row], batch.values[row], headers
        )

    def whole(self, now_ms: int) -> Whole:
        """Admit the events and return what became of the batch."""
        count = len(self._batch) if self.stop is None else self.stop
        found = _joined(self.pieces)
        if self.stop is not None:
            found = _only(found, found.rows < count)
        refused = self._translation.refused(found.values, now_ms)
        for index, rejection in refused:
            self.rejected.setdefault(int(found.rows[index]), rejection)
        if refused:
            found = _only(found, ~np.isin(found.rows, list(self.rejected)))
        ignored = int(np.count_nonzero(self.ignored[:count]))
        types = np.bincount(found.types, minlength=len(self._types)).tolist()
        sent = count - ignored - len(self.rejected)
        if self._translation.source.whens and self._first_compiled < count:
            self._changes.is_past_snapshot = True  # a snapshot's row is never compiled
        return Whole(
            Counter({Outcome.SENT: sent, Outcome.IGNORED: ignored, Outcome.REJECTED: len(self.rejected)}),
            Counter({name: number for name, number in zip(self._types, types, strict=True) if number}),
            found.keys,
            found.values,
            self.size,
            [(self.record(row), self.rejected[row]) for row in sorted(self.rejected)],
            self.stop,
            self.needs,
        )


def _places(texts: Texts) -> Values:
    return texts if isinstance(texts, Values) else Values.of(texts)


def _joined(pieces: Sequence[_Piece]) -> _Piece:
    """Return the pieces as one, in the order of their rows."""
    pieces = [piece for piece in pieces if len(piece.rows)]
    if not pieces:
        return _Piece(np.empty(0, dtype=np.int64), np.empty(0, dtype=np.int64), (), ())
    if len(pieces) == 1:
        return pieces[0]
    rows = np.concatenate([piece.rows for piece in pieces])
    types = np.concatenate([piece.types for piece in pieces])
    order = np.argsort(rows, kind="stable")
    keys = taken(joined([piece.keys for piece in pieces]), order)
    return _Piece(rows[order], types[order], keys, taken(joined([piece.values for piece in pieces]), order))


def _only(piece: _Piece, mask: Bools) -> _Piece:
    kept = np.flatnonzero(mask)
    return _Piece(piece.rows[kept], piece.types[kept], taken(piece.keys, kept), taken(piece.values, kept))
