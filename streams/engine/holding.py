"""Why a partition is held, and what looks at its logs have found: kept by its tenure."""

from __future__ import annotations

from typing import TYPE_CHECKING

from streams.engine import bounds
from streams.engine import effects as fx
from streams.engine import signals as sig
from streams.engine.judgement import NOTED, TAIL_LOST, Counted, Note, judge_partition
from streams.engine.status import HeldReason

if TYPE_CHECKING:
    from streams.engine.judgement import Basis, Verdict

    Signal = sig.Compared | sig.Failed | sig.Woken | sig.Noted | sig.Refused | sig.Unreadable

COUNTED_RIGHT = frozenset({HeldReason.LOG_MISSING, HeldReason.LOG_DELETED, HeldReason.LOG_UNREADABLE})
"""What was read before it came to this is right. Else some of it may be of another log, read at the old position."""


class Looks:
    """What is found wrong is believed once it is seen twice in a row: metadata may be stale, an election under way."""

    def __init__(self) -> None:
        """Nothing was looked at yet."""
        self._suspected: HeldReason | None = None

    def believed(self, found: Verdict | None) -> Verdict | None:
        """Take note of what a look has found; return it where the look before has found the same."""
        before, self._suspected = self._suspected, None if found is None else found.reason
        return found if found is not None and found.reason is before else None

    def must_look_again(self, found: Verdict | None) -> bool:
        """Return whether what a takeover has found is to be seen once more before it is believed."""
        return self.believed(found) is None and found is not None and found.reason in TAIL_LOST


class Holding:
    """One partition that stands still until somebody acts: what a tenure does meanwhile."""

    def __init__(self, number: int, generation: str, verdict: Verdict, basis: Basis | None, now_ms: int) -> None:
        """Begin; `basis` is what the ledger rests on, None where it was not read."""
        self.verdict = verdict
        self.basis = None if basis is None else Counted.of(basis)
        self.is_at_rest = verdict.reason not in NOTED
        """Whether everybody can know why: the process may end then."""
        self.due_ms: int | None = None
        """When the note is to be written again."""
        self._number, self._generation, self._since_ms = number, generation, now_ms

    def note(self, takeover: int, now_ms: int) -> fx.Effect:
        """Return the request to write what others cannot see for themselves to the ledger."""
        self.due_ms = None
        return fx.LeaveNote(takeover, self._generation, self.verdict, now_ms - self._since_ms)

    def on(self, signal: Signal, takeover: int, now_ms: int) -> list[fx.Effect]:
        """Return what a signal makes necessary."""
        match signal:
            case sig.Compared():
                return self._compare(signal)
            case sig.Failed():
                self.due_ms = now_ms + bounds.NOTE_MS
                return []
            case sig.Woken():
                return [self.note(takeover, now_ms)]
        self.is_at_rest = True
        return [] if isinstance(signal, sig.Noted) else [fx.Say(f"no note is left on the ledger: {signal.detail}")]

    def _compare(self, signal: sig.Compared) -> list[fx.Effect]:
        """Tell where something else holds the partition by now, or comes before what only its holder sees."""
        noted = Note(*self.verdict[:2], 0, self.verdict.detail) if self.verdict.reason in NOTED else None
        found = judge_partition(self._number, signal.sources, signal.counted, note=noted)
        if found is None or found.reason is self.verdict.reason:
            return []
        self.verdict = found
        return [fx.TellHeld(found)]
