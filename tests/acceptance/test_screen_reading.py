"""Any minute can be read, by mouse, finger and keyboard; and the lead on the last edition is a curve of its own."""

from __future__ import annotations

from itertools import accumulate
from typing import TYPE_CHECKING

import pytest
from selenium.webdriver import ActionChains
from selenium.webdriver.common.keys import Keys

from tests.acceptance.daytime import CURVES, Daytime
from tests.acceptance.hall import FESTIVALS, Hall
from tests.acceptance.test_screen_drawing import corners

if TYPE_CHECKING:
    from collections.abc import Iterator

    from selenium.webdriver.remote.webelement import WebElement

    from tests.acceptance.browser import Browser, Page

DAY = FESTIVALS["singles-day-2019"]
NOON = 12 * 60
LAST = "Global Shopping Festival 2018"


@pytest.fixture(scope="module")
def hall() -> Iterator[Hall]:
    """Return the day of 2019 at noon."""
    with Hall(DAY) as hall:
        Daytime(hall, CURVES[DAY.id]).until(NOON)
        yield hall


@pytest.fixture
def shown(browser: Browser, hall: Hall) -> Browser:
    """Return a browser that shows the charts."""
    browser.size(1920, 1080)
    browser.media(prefers_reduced_motion="reduce")
    browser.driver.get(f"{hall.url}?lang=en&festival={DAY.id}")
    browser.problems()  # those of the page before, whose server has gone
    browser.until(lambda: browser.run("return document.querySelector('#difference .lead') !== null"), "it is drawn")
    return browser


def reader(browser: Browser, chart: str) -> WebElement:
    return browser.driver.find_element("css selector", f"#{chart} + .reader")


def notes(browser: Browser, chart: str) -> list[str]:
    script = "return [...document.querySelectorAll(`#${arguments[0]} ~ .reading:not([hidden]) span`)]"
    return list(browser.run(f"{script}.map((one) => one.textContent)", chart))


def cursors(browser: Browser) -> list[float]:
    return list(browser.run("return [...document.querySelectorAll('.cursor')].map((one) => Number(one.dataset.ms))"))


def test_the_keyboard_reads_minute_by_minute_in_all_charts(shown: Browser, hall: Hall) -> None:
    minutes = hall.ask(f"series?festival={DAY.id}&measure=home_gross&step=minute")["values"]
    slider = reader(shown, "running")
    shown.run("document.getElementById('hall').focus()")
    slider.send_keys(Keys.HOME)
    assert slider.get_attribute("aria-valuenow") == "0"
    slider.send_keys(Keys.PAGE_DOWN, Keys.ARROW_RIGHT, Keys.PAGE_UP, Keys.ARROW_LEFT)
    assert slider.get_attribute("aria-valuenow") == "60", "an hour and a minute on, and a minute back"
    sold = sum(minutes[:61]) / 100 / 1e9
    time, ours, theirs = notes(shown, "running")
    assert time == "01:01"
    assert float(ours[1:-1]) == pytest.approx(sold, abs=0.1)
    assert ours.startswith("¥")
    assert theirs.startswith(f"{LAST}: ¥69.")
    assert slider.get_attribute("aria-valuetext") == f"{time}, {ours}, {theirs}"
    assert slider.get_attribute("role") == "slider"
    (lead_at, lead) = notes(shown, "difference")
    assert (lead_at, lead[0]) == (time, "¥")
    assert notes(shown, "minutes")[0] == "01:00", "the minute that begins then"
    assert cursors(shown) == [DAY.start_ms + 60.5 * 60_000] * 3, "the same minute in each"
    slider.send_keys(Keys.END)
    assert notes(shown, "running")[1] == "–", "what is to come has no number"
    slider.send_keys(Keys.ESCAPE)
    assert cursors(shown) == []
    assert shown.accessibility() == []


def test_a_finger_and_a_mouse_read_where_they_point(shown: Browser) -> None:
    place = reader(shown, "minutes")
    ActionChains(shown.driver).move_to_element_with_offset(place, -60, 0).perform()
    shown.until(lambda: len(cursors(shown)) == 3, "where the mouse is")
    before = cursors(shown)[0]
    ActionChains(shown.driver).move_by_offset(30, 0).perform()
    shown.until(lambda: cursors(shown)[0] > before, "further right is later")
    ActionChains(shown.driver).move_to_element(shown.driver.find_element("id", "state")).perform()
    shown.until(lambda: cursors(shown) == [], "it left")
    box = place.rect
    touch = {"x": box["x"] + box["width"] / 2, "y": box["y"] + box["height"] / 2}
    shown.driver.execute_cdp_cmd("Input.dispatchTouchEvent", {"type": "touchStart", "touchPoints": [touch]})
    shown.until(lambda: len(notes(shown, "minutes")) == 3, "a finger reads")
    shown.driver.execute_cdp_cmd("Input.dispatchTouchEvent", {"type": "touchEnd", "touchPoints": []})
    shown.run("document.activeElement.blur()")
    for name in ("minutes", "running", "difference"):
        outside = """const [note, plot] = ['.reading', '.plot'].map((one) =>
            document.querySelector(`#${arguments[0]}-figure ${one}`).getBoundingClientRect());
            return note.width > 0 && (note.left < plot.left - 1 || note.right > plot.right + 1)"""
        assert not shown.run(outside, name)


def test_the_lead_is_what_was_sold_less_what_the_last_edition_had_sold(shown: Browser, hall: Hall) -> None:
    known = {festival["id"]: festival for festival in hall.ask("festivals")["festivals"]}[DAY.id]
    minutes = hall.ask(f"series?festival={DAY.id}&measure=home_gross&step=minute")["values"]
    sold = list(accumulate(minutes))
    (drawn,) = corners(shown, "difference", ".lead")
    closed = len(drawn) - 1
    assert NOON - 1 <= closed <= NOON
    expected = [(sold[i] - known["previous"]["by_minute"][i]) / 100 for i in range(closed)]
    ceiling = float(shown.run("return Number(document.getElementById('difference').dataset.ceiling)"))
    assert [value for _, value in drawn[1:]] == pytest.approx(expected, abs=ceiling / 100)
    assert [share for share, _ in drawn] == pytest.approx([i / 1440 for i in range(closed + 1)], abs=1e-3)
    marked = shown.run("return [...document.querySelectorAll('.now-line')].map((one) => Number(one.dataset.ms))")
    assert len(marked) == 3, "now is marked in each chart"
    assert all(abs(ms - DAY.start_ms - NOON * 60_000) <= 120_000 for ms in marked)


@pytest.mark.parametrize(
    ("low", "high"), [(0, 0), (0, 7.5), (-3, 0), (-1, 400), (-400, 1), (-16e9, 3e9), (-0.4, 0.2), (5, 40)]
)
def test_the_axis_of_the_lead_holds_both_ends_and_zero(page: Page, low: float, high: float) -> None:
    ticks = page("difference.aroundZero(given[0], given[1])", low, high)
    assert 0 in ticks
    assert ticks == sorted(set(ticks))
    assert ticks[0] <= low
    assert ticks[-1] >= high
    assert 2 <= len(ticks) <= 8


def test_where_the_day_is_behind_the_lead_goes_below_zero(browser: Browser) -> None:
    with Hall(DAY) as hall:
        Daytime(hall, CURVES[DAY.id], scale=2).until(NOON)
        browser.driver.get(f"{hall.url}?lang=en&festival={DAY.id}")
        behind = "return document.querySelector('#difference .lead.is-behind') !== null"
        browser.until(lambda: browser.run(behind), "it is drawn below, in another colour")
        assert browser.run("return document.querySelector('#difference-note [data-line=lag]') !== null")
        assert browser.text("difference-note").startswith("-¥")
        assert browser.run("return document.getElementById('versus').dataset.ahead") == "false"
