"""What the settings of each topic must be, and what is to say of one that is otherwise: no IO.

`streams.kafka.cluster.topics` creates and checks by it, `streams.kafka.cluster.watch` looks again while a worker runs.
"""

from __future__ import annotations

from dataclasses import dataclass, field
from typing import TYPE_CHECKING, NamedTuple

from streams.configuration import DAY_MS
from streams.engine.topic_names import (
    AUDITS,
    BRIDGE,
    BRIDGE_REJECTED,
    IMPORTS,
    LEDGER,
    SEEN,
    SOURCES,
    TOTALS,
    rejected_topic,
)

if TYPE_CHECKING:
    from collections.abc import Iterator, Mapping

    from streams.settings import Settings

RETENTION_MARGIN_MS = 5 * DAY_MS
"""What sources keep beyond `settle`: time to mend a worker that stood still before its input is deleted."""
COMPACTION_LAG_MS = 60_000
"""For a minute a live reader sees every checkpoint as it was written, not mixed with later ones by compaction. Whoever
takes a partition over, or starts to follow, reads what is not compacted: 50 MB for each minute of 30,000 orders/s."""
SEGMENT_MS = 60_000
"""Kafka never compacts the segment it writes to."""
SEGMENT_BYTES = 64 * 1024 * 1024
"""At Kafka's default a restore would read up to 1 GB of old pages."""
UNLIMITED = -1
"""How Kafka writes a retention without end."""


@dataclass(frozen=True, slots=True)
class Spec:
    """What one topic must be like: settings it is created with, and those that are checked."""

    name: str
    created_with: Mapping[str, str]
    exact: Mapping[str, str]
    at_least: Mapping[str, int]
    """Lower bounds, where `UNLIMITED` is above every bound."""
    wished: Mapping[str, str] = field(default_factory=dict)
    """Without these everything is counted, and less is known."""
    partitions: int | None = None
    """How many it is created with; None: as many as the sources have."""


class Deviation(NamedTuple):
    """A setting that is not as it must be."""

    topic: str
    key: str
    text: str
    """With the command that mends it."""
    is_wish: bool


def specs_of(settings: Settings) -> list[Spec]:
    """Return what each topic of these settings must be like."""
    retention_ms = settings.settle_ms + RETENTION_MARGIN_MS
    # Retention by size would delete what retention by time promises to keep; compaction would drop orders of one key.
    source_exact = {"message.timestamp.type": "LogAppendTime", "cleanup.policy": "delete", "retention.bytes": "-1"}
    ledger_exact = {"cleanup.policy": "compact"}
    rejected = {"cleanup.policy": "delete", "retention.ms": str(settings.rejected_retention * DAY_MS)}
    ledger = {
        **ledger_exact,
        "min.compaction.lag.ms": str(COMPACTION_LAG_MS),
        "segment.ms": str(SEGMENT_MS),
        "segment.bytes": str(SEGMENT_BYTES),
    }
    specs = []
    for source in SOURCES:
        bounds = {"retention.ms": retention_ms}
        created_with = source_exact | {"retention.ms": str(retention_ms)}
        specs.append(Spec(settings.prefix + source, created_with, source_exact, bounds))
        # A compacted topic refuses records without a key, and a refused record would fail its checkpoint.
        specs.append(Spec(settings.prefix + rejected_topic(source), rejected, {"cleanup.policy": "delete"}, {}))
    bounds = {"min.compaction.lag.ms": COMPACTION_LAG_MS}
    specs.append(Spec(settings.prefix + SEEN, ledger, ledger_exact, bounds))
    # From the times that the broker gives to its records everybody learns what time it is there.
    timed = {"message.timestamp.type": "LogAppendTime"}
    specs.append(Spec(settings.prefix + LEDGER, ledger | timed, ledger_exact, bounds, timed))
    # Deleted progress would be a file imported twice.
    imports = {**ledger_exact, "segment.bytes": str(SEGMENT_BYTES)}
    specs.append(Spec(settings.prefix + IMPORTS, imports, ledger_exact, {}))
    specs.append(Spec(settings.prefix + AUDITS, ledger_exact, ledger_exact, {}, partitions=1))
    if settings.publish:
        totals = {**ledger_exact, "segment.ms": str(SEGMENT_MS), "segment.bytes": str(SEGMENT_BYTES)}
        specs.append(Spec(settings.prefix + TOTALS, totals, ledger_exact, {}, partitions=1))
    # One partition holds the progress of all bridges; that of a partition is a record every half second.
    progress = {**ledger_exact, "segment.ms": str(SEGMENT_MS), "segment.bytes": str(SEGMENT_BYTES)}
    specs.append(Spec(settings.prefix + BRIDGE, progress, ledger_exact, {}, partitions=1))
    specs.append(Spec(settings.prefix + BRIDGE_REJECTED, rejected, {"cleanup.policy": "delete"}, {}))
    return specs


def deviations(spec: Spec, config: Mapping[str, str], broker: str) -> Iterator[Deviation]:
    """Yield what is to say of the settings that a topic has, the broker's defaults included."""
    wrong = {key: value for key, value in {**spec.exact, **spec.wished}.items() if config.get(key) != value}
    for key, bound in spec.at_least.items():
        value = int(config.get(key, UNLIMITED))
        if value != UNLIMITED and value < bound:
            wrong[key] = str(bound)
    for key, needed in wrong.items():
        text = (
            f"topic {spec.name}: {key} is {config.get(key)}, must be {'at least ' if key in spec.at_least else ''}"
            f"{needed}. Mend it with: kafka-configs.sh --bootstrap-server {broker} --alter --entity-type topics "
            f"--entity-name {spec.name} --add-config {key}={needed}"
        )
        yield Deviation(spec.name, key, text, is_wish=key in spec.wished)
