"""The ledger of one partition: windowed totals of all its topics, and what became of every record.

Pure and deterministic, no clock and no IO: the same records in the same order per topic give the same ledger,
however they are cut into batches and whatever the order between topics.
"""

from __future__ import annotations

from collections import Counter
from dataclasses import dataclass, field
from enum import StrEnum
from functools import cache
from typing import TYPE_CHECKING

import numpy as np

from streams.domain.cells import FOLD_LIMIT_EVENTS, CellTable, Places, places_of
from streams.domain.decoding import Decoder
from streams.domain.duplicates import SeenIds
from streams.domain.facts import ABSENT
from streams.domain.limits import DEDUP_BUCKET_MS, WATERMARK_LAG_MS
from streams.domain.pages import LATE
from streams.domain.rollups import NONE
from streams.domain.sketches import SketchTable
from streams.domain.texts import Coded, hash_texts
from streams.native import IS_BUILT

if TYPE_CHECKING:
    from collections.abc import Iterable, Mapping, Sequence

    from streams.domain.columns import Columns
    from streams.domain.declarations import Declarations
    from streams.domain.facts import Derived
    from streams.domain.festivals import Festival
    from streams.domain.rejections import Rejection
    from streams.domain.rollups import Measure, Rollup, Window
    from streams.domain.texts import Bools, Hashes, Ints

BATCH_LIMIT_RECORDS = 8_000 if IS_BUILT else 2_000
"""Larger batches are applied in parts: what they decode to should fit into a core's cache.

With columns alone 2,000 cost a third more each than 8,000; with an object per event 5,000 a third more than 2,000.
"""
assert BATCH_LIMIT_RECORDS <= FOLD_LIMIT_EVENTS


class Outcome(StrEnum):
    """What became of a record: exactly one of these."""

    REJECTED = "rejected"
    DUPLICATE = "duplicate"
    COUNTED = "counted"
    EXPIRED = "expired"
    OUTSIDE = "outside"


@dataclass
class TopicState:
    """What the ledger remembers of one topic besides totals."""

    seen: SeenIds
    stream_time_ms: int | None = None
    """Largest record time so far."""
    max_event_time_ms: int | None = None
    """Largest event time of valid records so far."""
    outcomes: Counter[str] = field(default_factory=Counter)
    rejected: Counter[str] = field(default_factory=Counter)


class _Selection:
    """The events of one batch that one festival counts, with their columns coded once for all rollups."""

    def __init__(self, columns: Columns, offsets_ms: Ints, derived: Mapping[str, Derived]) -> None:
        self._columns = columns
        self._derived = derived
        self.offsets_ms = offsets_ms
        """Festival time of each since the festival's start."""
        self._with_currency: dict[str, _Selection] = {}
        self._of_type: dict[tuple[str, ...], Ints] = {}
        self._added: dict[str, Ints | None] = {}
        self._places: dict[Window, Places | None] = {}

    def coded(self, name: str) -> Coded:
        """Return a text column, or a derived one, as codes."""
        if name in self._columns.texts:
            return self._columns.texts[name]
        return self._derive(self._derived[name])

    def _derive(self, derived: Derived) -> Coded:
        numbers = self._columns.numbers
        since, until = numbers[derived.since], numbers[derived.until]
        is_known = (since != ABSENT) & (self._are(derived.types) > 0)
        units = np.where(is_known, np.minimum((until - since) // derived.unit_ms, derived.most + 1), ABSENT)
        return Coded(units - ABSENT, _vocabulary(derived))

    def hashes_of(self, name: str, types: tuple[str, ...]) -> Hashes:
        """Return the hashes of a text column's different texts, in the events of some types; some may come again."""
        is_of_type = self._are(types).astype(np.bool_)
        if name in self._columns.hashes:
            return self._columns.hashes[name][is_of_type]
        return hash_texts(self._columns.texts[name].only(is_of_type).appearing())

    def with_currency(self, currency: str) -> _Selection:
        """Return the events that have a currency in a field; the others do not enter a rollup of it."""
        coded = self.coded(currency)
        if "" not in coded.texts:
            return self
        if currency not in self._with_currency:
            mask = coded.where("".__ne__)
            self._with_currency[currency] = (
                self if mask.all() else _Selection(self._columns.only(mask), self.offsets_ms[mask], self._derived)
            )
        return self._with_currency[currency]

    def places(self, window: Window) -> Places | None:
        """Return where in time the events fall."""
        if window not in self._places:
            self._places[window] = places_of(window, self.offsets_ms)
        return self._places[window]

    def added(self, measure: Measure) -> Ints | None:
        """Return what each event adds to a measure, None if no event adds anything."""
        if measure.name not in self._added:
            self._added[measure.name] = self._sum(measure)
        return self._added[measure.name]

    def _sum(self, measure: Measure) -> Ints | None:
        is_of_type = self._are(measure.types)
        if not is_of_type.any():
            return None
        numbers = self._columns.numbers
        if measure.if_any:
            is_any = np.zeros(len(is_of_type), dtype=np.bool_)
            for name in measure.if_any:
                is_any |= numbers[name] > 0
            is_of_type = is_of_type * is_any
        if not measure.terms:
            return is_of_type
        total: Ints = sum(sign * numbers[name] for sign, name in measure.terms) * is_of_type
        return total if total.any() else None

    def _are(self, types: tuple[str, ...]) -> Ints:
        """Return 1 for each event of one of `types`, 0 for others."""
        if types not in self._of_type:
            self._of_type[types] = self.coded("type").where(types.__contains__).astype(np.int64)
        return self._of_type[types]


class Ledger:
    """Totals and record outcomes of one partition."""

    def __init__(self, declarations: Declarations) -> None:
        """Start empty."""
        self.declarations = declarations
        self.topics = {topic: TopicState(SeenIds(declarations.dedup_horizon_minutes)) for topic in declarations.topics}
        self._rollups = {
            topic: [rollup for rollup in declarations.rollups if rollup.fact == topic] for topic in declarations.topics
        }
        self._distincts = {
            topic: [distinct for distinct in declarations.distincts if distinct.fact == topic]
            for topic in declarations.topics
        }
        self._decoders = {
            topic: Decoder(
                declarations.facts[topic],
                coded=_texts_read(self._rollups[topic]) - declarations.derived.keys(),
                hashed=["event_id", *(distinct.field for distinct in self._distincts[topic])],
            )
            for topic in self.topics
        }
        self.tables: dict[tuple[str, str], CellTable] = {
            (festival.id, rollup.name): CellTable(rollup, festival.end_ms - festival.start_ms)
            for festival in declarations.festivals.values()
            for rollup in declarations.rollups
            if rollup.fact in festival.facts
        }
        self.sketches = {
            (festival.id, distinct.name): SketchTable()
            for festival in declarations.festivals.values()
            for distinct in declarations.distincts
            if distinct.fact in festival.facts and distinct.fact in declarations.topics
        }

    @property
    def paged(self) -> dict[tuple[str, str], CellTable | SketchTable]:
        """Return all that is kept in pages, by festival and name."""
        return {**self.tables, **self.sketches}

    def apply(
        self, topic: str, values: Sequence[bytes | None], record_times_ms: Sequence[int] | Ints
    ) -> list[tuple[int, Rejection]]:
        """Count records of one topic, in log order; return (index, rejection) of those set aside."""
        rejections: list[tuple[int, Rejection]] = []
        for first in range(0, len(values), BATCH_LIMIT_RECORDS):
            part = slice(first, first + BATCH_LIMIT_RECORDS)
            rejected = self._apply(topic, values[part], record_times_ms[part])
            rejections += [(first + index, rejection) for index, rejection in rejected]
        return rejections

    def _apply(
        self, topic: str, values: Sequence[bytes | None], record_times_ms: Sequence[int] | Ints
    ) -> list[tuple[int, Rejection]]:
        state = self.topics[topic]
        columns, rejections = self._decoders[topic].decode(values, record_times_ms)
        state.outcomes[Outcome.REJECTED] += len(rejections)
        state.rejected.update(rejection.reason for _, rejection in rejections)
        stream_times_ms = _running_maximum(np.asarray(record_times_ms, dtype=np.int64), state.stream_time_ms)
        state.stream_time_ms = int(stream_times_ms[-1])
        if not len(columns):
            return rejections
        is_duplicate = self._duplicates(state, columns, stream_times_ms[columns.indexes])
        self._count_late(state, columns.numbers["ts"], is_duplicate)
        if is_duplicate is not None:
            state.outcomes[Outcome.DUPLICATE] += int(is_duplicate.sum())
            columns = columns.only(~is_duplicate)
        self._fold(topic, columns)
        return rejections

    @staticmethod
    def _duplicates(state: TopicState, columns: Columns, stream_times_ms: Ints) -> Bools | None:
        """Return which events are duplicates, None if none is; remember all of them."""
        hashes = columns.hashes["event_id"]
        minutes = stream_times_ms // DEDUP_BUCKET_MS
        first, last = int(minutes[0]), int(minutes[-1])
        if first == last:
            return state.seen.sight(first, hashes)
        is_duplicate = np.zeros(len(hashes), dtype=np.bool_)
        starts = np.flatnonzero(np.diff(minutes, prepend=first - 1))
        for start, end in zip(starts.tolist(), [*starts[1:].tolist(), len(hashes)], strict=True):
            found = state.seen.sight(int(minutes[start]), hashes[start:end])
            if found is not None:
                is_duplicate[start:end] = found
        return is_duplicate if is_duplicate.any() else None

    @staticmethod
    def _count_late(state: TopicState, event_times_ms: Ints, is_duplicate: Bools | None) -> None:
        """Count events older than the watermark of the valid records before them."""
        newest_ms = _running_maximum(event_times_ms, state.max_event_time_ms)
        earlier = np.empty_like(newest_ms)
        earlier[1:] = newest_ms[:-1]
        earlier[0] = event_times_ms[0] if state.max_event_time_ms is None else state.max_event_time_ms
        is_late = event_times_ms < earlier - WATERMARK_LAG_MS
        if is_duplicate is not None:
            is_late &= ~is_duplicate
        state.outcomes[LATE] += int(is_late.sum())
        state.max_event_time_ms = int(newest_ms[-1])

    def _fold(self, topic: str, columns: Columns) -> None:
        """Add events to every festival they belong to, and count their outcomes."""
        outcomes = self.topics[topic].outcomes
        event_times_ms, ordered_ms = columns.numbers["ts"], columns.numbers["ordered_ts"]
        times_ms = np.where(ordered_ms == ABSENT, event_times_ms, ordered_ms)
        is_counted = np.zeros(len(columns), dtype=np.bool_)
        is_expired = np.zeros(len(columns), dtype=np.bool_)
        for festival in self.declarations.festivals.values():
            if topic not in festival.facts:
                continue
            belongs = (times_ms >= festival.start_ms) & (times_ms < festival.end_ms)
            if not belongs.any():
                continue
            is_settled = event_times_ms > festival.end_ms + self.declarations.settle_ms
            is_expired |= belongs & is_settled
            chosen = belongs & ~is_settled
            if chosen.any():
                is_counted |= chosen
                self._fold_festival(festival, topic, columns.only(chosen), times_ms[chosen])
        counted, expired = int(is_counted.sum()), int((is_expired & ~is_counted).sum())
        outcomes[Outcome.COUNTED] += counted
        outcomes[Outcome.EXPIRED] += expired
        outcomes[Outcome.OUTSIDE] += len(columns) - counted - expired

    def _fold_festival(self, festival: Festival, topic: str, columns: Columns, times_ms: Ints) -> None:
        everything = _Selection(columns, times_ms - festival.start_ms, self.declarations.derived)
        for distinct in self._distincts[topic]:
            self.sketches[festival.id, distinct.name].fold(everything.hashes_of(distinct.field, distinct.types))
        for rollup in self._rollups[topic]:
            selection = everything if rollup.currency is None else everything.with_currency(rollup.currency)
            self._fold_rollup(self.tables[festival.id, rollup.name], rollup, selection)

    @staticmethod
    def _fold_rollup(table: CellTable, rollup: Rollup, selection: _Selection) -> None:
        count = len(selection.offsets_ms)
        if not count:
            return
        sums = {index: selection.added(measure) for index, measure in enumerate(rollup.measures)}
        table.fold(
            count,
            {index: added for index, added in sums.items() if added is not None},
            values=None if rollup.dimension is None else selection.coded(rollup.dimension),
            currencies=None if rollup.currency is None else selection.coded(rollup.currency),
            places=selection.places(rollup.window),
        )


def _texts_read(rollups: Iterable[Rollup]) -> set[str]:
    """Return the dimensions and currencies that rollups read."""
    return {name for rollup in rollups for name in (rollup.dimension, rollup.currency) if name is not None}


@cache
def _vocabulary(derived: Derived) -> tuple[str, ...]:
    """Return the texts of a derived dimension: of units from `ABSENT` upwards."""
    return NONE, *(derived.text(units) for units in range(ABSENT + 1, derived.most + 2))


def _running_maximum(values: Ints, before: int | None) -> Ints:
    """Return the largest of `before` and the values up to each place."""
    largest: Ints = np.maximum.accumulate(values)
    return largest if before is None else np.maximum(largest, before)
