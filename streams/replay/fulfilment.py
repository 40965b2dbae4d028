"""How parcels and boxes of a replay are drawn: carrier, origin, when they left, station, how many."""

from __future__ import annotations

from typing import TYPE_CHECKING

import numpy as np

from streams.replay import catalogue
from streams.replay.draws import Purpose, below, draw
from streams.replay.timeline import chosen, origins_of, parcel_delays_ms

if TYPE_CHECKING:
    from streams.domain.curves import Int64s
    from streams.replay.load import Load


def parcel_columns(load: Load, numbers: Int64s, ordered_ms: Int64s) -> dict[str, Int64s]:
    """Return what events of `parcels` hold beside their order's: carrier, origin, when they left."""
    nothing = np.zeros(len(numbers), dtype=np.int64)
    if "parcels" not in load.facts:
        return {"carriers": nothing, "origins": nothing, "shipped_ms": nothing}
    return {
        "carriers": chosen(load.catalogue.carriers, draw(load.seed, Purpose.PARCEL, numbers, variant=3)),
        "origins": origins_of(load, numbers),
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
