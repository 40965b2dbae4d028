"""In which festivals a record counts, and which one outcome it has: edges of intervals, of settling, of being late."""

from __future__ import annotations

import dataclasses

import pytest

from streams.domain.built_in import ROLLUPS
from streams.domain.ledger import Ledger
from streams.domain.limits import WATERMARK_LAG_MS
from tests.unit.domain.samples import HOUR_MS, SETTLE_MS, START_MS, box, declarations, encode, festival, order

ROLLUPS_BY_NAME = {rollup.name: rollup for rollup in ROLLUPS}
END_MS = START_MS + 24 * HOUR_MS
FAR_MS = END_MS + 2 * SETTLE_MS


def outcomes(ledger: Ledger, topic: str = "orders") -> dict[str, int]:
    """Return the outcomes that any record had."""
    return {str(name): count for name, count in ledger.topics[topic].outcomes.items() if count}


def orders_of(ledger: Ledger, festival_id: str) -> int:
    """Return how many orders a festival counts."""
    pages = ledger.tables[festival_id, "orders_by_second"].pages()
    return sum(int(page.cells()[0].sum()) for _, page in pages)


def apply(ledger: Ledger, *events: dict[str, object]) -> None:
    """Apply orders as one batch, with ids of their own and records as new as any event."""
    values = [encode({**event, "event_id": f"{event.get('ts')}-{i}"}) for i, event in enumerate(events)]
    ledger.apply("orders", values, [FAR_MS] * len(values))


@pytest.mark.parametrize(
    ("times", "outcome"),
    [
        ({"ts": START_MS - 1}, "outside"),
        ({"ts": START_MS}, "counted"),
        ({"ts": END_MS - 1}, "counted"),
        ({"ts": END_MS}, "outside"),
        ({"ts": END_MS, "ordered_ts": END_MS - 1}, "counted"),
        ({"ts": END_MS - 1, "ordered_ts": START_MS - 1}, "outside"),
        ({"ts": END_MS + SETTLE_MS, "ordered_ts": START_MS}, "counted"),
        ({"ts": END_MS + SETTLE_MS + 1, "ordered_ts": START_MS}, "expired"),
        ({"ts": END_MS + SETTLE_MS + 1, "ordered_ts": END_MS}, "outside"),
    ],
)
def test_an_event_counts_from_the_start_up_to_the_end_until_the_festival_has_settled(
    times: dict[str, int], outcome: str
) -> None:
    ledger = Ledger(declarations())
    apply(ledger, order(**times))
    assert outcomes(ledger) == {outcome: 1}
    assert orders_of(ledger, "day") == (outcome == "counted")


def test_each_festival_counts_what_it_is_about_wherever_it_stands_among_the_others() -> None:
    boxes, later, day = festival("boxes", facts=["recycling"]), festival("later", END_MS), festival("day")
    ledger = Ledger(declarations(boxes, later, day))
    apply(ledger, order(ts=START_MS), order(ts=END_MS), order(ts=END_MS + 1))
    assert (orders_of(ledger, "day"), orders_of(ledger, "later")) == (1, 2)
    assert outcomes(ledger) == {"counted": 3}
    ledger.apply("recycling", [encode(box())], [FAR_MS])
    assert outcomes(ledger, "recycling") == {"counted": 1}


def test_an_event_of_two_festivals_is_in_both_and_has_one_outcome() -> None:
    ledger = Ledger(declarations(festival("day"), festival("morning", hours=6)))
    apply(ledger, order(ts=START_MS), order(ts=START_MS + 7 * HOUR_MS))
    assert (orders_of(ledger, "day"), orders_of(ledger, "morning")) == (2, 1)
    assert outcomes(ledger) == {"counted": 2}


def test_an_event_that_only_one_of_its_festivals_still_takes_is_counted_and_not_expired() -> None:
    ledger = Ledger(declarations(festival("morning", hours=6), festival("day")))
    late = {"ts": START_MS + 6 * HOUR_MS + SETTLE_MS + 1, "ordered_ts": START_MS}
    apply(ledger, order(**late))
    assert (orders_of(ledger, "morning"), orders_of(ledger, "day")) == (0, 1)
    assert outcomes(ledger) == {"counted": 1}


def test_outcomes_of_a_batch_add_up_to_its_records() -> None:
    ledger = Ledger(declarations())
    apply(
        ledger,
        order(ts=START_MS),
        order(ts=END_MS),
        order(ts=END_MS + SETTLE_MS + 9, ordered_ts=START_MS),
        order(ts=START_MS, market=None),
        order(ts=START_MS + 1),
    )
    found = outcomes(ledger)
    found.pop("late", None)
    assert found == {"counted": 2, "outside": 1, "expired": 1, "rejected": 1}


@pytest.mark.parametrize("is_one_batch", [True, False])
def test_late_is_what_is_more_than_the_lag_below_the_newest_before_it(*, is_one_batch: bool) -> None:
    ledger = Ledger(declarations())
    newest = START_MS + HOUR_MS
    behind = [0, WATERMARK_LAG_MS, WATERMARK_LAG_MS + 1, -10, WATERMARK_LAG_MS - 10, WATERMARK_LAG_MS - 9]
    events = [order(ts=newest - ms) for ms in behind]
    if is_one_batch:
        apply(ledger, *events)
    else:
        for event in events:
            apply(ledger, event)
    # One is a millisecond too old; after a newer one, so is the last.
    assert outcomes(ledger)["late"] == 2
    assert ledger.topics["orders"].max_event_time_ms == newest + 10


def test_a_duplicate_is_not_late_a_second_time_and_the_first_event_never_is() -> None:
    ledger = Ledger(declarations())
    old, new = encode(order(event_id="old", ts=START_MS)), encode(order(event_id="new", ts=START_MS + HOUR_MS))
    ledger.apply("orders", [old], [FAR_MS])
    assert "late" not in outcomes(ledger)
    ledger.apply("orders", [new, old], [FAR_MS, FAR_MS])
    assert outcomes(ledger) == {"counted": 2, "duplicate": 1}


def test_the_watermark_never_goes_back_and_what_is_rejected_does_not_move_it() -> None:
    ledger = Ledger(declarations())
    apply(ledger, order(ts=START_MS + HOUR_MS))
    apply(ledger, order(ts=START_MS), order(ts=START_MS + 2 * HOUR_MS, market=None))
    assert ledger.topics["orders"].max_event_time_ms == START_MS + HOUR_MS


def test_a_settle_of_zero_takes_nothing_after_the_end() -> None:
    ledger = Ledger(dataclasses.replace(declarations(), settle_ms=0))
    apply(ledger, order(ts=END_MS, ordered_ts=START_MS), order(ts=END_MS + 1, ordered_ts=START_MS))
    assert outcomes(ledger) == {"counted": 1, "expired": 1}


def test_the_stream_time_is_the_largest_record_time_of_all_batches() -> None:
    """A later batch of older records does not turn it back: resends are remembered by it."""
    ledger = Ledger(declarations())
    for batch, record_time_ms in enumerate((FAR_MS, FAR_MS - 3 * HOUR_MS)):
        ledger.apply("orders", [encode(order(event_id=f"e{batch}"))], [record_time_ms])
        assert ledger.topics["orders"].stream_time_ms == FAR_MS
    ledger.apply("orders", [encode(order(event_id="e1"))], [FAR_MS])
    assert outcomes(ledger) == {"counted": 2, "duplicate": 1}


def test_what_is_cancelled_counts_net_of_coupons_and_credits() -> None:
    """Contract 2, Measures: net is gross without coupons and credits."""
    money = {"amount_minor": 1_000, "coupon_minor": 30, "credit_minor": 7}
    cancelled = order(type="order_cancelled", ordered_ts=START_MS, **money)
    ledger = Ledger(declarations())
    apply(ledger, order(**money), order(amount_minor=5), cancelled)
    (page,) = [page for _, page in ledger.tables["day", "orders_by_second"].pages()]
    names = [measure.name for measure in ROLLUPS_BY_NAME["orders_by_second"].measures]
    sums = {name: int(row.sum()) for name, row in zip(names, page.cells(), strict=True)}
    assert (sums["orders"], sums["cancelled"]) == (2, 1)
    assert (sums["gross_minor"], sums["coupons_minor"], sums["credits_minor"]) == (1_005, 30, 7)
    assert sums["cancelled_net_minor"] == 1_000 - 30 - 7
