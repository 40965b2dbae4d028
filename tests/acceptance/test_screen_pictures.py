"""Pictures of the screen: each festival, one's own in euros, languages, sizes, themes, in the afternoon and at the end.

Every pair of them is looked at each time, all of them in the long run. With SCREENSHOTS=directory the pictures of
README and docs go there, under the names in `DOCUMENTED`; in the long run all others too.
"""

from __future__ import annotations

import dataclasses
import os
from contextlib import contextmanager
from itertools import product
from pathlib import Path
from typing import TYPE_CHECKING

import pytest

from streams.domain.festivals import Plausible, Previous
from streams.web.languages import LANGUAGES
from tests.acceptance.daytime import CHINA, CURVES, EUROPE, Daytime, Goods
from tests.acceptance.hall import FESTIVALS, Hall
from tests.acceptance.pairwise import all_pairs, pairs_of
from tests.acceptance.test_screen_languages import TOO_LONG

if TYPE_CHECKING:
    from collections.abc import Iterator

    from streams.domain.curves import Curve
    from streams.domain.festivals import Festival
    from tests.acceptance.browser import Browser

PICTURES = os.environ.get("SCREENSHOTS")
YEAR_2019 = FESTIVALS["singles-day-2019"]
SHAPE = CURVES["singles-day-2019"]
OWN = dataclasses.replace(
    YEAR_2019,
    id="autumn-2026",
    name="Herbstfest 2026",
    start_ms=1_790_805_600_000,
    end_ms=1_790_892_000_000,
    timezone="Europe/Berlin",
    home_currency="EUR",
    rates=(),
    display=(),
    milestones_minor=tuple(million * 10**8 for million in (1, 2, 3, 4, 5, 6)),
    plausible=Plausible(),
    previous=Previous(
        "Herbstfest 2025",
        4_270_000_00,
        tuple((point.second, point.amount_minor // 62_857) for point in SHAPE.points[1:]),
    ),
)
SHOWN = {**FESTIVALS, OWN.id: OWN}
SIZES = {"hall": (3840, 2160), "desk": (1920, 1080), "laptop": (1366, 768), "phone": (390, 844)}
THEMES = ("dark", "light")
MOMENTS = {"afternoon": 15 * 60 + 20, "ended": 24 * 60}
FACTORS = (tuple(SHOWN), LANGUAGES, tuple(SIZES), THEMES, tuple(MOMENTS))
CASES = all_pairs(*FACTORS)
DOCUMENTED = {
    "screen": ("singles-day-2019", "en", "desk", "dark", "afternoon", ""),
    "screen-de": (OWN.id, "de", "desk", "light", "afternoon", ""),
    "screen-zh": ("singles-day-2014", "zh", "desk", "dark", "ended", ""),
    "screen-hall": ("singles-day-2019", "en", "desk", "dark", "afternoon", "&hall=3600"),
    "screen-phone": ("singles-day-2019", "de", "phone", "dark", "afternoon", ""),
}


def scaled(festival: Festival) -> tuple[Curve, Goods, int]:
    """Return what is sold: 2019's shape, so much of it that the festival grows by a quarter."""
    if festival is OWN:
        return SHAPE, EUROPE, SHAPE.total_minor // 5_368_000_00
    if festival.previous is None:
        return SHAPE, CHINA, 5_000
    return SHAPE, CHINA, max(1, SHAPE.total_minor * 4 // (festival.previous.total_minor * 5))


@contextmanager
def afternoon_or_end(name: str, moment: str) -> Iterator[tuple[Hall, Daytime]]:
    """Serve a festival's day up to a moment of it."""
    festival = SHOWN[name]
    with Hall(festival) as hall:
        curve, goods, scale = scaled(festival)
        day = Daytime(hall, curve, goods, scale)
        minute = MOMENTS[moment]
        if moment == "ended":
            day.until(minute, festival.end_ms - 1_000)
            hall.clock.advance(11_000)
        else:
            day.until(minute)
        yield hall, day


def look(browser: Browser, hall: Hall, case: tuple[str, ...], picture: Path) -> None:
    """See that a screen fits and can be perceived, and keep its picture."""
    name, language, size, theme, moment, query = case
    width, height = SIZES[size]
    browser.size(width, height)
    browser.media(prefers_color_scheme=theme, prefers_reduced_motion="reduce")
    browser.driver.get(f"{hall.url}?lang={language}&festival={name}{query}")
    browser.problems()  # those of the page before, whose server has gone
    drawn = "return document.querySelector('#running .line') !== null && document.querySelector('.rank') !== null"
    browser.until(lambda: browser.run(drawn), "it is drawn")
    if moment == "ended":
        over = "return document.querySelector('#minutes .open') === null"
        browser.until(lambda: browser.run(over), "the day is over")
    browser.until(lambda: browser.overflows() == [], f"nothing sticks out: {browser.overflows()}", 5)
    assert browser.run(TOO_LONG) == [], "no text is longer than its place"
    if width > height:
        assert browser.run("return document.documentElement.scrollHeight") <= height, "nobody scrolls in a hall"
    browser.picture(picture)
    assert browser.problems() == []


@pytest.mark.parametrize(("name", "moment"), [*product(SHOWN, MOMENTS)])
def test_every_pair_is_a_screen_that_fits(browser: Browser, tmp_path: Path, name: str, moment: str) -> None:
    """Pairs of festival, language, size, theme and moment."""
    with afternoon_or_end(name, moment) as (hall, _):
        for case in CASES:
            if (case[0], case[4]) == (name, moment):
                look(browser, hall, (*case, ""), tmp_path / f"{'-'.join(case)}.png")


@pytest.mark.long
@pytest.mark.parametrize(("name", "moment"), [*product(SHOWN, MOMENTS)])
def test_every_screen_fits(browser: Browser, tmp_path: Path, name: str, moment: str) -> None:
    folder = Path(PICTURES) / "all" if PICTURES else tmp_path
    folder.mkdir(exist_ok=True)
    with afternoon_or_end(name, moment) as (hall, _):
        for language, size, theme in product(LANGUAGES, SIZES, THEMES):
            case = (name, language, size, theme, moment)
            look(browser, hall, (*case, ""), folder / f"{'-'.join(case)}.png")
            assert browser.accessibility() == []


@pytest.mark.long
@pytest.mark.parametrize("picture", DOCUMENTED)
def test_the_documented_pictures_are_screens_that_fit(browser: Browser, tmp_path: Path, picture: str) -> None:
    name, moment = DOCUMENTED[picture][0], DOCUMENTED[picture][4]
    shot = Path(PICTURES or tmp_path) / f"{picture}.png"
    with afternoon_or_end(name, moment) as (hall, day):
        look(browser, hall, DOCUMENTED[picture], shot)
        if moment == "ended":
            return
        day.until(MOMENTS[moment] + 1)
        hall.clock.advance(2_000)
        news = "return !document.getElementById('news').hidden"
        browser.until(lambda: browser.run(news), "what was just committed")
        assert browser.overflows() == []
        browser.picture(shot)


def test_few_cases_hold_every_pair() -> None:
    assert set().union(*map(pairs_of, CASES)) == set().union(*map(pairs_of, product(*FACTORS)))
    assert len(CASES) <= 1.5 * len(SHOWN) * len(SIZES), "a hundred and more would be all of them"
