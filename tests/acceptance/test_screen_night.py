"""The night as it is told: the countdown, each moment once, and the end sealed by what the audit wrote down."""

from __future__ import annotations

import json
from typing import TYPE_CHECKING, Any

import pytest

from tests.acceptance.hall import FESTIVALS, Hall

if TYPE_CHECKING:
    from collections.abc import Iterator

    from tests.acceptance.browser import Browser, Page

DAY = FESTIVALS["singles-day-2019"]
MINUTE_MS = 60_000
YUAN = 100
MOMENT = """const place = document.getElementById('moment');
return place.classList.contains('is-shown') ? place.textContent : ''"""


@pytest.fixture
def hall() -> Iterator[Hall]:
    """Return the screen of 2019 ten minutes before midnight."""
    with Hall(DAY) as hall:
        hall.commit(DAY.start_ms - 10 * MINUTE_MS)
        yield hall


def opened(browser: Browser, hall: Hall, **media: str) -> None:
    browser.size(1920, 1080)
    browser.media(**media)
    browser.driver.get(f"{hall.url}?lang=en&festival={DAY.id}")
    browser.problems()  # those of the page before, whose server has gone
    browser.until(lambda: browser.text("state").startswith("Live"), "the page is live")


def test_the_night_from_the_countdown_to_all_of_last_year(browser: Browser, hall: Hall) -> None:
    opened(browser, hall, prefers_reduced_motion="reduce")
    phase = "return document.getElementById('headline').dataset.phase"
    browser.until(lambda: browser.text("countdown") == "begins in 00:10:00", "the time that is left")
    assert browser.run(phase) == "before"
    large, small = browser.run("""return ['countdown', 'hero'].map((id) =>
        document.getElementById(id).getBoundingClientRect().height)""")
    assert large > 2 * small, "it is what people came to see"
    assert browser.run(MOMENT) == ""
    hall.clock.advance(9 * MINUTE_MS + 30_000)
    browser.until(lambda: browser.run(phase) == "last", "the last minute")
    assert browser.text("countdown") == "begins in 00:00:30"

    hall.sell(700 * YUAN, DAY.start_ms, orders=3)
    hall.commit(DAY.start_ms + 6_000)
    browser.until(lambda: browser.run(MOMENT) == "It has begun. Orders: 3", "the first orders")
    assert browser.run("return document.getElementById('countdown').hidden")
    assert browser.run("return document.getAnimations().length") == 0, "calmly, where motion is not wanted"
    assert browser.accessibility() == []

    hall.sell(DAY.milestones_minor[1], DAY.start_ms + 60_000, orders=10**8)
    hall.commit(DAY.start_ms + 70_000)
    browser.until(lambda: browser.run(MOMENT) == "¥30B passed at 00:01:01", "of two at once the larger")
    assert DAY.previous is not None
    hall.sell(DAY.previous.total_minor, DAY.start_ms + 120_000, orders=10**9)
    hall.commit(DAY.start_ms + 130_000)
    told = "passed all of Global Shopping Festival 2018 at 00:02:01"
    browser.until(lambda: browser.run(MOMENT) == told, "all of last year")
    assert browser.run("return document.getElementById('moment').getAttribute('role')") == "status"
    browser.until(lambda: browser.run(MOMENT) == "", "it goes by itself", 20)
    browser.driver.refresh()
    browser.until(lambda: browser.text("hero").startswith("¥243,5"), "the page has come anew")
    hall.sell(1, DAY.start_ms + 121_000)
    hall.commit(DAY.start_ms + 131_000)
    browser.until(lambda: "00:02:06" in browser.text("clock"), "and was told more")
    assert browser.run(MOMENT) == "", "what was passed before is no moment any more"
    assert browser.problems() == []


HAPPENED = """(([before, now]) => moments.happened(before, now).map(({ name }) => name))(
    given.map((totals) => moments.landmarksOf(totals, ({ orders }) => orders)))"""


def state(orders: int, reached: int = 0, passed_ms: int | None = None, **changed: object) -> dict[str, Any]:
    milestones = [{"minor": 100 * i, "time_ms": 5 if i <= reached else None} for i in (1, 2, 3)]
    return {"orders": orders, "screen": {"milestones": milestones}, "pace": {"passed_ms": passed_ms}, **changed}


def test_a_moment_is_what_happens_between_two_totals(page: Page) -> None:
    assert page(HAPPENED, state(0), state(0)) == []
    assert page(HAPPENED, state(0), state(2, 1)) == ["begun", "milestone 100"]
    assert page(HAPPENED, state(2, 1), state(9, 3, 7)) == ["milestone 200", "milestone 300", "passed"]
    assert page(HAPPENED, state(9, 3, 7), state(10, 3, 7)) == []
    assert page(HAPPENED, state(0, counted=False), state(9, 3, 7)) == [], "nothing was known before"


def test_a_moment_is_celebrated_once(page: Page) -> None:
    """A correction may take a milestone back, and give it again."""
    told = page(
        """(() => {
        const place = document.createElement('p');
        const told = [];
        const night = new moments.Moments(place, ({ name }) => { told.push(name); return name; });
        for (const totals of given[0]) night.take(totals, ({ orders }) => orders);
        night.hide();
        return told;
    })()""",
        [state(1), state(2, 1), state(2), state(3, 1)],
    )
    assert told == ["milestone 100"]


AUDIT = {"exact": True, "differences": 0, "audited_ms": DAY.end_ms + 60_000, "is_of_this_state": True}


def hear(browser: Browser, hall: Hall, audit: dict[str, Any] | None) -> tuple[str, str]:
    """Return what is said of the end and beside the state, once the page heard of an audit."""
    browser.module("screen.hear('totals', exact.parse(given[0]))", json.dumps(hall.message(audit=audit)))
    return browser.text("seal"), browser.text("audit")


def test_the_end_is_sealed_by_a_recount_of_this_very_state(browser: Browser, hall: Hall) -> None:
    hall.sell(268 * 10**9 * YUAN, DAY.start_ms, orders=10**9)
    hall.sell(1, DAY.end_ms - MINUTE_MS)
    hall.commit(DAY.end_ms - 1_000)
    opened(browser, hall)
    browser.until(lambda: "23:59" in browser.text("clock"), "the last minute")
    assert hear(browser, hall, AUDIT) == ("", "recounted, no difference"), "what goes on is not sealed"
    hall.clock.advance(11_000)
    browser.until(lambda: "ended" in browser.text("clock"), "the day is over")
    assert hear(browser, hall, AUDIT) == ("Final: recounted, no difference", "")
    assert browser.run("return document.body.dataset.sealed") == "true"
    earlier = {**AUDIT, "is_of_this_state": False}
    assert hear(browser, hall, earlier) == ("", "recounted up to Nov 12 00:01, no difference")
    assert hear(browser, hall, {**AUDIT, "exact": False, "differences": 3}) == ("", "recounted: 3 differences")
    assert browser.run("return document.body.dataset.sealed") == "false"
    assert hear(browser, hall, None) == ("", ""), "nobody has recounted"
    assert browser.accessibility() == []


COLOURS = """
const numbers = '#hero, #hero .unit, #compact, #versus .number, #next .number, .pace .number, .tiles .number, '
    + '.rank-value, .milestones .is-reached b, .news b, .country';
return [...new Set([...document.querySelectorAll(numbers)].map((place) => getComputedStyle(place).color))];
"""


def test_even_a_moment_is_grey_where_the_numbers_may_not_be_believed(browser: Browser, hall: Hall) -> None:
    hall.sell(5 * 10**9 * YUAN, DAY.start_ms, orders=10**7)
    for minor in (1_000, 3_000):
        hall.place("orders_by_market", ("CN", "CNY"), DAY.start_ms, orders=1, gross_minor=minor)
        hall.commit(DAY.start_ms + 6_000 + minor)
        opened(browser, hall, prefers_reduced_motion="reduce")
    hall.sell(10**10 * YUAN, DAY.start_ms + 1_000, orders=10**7)
    hall.commit(DAY.start_ms + 12_000)
    browser.until(lambda: browser.run(MOMENT).startswith("¥10B passed"), "a moment is told")
    assert len(browser.run(COLOURS)) > 2, "gold, white and more"
    hall.ends["orders"][0] += 5  # records wait, and nobody counts them
    hall.clock.advance(7_000)
    browser.until(lambda: browser.text("state").startswith("Nothing committed for"), "the numbers are old")
    assert browser.run(MOMENT) != "", "what was passed was passed"
    assert len(browser.run(COLOURS)) == 1, "all of them are grey"


def test_the_total_in_other_currencies_is_marked_as_converted(browser: Browser, hall: Hall) -> None:
    hall.sell(26_840_000 * YUAN, DAY.start_ms, orders=130_000)
    hall.commit(DAY.start_ms + 6_000)
    opened(browser, hall)
    browser.module("screen.leaveStream()")
    dollars = {"gross": 3_837_900_00, "net": 3_700_000_00, "paid": 3_600_000_00, "rate": "6.9933", "date": "2019-11-11"}
    text = "return document.getElementById('converted').innerText.split(/\\s*\\n\\s*/)"

    def told(**changed: object) -> list[str]:
        message = hall.message(**{"in": {"USD": dollars}, "exponents": {"CNY": 2, "USD": 2, "JPY": 0}, **changed})
        browser.module("screen.hear('totals', exact.parse(given[0]))", json.dumps(message))
        return list(browser.run(text))

    assert told() == ["Converted at rates of Nov 11, 2019", "at ¥6.9933", "USD\u00a03.837M"]
    yen = {"gross": 417_000_000, "net": 1, "paid": 1, "rate": "0.06434783", "date": "2019-11-08"}
    assert told(**{"in": {"USD": dollars, "JPY": yen}}) == [
        *("Converted", "at ¥6.9933, Nov 11, 2019", "USD\u00a03.837M"),
        *("at ¥0.06434783, Nov 8, 2019", "JPY\u00a0417M"),
    ]
    home = hall.message()["home"] | {"missing": ["EUR"]}
    assert told(home=home)[-1] == "≥USD\u00a03.837M", "a lower bound stays one"
    told(**{"in": {}})
    assert browser.run("return document.getElementById('converted').offsetParent") is None, "none is asked for"
