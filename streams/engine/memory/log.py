"""The log of one partition: records, control records, holes, and up to where readers see it.

Pure data under a `Kafka` (`streams.engine.memory.cluster`), which looks after topics, clocks and rights. Records lie in
parallel lists, in the order of their offsets; an offset that no record has is a hole.
"""

from __future__ import annotations

from bisect import bisect_left
from dataclasses import dataclass
from typing import TYPE_CHECKING, NamedTuple

from streams.engine.batch import RecordBatch
from streams.engine.memory.errors import DamagedError, OutOfOrderSequenceError, OutOfRangeError

if TYPE_CHECKING:
    from collections.abc import Iterator, Sequence

Headers = tuple[tuple[str, bytes], ...]

DATA, ABORTED, COMMIT_MARKER, ABORT_MARKER = range(4)
"""Kinds of records: data in an open or committed transaction or in none, aborted data, control records."""
NO_PRODUCER = -1


class LogRecord(NamedTuple):
    """One record that readers see."""

    offset: int
    key: bytes | None
    value: bytes | None
    record_time_ms: int
    headers: Headers


class AbortedTransaction(NamedTuple):
    """An entry of the index that tells `read_committed` readers what to leave out."""

    producer_id: int
    first_offset: int
    marker_offset: int


class OpenTransaction(NamedTuple):
    """A transaction that holds the last stable offset back."""

    producer_id: int
    first_offset: int
    record_time_ms: int


@dataclass(slots=True)
class EndedTransaction:
    """Where the records of a transaction lie, and the control record that ended it."""

    producer_id: int
    spans: list[tuple[int, int]]
    """Half-open ranges of offsets, ascending."""
    marker_offset: int
    is_commit: bool


class _Sent(NamedTuple):
    """What a partition remembers of an idempotent producer: its newest batch, to know a resend."""

    epoch: int
    sequence: int
    next_sequence: int
    base_offset: int


class PartitionLog:
    """One partition. Offsets: `beginning` ≤ last stable offset ≤ high watermark ≤ `end`."""

    def __init__(self, topic: str, partition: int) -> None:
        """Begin empty, at offset 0 and leader epoch 0."""
        self.topic, self.partition = topic, partition
        self.beginning = 0
        self.end = 0
        self.replicated: int | None = None
        """Where replication stands still; None: all replicas have everything."""
        self.leader_epochs: list[tuple[int, int]] = [(0, 0)]
        """Each leader epoch with the offset it began at, ascending."""
        self.open: dict[int, list[tuple[int, int]]] = {}
        """Spans of the open transactions, by producer id."""
        self.ended: list[EndedTransaction] = []
        self.damaged: set[int] = set()
        """Offsets whose bytes cannot be read."""
        self.offsets: list[int] = []
        self.keys: list[bytes | None] = []
        self.values: list[bytes | None] = []
        self.times_ms: list[int] = []
        self.kinds = bytearray()
        self.headers: dict[int, Headers] = {}
        self._sent: dict[int, _Sent] = {}

    @property
    def high_watermark(self) -> int:
        """Return the offset up to which every replica has the log: readers see no further."""
        return self.end if self.replicated is None else min(self.replicated, self.end)

    @property
    def stable_offset(self) -> int:
        """Return the last stable offset: the first record of the oldest open transaction, or the high watermark."""
        if not self.open:
            return self.high_watermark
        first = min(spans[0][0] for spans in self.open.values())
        return min(max(first, self.beginning), self.high_watermark)

    @property
    def aborted(self) -> list[AbortedTransaction]:
        """Return the aborted transactions whose control record is still in the log."""
        return [
            AbortedTransaction(t.producer_id, t.spans[0][0], t.marker_offset) for t in self.ended if not t.is_commit
        ]

    @property
    def open_transactions(self) -> list[OpenTransaction]:
        """Return the open transactions, the oldest first."""
        firsts = sorted((spans[0][0], producer_id) for producer_id, spans in self.open.items())
        return [OpenTransaction(producer, first, self._time_at(first)) for first, producer in firsts]

    def append(
        self,
        values: Sequence[bytes | None],
        keys: Sequence[bytes | None] | None,
        headers: Sequence[Headers] | None,
        time_ms: int,
        transaction: int = NO_PRODUCER,
    ) -> int:
        """Append records with one record time; returns the offset of the first.

        `transaction`: the producer id whose open transaction they belong to.
        """
        base, count = self.end, len(values)
        self.end = end = base + count
        self.offsets.extend(range(base, end))
        self.values.extend(values)
        self.keys.extend(keys if keys is not None else [None] * count)
        self.times_ms.extend([time_ms] * count)
        self.kinds.extend(bytes(count))
        if headers is not None:
            self.headers.update((base + i, pairs) for i, pairs in enumerate(headers) if pairs)
        if transaction != NO_PRODUCER and count:
            spans = self.open.setdefault(transaction, [])
            if spans and spans[-1][1] == base:
                spans[-1] = (spans[-1][0], end)
            else:
                spans.append((base, end))
        return base

    def resent(self, producer_id: int, epoch: int, sequence: int) -> int | None:
        """Return the offset of a batch that was stored before, None for a new one.

        Raises `OutOfOrderSequenceError` where batches before it are missing.
        """
        sent = self._sent.get(producer_id)
        if sent is None or sent.epoch != epoch:
            return None
        if sequence == sent.sequence:
            return sent.base_offset
        if sequence != sent.next_sequence:
            raise OutOfOrderSequenceError(f"{self.topic}[{self.partition}]: {sequence}, not {sent.next_sequence}")
        return None

    def remember(self, producer_id: int, epoch: int, sequence: int, base_offset: int) -> None:
        """Remember the newest batch of an idempotent producer, which has just been appended."""
        self._sent[producer_id] = _Sent(epoch, sequence, sequence + self.end - base_offset, base_offset)

    def end_transaction(self, producer_id: int, time_ms: int, *, is_commit: bool) -> int:
        """Write the control record that commits or aborts a producer's records; returns its offset.

        A partition that was announced and never written to gets one too.
        """
        marker = self.end
        self.append([None], None, None, time_ms)
        self.kinds[-1] = COMMIT_MARKER if is_commit else ABORT_MARKER
        spans = self.open.pop(producer_id, None)
        if spans is not None:
            if not is_commit:
                self._mark(spans, ABORTED)
            self.ended.append(EndedTransaction(producer_id, spans, marker, is_commit))
        return marker

    def read(
        self, offset: int, *, is_committed_only: bool, max_records: int | None, max_bytes: int | None
    ) -> RecordBatch:
        """Return what a fetch at `offset` brings; it may be empty, and may still move the position.

        At least one record comes if there is one, whatever `max_bytes`. Raises `OutOfRangeError`, `DamagedError`.
        """
        if not self.beginning <= offset <= self.end:
            raise OutOfRangeError(self.topic, self.partition, offset, self.beginning, self.end)
        limit = max(self.stable_offset if is_committed_only else self.high_watermark, offset)
        if self.damaged:
            if offset in self.damaged:
                raise DamagedError(f"{self.topic}[{self.partition}]: offset {offset} cannot be read")
            limit = min([limit, *(place for place in self.damaged if place > offset)])
        first, last = bisect_left(self.offsets, offset), bisect_left(self.offsets, limit)
        next_offset = limit
        if max_records is not None and last - first > max_records:
            last = first + max_records
            next_offset = self.offsets[last - 1] + 1
        if max_bytes is not None and (fits := self._fitting(first, last, max_bytes)) < last:
            last = fits
            next_offset = self.offsets[last - 1] + 1
        return self._batch(first, last, offset, next_offset, ABORTED if is_committed_only else COMMIT_MARKER)

    def records(self, *, is_committed_only: bool = True, start: int = 0, end: int | None = None) -> Iterator[LogRecord]:
        """Yield the records that readers see from `start` up to, not including, `end`, whatever was damaged."""
        limit = self.stable_offset if is_committed_only else self.high_watermark
        limit = limit if end is None else min(limit, end)
        hidden = ABORTED if is_committed_only else COMMIT_MARKER
        for i in range(bisect_left(self.offsets, start), bisect_left(self.offsets, limit)):
            if self.kinds[i] < hidden:
                offset = self.offsets[i]
                yield LogRecord(offset, self.keys[i], self.values[i], self.times_ms[i], self.headers.get(offset, ()))

    def offset_for_time(self, time_ms: int, *, is_committed_only: bool) -> tuple[int, int] | None:
        """Return offset and time of the first record, of whatever kind, that is not older than `time_ms`.

        None where there is none below the high watermark, or the last stable offset.
        """
        limit = self.stable_offset if is_committed_only else self.high_watermark
        last = bisect_left(self.offsets, limit)
        found = next((i for i in range(last) if self.times_ms[i] >= time_ms), None)
        return None if found is None else (self.offsets[found], self.times_ms[found])

    def end_of_epoch(self, epoch: int) -> tuple[int, int]:
        """Return the newest leader epoch up to `epoch`, and the offset at which it ended; (-1, -1) for a later one."""
        if epoch > self.leader_epochs[-1][0]:
            return -1, -1
        later = next((i for i, (e, _) in enumerate(self.leader_epochs) if e > epoch), None)
        if later is None:
            return epoch, self.end
        return (self.leader_epochs[later - 1][0] if later else epoch), self.leader_epochs[later][1]

    def epoch_at(self, offset: int) -> int:
        """Return the leader epoch under which the record at `offset` was, or would be, written."""
        return next((e for e, start in reversed(self.leader_epochs) if start <= offset), self.leader_epochs[0][0])

    def elect(self) -> None:
        """Begin a new leader epoch at the end of the log."""
        epoch = self.leader_epochs[-1][0] + 1
        self.leader_epochs = [entry for entry in self.leader_epochs if entry[1] < self.end] + [(epoch, self.end)]

    def delete_below(self, offset: int) -> None:
        """Delete the records below `offset`, at most up to the high watermark: retention."""
        offset = min(offset, self.high_watermark)
        if offset <= self.beginning:
            return
        self.beginning = offset
        self._keep(slice(bisect_left(self.offsets, offset), None))
        self.ended = [transaction for transaction in self.ended if transaction.marker_offset >= offset]
        cut = {p: [(max(a, offset), b) for a, b in spans if b > offset] for p, spans in self.open.items()}
        self.open = {producer: spans for producer, spans in cut.items() if spans}
        self.leader_epochs = [
            (epoch, max(start, offset))
            for i, (epoch, start) in enumerate(self.leader_epochs)
            if i + 1 == len(self.leader_epochs) or self.leader_epochs[i + 1][1] > offset
        ]

    def truncate(self, end: int) -> None:
        """Lose the records from `end` on, as by the election of a replica that lagged behind; a new epoch begins.

        A transaction whose control record is lost is open again, and stays so until somebody ends it.
        """
        assert self.beginning <= end <= self.end, (self.beginning, end, self.end)
        self._keep(slice(bisect_left(self.offsets, end)))
        self.end = end
        self.replicated = None
        self._sent = {producer: sent for producer, sent in self._sent.items() if sent.base_offset < end}
        for transaction in self.ended:
            if transaction.marker_offset >= end:
                self._mark(transaction.spans, DATA)
                self.open[transaction.producer_id] = transaction.spans + self.open.get(transaction.producer_id, [])
        self.ended = [transaction for transaction in self.ended if transaction.marker_offset < end]
        cut = {p: [(a, min(b, end)) for a, b in spans if a < end] for p, spans in self.open.items()}
        self.open = {producer: spans for producer, spans in cut.items() if spans}
        self.elect()

    def only(self, kept: list[int]) -> None:
        """Keep the records at these places of the lists, ascending: compaction leaves holes."""
        self.offsets = [self.offsets[i] for i in kept]
        self.keys = [self.keys[i] for i in kept]
        self.values = [self.values[i] for i in kept]
        self.times_ms = [self.times_ms[i] for i in kept]
        self.kinds = bytearray([self.kinds[i] for i in kept])
        self._forget_headers()

    def _keep(self, part: slice) -> None:
        self.offsets, self.keys, self.values = self.offsets[part], self.keys[part], self.values[part]
        self.times_ms, self.kinds = self.times_ms[part], self.kinds[part]
        self._forget_headers()

    def _forget_headers(self) -> None:
        if self.headers:
            left = set(self.offsets)
            self.headers = {offset: pairs for offset, pairs in self.headers.items() if offset in left}

    def _mark(self, spans: Sequence[tuple[int, int]], kind: int) -> None:
        for start, end in spans:
            first, last = bisect_left(self.offsets, start), bisect_left(self.offsets, end)
            self.kinds[first:last] = bytes([kind]) * (last - first)

    def _fitting(self, first: int, last: int, max_bytes: int) -> int:
        size = 0
        for i in range(first, last):
            size += len(self.keys[i] or b"") + len(self.values[i] or b"")
            if size > max_bytes and i > first:
                return i
        return last

    def _batch(self, first: int, last: int, start: int, next_offset: int, hidden: int) -> RecordBatch:
        part = slice(first, last)
        offsets, keys, values = self.offsets[part], self.keys[part], self.values[part]
        times, kinds = self.times_ms[part], self.kinds[part]
        if kinds.count(DATA) != len(kinds):
            shown = [i for i, kind in enumerate(kinds) if kind < hidden]
            offsets, times = [offsets[i] for i in shown], [times[i] for i in shown]
            keys, values = [keys[i] for i in shown], [values[i] for i in shown]
        epoch = self.epoch_at(next_offset - 1) if next_offset > start else None
        return RecordBatch(
            self.topic, self.partition, start, next_offset, offsets, keys, values, times, (), True, epoch
        )

    def _time_at(self, offset: int) -> int:
        place = bisect_left(self.offsets, offset)
        return self.times_ms[place]
