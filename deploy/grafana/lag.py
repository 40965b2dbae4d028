"""The dashboard *Kafka lag*: what waits on the topics, and for how long."""

from __future__ import annotations

from dataclasses import replace
from typing import TYPE_CHECKING, Any

from deploy.grafana.health import KAFKA_ANSWERED
from deploy.grafana.panels import AMBER, RED, Panel, Query, lines_panel, placed, stat_panel

if TYPE_CHECKING:
    from grafana_foundation_sdk.cog.builder import Builder

TITLE = "Kafka lag"
UID = "kafka-lag"


NUMBERS = (
    Panel(
        "Records waiting",
        "On all topics, as the owners of the partitions see them. The number itself is no alarm: its growth is.",
        "short",
        (Query("cluster:streams_lag_records:sum"),),
        ("StreamsLagGrowing",),
        6,
        5,
    ),
    Panel(
        "Worked off in",
        "What the records waiting take at the present pace, on the slowest topic.",
        "s",
        (Query("max(topic:streams_lag_seconds:ratio >= 0)"),),
        ("StreamsLagGrowing",),
        6,
        5,
        limits=((30.0, AMBER), (300.0, RED)),
        decimals=1,
    ),
    Panel(
        "Newest record",
        "Age of the newest committed record. In a quiet hour it grows, and nothing is wrong.",
        "s",
        (Query("cluster:committed_age_seconds:min"),),
        ("FestivalTotalStalled",),
        6,
        5,
        decimals=1,
    ),
    replace(KAFKA_ANSWERED, width=6, height=5),
)
TOPICS = (
    Panel(
        "Lag by topic",
        "Records between the committed position and the end.",
        "short",
        (Query("topic:streams_lag_records:sum", "{{topic}}"),),
        ("StreamsLagGrowing",),
        12,
        8,
        is_stacked=True,
    ),
    Panel(
        "Counted per second",
        "By topic: lag grows where this is below what producers send.",
        "recps",
        (Query("topic:streams_events:rate1m", "{{topic}}"),),
        ("StreamsLagGrowing",),
        12,
        8,
    ),
)
PARTITIONS = (
    Panel(
        "Lag by partition",
        "The twenty largest. One that grows alone: look at its owner, or at the key producers use.",
        "short",
        (Query("topk(20, topic_partition:streams_lag_records:max)", "{{topic}} {{partition}}"),),
        ("FestivalTotalStalled", "StreamsPartitionUnowned"),
        12,
        8,
    ),
    Panel(
        "Positions per second",
        "How fast each partition's committed position moves; flat with lag means stalled.",
        "recps",
        (Query("deriv(topic_partition:streams_position:max[$__rate_interval])", "{{topic}} {{partition}}"),),
        ("FestivalTotalStalled", "StreamsPartitionHeld"),
        12,
        8,
    ),
)


def panels() -> list[Builder[Any]]:
    """Return all panels, placed."""
    numbers = [(panel, stat_panel(panel)) for panel in NUMBERS]
    charts = [[(panel, lines_panel(panel)) for panel in row] for row in (TOPICS, PARTITIONS)]
    return placed([numbers, *charts])
