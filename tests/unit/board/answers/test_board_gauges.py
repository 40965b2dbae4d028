"""Gauges of the story: the forecast and the last edition, where they are known."""

from __future__ import annotations

from typing import TYPE_CHECKING

from streams.board.answers import gauges
from streams.board.answers.gauges import Scene, bounded
from streams.board.view.committed_view import CommittedView
from streams.domain.rollups import LABEL_LIMIT, OTHER
from streams.engine.memory import CellLedger
from streams.festivals import load_festivals

if TYPE_CHECKING:
    from streams.domain.festivals import Festival

FESTIVALS = load_festivals()
DAY = FESTIVALS["singles-day-2014"]
HOUR_MS = 3_600_000


def scene(elapsed_ms: int, day: Festival = DAY) -> Scene:
    """Return 10 bn yuan sold in the first second, and orders seen up to `elapsed_ms`."""
    ledger = CellLedger(1)
    ledger.add(0, day, "orders_by_second", ("CNY",), day.start_ms, orders=50_000_000, gross_minor=10**12)
    ledger.commit(0, max_event_times_ms={"orders": day.start_ms + elapsed_ms + 5_000})
    view = CommittedView()
    view.feed(ledger.drain())
    return Scene(view.snapshot(), list(FESTIVALS.values()))


def test_the_forecast_has_three_bounds_of_the_festivals_whose_last_edition_has_a_curve() -> None:
    found = {labels: value for labels, value in gauges.forecast(scene(3 * HOUR_MS)) if labels[0] == DAY.id}
    low, expected, high = (found[DAY.id, bound] for bound in ("low", "expected", "high"))
    assert 10**12 < low < expected < high
    days = {festival for (festival, _), _ in gauges.forecast(scene(3 * HOUR_MS))}
    assert days == {DAY.id}, "of 2019 nothing has come"
    days = {festival for (festival, _), _ in gauges.forecast(scene(3 * HOUR_MS, FESTIVALS["singles-day-2019"]))}
    assert days == {DAY.id, "singles-day-2019"}


def test_before_the_first_five_minutes_there_is_no_forecast_and_at_the_end_it_is_the_total() -> None:
    assert list(gauges.forecast(scene(299_000))) == []
    after = dict(gauges.forecast(scene(24 * HOUR_MS)))
    assert [after[DAY.id, bound] for bound in ("low", "expected", "high")] == [10**12] * 3


def test_the_last_edition_is_shown_at_the_local_time_of_the_watermark() -> None:
    assert dict(gauges.previous_gross(scene(367_000)))[(DAY.id,)] == 10**11


def test_two_hundred_values_have_a_label_each_and_of_more_the_smallest_are_other() -> None:
    values = {f"m{number:03}": number for number in range(1, LABEL_LIMIT + 1)}
    assert bounded(values, values) == values
    more = {**values, "m000": 0}
    found = bounded(more, more)
    assert len(found) == LABEL_LIMIT
    assert found.keys() == {f"m{number:03}" for number in range(2, LABEL_LIMIT + 1)} | {OTHER}
    assert found[OTHER] == 1
    assert sum(found.values()) == sum(more.values())
