"""What a checkpoint holds, and what a store of checkpoints promises.

The engine cuts a `Checkpoint`, a `LedgerStore` makes it durable. Two stores exist: Kafka's
(`streams.kafka.store`) and one in memory (`streams.engine.memory`); one contract suite tests both.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING, Protocol

if TYPE_CHECKING:
    from collections.abc import Mapping, Sequence


@dataclass(frozen=True, slots=True)
class RejectedRecord:
    """A record set aside: what goes to `topic` (already `<source>.rejected`, without prefix)."""

    topic: str
    key: bytes | None
    value: bytes | None
    headers: Sequence[tuple[str, bytes]]


@dataclass(frozen=True, slots=True)
class Checkpoint:
    """One transaction: all of it becomes visible, or nothing."""

    partition: int
    pages: Sequence[tuple[bytes, bytes]]
    """Key and value of each changed page, for the ledger topic."""
    cursor: tuple[bytes, bytes]
    """Key and value of the cursor: written last, so a reader that meets it has the whole checkpoint."""
    seen: Sequence[tuple[bytes, bytes | None]]
    """Hashes of the span, for the topic of seen ids; a value of None is a tombstone."""
    rejected: Sequence[RejectedRecord]
    positions: Mapping[str, int]
    """Next offset per source topic (without prefix), sent to the consumer group for lag tools only; empty: not now."""


@dataclass(frozen=True, slots=True)
class Restored:
    """The newest committed value per key of one partition, of one generation."""

    pages: Mapping[bytes, bytes]
    """Pages, cursor and fingerprint of the generation, by key, in log order of their newest write."""
    seen: Mapping[bytes, bytes]


class FencedError(Exception):
    """A newer owner has taken the partition over: this one must give it up and write nothing more."""


class OutcomeUnknownError(Exception):
    """A checkpoint may or may not have been committed: discard the ledger and take over afresh."""


class UnreadableError(Exception):
    """The ledger of a partition cannot be read back: the partition is held."""


class PartitionStore(Protocol):
    """The right to write one partition's ledger, until a later `fence` takes it away."""

    async def restore(self) -> Restored:
        """Return what is committed. Called once, before the first `commit`. May raise `UnreadableError`."""

    async def commit(self, checkpoint: Checkpoint) -> None:
        """Make `checkpoint` durable; returns once it is. One at a time.

        Raises `FencedError` where a newer owner exists, `OutcomeUnknownError` on anything else that goes
        wrong: in both cases this store is finished, and only `close` may follow.
        """

    async def close(self) -> None:
        """Release connections. Never raises, may be called twice."""


class LedgerStore(Protocol):
    """Where ledgers live."""

    async def fence(self, partition: int, generation: str) -> PartitionStore:
        """Become the only writer of `partition` in `generation`; every older owner is fenced from now on."""
