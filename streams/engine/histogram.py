"""Observations counted by upper bound, as Prometheus has them: delays, checkpoints, batches of a worker."""

from __future__ import annotations

from bisect import bisect_left
from dataclasses import dataclass

DELAY_BOUNDS = (0.05, 0.1, 0.25, 0.5, 0.75, 1.0, 1.5, 2.0, 3.0, 5.0, 10.0, 30.0, 60.0, 300.0, 3600.0)
CHECKPOINT_BOUNDS = (0.005, 0.01, 0.025, 0.05, 0.1, 0.25, 0.5, 1.0, 2.0, 5.0, 10.0, 30.0)
BATCH_BOUNDS = (1, 10, 50, 100, 500, 1_000, 2_500, 5_000, 10_000, 20_000)


@dataclass(frozen=True, slots=True)
class Histogram:
    """Observations counted by upper bound; `counts` has one more entry, for those above the last bound."""

    bounds: tuple[float, ...]
    counts: tuple[int, ...]
    total: float

    @classmethod
    def empty(cls, bounds: tuple[float, ...]) -> Histogram:
        """Return a histogram of nothing."""
        return cls(bounds, (0,) * (len(bounds) + 1), 0.0)

    @property
    def count(self) -> int:
        """Number of observations."""
        return sum(self.counts)

    def add(self, value: float, weight: int = 1) -> Histogram:
        """Return the histogram with `weight` observations of `value` more."""
        place = bisect_left(self.bounds, value)
        counts = (*self.counts[:place], self.counts[place] + weight, *self.counts[place + 1 :])
        return Histogram(self.bounds, counts, self.total + value * weight)
