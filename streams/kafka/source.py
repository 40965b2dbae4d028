"""Where batches come from, as the owner of a partition sees it, and when going on from a position would be guessing."""

from __future__ import annotations

from typing import TYPE_CHECKING, Protocol

from streams.engine.status import HeldReason

if TYPE_CHECKING:
    from collections.abc import Collection, Mapping

RECOUNT = "restore the topic, or run `festival recount` to count again what is left of the log"
ADVICE = {
    HeldReason.LOG_DELETED: f"records not counted yet were deleted; {RECOUNT}",
    HeldReason.BEYOND_END: f"the log ends before the position, it was truncated or made again; {RECOUNT}",
    HeldReason.LOG_REPLACED: f"the topic was deleted and made again; {RECOUNT}",
    HeldReason.LOG_UNREADABLE: f"the log cannot be read there; {RECOUNT}",
    HeldReason.LEDGER_UNREADABLE: "run `festival recount` to count again from the beginning of the log",
    HeldReason.NOT_COLOCATED: "give all source topics equal numbers of partitions, see `festival topics`",
}


class Range(Protocol):
    """Which offsets of a log can be read: [beginning, end)."""

    @property
    def beginning(self) -> int:
        """First offset that is not deleted."""

    @property
    def end(self) -> int:
        """Next offset that will be written (read committed)."""


class Source(Protocol):
    """Where batches of this worker's partitions come from. Names are without prefix."""

    async def release(self, partition: int, positions: Mapping[str, int]) -> None:
        """Let topics of a partition flow from the given positions; also rewinds one that flows already."""

    async def hold_back(self, partition: int, topics: Collection[str]) -> None:
        """Deliver nothing more of a partition."""

    async def log_ranges(self, partition: int, topics: Collection[str], /) -> Mapping[str, Range]:
        """Return what can be read; waits while the broker is away."""

    async def has_newer(self, partition: int, topic: str, record_time_ms: int, below: int) -> bool:
        """Return whether a record below offset `below` is newer than `record_time_ms`; waits as `log_ranges` does."""

    def fetch_state(self, partition: int, topic: str, /) -> tuple[int | None, int | None]:
        """Return the fetch position and the end offset as the last fetch saw it, None where not known."""

    def has_in_hand(self, partition: int, topic: str, /) -> bool:
        """Return whether batches were fetched that are not counted yet."""


class HeldError(Exception):
    """Going on would be guessing: the partition stands still, the others go on."""

    def __init__(self, reason: HeldReason, detail: str) -> None:
        """`detail` names topic, partition and offsets; what to do about `reason` is added."""
        super().__init__(f"{detail}: {ADVICE[reason]}")
        self.reason = reason


def check_position(topic: str, partition: int, position: int, log_range: Range) -> None:
    """Raise `HeldError` where a position lies outside the log."""
    where = f"{topic}[{partition}]: the ledger stands at offset {position}, the log holds {log_range.beginning} to"
    if position < log_range.beginning:
        raise HeldError(HeldReason.LOG_DELETED, f"{where} {log_range.end}")
    if position > log_range.end:
        raise HeldError(HeldReason.BEYOND_END, f"{where} {log_range.end}")
