"""Numbers never wrap, clip or jump: between two ticks a figure changes its digits, and no box its place."""

from __future__ import annotations

from itertools import pairwise
from typing import TYPE_CHECKING, Any

import pytest

from streams.web.languages import LANGUAGES
from tests.acceptance.daytime import CURVES, Daytime
from tests.acceptance.hall import FESTIVALS, Hall
from tests.acceptance.test_screen_layout import BROKEN_LINES, OVERLAPS

if TYPE_CHECKING:
    from collections.abc import Iterator

    from tests.acceptance.browser import Browser

DAY = FESTIVALS["singles-day-2019"]
FROM_MINUTE = 12 * 60 + 7
TICKS = 3
DESK, PHONE = (1920, 1080), (390, 844)
BOXES = """
const places = '.top > *, .fact, .pace > div, .honest, .milestones li, .chart, .plot, #news, .panel, .tiles > div';
const letters = '#hero span, #hero, #count, #rate, #peak, #versus .number, #next .number, .milestones b, #clock';
const box = (place) => {
    const { left, top, right, bottom } = place.getBoundingClientRect();
    return [left, top, right, bottom].map(Math.round);
};
const found = { hero: document.getElementById('hero').textContent, digits: {} };
found.places = [...document.querySelectorAll(places)].filter((place) => place.offsetParent !== null).map((place) => [
    place.id || place.className || place.tagName, box(place)]);
for (const place of document.querySelectorAll(letters)) {
    if (place.offsetParent === null) continue;
    const { height, left } = place.getBoundingClientRect();
    const number = [...place.parentElement.children].indexOf(place);
    const name = place.id || `${place.parentElement.id} ${place.className} ${number}`;
    found.digits[name] = [Math.round(height), Math.round(left) * (place.closest('.pace') === null)];
}
found.width = Math.round(document.getElementById('hero').getBoundingClientRect().width);
return found;
"""
TABULAR = """
const made = document.createElement('p');
made.className = 'number';
made.style.position = 'absolute';
document.body.append(made);
const widths = [...'0123456789'].map((digit) => {
    made.textContent = digit.repeat(20);
    return Math.round(made.getBoundingClientRect().width);
});
made.remove();
return [...new Set(widths)];
"""


@pytest.fixture(scope="module")
def day() -> Iterator[tuple[Hall, Daytime]]:
    """Return the day of 2019 after noon, where no milestone is near."""
    with Hall(DAY) as hall:
        sold = Daytime(hall, CURVES[DAY.id])
        sold.until(FROM_MINUTE)
        yield hall, sold


@pytest.mark.parametrize(("language", "size"), [*zip(LANGUAGES, (DESK, PHONE, DESK), strict=True)])
def test_only_digits_change_between_ticks(
    browser: Browser, day: tuple[Hall, Daytime], size: tuple[int, int], language: str
) -> None:
    hall, sold = day
    browser.size(*size)
    browser.media(prefers_reduced_motion="reduce")
    browser.driver.get(f"{hall.url}?lang={language}&festival={DAY.id}")
    browser.until(lambda: browser.run("return document.querySelector('#difference .lead') !== null"), "it is drawn")
    assert len(browser.run(TABULAR)) == 1, "all digits are as wide"
    minute = sold.minute
    seen: list[dict[str, Any]] = []
    for tick in range(TICKS + 1):
        before = browser.text("hero")
        sold.until(minute + 1 + tick)
        hall.clock.advance(2_000)
        browser.until(lambda old=before: browser.text("hero") != old, "a tick")  # type: ignore[misc]
        browser.until(lambda: browser.run("return !document.getElementById('news').hidden"), "its news")
        assert browser.run(BROKEN_LINES) == []
        assert browser.run(OVERLAPS) == []
        seen.append(browser.run(BOXES))
    for earlier, later in pairwise(seen[1:]):  # the first one brought the news
        assert later["places"] == earlier["places"]
        assert later["digits"] == earlier["digits"]
        assert abs(later["width"] - earlier["width"]) <= 1
        assert later["hero"] != earlier["hero"]
