"""A broker made of lists: takes a replay's steps as acknowledged, so that no Kafka is needed."""

from __future__ import annotations

from dataclasses import dataclass, field
from typing import TYPE_CHECKING

import numpy as np

from streams.native.texts import taken
from streams.replay.drawn_events import columns
from streams.replay.load import FACTS
from streams.replay.rendering import Renderer
from streams.replay.timeline import Timeline
from streams.truth.acknowledged import Acknowledged, Counter

if TYPE_CHECKING:
    from collections.abc import Callable, Collection, Sequence

    from streams.domain.festivals import Festival
    from streams.replay.load import Load
    from streams.truth.tally import Tally

RECORD_TIME_MS = 1_795_000_000_000
DAY_MS = 86_400_000


@dataclass
class Log:
    """What was sent: records per topic and partition, in order."""

    keys: dict[tuple[str, int], list[bytes]] = field(default_factory=dict)
    values: dict[tuple[str, int], list[bytes | None]] = field(default_factory=dict)
    record_times_ms: dict[tuple[str, int], list[int]] = field(default_factory=dict)


def send(
    load: Load,
    festivals: Sequence[Festival],
    *,
    log: Log | None = None,
    partitions: Collection[int] | None = None,
    step_orders: int = 1000,
    record_time_of: Callable[[int], int] = lambda _step: RECORD_TIME_MS,
    settle_ms: int = 30 * DAY_MS,
    after: dict[str, int] | None = None,
) -> tuple[Log, Tally]:
    """Send a load step by step; `record_time_of` gives the record time of a step's number."""
    log = log or Log()
    timeline = Timeline(load, range(load.partitions) if partitions is None else partitions)
    renderer = Renderer(load)
    counter = Counter(load, festivals, settle_ms=settle_ms, dedup_horizon_minutes=10, after=after)
    step = 0
    while not timeline.is_done:
        events = columns(load, timeline.take_orders(step_orders))
        keys = renderer.keys(events)
        values = renderer.values(events)
        batches = []
        for topic, name in enumerate(FACTS):
            for partition in range(load.partitions):
                rows = np.flatnonzero((events.topics == topic) & (events.partitions == partition))
                place = (name, partition)
                offset = len(log.values.setdefault(place, []))
                log.values[place] += taken(values, rows)
                log.keys.setdefault(place, []).extend(key or b"" for key in taken(keys, rows))
                log.record_times_ms.setdefault(place, []).extend([record_time_of(step)] * len(rows))
                if len(rows):
                    batches.append(Acknowledged(topic, partition, rows, offset, record_time_of(step)))
        counter.add(events, batches)
        step += 1
    return log, counter.tally()
