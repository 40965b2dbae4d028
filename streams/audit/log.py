"""Reads the source topics between the offsets a ledger covers, and everything on the rejected topics.

By aiokafka's public consumer, not by the worker's unpacking: the audit shares no code with what it checks.
"""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

from aiokafka.errors import OffsetOutOfRangeError
from aiokafka.structs import TopicPartition

from streams.audit.set_aside import rejected_partitions
from streams.audit.workbook import content_digest
from streams.errors import UnreachableError
from streams.kafka import clients

if TYPE_CHECKING:
    from collections.abc import AsyncIterator, Callable, Iterable, Mapping

    from aiokafka import AIOKafkaConsumer

    from streams.audit.workbook import Workbook
    from streams.settings import Settings

AT_ONCE = 20_000
"""Records per turn: memory is bounded by them, and progress shows after each."""

Spans = dict[tuple[str, int], tuple[int, int]]
"""Per topic (without prefix) and partition: first offset and the one after the last."""


class LogDeletedError(UnreachableError):
    """The log does not reach back to where the ledger began: no recount can be made."""


async def read_sources(settings: Settings, spans: Spans, book: Workbook, report: Callable[[int], None]) -> None:
    """Hand every committed record in `spans` to `book`, in log order per partition; reports numbers of offsets.

    Raises `LogDeletedError` where records were deleted, aiokafka's errors where the broker is not reachable.
    """
    wanted = {TopicPartition(settings.prefix + topic, part): span for (topic, part), span in spans.items()}
    consumer = await clients.start_consumer(settings, is_patient=False)
    try:
        await _refuse_deleted(consumer, wanted)
        async for tp, records in _read(consumer, wanted, report):
            topic = tp.topic.removeprefix(settings.prefix)
            book.add(topic, tp.partition, ((r.offset, r.timestamp, r.key, r.value) for r in records))
    except OffsetOutOfRangeError as error:
        raise LogDeletedError(f"records were deleted while they were read: {error}. Audit again.") from error
    finally:
        await clients.stop(consumer)


async def read_rejected(settings: Settings, topics: Iterable[str], spans: Spans, book: Workbook) -> list[str]:
    """Hand what was set aside for records in `spans` to `book`; return what lies there and cannot be attributed."""
    strange: list[str] = []
    consumer = await clients.start_consumer(settings, is_patient=False)
    try:
        tps = await rejected_partitions(consumer, settings, topics)
        starts, ends = await consumer.beginning_offsets(tps), await consumer.end_offsets(tps)
        wanted = {tp: (starts[tp], ends[tp]) for tp in tps}
        async for tp, records in _read(consumer, wanted, lambda _: None):
            rows = []
            for record in records:
                row = _attributed(record, settings.prefix)
                if row is None:
                    strange.append(f"{tp.topic}[{tp.partition}]@{record.offset}")
                elif (span := spans.get((row[0], row[1]))) and span[0] <= row[2] < span[1]:
                    rows.append(row)
            book.add_set_aside(rows)
    finally:
        await clients.stop(consumer)
    return strange


async def _refuse_deleted(consumer: AIOKafkaConsumer, wanted: Mapping[TopicPartition, tuple[int, int]]) -> None:
    starts = await consumer.beginning_offsets(list(wanted))
    deleted = [
        f"{tp.topic}[{tp.partition}] begins at offset {starts[tp]}, the ledger at {span[0]}"
        for tp, span in sorted(wanted.items())
        if starts[tp] > span[0] and span[1] > span[0]
    ]
    if deleted:
        raise LogDeletedError(
            f"the log was deleted below where the ledger began to count: {'; '.join(deleted)}. "
            "It cannot be audited any more: count what is left into a new generation with `festival recount`."
        )


async def _read(
    consumer: AIOKafkaConsumer, wanted: Mapping[TopicPartition, tuple[int, int]], report: Callable[[int], None]
) -> AsyncIterator[tuple[TopicPartition, list[Any]]]:
    """Yield records of each partition in its span, until every position has reached its end."""
    open_spans = {tp: span for tp, span in wanted.items() if span[1] > span[0]}
    consumer.assign(list(open_spans))
    for tp, (start, _) in open_spans.items():
        consumer.seek(tp, start)
    done = {tp: start for tp, (start, _) in open_spans.items()}
    while open_spans:
        fetched = await consumer.getmany(*open_spans, timeout_ms=200, max_records=AT_ONCE)
        for tp, records in fetched.items():
            end = open_spans[tp][1]
            if records[-1].offset >= end:
                records = [r for r in records if r.offset < end]  # noqa: PLW2901 - read on beyond the ledger
            yield tp, records
        for tp, (_, end) in list(open_spans.items()):
            # Markers and aborted records hold offsets too: the position tells that the end is reached, not a record.
            position = min(await consumer.position(tp), end)
            report(position - done[tp])
            done[tp] = position
            if position >= end:
                del open_spans[tp]
                consumer.pause(tp)


def _attributed(record: Any, prefix: str) -> tuple[str, int, int, str, str] | None:  # noqa: ANN401 - a ConsumerRecord, untyped
    """Return (source topic, partition, offset, reason, content digest), None where the headers say none of it."""
    headers = dict(record.headers)
    try:
        digest = content_digest(record.key, record.value)
        for name in ("original_bytes", "sha256"):
            if name in headers:
                digest += f":{headers[name].decode()}"
        partition, offset = int(headers["source_partition"]), int(headers["source_offset"])
        return (
            headers["source_topic"].decode().removeprefix(prefix),
            partition,
            offset,
            headers["reason"].decode(),
            digest,
        )
    except (KeyError, ValueError):
        return None
