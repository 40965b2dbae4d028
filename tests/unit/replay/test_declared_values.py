"""A replay's events have what a shop has declared, in both ways of writing them, and all of it is valid."""

from __future__ import annotations

from collections import Counter
from typing import Any

import numpy as np
import orjson

from streams.domain.declared import Amount, Declared
from streams.domain.decoding import Decoder
from streams.domain.dimensions import Dimension
from streams.festivals import load_festivals
from streams.native.texts import taken
from streams.replay.drawn_events import columns
from streams.replay.load import FACTS, festival_load
from streams.replay.rendering import Renderer
from streams.replay.timeline import Timeline
from tests.unit.replay.memory import RECORD_TIME_MS

OWN = Declared(
    tuple(Dimension(fact, "channel") for fact in FACTS),
    (Amount("orders", "shipping_minor"), Amount("payments", "fee_minor")),
)


def written(declared: Declared, *, is_compiled: bool) -> dict[str, list[bytes]]:
    """Return the values of a small day by topic."""
    festival = load_festivals()["singles-day-2019"]
    load = festival_load(festival, RECORD_TIME_MS, orders=3_000, partitions=1, facts=tuple(FACTS))
    timeline, renderer = Timeline(load, range(1)), Renderer(load, is_compiled=is_compiled, declared=declared)
    found: dict[str, list[bytes]] = {topic: [] for topic in FACTS}
    while not timeline.is_done:
        events = columns(load, timeline.take_orders(1_000))
        values = renderer.values(events)
        for place, topic in enumerate(FACTS):
            rows = np.flatnonzero(events.topics == place)
            found[topic] += [value for value in taken(values, rows) if value is not None]
    return found


def test_every_event_has_declared_values_by_zipfs_law() -> None:
    values = written(OWN, is_compiled=True)
    assert values == written(OWN, is_compiled=False)
    events: dict[str, list[dict[str, Any]]] = {topic: list(map(orjson.loads, of)) for topic, of in values.items()}
    for topic, of in values.items():
        _, rejections = Decoder(OWN.facts[topic], ("channel",)).decode(of, [RECORD_TIME_MS] * len(of))
        assert not rejections, topic
        assert all(event["channel"].startswith("channel-") for event in events[topic]), topic
    counts = Counter(event["channel"] for event in events["orders"])
    assert len(counts) == 20
    assert 1.7 < counts["channel-1"] / counts["channel-2"] < 2.3
    channels = {event["order_id"]: event["channel"] for event in events["orders"]}
    assert all(channels.get(event["order_id"], event["channel"]) == event["channel"] for event in events["payments"])
    amounts = [event["shipping_minor"] for event in events["orders"]]
    assert 0 <= min(amounts) < 50
    assert 950 < max(amounts) < 1_000
    assert all("fee_minor" in event for event in events["payments"])


def test_nothing_declared_changes_no_byte_of_the_rest() -> None:
    plain = written(Declared(), is_compiled=True)
    for topic, of in written(OWN, is_compiled=True).items():
        stripped = [orjson.loads(value) for value in of]
        for event in stripped:
            for name in ("channel", "shipping_minor", "fee_minor"):
                event.pop(name, None)
        assert stripped == list(map(orjson.loads, plain[topic])), topic
