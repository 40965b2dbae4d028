"""What a tenure is told: by the group, by the source, by the clock, and in answer to what it asked for.

Plain values, made by whoever drives the tenure (`streams.kafka.group.driver`, the simulation). Answers carry the number
of the takeover that asked, so that one which comes too late is known for what it is.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING, NamedTuple

if TYPE_CHECKING:
    from collections.abc import Mapping

    from streams.engine.batch import RecordBatch
    from streams.engine.checkpoint import Restored
    from streams.engine.judgement import Counted, Sources

AWAY = "Kafka is away, or a checkpoint may or may not be committed"


@dataclass(frozen=True, slots=True)
class Assigned:
    """The group dealt the partition to this worker, with these of its source topics."""

    topics: frozenset[str]


@dataclass(frozen=True, slots=True)
class Revoked:
    """The group takes the partition back; it may deal it to the same worker again."""


@dataclass(frozen=True, slots=True)
class Dismissed:
    """The partition does not come back: what was kept for it goes."""


@dataclass(frozen=True, slots=True)
class Woken:
    """The time that `Tenure.wake_at_ms` names has come."""


@dataclass(frozen=True, slots=True)
class Delivered:
    """A batch of the partition came out of a fetch."""

    batch: RecordBatch
    age_ms: int
    """How old its newest record is, by the record's time on Kafka; 0 without a record."""


@dataclass(frozen=True, slots=True)
class FetchFailed:
    """A fetch failed for good; the source delivers nothing more of the topic until it is released again."""

    topic: str
    is_outside: bool
    """Whether the broker said that the position lies outside the log; else the bytes were damaged."""
    detail: str
    is_denied: bool = False
    """Whether the broker said that this user may not read the topic."""


class Fetched(NamedTuple):
    """How far the source has fetched a topic."""

    position: int
    is_under_way: bool
    """Whether batches below `position` were fetched and not delivered yet."""


@dataclass(frozen=True, slots=True)
class Looked:
    """A look at the source, made from time to time, by topic; topics not known are left out."""

    fetched: Mapping[str, Fetched]


@dataclass(frozen=True, slots=True)
class Fenced:
    """Answer to `Fence`: every older owner is shut out."""

    takeover: int


@dataclass(frozen=True, slots=True)
class ReadBack:
    """Answer to `Restore`."""

    takeover: int
    restored: Restored


@dataclass(frozen=True, slots=True)
class Surveyed:
    """Answer to `Survey`: the source topics as they are now."""

    takeover: int
    request: int
    sources: Sources


@dataclass(frozen=True, slots=True)
class Compared:
    """A look at the topics, made every few seconds, and what of the partition was counted when it began."""

    takeover: int
    counted: Counted
    sources: Sources


@dataclass(frozen=True, slots=True)
class Released:
    """Answer to `Release`: the topics flow, or a rebalance took them before they could."""

    takeover: int
    topics: frozenset[str]


@dataclass(frozen=True, slots=True)
class Committed:
    """Answer to `Commit`: the checkpoint is durable."""

    takeover: int


@dataclass(frozen=True, slots=True)
class Noted:
    """Answer to `LeaveNote`: others can read why the partition is held."""

    takeover: int


@dataclass(frozen=True, slots=True)
class Refused:
    """Answer to `Fence`, `Commit` or `LeaveNote`: a newer owner exists, or the broker has ended the transaction."""

    takeover: int
    detail: str
    is_dealt: bool = False
    """Whether the group says that the partition is still this worker's: then it was the broker, by its timeout."""


@dataclass(frozen=True, slots=True)
class Failed:
    """Answer to any request: it came to no good end. A commit that failed may be durable, or not."""

    takeover: int
    detail: str
    is_denied: bool = False
    """Whether the broker said that this user may not."""


@dataclass(frozen=True, slots=True)
class Unseen(Failed):
    """Answer to `Survey` in place of `Surveyed`: a broker did not answer, or is not the leader any more."""

    request: int = 0


@dataclass(frozen=True, slots=True)
class Unreadable:
    """Answer to `Fence`, `Restore` or `LeaveNote`: what lies on the ledger is none of this program's."""

    takeover: int
    detail: str


@dataclass(frozen=True, slots=True)
class Broken:
    """The program itself is at fault."""

    error: BaseException


Answer = (
    Fenced | ReadBack | Surveyed | Unseen | Compared | Released | Committed | Noted | Refused | Failed | Unreadable
)  # fmt: skip
Signal = (
    Assigned | Revoked | Dismissed | Woken | Delivered | FetchFailed | Looked | Broken | Answer
)  # fmt: skip
