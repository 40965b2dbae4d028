"""What time it is: asked for by whoever decides something by time, so that tests can turn it by hand."""

from __future__ import annotations

import threading
import time
from dataclasses import dataclass
from typing import TYPE_CHECKING, Protocol

if TYPE_CHECKING:
    from collections.abc import Hashable


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


OFF_MS = 2_000
"""A clock that is off by more is told: delays and freshness are read in seconds."""
DOUBT_MS = 60_000
"""So long must all records say that the broker's clock is further back before it is believed: one that came late says
so, too. The machine's clock drifts by less than 10 ms meanwhile."""


class BrokerClock:
    """The broker's time, learnt from the times that it gives to records. Used from any thread.

    No request tells it. A record shows that the broker's clock had reached the record's time when it came here, so the
    largest difference of late is the nearest to the truth: it is behind by the time that the fastest answer took.
    Measured against the monotonic clock, so that setting the machine's clock changes nothing.

    It never says less than the newest record, unless the times of one log go back: then the broker's was set back.

    Until a record has come that was only just written, the machine's own clock is believed, but for what older records
    rule out: a broker's clock is never behind its records.
    """

    def __init__(self, own: Clock) -> None:
        """`own` is the machine's clock."""
        self._own = own
        self._lock = threading.Lock()
        self._ahead_ms: int | None = None
        """The broker's clock less our monotonic one."""
        self._is_known = False
        self._lower: tuple[int, int] | None = None
        """Since when every record said less, and the most that one of them said."""
        self._newest_ms = 0
        """Newest time of a record since the broker's clock was turned back."""
        self._last_ms: dict[Hashable, int] = {}
        """Time of the last record of each stream."""

    def now_ms(self) -> int:
        """Return milliseconds since the Unix epoch by the broker's clock, as far as it is known."""
        with self._lock:
            shown_ms = None if self._ahead_ms is None else self._own.monotonic_ms() + self._ahead_ms
            if shown_ms is None or not self._is_known:
                return max(self._own.now_ms(), shown_ms or 0)
            return shown_ms

    def monotonic_ms(self) -> int:
        """Return milliseconds since some fixed instant; never goes back."""
        return self._own.monotonic_ms()

    def offset_ms(self) -> int | None:
        """Return what the machine's clock is ahead of the broker's; None while that is not known."""
        with self._lock:
            if self._ahead_ms is None or not self._is_known:
                return None
            return self._own.now_ms() - self._own.monotonic_ms() - self._ahead_ms

    def appended(self, record_time_ms: int, stream: Hashable = None, *, is_new: bool = True) -> None:
        """Take note of a record, which has come just now, and to which the broker gave its time.

        `stream` names the log and who reads or writes it: within one, times go back only where the broker's clock does.
        `is_new`: it was written while somebody waited for it. Others say only what time it is no more.
        """
        now_ms = self._own.monotonic_ms()
        ahead_ms = record_time_ms - now_ms
        with self._lock:
            self._is_known |= is_new
            is_turned_back = is_new and record_time_ms < self._last_ms.get(stream, 0)
            self._newest_ms = record_time_ms if is_turned_back else max(self._newest_ms, record_time_ms)
            self._last_ms[stream] = record_time_ms
            if self._ahead_ms is None or ahead_ms >= self._ahead_ms:
                self._ahead_ms, self._lower = ahead_ms, None
            elif is_new:
                since_ms, most_ms = self._lower or (now_ms, ahead_ms)
                self._lower = since_ms, max(most_ms, ahead_ms)
                if now_ms - since_ms >= DOUBT_MS:
                    self._ahead_ms, self._lower = max(self._lower[1], self._newest_ms - now_ms), None


@dataclass
class ManualClock:
    """A clock that stands still until somebody turns it."""

    time_ms: int = 0
    off_ms: int = 0
    """What the time of day is ahead of the monotonic reading; may be set like a machine's clock."""

    def now_ms(self) -> int:
        """Return the time it was turned to, as far as it is off."""
        return self.time_ms + self.off_ms

    def monotonic_ms(self) -> int:
        """Return the time it was turned to."""
        return self.time_ms

    def advance(self, elapsed_ms: int) -> None:
        """Let `elapsed_ms` pass; a clock is never turned back."""
        assert elapsed_ms >= 0, elapsed_ms
        self.time_ms += elapsed_ms
