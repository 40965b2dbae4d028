"""The dashboard *Streams health*: what the workers do, for whoever is on call."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

from deploy.grafana.panels import AMBER, RED, Panel, Query, lines_panel, placed, stat_panel

if TYPE_CHECKING:
    from grafana_foundation_sdk.cog.builder import Builder

TITLE = "Streams health"
UID = "streams-health"


KAFKA_ANSWERED = Panel(
    "Kafka answered",
    "Age of the last answer from Kafka to any worker.",
    "s",
    (Query("cluster:streams_kafka_contact_age_seconds:min"),),
    ("KafkaUnreachable",),
    4,
    4,
    limits=((15.0, RED),),
    decimals=1,
)
NUMBERS = (
    Panel(
        "Workers up",
        "Workers that answer Prometheus.",
        "short",
        (Query('sum(up{job="festival-worker"})'),),
        ("StreamsWorkerDown",),
        4,
        4,
    ),
    Panel(
        "Partitions owned",
        "Partition numbers that exactly one worker owns.",
        "short",
        (Query("count(partition:streams_partition_owner:sum == 1)"),),
        ("StreamsPartitionUnowned", "StreamsPartitionOwnedTwice"),
        4,
        4,
    ),
    Panel(
        "Partitions held",
        "Partitions that stand still because going on would be guessing.",
        "short",
        (Query("sum(streams_partition_held)"),),
        ("StreamsPartitionHeld",),
        4,
        4,
        limits=((1.0, RED),),
    ),
    KAFKA_ANSWERED,
    Panel(
        "Stale today",
        "Share of the last 2 h 24 min in which the total was stale; the budget is 1 %.",
        "percentunit",
        (Query("cluster:stale:ratio2h24m"),),
        ("FestivalFreshnessBurnsSlowly", "FestivalFreshnessBurnsFast"),
        4,
        4,
        limits=((0.01, AMBER), (0.06, RED)),
        decimals=2,
    ),
    Panel(
        "Last restore",
        "Duration of the last takeover of a partition, the longest of all workers.",
        "s",
        (Query("max(streams_restore_seconds)"),),
        ("StreamsRebalanceStorm",),
        4,
        4,
        decimals=2,
    ),
)
EVENTS = (
    Panel(
        "Throughput",
        "Records counted per second, by topic.",
        "recps",
        (Query("topic:streams_events:rate1m", "{{topic}}"),),
        ("StreamsLagGrowing",),
        8,
        7,
        is_stacked=True,
    ),
    Panel(
        "Outcomes",
        "Records per second by what became of them.",
        "recps",
        (Query("sum without (topic) (topic_outcome:streams_events:rate1m)", "{{outcome}}"),),
        ("FestivalRejectedShareHigh",),
        8,
        7,
    ),
    Panel(
        "Rejected, late",
        "Rejected records by reason, and late ones (which are counted), per second.",
        "recps",
        (
            Query("sum by (reason) (rate(streams_rejected_total[$__rate_interval]))", "{{reason}}"),
            Query("sum(rate(streams_late_events_total[$__rate_interval]))", "late"),
        ),
        ("FestivalRejectedShareHigh",),
        8,
        7,
    ),
)
DELAYS = (
    Panel(
        "Delay",
        "From a record's time on Kafka to its commit, over five minutes.",
        "s",
        (
            Query("cluster:streams_event_delay_seconds:p50_5m", "half of the records"),
            Query("cluster:streams_event_delay_seconds:p99_5m", "99 of 100"),
        ),
        ("FestivalFreshnessBurnsFast",),
        8,
        7,
    ),
    Panel(
        "Records per batch",
        "Mean size of the batches handed to the ledger: large while catching up.",
        "short",
        (
            Query(
                "sum by (instance) (rate(streams_batch_records_sum[$__rate_interval]))"
                " / (sum by (instance) (rate(streams_batch_records_count[$__rate_interval])) > 0)",
                "{{instance}}",
            ),
        ),
        ("StreamsLagGrowing",),
        8,
        7,
    ),
    Panel(
        "Memory",
        "Resident memory of each process.",
        "bytes",
        (Query("streams_resident_memory_bytes", "{{job}} {{instance}}"),),
        ("StreamsRestartLoop",),
        8,
        7,
    ),
)
CHECKPOINTS = (
    Panel(
        "Checkpoints",
        "Duration of 99 of 100 checkpoints, by worker.",
        "s",
        (Query("instance:streams_checkpoint_seconds:p99_1m", "{{instance}}"),),
        ("StreamsCheckpointsSlow",),
        8,
        7,
    ),
    Panel(
        "Checkpoints made and failed",
        "Per second; failed means fenced or of unknown outcome: nothing is lost, it is done again.",
        "cps",
        (
            Query("sum(rate(streams_checkpoints_total[$__rate_interval]))", "committed"),
            Query("sum(rate(streams_checkpoint_failures_total[$__rate_interval]))", "failed"),
        ),
        ("StreamsCheckpointsFailing",),
        8,
        7,
    ),
    Panel(
        "Time to build the metrics page",
        "Of each process. A metric that it had to leave out is an alert.",
        "s",
        (Query("streams_collect_seconds", "{{job}} {{instance}}"),),
        ("StreamsMetricsMissing",),
        8,
        7,
    ),
)
PARTITIONS = (
    Panel(
        "Owners of each partition",
        "One each; none or two for longer than a rebalance is an alert.",
        "short",
        (Query("partition:streams_partition_owner:sum", "partition {{partition}}"),),
        ("StreamsPartitionUnowned", "StreamsPartitionOwnedTwice"),
        8,
        7,
    ),
    Panel(
        "Rebalances and starts",
        "Rebalances seen, and starts of each process, within 15 minutes.",
        "short",
        (
            Query("max(increase(streams_rebalances_total[15m]))", "rebalances"),
            Query("changes(streams_start_timestamp_seconds[15m])", "starts {{instance}}"),
        ),
        ("StreamsRebalanceStorm", "StreamsRestartLoop"),
        8,
        7,
    ),
    Panel(
        "Versions",
        "Processes of each version: two during an upgrade.",
        "short",
        (Query("count by (version) (streams_build_info)", "{{version}}"),),
        ("StreamsRestartLoop",),
        8,
        7,
    ),
)


def panels() -> list[Builder[Any]]:
    """Return all panels, placed."""
    numbers = [(panel, stat_panel(panel)) for panel in NUMBERS]
    charts = [[(panel, lines_panel(panel)) for panel in row] for row in (EVENTS, DELAYS, CHECKPOINTS, PARTITIONS)]
    return placed([numbers, *charts])
