"""The text of `/metrics`: the catalogue of `streams.metrics`, filled from one snapshot and one copy of the status.

A scrape reads copies only: it holds nothing that counting waits for. A metric that cannot be read is left out and
counted in `streams_collect_failures_total`; the others are shown.
"""

from __future__ import annotations

import logging
import time
from collections import Counter
from typing import TYPE_CHECKING

from prometheus_client import CollectorRegistry
from prometheus_client.core import CounterMetricFamily, GaugeMetricFamily, HistogramMetricFamily, Metric
from prometheus_client.exposition import choose_encoder
from prometheus_client.registry import Collector

from streams import __version__
from streams.board import gauges
from streams.engine.status import PartitionState
from streams.metrics import BUILD_INFO, COLLECT_FAILURES, COLLECT_SECONDS, LEDGER, WORKER, Entry, Kind
from streams.web.process import ProcessFacts

if TYPE_CHECKING:
    from collections.abc import Callable, Iterable, Iterator, Mapping

    from streams.board.gauges import Sample, Scene
    from streams.board.view import Snapshot
    from streams.domain.festivals import Festival
    from streams.engine.status import Histogram, StatusSnapshot, WorkerStatus

_log = logging.getLogger("festival.metrics")


class FestivalCollector(Collector):
    """Fills the catalogue at each scrape. May be called from any thread; never raises."""

    def __init__(
        self,
        snapshot: Callable[[], Snapshot],
        festivals: Mapping[str, Festival],
        status: WorkerStatus | None = None,
        process: ProcessFacts | None = None,
    ) -> None:
        """Read from `snapshot` and, in a worker, from its `status`."""
        self._process = process or ProcessFacts()
        self._snapshot = snapshot
        self._festivals = tuple(festivals.values())
        self._status = status
        self._failures: Counter[str] = Counter()

    def describe(self) -> list[Metric]:
        """Return nothing: a registry need not scrape to register this."""
        return []

    def failed(self, name: str, error: Exception) -> None:
        """Note a metric that is left out; told in the log once per metric."""
        if not self._failures[name]:
            _log.error("metric left out", extra={"metric": name, "error": repr(error)}, exc_info=error)
        self._failures[name] += 1

    def collect(self) -> Iterator[Metric]:
        """Return all families, each of one reading of snapshot and status."""
        started = time.perf_counter()
        now = self._status.snapshot() if self._status is not None else None
        held = [n for n, p in now.partitions.items() if p.state is PartitionState.HELD] if now else []
        snapshot = self._snapshot()
        festivals = [snapshot.as_counted(festival) for festival in self._festivals]
        scene = gauges.Scene(snapshot, festivals, held)
        for entry in (*LEDGER, *WORKER):
            try:
                metric = self._family(entry, scene, now)
            except Exception as error:  # noqa: BLE001 - one bad metric must not take the others with it
                self.failed(entry.name, error)
            else:
                if metric is not None:
                    yield metric
        yield family(BUILD_INFO, [((__version__,), 1)])
        for entry, read in self._process.readers():
            try:
                metric = family(entry, read())
            except Exception as error:  # noqa: BLE001 - the same
                self.failed(entry.name, error)
            else:
                yield metric
        yield family(COLLECT_FAILURES, [((name,), count) for name, count in self._failures.items()])
        yield family(COLLECT_SECONDS, [((), time.perf_counter() - started)])

    def _family(self, entry: Entry, scene: Scene, now: StatusSnapshot | None) -> Metric | None:
        if entry.ledger is not None:
            return family(entry, entry.ledger(scene))
        if now is None or self._status is None:
            return None
        if entry.histogram is not None:
            return histogram_family(entry, entry.histogram(now))
        assert entry.status is not None, entry.name
        return family(entry, entry.status(self._status, now))


def family(entry: Entry, samples: Iterable[Sample]) -> Metric:
    """Return a gauge or counter; raises `ValueError` for labels that do not fit or are given twice."""
    kind = CounterMetricFamily if entry.kind is Kind.COUNTER else GaugeMetricFamily
    shown: CounterMetricFamily | GaugeMetricFamily = kind(entry.name, entry.help, labels=entry.labels)
    seen = set()
    for labels, value in samples:
        if len(labels) != len(entry.labels) or labels in seen:
            raise ValueError(f"{entry.name}: labels {labels} do not fit, or are given twice")
        seen.add(labels)
        shown.add_metric(labels, value)
    return shown


def histogram_family(entry: Entry, histogram: Histogram) -> Metric:
    """Return a histogram with cumulative buckets."""
    shown = HistogramMetricFamily(entry.name, entry.help)
    buckets, below = [], 0
    for bound, count in zip((*histogram.bounds, float("inf")), histogram.counts, strict=True):
        below += count
        buckets.append(("+Inf" if bound == float("inf") else str(float(bound)), below))
    shown.add_metric([], buckets, histogram.total)
    return shown


class _Page(CollectorRegistry):
    """Families that were collected already."""

    def __init__(self, families: list[Metric]) -> None:
        super().__init__()
        self._families = families

    def collect(self) -> Iterator[Metric]:
        yield from self._families


def render(collector: FestivalCollector, accept: str) -> tuple[bytes, str]:
    """Return the page and its content type, as the `Accept` header asks (OpenMetrics or text).

    A family that cannot be written as text is left out, as one that cannot be read.
    """
    encode, content_type = choose_encoder(accept)
    families = list(collector.collect())
    try:
        return encode(_Page(families)), content_type
    except Exception:  # noqa: BLE001 - which one it was is found out below
        good = []
        for metric in families:
            try:
                encode(_Page([metric]))
            except Exception as error:  # noqa: BLE001 - the same
                collector.failed(metric.name, error)
            else:
                good.append(metric)
        return encode(_Page(good)), content_type
