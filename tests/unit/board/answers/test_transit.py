"""How long parcels were underway: days, percentiles, and the share that came in time."""

from __future__ import annotations

from math import ceil

from hypothesis import given
from hypothesis import strategies as st

from streams.board.answers.transit import TRANSIT_ROLLUP, share, transit_of
from streams.board.answers.values import Transit
from streams.board.view.committed_view import CommittedView
from streams.domain.rollups import NONE
from streams.engine.memory import CellLedger
from streams.festivals import load_festivals

DAY = load_festivals()["singles-day-2019"]


def transit(parcels: dict[str, int]) -> Transit:
    """Return what is told of so many parcels per text of the dimension."""
    ledger, view = CellLedger(1), CommittedView()
    for days, count in parcels.items():
        ledger.add(0, DAY, TRANSIT_ROLLUP, (days,), DAY.start_ms, delivered=count)
    view.feed(ledger.drain())
    return transit_of(view.snapshot().table(DAY.id, TRANSIT_ROLLUP))


def test_without_parcels_nothing_is_told() -> None:
    assert transit({}) == Transit(days={}, unknown=0, p50=None, p90=None, promised_days=12, within_promised=None)


def test_parcels_that_do_not_say_when_they_left_are_in_no_share() -> None:
    told = transit({NONE: 7})
    assert (told.unknown, told.days, told.p50, told.within_promised) == (7, {}, None, None)


def test_twelve_whole_days_are_in_time_and_thirteen_are_not() -> None:
    assert transit({"12": 3, "13": 1}).within_promised == 0.75


def test_what_is_beyond_the_last_day_is_told_as_one_more() -> None:
    told = transit({"0": 1, "60": 1, "61+": 2})
    assert list(told.days.items()) == [("0", 1), ("60", 1), ("61+", 2)]
    assert (told.p50, told.p90) == (60, 61)


@given(st.dictionaries(st.integers(0, 61), st.integers(1, 30), min_size=1))
def test_a_percentile_is_the_day_by_which_so_many_parcels_had_come(parcels: dict[int, int]) -> None:
    told = transit({"61+" if day == 61 else str(day): count for day, count in parcels.items()})
    one_by_one = sorted(day for day, count in parcels.items() for _ in range(count))
    for percent, found in ((50, told.p50), (90, told.p90)):
        assert found == one_by_one[ceil(len(one_by_one) * percent / 100) - 1]
    in_time = sum(day <= 12 for day in one_by_one)
    assert told.within_promised == round(in_time / len(one_by_one), 6)


def test_a_share_has_six_digits_and_there_is_none_of_nothing() -> None:
    assert (share(1, 3), share(2, 3), share(0, 3), share(3, 3), share(1, 0)) == (0.333333, 0.666667, 0.0, 1.0, None)
