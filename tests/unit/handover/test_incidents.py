"""Incidents out of what Prometheus recorded."""

from __future__ import annotations

import pytest

from streams.errors import UsageError
from streams.festivals import load_festivals
from streams.handover.incidents import MARGIN_MS, Alert, Gap, Recorded, alerts_of, gaps_of, period_of
from streams.handover.prometheus import checked_url

DAY = load_festivals()["singles-day-2019"]
HOUR = 3_600_000


def counter(*samples: tuple[int, float], worker: str = "a") -> Recorded:
    return Recorded({"instance": worker}, [(second * 1_000, value) for second, value in samples])


def test_an_alert_is_told_from_its_first_to_its_last_evaluation() -> None:
    times = [*range(0, 60, 5), *range(1_000, 1_030, 5)]
    series = Recorded({"alertname": "Down", "severity": "critical"}, [(second * 1_000, 1.0) for second in times])
    other = Recorded({"alertname": "Down", "severity": "critical", "instance": "b"}, [(57_000, 1.0)])
    assert alerts_of([series, other]) == [
        Alert("Down", "critical", 0, 57_000),
        Alert("Down", "critical", 1_000_000, 1_025_000),
    ]
    assert alerts_of([]) == []


def test_checkpoints_without_a_pause_leave_no_gap() -> None:
    steady = counter(*((second, float(second)) for second in range(0, 100, 5)))
    assert gaps_of([steady], [], 0, 100_000) == []


def test_a_pause_of_all_workers_is_a_gap_and_one_of_a_single_worker_is_none() -> None:
    first = counter((0, 1), (5, 2), (10, 3), (40, 3), (45, 4), (50, 5))
    other = counter((0, 7), (5, 7), (20, 7), (25, 8), (50, 8), worker="b")
    assert gaps_of([first], [], 0, 60_000) == [Gap(10_000, 40_000, None)]
    assert gaps_of([first, other], [], 0, 60_000) == [Gap(25_000, 40_000, None)]


def test_a_worker_that_restarts_has_made_a_checkpoint_not_a_gap() -> None:
    assert gaps_of([counter((0, 90), (5, 91), (10, 2), (15, 3))], [], 0, 20_000) == []


def test_a_pause_in_which_nothing_waited_is_no_incident() -> None:
    paused = counter((0, 1), (5, 2), (40, 2), (45, 3))
    idle = counter((10, 0), (20, 0), (30, 0))
    busy = counter((10, 0), (20, 40), (30, 90))
    assert gaps_of([paused], [idle], 0, 60_000) == []
    assert gaps_of([paused], [busy], 0, 60_000) == [Gap(5_000, 40_000, 90)]
    assert gaps_of([paused], [busy, counter((30, 10), worker="b")], 0, 60_000) == [Gap(5_000, 40_000, 100)]


def test_a_pause_of_ten_seconds_is_allowed() -> None:
    assert gaps_of([counter((0, 1), (5, 2), (15, 2), (20, 3))], [], 0, 60_000) == []
    assert gaps_of([counter((0, 1), (5, 2), (16, 2), (20, 3))], [], 0, 60_000) == [Gap(5_000, 16_000, None)]


def test_without_checkpoints_there_is_no_gap() -> None:
    assert gaps_of([], [], 0, 60_000) == []
    assert gaps_of([counter((0, 1), (50, 1))], [], 0, 60_000) == []


def test_the_period_is_the_festivals_own_day_or_the_time_of_its_replay() -> None:
    start, end = DAY.start_ms, DAY.end_ms
    late = end + 100 * HOUR
    assert period_of(DAY, start + 5, end, late) == (start - MARGIN_MS, end + MARGIN_MS)
    assert period_of(DAY, start + 5, start + HOUR, start + HOUR) == (start - MARGIN_MS, start + HOUR)
    assert period_of(DAY, None, None, late) == (start - MARGIN_MS, end + MARGIN_MS)
    assert period_of(DAY, late, late + HOUR, late + 2 * HOUR) == (late - 60_000, late + HOUR + 60_000)


@pytest.mark.parametrize("url", ["", "prometheus:9090", "ftp://x", "http://", "/api"])
def test_what_is_no_address_is_refused(url: str) -> None:
    with pytest.raises(UsageError, match="--prometheus"):
        checked_url(url)
    assert checked_url("http://localhost:9090/") == "http://localhost:9090"
