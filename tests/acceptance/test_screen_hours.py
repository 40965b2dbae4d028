"""The screen's hours are the festival's own clock's: any start, days of 23 and of 25 hours, and several days."""

from __future__ import annotations

import dataclasses
import datetime as dt
import re
from typing import TYPE_CHECKING, Any
from zoneinfo import ZoneInfo

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from tests.acceptance.hall import FESTIVALS, HOUR_MS, Hall

if TYPE_CHECKING:
    from streams.domain.festivals import Festival
    from tests.acceptance.browser import Browser, Page

DAY = FESTIVALS["singles-day-2019"]
SECOND_MS = 1_000
LABELS = """return [...document.querySelectorAll('#running .hour')].map((label) =>
    [Number(label.dataset.ms), Number(label.getAttribute('x')), label.textContent])"""
MARKS = """return [...document.querySelectorAll('#running .mark')].map((mark) =>
    [Number(mark.dataset.ms), Number(mark.getAttribute('cx'))])"""


def ms_of(local: str, zone: str) -> int:
    return int(dt.datetime.fromisoformat(local).replace(tzinfo=ZoneInfo(zone)).timestamp() * 1000)


def clock(ms: int, zone: str) -> str:
    return dt.datetime.fromtimestamp(ms / 1000, ZoneInfo(zone)).strftime("%H:%M")


def festival(starts: str, zone: str, hours: int = 24, **changed: Any) -> Festival:  # noqa: ANN401 - any field
    start_ms = ms_of(starts, zone)
    usual: dict[str, Any] = {"id": "made-up", "name": "Made up", "timezone": zone, "milestones_minor": (100_000,)}
    given_ = {"start_ms": start_ms, "end_ms": start_ms + hours * HOUR_MS, "previous": None}
    return dataclasses.replace(DAY, **{**usual, **given_, **changed})


ZONES = (
    *("Asia/Shanghai", "Europe/Berlin", "Australia/Lord_Howe"),
    *("Asia/Kathmandu", "America/Havana", "Pacific/Apia"),
)
WHOLE = "00:00 03:00 06:00 09:00 12:00 15:00 18:00 21:00 24:00"
LABELLED = {
    "midnight": ("2019-11-11T00:00", "Asia/Shanghai", 24, WHOLE),
    "18:00": ("2019-11-11T18:00", "Asia/Shanghai", 24, "18:00 21:00 00:00 03:00 06:00 09:00 12:00 15:00 18:00"),
    "18:20": ("2019-11-11T18:20", "Asia/Shanghai", 24, "21:00 00:00 03:00 06:00 09:00 12:00 15:00 18:00"),
    "half an hour from UTC": ("2019-10-27T00:00", "Asia/Kolkata", 24, WHOLE),
    "a day of 25 hours": ("2019-10-27T00:00", "Europe/Berlin", 25, WHOLE),
    "24 hours of a day of 25": ("2019-10-27T00:00", "Europe/Berlin", 24, WHOLE[:-6]),
    "a day of 23 hours": ("2019-03-31T00:00", "Europe/Berlin", 23, WHOLE),
    "midnight that comes twice": ("2019-11-02T22:00", "America/Havana", 6, "22:00 23:00 00:00 01:00 02:00 03:00"),
    "midnight that never comes": ("2019-03-09T22:00", "America/Havana", 4, "22:00 23:00 01:00 02:00 03:00"),
    "two days": ("2019-11-11T00:00", "Asia/Shanghai", 48, "Nov 11|06:00|12:00|18:00|Nov 12|06:00|12:00|18:00|Nov 13"),
    "a week": ("2019-11-11T12:00", "Asia/Shanghai", 168, "Nov 12|Nov 13|Nov 14|Nov 15|Nov 16|Nov 17|Nov 18"),
    "an hour": ("2019-11-11T20:00", "Asia/Shanghai", 1, "20:00 21:00"),
}  # fmt: skip
TICKS = """((festival, most) => axis.hoursOf(festival, most)
    .map((tick) => [tick.ms, axis.labelOf(tick, festival, new numbers.Numbers('en-US'))]))(given[0], given[1])"""


def asked(made: Festival) -> dict[str, Any]:
    return {"start_ms": made.start_ms, "end_ms": made.end_ms, "timezone": made.timezone}


@pytest.mark.parametrize("case", LABELLED)
def test_hours_are_those_of_the_festivals_clock(page: Page, case: str) -> None:
    starts, zone, hours, labels = LABELLED[case]
    shown = [label for _, label in page(TICKS, asked(festival(starts, zone, hours)), 9)]
    assert shown == labels.split("|" if "|" in labels else " ")


@settings(max_examples=60, deadline=None)
@given(
    st.integers(0, 400 * 24 * 60),
    st.sampled_from(ZONES),
    st.one_of(st.integers(1, 30), st.integers(31, 744)),
    st.integers(2, 9),
)
def test_every_label_stands_where_the_clock_shows_it(page: Page, minute: int, zone: str, hours: int, most: int) -> None:
    start_ms = ms_of("2018-12-31T00:00", zone) + minute * 60 * SECOND_MS
    made = festival("2019-11-11T00:00", zone, start_ms=start_ms, end_ms=start_ms + hours * HOUR_MS)
    ticks = page(TICKS, asked(made), most)
    times = [ms for ms, _ in ticks]
    assert times == sorted(set(times))
    assert len(ticks) <= most + 1
    assert all(made.start_ms <= ms <= made.end_ms for ms in times)
    for ms, label in ticks:
        if re.fullmatch(r"\d\d:\d\d", label):
            assert label == clock(ms, zone) or (label == "24:00" and clock(ms, zone) == "00:00")
        else:
            assert clock(ms, zone) == "00:00"
            assert label.endswith(str(dt.datetime.fromtimestamp(ms / 1000, ZoneInfo(zone)).day))


@pytest.mark.parametrize(
    "case",
    [
        ("2019-11-11T00:00", "Asia/Shanghai", 24, "2019-11-11T22:59:50", "21:00", "22:59:51"),
        ("2019-03-31T00:00", "Europe/Berlin", 23, "2019-03-31T22:59:50", "21:00", "22:59:51"),
        ("2019-10-27T00:00", "Europe/Berlin", 25, "2019-10-27T22:59:50", "21:00", "22:59:51"),
        ("2019-11-11T18:00", "Asia/Shanghai", 24, "2019-11-12T15:30:00", "15:00", "15:30:01"),
        ("2019-11-11T18:00", "Asia/Shanghai", 48, "2019-11-13T12:30:00", "12:00", "Nov 13\u00a012:30:01"),
    ],
)
def test_a_milestone_is_drawn_between_the_hours_it_lies_between(
    browser: Browser, case: tuple[str, str, int, str, str, str]
) -> None:
    starts, zone, hours, passed, beside, told = case
    made = festival(starts, zone, hours)
    at_ms = ms_of(passed, zone)
    with Hall(made) as hall:
        hall.sell(100_000, at_ms)
        hall.commit(at_ms + 5_000)
        browser.size(1920, 1080)
        browser.driver.get(f"{hall.url}?lang=en&festival=made-up")
        browser.until(lambda: browser.run(MARKS) != [], "the mark is drawn")
        ((mark_ms, mark_x),) = browser.run(MARKS)
        labels = browser.run(LABELS)
        before = max((label for label in labels if label[0] <= mark_ms), key=lambda label: label[0])
        assert mark_ms == at_ms + SECOND_MS
        assert before[2] == beside
        # The scale is even: what lies so many minutes behind a label is drawn so far right of it.
        first, last = labels[0], labels[-1]
        per_ms = (last[1] - first[1]) / (last[0] - first[0])
        assert mark_x == pytest.approx(before[1] + (mark_ms - before[0]) * per_ms, abs=0.01)
        assert browser.run("return document.querySelector('.milestones span').textContent") == told
        assert f"at {told[:-3]}" in browser.text("minutes-note")
