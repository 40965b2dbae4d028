"""What a recount would lose of a log that is shorter now than when it was counted."""

from __future__ import annotations

import pytest

from streams.domain.pages import Identity
from streams.engine.judgement import Counted, LogRange, Sources
from streams.engine.losses import Loss, begun_later, cut_off, losses, of_other_logs, other_from, overtaken
from streams.engine.status import HeldReason

ORDERS, PAYMENTS = ("orders", 0), ("payments", 3)


@pytest.mark.parametrize(
    ("beginning", "end", "loss"),
    [
        (5, 9, None),
        (4, 9, None),
        (6, 9, Loss("orders", 0, 5, 9, 6, None)),
        (5, 8, Loss("orders", 0, 5, 9, 5, 8)),
        (20, 30, Loss("orders", 0, 5, 9, 20, None)),
        (7, 8, Loss("orders", 0, 5, 9, 7, 8)),
    ],
)
def test_a_log_loses_where_it_begins_later_or_ends_before_the_position(
    beginning: int, end: int, loss: Loss | None
) -> None:
    found = losses({ORDERS: 5}, {ORDERS: 9}, {ORDERS: LogRange(beginning, end, end)})
    assert found == (() if loss is None else (loss,))


def test_a_partition_that_is_not_there_is_held_and_no_loss() -> None:
    assert losses({ORDERS: 5}, {ORDERS: 9}, {}) == ()


def test_where_the_cursor_cannot_be_read_a_log_that_begins_later_is_a_loss() -> None:
    assert losses({ORDERS: 0}, {}, {ORDERS: LogRange(2, 9, 9)}) == (Loss("orders", 0, 0, 0, 2, None),)
    assert losses({ORDERS: 0}, {}, {ORDERS: LogRange(0, 9, 9)}) == ()


def test_a_generation_that_has_begun_later_is_compared_place_by_place() -> None:
    began = {ORDERS: 5, PAYMENTS: 2}
    assert begun_later(began, {ORDERS: 9, PAYMENTS: 2}, {ORDERS: 5}) == ()
    assert begun_later(began, {ORDERS: 9}, {ORDERS: 4, PAYMENTS: 3}) == (Loss("payments", 3, 2, 2, 3, None),)


def test_a_log_that_is_cut_off_is_told_with_its_end() -> None:
    (loss,) = cut_off({ORDERS: 1}, {ORDERS: 9}, {ORDERS: 2}, {ORDERS: 4})
    assert str(loss) == "orders[0]: the ledger counted offsets 1 to 9, the log holds 2 to 4"


@pytest.mark.parametrize(
    ("identity", "epoch_end", "reason"),
    [
        (Identity(cluster="c", own={"ledger": "l"}, topics={"orders": "o", "payments": "p"}), 9, None),
        (Identity(cluster="c", own={"ledger": "?"}, topics={"orders": "o", "payments": "?"}), 9, None),
        (Identity(cluster="c", own={}, topics={"orders": "?", "payments": "p"}), 9, HeldReason.LOG_REPLACED),
        (Identity(cluster="?", own={}, topics={"orders": "o", "payments": "p"}), 9, HeldReason.FOREIGN_CLUSTER),
        (Identity(cluster="c", own={}, topics={"orders": "o", "payments": "p"}), 8, HeldReason.LOG_TRUNCATED),
    ],
)
def test_a_log_as_long_as_the_one_counted_may_be_another_one(
    identity: Identity, epoch_end: int, reason: HeldReason | None
) -> None:
    counted = Identity(cluster="c", own={"ledger": "l"}, topics={"orders": "o", "payments": "p"})
    ranges = {ORDERS: LogRange(2, 30, 30)}
    now = Sources({"orders": 1, "payments": 1}, ranges, 1, identity, {ORDERS: epoch_end})
    cursor = Counted({"orders": 9, "payments": 4}, {"orders": 3}, counted)
    found = of_other_logs({ORDERS: 1}, {0: cursor}, now)
    assert found == (() if reason is None else (Loss("orders", 0, 1, 9, 2, None, reason),))


@pytest.mark.parametrize(
    ("reason", "epoch_end", "from_offset"),
    [
        (HeldReason.LOG_TRUNCATED, 6, 6),
        (HeldReason.LOG_TRUNCATED, -1, 0),
        (HeldReason.LOG_REPLACED, 6, 0),
        (HeldReason.FOREIGN_CLUSTER, 6, 0),
    ],
)
def test_another_log_is_the_same_up_to_where_the_leader_of_the_last_counted_record_ends(
    reason: HeldReason, epoch_end: int, from_offset: int
) -> None:
    identity = Identity(cluster="c", own={}, topics={})
    now = Sources({"orders": 1}, {ORDERS: LogRange(0, 30, 30)}, 1, identity, {ORDERS: epoch_end})
    assert other_from([Loss("orders", 0, 1, 9, 0, None, reason)], now) == {ORDERS: from_offset}


@pytest.mark.parametrize(
    ("began", "position", "is_overtaken"), [(0, 6, False), (0, 7, True), (7, 7, False), (7, 8, True), (0, 0, False)]
)
def test_a_generation_that_has_counted_what_was_lost_meanwhile_is_left_behind(
    began: int, position: int, *, is_overtaken: bool
) -> None:
    found = overtaken({PAYMENTS: 3, ORDERS: 6}, {ORDERS: began}, {ORDERS: position})
    assert (found is not None) == is_overtaken
    if found is not None:
        assert (found.reason, found.topic) == (HeldReason.LOG_TRUNCATED, "orders")
        assert found.detail.startswith(f"orders[0] is counted up to {position}, and is another log from 6 on: ")


def test_another_log_is_told_with_what_became_of_it() -> None:
    lost = Loss("orders", 0, 1, 9, 0, 5, HeldReason.LOG_REPLACED)
    assert lost.place == ORDERS
    assert str(lost) == (
        "orders[0]: the ledger counted offsets 1 to 9; the topic was deleted and made again, the log holds 0 to 5"
    )
    assert "records at its end were lost, and others written" in str(lost._replace(reason=HeldReason.LOG_TRUNCATED))
