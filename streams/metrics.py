"""Metrics: the closed catalogue of names, labels and help texts, and where each is read.

Totals are state, not process counters: gauges read from a snapshot of the committed ledger, so they survive restarts
and rebalances, and every worker and board shows the same. What a worker knows of itself comes from its status.

Shown by `streams.web.exposition`; `python -m streams.metrics_page` writes the page `docs/metrics.md`.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator
from dataclasses import dataclass
from enum import StrEnum
from typing import TYPE_CHECKING

from streams.board.answers import gauges
from streams.domain.ledger import Outcome
from streams.domain.rejections import Reason
from streams.engine.standstill import BROKER_AWAY, NOT_ALLOWED
from streams.engine.status import HeldReason, PartitionState

if TYPE_CHECKING:
    from streams.board.answers.gauges import Read, Sample
    from streams.engine.histogram import Histogram
    from streams.engine.status import StatusSnapshot, WorkerStatus

OUTCOMES = tuple(sorted(map(str, Outcome)))


class Kind(StrEnum):
    """Prometheus types in use."""

    GAUGE = "gauge"
    COUNTER = "counter"
    HISTOGRAM = "histogram"


ReadStatus = Callable[["WorkerStatus", "StatusSnapshot"], Iterator["Sample"]]


@dataclass(frozen=True, slots=True)
class Entry:
    """One metric: as the contract names it, and where its samples come from (one of the three readers)."""

    name: str
    labels: tuple[str, ...]
    help: str
    kind: Kind = Kind.GAUGE
    ledger: Read | None = None
    status: ReadStatus | None = None
    histogram: Callable[[StatusSnapshot], Histogram] | None = None


_FESTIVAL = ("festival",)
_CURRENCY = ("festival", "currency")

LEDGER = (
    Entry("festival_orders", _FESTIVAL, "Orders placed.", ledger=gauges.total(lambda totals: totals.orders)),
    Entry(
        "festival_cancelled_orders",
        _FESTIVAL,
        "Orders cancelled.",
        ledger=gauges.total(lambda totals: totals.cancelled),
    ),
    Entry("festival_gross_minor", _CURRENCY, "Gross merchandise value, in minor units.", ledger=gauges.money("gross")),
    Entry(
        "festival_net_minor", _CURRENCY, "Gross less coupons and credits, in minor units.", ledger=gauges.money("net")
    ),
    Entry("festival_coupons_minor", _CURRENCY, "Coupons, in minor units.", ledger=gauges.money("coupons")),
    Entry("festival_paid_minor", _CURRENCY, "Payments captured, in minor units.", ledger=gauges.money("paid")),
    Entry("festival_refunded_minor", _CURRENCY, "Payments refunded, in minor units.", ledger=gauges.money("refunded")),
    Entry(
        "festival_home_gross_minor",
        _FESTIVAL,
        "Gross in the festival's home currency, in its minor units; a lower bound where a rate is missing.",
        ledger=gauges.home_gross,
    ),
    Entry(
        "festival_display_gross_minor",
        _CURRENCY,
        "Gross in the home currency told in a currency that the festival's file displays, in its minor units; a lower "
        "bound where a rate is missing.",
        ledger=gauges.display_gross,
    ),
    Entry(
        "festival_previous_gross_minor",
        _FESTIVAL,
        "Gross of the last edition at the same local time as the watermark, in minor units of the home currency; "
        "absent where it is not known.",
        ledger=gauges.previous_gross,
    ),
    Entry(
        "festival_forecast_gross_minor",
        ("festival", "bound"),
        "Forecast of the final gross from the last edition's curve (low, expected, high), in minor units of the home "
        "currency; absent where that curve is not known, and in the first minutes.",
        ledger=gauges.forecast,
    ),
    Entry(
        "festival_payments",
        ("festival", "method", "outcome"),
        "Payments by method and outcome (captured, failed, refunded).",
        ledger=gauges.payments,
    ),
    Entry(
        "festival_platform_orders",
        ("festival", "platform"),
        "Orders placed, by platform: at most 200 values, the smallest together as __other__.",
        ledger=gauges.orders_by("platform"),
    ),
    Entry(
        "festival_market_orders",
        ("festival", "market"),
        "Orders placed, by the market they ship to: at most 200 values, the smallest together as __other__.",
        ledger=gauges.orders_by("market"),
    ),
    Entry(
        "festival_parcels",
        ("festival", "stage"),
        "Parcels by stage (shipped, cleared, delivered), each with the festival of its order.",
        ledger=gauges.parcels,
    ),
    Entry("festival_boxes", ("festival", "operator"), "Boxes recycled, by operator.", ledger=gauges.recycled("boxes")),
    Entry(
        "festival_green_points",
        ("festival", "operator"),
        "Green-energy points given for recycled boxes, by operator.",
        ledger=gauges.recycled("points"),
    ),
    Entry(
        "festival_peak_orders_per_second",
        _FESTIVAL,
        "Orders placed in the busiest second of event time.",
        ledger=gauges.peak_orders,
    ),
    Entry(
        "festival_peak_timestamp_seconds",
        _FESTIVAL,
        "Start of the busiest second, the first of equals; absent before the first order.",
        ledger=gauges.peak_time,
    ),
    Entry(
        "festival_milestone_timestamp_seconds",
        ("festival", "milestone"),
        "Event time by which the gross in the home currency had reached the milestone (in major units): the end of "
        "the second that crossed it; absent until then. Read with min.",
        ledger=gauges.milestone_times,
    ),
    Entry("festival_start_timestamp_seconds", _FESTIVAL, "First instant of the festival.", ledger=gauges.starts),
    Entry("festival_end_timestamp_seconds", _FESTIVAL, "First instant after the festival.", ledger=gauges.ends),
    Entry(
        "festival_watermark_timestamp_seconds",
        _FESTIVAL,
        "Event time below which all partitions of the festival's topics are taken as complete; absent until every "
        "partition has a committed cursor and an event was seen.",
        ledger=gauges.watermarks,
    ),
    Entry(
        "festival_committed_timestamp_seconds",
        (),
        "Record time of the newest committed record; absent before the first.",
        ledger=gauges.committed_time,
    ),
    Entry(
        "festival_complete",
        _FESTIVAL,
        "1 if every partition that the source topics have now has a committed cursor, none is held by any worker, and "
        "the ledger counts the festival; else 0.",
        ledger=gauges.complete,
    ),
    Entry(
        "festival_ledger_info",
        ("festival", "ledger"),
        "1: the generation of the ledger that is shown. A recount makes another one.",
        ledger=gauges.ledger,
    ),
    Entry(
        "festival_counted_from",
        _FESTIVAL,
        "1 where the count begins later than its log did, as a recount was told to accept (`counted_from` of the "
        "totals); else 0.",
        ledger=gauges.counted_from,
    ),
    Entry(
        "festival_sealed_info",
        ("festival", "sealed"),
        "1: the festival is told out of a sealed file, whose SHA-256 this is. Absent where a ledger is followed.",
        ledger=gauges.sealed,
    ),
    Entry(
        "festival_held_partitions",
        _FESTIVAL,
        "Partitions that stand still because going on would be guessing, of all workers together.",
        ledger=gauges.held_partitions,
    ),
    Entry(
        "festival_open_transactions",
        (),
        "Partitions whose count waits for a producer's transaction that is open for more than 5 s.",
        ledger=gauges.open_transactions,
    ),
    Entry(
        "festival_implausible",
        ("festival", "check"),
        "1 if the total lies outside the bounds in the festival's file (average_order_value, growth), else 0.",
        ledger=gauges.implausible,
    ),
)
"""From the committed ledger, cluster-wide: the same on every worker and board."""


def _events(status: WorkerStatus, now: StatusSnapshot) -> Iterator[Sample]:
    known = {(topic, outcome): 0 for topic in status.topics for outcome in OUTCOMES}
    yield from {**known, **now.outcomes}.items()


def _rejected(status: WorkerStatus, now: StatusSnapshot) -> Iterator[Sample]:
    known = {(topic, str(reason)): 0 for topic in status.topics for reason in Reason}
    yield from {**known, **now.rejected}.items()


def _late(status: WorkerStatus, now: StatusSnapshot) -> Iterator[Sample]:
    for topic, count in {**dict.fromkeys(status.topics, 0), **now.late}.items():
        yield (topic,), count


def _positions(_: WorkerStatus, now: StatusSnapshot) -> Iterator[Sample]:
    for number, partition in now.partitions.items():
        for topic, position in partition.positions.items():
            yield (topic, str(number)), position


def _lag(_: WorkerStatus, now: StatusSnapshot) -> Iterator[Sample]:
    for (topic, number), lag in now.lag_records().items():
        yield (topic, str(number)), lag


def _owners(_: WorkerStatus, now: StatusSnapshot) -> Iterator[Sample]:
    for number in now.partitions:
        yield (str(number),), 1


def _held(_: WorkerStatus, now: StatusSnapshot) -> Iterator[Sample]:
    for number, partition in now.partitions.items():
        for reason in HeldReason:
            is_held = partition.state is PartitionState.HELD and partition.reason is reason
            yield (str(number), str(reason)), int(is_held)


def _waiting(_: WorkerStatus, now: StatusSnapshot) -> Iterator[Sample]:
    for number in now.partitions:
        waits = now.waiting.get(number)
        for reason in (NOT_ALLOWED, BROKER_AWAY):
            yield (str(number), reason), int(waits is not None and waits.reason == reason)


def _throttled(_: WorkerStatus, now: StatusSnapshot) -> Iterator[Sample]:
    for request, seconds in now.throttled.items():
        yield (request,), seconds


def _restore_seconds(_: WorkerStatus, now: StatusSnapshot) -> Iterator[Sample]:
    if now.restore_seconds is not None:
        yield (), now.restore_seconds


def _single(read: Callable[[StatusSnapshot], int]) -> ReadStatus:
    return lambda _, now: iter([((), read(now))])


_TOPIC_PARTITION = ("topic", "partition")
WORKER = (
    Entry(
        "streams_events_total",
        ("topic", "outcome"),
        "Records by outcome, once committed, since this process started.",
        Kind.COUNTER,
        status=_events,
    ),
    Entry("streams_rejected_total", ("topic", "reason"), "Rejected records by reason.", Kind.COUNTER, status=_rejected),
    Entry(
        "streams_late_events_total",
        ("topic",),
        "Events behind their topic-partition's watermark when they came; they are counted.",
        Kind.COUNTER,
        status=_late,
    ),
    Entry("streams_position", _TOPIC_PARTITION, "Committed next offset, of the partitions owned.", status=_positions),
    Entry(
        "streams_lag_records",
        _TOPIC_PARTITION,
        "Records between the committed position and the high watermark, those behind an open transaction included; "
        "never negative.",
        status=_lag,
    ),
    Entry("streams_partition_owner", ("partition",), "1 for each partition this worker owns.", status=_owners),
    Entry(
        "streams_partition_held",
        ("partition", "reason"),
        "1 if the partition stands still because going on would be guessing, else 0.",
        status=_held,
    ),
    Entry(
        "streams_partition_waiting",
        ("partition", "reason"),
        "1 if the partition waits for a right (not_allowed) or Kafka (broker_away), and goes on by itself; else 0.",
        status=_waiting,
    ),
    Entry(
        "streams_throttle_seconds_total",
        ("request",),
        "How long brokers held requests back, for want of quota, as their answers tell: produce, fetch, other.",
        Kind.COUNTER,
        status=_throttled,
    ),
    Entry(
        "streams_event_delay_seconds",
        (),
        "From a record's time on Kafka to its commit in the ledger.",
        Kind.HISTOGRAM,
        histogram=lambda now: now.delay_seconds,
    ),
    Entry(
        "streams_batch_records",
        (),
        "Records per batch handed to the ledger.",
        Kind.HISTOGRAM,
        histogram=lambda now: now.batch_records,
    ),
    Entry(
        "streams_checkpoint_seconds",
        (),
        "Duration of a checkpoint, from its cut to its commit.",
        Kind.HISTOGRAM,
        histogram=lambda now: now.checkpoint_seconds,
    ),
    Entry(
        "streams_checkpoints_total",
        (),
        "Checkpoints committed.",
        Kind.COUNTER,
        status=_single(lambda now: now.checkpoints),
    ),
    Entry(
        "streams_checkpoint_failures_total",
        (),
        "Checkpoints fenced or of unknown outcome.",
        Kind.COUNTER,
        status=_single(lambda now: now.checkpoint_failures),
    ),
    Entry("streams_restore_seconds", (), "Duration of the last restore of a partition.", status=_restore_seconds),
    Entry(
        "streams_rebalances_total",
        (),
        "Rebalances of the consumer group seen by this worker.",
        Kind.COUNTER,
        status=_single(lambda now: now.rebalances),
    ),
)
"""From each worker, about itself."""

BUILD_INFO = Entry("streams_build_info", ("version",), "1, with the version of the program as label.")
COLLECT_SECONDS = Entry("streams_collect_seconds", (), "Time it took to build this page, its text not included.")
COLLECT_FAILURES = Entry(
    "streams_collect_failures_total", ("metric",), "Metrics left out of a page because they failed.", Kind.COUNTER
)
START_TIME = Entry("streams_start_timestamp_seconds", (), "When this process started to serve.")
KAFKA_CONTACT = Entry(
    "streams_kafka_contact_timestamp_seconds",
    (),
    "When Kafka last answered this process, which asks every second; absent before the first answer.",
)
CLOCK_OFFSET = Entry(
    "streams_clock_offset_seconds",
    (),
    "This machine's clock less the broker's, as the newest records of the ledger tell it; absent until one has come.",
)
AUDIT_DIFFERENCE = Entry(
    "streams_audit_difference",
    ("measure",),
    "Largest sum of differences the last audit found in any rollup of the measure, 0 where all agrees. Where the last "
    "one ran on another machine: measure any, how many numbers its verdict says differ. Absent before the first.",
)
AUDIT_TIME = Entry("streams_audit_timestamp_seconds", (), "When that audit ended.")
RESIDENT_MEMORY = Entry(
    "streams_resident_memory_bytes", (), "Memory this process has in RAM; absent where the system does not tell."
)
PROCESS = (
    BUILD_INFO,
    COLLECT_SECONDS,
    COLLECT_FAILURES,
    START_TIME,
    RESIDENT_MEMORY,
    KAFKA_CONTACT,
    CLOCK_OFFSET,
    AUDIT_DIFFERENCE,
    AUDIT_TIME,
)
"""From every process that serves `/metrics`."""
CATALOGUE = (*LEDGER, *WORKER, *PROCESS)
