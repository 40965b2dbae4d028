"""What a tenure asks for, as values: its driver performs each, in order, and decides nothing.

`Fence`, `Restore`, `Survey`, `Release`, `Commit` and `LeaveNote` are requests: each is answered by one signal that
carries its `takeover`. The others are not answered.
"""

from __future__ import annotations

from dataclasses import dataclass, field
from typing import TYPE_CHECKING, Any

from streams.engine.signals import Failed, Unseen

if TYPE_CHECKING:
    from collections.abc import Mapping, Sequence

    from streams.domain.pages import Cursor
    from streams.engine.checkpoint import Checkpoint
    from streams.engine.judgement import Verdict


@dataclass(frozen=True, slots=True)
class Fence:
    """Become the only writer of the partition in this generation."""

    takeover: int
    generation: str


@dataclass(frozen=True, slots=True)
class Restore:
    """Read back what is committed."""

    takeover: int


@dataclass(frozen=True, slots=True)
class Survey:
    """Look at source topics as they are now."""

    takeover: int
    request: int
    topics: Sequence[str]
    epochs: Mapping[str, int]
    """Leader epochs by topic: where these end in the logs is asked for, too."""


@dataclass(frozen=True, slots=True)
class Release:
    """Let topics flow from the given positions, also those that flow already."""

    takeover: int
    positions: Mapping[str, int]


@dataclass(frozen=True, slots=True)
class Commit:
    """Make a checkpoint durable; counting may go on meanwhile."""

    takeover: int
    checkpoint: Checkpoint


@dataclass(frozen=True, slots=True)
class LeaveNote:
    """Write to the ledger why the partition is held, by the right to write it or a new one, which is given up then."""

    takeover: int
    generation: str
    verdict: Verdict
    held_ms: int
    """How long it is held."""


@dataclass(frozen=True, slots=True)
class HoldBack:
    """Let nothing more be delivered."""


@dataclass(frozen=True, slots=True)
class GiveUp:
    """Close the store of a takeover, break off what is under way for it, and let nothing more be delivered."""

    takeover: int


@dataclass(frozen=True, slots=True)
class TellTaking:
    """The partition is being taken over."""


@dataclass(frozen=True, slots=True)
class TellTaken:
    """The partition was restored, and is placed in its logs."""

    cursor: Cursor | None
    positions: Mapping[str, int]
    elapsed_ms: int
    is_known: bool = False
    """Whether it was so a moment ago: it is taken over again and again."""


@dataclass(frozen=True, slots=True)
class TellCounting:
    """The partition is counted from now on."""


@dataclass(frozen=True, slots=True)
class TellHeld:
    """The partition stands still until somebody acts."""

    verdict: Verdict


@dataclass(frozen=True, slots=True)
class TellBatch:
    """A batch of so many records was taken."""

    records: int


@dataclass(frozen=True, slots=True)
class TellCheckpoint:
    """A checkpoint is durable."""

    checkpoint: Checkpoint
    elapsed_ms: int
    span: Sequence[tuple[int, int]]
    """Record times in it, each with the number of records it stands for."""


@dataclass(frozen=True, slots=True)
class TellWaiting:
    """The partition stands still and goes on by itself, once what it waits for is there."""

    reason: str
    detail: str


@dataclass(frozen=True, slots=True)
class TellGoesOn:
    """What the partition waited for is there, and it is counted past it."""


@dataclass(frozen=True, slots=True)
class TellFailed:
    """A ledger that was counted on was thrown away: its checkpoint was refused, or may be durable or not."""


@dataclass(frozen=True, slots=True)
class Say:
    """A line for the log."""

    text: str
    fields: Mapping[str, Any] = field(default_factory=dict)
    is_warning: bool = False
    is_known: bool = False
    """Whether it is said once more, of what is waited for: nobody wants to read that."""


@dataclass(frozen=True, slots=True)
class Stop:
    """End the worker: going on could count wrongly."""

    error: BaseException


Request = Fence | Restore | Survey | Release | Commit | LeaveNote
Telling = (
    TellTaking
    | TellTaken
    | TellCounting
    | TellHeld
    | TellBatch
    | TellCheckpoint
    | TellWaiting
    | TellGoesOn
    | TellFailed
)
Effect = Request | HoldBack | GiveUp | Telling | Say | Stop


def failed(request: Request, detail: str, *, is_denied: bool) -> Failed:
    """Return the answer to a request that came to no good end."""
    if isinstance(request, Survey):
        return Unseen(request.takeover, detail, is_denied, request.request)
    return Failed(request.takeover, detail, is_denied)
