"""The partition processor: positions, rejected records, what a checkpoint holds, what a restore refuses."""

from __future__ import annotations

import hashlib
from dataclasses import replace
from typing import TYPE_CHECKING

import orjson
import pytest

from streams.domain.declarations import FingerprintError
from streams.domain.declared import Amount, Declared
from streams.domain.dimensions import Dimension
from streams.domain.pages import PageKey, decode_page
from streams.domain.rejections import Reason
from streams.engine.batch import RecordBatch
from streams.engine.checkpoint import Checkpoint, Original, Restored, SeenKey, UnreadableError
from streams.engine.processing import HoleError
from streams.engine.processor import (
    SEEN_LIMIT_BYTES,
    WAITING_LIMIT_BATCHES,
    WAITING_LIMIT_RECORDS,
    CountingError,
    PartitionProcessor,
    restore_processor,
)

if TYPE_CHECKING:
    from collections import Counter
    from collections.abc import Sequence

from tests.unit.domain.samples import IDENTITY, START_MS, declarations, encode, festival, order

MINUTE_MS = 60_000


def batch(start: int, values: Sequence[bytes | None], record_time_ms: int = START_MS, **over: object) -> RecordBatch:
    """Return orders from offset `start` on."""
    end = start + len(values)
    fields = {"next_offset": end, "keys": [None] * len(values), **over}
    return RecordBatch(
        topic="orders",
        partition=3,
        start=start,
        offsets=range(start, end),
        values=values,
        record_times_ms=[record_time_ms] * len(values),
        **fields,  # type: ignore[arg-type]
    )


def orders(*event_ids: str) -> list[bytes | None]:
    """Return valid orders with these ids."""
    return [encode(order(event_id=event_id)) for event_id in event_ids]


def started() -> PartitionProcessor:
    """Return a processor at offset 10 of orders."""
    processor = PartitionProcessor(declarations(), 3, "g1")
    processor.belongs_to(IDENTITY)
    processor.start_at("orders", 10)
    return processor


def cut(processor: PartitionProcessor) -> Checkpoint:
    """Return the next checkpoint, which there must be."""
    checkpoint = processor.cut()
    assert checkpoint is not None
    return checkpoint


def restored(*checkpoints: Checkpoint) -> Restored:
    """Return what checkpoints leave behind."""
    pages: dict[PageKey, bytes] = {}
    seen: dict[SeenKey, bytes | None] = {}
    for checkpoint in checkpoints:
        pages.update(checkpoint.pages)
        seen.update(checkpoint.seen)
    kept = {key: hashes for key, hashes in seen.items() if hashes is not None}
    return Restored(checkpoints[-1].cursor, checkpoints[0].fingerprint, pages, kept)


def outcomes(processor: PartitionProcessor) -> Counter[str]:
    """Return the number of orders by outcome."""
    return processor.count_waiting().topics["orders"].outcomes


def reasons(processor: PartitionProcessor) -> Counter[str]:
    """Return the number of rejected orders by reason."""
    return processor.count_waiting().topics["orders"].rejected


def counted(processor: PartitionProcessor) -> int:
    """Return the number of orders counted."""
    return outcomes(processor)["counted"]


def test_a_batch_above_the_position_is_a_hole_and_counts_nothing() -> None:
    processor = started()
    with pytest.raises(HoleError, match=r"orders\[3\]: expected offset 10, the batch starts at 11") as hole:
        processor.apply(batch(11, orders("a")))
    assert (hole.value.topic, hole.value.partition, hole.value.expected, hole.value.found) == ("orders", 3, 10, 11)
    assert processor.positions == {"orders": 10}
    assert counted(processor) == 0


def test_a_batch_below_the_position_is_dropped_and_one_across_it_is_trimmed() -> None:
    processor = started()
    processor.apply(batch(10, orders("a", "b")))
    processor.apply(batch(10, orders("a", "b")))
    processor.apply(batch(11, orders("b", "c")))
    processor.apply(batch(5, orders(*"defgh")))
    assert outcomes(processor) == {"counted": 3, "rejected": 0, "late": 0, "expired": 0, "outside": 0}
    assert processor.positions == {"orders": 13}


def test_small_batches_are_counted_together_when_there_are_enough_or_someone_looks(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    processor = started()
    calls: list[int] = []
    apply = processor.count_waiting().apply

    def told(topic: str, values: Sequence[bytes | None], times: Sequence[int]) -> object:
        calls.append(len(values))
        return apply(topic, values, times)

    monkeypatch.setattr(processor.count_waiting(), "apply", told)
    for number in range(WAITING_LIMIT_BATCHES - 1):
        processor.apply(batch(10 + number, orders(str(number))))
    assert calls == []
    assert processor.positions == {"orders": 9 + WAITING_LIMIT_BATCHES}
    processor.apply(batch(9 + WAITING_LIMIT_BATCHES, orders("last")))
    assert calls == [WAITING_LIMIT_BATCHES]
    processor.apply(batch(10 + WAITING_LIMIT_BATCHES, orders(*map(str, range(100, 100 + WAITING_LIMIT_RECORDS)))))
    assert calls == [WAITING_LIMIT_BATCHES, WAITING_LIMIT_RECORDS]
    processor.apply(batch(10 + WAITING_LIMIT_BATCHES + WAITING_LIMIT_RECORDS, [b"{"]))
    assert len(cut(processor).rejected) == 1
    assert counted(processor) == WAITING_LIMIT_BATCHES + WAITING_LIMIT_RECORDS


def test_a_fault_while_counting_says_where(monkeypatch: pytest.MonkeyPatch) -> None:
    processor = started()
    monkeypatch.setattr(processor.count_waiting(), "apply", lambda *_: 1 // 0)
    processor.apply(batch(10, orders("a", "b")))
    with pytest.raises(CountingError, match=r"^orders\[3\] offsets 10 to 11$") as fault:
        processor.cut()
    assert isinstance(fault.value.__cause__, ZeroDivisionError)


def test_a_batch_without_records_moves_the_position() -> None:
    processor = started()
    cut(processor)
    processor.apply(batch(10, [], next_offset=17))
    assert cut(processor).cursor.positions == {"orders": 17}


def test_a_takeover_commits_a_cursor_with_nothing_to_count_and_then_rests() -> None:
    processor = started()
    first = cut(processor)
    assert (first.pages, first.fingerprint) == ([], declarations().fingerprint)
    assert first.positions == {"orders": 10}
    assert processor.cut() is None
    again = restore_processor(declarations(), 3, "g1", restored(first))
    assert again.started == {"orders": 10}
    second = cut(again)
    assert (second.pages, second.fingerprint) == ([], None)
    assert second.cursor.sequence == 2


def test_positions_kept_from_the_group_are_told_by_the_next_cut_that_tells_it_be_there_nothing_else() -> None:
    processor = started()
    cut(processor)
    processor.apply(batch(10, [], next_offset=17))
    kept = processor.cut(tells_group=False)
    assert kept is not None
    assert not kept.positions
    assert processor.cut(tells_group=False) is None
    assert cut(processor).positions == {"orders": 17}
    assert processor.cut() is None


def test_a_checkpoint_holds_the_pages_that_changed_and_no_others() -> None:
    processor = started()
    values = [encode(order(event_id="a")), encode(order(event_id="b", ts=START_MS + 301_000))]
    processor.apply(batch(10, values, START_MS + 301_000))
    cut(processor)
    processor.apply(batch(12, [encode(order(event_id="c", ts=START_MS + 302_000))], START_MS + 302_000))
    keys = [key for key, _ in cut(processor).pages]
    assert PageKey("g1", "day", "orders_by_second", 1) in keys
    assert PageKey("g1", "day", "orders_by_merchant", 0) in keys
    assert len(keys) == 6


def test_a_rejected_record_keeps_its_key_and_bytes_and_says_where_it_came_from() -> None:
    processor = started()
    processor.apply(batch(10, [b"{", *orders("a")], keys=[b"key", None]))
    assert reasons(processor) == {"not_json": 1}
    assert processor.pending_rejected_bytes == 4
    (record,) = cut(processor).rejected
    assert (record.topic, record.partition, record.offset) == ("orders", 3, 10)
    assert (record.key, record.value) == (b"key", b"{")
    assert record.rejection.reason is Reason.NOT_JSON
    assert record.rejection.detail
    assert (record.original, record.original_key_bytes) == (None, None)
    assert processor.pending_rejected_bytes == 0
    assert reasons(processor) == {"not_json": 1}


def test_a_huge_record_is_rejected_by_its_head_and_its_hash() -> None:
    processor = started()
    processor.apply(batch(10, [b"x" * 950_000, None, b"y" * 70_000], keys=[None, b"k" * 950_000, None]))
    huge, keyed, large = cut(processor).rejected
    assert huge.value == b"x" * 65_536
    assert huge.original == Original(950_000, hashlib.sha256(b"x" * 950_000).hexdigest())
    assert keyed.key == b"k" * 65_536
    assert (keyed.original, keyed.original_key_bytes) == (None, 950_000)
    assert large.value == b"y" * 70_000


def test_hashes_are_written_once_and_tombstoned_behind_the_horizon() -> None:
    processor = started()
    processor.apply(batch(10, orders("a", "b")))
    first = cut(processor)
    ((key, value),) = first.seen
    assert value is not None
    assert len(value) == 16
    again = restore_processor(declarations(), 3, "g1", restored(first))
    again.apply(batch(12, orders("a"), START_MS + 10 * MINUTE_MS))
    assert outcomes(again)["duplicate"] == 1
    again.apply(batch(13, orders("b"), START_MS + 11 * MINUTE_MS))
    assert counted(again) == 3
    assert (key, None) in cut(again).seen


def test_hashes_that_were_written_by_the_same_owner_are_tombstoned_too() -> None:
    processor = started()
    processor.apply(batch(10, orders("a", "b")))
    ((key, _),) = cut(processor).seen
    processor.apply(batch(12, orders("c"), START_MS + 11 * MINUTE_MS))
    assert (key, None) in cut(processor).seen


def test_many_hashes_are_split_into_records_that_kafka_takes() -> None:
    processor = started()
    count = SEEN_LIMIT_BYTES // 8 + 1
    processor.apply(batch(10, orders(*map(str, range(count)))))
    sizes = [len(value or b"") for _, value in cut(processor).seen]
    assert sizes == [SEEN_LIMIT_BYTES, 8]


def test_an_empty_ledger_restores_to_a_processor_without_positions() -> None:
    assert restore_processor(declarations(), 3, "g1", Restored()).positions == {}


def test_another_fingerprint_is_refused_by_name() -> None:
    committed = restored(cut(started()))
    with pytest.raises(FingerprintError, match=r"festival day, end"):
        restore_processor(declarations(festival(hours=23)), 3, "g1", committed)


def test_a_ledger_that_cannot_be_read_is_never_guessed() -> None:
    processor = started()
    processor.apply(batch(10, orders("a")))
    committed = restored(cut(processor))
    page, other = (PageKey("g1", "day", rollup, 0) for rollup in ("orders_by_second", "orders_by_merchant"))
    unknown = PageKey("g1", "day", "orders_by_moon", 0)
    for broken in (
        replace(committed, cursor=None),
        Restored(fingerprint=committed.fingerprint),
        replace(committed, fingerprint=None),
        replace(committed, pages={**committed.pages, page: b"\xc1"}),
        replace(committed, pages={**committed.pages, page: committed.pages[other]}),
        replace(committed, pages={**committed.pages, unknown: committed.pages[page]}),
        replace(committed, seen={SeenKey("g1", "orders", 1, 1, 0): b"7 bytes"}),
    ):
        with pytest.raises(UnreadableError):
            restore_processor(declarations(), 3, "g1", broken)


def test_the_leader_of_the_newest_batch_is_known_also_where_nothing_of_it_is_counted() -> None:
    """By it a log that lost its tail is told; a control record's is the newest there is."""
    processor = started()
    first = cut(processor)
    assert first.cursor.epochs == {}
    processor.apply(batch(10, orders("a"), leader_epoch=4))
    assert processor.epochs == {"orders": 4}
    processor.apply(batch(11, [], next_offset=12, leader_epoch=5))
    processor.apply(batch(9, orders("a"), leader_epoch=3))
    last = cut(processor)
    assert last.cursor.epochs == {"orders": 5}
    again = restore_processor(declarations(), 3, "g1", restored(first, last))
    assert (again.epochs, again.identity) == ({"orders": 5}, IDENTITY)


def test_a_dimension_and_an_amount_declared_since_count_from_the_next_record_on() -> None:
    """What was counted before keeps its pages, in which the amount is nothing."""
    before = started()
    before.apply(batch(10, orders("e1", "e2")))
    kept = restored(cut(before))
    declared = Declared((Dimension("orders", "channel"),), (Amount("orders", "tip_minor"),))
    ours = replace(declarations(), rollups=declared.rollups, facts=declared.facts)
    processor = restore_processor(ours, 3, "g1", kept)
    processor.apply(batch(12, [encode(order(event_id="e3", channel="web", tip_minor=50))]))
    checkpoint = cut(processor)
    assert checkpoint.fingerprint == ours.adopted(kept.fingerprint or b"", {"orders": 12}, START_MS)
    assert orjson.loads(checkpoint.fingerprint)["late"] == {"day": {"orders": 12}}
    pages = {key.rollup: decode_page(content) for key, content in checkpoint.pages}
    tables = {rollup.name: [measure.name for measure in rollup.measures] for rollup in ours.rollups}
    found = {
        name: {m: int(row.sum()) for m, row in zip(tables[name], pages[name].cells(), strict=True)}
        for name in ("orders_by_second", "orders_by_merchant", "orders_by_channel")
    }
    assert {name: (sums["orders"], sums["tip_minor"]) for name, sums in found.items()} == {
        "orders_by_second": (3, 50), "orders_by_merchant": (3, 50), "orders_by_channel": (1, 50),
    }  # fmt: skip
    again = restore_processor(ours, 3, "g1", restored(checkpoint))
    assert again.positions == {"orders": 13}
    with pytest.raises(FingerprintError, match="dimension channel of orders: the ledger counts it"):
        restore_processor(declarations(), 3, "g1", restored(checkpoint))
