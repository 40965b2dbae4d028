"""Every built-in festival's screen with the longest numbers, in the hall by day and on a phone by night."""

from __future__ import annotations

from typing import TYPE_CHECKING

import pytest

from streams.domain.built_in import ROLLUPS
from tests.acceptance.hall import FESTIVALS, HOUR_MS, Hall

if TYPE_CHECKING:
    from tests.acceptance.browser import Browser

HALL, PHONE = (3840, 2160), (390, 844)
NAMES = {
    "market": ("CN", "HK", "US"),
    "operator": ("cainiao", "partner"),
    "transit_days": ("3", "5"),
    "merchant": ("m0001", "A merchant with a name that is much too long for its row on any screen", "m0003"),
}
USUAL = ("tmall", "alipay_epass", "aliexpress", "Chengdu", "Xi'an 12", "unheard_of")


def count_everything(hall: Hall, at_ms: int) -> None:
    """Put something into every table of the festival, with numbers as long as they get."""
    for rollup in ROLLUPS:
        if rollup.fact not in hall.festival.facts:
            continue
        names = [()] if rollup.dimension is None else [(name,) for name in NAMES.get(rollup.dimension, USUAL)]
        currency = () if rollup.currency is None else (hall.festival.home_currency,)
        for place, name in enumerate(names, 1):
            counted = {m.name: 10**13 if m.name.endswith("_minor") else 4 * 10**8 for m in rollup.measures}
            hall.place(rollup.name, (*name, *currency), at_ms, **{m: n // place**2 for m, n in counted.items()})
    hall.commit(at_ms)


@pytest.mark.parametrize(("name", "language"), [*zip(sorted(FESTIVALS), ("de", "zh", "en", "de"), strict=True)])
def test_a_festivals_screen_fits_and_can_be_perceived(browser: Browser, name: str, language: str) -> None:
    with Hall(FESTIVALS[name]) as hall:
        count_everything(hall, hall.festival.start_ms + 15 * HOUR_MS)
        browser.size(*HALL)
        browser.media(prefers_color_scheme="light", prefers_reduced_motion="reduce")
        browser.driver.get(f"{hall.url}?lang={language}&festival={name}")
        browser.problems()  # those of the page before, whose server has gone
        browser.until(lambda: browser.run("return document.querySelector('#running .line') !== null"), "it is drawn")
        for size, theme in ((HALL, "light"), (PHONE, "dark")):
            browser.size(*size)
            browser.media(prefers_color_scheme=theme, prefers_reduced_motion="reduce")
            browser.until(lambda: browser.overflows() == [], f"nothing sticks out: {browser.overflows()}", 5)
            if size == HALL:
                assert browser.run("return document.documentElement.scrollHeight") <= size[1], "nobody scrolls there"
            assert browser.accessibility() == []
        assert browser.problems() == []
