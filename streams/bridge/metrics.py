"""The metrics of a bridge: the closed catalogue, and their samples from one copy of each source's status.

`python -m streams.bridge.metrics` writes the page `docs/bridge-metrics.md`.
"""

from __future__ import annotations

import sys
from typing import TYPE_CHECKING

from prometheus_client import CollectorRegistry
from prometheus_client.exposition import choose_encoder
from prometheus_client.registry import Collector

from streams import __version__
from streams.engine.histogram import Histogram
from streams.metrics import BUILD_INFO, Entry, Kind
from streams.web.exposition import family, histogram_family

if TYPE_CHECKING:
    from collections.abc import Iterator, Sequence

    from prometheus_client.core import Metric

    from streams.bridge.registry import Registry
    from streams.bridge.status import BridgeStatus

_PLACE = ("topic", "partition")
RECORDS = Entry(
    "streams_bridge_records_total",
    ("topic", "outcome"),
    "Records translated and committed, by outcome: sent, ignored, rejected.",
    Kind.COUNTER,
)
REJECTED = Entry(
    "streams_bridge_rejected_total", ("topic", "reason"), "Records set aside, by reason, once committed.", Kind.COUNTER
)
EVENTS = Entry("streams_bridge_events_total", ("topic", "type"), "Events sent, by the source's topic.", Kind.COUNTER)
POSITION = Entry("streams_bridge_position", _PLACE, "Committed next offset of a source's partition that is held here.")
LAG = Entry("streams_bridge_lag_records", _PLACE, "Records between that and the end of the log, never negative.")
HELD = Entry(
    "streams_bridge_partition_held", (*_PLACE, "reason"), "1 for a partition that stands still until somebody acts."
)
WAITING = Entry(
    "streams_bridge_partition_waiting",
    (*_PLACE, "reason"),
    "1 for a partition that waits, and goes on by itself: registry_away, unknown_schema, not_allowed.",
)
DELAY = Entry(
    "streams_bridge_delay_seconds",
    (),
    "From a record's time on its topic to the commit of what came of it, sampled.",
    Kind.HISTOGRAM,
)
TRANSACTIONS = Entry("streams_bridge_transactions_total", (), "Transactions committed.", Kind.COUNTER)
FAILURES = Entry(
    "streams_bridge_transaction_failures_total",
    (),
    "Transactions that were refused, or whose outcome was not known: what was in them is translated again if need be.",
    Kind.COUNTER,
)
REGISTRY_REQUESTS = Entry(
    "streams_bridge_registry_requests_total", (), "Questions to the schema registry.", Kind.COUNTER
)
REGISTRY_FAILURES = Entry(
    "streams_bridge_registry_failures_total", (), "Those that had no answer, or were refused.", Kind.COUNTER
)
CATALOGUE = (
    RECORDS,
    REJECTED,
    EVENTS,
    POSITION,
    LAG,
    HELD,
    WAITING,
    DELAY,
    TRANSACTIONS,
    FAILURES,
    REGISTRY_REQUESTS,
    REGISTRY_FAILURES,
    BUILD_INFO,
)


class BridgeCollector(Collector):
    """Fills the catalogue at each scrape."""

    def __init__(self, statuses: Sequence[BridgeStatus], registry: Registry) -> None:
        """Read from all sources of a bridge."""
        self._statuses = statuses
        self._registry = registry

    def collect(self) -> Iterator[Metric]:
        """Return all families, each source's from one copy."""
        copies = [(status.topics[0], status, status.snapshot()) for status in self._statuses]
        held = [
            ((topic, str(number), str(partition.reason)), 1)
            for topic, _, now in copies
            for number, partition in now.partitions.items()
            if partition.reason is not None
        ]
        waiting = [
            ((topic, str(number), why.reason), 1)
            for topic, status, _ in copies
            for number, why in status.waiting().items()
        ]
        positions = [
            ((topic, str(number)), position)
            for _, _, now in copies
            for number, partition in now.partitions.items()
            for topic, position in partition.positions.items()
        ]
        lags = [((topic, str(n)), lag) for _, _, now in copies for (topic, n), lag in now.lag_records().items()]
        yield family(RECORDS, [(key, count) for _, _, now in copies for key, count in now.outcomes.items()])
        yield family(REJECTED, [(key, count) for _, _, now in copies for key, count in now.rejected.items()])
        yield family(EVENTS, [((topic, kind), n) for topic, status, _ in copies for kind, n in status.events().items()])
        yield family(POSITION, positions)
        yield family(LAG, lags)
        yield family(HELD, held)
        yield family(WAITING, waiting)
        yield histogram_family(DELAY, _sum([now.delay_seconds for _, _, now in copies]))
        yield family(TRANSACTIONS, [((), sum(now.checkpoints for _, _, now in copies))])
        yield family(FAILURES, [((), sum(now.checkpoint_failures for _, _, now in copies))])
        yield family(REGISTRY_REQUESTS, [((), self._registry.requests)])
        yield family(REGISTRY_FAILURES, [((), self._registry.failures)])
        yield family(BUILD_INFO, [((__version__,), 1)])


def _sum(histograms: Sequence[Histogram]) -> Histogram:
    counts = tuple(sum(column) for column in zip(*(one.counts for one in histograms), strict=True))
    return Histogram(histograms[0].bounds, counts, sum(one.total for one in histograms))


def render(collector: BridgeCollector, accept: str) -> tuple[bytes, str]:
    """Return the page and its content type, as the `Accept` header asks."""
    registry = CollectorRegistry(auto_describe=False)
    registry.register(collector)
    encode, content_type = choose_encoder(accept)
    return encode(registry), content_type


def markdown() -> str:
    """Return the page `docs/bridge-metrics.md`."""
    rows = [
        f"| `{entry.name}` | {entry.kind} | {', '.join(f'`{label}`' for label in entry.labels)} | {entry.help} |"
        for entry in CATALOGUE
    ]
    return "\n".join(
        [
            "# Metrics of a bridge",
            "",
            "Written by `python -m streams.bridge.metrics > docs/bridge-metrics.md`; a test compares. Counters",
            "begin at zero with the process.",
            "",
            "| name | type | labels | meaning |",
            "|---|---|---|---|",
            *rows,
            "",
        ]
    )


if __name__ == "__main__":
    sys.stdout.write(markdown())
