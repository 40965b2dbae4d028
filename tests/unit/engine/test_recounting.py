"""What a recount decides: what it counts next, up to where, and when it may be made current."""

from __future__ import annotations

from typing import Any

import pytest

from streams.domain.pages import Cursor, cursor_key, encode_cursor
from streams.engine.batch import RecordBatch
from streams.engine.checkpoint import FencedError
from streams.engine.generations import Generations, NextGeneration, Remade, set_aside_below
from streams.engine.judgement import verdict
from streams.engine.losses import Loss
from streams.engine.recounting import (
    CHASES,
    CLOSE_ENOUGH,
    Chase,
    Reached,
    behind,
    goes_on,
    is_left_behind,
    renewed,
    switched,
    uncounted,
)
from streams.engine.status import HeldReason
from streams.engine.topic_names import LEDGER
from tests.unit.domain.samples import IDENTITY

ORDERS, PAYMENTS, OTHER = ("orders", 0), ("payments", 0), ("orders", 1)
BEGUN = Generations(current="g4", next=NextGeneration(id="g6", fingerprint="same"), previous="g3")


def test_a_recount_of_the_same_declarations_is_gone_on_with_and_no_other() -> None:
    assert goes_on(BEGUN, "same")
    assert not goes_on(BEGUN, "other")
    assert not goes_on(Generations(), "same")


def test_a_new_generation_has_a_name_that_none_had_before() -> None:
    made = renewed(BEGUN, "other")
    assert made == Generations(current="g4", next=NextGeneration(id="g7", fingerprint="other"), previous="g3")


def test_the_switch_names_what_it_replaced_and_which_logs_were_made_again() -> None:
    made = switched(BEGUN, BEGUN, {PAYMENTS: 0, ORDERS: 7})
    remade = (Remade("orders", 0, 7, "g6"), Remade("payments", 0, 0, "g6"))
    assert made == Generations(current="g6", previous="g4", remade=remade)
    assert (made.remade_of(0), made.remade_of(1)) == (remade, ())


def test_which_logs_were_made_again_stays_told() -> None:
    made = switched(BEGUN, BEGUN, {PAYMENTS: 0})
    found = renewed(made, "same")
    later = switched(found, found, {ORDERS: 3})
    assert later.remade == (Remade("payments", 0, 0, "g6"), Remade("orders", 0, 3, "g7"))


def test_bad_records_were_set_aside_as_far_as_other_generations_read_the_same_log() -> None:
    """What one had read before a log was remade says nothing of what stands at its offsets since."""
    remade = (Remade("orders", 0, 5, "g10"), Remade("payments", 0, 6, "g10"))
    before = {"g9": {"orders": 9, "payments": 4}}
    assert set_aside_below(before, ()) == before["g9"]
    assert set_aside_below(before, remade) == {"orders": 5, "payments": 4}
    assert set_aside_below({**before, "g10": {"orders": 7}}, remade) == {"orders": 7, "payments": 4}
    assert set_aside_below({**before, "g11": {"orders": 3}}, remade) == {"orders": 5, "payments": 4}
    again = (*remade, Remade("orders", 0, 0, "g11"))
    assert set_aside_below({**before, "g10": {"orders": 7}, "g11": {"orders": 2}}, again)["orders"] == 2
    assert set_aside_below({}, remade) == {}


def test_nothing_is_switched_where_another_recount_was_at_work() -> None:
    with pytest.raises(FencedError, match="changed meanwhile"):
        switched(renewed(BEGUN, "other"), BEGUN, {})


@pytest.mark.parametrize("reason", HeldReason)
def test_a_generation_is_left_behind_where_one_that_begins_now_can_be_counted(reason: HeldReason) -> None:
    mended = {
        *("foreign_cluster", "ledger_replaced", "ledger_unreadable"),
        *("log_replaced", "log_deleted", "log_truncated", "beyond_end"),
    }
    assert is_left_behind(verdict(reason, None, "it stands")) is (reason.value in mended)


def test_behind_is_what_lies_before_the_targets_of_partitions_that_are_counted() -> None:
    assert behind({ORDERS: 4, PAYMENTS: 9}, {ORDERS: 10, PAYMENTS: 5, OTHER: 50}) == 6


def test_what_lies_before_the_ends_is_still_to_be_counted() -> None:
    assert uncounted({ORDERS: 4, PAYMENTS: 9, OTHER: 1}, {ORDERS: 4, PAYMENTS: 9, OTHER: 2}) == [1]


def test_the_chase_aims_at_where_the_current_generation_stands_and_not_beyond_a_log() -> None:
    chase = Chase()
    assert not chase.is_over
    reached = {ORDERS: 70, PAYMENTS: 5, ("elsewhere", 0): 3}
    assert chase.aim(reached, {ORDERS: 90, PAYMENTS: 4}, {ORDERS: 60, PAYMENTS: 0}, {}) == {ORDERS: 70, PAYMENTS: 4}
    assert (chase.behind, chase.remade) == (14, {PAYMENTS: 4})
    assert chase.is_over


def test_of_another_log_the_chase_counts_what_is_the_same_and_no_further() -> None:
    """Behind it bad records are to be set aside, which a generation that is not current does not do."""
    chase = Chase()
    reached, ends = {ORDERS: 70, PAYMENTS: 9}, {ORDERS: 90, PAYMENTS: 80}
    assert chase.aim(reached, ends, {}, {ORDERS: 50, PAYMENTS: 0}) == {ORDERS: 50, PAYMENTS: 0}
    assert chase.remade == {ORDERS: 50, PAYMENTS: 0}


def test_the_chase_goes_on_until_it_is_hardly_behind() -> None:
    chase = Chase()
    chase.aim({ORDERS: CLOSE_ENOUGH + 1}, {ORDERS: 10**9}, {ORDERS: 0}, {})
    assert not chase.is_over
    chase.aim({ORDERS: CLOSE_ENOUGH + 1}, {ORDERS: 10**9}, {ORDERS: 1}, {})
    assert chase.is_over


def test_a_generation_that_is_as_fast_is_not_chased_for_ever() -> None:
    chase = Chase()
    for number in range(1, CHASES + 1):
        assert not chase.is_over
        chase.aim({ORDERS: number * 10**6}, {ORDERS: 10**9}, {ORDERS: (number - 1) * 10**6}, {})
    assert chase.is_over


def cursor(generation: str, orders: int) -> tuple[bytes, bytes]:
    names = ("stream_times_ms", "max_event_times_ms", "outcomes", "rejected", "epochs")
    empty: dict[str, Any] = {name: {} for name in names}
    found = Cursor(positions={"orders": orders}, started={"orders": 2}, sequence=1, identity=IDENTITY, **empty)
    return cursor_key(generation), encode_cursor(found)


def test_what_is_read_of_a_generation_is_newer_than_what_was_found() -> None:
    records = [cursor("g1", 7), cursor("g2", 9), (b"strange", b"x"), (cursor_key("g1"), None)]
    keys, values = zip(*records, strict=True)
    reached = Reached("g1", ("orders", "payments"))
    reached.begin({0: cursor("g1", 3)[1], 1: cursor("g1", 5)[1]})
    reached.take(RecordBatch(LEDGER, 1, 0, 4, range(4), keys, values, [0] * 4))
    assert reached.positions == {ORDERS: 3, OTHER: 7}
    assert reached.began == {ORDERS: 2, OTHER: 2}


def test_what_cannot_be_read_may_have_counted_everything() -> None:
    reached = Reached("g1", ("orders", "payments"))
    reached.begin({0: b"?"})
    assert (reached.positions, reached.began) == ({}, {ORDERS: 0, PAYMENTS: 0})


def test_a_switch_tells_from_where_on_is_counted_and_keeps_what_was_told() -> None:
    told = Generations(next=BEGUN.next, counted_from={"orders": {"0": 3, "1": 4}})
    lost = [Loss("orders", 0, 3, 9, 7, None), Loss("payments", 2, 0, 9, 1, None)]
    made = switched(told, told, {}, lost)
    assert made.counted_from == {"orders": {"0": 7, "1": 4}, "payments": {"2": 1}}
    assert told.counted_from == {"orders": {"0": 3, "1": 4}}
