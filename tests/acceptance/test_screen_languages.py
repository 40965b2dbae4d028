"""The screen speaks English, German and Chinese: the reader's own, no text is missing, and each fits its place."""

from __future__ import annotations

import dataclasses
import json
from typing import TYPE_CHECKING

import pytest

from streams.web.languages import LANGUAGES
from tests.acceptance.daytime import CURVES, Daytime
from tests.acceptance.hall import FESTIVALS, HOUR_MS, Hall

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator

    from tests.acceptance.browser import Browser, Page

    Asking = Callable[[str], None]

DAY = FESTIVALS["singles-day-2019"]
CONVERTED = {
    "USD": {"gross": 2_921_000_000_000, "net": 1, "paid": 1, "rate": "6.9933", "date": "2019-11-11"},
    "EUR": {"gross": 2_639_000_000_000, "net": 1, "paid": 1, "rate": "7.7404", "date": "2019-11-11"},
}
SIZES = ((1920, 1080), (1366, 768), (390, 844))
TREE = """((words) => {
    const told = (word) => typeof word === 'function' ? `function of ${word.length}`
        : typeof word === 'object' ? Object.fromEntries(Object.entries(word).map(([key, one]) => [key, told(one)]))
        : typeof word;
    return told(words);
})(words.WORDS[given[0]])"""
NAMED = ("names", "festivals", "previous")
"""Tables of names: what stays as it is has no entry."""
EMPTY = """((words) => {
    const found = [];
    const look = (word, path) => {
        if (typeof word === 'object') Object.entries(word).forEach(([key, one]) => look(one, `${path}.${key}`));
        else if (typeof word === 'string' && word.trim() === '' && path !== '.comma') found.push(path);
        else if (typeof word === 'function') {
            const text = word(...Array.from({ length: word.length }, (_, i) => i + 1));
            if (typeof text !== 'string' || text === '' || /undefined|NaN/.test(text)) found.push(path);
        }
    };
    look(words, '');
    return found;
})(words.WORDS[given[0]])"""

# Texts of ours that stick out of their place: wider than it, or cut by something that hides what is beyond it.
# Names of producers and of festivals may be cut, and have the whole in a title.
TOO_LONG = """
const ours = [...document.querySelectorAll('main *, .bar *, .foot *')].filter((place) => place.children.length === 0
    && place.textContent.trim() !== '' && place.getClientRects().length > 0
    && !place.matches('.unseen, h1, option, select, .rank-name, .news *, svg *, [aria-hidden] *'));
const isHidden = (place) => getComputedStyle(place).overflow !== 'visible';
const cut = (box, over) => {
    const room = over.getBoundingClientRect();
    return box.right > room.right + 1 || box.left < room.left - 1 || (isHidden(over) && box.bottom > room.bottom + 1);
};
return ours.filter((place) => {
    const range = document.createRange();
    range.selectNodeContents(place);
    const box = range.getBoundingClientRect();
    if (box.right > innerWidth + 1) return true;
    for (let over = place; over !== document.body; over = over.parentElement) {
        if (getComputedStyle(over).display !== 'inline' && cut(box, over)) return true;
    }
    return false;
}).map((place) => place.textContent);
"""
STATES = """return import('/words.js').then(({ WORDS }) => {
    const words = WORDS[arguments[0]];
    return [words.connecting, words.live, words.lost(86400), words.reading, words.notReadYet, words.busy,
        words.refused(503), words.unreadable, words.behind, words.incomplete(63, 64), words.held,
        words.heldPartition(63, 'recycling', 'ledger_unreadable') + words.andMore(63), words.notCounted, words.noEvent,
        words.openTransaction('recycling', 63) + words.andMore(63), words.silentServer(9999), words.silentKafka(9999),
        words.silentWorkers(9999, '268.400.000'), words.stale(9999), words.nothing];
})"""
SAY = """
const place = document.getElementById('state').firstElementChild;
place.textContent = arguments[0];
const [text, room] = [place, document.querySelector('.honest')].map((one) => one.getBoundingClientRect());
return text.right <= room.right + 1 && text.bottom <= room.bottom + 1 && room.right <= innerWidth + 1;
"""


def test_no_text_is_missing_in_any_language(page: Page) -> None:
    trees = {language: page(TREE, language) for language in LANGUAGES}
    for language, tree in trees.items():
        known = {key: word for key, word in tree.items() if key not in NAMED}
        assert known == {key: word for key, word in trees["en"].items() if key not in NAMED}, language
        assert page(EMPTY, language) == [], language
    assert set(page("Object.keys(words.WORDS)")) == set(LANGUAGES)


def test_every_word_on_the_page_is_one_of_its_language(browser: Browser, page: Page) -> None:
    wanted = browser.run("""return [...document.querySelectorAll('[data-word], [data-word-label]')]
        .map((place) => place.dataset.word ?? place.dataset.wordLabel)""")
    assert len(wanted) > 8
    for language in LANGUAGES:
        assert page("given[1].filter((key) => typeof words.WORDS[given[0]][key] !== 'string')", language, wanted) == []


@pytest.fixture(scope="module")
def hall() -> Iterator[Hall]:
    """Return the whole day of 2019 at 15:00, with milestones, forecast, a map and long numbers."""
    with Hall(dataclasses.replace(DAY)) as hall:
        Daytime(hall, CURVES[DAY.id]).until(15 * 60)
        yield hall


@pytest.fixture
def asking(browser: Browser) -> Iterator[Asking]:
    """Return a function that has the browser ask for a language in what it sends."""

    def ask(accepted: str) -> None:
        browser.driver.execute_cdp_cmd("Network.enable", {})
        headers = {"headers": {"Accept-Language": accepted} if accepted else {}}
        browser.driver.execute_cdp_cmd("Network.setExtraHTTPHeaders", headers)

    yield ask
    ask("")


@pytest.mark.parametrize(
    ("accepted", "label", "language"),
    [
        ("de-AT,de;q=0.9,en;q=0.8", "Bruttowarenwert", "de-DE"),
        ("fr,zh-HK;q=0.7,en;q=0.3", "成交总额", "zh-CN"),
        ("fr", "Gross merchandise value", "en"),
        ("de;q=0.2,en;q=0.9", "Gross merchandise value", "en"),
    ],
)
def test_the_page_begins_in_the_language_that_the_browser_asks_for(
    browser: Browser, hall: Hall, asking: Asking, *, accepted: str, label: str, language: str
) -> None:
    asking(accepted)
    browser.driver.get(f"{hall.url}?festival={DAY.id}")
    browser.until(lambda: browser.text("hero-label") == label, f"{accepted} is answered in {language}")
    assert browser.run("return document.documentElement.lang") == language
    assert "lang=" not in browser.driver.current_url, "who gets this address reads it in a language of theirs"


def test_a_language_that_was_chosen_is_kept_in_the_address(browser: Browser, hall: Hall, asking: Asking) -> None:
    asking("en")
    browser.driver.get(f"{hall.url}?festival={DAY.id}")
    browser.until(lambda: browser.text("state").startswith("Live"), "the page speaks English")
    browser.run("document.querySelector('button[value=de]').click()")
    assert browser.text("state").startswith("Live: festgeschrieben")
    assert "lang=de" in browser.driver.current_url
    browser.driver.refresh()
    browser.until(lambda: browser.text("hero-label") == "Bruttowarenwert", "after a reload")
    pressed = "return document.querySelector('.languages [aria-pressed=true]').value"
    assert browser.run(pressed) == "de"
    browser.driver.get(f"{hall.url}?festival={DAY.id}&lang=fr")
    browser.until(lambda: browser.text("hero-label") == "Gross merchandise value", "one that it does not speak")


@pytest.mark.parametrize("language", LANGUAGES)
def test_no_text_is_longer_than_its_place(browser: Browser, hall: Hall, language: str) -> None:
    browser.size(*SIZES[0])
    browser.media(prefers_reduced_motion="reduce")
    browser.driver.get(f"{hall.url}?lang={language}&festival={DAY.id}")
    browser.until(lambda: browser.run("return document.querySelector('#running .line') !== null"), "it is drawn")
    browser.until(lambda: browser.run("return document.querySelectorAll('.country').length") > 3, "so is the map")
    browser.module("screen.leaveStream()")
    converted = hall.message(**{"in": CONVERTED, "exponents": {"CNY": 2, "USD": 2, "EUR": 2}})
    browser.module("screen.hear('totals', exact.parse(given[0]))", json.dumps(converted))
    assert browser.run("return document.querySelectorAll('#converted dd').length") == len(CONVERTED)
    for size in SIZES:
        browser.size(*size)
        browser.until(lambda at=size: browser.run("return innerWidth") == at[0], "the window has its size", 5)  # type: ignore[misc]
        browser.until(lambda: browser.overflows() == [], f"nothing sticks out at {size}: {browser.overflows()}", 5)
        assert browser.run(TOO_LONG) == [], size
        for sentence in browser.run(STATES, language):
            assert browser.run(SAY, sentence), f"{sentence} at {size}"
    hour = browser.run("return document.querySelector('#running .hour').textContent")
    assert hour == "00:00", "24 hours, in each language"
    assert hall.clock.now_ms() >= DAY.start_ms + 15 * HOUR_MS
