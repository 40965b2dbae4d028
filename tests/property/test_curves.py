"""Curves of any shape: monotone between the points, exact at them."""

from __future__ import annotations

from functools import partial
from itertools import accumulate

import numpy as np
from hypothesis import given
from hypothesis import strategies as st

from streams.domain.curves import Curve, Point, cumulative_orders, plan_orders
from streams.replay.draws import Purpose, draw


@st.composite
def curves(draw_from: st.DrawFn) -> Curve:
    """Draw a curve of a few points; stretches may be flat."""
    steps = draw_from(
        st.lists(st.tuples(st.integers(1, 400), st.integers(0, 10**12)), min_size=1, max_size=8).filter(
            lambda found: any(rise for _, rise in found)
        )
    )
    seconds = accumulate(step for step, _ in steps)
    amounts = accumulate(rise for _, rise in steps)
    points = tuple(Point(second, amount) for second, amount in zip(seconds, amounts, strict=True))
    return Curve("drawn", "CNY", (Point(0, 0), *points), draw_from(st.integers(1, 10**9)))


@given(curves(), st.integers(1, 5_000))
def test_the_plan_rises_and_is_exact_at_every_point(curve: Curve, orders: int) -> None:
    cumulative = cumulative_orders(curve, orders)
    assert (np.diff(cumulative) >= 0).all()
    assert cumulative[0] == 0
    for point in curve.points:
        assert cumulative[point.second] == orders * point.amount_minor // curve.total_minor


@given(curves(), st.integers(1, 5_000), st.integers(0, 2**31 - 1))
def test_amounts_add_up_to_the_scaled_total_and_times_ascend(curve: Curve, orders: int, seed: int) -> None:
    plan = plan_orders(curve, orders)
    numbers = np.arange(orders, dtype=np.int64)
    amounts = plan.amounts_minor(numbers, lambda n: draw(seed, Purpose.AMOUNT, n))
    assert (amounts >= 0).all()
    assert int(amounts.astype(object).sum()) == curve.total_minor * orders // curve.orders
    offsets = plan.offsets_ms(numbers, draw(seed, Purpose.TIME, numbers))
    assert (np.diff(offsets) >= 0).all()
    assert offsets[0] >= 0
    assert offsets[-1] < curve.seconds * 1000
    at_point = {p.second: int((offsets < p.second * 1000).sum()) for p in curve.points}
    assert at_point == {p.second: orders * p.amount_minor // curve.total_minor for p in curve.points}


@given(curves(), st.integers(1, 500), st.integers(-5_000, 4_000_000))
def test_the_plan_tells_how_many_orders_come_before_the_second_of_an_instant_has_ended(
    curve: Curve, orders: int, offset_ms: int
) -> None:
    plan = plan_orders(curve, orders)
    numbers = np.arange(orders, dtype=np.int64)
    offsets = plan.offsets_ms(numbers, draw(7, Purpose.TIME, numbers))
    assert plan.number_at(offset_ms) == int((offsets < (offset_ms // 1000 + 1) * 1000).sum())


@given(curves(), st.integers(1, 500), st.integers(0, 2**31 - 1))
def test_no_amount_is_more_than_about_twice_the_mean_of_its_stretch(curve: Curve, orders: int, seed: int) -> None:
    plan = plan_orders(curve, orders)
    numbers = np.arange(orders, dtype=np.int64)
    amounts = plan.amounts_minor(numbers, lambda n: draw(seed, Purpose.AMOUNT, n))
    bounds, gross = plan.first_of_stretch.tolist(), plan.gross_minor.tolist()
    for first, last, before, after in zip(bounds, bounds[1:], gross, gross[1:], strict=False):
        mean = (after - before) // (last - first)
        assert amounts[first:last].max() <= 2 * mean + 2
        assert int(amounts[first:last].astype(object).sum()) == after - before


def test_amounts_of_a_stretch_are_scattered_and_differ_from_seed_to_seed() -> None:
    plan = plan_orders(Curve("line", "CNY", (Point(0, 0), Point(100, 10**9)), 1_000), 1_000)
    numbers = np.arange(1_000, dtype=np.int64)
    drawn = [plan.amounts_minor(numbers, partial(draw, seed, Purpose.AMOUNT)) for seed in (1, 2)]
    for amounts in drawn:
        assert amounts.min() < 100_000
        assert amounts.max() > 1_900_000
        assert len(np.unique(amounts)) > 990
    assert (drawn[0] != drawn[1]).any()
