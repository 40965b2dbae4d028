"""Parcels and boxes of a replay, counted by every dimension: for the tally."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

import numpy as np

from streams.domain.rollups import NONE
from streams.replay import catalogue
from streams.replay.timeline import DAY_MS, Kind

if TYPE_CHECKING:
    from collections.abc import Sequence

    from streams.domain.curves import Int64s
    from streams.replay.catalogue import Catalogue
    from streams.replay.drawn_events import Events

PARCEL_COUNTS = ("shipped", "cleared", "delivered")
RECYCLING_COUNTS = ("boxes", "scans", "points")
STATION_DIMENSIONS = ("station", "operator", "city", "district", "flash")
_KINDS = (Kind.SHIPPED, Kind.CLEARED, Kind.DELIVERED)
_LONGEST_DAYS = 60


class FulfilmentCounts:
    """Parcels and boxes of one festival."""

    def __init__(self, sold: Catalogue) -> None:
        """Begin with none of what is sold."""
        self._names = {"market": sold.markets.names, "carrier": sold.carriers.names, "origin": sold.origins.names}
        self._parcels = {name: np.zeros((len(_KINDS), len(of)), np.int64) for name, of in self._names.items()}
        self._days = np.zeros(_LONGEST_DAYS + 2, np.int64)
        self._stations = np.zeros((len(RECYCLING_COUNTS), catalogue.STATIONS), np.int64)

    def add_parcels(self, events: Events, rows: Int64s) -> None:
        """Count valid records of `parcels`."""
        kinds = events.kinds[rows]
        indices = {"market": events.markets, "carrier": events.carriers, "origin": events.origins}
        for position, kind in enumerate(_KINDS):
            chosen = rows[kinds == kind]
            for name, counts in self._parcels.items():
                np.add.at(counts[position], indices[name][chosen], 1)
        delivered = rows[kinds == Kind.DELIVERED]
        days = (events.event_times_ms[delivered] - events.shipped_ms[delivered]) // DAY_MS
        np.add.at(self._days, np.minimum(days, _LONGEST_DAYS + 1), 1)

    def add_boxes(self, events: Events, rows: Int64s) -> None:
        """Count valid records of `recycling`."""
        boxes = events.boxes[rows]
        for position, added in enumerate((boxes, np.ones_like(boxes), boxes * catalogue.POINTS_PER_BOX)):
            np.add.at(self._stations[position], events.stations[rows], added)

    def totals(self) -> dict[str, Any]:
        """Return `parcels` and `recycling` of the festival."""
        parcels = self._parcels["market"].sum(axis=1).tolist()
        boxes = self._stations.sum(axis=1).tolist()
        return {
            "parcels": dict(zip(PARCEL_COUNTS, parcels, strict=True)) if any(parcels) else {},
            "recycling": dict(zip(RECYCLING_COUNTS, boxes, strict=True)) if any(boxes) else {},
        }

    def rows(self, dimension: str) -> dict[str, dict[str, Any]]:
        """Return the rows of a dimension, without those of nothing; none where it is not ours."""
        if dimension == "transit_days":
            return self._transit()
        if dimension in STATION_DIMENSIONS:
            boxes = _summed(catalogue.of_stations(dimension), RECYCLING_COUNTS, self._stations)
            return {value: {"recycling": row} for value, row in boxes.items()}
        if dimension in self._parcels:
            rows = _summed(self._names[dimension], PARCEL_COUNTS, self._parcels[dimension])
            return {value: {"parcels": row} for value, row in rows.items()}
        return {}

    def _transit(self) -> dict[str, dict[str, Any]]:
        others = int(self._parcels["market"][:2].sum())
        names = [*map(str, range(_LONGEST_DAYS + 1)), f"{_LONGEST_DAYS + 1}+"]
        rows = {name: count for name, count in zip(names, self._days.tolist(), strict=True) if count}
        found: dict[str, dict[str, Any]] = {name: {"parcels": {"delivered": count}} for name, count in rows.items()}
        # Events that are no delivery have no transit time, and add nothing to its rollup.
        return found | ({NONE: {"parcels": {"delivered": 0}}} if others else {})


def _summed(values: Sequence[str], names: Sequence[str], cells: Int64s) -> dict[str, dict[str, int]]:
    rows: dict[str, list[int]] = {}
    for value, column in zip(values, cells.T.tolist(), strict=True):
        before = rows.get(value, [0] * len(names))
        rows[value] = [a + b for a, b in zip(before, column, strict=True)]
    return {value: dict(zip(names, row, strict=True)) for value, row in rows.items() if any(row)}
