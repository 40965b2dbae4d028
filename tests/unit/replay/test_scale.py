"""Festival files of scaled days."""

from __future__ import annotations

from dataclasses import replace

import pytest

from streams.domain.festivals import parse_festival
from streams.festivals import load_festivals
from streams.festivals.curves import load_curves
from streams.replay.scale import scaled, to_toml

FESTIVALS = load_festivals()
DAY = FESTIVALS["singles-day-2019"]


@pytest.mark.parametrize("festival", FESTIVALS.values(), ids=FESTIVALS)
def test_a_written_festival_is_read_as_the_same(festival: object) -> None:
    assert parse_festival(to_toml(festival), "written") == festival  # type: ignore[arg-type]


def test_a_festival_of_any_name_and_start_is_read_as_the_same() -> None:
    second_time_2_30_ms = 1_792_891_800_000  # 25 October 2026, 01:30 UTC, 02:30 in Berlin for the second time
    festival = replace(
        DAY,
        id='a"b\\c',
        name="双十一 😀\x7f\n\u2028",
        timezone="Europe/Berlin",
        start_ms=second_time_2_30_ms,
        end_ms=second_time_2_30_ms + 48 * 3_600_000,
    )
    assert parse_festival(to_toml(festival), "written") == festival
    assert parse_festival(to_toml(replace(festival, start_ms=second_time_2_30_ms - 3_600_000)), "w") != festival


def test_a_scaled_day_counts_the_same_with_smaller_milestones() -> None:
    small = scaled(DAY, load_curves()[DAY.id], 130_000)
    assert small.name == "Global Shopping Festival 2019, 1 : 10,000"
    assert small.milestones_minor == tuple(amount // 10_000 for amount in DAY.milestones_minor)
    assert small.previous is not None
    assert small.previous.total_minor == 2_135_000_000
    assert small.previous.before_minor == 1_682_000_000
    assert small.previous.curve[-1] == (86_400, 2_135_000_000)
    assert (small.start_ms, small.end_ms, small.facts) == (DAY.start_ms, DAY.end_ms, DAY.facts)
    assert small.rates == DAY.rates
