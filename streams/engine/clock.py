"""What time it is: asked for by whoever decides something by time, so that tests can turn it by hand."""

from __future__ import annotations

import time
from dataclasses import dataclass
from typing import Protocol


class Clock(Protocol):
    """Two readings of processing time. Neither blocks nor raises."""

    def now_ms(self) -> int:
        """Return milliseconds since the Unix epoch; may jump when the machine's clock is set."""

    def monotonic_ms(self) -> int:
        """Return milliseconds since some fixed instant; never goes back: for measuring how long something took."""


class SystemClock:
    """The machine's clock."""

    def now_ms(self) -> int:
        """Return milliseconds since the Unix epoch."""
        return time.time_ns() // 1_000_000

    def monotonic_ms(self) -> int:
        """Return milliseconds since some fixed instant."""
        return time.monotonic_ns() // 1_000_000


@dataclass
class ManualClock:
    """A clock that stands still until somebody turns it; both readings are the same."""

    time_ms: int = 0

    def now_ms(self) -> int:
        """Return the time it was turned to."""
        return self.time_ms

    def monotonic_ms(self) -> int:
        """Return the time it was turned to."""
        return self.time_ms

    def advance(self, elapsed_ms: int) -> None:
        """Let `elapsed_ms` pass; a clock is never turned back."""
        assert elapsed_ms >= 0, elapsed_ms
        self.time_ms += elapsed_ms
