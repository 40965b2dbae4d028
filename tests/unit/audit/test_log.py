"""An audit that gets nothing more of a log ends, and says where it stood."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

import pytest
from aiokafka import TopicPartition

from streams.audit import log
from streams.errors import UnreachableError

if TYPE_CHECKING:
    from collections.abc import Collection


class Stuck:
    """A consumer that never gets ahead."""

    def assign(self, partitions: Collection[TopicPartition]) -> None:
        """Do nothing."""

    def seek(self, partition: TopicPartition, offset: int) -> None:
        """Do nothing."""

    async def position(self, _: TopicPartition) -> int:
        """Stand still."""
        return 3


async def _nothing(_: object, __: object) -> dict[TopicPartition, list[Any]]:
    return {}


async def test_a_log_that_gives_nothing_more_is_told_with_its_offsets(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(log, "STALL_SECONDS", -1)
    consumer: Any = Stuck()
    wanted = {TopicPartition("p-orders", 1): (3, 9)}
    with pytest.raises(UnreachableError, match=r"p-orders\[1\] at offset 3 of 9"):
        await anext(log._read(consumer, _nothing, wanted, lambda _: None))
