"""What all ownerships of a worker share. Made by the worker, used by `streams.kafka.ownership`."""

from __future__ import annotations

from typing import TYPE_CHECKING, NamedTuple

if TYPE_CHECKING:
    from collections.abc import Callable

    from streams.domain.declarations import Declarations
    from streams.engine.checkpoint import LedgerStore
    from streams.engine.clock import Clock
    from streams.engine.status import WorkerStatus
    from streams.kafka.source import Source

CHECKPOINTS_PER_SECOND = 32
"""Of a worker at most: of more than 16 partitions each waits longer, or commits would take more CPU than counting."""
CATCH_UP_MS = 10_000
CATCH_UP_PAUSES = 4
"""A partition further behind than `CATCH_UP_MS` commits only after this many pauses.

Nobody waits for its half second, and a page that many batches touch is written once: a seventh of a catch-up's CPU.
"""


class Counting(NamedTuple):
    """One store, one source, one status, and how often a partition makes a checkpoint."""

    store: LedgerStore
    source: Source
    declarations: Declarations
    generation: str
    topics: tuple[str, ...]
    status: WorkerStatus
    clock: Clock
    checkpoint_interval_ms: int
    session_timeout_ms: int
    on_failure: Callable[[BaseException], None]
    """Told what nothing here gets over: the worker must end. May be called from any task of the loop."""
    on_held: Callable[[], None]
    owned: Callable[[], int]
    """How many partitions the worker has."""

    def pause_seconds(self) -> float:
        """Return the time between two checkpoints of a partition."""
        return max(self.checkpoint_interval_ms / 1000, self.owned() / CHECKPOINTS_PER_SECOND)

    def is_due(self, pauses: int, behind_ms: int) -> bool:
        """Return whether to make a checkpoint after `pauses` without one, its newest record being `behind_ms` old."""
        return behind_ms < CATCH_UP_MS or pauses >= CATCH_UP_PAUSES
