"""The coordinator of transactions: producer ids, epochs, fencing, and how a transaction ends.

Pure: whoever calls hands the time in. `Kafka` (`streams.engine.memory.cluster`) asks it before anything is written.
"""

from __future__ import annotations

from dataclasses import dataclass, field
from typing import TYPE_CHECKING

from streams.engine.memory.errors import (
    InvalidTransactionStateError,
    ProducerFencedError,
    TransactionTimedOutError,
)

if TYPE_CHECKING:
    from collections.abc import Callable, Mapping

    from streams.engine.memory.log import PartitionLog

Place = tuple[str, int]
Offsets = dict[Place, int]
FIRST_PRODUCER_ID = 1_000


@dataclass(slots=True)
class _Entry:
    """What the coordinator knows of one producer id."""

    producer_id: int
    transactional_id: str | None
    timeout_ms: int
    epoch: int = 0
    begun_ms: int | None = None
    """When the open transaction began; None: none is open."""
    logs: dict[Place, PartitionLog] = field(default_factory=dict)
    """Partitions of the open transaction, in the order in which they were announced."""
    offsets: dict[str, Offsets] = field(default_factory=dict)
    """Offsets of consumer groups that its commit moves."""
    decided: bool | None = None
    """Committed or aborted, where its control records are still to be written; None: nothing is decided."""
    decided_ms: int = 0
    newest_ended: bool | None = None
    """How the newest transaction of this epoch ended: committed, aborted, or None, not at all."""
    timed_out_epoch: int = -1
    """The epoch that ended with a timeout; nobody else had it since."""


@dataclass(frozen=True, slots=True)
class PendingTransaction:
    """An open transaction as the coordinator tells of it."""

    producer_id: int
    transactional_id: str
    begun_ms: int
    places: tuple[Place, ...]


class Coordinator:
    """All producers of one cluster."""

    def __init__(self, apply_offsets: Callable[[str, Mapping[Place, int]], None]) -> None:
        """`apply_offsets` is told the offsets of a group that a commit moves."""
        self._apply_offsets = apply_offsets
        self.marker_delay_ms = 0
        """How long after a commit or an abort its first control record is written; each next one as long after that."""
        self._producers: dict[int, _Entry] = {}
        self._by_transactional_id: dict[str, _Entry] = {}

    def init(self, transactional_id: str | None, timeout_ms: int, marker_ms: int) -> tuple[int, int]:
        """Return producer id and epoch. Older producers of the id are fenced, their open transaction is aborted."""
        entry = None if transactional_id is None else self._by_transactional_id.get(transactional_id)
        if entry is None:
            entry = _Entry(FIRST_PRODUCER_ID + len(self._producers), transactional_id, timeout_ms)
            self._producers[entry.producer_id] = entry
            if transactional_id is not None:
                self._by_transactional_id[transactional_id] = entry
        else:
            self._end_now(entry, marker_ms)
            entry.epoch += 1
            entry.timeout_ms = timeout_ms
        entry.newest_ended = None
        entry.timed_out_epoch = -1
        return entry.producer_id, entry.epoch

    def check(self, producer_id: int, epoch: int) -> None:
        """Raise `ProducerFencedError` where the epoch is over, `TransactionTimedOutError` where a timeout ended it."""
        entry = self._producers[producer_id]
        if epoch == entry.epoch:
            return
        who = f"producer {producer_id} ({entry.transactional_id}), epoch {epoch}"
        if epoch == entry.timed_out_epoch:
            raise TransactionTimedOutError(f"{who}: its transaction took longer than {entry.timeout_ms} ms")
        raise ProducerFencedError(f"{who}: epoch {entry.epoch} is current")

    def enlist(self, producer_id: int, log: PartitionLog, now_ms: int, marker_ms: int) -> None:
        """Announce a partition that the transaction writes to; the first announcement opens the transaction."""
        entry = self._open(producer_id, now_ms, marker_ms)
        entry.logs.setdefault((log.topic, log.partition), log)

    def add_offsets(
        self, producer_id: int, group: str, offsets: Mapping[Place, int], now_ms: int, marker_ms: int
    ) -> None:
        """Let the commit of the transaction move offsets of a consumer group."""
        self._open(producer_id, now_ms, marker_ms).offsets.setdefault(group, {}).update(offsets)

    def end(self, producer_id: int, now_ms: int, marker_ms: int, *, is_commit: bool) -> None:
        """Decide to commit or to abort; readers see it once the control records are written, mostly at once.

        Asked again after an answer was lost, it says the same. Raises `InvalidTransactionStateError` where no
        transaction is open and the newest did not end this way.
        """
        entry = self._producers[producer_id]
        if entry.begun_ms is None:
            if entry.newest_ended is not is_commit:
                raise InvalidTransactionStateError(f"producer {producer_id} has no open transaction")
            return
        self._decide(entry, now_ms, is_commit=is_commit)
        entry.newest_ended = is_commit
        self._write_markers(entry, now_ms, marker_ms)

    def tick(self, now_ms: int, marker_ms: int) -> None:
        """Write the control records that are due, and abort what is open for longer than its timeout.

        A producer whose transaction timed out has lost its epoch.
        """
        for entry in self._producers.values():
            if entry.begun_ms is not None and now_ms - entry.begun_ms >= entry.timeout_ms:
                self._decide(entry, now_ms, is_commit=False)
                entry.timed_out_epoch = entry.epoch
                entry.epoch += 1
                entry.newest_ended = None
            if entry.decided is not None:
                self._write_markers(entry, now_ms, marker_ms)

    def forget(self, topic: str) -> None:
        """Leave a deleted topic out of all open transactions."""
        for entry in self._producers.values():
            for place in [place for place in entry.logs if place[0] == topic]:
                del entry.logs[place]

    @property
    def pending(self) -> list[PendingTransaction]:
        """Return the open transactions, in the order in which their ids were first used."""
        return [
            PendingTransaction(entry.producer_id, transactional_id, entry.begun_ms, tuple(entry.logs))
            for transactional_id, entry in self._by_transactional_id.items()
            if entry.begun_ms is not None
        ]

    def transactional_id(self, producer_id: int) -> str | None:
        """Return whose transaction it is; None for an idempotent producer without transactions."""
        return self._producers[producer_id].transactional_id

    def _open(self, producer_id: int, now_ms: int, marker_ms: int) -> _Entry:
        entry = self._producers[producer_id]
        assert entry.transactional_id is not None, "a producer without transactional id has no transactions"
        if entry.begun_ms is None:
            # The broker refuses a new transaction until the old one has ended, and the client waits for that.
            self._end_now(entry, marker_ms)
            entry.begun_ms = now_ms
        return entry

    def _end_now(self, entry: _Entry, marker_ms: int) -> None:
        """End whatever is open or decided, with all its control records."""
        if entry.begun_ms is not None:
            self._decide(entry, 0, is_commit=False)
        if entry.decided is not None:
            self._write_markers(entry, None, marker_ms)

    @staticmethod
    def _decide(entry: _Entry, now_ms: int, *, is_commit: bool) -> None:
        entry.begun_ms = None
        entry.decided, entry.decided_ms = is_commit, now_ms

    def _write_markers(self, entry: _Entry, now_ms: int | None, marker_ms: int) -> None:
        """Write the control records that are due, the oldest announcement first; all of them without `now_ms`.

        The offsets of groups come last.
        """
        assert entry.decided is not None
        while entry.logs:
            if now_ms is not None and now_ms - entry.decided_ms < self.marker_delay_ms:
                return
            entry.decided_ms += self.marker_delay_ms
            log = entry.logs.pop(next(iter(entry.logs)))
            log.end_transaction(entry.producer_id, marker_ms, is_commit=entry.decided)
        if entry.decided:
            for group, offsets in entry.offsets.items():
                self._apply_offsets(group, offsets)
        entry.decided, entry.offsets = None, {}
