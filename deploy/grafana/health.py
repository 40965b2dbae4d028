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
    3,
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
        3,
        4,
    ),
    Panel(
        "Partitions owned",
        "Partition numbers that exactly one worker owns.",
        "short",
        (Query("count(partition:streams_partition_owner:sum == 1) or vector(0)"),),
        ("StreamsPartitionUnowned", "StreamsPartitionOwnedTwice"),
        3,
        4,
    ),
    Panel(
        "Partitions held",
        "Partitions that stand still because going on would be guessing, of all workers together.",
        "short",
        (Query("max(max without (instance, pod) (festival_held_partitions)) or vector(0)"),),
        ("StreamsPartitionHeld",),
        3,
        4,
        limits=((1.0, RED),),
    ),
    Panel(
        "Open transactions",
        "Partitions whose count waits for a transaction that a producer has left open.",
        "short",
        (Query("max(max without (instance, pod) (festival_open_transactions)) or vector(0)"),),
        ("FestivalTotalStalled",),
        3,
        4,
        limits=((1.0, AMBER),),
    ),
    KAFKA_ANSWERED,
    Panel(
        "Stale today",
        "Share of the last 2 h 24 min in which the total was stale; the budget is 1 %.",
        "percentunit",
        (Query("cluster:stale:ratio2h24m"),),
        ("FestivalFreshnessBurnsSlowly", "FestivalFreshnessBurnsFast"),
        3,
        4,
        limits=((0.01, AMBER), (0.06, RED)),
        decimals=2,
    ),
    Panel(
        "Counted from later",
        "Festivals whose count begins later than their log did, as a recount was told to accept.",
        "short",
        (Query("sum(max without (instance, pod) (festival_counted_from)) or vector(0)"),),
        ("StreamsPartitionHeld",),
        3,
        4,
        limits=((1.0, AMBER),),
    ),
    Panel(
        "Last restore",
        "Duration of the last takeover of a partition, the longest of all workers.",
        "s",
        (Query("max(streams_restore_seconds)"),),
        ("StreamsRebalanceStorm",),
        3,
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
        "One line for each process. A metric that it had to leave out is an alert.",
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
WAITS = (
    Panel(
        "Partitions that wait",
        "They go on by themselves, once the right is there (not_allowed) or Kafka answers (broker_away).",
        "short",
        (Query("sum by (reason) (streams_partition_waiting)", "{{reason}}"),),
        ("KafkaUnreachable", "StreamsLagGrowing"),
        12,
        7,
    ),
    Panel(
        "Held back by quotas",
        "Share of the time for which brokers held requests of workers back, by request.",
        "percentunit",
        (Query("sum by (request) (rate(streams_throttle_seconds_total[$__rate_interval]))", "{{request}}"),),
        ("StreamsLagGrowing",),
        12,
        7,
    ),
)
BRIDGES = (
    Panel(
        "Foreign records",
        "Per second and by what became of them. Ignored is what a map declares so: a jump is a renamed status.",
        "recps",
        (Query("topic_outcome:streams_bridge_records:rate5m", "{{topic}} {{outcome}}"),),
        ("StreamsBridgeIgnoredShareJumped", "StreamsBridgeSourceQuiet"),
        8,
        7,
        is_stacked=True,
    ),
    Panel(
        "Foreign records rejected",
        "Per second and by reason; they are kept on festival.bridge.rejected.",
        "recps",
        (
            Query(
                "sum by (topic, reason) (rate(streams_bridge_rejected_total[$__rate_interval]))", "{{topic}} {{reason}}"
            ),
        ),
        ("StreamsBridgeRejectedShareJumped",),
        8,
        7,
    ),
    Panel(
        "Foreign records waiting",
        "Between a bridge's position and the end of its source, by topic. A partition that stands is an alert.",
        "short",
        (Query("topic:streams_bridge_lag_records:sum", "{{topic}}"),),
        ("StreamsBridgePartitionStands", "StreamsBridgeDown"),
        8,
        7,
    ),
)
BRIDGE_WORK = (
    Panel(
        "Events of bridges",
        "Sent per second, by the source's topic and the type of event; and how fast positions move there.",
        "recps",
        (
            Query("sum by (topic, type) (rate(streams_bridge_events_total[$__rate_interval]))", "{{topic}} {{type}}"),
            Query("sum by (topic) (deriv(streams_bridge_position[$__rate_interval]))", "{{topic}}, records behind it"),
        ),
        ("StreamsBridgeIgnoredShareJumped", "StreamsBridgeSourceQuiet"),
        8,
        7,
    ),
    Panel(
        "Delay of bridges",
        "From a record's time on its topic to the commit of what came of it: 99 of 100.",
        "s",
        (
            Query(
                "histogram_quantile(0.99, sum by (le) (rate(streams_bridge_delay_seconds_bucket[$__rate_interval])))",
                "99 of 100",
            ),
        ),
        ("StreamsBridgePartitionStands",),
        8,
        7,
    ),
    Panel(
        "Transactions of bridges, and the registry",
        "Per second. A failed transaction is done again; the registry is asked once for each schema.",
        "cps",
        (
            Query("sum(rate(streams_bridge_transactions_total[$__rate_interval]))", "committed"),
            Query("sum(rate(streams_bridge_transaction_failures_total[$__rate_interval]))", "failed"),
            Query("sum(rate(streams_bridge_registry_requests_total[$__rate_interval]))", "registry asked"),
            Query("sum(rate(streams_bridge_registry_failures_total[$__rate_interval]))", "registry failed"),
        ),
        ("StreamsBridgePartitionStands",),
        8,
        7,
    ),
)


def panels() -> list[Builder[Any]]:
    """Return all panels, placed."""
    numbers = [(panel, stat_panel(panel)) for panel in NUMBERS]
    rows = (EVENTS, DELAYS, CHECKPOINTS, PARTITIONS, WAITS, BRIDGES, BRIDGE_WORK)
    charts = [[(panel, lines_panel(panel)) for panel in row] for row in rows]
    return placed([numbers, *charts])
