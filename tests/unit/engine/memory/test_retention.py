"""What retention leaves of transactions."""

from __future__ import annotations

from streams.engine.memory import Kafka, Producer


def test_an_open_transaction_whose_records_are_all_deleted_holds_nobody_back() -> None:
    """Its control record, when it comes, ends nothing that anybody reads."""
    kafka = Kafka()
    kafka.create_topic("orders", 1)
    Producer(kafka, "writer").send("orders", 0, [b"0", b"1"])
    Producer(kafka, "other").send("orders", 0, [b"2"])
    log = kafka.log("orders", 0)
    log.delete_below(1)
    assert [(opened.first_offset) for opened in log.open_transactions] == [1, 2]
    log.delete_below(2)
    assert [(opened.first_offset) for opened in log.open_transactions] == [2]
    assert log.stable_offset == 2


def test_compaction_keeps_records_with_all_they_had() -> None:
    kafka = Kafka(1_000)
    kafka.create_topic("ledger", 1, is_compacted=True)
    for now_ms, key in ((1_000, b"a"), (2_000, b"b"), (3_000, b"a"), (4_000, b"c")):
        kafka.tick(now_ms)
        kafka.produce("ledger", 0, [key + b"-value"], [key], [(("h", key),)])
    kafka.tick(10_000_000)
    kafka.compact("ledger", 0)
    kept = [tuple(record) for record in kafka.log("ledger", 0).records()]
    assert kept == [
        (1, b"b", b"b-value", 2_000, (("h", b"b"),)),
        (2, b"a", b"a-value", 3_000, (("h", b"a"),)),
        (3, b"c", b"c-value", 4_000, (("h", b"c"),)),
    ]
