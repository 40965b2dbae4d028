"""What a worker's visitors may cost: its first duty is counting.

Visits are all requests except those of operations. Each costs the CPU time that was measured while it was read,
answered and sent; whatever makes answers or states for visitors adds what that took.
"""

from __future__ import annotations

import threading
import time
import types
from typing import TYPE_CHECKING, Any, TypeVar

if TYPE_CHECKING:
    from collections.abc import Callable, Coroutine, Generator

T = TypeVar("T")

OPERATIONS = frozenset({"/livez", "/readyz", "/metrics"})
"""Who runs the night asks these: always answered, and not counted."""
STREAM = "/api/stream"
SHARE = 0.03
SAVED_SECONDS = 0.2
"""Together 0.2 + 0.03 × 10 = 0.5 s of CPU in any 10 s, 5 % of a core, and the answer under way."""
SCREENS_SECONDS = 0.05
"""The event streams may spend this much of what is saved alone, so that questions do not stop the screens."""
UNSEEN_NS = 50_000
"""What a request costs beside what is measured: the connection's turn in the event loop, its objects."""
REFUSALS_PER_SECOND = 25
"""Saying no costs too, some 0.3 ms: who asks again at once waits for a turn to be refused."""
REFUSAL_LONGEST_SECONDS = 5.0


class Busy(Exception):  # noqa: N818 - it is the server's state, not an error
    """Visitors have had their share for the moment."""


class Budget:
    """CPU time that visitors may take, saved up at a fixed rate. May be called from any thread."""

    def __init__(self, monotonic: Callable[[], float] = time.monotonic) -> None:
        """Begin with everything saved that can be."""
        self._monotonic = monotonic
        self._lock = threading.Lock()
        self._seconds = SAVED_SECONDS
        self._at = monotonic()
        self._refusal_at = self._at

    def spend(self, cpu_ns: int) -> None:
        """Take what something has cost; more than there is becomes a debt."""
        with self._lock:
            self._save()
            self._seconds -= cpu_ns / 1e9

    def has_for_questions(self) -> bool:
        """Return whether a request may be answered."""
        return self._left() > SCREENS_SECONDS

    def has_for_screens(self) -> bool:
        """Return whether a state of an event stream may be made."""
        return self._left() > 0

    def refusal_seconds(self) -> float:
        """Take the next turn to refuse, and return how long it is until then."""
        with self._lock:
            now = self._monotonic()
            turn = min(max(self._refusal_at, now), now + REFUSAL_LONGEST_SECONDS)
            self._refusal_at = turn + 1 / REFUSALS_PER_SECOND
            return turn - now

    def _left(self) -> float:
        with self._lock:
            self._save()
            return self._seconds

    def _save(self) -> None:
        now = self._monotonic()
        self._seconds = min(SAVED_SECONDS, self._seconds + (now - self._at) * SHARE)
        self._at = now


@types.coroutine
def timed(coroutine: Coroutine[Any, Any, T], spend: Callable[[int], None]) -> Generator[Any, Any, T]:
    """Await a coroutine, and tell `spend` the CPU nanoseconds of each of its own steps, not of what it awaits."""
    result: object = None
    error: BaseException | None = None
    while True:
        began_ns = time.thread_time_ns()
        try:
            awaited = coroutine.send(result) if error is None else coroutine.throw(error)
        except StopIteration as end:
            value: T = end.value
            return value
        finally:
            spend(time.thread_time_ns() - began_ns)
        try:
            result, error = (yield awaited), None
        except BaseException as thrown:  # noqa: BLE001 - a cancellation belongs to the coroutine
            error = thrown
