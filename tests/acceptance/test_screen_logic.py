"""The screen's own rules, module by module, run where they run: in a browser.

What is believed and what not, that no total goes back, that nothing shown exceeds what was committed.
"""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

import pytest

from tests.acceptance.hall import FESTIVALS

if TYPE_CHECKING:
    from tests.acceptance.browser import Browser, Page

DAY = FESTIVALS["singles-day-2019"]
NOW_MS = DAY.start_ms + 3_600_000
HEARD_AT = 50_000.0
"""By the page's own clock: when the server was heard last."""

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
    usual = {"totals": totals(), "alive": alive(), "heardAt": HEARD_AT, "lostAt": None, "refusal": None}
    usual |= {"isUnreadable": False, "isCatchingUp": False}
    return {**usual, "now": HEARD_AT + 600, **changed}


VERDICTS = {
    "fresh and complete": (known(), "live", "Live: committed and complete"),
    "sealed long ago": (
        known(totals=totals(sealed="0123456789abcdef", committed_ms=1), alive=alive(fresh_ms=1, contacted_ms=None)),
        "live",
        "Sealed: complete and exact, as 0123456789ab…",
    ),
    "sealed, and not exact": (
        known(totals=totals(sealed="0123456789abcdef", exact=False)),
        "doubtful",
        "Sealed, but not exact: its audit found differences, or was not made",
    ),
    "nothing heard yet": (known(totals=None, alive=None), "waiting", "Connecting …"),
    "counted from later on, by an operator's leave": (
        known(totals=totals(counted_from={"orders": {"0": 1200, "1": 7}})),
        "doubtful",
        "Counted from offset 1200 of orders[0] on: what lay before is lost, and 1 more",
    ),
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
    "a server that has read nothing": (
        known(totals=None, alive=alive(loaded=False)),
        "waiting",
        "The server has read no committed total yet",
    ),
    "a server that has read less than is shown": (
        known(alive=alive(loaded=False)),
        "doubtful",
        "The server has read no committed total yet. These are the last totals known",
    ),
    "503 before anything was read": (
        known(totals=None, lostAt=HEARD_AT, refusal={"status": 503, "isReading": True, "isBusy": True}),
        "waiting",
        "The server has read no committed total yet",
    ),
    "503 of a server that was started again": (
        known(lostAt=HEARD_AT, refusal={"status": 503, "isReading": True, "isBusy": True}),
        "doubtful",
        "The server has read no committed total yet. These are the last totals known",
    ),
    "503 for too many visitors": (
        known(lostAt=HEARD_AT, refusal={"status": 503, "isReading": False, "isBusy": True}),
        "doubtful",
        "The server has too many visitors, trying again",
    ),
    "another refusal": (
        known(lostAt=HEARD_AT, refusal={"status": 400, "isReading": False, "isBusy": False}),
        "doubtful",
        "The server answers 400 in place of totals, trying again",
    ),
    "a message that cannot be read": (
        known(isUnreadable=True),
        "doubtful",
        "A message of the server cannot be read. These are the last totals known",
    ),
    "a festival that is not counted": (
        known(totals=totals(counted=False, complete=False)),
        "doubtful",
        "This festival is not counted by this ledger",
    ),
    "a partition that is held, by name": (
        known(totals=totals(complete=False, held=[{"partition": 3, "topic": "orders", "reason": "log_deleted"}])),
        "doubtful",
        "Incomplete: partition 3 of orders is held: log_deleted",
    ),
    "held partitions, and no ledger": (
        known(
            totals=totals(
                complete=False,
                held=[{"partition": p, "topic": "orders", "reason": "ledger_missing"} for p in range(4)],
                screen={"partitions": {"committed": 0, "all": 0}},
            )
        ),
        "doubtful",
        "Incomplete: partition 0 of orders is held: ledger_missing, and 3 more",
    ),
    "an open transaction": (
        known(totals=totals(lag_records=500, open_transactions=[{"topic": "orders", "partition": 0, "offset": 512}])),
        "doubtful",
        "An open transaction of a producer hides records of orders[0]",
    ),
    "before the first event": (known(totals=totals(committed_ms=None)), "waiting", "Ready: no event has come yet"),
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
    for language in ("de", "zh"):
        translated = page(f"belief.verdict(given[0], words.WORDS.{language}, {whole})", given)
        assert translated["state"] == state
        assert translated["text"] != text


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
        painted.push(Number(value));
        if (value === BigInt(given[1])) setTimeout(() => done(painted), 50);
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
        const shown = new hero.Hero((value) => painted.push(Number(value)));
        shown.calm = { matches: false };
        shown.set(0);
        shown.rise(100);
        setTimeout(() => shown.rise(300), 60);
        setTimeout(() => done(painted), 1500);
    })""")
    assert painted == sorted(painted)
    assert painted[-1] == 300


READ_AS = "n.readAs({ home: { currency: 'CNY' }, exponents: { CNY: 2, JPY: 0 } });"


@pytest.mark.parametrize(
    ("locale", "expression", "shown"),
    [
        ("en", "n.shortMoney(26839999999999, 'CNY')", "¥268.3B"),
        ("zh-CN", "n.shortMoney(26839999999999, 'CNY')", "¥2683亿"),
        ("en", "n.short(9999.9)", "9,999"),
        ("en", "n.wholeMoney(199, 'CNY')", "¥1"),
        ("en", "n.wholeMoney(199, 'JPY')", "JPY\u00a0199"),
        ("en", "n.shortMoney(null, 'CNY')", "–"),
        ("en", "n.shortMoney(-26839999999999, 'CNY')", "-¥268.4B"),
        ("en", "n.whole(n.major(900719925474099399n, 'CNY'))", "9,007,199,254,740,993"),
        ("de-DE", "n.shortMoney(26839999999999, 'CNY')", "268,3\u00a0Mrd.\u00a0¥"),
        ("de-DE", "n.shortMoney(-536812345, 'CNY')", "-5,369\u00a0Mio.\u00a0¥"),
        ("de-DE", "n.wholeMoney(123456, 'JPY')", "123.456\u00a0JPY"),
        ("de-DE", "n.fineMoney(123456, 'CNY')", "1.234,56\u00a0¥"),
        ("de-DE", "n.fineMoney(1234567, 'CNY')", "12.340\u00a0¥"),
        ("en", "n.fineMoney(5, 'CNY')", "¥0.05"),
        ("zh-CN", "n.fineMoney(5, 'JPY')", "JPY\u00a05"),
        ("en", "n.rate('6.9933')", "6.9933"),
        ("de-DE", "n.rate('0.06434783')", "0,06434783"),
        ("en", "n.rate('7')", "7"),
    ],
)
def test_whatever_is_rounded_is_rounded_down(page: Page, locale: str, expression: str, shown: str) -> None:
    assert page(f"((n) => {{ {READ_AS} return {expression}; }})(new numbers.Numbers({locale!r}))") == shown


@pytest.mark.parametrize(
    ("minor", "shown"),
    [(26_839_999_999_999, "¥268.4B"), (100, "¥1"), (101, "¥2"), (1_234_501, "¥12.35K"), (0, "¥0")],
)
def test_what_is_missing_is_rounded_up(page: Page, minor: int, shown: str) -> None:
    assert page(f"((n) => {{ {READ_AS} return n.shortMoneyUp({minor}, 'CNY'); }})(new numbers.Numbers('en'))") == shown


@pytest.mark.parametrize(
    ("locale", "value", "shown"),
    [
        ("de-DE", 268_400_000_000, "268.400.000.000"),
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
NOW, ALL = "against the last edition at this time", "of all of the last edition"


@pytest.mark.parametrize(
    ("pace", "is_ended", "told"),
    [
        ({"growth_ratio": 0.2567, "passed_ms": None}, False, ["+25.6\u00a0%", NOW, "", True]),
        ({"growth_ratio": -0.01, "passed_ms": None}, False, ["−1.0\u00a0%", NOW, "", False]),
        (
            {"growth_ratio": 0.2567, "passed_ms": DAY.end_ms},
            True,
            ["+25.6\u00a0%", "against the last edition", "passed all of it at 24:00:00", True],
        ),
        (
            {"growth_ratio": None, "passed_ms": DAY.start_ms},
            False,
            ["33.0\u00a0%", ALL, "passed all of it at 00:00:00", False],
        ),
        ({"growth_ratio": None, "passed_ms": None}, False, ["33.0\u00a0%", ALL, "", False]),
        (None, False, ["33.0\u00a0%", ALL, "", False]),
    ],
)
def test_a_day_is_told_beside_the_last_edition(page: Page, pace: object, *, is_ended: bool, told: list[object]) -> None:
    festival = {**END, "timezone": DAY.timezone, "previous": PREVIOUS}
    shown = {"screen": {"main": "gross"}, "pace": pace, "home": {"gross": 330_00}}
    expression = "compared.versus(given[0], given[1], given[2], words.WORDS.en, new numbers.Numbers('en'))"
    found = page(expression, shown, festival, is_ended)
    assert found["name"] == "last year"
    assert [found[key] for key in ("number", "against", "note", "isAhead")] == told


def test_only_rows_that_were_seen_move_to_their_new_places(page: Page, browser: Browser) -> None:
    browser.size(1920, 1080)  # has room for four rows of each dimension
    moving = page("""(() => {
        const place = document.getElementById('ranks');
        const shown = new ranks.Ranks(place);
        const show = (names) => {
            const rows = [...names].map((name) => ({ key: name, text: name, value: "1", share: 1 }));
            shown.show([{ key: "letters", title: "Letters", rows: () => rows }], "", false);
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
    even = page("chart.evenTicks(given[0])", top)
    root = page("chart.rootTicks(given[0])", top)
    for ticks in (even, root):
        assert ticks[0] == 0
        assert ticks == sorted(set(ticks))
        assert top <= ticks[-1] < 2.01 * top
        assert 3 <= len(ticks) <= 8
        assert all(float(f"{tick:.2g}") == pytest.approx(tick) for tick in ticks), "two digits say it"
    assert page("[chart.evenTicks(0), chart.rootTicks(0)]") == [[0], [0]]
