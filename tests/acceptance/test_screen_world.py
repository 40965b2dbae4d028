"""The map and the news are drawn from committed totals: a market is as large as its sum, and no arc is made up."""

from __future__ import annotations

import math
from typing import TYPE_CHECKING

import pytest

from tests.acceptance.daytime import CURVES, Daytime
from tests.acceptance.hall import FESTIVALS, Hall

if TYPE_CHECKING:
    from collections.abc import Iterator

    from tests.acceptance.browser import Browser, Page

DAY = FESTIVALS["singles-day-2019"]
NOON = 12 * 60
CIRCLES = """return [...document.querySelectorAll('.market')].map((circle) => [circle.dataset.code,
    Number(circle.getAttribute('r')), Number(circle.getAttribute('cx')), Number(circle.getAttribute('cy'))])"""
NEWS = """return [...document.querySelectorAll('#just-now li')].map((item) =>
    [...item.children].map((part) => part.textContent))"""
LAND_WIDTH = "return document.querySelector('.land').getBoundingClientRect().width"


@pytest.fixture(scope="module")
def hall() -> Iterator[Hall]:
    """Return the day of 2019 at noon, with a market that is no country."""
    with Hall(DAY) as hall:
        Daytime(hall, CURVES[DAY.id]).until(NOON)
        hall.place("orders_by_market", ("offworld", "CNY"), DAY.start_ms, orders=1, gross_minor=700_00)
        hall.commit(DAY.start_ms + NOON * 60_000)
        yield hall


@pytest.fixture
def shown(browser: Browser, hall: Hall) -> Browser:
    """Return a browser that shows the map."""
    browser.size(1920, 1080)
    browser.media(prefers_reduced_motion="no-preference")
    browser.driver.get(f"{hall.url}?lang=en&festival={DAY.id}")
    browser.problems()  # those of the page before, whose server has gone
    browser.until(lambda: browser.run(CIRCLES) != [], "the map is drawn")
    return browser


def test_the_area_of_a_market_is_its_committed_sum(shown: Browser, hall: Hall) -> None:
    rows = {row["market"]: row for row in hall.ask(f"totals?festival={DAY.id}&by=market")["by"]}
    circles = {code: radius for code, radius, _, _ in shown.run(CIRCLES)}
    assert set(circles) == set(rows) - {"offworld"}
    most = max(row["home"]["gross"] for row in rows.values())
    for code, radius in circles.items():
        share = rows[code]["home"]["gross"] / most
        assert radius / circles["CN"] == pytest.approx(math.sqrt(share), abs=0.01), code
    note = shown.text("world-note")
    assert "offworld: ¥700, not on the map" in note, "what has no place is said"
    assert "parcels from China, United States" in note


def test_no_line_joins_what_no_total_joins(shown: Browser) -> None:
    drawn = shown.run("return [...document.querySelectorAll('#world > g:last-of-type > *')].map((one) => one.tagName)")
    assert set(drawn) == {"circle", "polygon", "text"}, (
        "markets, origins and names: which origin sends where is not told"
    )
    origins = shown.run("return [...document.querySelectorAll('.origin')].map((one) => one.dataset.code)")
    assert sorted(origins) == ["CN", "US"]


def test_a_market_lies_on_its_land_and_names_do_not_cover_each_other(shown: Browser) -> None:
    boxes = shown.run("""return [...document.querySelectorAll('.country')].map((name) => {
        const { left, right, top, bottom } = name.getBoundingClientRect();
        return [name.textContent, left, right, top, bottom];
    })""")
    assert len(boxes) >= 5
    for i, (name, left, right, top, bottom) in enumerate(boxes):
        for other, left2, right2, top2, bottom2 in boxes[i + 1 :]:
            apart = right <= left2 + 1 or right2 <= left + 1 or bottom <= top2 + 2 or bottom2 <= top + 2
            assert apart, f"{name} covers {other}"
    inside = shown.run("""return [...document.querySelectorAll('.land path.is-market')].filter((land) => {
        const box = land.getBoundingClientRect();
        return [...document.querySelectorAll('.market')].some((circle) => {
            const round = circle.getBoundingClientRect();
            const [x, y] = [(round.left + round.right) / 2, (round.top + round.bottom) / 2];
            return x >= box.left && x <= box.right && y >= box.top && y <= box.bottom;
        });
    }).length""")
    assert inside == shown.run("return document.querySelectorAll('.land path.is-market').length")
    assert shown.run(LAND_WIDTH) > 200, "it can be seen"
    assert shown.accessibility() == []
    assert shown.problems() == []


def test_the_news_are_the_differences_of_committed_sums(shown: Browser, hall: Hall) -> None:
    assert shown.run("return document.getElementById('news').hidden"), "the first totals are no news"
    hall.place("orders_by_market", ("CN", "CNY"), DAY.start_ms, orders=40, gross_minor=8_000_00)
    hall.place("orders_by_market", ("DE", "CNY"), DAY.start_ms, orders=1, gross_minor=64_90)
    hall.clock.advance(2_000)
    hall.commit(DAY.start_ms + NOON * 60_000 + 7_000)
    shown.until(lambda: len(shown.run(NEWS)) == 2, "two markets gained")
    assert [item[1:] for item in shown.run(NEWS)] == [["China", "+¥8,000.00"], ["Germany", "+¥64.90"]]
    assert shown.run("return document.querySelectorAll('.ripple').length") <= 2
    shown.run("document.querySelector('button[value=de]').click()")
    hall.place("orders_by_market", ("AT", "CNY"), DAY.start_ms, orders=1, gross_minor=1_234_56)
    hall.clock.advance(2_000)
    hall.commit(DAY.start_ms + NOON * 60_000 + 8_000)
    shown.until(lambda: shown.run(NEWS) != [], "one more")
    assert [item[1:] for item in shown.run(NEWS)] == [["Österreich", "+1.234,56\u00a0¥"]]


GAINS = """(() => {
    const before = news.amountsOf(given[0]);
    return news.gains(before, given[1], given[2]).map(({ name, count, minor }) =>
        [name, Number(count), minor === null ? null : Number(minor)]);
})()"""


def test_only_what_gained_is_news(page: Page) -> None:
    def row(name: str, count: int, minor: int | None) -> dict[str, object]:
        return {"name": name, "count": count, "minor": minor}

    old, new = [row("CN", 5, 500), row("US", 3, 300)], [row("CN", 6, 700), row("US", 3, 300), row("DE", 1, 900)]
    assert page(GAINS, old, new, True) == [["DE", 1, 900], ["CN", 1, 200]], "the most first"
    assert page(GAINS, old, new, False) == [["CN", 1, 200]], "who comes into a top ten may have been there before"
    assert page(GAINS, [row("CN", 5, 500)], [row("CN", 6, None)], True) == [], "not of one kind"
    assert page(GAINS, new, old, True) == [], "a smaller sum is no news"


@pytest.mark.parametrize(
    ("codes", "is_near"),
    [
        (["DE", "AT", "CH", "FR"], True),
        (["DE"], True),
        (["CN", "HK", "US"], False),
        (["DE", "US"], False),
        (["DE", "CN"], True),
        ([], False),
    ],
)
def test_the_map_comes_near_where_all_markets_are_neighbours(page: Page, codes: list[str], *, is_near: bool) -> None:
    view = page("world.viewOf(given[0].map((code) => land.LAND.places[code]), 2)", codes)
    width, height = page("[land.LAND.width, land.LAND.height]")
    if not is_near:
        assert view == {"x": width / 2, "y": height / 2, "width": width, "height": height}
        return
    assert width / 8 < view["width"] < width / 2
    assert view["width"] / view["height"] == pytest.approx(2)
    for code in codes:
        x, y = page("land.LAND.places[given[0]]", code)
        assert abs(x - view["x"]) < view["width"] / 2
        assert abs(y - view["y"]) < view["height"] / 2


def test_a_festival_without_countries_has_no_map(browser: Browser) -> None:
    cardboard = FESTIVALS["cardboard-day-2019"]
    with Hall(cardboard) as hall:
        hall.place("recycling_by_second", (), cardboard.start_ms, boxes=3, scans=1, points=7)
        hall.place("recycling_by_city", ("Chengdu",), cardboard.start_ms, boxes=3, scans=1, points=7)
        hall.commit(cardboard.start_ms + 1_000)
        browser.driver.get(f"{hall.url}?lang=en&festival={cardboard.id}")
        browser.until(lambda: browser.text("hero") == "3", "its boxes are shown")
        browser.until(lambda: browser.run("return document.querySelector('.rank') !== null"), "and its cities")
        assert browser.run("return document.getElementById('world-figure').offsetParent") is None
