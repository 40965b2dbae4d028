"""Reads the source topics between the offsets a ledger covers, and everything on the rejected topics.

By aiokafka's own loop over what was fetched, not by the worker's unpacking: the audit shares no code with what it
checks.
"""

from __future__ import annotations

import asyncio
import gc
from typing import TYPE_CHECKING, Any

from aiokafka.errors import OffsetOutOfRangeError
from aiokafka.structs import TopicPartition

from streams.audit.set_aside import rejected_partitions, settled_ends
from streams.audit.spans import left_of, why_beyond, why_deleted, why_missing
from streams.audit.workbook import Records, content_digest
from streams.errors import UnreachableError
from streams.kafka.client import clients
from streams.kafka.client.plain_records import fetch_plain
from streams.kafka.client.raw_consumer import partition_count

if TYPE_CHECKING:
    from collections.abc import AsyncIterator, Awaitable, Callable, Iterable, Mapping

    from aiokafka import AIOKafkaConsumer

    from streams.audit.spans import Spans
    from streams.audit.workbook import Workbook
    from streams.settings import Settings

    _Fetched = Mapping[TopicPartition, list[Any]]

AT_ONCE = 20_000
"""Rejected records per turn: memory is bounded by them."""

FETCH_BYTES = 1024 * 1024
"""Fetched of one partition at once, compressed."""
ANSWER_BYTES = 16 * 1024 * 1024
"""Fetched at once of all partitions that a broker leads: so many may lie here twice, as the next are on their way."""
WAIT_SECONDS = 0.2
STALL_SECONDS = 15.0
"""Longest wait for anything more of a log."""


class LogDeletedError(UnreachableError):
    """The log does not hold what the ledger counted: no recount can be made."""


async def read_sources(
    settings: Settings, spans: Spans, book: Workbook, report: Callable[[int], None], *, wants_all: bool = False
) -> Spans:
    """Hand every committed record in `spans` to `book`, in log order per partition; reports numbers of offsets.

    Returns what of the spans the logs still hold; the others are cut off in the book. Raises `LogDeletedError` where a
    log does not reach up to the end of its span, or, for one who `wants_all`, has lost its beginning, and aiokafka's
    errors where the broker is not reachable.
    """
    wanted = {TopicPartition(settings.prefix + topic, part): span for (topic, part), span in spans.items()}
    # Millions of objects come and go; those that are here, the ledger, need not be looked through with them.
    gc.freeze()
    consumer = await clients.start_consumer(
        settings, is_patient=False, max_partition_fetch_bytes=FETCH_BYTES, fetch_max_bytes=ANSWER_BYTES
    )
    try:
        wanted = await _left(consumer, wanted, wants_all=wants_all)
        left = {(tp.topic.removeprefix(settings.prefix), tp.partition): span for tp, span in wanted.items()}
        book.cut(place for place, span in left.items() if span != spans[place])
        async for tp, records in _read(consumer, _fetch_plain, wanted, report):
            book.add(tp.topic.removeprefix(settings.prefix), tp.partition, Records.of(records))
    except OffsetOutOfRangeError as error:
        raise LogDeletedError(f"records were deleted while they were read: {error}. Audit again.") from error
    finally:
        gc.unfreeze()
        await clients.stop(consumer)
    return left


async def read_rejected(settings: Settings, topics: Iterable[str], spans: Spans, book: Workbook) -> list[str]:
    """Hand what was set aside for records in `spans` to `book`; return what lies there and cannot be attributed."""
    strange: list[str] = []
    consumer = await clients.start_consumer(settings, is_patient=False)
    try:
        tps = await rejected_partitions(consumer, settings, topics)
        starts, (ends, open_places) = await consumer.beginning_offsets(tps), await settled_ends(consumer, settings, tps)
        if open_places:
            raise UnreachableError(
                f"a transaction is open at {', '.join(open_places)}: what lies behind it cannot be read. "
                "Audit again when it has ended."
            )
        wanted = {tp: (starts[tp], ends[tp]) for tp in tps}
        async for tp, records in _read(consumer, _fetch, wanted, lambda _: None):
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


async def _left(
    consumer: AIOKafkaConsumer, wanted: Mapping[TopicPartition, tuple[int, int]], *, wants_all: bool
) -> dict[TopicPartition, tuple[int, int]]:
    """Return what the logs hold of what is wanted; raises where they do not reach up to its end."""
    counts: dict[str, int] = {}
    for topic in sorted({tp.topic for tp in wanted}):
        counts[topic] = await partition_count(consumer, topic)
    spans = {(tp.topic, tp.partition): span for tp, span in wanted.items()}
    # Asked for the offsets of a partition that is not there, the client would wait for it.
    why = why_missing(spans, counts)
    if why is None:
        why = why_beyond(spans, await consumer.end_offsets(list(wanted)))
    beginnings = await consumer.beginning_offsets(list(wanted)) if why is None else {}
    if why is None and wants_all:
        why = why_deleted(spans, beginnings)
    if why is not None:
        raise LogDeletedError(why)
    left = left_of(spans, beginnings)
    return {TopicPartition(*place): span for place, span in left.items()}


async def _fetch_plain(consumer: AIOKafkaConsumer, partitions: Iterable[TopicPartition]) -> _Fetched:
    """Return what has come; without headers."""
    return await fetch_plain(consumer, *partitions, timeout_seconds=WAIT_SECONDS)


async def _fetch(consumer: AIOKafkaConsumer, partitions: Iterable[TopicPartition]) -> _Fetched:
    found: _Fetched = await consumer.getmany(*partitions, timeout_ms=int(WAIT_SECONDS * 1000), max_records=AT_ONCE)
    return found


async def _read(
    consumer: AIOKafkaConsumer,
    fetch: Callable[[AIOKafkaConsumer, Iterable[TopicPartition]], Awaitable[_Fetched]],
    wanted: Mapping[TopicPartition, tuple[int, int]],
    report: Callable[[int], None],
) -> AsyncIterator[tuple[TopicPartition, list[Any]]]:
    """Yield records of each partition in its span, until every position has reached its end."""
    open_spans = {tp: span for tp, span in wanted.items() if span[1] > span[0]}
    consumer.assign(list(open_spans))
    for tp, (start, _) in open_spans.items():
        consumer.seek(tp, start)
    done = {tp: start for tp, (start, _) in open_spans.items()}
    loop = asyncio.get_running_loop()
    moved_at = loop.time()
    while open_spans:
        for tp, records in (await fetch(consumer, open_spans)).items():
            end = open_spans[tp][1]
            if records and records[-1].offset >= end:
                records = [r for r in records if r.offset < end]  # noqa: PLW2901 - read on beyond the ledger
            yield tp, records
        for tp, (_, end) in list(open_spans.items()):
            # Markers and aborted records hold offsets too: the position tells that the end is reached, not a record.
            position = min(await consumer.position(tp), end)
            if position > done[tp]:
                moved_at = loop.time()
            report(position - done[tp])
            done[tp] = position
            if position >= end:
                del open_spans[tp]
                consumer.pause(tp)
        if loop.time() - moved_at > STALL_SECONDS:
            raise _stalled({f"{tp.topic}[{tp.partition}]": (done[tp], end) for tp, (_, end) in open_spans.items()})


def _stalled(waiting: Mapping[str, tuple[int, int]]) -> UnreachableError:
    places = "; ".join(f"{place} at offset {offset} of {end}" for place, (offset, end) in sorted(waiting.items()))
    return UnreachableError(
        f"nothing came for {STALL_SECONDS:.0f} s: {places}. Look at the broker's log, then audit again."
    )


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
