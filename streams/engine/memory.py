"""A ledger store in memory: the promises of Kafka's (`streams.kafka.store`) without Kafka.

For property tests, which crash it at any step of a commit, and for whoever wants to count without a broker. The
contract suite (`tests/contract/test_ledger_store.py`) runs the same cases on both.
"""

from __future__ import annotations

from dataclasses import dataclass, field

from streams.engine.checkpoint import Checkpoint, FencedError, OutcomeUnknownError, RejectedRecord, Restored
from streams.engine.steps import AtStep, Step, nothing_at


@dataclass(slots=True)
class _Durable:
    """What is committed of one partition in one generation, and who may write it."""

    epoch: int = 0
    pages: dict[bytes, bytes] = field(default_factory=dict)
    seen: dict[bytes, bytes] = field(default_factory=dict)


class MemoryLedgerStore:
    """A `LedgerStore`: what is committed lives as long as this object.

    `rejected` holds the committed rejected records in the order of their commits, `group_offsets` the positions
    last reported, by (topic, partition). `commits` counts the commits that became durable.
    """

    def __init__(self, at_step: AtStep = nothing_at) -> None:
        """`at_step` is called at each step of each commit; what it raises, the commit fails with."""
        self.at_step = at_step
        self.rejected: list[RejectedRecord] = []
        self.group_offsets: dict[tuple[str, int], int] = {}
        self.commits = 0
        self._durable: dict[tuple[int, str], _Durable] = {}

    async def fence(self, partition: int, generation: str) -> MemoryPartitionStore:
        """Become the only writer of `partition` in `generation`; every older owner is fenced from now on."""
        durable = self._durable.setdefault((partition, generation), _Durable())
        durable.epoch += 1
        return MemoryPartitionStore(self, durable, partition)

    def committed(self, partition: int, generation: str) -> Restored:
        """Return what a restore would return, without fencing anybody."""
        durable = self._durable.get((partition, generation), _Durable())
        return Restored(dict(durable.pages), dict(durable.seen))


class MemoryPartitionStore:
    """A `PartitionStore`: writes until a later `fence`, or until a commit fails."""

    def __init__(self, store: MemoryLedgerStore, durable: _Durable, partition: int) -> None:
        """Made by `MemoryLedgerStore.fence` only."""
        self._store = store
        self._durable = durable
        self._partition = partition
        self._epoch = durable.epoch
        self._is_finished = False

    async def restore(self) -> Restored:
        """Return what is committed, in log order of the newest write of each key."""
        assert not self._is_finished
        return Restored(dict(self._durable.pages), dict(self._durable.seen))

    async def commit(self, checkpoint: Checkpoint) -> None:
        """Make `checkpoint` durable; raises `FencedError` or `OutcomeUnknownError`, and is finished then."""
        assert not self._is_finished, "this store is finished: fence again"
        assert checkpoint.partition == self._partition, (checkpoint.partition, self._partition)
        self._is_finished = True
        try:
            for step in Step:
                self._reach(step, checkpoint)
        except FencedError:
            raise
        except Exception as error:
            raise OutcomeUnknownError(str(error)) from error
        self._is_finished = False

    async def close(self) -> None:
        """Give the right to write up."""
        self._is_finished = True

    def _reach(self, step: Step, checkpoint: Checkpoint) -> None:
        # The owner's epoch is looked at where Kafka's coordinator would: when the transaction touches a partition.
        if step is not Step.BEFORE_BEGIN and step is not Step.AFTER_COMMIT and self._epoch != self._durable.epoch:
            raise FencedError(f"partition {self._partition}: a newer owner has taken over")
        if step is Step.AFTER_COMMIT:
            self._apply(checkpoint)
        self._store.at_step(step)

    def _apply(self, checkpoint: Checkpoint) -> None:
        for key, value in (*checkpoint.pages, checkpoint.cursor):
            # Removed first, so that the order is that of the newest write.
            self._durable.pages.pop(key, None)
            self._durable.pages[key] = value
        for key, hashes in checkpoint.seen:
            self._durable.seen.pop(key, None)
            if hashes is not None:
                self._durable.seen[key] = hashes
        self._store.rejected.extend(checkpoint.rejected)
        self._store.group_offsets.update(
            {(topic, self._partition): offset for topic, offset in checkpoint.positions.items()}
        )
        self._store.commits += 1
