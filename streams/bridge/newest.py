"""The newest committed records of foreign topics, to try a map on. Joins no group."""

from __future__ import annotations

from collections import deque
from typing import TYPE_CHECKING

from aiokafka.structs import TopicPartition

from streams.bridge.records import Record, read_headers
from streams.errors import UsageError
from streams.kafka.client.log_reader import LogReader

if TYPE_CHECKING:
    from collections.abc import AsyncIterator, Iterator, Sequence

    from streams.engine.batch import RecordBatch
    from streams.settings import Settings


async def newest_records(settings: Settings, topics: Sequence[str], count: int) -> AsyncIterator[Record]:
    """Yield the last `count` committed records of each partition, in log order.

    Raises `UsageError` where a topic is not there, `KafkaError` where the broker does not answer.
    """
    reader = await LogReader.open(settings, is_patient=False, is_foreign=True)
    try:
        for topic in topics:
            partitions = await reader.partition_count(topic)
            if not partitions:
                raise UsageError(f"there is no topic {topic}: the map names it as a source")
            for partition in range(partitions):
                for record in await _newest(reader, TopicPartition(topic, partition), count):
                    yield record
    finally:
        await reader.close()


async def _newest(reader: LogReader, place: TopicPartition, count: int) -> Sequence[Record]:
    beginning = (await reader.beginning_offsets([place]))[place]
    end = (await reader.end_offsets([place]))[place]
    span = count
    while True:
        # Control records and aborted ones have offsets too: with too few records in a span, a longer one is read.
        start = max(beginning, end - span)
        found: deque[Record] = deque(maxlen=count)
        reader.assign({place: start})
        async for batch in reader.read_to({place: end}):
            found.extend(record for record in records_of(batch) if record.offset < end)
        if len(found) == count or start == beginning:
            return found
        span *= 2


def records_of(batch: RecordBatch) -> Iterator[Record]:
    """Yield the records of a batch that was read with headers."""
    columns = zip(batch.offsets, batch.keys, batch.values, batch.record_times_ms, batch.headers, strict=True)
    for offset, key, value, time_ms, headers in columns:
        yield Record(batch.topic, batch.partition, int(offset), int(time_ms), key, value, read_headers(headers))
