"""Whether a total can be right, compared with the last edition."""

from __future__ import annotations

from streams.board.answers.highlights import implausible
from streams.board.answers.series import MONEY, per_second
from streams.board.answers.story import StoryReader
from streams.board.view.committed_view import CommittedView, Snapshot
from streams.engine.memory import CellLedger
from streams.festivals import load_festivals
from tests.unit.board.answers.test_board_highlights import sold

DAY, DAY_2014 = (load_festivals()[f"singles-day-{year}"] for year in (2019, 2014))
NOON_S = 43_200


def test_a_whole_day_with_one_order_is_too_little_and_a_day_without_any_is_not_judged() -> None:
    assert implausible(sold((0, 1, 20_000)), DAY, DAY.end_ms)["growth"]
    assert not implausible(sold(), DAY, DAY.end_ms)["growth"]


def sold_in_2014(second: int) -> Snapshot:
    """Return a snapshot in which the published total of noon was sold in one second."""
    ledger = CellLedger(1)
    at_ms = DAY_2014.start_ms + second * 1_000
    ledger.add(0, DAY_2014, "orders_by_second", ("CNY",), at_ms, orders=1_000, gross_minor=3_000_000_000_000)
    ledger.commit(0, max_event_times_ms={"orders": DAY_2014.start_ms + NOON_S * 1_000 + 5_000})
    view = CommittedView()
    view.feed(ledger.drain())
    return view.snapshot()


def as_of_ms(snapshot: Snapshot, end_ms: int) -> int | None:
    """Return the instant that the forecast of the day is as of."""
    forecast = StoryReader(snapshot, DAY_2014, end_ms).forecast
    assert forecast is not None
    return forecast.as_of_ms


def test_a_forecast_is_as_of_the_last_millisecond_that_is_taken_as_complete() -> None:
    noon_ms = DAY_2014.start_ms + NOON_S * 1_000
    assert as_of_ms(sold_in_2014(60), DAY_2014.end_ms) == noon_ms - 1
    assert as_of_ms(sold_in_2014(60), noon_ms - 60_000) == noon_ms - 60_001


def test_a_series_of_one_measure_is_that_measure_and_of_several_their_sum() -> None:
    snapshot = sold((3, 2, 500), (4, 1, 70))
    gross = per_second(snapshot, DAY, MONEY["gross"], "CNY")
    net = per_second(snapshot, DAY, MONEY["net"], "CNY")
    assert gross is per_second(snapshot, DAY, MONEY["gross"], "CNY"), "it is shared"
    assert gross[2:6].tolist() == [0, 500, 70, 0]
    assert net[2:6].tolist() == [0, 500, 70, 0]
