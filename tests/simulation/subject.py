"""What a simulated day counts: some of the source topics, by second and by one other field each."""

from __future__ import annotations

from functools import cache
from itertools import combinations

from streams.domain.built_in import ROLLUPS
from streams.domain.declarations import Declarations
from streams.engine.topic_names import SOURCES
from tests.simulation.world import RULES
from tests.unit.domain import samples

KEYED = {
    "orders": "orders_by_merchant",
    "payments": "payments_by_merchant",
    "parcels": "parcels_by_carrier",
    "recycling": "recycling_by_station",
}
FESTIVAL = samples.festival("day", RULES.start_ms, 2)
SECOND = "second"
"""A festival of one hour that is declared amid the day."""
COUNTED = (*combinations(SOURCES, 2), tuple(SOURCES))
"""Topics of a day, one seed after the other: each pair, then all of them."""


def by_second(topic: str) -> str:
    """Return the name of the rollup of a topic that tells seconds apart."""
    return f"{topic}_by_second"


@cache
def declared(topics: tuple[str, ...], second_ms: int | None = None) -> Declarations:
    """Return the declarations under which these topics are counted; with a second festival that begins at this time."""
    kept = {name for topic in topics for name in (by_second(topic), KEYED[topic])}
    rollups = tuple(rollup for rollup in ROLLUPS if rollup.name in kept)
    festivals = {"day": FESTIVAL}
    if second_ms is not None:
        festivals[SECOND] = samples.festival(SECOND, second_ms, 1)
    return Declarations(festivals, RULES.settle_ms, RULES.horizon_minutes, rollups)
