"""What is measured of a process, and how several rounds become one number."""

from __future__ import annotations

import statistics
import sys
import threading
import time
from dataclasses import dataclass
from typing import TYPE_CHECKING, Self

import psutil

if TYPE_CHECKING:
    from collections.abc import Sequence

SAMPLE_SECONDS = 0.05


@dataclass(frozen=True, slots=True)
class Run:
    """One contender's round: events counted, CPU seconds of its processes, wall seconds, and their memory."""

    events: int
    cpu_seconds: float
    wall_seconds: float
    peak_rss_mb: float
    half_rss_mb: float = 0.0
    """At half of the events; 0 where it was not looked at."""
    halves: tuple[float, float] = (0.0, 0.0)
    """Events per CPU second in the first half and in the second; 0 where it was not looked at."""

    @property
    def events_per_cpu_second(self) -> float:
        """Return the rate that machines of any size have in common."""
        return self.events / self.cpu_seconds

    @property
    def events_per_second(self) -> float:
        """Return the rate by the clock on the wall."""
        return self.events / self.wall_seconds


@dataclass(frozen=True, slots=True)
class Sample:
    """CPU seconds used and memory held by all processes at an instant of the machine's clock."""

    time_ms: int
    cpu_seconds: float
    rss_mb: float


class Sampler:
    """Samples processes from a thread until it is left."""

    def __init__(self, pids: Sequence[int]) -> None:
        """Watch the processes of `pids` and not their children."""
        self._processes = [psutil.Process(pid) for pid in pids]
        self._end = threading.Event()
        self._thread = threading.Thread(target=self._watch, daemon=True)
        self.samples: list[Sample] = []

    def __enter__(self) -> Self:
        """Begin."""
        self._thread.start()
        return self

    def __exit__(self, *_: object) -> None:
        """End."""
        self._end.set()
        self._thread.join()

    def at(self, time_ms: int) -> Sample:
        """Return the sample nearest to an instant."""
        return min(self.samples, key=lambda sample: abs(sample.time_ms - time_ms))

    def _watch(self) -> None:
        while not self._end.wait(SAMPLE_SECONDS):
            cpu, rss = 0.0, 0
            for process in self._processes:
                times = process.cpu_times()
                cpu += times.user + times.system
                rss += process.memory_info().rss
            self.samples.append(Sample(time.time_ns() // 1_000_000, cpu, rss / 2**20))


def median_run(runs: Sequence[Run]) -> Run:
    """Return the run of median rate per CPU second."""
    return sorted(runs, key=lambda run: run.events_per_cpu_second)[len(runs) // 2]


def spread(runs: Sequence[Run]) -> str:
    """Return the lowest and the highest rate per CPU second."""
    rates = [run.events_per_cpu_second for run in runs]
    return f"{min(rates):,.0f} to {max(rates):,.0f}"


def percentile(values: Sequence[tuple[float, int]], share: float) -> float:
    """Return the value that `share` of the weight does not exceed; `values` are (value, weight)."""
    ordered = sorted(values)
    wanted, seen = share * sum(weight for _, weight in ordered), 0
    for value, weight in ordered:
        seen += weight
        if seen >= wanted:
            return value
    return 0.0


def median(values: Sequence[float]) -> float:
    """Return the median."""
    return statistics.median(values)


def tell(text: str) -> None:
    """Say how far a benchmark is."""
    print(text, file=sys.stderr, flush=True)  # noqa: T201
