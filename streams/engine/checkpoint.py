"""What a checkpoint holds, and what a store of checkpoints promises.

The engine cuts a `Checkpoint`, a `LedgerStore` makes it durable. All of it is values: what they look like as records
is known to `streams.engine.ledger_records`, which only stores use. Two stores exist: Kafka's
(`streams.kafka.ledger.store`) and one in memory (`streams.engine.memory`); one contract suite tests both.
"""

from __future__ import annotations

from dataclasses import dataclass, field
from typing import TYPE_CHECKING, NamedTuple, Protocol

if TYPE_CHECKING:
    from collections.abc import Mapping, Sequence

    from streams.domain.pages import Cursor, PageKey
    from streams.domain.rejections import Rejection
    from streams.engine.judgement import Note


@dataclass(frozen=True, slots=True)
class Original:
    """The value of a source record that is too large to be written a second time."""

    size_bytes: int
    sha256: str
    """In hexadecimal digits."""


@dataclass(frozen=True, slots=True)
class RejectedRecord:
    """A record set aside: where it lies, why, and itself."""

    topic: str
    """Source topic, without prefix."""
    partition: int
    offset: int
    rejection: Rejection
    key: bytes | None
    value: bytes | None
    original: Original | None = None
    """Given where `value` is only the head of it."""
    original_key_bytes: int | None = None
    """Given where `key` is only the head of the source record's."""


class SeenKey(NamedTuple):
    """Name of some hashes of seen ids."""

    generation: str
    topic: str
    minute: int
    sequence: int
    """That of the checkpoint which wrote them."""
    part: int
    """Counts from 0 where the hashes of a minute do not fit into one record."""


@dataclass(frozen=True, slots=True)
class Checkpoint:
    """One transaction: all of it becomes visible, or nothing."""

    partition: int
    generation: str
    fingerprint: bytes | None
    """The document of what is declared, with the first checkpoint of a generation and where it has changed since."""
    pages: Sequence[tuple[PageKey, bytes]]
    """Each changed page, its content already as it is written: a copy of the cells behind a known head takes a tenth of
    the time that a page of values would (`streams.domain.pages.page_value`)."""
    cursor: Cursor
    """Written last, so a reader that meets it has the whole checkpoint."""
    seen: Sequence[tuple[SeenKey, bytes | None]]
    """Hashes of the span, 8 bytes each; None: those under this name are forgotten."""
    rejected: Sequence[RejectedRecord]
    positions: Mapping[str, int]
    """Next offset per source topic (without prefix), sent to the consumer group for lag tools only; empty: not now."""


@dataclass(frozen=True, slots=True)
class Restored:
    """What is committed of one partition in one generation: the newest of everything."""

    cursor: Cursor | None = None
    """None where nothing was ever committed."""
    fingerprint: bytes | None = None
    pages: Mapping[PageKey, bytes] = field(default_factory=dict)
    """In log order of their newest write; decoded where a page is looked at."""
    seen: Mapping[SeenKey, bytes] = field(default_factory=dict)
    misfit: str | None = None
    """Why these are not all of one checkpoint, by the digests in its cursor; None: they are."""


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

    async def leave_note(self, note: Note) -> None:
        """Write why the partition is held, for other readers; the next cursor overrules it. Raises like `commit`."""

    async def close(self) -> None:
        """Release connections. Never raises, may be called twice."""


class LedgerStore(Protocol):
    """Where ledgers live."""

    async def fence(self, partition: int, generation: str) -> PartitionStore:
        """Become the only writer of `partition` in `generation`; every older owner is fenced from now on."""
