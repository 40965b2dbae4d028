"""The published error of the forecast, and what it has to reach."""

from fractions import Fraction
from pathlib import Path

import pytest

from streams.board.answers.highlights import forecast_of
from streams.board.answers.home_curve import HomeCurve
from streams.board.view.committed_view import CommittedView
from streams.domain.experience import published, sequels
from streams.engine.memory import CellLedger
from streams.festivals import backtest, load_festivals
from streams.festivals.editions import editions

DAY = load_festivals()["singles-day-2019"]
TOTAL = editions()[2019].total_minor
POINTS = published(editions(), 2019)


def test_the_page_in_docs_is_the_one_the_back_test_writes() -> None:
    page = Path(__file__).parents[3] / "docs" / "forecast.md"
    assert page.read_text("utf-8") == backtest.markdown(), "python -m streams.festivals.backtest > docs/forecast.md"


@pytest.mark.parametrize("elapsed_ms", backtest.TIMES_MS)
def test_2019_is_told_within_5_per_cent_at_each_hour_by_what_was_known_before(elapsed_ms: int) -> None:
    found = backtest.told(2019, elapsed_ms)
    assert found is not None
    assert abs(backtest.error(found.expected_minor, TOTAL)) <= Fraction(5, 100)
    assert backtest.holds(found, TOTAL)


@pytest.mark.parametrize(("elapsed_ms", "sold"), POINTS)
def test_the_interval_holds_2019_at_each_published_point_by_what_was_known_before(
    elapsed_ms: int, sold: Fraction
) -> None:
    found = backtest.told(2019, elapsed_ms, sold)
    assert found is not None
    assert backtest.holds(found, TOTAL)


def forecast_on_the_screen(elapsed_ms: int, sold_minor: int) -> tuple[int, int, int]:
    """Return what a board tells of the built-in festival after so much was sold: low, expected, high."""
    ledger = CellLedger(1)
    at_ms = DAY.start_ms + elapsed_ms - 1_000
    ledger.add(0, DAY, "orders_by_second", ("CNY",), at_ms, orders=sold_minor // 20_000, gross_minor=sold_minor)
    view = CommittedView()
    view.feed(ledger.drain())
    found = forecast_of(DAY, HomeCurve(view.snapshot(), DAY), DAY.start_ms + elapsed_ms)
    assert found is not None
    return found.low_minor, found.expected_minor, found.high_minor


@pytest.mark.parametrize("elapsed_ms", sorted({*backtest.TIMES_MS, *(at for at, _ in POINTS)}))
def test_a_board_tells_2019_within_5_per_cent_and_an_interval_that_holds_it(elapsed_ms: int) -> None:
    low, expected, high = forecast_on_the_screen(elapsed_ms, round(editions()[2019].amount_at(elapsed_ms)))
    assert abs(backtest.error(expected, TOTAL)) <= Fraction(5, 100)
    assert low <= TOTAL <= high


def test_all_editions_but_2013_lie_in_the_interval_at_every_published_point() -> None:
    """Four points of five of 2013, after a growth of 468 %, do not: what is said of it in the docs."""
    missed = [
        year
        for year in sequels(editions())
        for elapsed_ms, sold in published(editions(), year)
        if (found := backtest.told(year, elapsed_ms, sold)) is None
        or not backtest.holds(found, editions()[year].total_minor)
    ]
    assert missed == [2013] * 4
