"""A second, plain counter: one event at a time, dictionaries and Python integers, no windows arithmetic shared.

It takes the events that the decoder admitted, so what it proves is everything after decoding.
"""

from __future__ import annotations

import json
from collections import Counter, defaultdict
from dataclasses import dataclass, field
from typing import TYPE_CHECKING, Any

from streams.domain.rollups import NONE, OTHER, Window

if TYPE_CHECKING:
    from collections.abc import Sequence

    from streams.domain.declarations import Declarations
    from streams.domain.rollups import Measure, Rollup

Cell = tuple[str, str, int, tuple[str, ...], str]
"""Festival, rollup, start of the window in ms since the festival's start, group, measure."""


@dataclass
class Oracle:
    """Counts records of one partition."""

    declarations: Declarations
    cells: Counter[Cell] = field(default_factory=Counter)
    outcomes: defaultdict[str, Counter[str]] = field(default_factory=lambda: defaultdict(Counter))
    _latest_sighting: dict[tuple[str, str], int] = field(default_factory=dict)
    _stream_time_ms: dict[str, int] = field(default_factory=dict)
    _newest_event_ms: dict[str, int] = field(default_factory=dict)
    _known: defaultdict[tuple[str, str], set[str]] = field(default_factory=lambda: defaultdict(set))

    def count(self, topic: str, values: Sequence[bytes], record_times_ms: Sequence[int], rejected: set[int]) -> None:
        """Count records of one topic; those at the indexes `rejected` only move stream time."""
        for index, (value, record_time_ms) in enumerate(zip(values, record_times_ms, strict=True)):
            self._stream_time_ms[topic] = max(record_time_ms, self._stream_time_ms.get(topic, 0))
            if index in rejected:
                self.outcomes[topic]["rejected"] += 1
            else:
                self._count_event(topic, json.loads(value))

    def _count_event(self, topic: str, event: dict[str, Any]) -> None:
        minute = self._stream_time_ms[topic] // 60_000
        seen = self._latest_sighting.get((topic, event["event_id"]))
        self._latest_sighting[topic, event["event_id"]] = minute
        newest_ms = self._newest_event_ms.get(topic)
        self._newest_event_ms[topic] = max(event["ts"], newest_ms or 0)
        if seen is not None and minute - seen <= self.declarations.dedup_horizon_minutes:
            self.outcomes[topic]["duplicate"] += 1
            return
        if newest_ms is not None and event["ts"] < newest_ms - 5_000:
            self.outcomes[topic]["late"] += 1
        self.outcomes[topic][self._count_in_festivals(topic, event)] += 1

    def _count_in_festivals(self, topic: str, event: dict[str, Any]) -> str:
        outcome = "outside"
        festival_time_ms = event.get("ordered_ts", event["ts"])
        for festival in self.declarations.festivals.values():
            if topic not in festival.facts or not festival.start_ms <= festival_time_ms < festival.end_ms:
                continue
            if event["ts"] > festival.end_ms + self.declarations.settle_ms:
                outcome = "expired" if outcome == "outside" else outcome
                continue
            outcome = "counted"
            for rollup in self.declarations.rollups:
                if rollup.fact == topic:
                    self._add(festival.id, rollup, festival_time_ms - festival.start_ms, event)
        return outcome

    def _add(self, festival: str, rollup: Rollup, offset_ms: int, event: dict[str, Any]) -> None:
        group: list[str] = []
        if rollup.currency is not None and rollup.currency not in event:
            return
        if rollup.dimension is not None:
            value = _value(rollup.dimension, event)
            known = self._known[festival, rollup.name]
            if value not in known and len(known) >= rollup.limit:
                value = OTHER
            else:
                known.add(value)
            group.append(value)
        if rollup.currency is not None:
            group.append(event[rollup.currency])
        size_ms = {Window.SECOND: 1000, Window.MINUTE: 60_000, Window.FESTIVAL: 10**15}[rollup.window]
        window_ms = offset_ms // size_ms * size_ms
        for measure in rollup.measures:
            self.cells[festival, rollup.name, window_ms, tuple(group), measure.name] += _added(measure, event)

    def nonzero(self) -> dict[Cell, int]:
        """Return all cells that are not 0."""
        return {cell: value for cell, value in self.cells.items() if value}


def _added(measure: Measure, event: dict[str, Any]) -> int:
    if event["type"] not in measure.types:
        return 0
    if measure.if_any and not any(event.get(name, 0) for name in measure.if_any):
        return 0
    return sum(sign * event.get(name, 0) for sign, name in measure.terms) if measure.terms else 1


def _value(dimension: str, event: dict[str, Any]) -> str:
    """Return what an event is counted under: a text, a flag as JSON writes it, or the whole days of its way."""
    if dimension == "transit_days":
        if event["type"] != "parcel_delivered" or "shipped_ts" not in event:
            return NONE
        days = (event["ts"] - event["shipped_ts"]) // 86_400_000
        return str(days) if days <= 60 else "61+"
    value = event.get(dimension, NONE)
    return json.dumps(value) if isinstance(value, bool) else value
