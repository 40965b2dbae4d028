"""The log of the in-memory Kafka against a plain model: after any history each reader sees what the model says."""

from __future__ import annotations

from dataclasses import dataclass, field

from hypothesis import given
from hypothesis import strategies as st

from streams.engine.memory.log import AbortedTransaction, OpenTransaction, PartitionLog

PRODUCERS = (1, 2)
DATA, COMMIT, ABORT = "data", "commit", "abort"


@dataclass
class Entry:
    """One offset of the model: who wrote what, and what became of the transaction that it is of."""

    value: bytes
    time_ms: int
    kind: str = DATA
    producer: int | None = None
    ended: str | None = None
    """How the transaction ended; None while it is open, or without one."""
    marker: int | None = None


@dataclass
class Model:
    """Every offset that is there, with nothing derived and nothing cut short."""

    entries: dict[int, Entry] = field(default_factory=dict)
    beginning: int = 0
    end: int = 0
    replicated: int | None = None

    @property
    def high_watermark(self) -> int:
        return self.end if self.replicated is None else min(self.end, self.replicated)

    def of_open(self, producer: int) -> list[int]:
        return [o for o, e in self.entries.items() if e.producer == producer and e.kind == DATA and e.ended is None]

    @property
    def stable_offset(self) -> int:
        return min([self.high_watermark, *(min(own) for p in PRODUCERS if (own := self.of_open(p)))])

    def limit(self, *, is_committed_only: bool) -> int:
        return self.stable_offset if is_committed_only else self.high_watermark

    def seen(self, start: int, end: int, *, is_committed_only: bool) -> list[tuple[int, bytes, int]]:
        return [
            (offset, entry.value, entry.time_ms)
            for offset, entry in sorted(self.entries.items())
            if start <= offset < end and entry.kind == DATA and not (is_committed_only and entry.ended == ABORT)
        ]

    def append(self, count: int, size: int, time_ms: int, producer: int | None) -> None:
        for _ in range(count):
            self.entries[self.end] = Entry(b"v" * size, time_ms, producer=producer)
            self.end += 1

    def end_transaction(self, producer: int, time_ms: int, kind: str) -> None:
        for offset in self.of_open(producer):
            self.entries[offset].ended, self.entries[offset].marker = kind, self.end
        self.entries[self.end] = Entry(b"", time_ms, kind=kind, producer=producer)
        self.end += 1

    def delete_below(self, offset: int) -> None:
        self.beginning = max(self.beginning, min(offset, self.high_watermark))
        self.entries = {o: e for o, e in self.entries.items() if o >= self.beginning}

    def truncate(self, end: int) -> None:
        self.end, self.replicated = end, None
        self.entries = {o: e for o, e in self.entries.items() if o < end}
        for entry in self.entries.values():
            if entry.marker is not None and entry.marker >= end:
                entry.ended = entry.marker = None


NUMBERS = st.integers(0, 20)
STEPS = st.lists(
    st.one_of(
        st.tuples(st.just("append"), st.integers(1, 3), st.sampled_from((None, None, *PRODUCERS))),
        st.tuples(st.just("end"), st.sampled_from(PRODUCERS), st.sampled_from((COMMIT, ABORT))),
        st.tuples(st.just("delete"), NUMBERS, st.none()),
        st.tuples(st.just("truncate"), NUMBERS, st.none()),
        st.tuples(st.just("replicate"), NUMBERS, st.none()),
        st.tuples(st.just("elect"), NUMBERS, st.none()),
        st.tuples(st.just("compact"), NUMBERS, st.none()),
    ),
    max_size=14,
)


def advance(log: PartitionLog, model: Model, step: tuple[str, int, int | str | None], time_ms: int) -> None:
    """Do the same to both."""
    what, number, more = step
    # Within the log, and a little beyond.
    place = log.beginning + number % (log.end - log.beginning + 2)
    if what == "append":
        producer = more if isinstance(more, int) else None
        size = time_ms % 4
        log.append([b"v" * size] * number, None, None, time_ms, *([] if producer is None else [producer]))
        model.append(number, size, time_ms, producer)
    elif what == "end":
        log.end_transaction(number, time_ms, is_commit=more == COMMIT)
        model.end_transaction(number, time_ms, str(more))
    elif what == "delete":
        log.delete_below(place)
        model.delete_below(place)
    elif what == "truncate":
        log.truncate(min(place, log.end))
        model.truncate(min(place, model.end))
    elif what == "replicate":
        log.replicated = model.replicated = max(place, log.beginning) if number else None
    elif what == "elect":
        log.elect()
    else:
        gone = {offset for offset in log.offsets if offset < log.stable_offset and offset % 3 == number % 3}
        gone = {
            offset for offset in gone if model.entries[offset].kind == DATA and model.entries[offset].ended != ABORT
        }
        log.only([i for i, offset in enumerate(log.offsets) if offset not in gone])
        for offset in gone:
            if model.entries[offset].producer is None:
                del model.entries[offset]
            else:  # a transaction is known by its records
                model.entries[offset].kind = "hole"


def transactions(model: Model) -> tuple[list[OpenTransaction], list[AbortedTransaction]]:
    firsts = sorted((min(own), producer) for producer in PRODUCERS if (own := model.of_open(producer)))
    opened = [OpenTransaction(producer, first, model.entries[first].time_ms) for first, producer in firsts]
    by_marker: dict[int, list[int]] = {}
    for offset, entry in sorted(model.entries.items()):
        if entry.marker is not None and entry.ended == ABORT:
            by_marker.setdefault(entry.marker, []).append(offset)
    aborted = [AbortedTransaction(model.entries[own[0]].producer or 0, own[0], m) for m, own in by_marker.items()]
    return opened, sorted(aborted, key=lambda t: t.marker_offset)


@given(STEPS)
def test_readers_see_what_a_plain_list_of_records_would_show(steps: list[tuple[str, int, int | str | None]]) -> None:
    log, model = PartitionLog("orders", 0), Model()
    for time_ms, step in enumerate(steps, start=100):
        advance(log, model, step, time_ms)
        assert (log.beginning, log.end, log.high_watermark) == (model.beginning, model.end, model.high_watermark)
        assert log.stable_offset == model.stable_offset
        assert log.open_transactions == transactions(model)[0]
        for is_committed_only in (True, False):
            limit = model.limit(is_committed_only=is_committed_only)
            shown = model.seen(0, limit, is_committed_only=is_committed_only)
            records = log.records(is_committed_only=is_committed_only)
            assert [(r.offset, r.value, r.record_time_ms) for r in records] == shown
            for offset in range(log.beginning, log.end + 1):
                batch = log.read(offset, is_committed_only=is_committed_only, max_records=None, max_bytes=None)
                assert (batch.start, batch.next_offset) == (offset, max(offset, limit))
                found = list(zip(batch.offsets, batch.values, batch.record_times_ms, strict=True))
                assert found == [record for record in shown if record[0] >= offset]


@given(STEPS, st.integers(1, 4), st.integers(0, 5))
def test_small_fetches_one_after_the_other_bring_the_same_and_always_move_on(
    steps: list[tuple[str, int, int | str | None]], max_records: int, max_bytes: int
) -> None:
    log, model = PartitionLog("orders", 0), Model()
    for time_ms, step in enumerate(steps, start=100):
        advance(log, model, step, time_ms)
    for is_committed_only in (True, False):
        limit = model.limit(is_committed_only=is_committed_only)
        found: list[tuple[int, bytes | None]] = []
        position = log.beginning
        while position < limit:
            batch = log.read(
                position, is_committed_only=is_committed_only, max_records=max_records, max_bytes=max_bytes
            )
            assert position < batch.next_offset <= limit
            assert len(batch) <= max_records
            assert len(batch) <= 1 or sum(len(value or b"") for value in batch.values) <= max_bytes
            found += zip(batch.offsets, batch.values, strict=True)
            position = batch.next_offset
        shown = model.seen(log.beginning, limit, is_committed_only=is_committed_only)
        assert found == [record[:2] for record in shown]


@given(STEPS, st.integers(99, 115))
def test_the_first_record_of_a_time_is_the_first_below_the_readers_limit_that_is_not_older(
    steps: list[tuple[str, int, int | str | None]], time_ms: int
) -> None:
    log, model = PartitionLog("orders", 0), Model()
    for now_ms, step in enumerate(steps, start=100):
        advance(log, model, step, now_ms)
    for is_committed_only in (True, False):
        limit = model.limit(is_committed_only=is_committed_only)
        there = ((o, e.time_ms) for o, e in sorted(model.entries.items()) if o < limit and e.kind != "hole")
        first = next(((offset, at_ms) for offset, at_ms in there if at_ms >= time_ms), None)
        assert log.offset_for_time(time_ms, is_committed_only=is_committed_only) == first
