"""What a tenure drives: whoever takes the batches of a partition and cuts checkpoints of them.

A worker counts (`streams.engine.processor`), a bridge translates (`streams.bridge.processor`): the life of a partition
is the same.
"""

from __future__ import annotations

from typing import TYPE_CHECKING, Any, Protocol

if TYPE_CHECKING:
    from collections.abc import Callable, Mapping

    from streams.domain.pages import Identity
    from streams.engine.batch import RecordBatch
    from streams.engine.checkpoint import Checkpoint, Restored

    Restore = Callable[[Any, int, str, Restored], "Processor"]
    """Takes what the crew is made for, a partition number, a generation and what is committed.

    May raise `UnreadableError`: the partition is held.
    """


class StallError(Exception):
    """Nothing more can be taken of a topic for a while: something that a record needs is not there.

    What comes before that record was taken.
    """

    def __init__(self, topic: str, pause_ms: int, reason: str, detail: str) -> None:
        """Say when to try again, and why; `reason` is "" for a moment that is not worth telling."""
        super().__init__(detail)
        self.topic, self.pause_ms, self.reason, self.detail = topic, pause_ms, reason, detail


class HoleError(Exception):
    """A batch starts above the position: records in between were not delivered, so the source must be rewound."""

    def __init__(self, topic: str, partition: int, expected: int, found: int) -> None:
        """Name where counting must go on (`expected`) and where the batch starts (`found`)."""
        super().__init__(f"{topic}[{partition}]: expected offset {expected}, the batch starts at {found}")
        self.topic, self.partition, self.expected, self.found = topic, partition, expected, found


def new_of(batch: RecordBatch, position: int) -> RecordBatch | None:
    """Return what of a batch lies at the position and above, None where nothing does.

    Raises `HoleError` where the batch starts above the position.
    """
    if batch.start > position:
        raise HoleError(batch.topic, batch.partition, position, batch.start)
    if batch.next_offset <= position:
        return None
    return batch.from_offset(position) if batch.start < position else batch


class Processor(Protocol):
    """One partition number. No method waits, so every cut is a consistent state."""

    @property
    def positions(self) -> Mapping[str, int]:
        """Return the next offset of each topic that was begun, all records before it being taken."""

    @property
    def epochs(self) -> Mapping[str, int]:
        """Return the leader epoch of the last batch below each position, of topics of which something was read."""

    @property
    def identity(self) -> Identity | None:
        """Return which logs are read; None where nothing was committed and none were looked at yet."""

    @property
    def pending_rejected_bytes(self) -> int:
        """Return the size of what the next checkpoint carries and that was not there before the last one."""

    def belongs_to(self, identity: Identity) -> None:
        """Take note of which logs are read from now on; called once, where nothing was committed yet."""

    def start_at(self, topic: str, offset: int) -> None:
        """Begin a topic that was never read."""

    def apply(self, batch: RecordBatch) -> None:
        """Take a batch. Raises `HoleError` where it starts above the position, and `StallError`."""

    def cut(self, *, tells_group: bool = True) -> Checkpoint | None:
        """Return everything since the last cut, None where nothing changed; the first cut is never None."""
