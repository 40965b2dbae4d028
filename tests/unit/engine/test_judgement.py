"""What may be called complete, which partitions are held and why: of plain values."""

from __future__ import annotations

import msgspec
import pytest

from streams.domain.pages import Identity
from streams.engine.judgement import (
    ORDER,
    UNKNOWN,
    Counted,
    Judgement,
    LogRange,
    Note,
    OpenTransaction,
    Sources,
    decode_note,
    encode_note,
    epochs_of,
    is_told,
    judge,
    judge_partition,
    note_key,
    standing,
)
from streams.engine.status import ADVICE, HeldReason

TOPICS = ("orders", "payments")
CONTRACT = [
    *("foreign_cluster", "ledger_missing", "ledger_replaced", "log_missing", "log_replaced", "unequal_partitions"),
    *("not_in_ledger", "not_colocated", "ledger_unreadable", "log_deleted", "log_truncated", "beyond_end"),
    "log_unreadable",
]
"""In the order in which they are told."""
HERE = Identity(
    cluster="c", own={"festival.ledger": "l", "festival.seen": "s"}, topics={"orders": "o", "payments": "p"}
)


def sources(
    *,
    orders: int = 2,
    payments: int = 2,
    ledger: int = 2,
    ranges: dict[tuple[str, int], LogRange] | None = None,
    identity: Identity = HERE,
    ends: dict[tuple[str, int], int] | None = None,
) -> Sources:
    """Return topics whose logs hold the offsets 10 to 99 where `ranges` says nothing else."""
    counts = {"orders": orders, "payments": payments}
    found = {(topic, number): LogRange(10, 100, 100) for topic, count in counts.items() for number in range(count)}
    return Sources(counts, found | (ranges or {}), ledger, identity, ends or {})


def at(*offsets: int, epoch: int | None = None) -> dict[int, Counted]:
    """Return the same position in both topics, for each partition number."""
    epochs = {} if epoch is None else dict.fromkeys(TOPICS, epoch)
    return {number: Counted(dict.fromkeys(TOPICS, offset), epochs, HERE) for number, offset in enumerate(offsets)}


def changed(cluster: str = "c", ledger: str = "l", seen: str = "s", **topics: str) -> Identity:
    """Return ids of which some are others."""
    return Identity(
        cluster=cluster, own={"festival.ledger": ledger, "festival.seen": seen}, topics={**HERE.topics, **topics}
    )


def held(judgement: Judgement) -> list[tuple[int, str, str | None]]:
    """Return partition, reason and topic of what is held."""
    return [(one.partition, str(one.reason), one.topic) for one in judgement.held]


def test_all_partitions_covered_and_none_held_is_complete_whatever_the_lag() -> None:
    judgement = judge(sources(), at(100, 70))
    assert (judgement.is_complete, judgement.lag_records, judgement.partitions) == (True, 60, 2)
    assert (judgement.held, judgement.uncovered) == ((), ())


def test_who_has_not_looked_yet_calls_nothing_complete() -> None:
    assert not UNKNOWN.is_complete
    note = Note(HeldReason.LOG_UNREADABLE, "orders", 5, "damaged")
    judgement = judge(None, at(100, 100), notes={1: note})
    assert (judgement.is_complete, judgement.lag_records) == (False, None)
    assert held(judgement) == [(1, "log_unreadable", "orders")]
    assert held(judge(None, at(100))) == []


def test_a_partition_without_a_cursor_makes_it_incomplete_and_lags_from_the_logs_beginning() -> None:
    judgement = judge(sources(), at(100))
    assert (judgement.is_complete, judgement.uncovered, judgement.lag_records) == (False, (1,), 180)
    assert not judge(sources(orders=0, payments=0), {}).is_complete


def test_partitions_that_all_topics_got_are_not_in_the_ledger_until_it_has_as_many() -> None:
    judgement = judge(sources(orders=4, payments=4), at(100, 100), now_ms=7)
    assert held(judgement) == [(2, "not_in_ledger", None), (3, "not_in_ledger", None)]
    assert "the sources have 4 partitions, the ledger 2: run `festival topics`" in judgement.held[0].detail
    assert (judgement.is_complete, judgement.uncovered, judgement.held[0].since_ms) == (False, (2, 3), 7)
    assert judge(sources(orders=4, payments=4, ledger=4), at(100, 100)).held == ()


def test_partitions_that_one_topic_got_are_unequal_whatever_the_ledger_has() -> None:
    for ledger in (2, 4):
        judgement = judge(sources(orders=4, ledger=ledger), at(100, 100))
        assert held(judgement) == [(2, "unequal_partitions", "payments"), (3, "unequal_partitions", "payments")]
        assert "payments has 2 partitions, another topic 4" in judgement.held[0].detail


def test_a_topic_that_is_gone_or_smaller_than_what_was_counted_is_missing() -> None:
    assert held(judge(sources(orders=0), at(100, 100))) == [(0, "log_missing", "orders"), (1, "log_missing", "orders")]
    everything = judge(sources(orders=0, payments=0), at(100, 100))
    assert [one.reason for one in everything.held] == [HeldReason.LOG_MISSING] * 2
    smaller = judge(sources(orders=1, payments=1), at(100, 100))
    assert held(smaller) == [(1, "log_missing", "orders")]
    assert "orders[1] was counted and is not there: the topic has 1 partitions" in smaller.held[0].detail


def test_without_the_ledgers_topic_everything_is_held_for_that() -> None:
    assert held(judge(sources(ledger=0), {})) == [(0, "ledger_missing", None), (1, "ledger_missing", None)]


def test_a_position_below_the_log_or_beyond_its_end_is_held_and_the_lag_is_not_clamped() -> None:
    ranges = {("orders", 0): LogRange(120, 130, 130), ("payments", 1): LogRange(0, 40, 40)}
    judgement = judge(sources(ranges=ranges), at(100, 100))
    assert held(judgement) == [(0, "log_deleted", "orders"), (1, "beyond_end", "payments")]
    assert "payments[1]: the ledger stands at offset 100, the log holds 0 to 40" in judgement.held[1].detail
    assert judgement.lag_records == 30 - 60


def test_a_position_that_got_ahead_of_an_end_seen_earlier_is_not_beyond_it() -> None:
    """The ends are a second old, the cursor is of now."""
    judgement = judge(sources(), at(130, 100), asked=at(90, 90))
    assert (judgement.is_complete, judgement.lag_records) == (True, 0)
    assert held(judge(sources(), at(130, 100), asked=at(110, 90))) == [(0, "beyond_end", "orders")]
    assert judge(sources(), at(130, 130), asked={}).is_complete  # taken over since


def test_the_first_reason_that_fits_is_told() -> None:
    note = Note(HeldReason.LOG_UNREADABLE, "orders", 5, "damaged")
    assert held(judge(sources(), at(5, 100), notes={0: note})) == [(0, "log_deleted", "orders")]
    lost = sources(ranges={("orders", 0): LogRange(0, 40, 40)}, ends={("orders", 0): 30})
    assert held(judge(lost, at(100, 100, epoch=4))) == [(0, "log_truncated", "orders")]
    assert held(judge(sources(identity=changed(cluster="d", orders="x"), ledger=0), at(100))) == [
        (0, "foreign_cluster", None),
        (1, "ledger_missing", None),
    ]
    assert [str(reason) for reason in ORDER] == CONTRACT
    assert ADVICE.keys() == set(ORDER)


@pytest.mark.parametrize(
    ("identity", "reason", "topic"),
    [
        ({"cluster": "d"}, "foreign_cluster", None),
        ({"ledger": "x"}, "ledger_replaced", None),
        ({"seen": "x"}, "ledger_replaced", None),
        ({"payments": "x"}, "log_replaced", "payments"),
    ],
)
def test_what_is_not_what_was_counted_is_held_wherever_it_stands(
    identity: dict[str, str], reason: str, topic: str | None
) -> None:
    judgement = judge(sources(identity=changed(**identity)), at(100, 70))
    assert held(judgement) == [(0, reason, topic), (1, reason, topic)]
    assert "x" in judgement.held[0].detail or "d" in judgement.held[0].detail
    assert not judgement.is_complete


def test_a_topic_that_nobody_may_see_or_that_is_gone_is_no_other_one() -> None:
    unseen = msgspec.structs.replace(HERE, own={"festival.ledger": "l"}, topics={"orders": "o"})
    assert judge(sources(identity=unseen), at(100, 100)).is_complete
    gone = judge(sources(orders=0, identity=msgspec.structs.replace(HERE, topics={"payments": "p"})), at(100, 100))
    assert {one.reason for one in gone.held} == {HeldReason.LOG_MISSING}


@pytest.mark.parametrize(("end", "is_lost"), [(100, False), (250, False), (99, True), (-1, True)])
def test_a_tail_is_lost_where_what_its_leader_wrote_ends_below_the_position(end: int, *, is_lost: bool) -> None:
    """However far the log has grown since; -1: it knows nothing of that leader."""
    grown = sources(ranges={("orders", 1): LogRange(0, 500, 500)}, ends={("orders", 1): end})
    assert held(judge(grown, at(100, 100, epoch=4))) == ([(1, "log_truncated", "orders")] if is_lost else [])
    assert held(judge(grown, at(100, 100))) == [], "nothing was asked: nothing had been read"
    assert held(judge(grown, at(600, 600, epoch=4), asked=at(100, 90, epoch=4))) == (
        [(1, "log_truncated", "orders")] if end < 90 else []
    )


def test_leader_epochs_are_asked_for_where_something_was_read() -> None:
    assert epochs_of({1: Counted({"orders": 3, "payments": 0}, {"orders": 7}, HERE)}) == {("orders", 1): 7}


def test_a_topic_that_nobody_looked_at_in_this_partition_says_nothing() -> None:
    assert judge_partition(0, Sources({"orders": 1}, {}, 1, HERE), Counted({"orders": 5}, {"orders": 1}, HERE)) is None


def test_since_when_it_is_held_comes_from_the_note_else_from_who_saw_it_first() -> None:
    first = judge(sources(), at(5, 5), now_ms=1_000)
    later = judge(sources(), at(5, 5), before=first, now_ms=9_000)
    assert [one.since_ms for one in later.held] == [1_000, 1_000]
    note = Note(HeldReason.LOG_DELETED, "orders", 400, "x")
    other = Note(HeldReason.NOT_COLOCATED, None, 300, "y")
    noted = judge(sources(), at(5, 5), notes={0: note, 1: other}, before=first, now_ms=9_000)
    assert [(one.reason, one.since_ms) for one in noted.held] == [
        (HeldReason.LOG_DELETED, 400),
        (HeldReason.NOT_COLOCATED, 300),
    ]


def test_a_note_comes_back_as_it_was_written_and_one_of_another_version_is_refused() -> None:
    note = Note(HeldReason.NOT_COLOCATED, None, 1_573_401_600_000, "partition 3 of payments is not on this worker")
    assert note_key("g7") == b'["g7","held"]'
    assert decode_note(encode_note(note)) == note
    with pytest.raises(msgspec.MsgspecError):
        decode_note(b'{"reason": "of_tomorrow", "topic": null, "since_ms": 1, "detail": ""}')


def test_a_place_stands_still_where_all_before_an_open_transaction_is_counted() -> None:
    open_here = sources(ranges={("orders", 1): LogRange(0, 60, 100)})
    assert standing(open_here) == [("orders", 1, 60)]
    assert standing(open_here, at(100, 60)) == [("orders", 1, 60)]
    assert standing(open_here, at(100, 59)) == []
    assert standing(open_here, {}) == []


def test_an_open_transaction_is_lag_and_leaves_the_totals_complete() -> None:
    opened = OpenTransaction("orders", 1, 60, 1_000, 4711, "hang")
    ranges = {("orders", 1): LogRange(0, 60, 100), ("payments", 1): LogRange(0, 60, 60)}
    judgement = judge(sources(ranges=ranges), at(100, 60), open_transactions=[opened])
    assert (judgement.is_complete, judgement.lag_records) == (True, 40)
    assert [msgspec.to_builtins(one) for one in judgement.open_transactions] == [
        {"topic": "orders", "partition": 1, "offset": 60, "since_ms": 1_000, "producer_id": 4711,
         "transactional_id": "hang"}
    ]  # fmt: skip
    assert not is_told(opened, 6_000)
    assert is_told(opened, 6_001)


def test_a_held_partition_is_told_with_all_its_keys() -> None:
    (one,) = judge(sources(), at(5, 100), now_ms=3).held
    assert msgspec.to_builtins(one) == {
        "partition": 0, "reason": "log_deleted", "topic": "orders", "since_ms": 3, "detail": one.detail
    }  # fmt: skip
