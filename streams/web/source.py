"""What the HTTP server reads: snapshots, festivals and readiness. Everything here may be called from any thread."""

from __future__ import annotations

import json
from dataclasses import dataclass, field
from typing import TYPE_CHECKING, Any

from streams.board.choice import choose_festival
from streams.board.totals import totals_document
from streams.engine.clock import Clock, SystemClock
from streams.engine.status import PartitionState

if TYPE_CHECKING:
    from collections.abc import Callable, Mapping
    from pathlib import Path

    from streams.board.live import EndOffsets
    from streams.board.view import Snapshot
    from streams.domain.festivals import Festival
    from streams.engine.status import WorkerStatus

Document = dict[str, Any]


@dataclass
class Source:
    """The board of this process, and in a worker its status."""

    festivals: Mapping[str, Festival]
    snapshot: Callable[[], Snapshot]
    end_offsets: Callable[[], EndOffsets | None] = lambda: None
    is_loaded: Callable[[], bool] = lambda: True
    status: WorkerStatus | None = None
    clock: Clock = field(default_factory=SystemClock)
    contacted_ms: Callable[[], int | None] = lambda: None
    audit_record: Path | None = None

    def festival(self, named: str | None) -> Festival:
        """Return the festival of that id, or the one people look at now; raises `UsageError`."""
        return choose_festival(self.festivals, named, self.snapshot().festivals, self.clock.now_ms())

    def held(self) -> tuple[int, ...]:
        """Return the partitions that stand still in this process."""
        if self.status is None:
            return ()
        partitions = self.status.snapshot().partitions
        return tuple(n for n, partition in partitions.items() if partition.state is PartitionState.HELD)

    def totals(self, festival: Festival, at_ms: int | None, by: str | None, top: int | None) -> Document:
        """Return the totals document of now; raises `UsageError` for what it cannot answer."""
        return totals_document(
            self.snapshot(),
            festival,
            at_ms=at_ms,
            by=by,
            top=top,
            end_offsets=self.end_offsets(),
            held=self.held(),
        )

    def fresh_ms(self) -> int | None:
        """Return up to when the totals hold everything that was on Kafka, None where nothing is known.

        The record time of the newest committed record; or, later than that, when Kafka last said where its topics
        end, if all of it is committed.
        """
        snapshot, ends, contacted_ms = self.snapshot(), self.end_offsets(), self.contacted_ms()
        if ends is None or contacted_ms is None or snapshot.lag_records(ends):
            return snapshot.committed_ms
        return max(contacted_ms, snapshot.committed_ms or 0)

    def freshness(self) -> Document:
        """Return what tells a screen whether to believe its numbers, by this server's clock."""
        return {
            "now_ms": self.clock.now_ms(),
            "fresh_ms": self.fresh_ms(),
            "contacted_ms": self.contacted_ms(),
            "loaded": self.is_loaded(),
        }

    def readiness(self) -> tuple[bool, str]:
        """Return whether this process is ready, and a sentence: a worker by its partitions, a board by its ledger."""
        if self.status is not None:
            return self.status.readiness(self.clock.now_ms())
        if not self.is_loaded():
            return False, "the ledger is not read up to its end yet"
        return True, "following the ledger"


def to_json(document: Document) -> bytes:
    """Return a document as JSON; the standard library's, because it writes integers beyond 64 bits."""
    return json.dumps(document, ensure_ascii=False, separators=(",", ":")).encode()
