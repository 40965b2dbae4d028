"""What published editions teach: how growth fades, how far forecasts were off, and that no edition judges itself."""

from __future__ import annotations

from fractions import Fraction
from statistics import median

import pytest

from streams.domain.experience import fadings, last_of, learn, published, sequels, without
from streams.domain.forecast import Shape
from streams.festivals.editions import editions, experience

DAY_S = 86_400


def day(noon: int, total: int, evening: int | None = None) -> Shape:
    later = ((64_800, evening),) if evening is not None else ()
    return Shape(((0, 0), (43_200, noon), *later, (DAY_S, total)))


def test_the_damping_is_the_median_of_growth_over_the_growth_before() -> None:
    totals = {2001: 100, 2002: 200, 2003: 300, 2004: 375, 2005: 390}
    assert fadings({year: day(1, total) for year, total in totals.items()}) == {
        2003: Fraction(1, 2),
        2004: Fraction(1, 2),
        2005: Fraction(4, 25),
    }
    found = fadings(editions())
    assert experience().damping == median(found.values())
    assert 0.7 < experience().damping < 0.8
    assert sorted(found) == list(range(2013, 2020))


def test_a_gap_between_editions_is_no_growth() -> None:
    assert sorted(fadings(without(editions(), 2015))) == [2013, 2014, 2018, 2019]
    assert sequels(without(editions(), 2015)) == [2013, 2014, 2018, 2019]
    assert sequels(editions()) == list(range(2013, 2020))


def test_only_amounts_that_both_days_published_teach() -> None:
    first_ms = editions()[2012].first_ms
    assert first_ms == 8_340_000
    assert next(elapsed_ms for elapsed_ms, _ in published(editions(), 2013)) == 20_940_000
    assert [elapsed_ms for elapsed_ms, _ in published(editions(), 2019)][:2] == [325_000, 769_000]
    assert len(published(editions(), 2019)) == 11


def test_an_edition_that_is_left_out_teaches_nothing() -> None:
    """Whatever it sold: neither as itself, nor as the last edition of the one after it."""
    absurd = {**editions(), 2016: day(1, 10**18)}
    assert learn(without(absurd, 2016)) == learn(without(editions(), 2016))
    assert learn(absurd) != learn(editions())


def test_a_miss_is_the_larger_of_both_ways_and_ends_where_one_edition_goes_on_alone() -> None:
    """All but one sell half by noon: of 1,800 it says 2,000 too early, and of the 2,100 after it 1,890 too little."""
    totals = {2001: 1_000, 2002: 1_200, 2003: 1_500, 2004: 1_800, 2005: 2_100, 2006: 2_400, 2007: 2_700, 2008: 3_001}
    days = {year: day(total // 2, total) for year, total in totals.items()} | {2004: day(1_000, 1_800)}
    alone = learn({**days, 2005: day(1_050, 2_100, 1_500)})
    assert alone.pace.since(Fraction(0)) == Fraction(1_112, 1_000)
    assert alone.pace.seen[-1][0] == Fraction(1, 2), "only 2005 goes on until the evening"
    both = learn({**days, 2005: day(1_050, 2_100, 1_500), 2007: day(1_350, 2_700, 2_000)})
    assert both.pace.seen[-1][0] == Fraction(3, 4)


@pytest.mark.parametrize("year", sequels(editions()))
def test_what_was_known_of_the_last_edition_is_its_day_and_the_total_before(year: int) -> None:
    last = last_of(editions(), year)
    assert (last.shape, last.before_minor) == (editions()[year - 1], editions()[year - 2].total_minor)


def test_the_factors_of_all_editions_are_those_of_the_docs() -> None:
    """A change of the points or of the method moves them: look at the back-test before writing new ones."""
    known = experience()
    hours = [Fraction(hour, 24) for hour in (0, 1, 3, 6, 12, 15, 22)]
    assert [float(known.pace.since(hour)) for hour in hours] == [1.595, 1.435, 1.245, 1.122, 1.122, 1.058, 1.058]
    assert {float(known.rest.since(hour)) for hour in hours} == {1.603}
    assert [float(known.rest_by_pace.since(hour)) for hour in hours[:3]] == [1.671, 1.667, 1.604]
