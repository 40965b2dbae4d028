"""The log of a partition: what readers see, and what retention, compaction and accidents leave of it."""

from __future__ import annotations

import pytest

from streams.engine.memory import UNCOMMITTED, Kafka, Producer
from streams.engine.memory.errors import DamagedError, OutOfOrderSequenceError, OutOfRangeError
from streams.engine.memory.log import AbortedTransaction, LogRecord, OpenTransaction, PartitionLog

PLACE = ("orders", 0)
LEDGER = ("ledger", 0)


@pytest.fixture
def kafka() -> Kafka:
    kafka = Kafka(1_000)
    kafka.create_topic("orders", 1)
    kafka.create_topic("ledger", 1, is_compacted=True, min_compaction_lag_ms=100, delete_retention_ms=50)
    return kafka


def log_of(kafka: Kafka) -> PartitionLog:
    return kafka.log(*PLACE)


def write(kafka: Kafka, *values: bytes) -> None:
    kafka.produce(*PLACE, values)


def keep(kafka: Kafka, **records: bytes | None) -> None:
    kafka.produce(*LEDGER, list(records.values()), [key.encode() for key in records])


def compacted(kafka: Kafka, after_ms: int = 1_000, below: int | None = None) -> list[tuple[bytes | None, bytes | None]]:
    kafka.tick(kafka.now_ms + after_ms)
    kafka.compact(*LEDGER, below=below)
    return [(record.key, record.value) for record in kafka.log(*LEDGER).records()]


def test_record_times_are_the_brokers_and_go_back_only_when_its_clock_is_turned(kafka: Kafka) -> None:
    write(kafka, b"0")
    kafka.tick(1_500)
    write(kafka, b"1")
    kafka.skew_ms = -700
    write(kafka, b"2")
    assert list(kafka.fetch(*PLACE, 0).record_times_ms) == [1_000, 1_500, 800]
    assert kafka.offset_for_time(*PLACE, 1_400) == (1, 1_500)
    assert kafka.offset_for_time(*PLACE, 1_501) is None
    with pytest.raises(AssertionError):
        kafka.tick(1_499)


def test_a_fetch_ends_at_its_limits_and_the_next_one_joins_it(kafka: Kafka) -> None:
    write(kafka, b"aaa", b"bbb", b"ccc", b"d")
    first = kafka.fetch(*PLACE, 0, max_records=3)
    assert (list(first.values), first.start, first.next_offset) == ([b"aaa", b"bbb", b"ccc"], 0, 3)
    small = kafka.fetch(*PLACE, 0, max_bytes=6)
    assert (list(small.values), small.next_offset) == ([b"aaa", b"bbb"], 2)
    large = kafka.fetch(*PLACE, 2, max_bytes=1)
    assert (list(large.values), large.next_offset) == ([b"ccc"], 3)
    rest = kafka.fetch(*PLACE, 3, max_records=3, max_bytes=100)
    assert (list(rest.values), rest.start, rest.next_offset) == ([b"d"], 3, 4)
    nothing = kafka.fetch(*PLACE, 4)
    assert (len(nothing), nothing.start, nothing.next_offset) == (0, 4, 4)


def test_a_reader_behind_the_last_stable_offset_waits_there(kafka: Kafka) -> None:
    producer = Producer(kafka, "a")
    producer.send(*PLACE, [b"open"])
    write(kafka, b"1")
    batch = kafka.fetch(*PLACE, 1)
    assert (len(batch), batch.next_offset) == (0, 1)
    assert list(kafka.fetch(*PLACE, 0, isolation=UNCOMMITTED).values) == [b"open", b"1"]


def test_readers_see_no_further_than_all_replicas_have(kafka: Kafka) -> None:
    write(kafka, b"0", b"1")
    log = log_of(kafka)
    log.replicated = 1
    assert (log.high_watermark, log.stable_offset, log.end) == (1, 1, 2)
    assert list(kafka.fetch(*PLACE, 0, isolation=UNCOMMITTED).values) == [b"0"]
    assert len(kafka.fetch(*PLACE, 2)) == 0
    log.replicated = None
    assert list(kafka.fetch(*PLACE, 0).values) == [b"0", b"1"]


def test_headers_are_kept_with_their_records(kafka: Kafka) -> None:
    kafka.produce(*PLACE, [b"0", b"1", b"2"], None, [(("reason", b"x"),), (), (("reason", b"y"),)])
    log = log_of(kafka)
    log.delete_below(1)
    assert list(log.records(end=3)) == [
        LogRecord(1, None, b"1", 1_000, ()),
        LogRecord(2, None, b"2", 1_000, (("reason", b"y"),)),
    ]
    assert log.headers == {2: (("reason", b"y"),)}
    assert [record.offset for record in log.records(start=1, end=2)] == [1]


def test_open_and_aborted_transactions_are_told(kafka: Kafka) -> None:
    lost, hanging = Producer(kafka, "lost"), Producer(kafka, "hanging")
    lost.send(*PLACE, [b"0"])
    kafka.tick(1_100)
    hanging.send(*PLACE, [b"1"])
    lost.send(*PLACE, [b"2"])
    lost.send(*PLACE, [b"3"])
    log = log_of(kafka)
    assert kafka.describe_producers(*PLACE) == [
        OpenTransaction(lost.identity[0], 0, 1_000),
        OpenTransaction(hanging.identity[0], 1, 1_100),
    ]
    assert log.open[lost.identity[0]] == [(0, 1), (2, 4)]
    lost.abort()
    assert log.aborted == [AbortedTransaction(lost.identity[0], 0, 4)]
    hanging.commit()
    assert [record.value for record in log.records()] == [b"1"]
    assert [record.value for record in log.records(is_committed_only=False)] == [b"0", b"1", b"2", b"3"]


def test_retention_deletes_by_offset_and_by_time_up_to_the_high_watermark(kafka: Kafka) -> None:
    write(kafka, b"0", b"1")
    kafka.tick(2_000)
    write(kafka, b"2", b"3")
    log = log_of(kafka)
    kafka.delete_older("orders", 1_500)
    assert (log.beginning, log.end) == (2, 4)
    log.delete_below(1)
    assert log.beginning == 2
    log.replicated = 3
    kafka.delete_older("orders", 9_999)
    assert (log.beginning, log.offsets) == (3, [3])
    with pytest.raises(OutOfRangeError, match=r"orders\[0\]: offset 2 is outside 3 to 4"):
        kafka.fetch(*PLACE, 2)
    with pytest.raises(OutOfRangeError):
        kafka.fetch(*PLACE, 5)


def test_retention_takes_the_beginning_of_a_transaction_too(kafka: Kafka) -> None:
    ended, within, hanging = Producer(kafka, "ended"), Producer(kafka, "within"), Producer(kafka, "hanging")
    ended.send(*PLACE, [b"0"])
    ended.abort()
    within.send(*PLACE, [b"2"])
    hanging.send(*PLACE, [b"3", b"4"])
    log = log_of(kafka)
    log.delete_below(4)
    assert (log.stable_offset, log.aborted, log.open) == (4, [], {hanging.identity[0]: [(4, 5)]})
    within.commit()
    hanging.commit()
    assert list(kafka.fetch(*PLACE, 4).values) == [b"4"]


def test_an_aborted_transaction_is_known_as_long_as_its_control_record_is_there(kafka: Kafka) -> None:
    producer = Producer(kafka, "a")
    producer.send(*PLACE, [b"0"])
    producer.abort()
    log = log_of(kafka)
    log.delete_below(1)
    assert len(log.aborted) == 1
    log.delete_below(2)
    assert log.aborted == []


def test_a_tail_may_be_all_of_the_log_or_nothing(kafka: Kafka) -> None:
    write(kafka, b"0", b"1")
    log = log_of(kafka)
    log.delete_below(1)
    log.truncate(2)
    assert list(kafka.fetch(*PLACE, 1).values) == [b"1"]
    log.truncate(1)
    assert (log.beginning, log.end, len(kafka.fetch(*PLACE, 1))) == (1, 1, 0)
    with pytest.raises(AssertionError):
        log.truncate(0)


def test_a_lost_tail_begins_a_leader_epoch_and_opens_what_ended_in_it(kafka: Kafka) -> None:
    write(kafka, b"0")
    early, late, kept = Producer(kafka, "early"), Producer(kafka, "late"), Producer(kafka, "kept")
    kept.send(*PLACE, [b"1"])
    kept.abort()
    early.send(*PLACE, [b"3"])
    late.send(*PLACE, [b"4"])
    early.abort()
    late.commit()
    log = log_of(kafka)
    log.truncate(4)
    assert (log.end, log.stable_offset, list(log.open)) == (4, 3, [early.identity[0]])
    assert log.leader_epochs == [(0, 0), (1, 4)]
    assert (log.epoch_at(3), log.epoch_at(4)) == (0, 1)
    assert list(kafka.fetch(*PLACE, 0, isolation=UNCOMMITTED).values) == [b"0", b"1", b"3"]
    kafka.end_hanging(*PLACE, early.identity[0])
    assert (log.stable_offset, list(kafka.fetch(*PLACE, 0).values)) == (5, [b"0"])
    with pytest.raises(OutOfRangeError):
        kafka.fetch(*PLACE, 6)


def test_leader_epochs_tell_where_each_ended(kafka: Kafka) -> None:
    log = log_of(kafka)
    log.elect()
    write(kafka, b"0", b"1")
    log.elect()
    log.elect()
    write(kafka, b"2")
    assert log.leader_epochs == [(1, 0), (3, 2)]
    assert [kafka.offset_for_leader_epoch(*PLACE, epoch) for epoch in range(5)] == [
        (0, 0),
        (1, 2),
        (1, 2),
        (3, 3),
        (-1, -1),
    ]
    log.delete_below(1)
    assert log.leader_epochs == [(1, 1), (3, 2)]
    log.delete_below(2)
    assert (log.leader_epochs, log.epoch_at(0)) == ([(3, 2)], 3)
    log.elect()
    assert log.leader_epochs == [(3, 2), (4, 3)]


def test_a_resend_is_stored_once(kafka: Kafka) -> None:
    producer = kafka.init_producer()
    for _ in range(2):
        assert kafka.produce(*PLACE, [b"0", b"1"], producer=producer, sequence=0) == 0
    assert kafka.produce(*PLACE, [b"2"], producer=producer, sequence=2) == 2
    assert log_of(kafka).end == 3
    with pytest.raises(OutOfOrderSequenceError):
        kafka.produce(*PLACE, [b"9"], producer=producer, sequence=9)
    log_of(kafka).truncate(1)
    assert kafka.produce(*PLACE, [b"2"], producer=producer, sequence=2) == 1


def test_an_older_epoch_is_no_resend(kafka: Kafka) -> None:
    for base in (0, 1):
        producer = kafka.init_producer("a")
        assert kafka.produce(*PLACE, [b"0"], producer=producer, sequence=0) == base


def test_damaged_bytes_stop_a_reader_where_they_are(kafka: Kafka) -> None:
    write(kafka, b"0", b"1", b"2")
    log_of(kafka).damaged.add(1)
    assert kafka.fetch(*PLACE, 0).next_offset == 1
    with pytest.raises(DamagedError):
        kafka.fetch(*PLACE, 1)
    assert list(kafka.fetch(*PLACE, 2).values) == [b"2"]


def test_compaction_spares_what_is_young_what_is_open_and_the_segment_that_is_written_to(kafka: Kafka) -> None:
    keep(kafka, a=b"1")
    keep(kafka, a=b"2")
    assert compacted(kafka, after_ms=99) == [(b"a", b"1"), (b"a", b"2")]
    assert compacted(kafka, below=1) == [(b"a", b"1"), (b"a", b"2")]
    producer = Producer(kafka, "a")
    producer.send(*LEDGER, [b"3"], [b"a"])
    keep(kafka, a=b"4")
    assert compacted(kafka) == [(b"a", b"2")]
    producer.commit()
    assert compacted(kafka) == [(b"a", b"4")]
    assert kafka.fetch(*LEDGER, 0).next_offset == 5


def test_a_record_is_compacted_once_it_is_as_old_as_the_lag(kafka: Kafka) -> None:
    keep(kafka, a=b"1")
    kafka.tick(1_001)
    keep(kafka, a=b"2")
    assert compacted(kafka, after_ms=99) == [(b"a", b"1"), (b"a", b"2")]
    assert compacted(kafka, after_ms=1) == [(b"a", b"2")]


def test_a_tombstone_and_the_control_record_of_an_empty_transaction_stay_for_a_while(kafka: Kafka) -> None:
    producer = Producer(kafka, "a")
    producer.send(*LEDGER, [b"1", b"1"], [b"a", b"b"])
    producer.commit()
    keep(kafka, a=None)
    assert compacted(kafka) == [(b"b", b"1"), (b"a", None)]
    assert compacted(kafka, after_ms=49) == [(b"b", b"1"), (b"a", None)]
    assert compacted(kafka, after_ms=1) == [(b"b", b"1")]
    log = kafka.log(*LEDGER)
    assert log.offsets == [1, 2]
    keep(kafka, b=b"2")
    compacted(kafka)
    assert log.offsets == [2, 4]
    compacted(kafka)
    assert log.offsets == [4]


def test_compaction_removes_aborted_records_and_keeps_what_they_would_have_replaced(kafka: Kafka) -> None:
    keep(kafka, a=b"1")
    producer = Producer(kafka, "a")
    producer.send(*LEDGER, [b"2"], [b"a"])
    producer.abort()
    assert compacted(kafka) == [(b"a", b"1")]
    assert kafka.log(*LEDGER).offsets == [0, 2]
    assert kafka.fetch(*LEDGER, 0, isolation=UNCOMMITTED).next_offset == 3


def test_a_transaction_that_lost_its_tail_owns_nothing_that_is_written_there_later(kafka: Kafka) -> None:
    hanging = Producer(kafka, "hanging")
    hanging.send(*PLACE, [b"0", b"1", b"2"])
    log = log_of(kafka)
    log.truncate(1)
    write(kafka, b"other", b"more")
    assert log.open == {hanging.identity[0]: [(0, 1)]}
    kafka.end_hanging(*PLACE, hanging.identity[0])
    assert [record.value for record in log.records()] == [b"other", b"more"]


def test_a_fetch_that_no_limit_cut_ends_behind_the_holes_at_the_end(kafka: Kafka) -> None:
    write(kafka, b"0", b"1", b"2")
    log_of(kafka).only([0])
    for max_bytes, max_records in ((None, None), (100, None), (None, 1), (1, 1)):
        batch = kafka.fetch(*PLACE, 0, max_bytes=max_bytes, max_records=max_records)
        assert (list(batch.values), batch.next_offset) == ([b"0"], 3)
