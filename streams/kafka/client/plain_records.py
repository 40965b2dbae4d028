"""Fetched records as aiokafka's own loop finds them, a batch at a time and without an object of Python's each.

Used by the audit, which must not read the log by the worker's unpacking (`unpack`). aiokafka's loop stays what it is:
it checks each batch, leaves out what is aborted and moves the position along. It is only given each batch as if it were
one record. Its turn for each record, with a `ConsumerRecord` made, would cost 3 µs. The private names used are held by
tests/contract/test_aiokafka_names.py.
"""
# ruff: noqa: SLF001 - aiokafka has no public way to it

from __future__ import annotations

from itertools import chain
from typing import TYPE_CHECKING, Any, Protocol

from streams.kafka.client.raw_consumer import RawConsumer

if TYPE_CHECKING:
    from collections.abc import Iterable, Iterator

    from aiokafka import AIOKafkaConsumer, TopicPartition

BATCHES_AT_ONCE = 8
"""Handed on in one turn: some 10,000 records of a producer that fills its batches."""


class PlainRecord(Protocol):
    """What aiokafka's parser makes of a record."""

    offset: int
    timestamp: int
    key: bytes | None
    value: bytes | None


async def fetch_plain(
    consumer: AIOKafkaConsumer, *partitions: TopicPartition, timeout_seconds: float
) -> dict[TopicPartition, list[PlainRecord]]:
    """Return records of some of the partitions; empty where none came in time. Raises like `getmany`."""
    fetcher: Any = consumer._fetcher
    raw = RawConsumer(consumer)
    if set(partitions).isdisjoint(raw.fetched()):
        await raw.wait(timeout_seconds)
    positions = {}
    for tp, fetched in fetcher._records.items():
        # In place of the error of a fetch there are no records.
        if (records := getattr(fetched, "_partition_records", None)) is not None:
            positions[tp] = records.next_fetch_offset
            give_whole_batches(records)
    found: Any = await consumer.getmany(*partitions, timeout_ms=0, max_records=BATCHES_AT_ONCE)
    return {tp: flat(batches, positions[tp]) for tp, batches in found.items()}


def give_whole_batches(fetched: Any) -> None:  # noqa: ANN401 - aiokafka's types of fetches are private
    """Let a fetch give the records of a batch at a time, as a list, where it would give each on its own."""
    if not isinstance(fetched._records, _Batches):
        fetched._records, fetched._consumer_record = _Batches(fetched._records), _records_of


def flat(batches: Iterable[list[PlainRecord]], position: int) -> list[PlainRecord]:
    """Return the records of batches from a position on: each was fetched whole, also from its middle."""
    found = list(chain.from_iterable(batches))
    is_whole = not found or found[0].offset >= position
    return found if is_whole else [record for record in found if record.offset >= position]


def _records_of(_: TopicPartition, whole: _Whole) -> list[PlainRecord]:
    return whole.records


class _Whole:
    """All records of a batch in the place of one: aiokafka goes on behind its offset."""

    def __init__(self, records: list[PlainRecord]) -> None:
        self.records = records
        self.offset = records[-1].offset


class _Batch:
    """A batch that gives its records as one."""

    def __init__(self, batch: Any) -> None:  # noqa: ANN401 - aiokafka's C types have no common base
        self._batch = batch

    def __getattr__(self, name: str) -> Any:  # noqa: ANN401
        return getattr(self._batch, name)

    def __next__(self) -> Any:  # noqa: ANN401
        """Return the next record itself: of a control batch, what became of the transaction."""
        return next(self._batch)

    def __iter__(self) -> Iterator[_Whole]:
        if records := list(self._batch):
            yield _Whole(records)


class _Batches:
    """The batches of a fetch, each as `_Batch`."""

    def __init__(self, records: Any) -> None:  # noqa: ANN401
        self.has_next = records.has_next
        self._next_batch = records.next_batch

    def next_batch(self) -> _Batch:
        return _Batch(self._next_batch())
