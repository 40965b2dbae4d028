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
    _newest: dict[str, tuple[Snapshot, EndOffsets | None, tuple[int, ...], bytes]] = field(
        default_factory=dict, init=False
    )

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

    def newest(self, festival: Festival) -> bytes:
        """Return the totals with their rows by platform as JSON: the same object until something changed.

        All listeners of the event stream share it.
        """
        now = (self.snapshot(), self.end_offsets(), self.held())
        known = self._newest.get(festival.id)
        if known is None or known[0] is not now[0] or known[1:3] != now[1:3]:
            text = to_json(self.totals(festival, None, "platform", 20))
            if known is not None and known[3] == text:
                text = known[3]
            self._newest[festival.id] = known = (*now, text)
        return known[3]

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
