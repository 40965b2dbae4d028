"""Hostile documents thrown at the page's own code, many at a time: nothing that a producer sends breaks the screen."""

from __future__ import annotations

import json
import re
from typing import TYPE_CHECKING, Any

import pytest
from hypothesis import HealthCheck, Phase, given, settings
from hypothesis import strategies as st

from streams.board.answers.screen import RANKS, screen_document
from streams.board.answers.totals import totals_document
from streams.domain.currencies import EXPONENTS
from streams.engine.judgement import judge
from tests.acceptance.hall import FESTIVALS, HOUR_MS, Hall
from tests.acceptance.test_screen_festivals import count_everything
from tests.unit.looks import sources_ending_at

if TYPE_CHECKING:
    import random
    from collections.abc import Iterator

    from tests.acceptance.browser import Browser

DAY = FESTIVALS["singles-day-2019"]
MINUTES = 24 * 60
BATCH = 8
"""Documents of one call: the browser's answer takes longer than they do."""
Document = dict[str, Any]
THROWN: dict[str, Any] = {
    "deadline": None,
    "suppress_health_check": list(HealthCheck),
    "phases": (
        Phase.explicit,
        Phase.reuse,
        Phase.generate,
    ),  # a page has a state: shrinking takes minutes, and misleads
}

HEAR = """(async () => {
    const told = [];
    const escaped = [];
    const catchIt = (event) => escaped.push(String(event.reason ?? event.message));
    addEventListener('error', catchIt);
    addEventListener('unhandledrejection', catchIt);
    for (const { festivals, events } of given[0]) {
        globalThis.fetch = async () => new Response(festivals);
        await screen.loadFestivals();
        for (const [name, text] of events) screen.hear(name, exact.parse(text));
        screen.draw();
        await new Promise((done) => setTimeout(done));
        told.push({
            state: document.body.dataset.state,
            why: document.getElementById('state').textContent,
            broken: [...document.querySelectorAll('[data-broken]')].map((place) => place.id || place.className),
            spoken: document.getElementById('hero-spoken').textContent,
            hero: document.getElementById('hero').textContent,
            text: document.body.innerText + document.title,
            ranks: document.querySelectorAll('.rank').length,
            children: document.getElementById('ranks').querySelectorAll('img, script, b').length,
        });
    }
    removeEventListener('error', catchIt);
    removeEventListener('unhandledrejection', catchIt);
    return { told, escaped };
})()"""
NONSENSE = re.compile(r"undefined|\bNaN\b|\[object|native code|=>")


@pytest.fixture(scope="module")
def base(browser: Browser) -> Iterator[Document]:
    """Return the documents of a day that counted everything, in a page that hears nothing else."""
    with Hall(DAY) as hall:
        count_everything(hall, DAY.start_ms + 15 * HOUR_MS)
        snapshot = hall.view.snapshot()
        judgement = judge(sources_ending_at(hall.ends), snapshot.cursors)
        totals = {**totals_document(snapshot, DAY, judgement=judgement), "screen": screen_document(snapshot, DAY)}
        festivals = hall.ask("festivals")
        browser.size(1366, 768)
        browser.media(prefers_reduced_motion="reduce")
        browser.driver.get(f"{hall.url}?lang=en&festival={DAY.id}")
        browser.until(lambda: browser.run("return document.querySelector('.rank') !== null"), "the page has loaded")
        browser.module("screen.leaveStream()")
        (day,) = (festival for festival in festivals["festivals"] if festival["id"] == DAY.id)
        yield {"totals": totals, "festival": day}


NAMES = (
    *("line\nbreak", "sep\u2028arator", "para\u2029graph", "\u202eevil", "\r", " ", "\x00", "😀", "x 12\n", "\n 7"),
    *("constructor", "toString", "__proto__", "valueOf", "hasOwnProperty", "<img src=x onerror=alert(1)>"),
    *("US", "ZZ", "__other__", "__none__"),
)
texts = st.text(min_size=1, max_size=64).filter(lambda text: not NONSENSE.search(text))
names = st.one_of(texts, st.sampled_from(NAMES))
counts = st.one_of(st.integers(0, 10**6), st.integers(2**53 - 2, 2**53 + 2), st.integers(0, 10**40))
currencies = st.sampled_from(sorted(EXPONENTS))


@st.composite
def documents(draw: st.DrawFn) -> Document:
    """Draw what differs from the usual day: names, currencies, and numbers of any size."""
    home = draw(currencies)
    others = draw(st.lists(currencies, max_size=3))
    return {
        "home": home,
        "money": {c: {n: draw(counts) for n in ("gross", "coupons", "paid")} for c in sorted({home, *others})},
        "gross": draw(counts),
        "net": draw(st.one_of(counts, counts.map(int.__neg__))),
        "count": draw(counts),
        "steps": draw(st.lists(counts, min_size=1, max_size=4)),
        "milestones": sorted({draw(counts) + 1 for _ in range(draw(st.integers(0, 20)))}),
        "reached": draw(st.integers(0, 20)),
        "names": draw(st.lists(names, min_size=1, max_size=8, unique=True)),
        "name": draw(names),
        "previous": draw(names),
        "dimensions": draw(st.lists(st.one_of(st.sampled_from(RANKS["orders"]), names), max_size=3, unique=True)),
        "is_counted": draw(st.sampled_from([True, True, True, False])),
        "held": draw(st.lists(names, max_size=2)),
    }


def uncounted(totals: Document) -> Document:
    """Return what a document has of a festival that the ledger does not count."""
    parts = {name: dict.fromkeys(totals[name]) for name in ("payments", "shares", "parcels", "recycling")}
    empty: Document = {"money": {}, "payer": {}, "pace": None, "forecast": None, "distinct": None, "implausible": {}}
    screen: Document = {
        "rate_per_second": None,
        "peak": {"count": None, "start_ms": None},
        "milestones": [],
        "previous_minor": None,
    }
    exponents = {currency: EXPONENTS[currency] for currency in (totals["home"]["currency"], *totals["in"])}
    return {**parts, **empty, "screen": totals["screen"] | screen, "exponents": exponents, "cancelled": None}


def events_of(base: Document, drawn: Document) -> Document:
    """Return the page's input: the festivals and the events, as texts."""
    gross, reached = drawn["gross"], drawn["milestones"][: drawn["reached"]]
    null_home = dict.fromkeys(("gross", "net", "paid"))
    shown = {"gross": gross, "net": drawn["net"], "paid": gross} if drawn["is_counted"] else null_home
    milestones = [{"minor": m, "time_ms": DAY.start_ms + 1_000 if m in reached else None} for m in drawn["milestones"]]
    at_ms = base["totals"]["screen"]["watermark_ms"]
    screen = base["totals"]["screen"] | {
        "milestones": milestones,
        "peak": {"count": drawn["count"], "start_ms": DAY.start_ms + 59_000},
        "rate_per_second": drawn["count"],
        "previous_minor": drawn["steps"][0],
    }
    totals = base["totals"] | {
        "counted": drawn["is_counted"],
        "complete": drawn["is_counted"] and not drawn["held"],
        "held": [{"partition": 3, "topic": n, "reason": n, "since_ms": at_ms, "detail": n} for n in drawn["held"]],
        "home": {"currency": drawn["home"], **shown, "missing": []},
        "orders": drawn["count"] if drawn["is_counted"] else None,
        "duplicates": drawn["count"],
        "money": drawn["money"],
        "payer": {},
        "in": {c: {**shown, "rate": "6.9933", "date": "2019-11-11"} for c in drawn["money"] if c != drawn["home"]},
        "exponents": {currency: EXPONENTS[currency] for currency in drawn["money"]},
        "forecast": {"low_minor": gross, "high_minor": gross + drawn["count"]},
        "distinct": {"buyers": {"estimate": drawn["count"], "low": 0, "high": drawn["count"]}},
        "screen": screen,
    }  # fmt: skip
    steps = drawn["steps"]
    by_minute = [steps[i % len(steps)] for i in range(MINUTES)]
    curve = {"values": by_minute, "counts": [1] * MINUTES, "from": 0}
    if not drawn["is_counted"]:
        totals |= uncounted(totals)
        curve |= {"values": [], "counts": []}
    rows = [{"name": name, "count": drawn["count"], "minor": gross or None} for name in drawn["names"]]
    previous = {"name": drawn["previous"], "total_minor": gross + 1, "curve": [], "by_minute": by_minute}
    festival = base["festival"] | {"name": drawn["name"], "home_currency": drawn["home"], "previous": previous}
    told: list[tuple[str, Any]] = [
        ("alive", {"now_ms": at_ms, "fresh_ms": at_ms, "contacted_ms": at_ms, "loaded": True}),
        ("curve", {**curve, "start_ms": DAY.start_ms, "step_ms": 60_000, "watermark_ms": at_ms}),
        ("ranks", dict.fromkeys((*drawn["dimensions"], "market"), rows)),
        ("totals", totals),
    ]
    events = [(name, json.dumps(document, ensure_ascii=False)) for name, document in told]
    return {"festivals": json.dumps({"shown": DAY.id, "festivals": [festival]}, ensure_ascii=False), "events": events}


def thrown(browser: Browser, sent: list[Document]) -> list[Document]:
    """Return what the page shows after each of the documents; nothing escapes."""
    answer = browser.module(HEAR, sent)
    assert answer["escaped"] == []
    return list(answer["told"])


@settings(max_examples=12, **THROWN)
@given(st.lists(documents(), min_size=BATCH, max_size=BATCH), st.sampled_from(["en", "zh"]))
def test_names_and_numbers_of_any_kind_are_shown(
    browser: Browser, base: Document, batch: list[Document], language: str
) -> None:
    browser.run("document.querySelector(`button[value=${arguments[0]}]`).click()", language)
    for drawn, seen in zip(batch, thrown(browser, [events_of(base, drawn) for drawn in batch]), strict=True):
        assert seen["broken"] == [], drawn
        assert not NONSENSE.search(seen["text"]), NONSENSE.split(seen["text"])
        assert seen["children"] == 0, "a name is a text, never markup"
        if not drawn["is_counted"]:
            assert (seen["spoken"], seen["hero"], seen["state"], seen["ranks"]) == ("–", "–", "doubtful", 0)
            continue
        assert seen["state"] == ("doubtful" if drawn["held"] else "live")
        assert seen["ranks"] > 0
        exact = drawn["gross"] // 10 ** EXPONENTS[drawn["home"]]
        assert int(re.sub(r"\D", "", seen["spoken"])) == exact, "to the last digit"
        assert int(re.sub(r"\D", "", seen["hero"])) == exact


def spoiled(document: Any, chance: random.Random) -> Any:  # noqa: ANN401 - any JSON
    """Return a document in which something is missing or is another thing."""
    if isinstance(document, dict) and document and chance.random() < 0.75:
        key = chance.choice(sorted(document))
        kept = {name: value for name, value in document.items() if name != key}
        return kept if chance.random() < 0.5 else {**kept, key: spoiled(document[key], chance)}
    if isinstance(document, list) and document and chance.random() < 0.5:
        return [spoiled(document[0], chance), *document[1:]]
    return chance.choice([None, {}, [], "", "text", -1, 1.5, 10**30, True, [None], {"a": []}])


@settings(max_examples=12, **THROWN)
@given(documents().filter(lambda drawn: drawn["is_counted"] and not drawn["held"]), st.randoms(use_true_random=False))
def test_a_document_that_is_none_blanks_panels_and_the_next_one_is_shown(
    browser: Browser, base: Document, drawn: Document, chance: random.Random
) -> None:
    good = events_of(base, drawn)
    sent = []
    for _ in range(BATCH):
        name, text = chance.choice(good["events"])
        sent += [{**good, "events": [(name, json.dumps(spoiled(json.loads(text), chance)))]}, good]
    for spoilt, mended in zip(*[iter(thrown(browser, sent))] * 2, strict=True):
        assert spoilt["state"] in {"live", "waiting", "doubtful"}
        assert mended["broken"] == [], mended
        assert mended["state"] == "live", mended["why"]


floats = st.floats(-1e15, 1e15)  # JSON writes larger ones in two ways
json_values = st.recursive(
    st.one_of(st.none(), st.booleans(), st.integers(), st.integers(-(10**40), 10**40), names, floats),
    lambda inner: st.one_of(st.lists(inner, max_size=4), st.dictionaries(names, inner, max_size=4)),
)
REREAD = """given[0].map((text) => JSON.stringify(exact.parse(text), (_, value) =>
    typeof value === 'bigint' ? `BigInt ${value}` : value))"""


def as_read(value: Any) -> Any:  # noqa: ANN401 - any JSON
    """Return a document as the page has it: integers beyond 2^53 by their digits."""
    if isinstance(value, dict):
        return {key: as_read(inner) for key, inner in value.items()}
    if isinstance(value, list):
        return [as_read(inner) for inner in value]
    is_large = isinstance(value, int) and not isinstance(value, bool) and abs(value) >= 2**53
    return f"BigInt {value}" if is_large else value


@settings(max_examples=20, **THROWN)
@given(st.lists(json_values, min_size=20, max_size=20), st.sampled_from([None, 1]))
def test_json_is_read_to_the_last_digit(
    browser: Browser, base: Document, values: list[Any], indent: int | None
) -> None:
    assert base
    texts = [json.dumps(value, ensure_ascii=indent is None, indent=indent) for value in values]
    assert [json.loads(text) for text in browser.module(REREAD, texts)] == [as_read(value) for value in values]


@pytest.mark.parametrize("text", ["", "{", "[1,]", '{"a" 1}', "tru", "1 2", '"a', '"\n"', "01", "[1 2]", "nul", "--1"])
def test_what_is_no_json_is_refused(browser: Browser, base: Document, text: str) -> None:
    assert base
    refused = "(() => { try { exact.parse(given[0]); return false; } catch { return true; } })()"
    assert browser.module(refused, text) is True


def test_an_event_that_cannot_be_read_greys_the_page_until_the_next(browser: Browser, base: Document) -> None:
    assert base
    browser.run("document.querySelector('button[value=en]').click()")
    grey = "(screen.hear('totals', null), [document.body.dataset.state, document.getElementById('state').textContent])"
    state, text = browser.module(grey)
    assert state == "doubtful"
    assert "cannot be read" in text


BLANKED = """(() => {
    screen.hear('totals', exact.parse(given[0]));
    const hero = document.getElementById('hero');
    return {
        broken: [...document.querySelectorAll('[data-broken]')].map((place) => place.id),
        word: getComputedStyle(hero, '::before').content,
        seen: getComputedStyle(hero.firstElementChild).visibility,
        ledger: document.getElementById('ledger').textContent,
    };
})()"""


def test_a_panel_that_cannot_be_drawn_is_blanked_with_a_word(browser: Browser, base: Document) -> None:
    browser.run("document.querySelector('button[value=en]').click()")
    totals = {name: value for name, value in base["totals"].items() if name != "exponents"} | {"ledger": "g7"}
    shown = browser.module(BLANKED, json.dumps(totals))
    assert {"hero", "tiles"} <= set(shown["broken"])
    assert shown["word"] == '"cannot be shown"'
    assert shown["seen"] == "hidden", "no old number stands in its place"
    assert shown["ledger"] == "ledger g7", "the others go on"
