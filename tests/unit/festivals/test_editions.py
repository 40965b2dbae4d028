"""The published days: facts that stand in several places agree."""

from __future__ import annotations

import csv
from fractions import Fraction
from importlib.resources import files

import pytest

from streams.domain.forecast import Shape
from streams.festivals import load_festivals
from streams.festivals.curves import load_curves
from streams.festivals.editions import YUAN_PER_DOLLAR, editions, published_curves

FESTIVALS = load_festivals()


def test_nine_editions_end_at_their_published_totals() -> None:
    billions = {year: shape.total_minor / 10**11 for year, shape in editions().items()}
    assert billions == {
        2011: 3.36,
        2012: 19.1,
        2013: 35.019,
        2014: 57.11,
        2015: 91.217,
        2016: 120.7,
        2017: 168.2,
        2018: 213.5,
        2019: 268.4,
    }


def test_points_told_in_dollars_stand_in_yuan() -> None:
    assert editions()[2019].amount_at(23_400_000) == 20 * 699_330_000_000
    assert editions()[2018].amount_at(85_000) == 693_300_000_000


def test_a_second_rush_begins_at_one_oclock_from_2016_on() -> None:
    """Sold per minute: more in the half hour after 1:00 than in the quarter before, where points tell."""
    for year, before, after in ((2018, (1_563, 3_600), (3_660, 6_457)), (2019, (1_785, 3_600), (3_600, 5_167))):
        sold = {second: editions()[year].amount_at(second * 1_000) for second in {*before, *after}}
        pace = [(sold[end] - sold[start]) / (end - start) for start, end in (before, after)]
        assert pace[1] > pace[0], year


@pytest.mark.parametrize(("festival", "year"), [("singles-day-2014", 2013), ("singles-day-2019", 2018)])
def test_the_last_edition_of_a_festival_is_the_published_one(festival: str, year: int) -> None:
    previous = FESTIVALS[festival].previous
    assert previous is not None
    assert previous.curve == editions()[year].points
    assert previous.total_minor == editions()[year].total_minor
    assert previous.before_minor == editions()[year - 1].total_minor


@pytest.mark.parametrize("year", [2014, 2019])
def test_what_a_replay_sells_are_published_points(year: int) -> None:
    curve = load_curves()[f"singles-day-{year}"]
    rate = 1 if curve.currency == "CNY" else YUAN_PER_DOLLAR[year]
    for point in curve.points:
        off_minor = abs(point.amount_minor * Fraction(rate) - editions()[year].amount_at(point.second * 1_000))
        assert off_minor <= 5 * 10**9, f"{point}: not what was published, rounded to 0.1 bn"


@pytest.mark.parametrize("festival", ["singles-day-2014", "singles-day-2019"])
def test_the_bounds_of_an_order_hold_every_published_average_with_room(festival: str) -> None:
    rows = csv.DictReader(
        line
        for line in (files("streams.festivals") / "published.csv").read_text("utf-8").splitlines()
        if not line.startswith("#")
    )
    with_orders = [int(row["festival"][-4:]) for row in rows if row["orders"]]
    averages = [published_curves()[year].total_minor // published_curves()[year].orders for year in with_orders]
    assert with_orders == [2012, 2014, 2015, 2016, 2017, 2018, 2019]
    bounds = FESTIVALS[festival].plausible.average_order_value_minor
    assert bounds == (15_000, 25_000)
    assert bounds[0] < min(averages) == 18_052
    assert 20_773 == max(averages) < bounds[1]


def test_shapes_begin_at_nothing() -> None:
    assert all(isinstance(shape, Shape) and shape.points[0] == (0, 0) for shape in editions().values())
