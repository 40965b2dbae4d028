"""Faults of a bridge, each planted by itself: see `tests.simulation.bugs`."""

from __future__ import annotations

import dataclasses
from typing import TYPE_CHECKING, Any

from aiokafka.structs import TopicPartition

from streams.bridge import store as stores
from streams.bridge.store import BridgePartitionStore
from streams.engine.topic_names import BRIDGE_REJECTED
from tests.simulation import bridged
from tests.simulation.bridge_cluster import PartitionNow

if TYPE_CHECKING:
    from streams.engine.checkpoint import Restored

Place = tuple[object, str, object]
"""Where a bug is planted: object, name, and what stands there then."""


def position_committed_apart() -> list[Place]:
    """Commit how far a bridge has come in a transaction of its own, behind what it sends."""

    async def planted(self: BridgePartitionStore, checkpoint: Any) -> None:  # noqa: ANN401 - passed on
        async with self._writer.transaction() as transaction:
            if checkpoint.events:
                await self._send(transaction, checkpoint.events)
            await transaction.commit()
        await commit(self, dataclasses.replace(checkpoint, events=()))

    commit = BridgePartitionStore.commit
    return [(BridgePartitionStore, "commit", planted)]


def superseded_translation_taken() -> list[Place]:
    """Let every owner of a bridge's partition write under an id of its own, so that one that was superseded goes on."""
    numbers = iter(range(1_000_000))
    told = stores.transactional_id
    return [(stores, "transactional_id", lambda *place: f"{told(*place)}-{next(numbers)}")]


def reject_written_twice() -> list[Place]:
    """Write what a bridge rejects before its transaction: a takeover writes it once more."""

    async def planted(self: BridgePartitionStore, checkpoint: Any) -> None:  # noqa: ANN401 - passed on
        if checkpoint.set_aside:
            async with self._writer.transaction() as transaction:
                for aside in checkpoint.set_aside:
                    place = TopicPartition(BRIDGE_REJECTED, 0)
                    transaction.add(place, aside.key, aside.value, list(aside.headers))
                await transaction.commit()
        await commit(self, dataclasses.replace(checkpoint, set_aside=()))

    commit = BridgePartitionStore.commit
    return [(BridgePartitionStore, "commit", planted)]


def bridge_at_the_groups_offsets() -> list[Place]:
    """Let a bridge go on at the group's offsets in place of its cursor."""
    restore = PartitionNow.restore_now

    def planted(self: PartitionNow) -> Restored:
        restored = restore(self)
        assert restored.cursor is not None
        store = self._store
        told = store._shared.cluster._kafka.groups.offsets(bridged.GROUP)  # type: ignore[attr-defined]
        positions = restored.cursor.positions
        positions.update({t: told.get((t, store._partition), offset) for t, offset in positions.items()})
        return restored

    return [(PartitionNow, "restore_now", planted)]


def added_partition_begun_at_its_end() -> list[Place]:
    """Begin a partition that was added later where the others began: what was sent there before is never read."""
    first = BridgePartitionStore._first

    async def planted(self: BridgePartitionStore, found: Any) -> Any:  # noqa: ANN401 - passed on
        found.cursors.clear()
        return await first(self, found)

    return [(BridgePartitionStore, "_first", planted)]
