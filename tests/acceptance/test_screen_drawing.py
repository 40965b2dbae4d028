"""What the big screen draws is what the API says: the day's curve, the last edition's, the forecast; and on paper."""

from __future__ import annotations

import base64
import dataclasses
import re
import shutil
import subprocess
from itertools import pairwise
from typing import TYPE_CHECKING, Any

import pytest

from tests.acceptance.hall import FESTIVALS, Hall
from tests.conftest import skip

if TYPE_CHECKING:
    from collections.abc import Iterator
    from pathlib import Path

    from tests.acceptance.browser import Browser

DAY = FESTIVALS["singles-day-2014"]
MINUTE_MS = 60_000
NOW_MINUTE = 15 * 60
RUSH_MINUTES = 60

# A line of a chart as [share of the day, value] per corner, read back from where it is drawn, by the grid's own lines.
CORNERS = """
const svg = document.getElementById(arguments[0]);
const grid = [...svg.querySelectorAll('.grid')];
const [bottom, top] = [grid[0], grid[grid.length - 1]].map((line) => Number(line.getAttribute('y1')));
const [left, right] = ['x1', 'x2'].map((end) => Number(grid[0].getAttribute(end)));
return [...svg.querySelectorAll(arguments[1])].map((line) => line.getAttribute('points').split(' ').map((corner) => {
  const [x, y] = corner.split(',').map(Number);
  return [(x - left) / (right - left), (bottom - y) / (bottom - top) * Number(svg.dataset.ceiling)];
}));
"""
CEILING = "return Number(document.getElementById('running').dataset.ceiling)"


@pytest.fixture
def hall() -> Iterator[Hall]:
    """Return the screen of 2014 at 15:00, after a day that began with a rush."""
    with Hall(DAY) as hall:
        for minute in range(NOW_MINUTE):
            yuan = 100_000_000 if minute < RUSH_MINUTES else 20_000_000 + 1_000 * minute
            hall.sell(yuan * 100, DAY.start_ms + minute * MINUTE_MS, orders=yuan // 205)
        hall.commit(DAY.start_ms + NOW_MINUTE * MINUTE_MS)
        yield hall


def open_screen(browser: Browser, hall: Hall, language: str = "en") -> None:
    browser.size(1920, 1080)
    browser.media(prefers_reduced_motion="reduce")
    browser.driver.get(f"{hall.url}?lang={language}&festival={hall.festival.id}")
    browser.until(lambda: browser.run("return document.body.dataset.state") == "live", "the screen is live")
    browser.until(lambda: browser.run("return document.querySelector('#running .line') !== null"), "the day is drawn")


def corners(browser: Browser, chart: str, line: str) -> list[list[list[float]]]:
    return list(browser.run(CORNERS, chart, line))


def near(browser: Browser) -> float:
    """Return how many yuan half a pixel of the running chart is worth."""
    return float(browser.run(CEILING)) / 200


def test_last_edition_and_forecast_are_drawn_with_the_numbers_of_the_api(browser: Browser, hall: Hall) -> None:
    open_screen(browser, hall)
    totals = hall.ask(f"totals?festival={DAY.id}")
    known = {festival["id"]: festival for festival in hall.ask("festivals")["festivals"]}[DAY.id]
    half_a_pixel = near(browser)

    (ours,) = corners(browser, "running", ".line")
    assert ours[-1][1] == pytest.approx(totals["home"]["gross"] / 100, abs=half_a_pixel)

    (last,) = corners(browser, "running", ".previous")
    by_minute = known["previous"]["by_minute"]
    assert len(last) == 1 + len(by_minute) == 1 + 24 * 60
    assert [value for _, value in last[1:]] == pytest.approx([minor / 100 for minor in by_minute], abs=half_a_pixel)
    assert last[-1] == pytest.approx([1, known["previous"]["total_minor"] / 100], abs=half_a_pixel)
    told = (totals["pace"]["as_of_ms"] + 1 - DAY.start_ms) / (DAY.end_ms - DAY.start_ms)
    (_, before), (_, after) = next((a, b) for a, b in pairwise(last) if a[0] - 1e-4 <= told <= b[0] + 1e-4)
    assert before - half_a_pixel <= totals["pace"]["previous_gross_minor"] / 100 <= after + half_a_pixel

    bounds = sorted(corners(browser, "running", ".bound"), key=lambda bound: bound[-1][1])
    expected = [totals["forecast"][f"{bound}_minor"] / 100 for bound in ("low", "high")]
    assert [bound[-1] for bound in bounds] == [pytest.approx([1, value], abs=half_a_pixel) for value in expected]
    for bound in bounds:
        assert bound[0] == pytest.approx(ours[-1], abs=half_a_pixel), "it goes on from what is committed"
        assert all(a[1] <= b[1] for a, b in pairwise(bound)), "it never falls"
    (band,) = corners(browser, "running", ".band")
    assert len(band) == sum(map(len, bounds))


@pytest.mark.parametrize(
    ("language", "last", "forecast"),
    [
        ("en", "Singles' Day 2013, ¥35.01B", r"forecast ¥\d\d\.\d+B to ¥\d\d\.\d+B"),
        ("zh", "2013年双11 ¥350.1亿", r"预测 ¥\d{3}(\.\d)?亿 至 ¥\d{3}(\.\d)?亿"),
    ],
)
def test_lines_have_their_names_beside_a_piece_of_them(
    browser: Browser, hall: Hall, language: str, last: str, forecast: str
) -> None:
    open_screen(browser, hall, language)
    entries = "return [...document.getElementById('running-note').children].map((e) => [e.dataset.line, e.textContent])"
    told = dict(browser.run(entries))
    assert told["previous"] == last
    assert re.fullmatch(forecast, told["forecast"])


def test_the_open_minute_is_hollow_until_the_day_is_over(browser: Browser, hall: Hall) -> None:
    open_screen(browser, hall)
    hollow = "return document.querySelectorAll('#minutes .open').length"
    assert browser.run(hollow) == 1, "only the newest minute may still grow"
    hall.sell(100, DAY.end_ms - MINUTE_MS)
    hall.commit(DAY.end_ms - 1_000)
    browser.until(lambda: "23:59" in browser.text("clock"), "the day's last minute")
    hall.clock.advance(11_000)
    browser.until(lambda: "ended" in browser.text("clock"), "nothing has come for 10 s after the end")
    browser.until(lambda: browser.run(hollow) == 0, "no minute is open")
    assert corners(browser, "running", ".band") == [], "what is over needs no forecast"


def test_before_the_first_order_the_last_edition_waits(browser: Browser) -> None:
    with Hall(DAY) as hall:
        hall.commit(DAY.start_ms - MINUTE_MS)
        browser.size(1920, 1080)
        browser.driver.get(f"{hall.url}?lang=en&festival={DAY.id}")
        browser.problems()  # those of the page before, whose server has gone
        browser.until(lambda: browser.run("return document.querySelector('#running .previous') !== null"), "2013")
        (last,) = corners(browser, "running", ".previous")
        assert DAY.previous is not None
        assert last[-1][1] == pytest.approx(DAY.previous.total_minor / 100, abs=near(browser))
        assert browser.text("countdown") == "begins in 00:01:00"
        assert "not begun" in browser.text("clock")
        assert browser.text("hero") == "¥0"
        assert browser.problems() == []


def test_a_page_that_chose_no_festival_follows_the_one_that_begins(browser: Browser) -> None:
    """The latest known one is shown until something is counted: nobody should look at its zero for ever."""
    with Hall(FESTIVALS["singles-day-2019"]) as hall:
        hall.commit(hall.festival.start_ms - MINUTE_MS)
        browser.driver.get(f"{hall.url}?lang=en")
        browser.until(lambda: browser.text("hero-label") == "Boxes returned", "the latest of all, which has nothing")
        hall.sell(700_00, hall.festival.start_ms)
        hall.commit(hall.festival.start_ms + 6_000)
        tell = "return document.getElementById('festivals').value"

        def is_followed() -> bool:
            hall.clock.advance(1_000)  # the server speaks once a second of its own clock
            return bool(browser.text("hero") == "¥700" and browser.run(tell) == hall.festival.id)

        browser.until(is_followed, "the one that is counted")
        assert "festival=" not in browser.driver.current_url


def test_the_list_has_a_retired_festival_only_where_it_is_shown(browser: Browser) -> None:
    options = "return [...document.getElementById('festivals').options].map((option) => option.value)"
    retired = dataclasses.replace(FESTIVALS["singles-day-2014"], retired=True)
    with Hall(retired) as hall:
        hall.sell(700_00, retired.start_ms)
        hall.commit(retired.start_ms)
        browser.driver.get(f"{hall.url}?lang=en")
        browser.until(lambda: "singles-day-2019" in browser.run(options), "the list")
        assert retired.id not in browser.run(options)
        browser.driver.get(f"{hall.url}?lang=en&festival={retired.id}")
        browser.until(lambda: retired.id in browser.run(options), "the one that was asked for")


def test_an_empty_chart_says_what_it_waits_for(browser: Browser) -> None:
    with Hall(FESTIVALS["cardboard-day-2019"]) as hall:
        hall.commit(hall.festival.start_ms - MINUTE_MS)
        browser.driver.get(f"{hall.url}?lang=en&festival={hall.festival.id}")
        hints = "return [...document.querySelectorAll('.hint')].map((hint) => hint.textContent)"
        browser.until(lambda: browser.run(hints) == ["The line begins with the first event"] * 2, "both charts")


def test_paper_has_the_numbers_on_a_white_ground(browser: Browser, hall: Hall, tmp_path: Path) -> None:
    open_screen(browser, hall)
    browser.media(prefers_color_scheme="dark")
    options = {"printBackground": True, "preferCSSPageSize": True}
    printed: dict[str, Any] = browser.driver.execute_cdp_cmd("Page.printToPDF", options)
    paper = tmp_path / "screen.pdf"
    paper.write_bytes(base64.b64decode(printed["data"]))
    assert len(re.findall(rb"/Type\s*/Page\b", paper.read_bytes())) <= 2, "a sheet, or both of its sides"
    if shutil.which("pdftotext") is None or shutil.which("pdftoppm") is None:
        skip("pdftotext and pdftoppm are not installed (Debian: apt install poppler-utils)")
    text = subprocess.run(["pdftotext", "-layout", paper, "-"], capture_output=True, text=True, check=True).stdout  # noqa: S607
    assert browser.text("hero-spoken")[1:] in text, "the sign is set in other letters, and stands apart"
    assert "Live: committed and complete" in text
    drawn = ["pdftoppm", "-r", "20", "-gray", str(paper)]
    page = subprocess.run(drawn, capture_output=True, check=True).stdout.split(b"\n", 3)[3]
    dark = sum(point < 100 for point in page) / len(page)
    assert dark < 0.1, f"{dark:.0%} of the sheet is dark"
