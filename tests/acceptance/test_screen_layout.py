"""The screen's places hold what comes: long amounts in one line, long names, nothing to scroll in a hall."""

from __future__ import annotations

import dataclasses
from typing import TYPE_CHECKING

import pytest

from streams.domain.festivals import Previous
from tests.acceptance.hall import FESTIVALS, HOUR_MS, Hall
from tests.acceptance.test_screen_festivals import count_everything

if TYPE_CHECKING:
    from collections.abc import Iterator

    from tests.acceptance.browser import Browser

DAY = FESTIVALS["singles-day-2019"]
LONG = "The festival of the longest name that anybody ever gave to a day of shopping in the desert, 1447"
KUWAIT = dataclasses.replace(
    DAY,
    id="kuwait",
    name=LONG,
    home_currency="KWD",
    timezone="Asia/Kuwait",
    rates=(),
    milestones_minor=tuple(10**12 * i for i in range(1, 31)),
    previous=Previous("The festival of the longest name, 1446", 9 * 10**13, ((12 * 3600, 10**13),)),
)
HALLS = ((1280, 720), (1366, 768), (1920, 1080), (3840, 2160))
PHONES = ((360, 640), (390, 844))
BROKEN_LINES = """
const places = '.number, .rank-value, .milestones b, #compact, .news b, .fact :is(h2, .small, dt)';
const written = [...document.querySelectorAll(places)];
return written.filter((place) => {
    const range = document.createRange();
    range.selectNodeContents(place);
    const boxes = [...range.getClientRects()].filter((box) => box.width > 0);
    const lines = new Set(boxes.map((box) => Math.round(box.bottom / 8)));
    return place.offsetParent !== null && place.id !== 'hero' && lines.size > 1;
}).map((place) => place.textContent);
"""
OVERLAPS = """
const places = '.pace .number, .tiles .number, .milestones b, .milestones span, .rank-value, .fact *';
const clipped = [...document.querySelectorAll(places)];
return clipped.filter((place) => place.offsetParent !== null && place.scrollWidth > place.clientWidth + 1
    && getComputedStyle(place).display !== 'inline').map((place) => place.textContent);
"""


@pytest.fixture(scope="module")
def hall() -> Iterator[Hall]:
    """Return a screen with amounts as long as they get, in a currency without a sign, and with a long name."""
    with Hall(KUWAIT) as hall:
        count_everything(hall, KUWAIT.start_ms + 15 * HOUR_MS)
        hall.sell(10**18, KUWAIT.start_ms + 14 * HOUR_MS, orders=10**15)
        hall.commit(KUWAIT.start_ms + 15 * HOUR_MS)
        yield hall


@pytest.mark.parametrize(("language", "theme"), [("en", "light"), ("de", "dark"), ("zh", "dark")])
def test_long_amounts_and_names_fit(browser: Browser, hall: Hall, theme: str, language: str) -> None:
    browser.size(*HALLS[0])
    browser.media(prefers_color_scheme=theme, prefers_reduced_motion="reduce")
    browser.driver.get(f"{hall.url}?lang={language}&festival=kuwait")
    browser.until(lambda: browser.run("return document.querySelector('#running .line') !== null"), "it is drawn")
    for size in (*HALLS, *PHONES):
        browser.size(*size)
        browser.until(lambda at=size: browser.run("return innerWidth") == at[0], "the window has its size", 5)  # type: ignore[misc]
        browser.until(lambda: browser.overflows() == [], f"nothing sticks out at {size}: {browser.overflows()}", 5)
        assert browser.run(BROKEN_LINES) == [], f"an amount and its unit stay together at {size}"
        assert browser.run(OVERLAPS) == [], f"no number is wider than its place at {size}"
        if size in HALLS:
            assert browser.run("return document.documentElement.scrollHeight") <= size[1], f"nobody scrolls at {size}"
            chart = browser.run("return document.getElementById('running').getBoundingClientRect().height")
            assert chart > size[1] / 10, "a chart can be read"
        assert browser.run("return document.getElementById('festivals').offsetWidth / innerWidth") < 0.6
    assert browser.accessibility() == []


def test_the_selector_is_no_wider_than_it_needs_to_be(browser: Browser, hall: Hall) -> None:
    browser.size(1920, 1080)
    browser.driver.get(f"{hall.url}?lang=en&festival=kuwait")
    browser.until(lambda: browser.run("return document.querySelectorAll('option').length") > 1, "festivals are known")
    assert browser.run("return document.getElementById('festivals').offsetWidth") < 1920 / 6
    title = "return document.getElementById('name').title"
    browser.until(lambda: browser.run(title) == LONG, "the whole name can be read", 10)


EXPONENTS = {"RSD": 2, "IQD": 3, "HUF": 2, "IDR": 2, "COP": 2, "UGX": 0, "ISK": 0, "KWD": 3, "CLF": 4, "JPY": 0}


@pytest.mark.parametrize("currency", EXPONENTS)
def test_amounts_have_the_digits_of_iso_4217(browser: Browser, currency: str) -> None:
    made = dataclasses.replace(DAY, id="made-up", home_currency=currency, rates=(), previous=None, milestones_minor=())
    with Hall(made) as hall:
        hall.place(
            "orders_by_second", (currency,), made.start_ms, orders=1, gross_minor=12_345_678, coupons_minor=5_000_000
        )
        hall.place("orders_by_platform", ("tmall", currency), made.start_ms, orders=1, gross_minor=12_345_678)
        hall.commit(made.start_ms + 1_000)
        scale = 10 ** EXPONENTS[currency]
        assert hall.ask("totals?festival=made-up")["exponents"] == {currency: EXPONENTS[currency]}
        browser.size(1920, 1080)
        browser.driver.get(f"{hall.url}?lang=en&festival=made-up")
        browser.until(lambda: browser.run("return document.querySelector('.tiles dd') !== null"), "it is shown")
        digits = "return document.getElementById('hero-spoken').textContent.replace(/[^0-9]/g, '')"
        assert int(browser.run(digits)) == 12_345_678 // scale
        coupons = browser.run("return document.querySelectorAll('.tiles .number')[1].textContent")
        assert coupons.endswith({0: "5M", 2: "50K", 3: "5,000", 4: "500"}[EXPONENTS[currency]])


def test_totals_beyond_two_to_the_53rd_are_shown_with_their_milestones(browser: Browser) -> None:
    made = dataclasses.replace(DAY, id="made-up", milestones_minor=(10**12, 2**60, 2**70), previous=None)
    with Hall(made) as hall:
        hall.sell(2**62 + 1, made.start_ms)
        hall.commit(made.start_ms + 1_000)
        browser.driver.get(f"{hall.url}?lang=en&festival=made-up")
        browser.problems()  # those of the page before, whose server has gone
        browser.until(lambda: browser.text("hero") == f"¥{(2**62 + 1) // 100:,}", "every digit")
        reached = browser.run("return [...document.querySelectorAll('.milestones li')].map((one) => one.className)")
        assert reached == ["is-reached", "is-reached", ""]
        assert browser.run("return document.querySelectorAll('[data-broken]').length") == 0
        assert browser.problems() == []


def test_before_the_first_event_the_screen_is_ready_and_not_live(browser: Browser) -> None:
    with Hall(DAY) as hall:
        for partition in hall.ends["orders"]:  # a takeover commits a cursor, with nothing counted
            hall.ledger.commit(partition)
        hall.view.feed(hall.ledger.drain())
        browser.driver.get(f"{hall.url}?lang=en&festival={DAY.id}")
        browser.until(lambda: browser.text("fresh") == "nothing committed", "the totals are there")
        browser.until(lambda: browser.text("state") == "Ready: no event has come yet", "it says what is so", 5)
        assert browser.run("return document.body.dataset.state") == "waiting"
