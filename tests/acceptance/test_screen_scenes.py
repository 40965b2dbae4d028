"""The hall mode turns through its scenes by itself, and never hides the total and what is said of the numbers."""

from __future__ import annotations

from typing import TYPE_CHECKING

import pytest
from selenium.webdriver.common.keys import Keys

from tests.acceptance.daytime import CURVES, Daytime
from tests.acceptance.hall import FESTIVALS, Hall

if TYPE_CHECKING:
    from collections.abc import Iterator

    from tests.acceptance.browser import Browser

DAY = FESTIVALS["singles-day-2019"]
SCENES = ("total", "world", "curves", "ranks", "figures")
SIZES = ((1366, 768), (3840, 2160))
SHOWN = {
    "total": "versus",
    "world": "world-figure",
    "curves": "running-figure",
    "ranks": "ranks",
    "figures": "tiles",
}
SCENE = "return document.body.dataset.hall ?? null"
VISIBLE = """return arguments[0].filter((id) => {
    const box = document.getElementById(id).getBoundingClientRect();
    return box.width > 0 && box.height > 0 && box.bottom <= innerHeight + 1 && box.right <= innerWidth + 1;
})"""


@pytest.fixture(scope="module")
def hall() -> Iterator[Hall]:
    """Return the day of 2019 at noon."""
    with Hall(DAY) as hall:
        Daytime(hall, CURVES[DAY.id]).until(12 * 60)
        yield hall


def opened(browser: Browser, hall: Hall, query: str) -> None:
    browser.driver.get(f"{hall.url}?lang=en&festival={hall.festival.id}&{query}")
    browser.problems()  # those of the page before, whose server has gone
    browser.until(lambda: browser.text("state").startswith("Live"), "the page is live")
    browser.until(lambda: browser.run("return document.querySelector('.rank') !== null"), "it has its ranks")


def press(browser: Browser, *keys: str) -> None:
    browser.run("document.activeElement.blur()")
    browser.driver.find_element("tag name", "body").send_keys(*keys)


@pytest.mark.parametrize("size", SIZES)
def test_each_scene_fills_the_hall_with_the_truth_in_sight(browser: Browser, hall: Hall, size: tuple[int, int]) -> None:
    browser.size(*size)
    browser.media(prefers_reduced_motion="reduce")
    opened(browser, hall, "hall=3600")
    seen = []
    for _ in SCENES:
        scene = browser.run(SCENE)
        seen.append(scene)
        wanted = ["hero", "state", "fresh", SHOWN[scene]]
        browser.until(lambda ids=wanted: browser.run(VISIBLE, ids) == ids, f"{wanted} in {scene}", 5)  # type: ignore[misc]
        others = [place for name, place in SHOWN.items() if name != scene]
        assert browser.run(VISIBLE, others) == [], f"nothing else in {scene}"
        browser.until(lambda: browser.overflows() == [], f"nothing sticks out: {browser.overflows()}", 5)
        assert browser.run("return document.documentElement.scrollHeight") <= size[1], f"nobody scrolls in {scene}"
        if size == SIZES[0]:
            assert browser.accessibility() == []
        press(browser, Keys.ARROW_RIGHT)
    assert tuple(seen) == SCENES
    assert browser.run(SCENE) == "total", "around again"
    assert browser.problems() == []


def test_scenes_turn_by_themselves_until_somebody_stops_them(browser: Browser, hall: Hall) -> None:
    browser.size(1920, 1080)
    opened(browser, hall, "hall=0.5")
    assert browser.run(SCENE) in SCENES
    passed = set()

    def all_passed() -> bool:
        passed.add(browser.run(SCENE))
        return passed == set(SCENES)

    browser.until(all_passed, "every scene comes")
    press(browser, " ")
    pause = "return document.querySelector('#scenes [value=pause]').textContent"
    assert browser.run(pause) == "Go on"
    stopped = browser.run(SCENE)
    ticks = "const done = arguments[arguments.length - 1]; setTimeout(() => done(document.body.dataset.hall), 1500)"
    assert browser.driver.execute_async_script(ticks) == stopped, "three times as long as a scene"
    press(browser, " ")
    browser.until(lambda: browser.run(SCENE) != stopped, "it goes on")
    browser.run("document.querySelector('#scenes [value=ranks]').click()")
    assert browser.run(SCENE) == "ranks"
    press(browser, Keys.ESCAPE)
    assert browser.run(SCENE) is None
    assert "hall" not in browser.driver.current_url.partition("?")[2].replace("festival", "")
    browser.driver.find_element("id", "hall").click()
    assert browser.run(SCENE) == "total"
    assert browser.driver.current_url.endswith("&hall=0.5")


def test_a_festival_has_the_scenes_that_it_has_something_for(browser: Browser) -> None:
    cardboard = FESTIVALS["cardboard-day-2019"]
    with Hall(cardboard) as hall:
        hall.place("recycling_by_second", (), cardboard.start_ms, boxes=3, scans=1, points=7)
        hall.place("recycling_by_city", ("Chengdu",), cardboard.start_ms, boxes=3, scans=1, points=7)
        hall.commit(cardboard.start_ms + 1_000)
        opened(browser, hall, "hall")
        names = "return [...document.querySelectorAll('#scenes button')].map((one) => one.value)"
        browser.until(lambda: browser.run(names) == ["total", "curves", "ranks", "figures", "pause"], "no map")
