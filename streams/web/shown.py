"""What the HTTP server reads: snapshots, festivals and readiness. Everything here may be called from any thread."""

from __future__ import annotations

import json
from dataclasses import dataclass, field
from typing import TYPE_CHECKING, Any, Self

from streams.board.answers.gauges import Scene
from streams.board.answers.totals import totals_document
from streams.board.view.committed_view import CommittedView
from streams.domain.declared import Declared
from streams.engine.clock import BrokerClock, SystemClock
from streams.engine.judgement import UNKNOWN, Judgement, Note
from streams.errors import FestivalError
from streams.festivals.selection import choose_festival, in_service

if TYPE_CHECKING:
    from collections.abc import Callable, Mapping, Sequence
    from pathlib import Path

    from streams.audit.verdict import Verdict
    from streams.board.view.committed_view import Snapshot
    from streams.board.view.sealed import SealedState
    from streams.domain.festivals import Festival
    from streams.engine.status import WorkerStatus

Document = dict[str, Any]


class NothingReadError(FestivalError):
    """No committed state was read yet: there is nothing to tell, and zero would be a lie."""


@dataclass
class Shown:
    """The board of this process, and in a worker its status."""

    festivals: Mapping[str, Festival]
    snapshot: Callable[[], Snapshot]
    judge: Callable[[Mapping[int, Note]], Judgement] = lambda _: UNKNOWN
    """Judges by the source topics as they are now, with the notes of this process."""
    is_loaded: Callable[[], bool] = lambda: True
    status: WorkerStatus | None = None
    clock: BrokerClock = field(default_factory=lambda: BrokerClock(SystemClock()))
    """Shows the broker's time, as records have it."""
    contacted_ms: Callable[[], int | None] = lambda: None
    audit_record: Path | None = None
    verdicts: Callable[[], Mapping[str, Verdict]] = dict
    """The newest verdict of an audit on each festival."""
    declared: Declared = field(default_factory=Declared)
    """What labels metrics, has bars, and how it is called."""
    has_board: bool = True
    """False: a worker that follows no ledger, and answers for itself alone."""
    sealed: Mapping[str, SealedState] = field(default_factory=dict)
    """By festival what is shown of sealed files, in place of a ledger."""

    @classmethod
    def worker_alone(cls, status: WorkerStatus, clock: BrokerClock) -> Self:
        """Return what a worker without a board has to show."""
        nothing = CommittedView().snapshot()
        return cls({}, lambda: nothing, status=status, clock=clock, contacted_ms=status.contacted_ms, has_board=False)

    @classmethod
    def of_sealed(cls, states: Sequence[SealedState], verdicts: Mapping[str, Verdict]) -> Self:
        """Return what sealed files show, one at least; `verdicts` are those in them."""
        sealed = {state.festival.id: state for state in states}
        festivals = {name: state.festival for name, state in sealed.items()}
        newest = max(states, key=lambda state: state.festival.start_ms)
        return cls(
            festivals, lambda: newest.snapshot, lambda _: newest.judgement, verdicts=lambda: verdicts, sealed=sealed
        )

    def snapshot_of(self, festival_id: str) -> Snapshot:
        """Return the state that a festival is told of: that of the ledger, or of its sealed file."""
        return self.sealed[festival_id].snapshot if festival_id in self.sealed else self.snapshot()

    def judgement_of(self, festival_id: str) -> Judgement:
        """Return what may be said of a festival's totals."""
        return self.sealed[festival_id].judgement if festival_id in self.sealed else self.judgement()

    def scenes(self) -> list[Scene]:
        """Return what a scrape looks at: the ledger with all festivals in service, or each sealed file with its own."""
        if self.sealed:
            return [Scene(state.snapshot, [state.festival], state.judgement) for state in self.sealed.values()]
        snapshot = self.snapshot()
        festivals = [snapshot.as_counted(festival) for festival in in_service(self.festivals.values())]
        return [Scene(snapshot, festivals, self.judgement())]

    def festival(self, named: str | None) -> Festival:
        """Return the festival of that id, or the one people look at now; raises `UsageError`."""
        return choose_festival(
            self.festivals, named, self.snapshot().festivals | self.sealed.keys(), self.clock.now_ms()
        )

    def state(self) -> Snapshot:
        """Return the committed state of now; raises `NothingReadError` before the first one was read."""
        snapshot = self.snapshot()
        self.check_state(snapshot)
        return snapshot

    def check_state(self, snapshot: Snapshot) -> None:
        """Raise `NothingReadError` where a snapshot holds no committed state."""
        if snapshot.has_state:
            return
        if self.is_loaded():
            raise NothingReadError("nothing is committed yet: start `festival worker`, and ask again")
        raise NothingReadError("no committed total was read yet: the ledger is being read, ask again in a second")

    def judgement(self) -> Judgement:
        """Return what may be said of the totals; what this process holds is known before its note is committed."""
        if self.status is None:
            return self.judge({})
        held = {n: p for n, p in self.status.snapshot().partitions.items() if p.reason is not None}
        return self.judge({n: Note(p.reason, p.topic, p.since_ms, p.detail) for n, p in held.items() if p.reason})

    def totals(
        self, festival: Festival, at_ms: int | None, by: str | None, top: int | None, also_in: Sequence[str] = ()
    ) -> Document:
        """Return the totals document of now; raises `UsageError` for what it cannot answer, else as `state`."""
        snapshot = self.snapshot_of(festival.id)
        document = totals_document(
            snapshot,
            festival,
            at_ms=at_ms,
            by=by,
            top=top,
            also_in=also_in,
            judgement=self.judgement_of(festival.id),
        )
        self.check_state(snapshot)  # behind the document, which tells first what is wrong with the question
        return document

    def fresh_ms(self) -> int | None:
        """Return up to when the totals hold everything that was on Kafka, None where nothing is known.

        The record time of the newest committed record; or, later than that, when Kafka last said where its topics
        end, if all of it is committed.
        """
        lag_records, snapshot, contacted_ms = self.judgement().lag_records, self.snapshot(), self.contacted_ms()
        if lag_records != 0 or contacted_ms is None:
            return snapshot.committed_ms
        return max(contacted_ms, snapshot.committed_ms or 0)

    def freshness(self) -> Document:
        """Return what tells a screen whether to believe its numbers, by the broker's clock."""
        return {
            "now_ms": self.clock.now_ms(),
            "fresh_ms": self.fresh_ms(),
            "contacted_ms": self.contacted_ms(),
            "loaded": self.is_loaded() and self.snapshot().has_state,
        }

    def readiness(self) -> tuple[bool, str]:
        """Return whether this process is ready, and a sentence: a worker by its partitions, a board by its ledger."""
        if self.status is not None:
            return self.status.readiness(self.clock.now_ms())
        if self.sealed:
            return True, "showing sealed festivals"
        if not self.is_loaded():
            return False, "the ledger is not read up to its end yet"
        return True, "following the ledger"


def to_json(document: Document) -> bytes:
    """Return a document as JSON; the standard library's, because it writes integers beyond 64 bits."""
    return json.dumps(document, ensure_ascii=False, separators=(",", ":")).encode()
