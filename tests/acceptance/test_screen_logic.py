"""The screen's own rules, module by module, run where they run: in a browser.

What is believed and what not, that no total goes back, that nothing shown exceeds what was committed.
"""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

import pytest

from tests.acceptance.hall import FESTIVALS, Hall

if TYPE_CHECKING:
    from tests.acceptance.browser import Browser

DAY = FESTIVALS["singles-day-2019"]
NOW_MS = DAY.start_ms + 3_600_000
HEARD_AT = 50_000.0
"""By the page's own clock: when the server was heard last."""

Page = Any  # what `page` gives: a function that runs the body of an asynchronous script with the page's modules


@pytest.fixture(scope="module")
def page(browser: Browser) -> Page:
    """Return a function: the value of an expression in which the page's modules go by their names."""
    modules = ("belief", "charts", "compared", "hero", "numbers", "ranks", "words")
    imports = ", ".join(f"import('/{name}.js')" for name in modules)

    def run(expression: str, *arguments: object) -> Any:  # noqa: ANN401 - whatever it is in JavaScript
        script = f"""
            const [given, done] = [[...arguments].slice(0, -1), arguments[arguments.length - 1]];
            Promise.all([{imports}]).then(async ([{", ".join(modules)}]) => done([await ({expression})]))
                .catch((error) => done(String(error)));
        """
        found = browser.driver.execute_async_script(script, *arguments)
        assert isinstance(found, list), found
        return found[0]

    with Hall(DAY) as hall:
        browser.driver.get(hall.url)
        yield run


# -- whether the numbers are believed ------------------------------------------------------------------------------


def totals(**changed: object) -> dict[str, Any]:
    """Return what of a totals document decides a verdict: of a ledger that is complete and not behind."""
    screen = {"partitions": {"committed": 4, "all": 4}, "watermark_ms": NOW_MS, "main": "gross"}
    known = {"festival": DAY.id, "ledger": "g1", "complete": True, "lag_records": 0, "committed_ms": NOW_MS}
    return {**known, "positions": {"orders": {"0": 7, "1": 9}}, "screen": screen, **changed}


def alive(**changed: object) -> dict[str, Any]:
    """Return what a server says of its freshness: all that was on Kafka 0.4 s ago is in the totals."""
    return {"now_ms": NOW_MS, "fresh_ms": NOW_MS - 400, "contacted_ms": NOW_MS - 400, "loaded": True, **changed}


def known(**changed: object) -> dict[str, Any]:
    """Return everything a verdict is passed on, 0.6 s after the server spoke."""
    usual = {"totals": totals(), "alive": alive(), "heardAt": HEARD_AT, "lostAt": None, "isCatchingUp": False}
    return {**usual, "now": HEARD_AT + 600, **changed}


VERDICTS = {
    "fresh and complete": (known(), "live", "Live: committed and complete"),
    "nothing heard yet": (known(totals=None, alive=None), "waiting", "Connecting …"),
    "cut off, and nothing was ever heard": (known(totals=None, lostAt=HEARD_AT), "waiting", "Connecting …"),
    "cut off": (
        known(lostAt=HEARD_AT, now=HEARD_AT + 3_000),
        "doubtful",
        "Disconnected for 3 s, trying again. These are the last totals known",
    ),
    "a server that knows less than is shown": (
        known(isCatchingUp=True),
        "doubtful",
        "The server is catching up. These are the last totals known",
    ),
    "a server that reads": (known(alive=alive(loaded=False)), "doubtful", "The server is still reading the ledger"),
    "a partition without a total": (
        known(totals=totals(complete=False, screen={"partitions": {"committed": 3, "all": 4}})),
        "doubtful",
        "Incomplete: 1 of 4 partitions have no total yet",
    ),
    "a partition that stands still": (
        known(totals=totals(complete=False)),
        "doubtful",
        "Incomplete: a partition stands still or cannot be read",
    ),
    "no ledger": (
        known(totals=totals(complete=False, screen={"partitions": {"committed": 0, "all": 0}})),
        "waiting",
        "Nothing is counted yet",
    ),
    "a ledger without anything": (known(alive=alive(fresh_ms=None)), "waiting", "Nothing is counted yet"),
    "5 s old is not too old": (known(alive=alive(fresh_ms=NOW_MS - 4_400)), "live", "Live: committed and complete"),
    "older than 5 s": (known(alive=alive(fresh_ms=NOW_MS - 4_500)), "doubtful", "Nothing committed for 5 s"),
    "older than 5 s, and records wait": (
        known(alive=alive(fresh_ms=NOW_MS - 9_400), totals=totals(lag_records=12)),
        "doubtful",
        "Nothing committed for 10 s while 12 records wait",
    ),
    "Kafka is silent": (
        known(alive=alive(fresh_ms=NOW_MS - 8_400, contacted_ms=NOW_MS - 8_400)),
        "doubtful",
        "Kafka has not answered for 9 s",
    ),
    "the server is silent": (known(now=HEARD_AT + 6_000), "doubtful", "The server has said nothing for 6 s"),
}


@pytest.mark.parametrize("case", VERDICTS)
def test_numbers_are_believed_only_when_they_are_fresh_and_complete(page: Page, case: str) -> None:
    given, state, text = VERDICTS[case]
    whole = "(value) => String(Math.floor(value))"
    assert page(f"belief.verdict(given[0], words.WORDS.en, {whole})", given) == {"state": state, "text": text}
    in_chinese = page(f"belief.verdict(given[0], words.WORDS.zh, {whole})", given)
    assert in_chinese["state"] == state
    assert in_chinese["text"] != text


@pytest.mark.parametrize(
    ("next_", "is_behind"),
    [
        (totals(), False),
        (totals(positions={"orders": {"0": 8, "1": 9}}), False),
        (totals(positions={"orders": {"0": 6, "1": 900}}), True),
        (totals(positions={"orders": {"0": 7}}), True),
        (totals(positions={}), True),
        (totals(positions={}, ledger="g2"), False),
        (totals(positions={}, festival="cardboard-day-2019"), False),
    ],
    ids=["same", "further", "one behind", "one missing", "empty", "another ledger", "another festival"],
)
def test_a_server_that_knows_less_turns_no_total_back(page: Page, next_: dict[str, Any], *, is_behind: bool) -> None:
    assert page("belief.isBehind(given[0], given[1])", next_, totals()) is is_behind
    assert page("belief.isBehind(given[0], null)", next_) is False, "the first totals are behind nothing"


END = {"start_ms": DAY.start_ms, "end_ms": DAY.end_ms}


@pytest.mark.parametrize(
    ("watermark_ms", "quiet_ms", "changed", "is_over"),
    [
        (DAY.end_ms, 0, {}, True),
        (DAY.end_ms - 30_000, 10_000, {}, True),
        (DAY.end_ms - 30_000, 9_999, {}, False),
        (DAY.end_ms - 3_600_000, 60_000, {}, False),
        (DAY.end_ms - 30_000, 60_000, {"lag_records": 1}, False),
        (DAY.end_ms - 30_000, 60_000, {"lag_records": None}, False),
        (DAY.end_ms - 30_000, 60_000, {"complete": False}, False),
        (None, 60_000, {}, False),
    ],
)
def test_a_day_is_over_when_its_last_minutes_are_counted_and_nothing_follows(
    page: Page, watermark_ms: int | None, quiet_ms: int, changed: dict[str, object], *, is_over: bool
) -> None:
    screen = {**totals()["screen"], "watermark_ms": watermark_ms}
    shown = totals(screen=screen, committed_ms=DAY.end_ms + 5_000, **changed)
    heard = alive(now_ms=DAY.end_ms + 5_000 + quiet_ms)
    assert page("belief.isOver(given[0], given[1], given[2])", shown, heard, END) is is_over


# -- how numbers are shown -----------------------------------------------------------------------------------------

PAINTED = """new Promise((done) => {
    const painted = [];
    const shown = new hero.Hero((value) => {
        painted.push(value);
        if (value === given[1]) setTimeout(() => done(painted), 50);
    });
    shown.calm = { matches: given[2] };
    shown.set(given[0]);
    shown.rise(given[1]);
})"""


def test_the_hero_runs_up_to_what_was_committed_and_never_beyond(page: Page) -> None:
    painted = page(PAINTED, 1_000, 2_000_001, False)
    assert painted == sorted(painted)
    assert painted[0] == 1_000
    assert painted[-1] == 2_000_001
    assert len(painted) > 3, "it runs"
    assert all(isinstance(value, int) for value in painted)


def test_the_hero_stands_where_motion_is_not_wanted(page: Page) -> None:
    assert page(PAINTED, 1_000, 2_000_001, True) == [1_000, 2_000_001]


def test_what_comes_while_the_hero_runs_only_moves_its_goal(page: Page) -> None:
    painted = page("""new Promise((done) => {
        const painted = [];
        const shown = new hero.Hero((value) => painted.push(value));
        shown.calm = { matches: false };
        shown.set(0);
        shown.rise(100);
        setTimeout(() => shown.rise(300), 60);
        setTimeout(() => done(painted), 1500);
    })""")
    assert painted == sorted(painted)
    assert painted[-1] == 300


@pytest.mark.parametrize(
    ("locale", "expression", "shown"),
    [
        ("en", "n.shortMoney(26839999999999, 'CNY')", "¥268.3B"),
        ("zh-CN", "n.shortMoney(26839999999999, 'CNY')", "¥2683亿"),
        ("en", "n.short(9999.9)", "9,999"),
        ("en", "n.wholeMoney(199, 'CNY')", "¥1"),
        ("en", "n.wholeMoney(199, 'JPY')", "JPY 199"),
        ("en", "n.whole(n.major(900719925474099399n, 'CNY'))", "9,007,199,254,740,993"),
    ],
)
def test_whatever_is_rounded_is_rounded_down(page: Page, locale: str, expression: str, shown: str) -> None:
    assert page(f"((n) => {{ n.home = 'CNY'; return {expression}; }})(new numbers.Numbers({locale!r}))") == shown


@pytest.mark.parametrize(
    ("locale", "value", "shown"),
    [
        ("en", 268_400_000_000, "268,400,000,000"),
        ("zh-CN", 268_400_000_000, "2684[亿]0000[万]0000"),
        ("zh-CN", 20_005, "2[万]0005"),
        ("zh-CN", 9_999, "9999"),
        ("zh-CN", 0, "0"),
    ],
)
def test_the_hero_is_grouped_as_its_language_groups(page: Page, locale: str, value: int, shown: str) -> None:
    parts = page(f"new numbers.Numbers({locale!r}).heroParts(given[0])", value)
    assert "".join(f"[{text}]" if is_unit else text for text, is_unit in parts) == shown


PREVIOUS = {"name": "last year", "total_minor": 1_000_00}


@pytest.mark.parametrize(
    ("pace", "is_ended", "told"),
    [
        ({"growth_ratio": 0.2567, "passed_ms": None}, False, "+25.6 % against last year at this time"),
        ({"growth_ratio": -0.01, "passed_ms": None}, False, "−1.0 % against last year at this time"),
        (
            {"growth_ratio": 0.2567, "passed_ms": DAY.end_ms},
            True,
            "+25.6 % against last year · passed all of it at 24:00:00",
        ),
        ({"growth_ratio": None, "passed_ms": DAY.start_ms}, False, "passed all of last year at 00:00:00"),
        ({"growth_ratio": None, "passed_ms": None}, False, "33.0 % of all of last year"),
        (None, False, "33.0 % of all of last year"),
    ],
)
def test_a_day_is_told_beside_the_last_edition(page: Page, pace: object, *, is_ended: bool, told: str) -> None:
    festival = {**END, "timezone": DAY.timezone, "previous": PREVIOUS}
    shown = {"screen": {"main": "gross"}, "pace": pace, "home": {"gross": 330_00}}
    expression = "compared.versus(given[0], given[1], given[2], words.WORDS.en, new numbers.Numbers('en'))"
    assert page(expression, shown, festival, is_ended) == told


def test_only_rows_that_were_seen_move_to_their_new_places(page: Page, browser: Browser) -> None:
    browser.size(1920, 1080)  # has room for four rows of each dimension
    moving = page("""(() => {
        const place = document.getElementById('ranks');
        const shown = new ranks.Ranks(place);
        const show = (names) => {
            const rows = [...names].map((name) => ({ key: name, text: name, value: "1", share: 1 }));
            shown.show([{ key: "letters", title: "Letters", rows }], false);
        };
        show("abcdef");
        show("fabcde");
        const panel = place.lastElementChild;
        const found = panel.getAnimations({ subtree: true }).filter((one) => !(one instanceof CSSTransition));
        const names = found.map((one) => one.effect.target.firstChild.textContent).sort().join("");
        panel.remove();
        return names;
    })()""")
    assert moving == "abc", "d has gone out of sight, e was never in it, and f has come from nowhere"


@pytest.mark.parametrize(
    ("left_ms", "english", "chinese"),
    [
        (1, "00:00:01", "00:00:01"),
        (3_723_000, "01:02:03", "01:02:03"),
        (86_400_000, "1 day 00:00:00", "1天 00:00:00"),
        (3 * 86_400_000 - 1, "3 days 00:00:00", "3天 00:00:00"),
    ],
)
def test_a_countdown_reaches_zero_with_the_start_and_not_before(
    page: Page, left_ms: int, english: str, chinese: str
) -> None:
    assert page("new numbers.Numbers('en').duration(given[0])", left_ms) == english
    assert page("new numbers.Numbers('zh-CN').duration(given[0])", left_ms) == chinese


@pytest.mark.parametrize("top", [1, 7, 11.5, 4_200, 153_000, 268_400_000_000])
def test_axes_have_round_values_up_to_the_top_and_just_beyond(page: Page, top: float) -> None:
    even = page("charts.evenTicks(given[0])", top)
    root = page("charts.rootTicks(given[0])", top)
    for ticks in (even, root):
        assert ticks[0] == 0
        assert ticks == sorted(set(ticks))
        assert top <= ticks[-1] < 2.01 * top
        assert 3 <= len(ticks) <= 8
        assert all(float(f"{tick:.2g}") == pytest.approx(tick) for tick in ticks), "two digits say it"
    assert page("[charts.evenTicks(0), charts.rootTicks(0)]") == [[0], [0]]


def test_every_word_is_there_in_both_languages(page: Page) -> None:
    keys = "Object.entries(words.WORDS[given[0]]).flatMap(([key, word]) => "
    keys += "typeof word === 'object' ? Object.keys(word).map((inner) => `${key}.${inner}`) : [key])"
    free = ("names.", "festivals.", "previous.")  # what stays as it is has no entry
    english, chinese = ({key for key in page(keys, name) if not key.startswith(free)} for name in ("en", "zh"))
    assert english == chinese
