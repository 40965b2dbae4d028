"""A reader that knows where a log ends does not wait for ever."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

import pytest
from aiokafka import TopicPartition

from streams.engine.batch import RecordBatch
from streams.kafka.client import log_reader
from streams.kafka.client.log_reader import LogReader, StalledError

if TYPE_CHECKING:
    from collections.abc import Iterator

PLACE = TopicPartition("orders", 3)


class Fed(LogReader):
    """Gives the batches that a test has, then nothing."""

    def __init__(self, batches: Iterator[RecordBatch]) -> None:
        consumer: Any = None
        super().__init__(consumer, "")
        self.positions = {PLACE: 0}
        self._batches = batches

    async def fetch(self, _: float) -> list[RecordBatch]:
        """Return the next batch."""
        batch = next(self._batches, None)
        if batch is None:
            return []
        self.positions[PLACE] = batch.next_offset
        return [batch]


def _batch(start: int, end: int) -> RecordBatch:
    count = end - start
    return RecordBatch("orders", 3, start, end, range(start, end), [None] * count, [b""] * count, [0] * count)


async def test_it_reads_to_the_end_that_is_asked_for() -> None:
    batches = [_batch(0, 4), _batch(4, 7), _batch(7, 9)]
    assert [batch.start async for batch in Fed(iter(batches)).read_to({PLACE: 7})] == [0, 4]
    assert [batch async for batch in Fed(iter(batches)).read_to({PLACE: 0})] == []


async def test_a_log_that_gives_nothing_more_is_told_with_its_offsets(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(log_reader, "STALL_SECONDS", -1)
    reading = Fed(iter([_batch(0, 4)])).read_to({PLACE: 7})
    assert (await anext(reading)).start == 0
    with pytest.raises(StalledError, match=r"orders\[3\] at offset 4 of 7"):
        await anext(reading)
