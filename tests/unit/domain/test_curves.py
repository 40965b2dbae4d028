"""Curves: the published points are met exactly, by orders and by money."""

from __future__ import annotations

from decimal import Decimal

import numpy as np
import pytest

from streams.domain.currencies import EXPONENTS
from streams.domain.curves import Curve, CurveError, Point, parse_curves, plan_orders
from streams.festivals.curves import load_curves
from streams.replay.draws import Purpose, draw

HEADER = "festival,seconds,amount_bn,currency,orders,note\n"
DAY = load_curves()["singles-day-2019"]


def test_the_2019_day_has_its_published_facts() -> None:
    assert DAY.currency == "CNY"
    assert DAY.orders == 1_300_000_000
    assert DAY.total_minor == 26_840_000_000_000
    assert len(DAY.points) == 15
    assert DAY.points[1] == Point(68, 699_000_000_000)


def test_the_whole_day_peaks_near_the_published_544_000_orders_a_second() -> None:
    per_second = np.diff(plan_orders(DAY, DAY.orders).cumulative)
    assert 500_000 <= per_second.max() <= 560_000
    assert per_second.argmax() < 96


@pytest.mark.parametrize("orders", [1, 2, 37, 20_000, 1_000_003, 1_300_000_000])
def test_planned_orders_are_exact_at_every_published_point(orders: int) -> None:
    plan = plan_orders(DAY, orders)
    for point in DAY.points:
        assert plan.cumulative[point.second] == orders * point.amount_minor // DAY.total_minor
    assert (np.diff(plan.cumulative) >= 0).all()
    assert len(plan.cumulative) == 86_401


def test_cumulative_money_is_exact_at_every_published_point() -> None:
    orders = 20_000
    plan = plan_orders(DAY, orders)
    numbers = np.arange(orders, dtype=np.int64)
    offsets = plan.offsets_ms(numbers, draw(3, Purpose.TIME, numbers))
    amounts = plan.amounts_minor(numbers, lambda n: draw(3, Purpose.AMOUNT, n))
    assert (np.diff(offsets) >= 0).all()
    assert (amounts >= 0).all()
    for point in DAY.points[1:]:
        before = offsets < point.second * 1000
        assert before.sum() == orders * point.amount_minor // DAY.total_minor
        assert amounts[before].sum() == point.amount_minor * orders // DAY.orders
    assert len(np.unique(amounts)) > 5_000


def test_parts_of_the_numbers_get_the_same_times_and_amounts_as_all() -> None:
    plan = plan_orders(DAY, 5_000)
    numbers = np.arange(5_000, dtype=np.int64)
    chosen = numbers[1::7]
    noise = draw(1, Purpose.TIME, numbers)
    assert (plan.offsets_ms(numbers, noise)[1::7] == plan.offsets_ms(chosen, noise[1::7])).all()
    whole = plan.amounts_minor(numbers, lambda n: draw(1, Purpose.AMOUNT, n))
    assert (whole[1::7] == plan.amounts_minor(chosen, lambda n: draw(1, Purpose.AMOUNT, n))).all()


def test_a_stretched_curve_keeps_its_shape() -> None:
    half = DAY.stretched(43_200)
    assert half.seconds == 43_200
    assert half.total_minor == DAY.total_minor
    assert DAY.stretched(86_400) is DAY


def test_a_curve_of_two_points_is_a_straight_line() -> None:
    plan = plan_orders(Curve("line", "CNY", (Point(0, 0), Point(100, 1000)), 10), 100)
    assert plan.cumulative.tolist() == list(range(101))


def test_a_day_without_published_orders_gets_some_of_200_major_units() -> None:
    curves = parse_curves(HEADER + "a,0,0,CNY,,\na,60,0.1,CNY,,\n", EXPONENTS)
    assert curves["a"].orders == 500_000


@pytest.mark.parametrize(
    ("rows", "told"),
    [
        ("a,1,0,CNY,,\na,2,1,CNY,,\n", "starts at 0, 0"),
        ("a,0,0,CNY,,\na,2,1,CNY,,\na,2,2,CNY,,\n", "ascending"),
        ("a,0,0,CNY,,\na,2,1,CNY,,\na,3,0.5,CNY,,\n", "rises"),
        ("a,0,0,CNY,,\n", "rises"),
        ("a,0,0,CNY,,\na,2,0,CNY,,\n", "rises"),
        ("a,0,0,CNY,,\na,2,x,CNY,,\n", "no numbers"),
        ("a,0,0,CNY,,\na,2,0.000000000001,CNY,,\n", "finer"),
        ("a,0,0,CNY,,\na,2,1,USD,,\n", "one ISO 4217 currency"),
        ("a,0,0,XXX,,\na,2,1,XXX,,\n", "one ISO 4217 currency"),
    ],
)
def test_a_curve_that_cannot_be_used_is_refused_with_its_festival(rows: str, told: str) -> None:
    with pytest.raises(CurveError, match=told):
        parse_curves("# a comment\n" + HEADER + rows, EXPONENTS)


def test_points_in_another_currency_need_a_rate_of_their_festival() -> None:
    rows = HEADER + "a,0,0,CNY,,start\na,5,1,USD,,\na,9,10,CNY,,\n"
    curve = parse_curves(rows, EXPONENTS, {("a", "USD"): Decimal("6.5"), ("b", "USD"): Decimal(9)})["a"]
    assert [point.amount_minor for point in curve.points] == [0, 650_000_000_000, 1_000_000_000_000]
    with pytest.raises(CurveError, match="one ISO 4217 currency"):
        parse_curves(rows, EXPONENTS, {("b", "USD"): Decimal("6.5")})


def test_other_columns_are_refused() -> None:
    with pytest.raises(CurveError, match="expected the columns"):
        parse_curves("a,b\n1,2\n", EXPONENTS)


def test_the_replayed_2019_day_has_its_second_rush_at_one_oclock() -> None:
    per_minute = np.diff(plan_orders(DAY, 1_300_000).cumulative[::60])
    assert per_minute[60:64].min() > per_minute[45:60].max()
    assert per_minute[60:64].max() > 3 * per_minute[45:55].mean()
