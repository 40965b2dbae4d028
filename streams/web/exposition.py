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
from streams.declared_metrics import declared_entries
from streams.domain.declared import Declared
from streams.metrics import BUILD_INFO, COLLECT_FAILURES, COLLECT_SECONDS, LEDGER, WORKER, Entry, Kind
from streams.web.process import ProcessFacts

if TYPE_CHECKING:
    from collections.abc import Callable, Iterable, Iterator, Sequence

    from streams.board.answers.gauges import Read, Sample, Scene
    from streams.engine.histogram import Histogram
    from streams.engine.status import StatusSnapshot, WorkerStatus

_log = logging.getLogger("festival.metrics")


class FestivalCollector(Collector):
    """Fills the catalogue at each scrape. May be called from any thread; never raises."""

    def __init__(
        self,
        scenes: Callable[[], Sequence[Scene]],
        status: WorkerStatus | None = None,
        process: ProcessFacts | None = None,
        declared: Declared | None = None,
    ) -> None:
        """Read from `scenes`, of the ledger or of sealed files, and, in a worker, from its `status`.

        What was `declared` as a label, and declared amounts, are metrics beside the catalogue's.
        """
        self._entries = (*LEDGER, *declared_entries(declared or Declared()), *WORKER)
        self._scenes = scenes
        self._process = process or ProcessFacts()
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
        # Absent where nothing was read, not zero: on a graph the night would fall to nothing.
        scenes = [scene for scene in self._scenes() if scene.snapshot.has_state]
        for entry in self._entries:
            try:
                metric = self._family(entry, scenes, now)
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

    def _family(self, entry: Entry, scenes: Sequence[Scene], now: StatusSnapshot | None) -> Metric | None:
        if entry.ledger is not None:
            return family(entry, _shown(entry.ledger, scenes)) if scenes else None
        if now is None or self._status is None:
            return None
        if entry.histogram is not None:
            return histogram_family(entry, entry.histogram(now))
        assert entry.status is not None, entry.name
        return family(entry, entry.status(self._status, now))


def _shown(read: Read, scenes: Sequence[Scene]) -> Iterable[Sample]:
    """Return the samples of all scenes; what several of them tell without a festival is the largest of it."""
    if len(scenes) == 1:
        return read(scenes[0])
    samples: dict[tuple[str, ...], float] = {}
    for labels, value in (sample for scene in scenes for sample in read(scene)):
        samples[labels] = max(value, samples.get(labels, value))
    return samples.items()


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
