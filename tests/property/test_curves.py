"""Curves of any shape: monotone between the points, exact at them."""

from __future__ import annotations

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
