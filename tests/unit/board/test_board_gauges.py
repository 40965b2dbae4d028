"""Gauges of the story: the forecast and the last edition, where they are known."""

from __future__ import annotations

from streams.board import gauges
from streams.board.gauges import Scene
from streams.board.memory import MemoryLedger
from streams.board.view import CommittedView
from streams.festivals import load_festivals

FESTIVALS = load_festivals()
DAY = FESTIVALS["singles-day-2014"]
HOUR_MS = 3_600_000


def scene(elapsed_ms: int) -> Scene:
    """Return 10 bn yuan sold in the first second, and orders seen up to `elapsed_ms`."""
    ledger = MemoryLedger(1)
    ledger.add(0, DAY, "orders_by_second", ("CNY",), DAY.start_ms, orders=50_000_000, gross_minor=10**12)
    ledger.commit(0, max_event_times_ms={"orders": DAY.start_ms + elapsed_ms + 5_000})
    view = CommittedView()
    view.feed(ledger.drain())
    return Scene(view.snapshot(), list(FESTIVALS.values()))


def test_the_forecast_has_three_bounds_of_the_festivals_whose_last_edition_has_a_curve() -> None:
    found = {labels: value for labels, value in gauges.forecast(scene(3 * HOUR_MS)) if labels[0] == DAY.id}
    low, expected, high = (found[DAY.id, bound] for bound in ("low", "expected", "high"))
    assert 10**12 < low < expected < high
    days = {festival for (festival, _), _ in gauges.forecast(scene(3 * HOUR_MS))}
    assert days == {DAY.id}


def test_before_the_first_five_minutes_there_is_no_forecast_and_at_the_end_it_is_the_total() -> None:
    assert list(gauges.forecast(scene(299_000))) == []
    after = dict(gauges.forecast(scene(24 * HOUR_MS)))
    assert [after[DAY.id, bound] for bound in ("low", "expected", "high")] == [10**12] * 3


def test_the_last_edition_is_shown_at_the_local_time_of_the_watermark() -> None:
    assert dict(gauges.previous_gross(scene(367_000)))[(DAY.id,)] == 10**11
