"""Parcels and boxes: how they are drawn, and for the tally, counted by every dimension."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

import numpy as np

from streams.domain.rollups import NONE
from streams.replay import catalogue
from streams.replay.draws import Purpose, below, draw
from streams.replay.timeline import DAY_MS, Kind, parcel_delays_ms

if TYPE_CHECKING:
    from collections.abc import Sequence

    from streams.domain.curves import Int64s
    from streams.replay.events import Events
    from streams.replay.load import Load

PARCEL_COUNTS = ("shipped", "cleared", "delivered")
RECYCLING_COUNTS = ("boxes", "scans", "points")
STATION_DIMENSIONS = ("station", "operator", "city", "district", "flash")
PARCEL_DIMENSIONS = ("market", "carrier", "origin", "transit_days")
_KINDS = (Kind.SHIPPED, Kind.CLEARED, Kind.DELIVERED)
_SIZES = {"market": len(catalogue.MARKETS), "carrier": len(catalogue.CARRIERS), "origin": len(catalogue.ORIGINS)}
_LONGEST_DAYS = 60


def parcel_columns(load: Load, numbers: Int64s, ordered_ms: Int64s) -> dict[str, Int64s]:
    """Return what events of `parcels` hold beside their order's: carrier, origin, when they left."""
    nothing = np.zeros(len(numbers), dtype=np.int64)
    if "parcels" not in load.facts:
        return {"carriers": nothing, "origins": nothing, "shipped_ms": nothing}
    return {
        "carriers": below(draw(load.seed, Purpose.PARCEL, numbers, variant=3), len(catalogue.CARRIERS)),
        "origins": np.full(len(numbers), int(load.is_epass), dtype=np.int64),
        "shipped_ms": ordered_ms + parcel_delays_ms(load, numbers)[0],
    }


def box_columns(load: Load, numbers: Int64s) -> dict[str, Int64s]:
    """Return what events of `recycling` hold: the station, and how many boxes."""
    if "recycling" not in load.facts:
        nothing = np.zeros(len(numbers), dtype=np.int64)
        return {"stations": nothing, "boxes": nothing}
    bits = draw(load.seed, Purpose.BOX, numbers)
    return {
        "stations": below(bits, catalogue.STATIONS),
        "boxes": 1 + (bits & np.uint64(0xFFFF)).astype(np.int64) % catalogue.BOXES_LIMIT,
    }


class Ways:
    """Parcels and boxes of one festival."""

    def __init__(self) -> None:
        """Begin with none."""
        self._parcels = {name: np.zeros((len(_KINDS), size), np.int64) for name, size in _SIZES.items()}
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
            values = {"market": catalogue.MARKETS, "carrier": catalogue.CARRIERS, "origin": catalogue.ORIGINS}
            rows = _summed(values[dimension], PARCEL_COUNTS, self._parcels[dimension])
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
