"""Festival files: what is read, and what is refused all at once."""

from __future__ import annotations

import datetime as dt
from decimal import Decimal
from typing import TYPE_CHECKING

import pytest

from streams.domain.festivals import FestivalFileError, Rate, parse_festival
from streams.errors import UsageError
from streams.festivals import load_festivals
from tests.unit.domain.samples import START_MS

if TYPE_CHECKING:
    from pathlib import Path

LEAST = 'id = "f"\nstarts = 2019-11-11T00:00:00\ntimezone = "Asia/Shanghai"\n'


def test_the_built_in_festival_of_2019_is_the_24_hours_of_shanghai() -> None:
    festival = load_festivals()["singles-day-2019"]
    assert (festival.start_ms, festival.end_ms) == (START_MS, START_MS + 24 * 3_600_000)
    assert festival.home_currency == "CNY"
    assert festival.previous is not None
    assert festival.previous.total_minor == 21_350_000_000_000
    assert festival.milestones_minor[0] == 10**12


def test_what_is_not_said_has_a_default() -> None:
    festival = parse_festival(LEAST, "f.toml")
    assert (festival.name, festival.home_currency) == ("f", "CNY")
    assert festival.facts == ("orders", "payments", "parcels", "recycling")
    assert festival.end_ms - festival.start_ms == 24 * 3_600_000
    assert festival.previous is None
    assert festival.points_per_tree is None


def test_a_day_with_a_clock_change_still_lasts_its_hours() -> None:
    text = 'id = "f"\nstarts = "2014-11-02T00:00:00"\ntimezone = "America/New_York"\nhours = 24\n'
    festival = parse_festival(text, "f.toml")
    assert festival.start_ms == 1_414_900_800_000
    assert festival.end_ms - festival.start_ms == 24 * 3_600_000


@pytest.mark.parametrize(
    "rates",
    [
        (
            '[[rates]]\ncurrency = "USD"\ndate = 2019-11-10\nrate = "6.9"\n'
            '[[rates]]\ncurrency = "USD"\ndate = "2019-11-12"\nrate = "7.1"\n'
        ),
        '[rates.USD]\n2019-11-10 = "6.9"\n2019-11-12 = "7.1"\n',
        '[rates]\nUSD = [{date = 2019-11-10, rate = "6.9"}, {date = 2019-11-12, rate = "7.1"}]\n',
    ],
)
def test_the_rate_is_the_latest_one_not_after_the_start(rates: str) -> None:
    festival = parse_festival(LEAST + rates, "f.toml")
    assert festival.rate_of("USD") == Decimal("6.9")
    assert festival.rate_of("CNY") == 1
    assert festival.rate_of("EUR") is None
    assert festival.rates[0].date == dt.date(2019, 11, 10)


def test_what_is_displayed_has_a_rate_with_its_date() -> None:
    rates = '[rates.USD]\n2019-11-10 = "6.90"\n2019-11-12 = "7.1"\n[rates.EUR]\n2019-11-11 = "7.7404"\n'
    festival = parse_festival(LEAST + 'display = ["EUR", "USD"]\n' + rates, "f.toml")
    assert festival.display == ("EUR", "USD")
    assert festival.dated_rate_of("USD") == Rate("USD", dt.date(2019, 11, 10), Decimal("6.90"))
    assert festival.dated_rate_of("CNY") == Rate("CNY", dt.date(2019, 11, 11), Decimal(1))
    assert festival.dated_rate_of("GBP") is None


def test_everything_else_is_read_into_minor_units() -> None:
    text = LEAST + (
        'milestones = ["2", "1.5"]\npoints_per_tree = 17\nfacts = ["payments", "orders"]\n'
        '[previous]\nname = "before"\ntotal = "9.99"\nbefore = "7.5"\ncurve = [[60, "5"], [0, "0"]]\n'
        '[plausible]\naverage_order_value = ["1", "2"]\ngrowth = ["-0.5", "1"]\n'
    )
    festival = parse_festival(text, "f.toml")
    assert festival.milestones_minor == (150, 200)
    assert festival.points_per_tree == 17
    assert festival.facts == ("orders", "payments")
    assert festival.previous is not None
    assert festival.previous.curve == ((0, 0), (60, 500))
    assert festival.previous.before_minor == 750
    assert festival.plausible.average_order_value_minor == (100, 200)
    assert festival.plausible.growth_ratio == (Decimal("-0.5"), Decimal(1))


@pytest.mark.parametrize(
    ("text", "problem"),
    [
        ("id = ", "not TOML"),
        ('id = "f"\n', "`starts` is missing"),
        (LEAST.replace('"f"', '"__f"'), "does not begin with"),
        (LEAST.replace('"f"', "7"), "expected a text"),
        (LEAST.replace("Asia/Shanghai", "Asia/Nowhere"), "no IANA time zone"),
        (LEAST.replace("Asia/Shanghai", "../etc"), "no IANA time zone"),
        (
            LEAST.replace("00:00:00", "00:00:00Z"),
            "has not the offset of Asia/Shanghai: write 2019-11-11T08:00:00+08:00",
        ),
        (LEAST.replace("2019-11-11", "1970-12-31"), "a year from 1971 to 9998, found 1970"),
        (LEAST.replace("2019-11-11", "9999-01-01"), "a year from 1971 to 9998, found 9999"),
        (LEAST.replace("2019-11-11T00:00:00", "2019-11-11T00:00:00.5"), "in whole seconds"),
        (LEAST.replace("2019-11-11T00:00:00", '"noon"'), "`starts`: "),
        (LEAST.replace("Asia/Shanghai", "Europe"), "no IANA time zone"),
        (LEAST + "x = " + "[" * 5_000, "not TOML"),
        (LEAST + "hours = " + "9" * 5_000 + "\n", "not TOML"),
        (LEAST + 'milestones = ["0"]\n', "above 0"),
        (LEAST + 'milestones = ["-5"]\n', "above 0"),
        (LEAST + 'milestones = ["1e25"]\n', "at most 24 digits"),
        (LEAST + 'milestones = ["1e-25"]\n', "at most 24 digits"),
        (LEAST + '[previous]\nname = "x"\n', "`previous`: 'total' is missing"),
        (LEAST + '[previous]\ntotal = "1"\ntolat = "1"\n', "unknown fields tolat; known are before, curve, name"),
        (LEAST + '[previous]\ntotal = "1"\nbefore = "0"\n', "`before` is the total of the edition before the last one"),
        (LEAST + '[previous]\ntotal = "1"\ncurve = [[1.5, "1"]]\n', "a second of a curve is an integer"),
        (
            LEAST + '[plausible]\naverage = ["1", "2"]\n',
            "unknown fields average; known are average_order_value, growth",
        ),
        (LEAST + '[plausible]\naverage_order_value = ["1"]\n', "the least and the most"),
        (LEAST + '[plausible]\ngrowth = ["1", "-1"]\n', "the least and the most"),
        (LEAST + '[[rates]]\ncurrency = "USD"\nrate = "1"\n', "`rates`: 'date' is missing"),
        (LEAST.replace("2019-11-11T00:00:00", "7"), "local date-time"),
        (LEAST + "hours = 0\n", "whole hours"),
        (LEAST + "hours = true\n", "whole hours"),
        (LEAST + 'home_currency = "XAU"\n', "no ISO 4217 currency"),
        (LEAST + 'facts = ["refunds"]\n', "expected a list out of"),
        (LEAST + "facts = []\n", "expected a list out of"),
        (LEAST + "milestones = [1.5]\n", "decimal in quotes"),
        (LEAST + 'milestones = ["0.001"]\n', "finer than the minor unit"),
        (LEAST + 'milestones = ["NaN"]\n', "finite"),
        (LEAST + "previous = 7\n", "expected a table"),
        (LEAST + "points_per_tree = 0\n", "positive integer"),
        (LEAST + '[rates.USD]\n2019-11-10 = "0"\n', "above 0"),
        (LEAST + '[rates.USD]\n2019-11-10 = "x"\n', "`rates`"),
        (LEAST + '[[rates]]\ncurrency = "USD"\ndate = 7\nrate = "1"\n', "expected a date"),
        (LEAST + "rates = 7\n", "expected rows or tables"),
        (LEAST + "colour = 7\n", "unknown fields colour"),
        (LEAST + 'retired = "yes"\n', "`retired`: expected true or false, found 'yes'"),
        (LEAST + 'display = "USD"\n', "expected a list such as"),
        (LEAST + 'display = ["CNY"]\n', "not CNY, the home currency"),
        (LEAST + 'display = ["USD", "USD"]\n', "each currency once"),
        (LEAST + 'display = ["XAU"]\n', "no ISO 4217 currency"),
        (
            LEAST + 'display = ["USD", "EUR"]\n[rates.EUR]\n2019-11-12 = "7.7"\n',
            "no rate of USD, EUR on the start date",
        ),
    ],
)
def test_a_file_that_cannot_be_used_is_refused_with_what_is_wrong(text: str, problem: str) -> None:
    with pytest.raises(FestivalFileError, match=r"f\.toml: ") as refused:
        parse_festival(text, "f.toml")
    assert problem in str(refused.value)


@pytest.mark.parametrize(
    "text",
    [
        LEAST.replace('"f"', f'"{"f" * 64}"'),
        LEAST.replace('"f"', '"_f__"'),
        LEAST.replace("2019-11-11", "1971-01-01"),
        LEAST.replace("2019-11-11", "9998-12-31"),
        LEAST + f'milestones = ["{"9" * 24}", "1"]\n',
        LEAST + "points_per_tree = 1\n",
        LEAST + '[previous]\ntotal = "1"\nbefore = "0.01"\ncurve = [[0, "0"], [1, "1"]]\n',
        LEAST + '[plausible]\ngrowth = ["1", "1"]\n',
        LEAST + f'[rates]\nUSD = [{{date = 2019-11-11, rate = "0.{"0" * 23}1"}}]\n',
    ],
)
def test_what_lies_just_within_the_limits_is_read(text: str) -> None:
    assert parse_festival(text, "f.toml").end_ms > 0


@pytest.mark.parametrize(
    ("text", "problem"),
    [
        (LEAST.replace('"f"', f'"{"f" * 65}"'), "1 to 64 characters"),
        (LEAST.replace('"f"', '""'), "1 to 64 characters"),
        (LEAST + f'milestones = ["1{"0" * 24}"]\n', "at most 24 digits"),
        (LEAST + f'[rates]\nUSD = [{{date = 2019-11-11, rate = "0.{"0" * 24}1"}}]\n', "at most 24 digits"),
        (LEAST + 'points_per_tree = "5"\n', "positive integer"),
        (LEAST + "points_per_tree = true\n", "positive integer"),
        (LEAST + "hours = 745\n", "whole hours"),
        (LEAST + "hours = 1.5\n", "whole hours"),
        (LEAST + 'facts = "orders"\n', "expected a list out of"),
        (LEAST + "facts = 7\n", "expected a list out of"),
        (LEAST + "milestones = [true]\n", "decimal in quotes"),
        (LEAST + '[previous]\ntotal = "1"\ncurve = [[true, "0"]]\n', "a second of a curve is an integer"),
        (LEAST + '[plausible]\ngrowth = ["1", "2", "3"]\n', "the least and the most"),
        (LEAST + '[rates]\nUSD = [{date = 2019-11-11T00:00:00, rate = "1"}]\n', "expected a date"),
        (LEAST + 'rates = "USD"\n', "`rates`"),
    ],
)
def test_what_lies_just_beyond_the_limits_is_refused(text: str, problem: str) -> None:
    with pytest.raises(FestivalFileError, match=r"f\.toml: ") as refused:
        parse_festival(text, "f.toml")
    assert problem in str(refused.value)


def test_a_rate_of_the_very_day_is_the_one_that_holds_whatever_the_order_of_the_rows() -> None:
    rates = '[rates.USD]\n2019-11-11 = "7.0"\n2019-11-09 = "6.9"\n2019-11-12 = "7.1"\n'
    assert parse_festival(LEAST + rates, "f.toml").rate_of("USD") == Decimal("7.0")


def test_the_day_of_a_rate_is_the_one_that_the_festivals_clock_shows() -> None:
    """At its start it is still the day before in Greenwich."""
    text = LEAST.replace("00:00:00", "07:59:59") + '[rates.USD]\n2019-11-11 = "7.0"\n'
    assert parse_festival(text, "f.toml").rate_of("USD") == Decimal("7.0")


def test_a_missing_field_and_a_wrong_one_are_both_told_and_so_is_the_file() -> None:
    with pytest.raises(FestivalFileError) as refused:
        parse_festival('id = "f"\nhours = 0\n', "f.toml")
    problems = str(refused.value).removeprefix("f.toml: ").split("; ")
    assert [problem.partition("` is")[0].partition("`:")[0] for problem in problems] == [
        "`timezone",
        "`starts",
        "`hours",
    ]


def test_a_festival_without_a_name_is_called_by_its_id_and_one_with_a_name_by_that() -> None:
    assert parse_festival(LEAST + 'name = ""\n', "f.toml").name == "f"
    assert parse_festival(LEAST + 'name = "The Day"\n', "f.toml").name == "The Day"


def test_the_last_edition_without_a_name_is_called_previous() -> None:
    previous = parse_festival(LEAST + '[previous]\ntotal = "1"\n', "f.toml").previous
    assert previous is not None
    assert (previous.name, previous.total_minor, previous.curve, previous.before_minor) == ("previous", 100, (), None)


BERLIN = 'id = "f"\nstarts = {}\ntimezone = "Europe/Berlin"\nhours = 48\n'


@pytest.mark.parametrize(
    ("starts", "start_ms"),
    [
        ("2026-10-25T02:30:00+02:00", 1_792_888_200_000),
        ("2026-10-25T02:30:00+01:00", 1_792_891_800_000),
        ('"2026-10-25T02:30:00+01:00"', 1_792_891_800_000),
        ("2026-10-25T03:00:00", 1_792_893_600_000),
        ("2026-10-25T01:59:59", 1_792_886_399_000),
        ("2026-03-29T01:59:59", 1_774_745_999_000),
        ("2026-03-29T03:00:00", 1_774_746_000_000),
        ("2026-03-29T03:00:00+02:00", 1_774_746_000_000),
    ],
)
def test_a_start_near_a_change_of_the_clock_is_one_instant(starts: str, start_ms: int) -> None:
    festival = parse_festival(BERLIN.format(starts), "f.toml")
    assert (festival.start_ms, festival.end_ms) == (start_ms, start_ms + 48 * 3_600_000)


@pytest.mark.parametrize(
    ("starts", "problem"),
    [
        ("2026-03-29T02:30:00", "skips 2026-03-29T02:30:00: write 2026-03-29T01:30:00+01:00 or 2026-03-29T03:30:00+02"),
        ("2026-03-29T02:00:00", "the clock of Europe/Berlin skips 2026-03-29T02:00:00: write"),
        ("2026-03-29T02:30:00+01:00", "has not the offset of Europe/Berlin: write 2026-03-29T03:30:00+02:00"),
        ("2026-10-25T02:30:00", "twice: write 2026-10-25T02:30:00+02:00 for the first time, 2026-10-25T02:30:00+01:00"),
        ("2026-10-25T02:00:00", "the clock of Europe/Berlin shows 2026-10-25T02:00:00 twice"),
        ("2026-10-25T02:30:00+03:00", "has not the offset of Europe/Berlin: write 2026-10-25T01:30:00+02:00"),
    ],
)
def test_a_start_that_the_clock_skips_or_shows_twice_is_refused(starts: str, problem: str) -> None:
    with pytest.raises(FestivalFileError) as refused:
        parse_festival(BERLIN.format(starts), "f.toml")
    assert str(refused.value).startswith("f.toml: `starts`: ")
    assert problem in str(refused.value)


@pytest.mark.parametrize("hours", [1, 24, 48, 744])
def test_a_festival_lasts_from_1_to_744_hours(hours: int) -> None:
    festival = parse_festival(LEAST + f"hours = {hours}\n", "f.toml")
    assert festival.end_ms - festival.start_ms == hours * 3_600_000


def test_a_currency_that_was_withdrawn_can_be_the_one_of_an_old_festival() -> None:
    assert parse_festival(LEAST + 'home_currency = "LTL"\nmilestones = ["1.5"]\n', "f.toml").milestones_minor == (150,)


def test_a_file_that_cannot_be_read_is_told_beside_the_others(tmp_path: Path) -> None:
    (tmp_path / "a.toml").write_bytes('name = "caf\u00e9"\n'.encode("latin-1"))
    (tmp_path / "b.toml").mkdir()
    (tmp_path / "c.toml").write_text("hours = 1\n")
    with pytest.raises(UsageError) as refused:
        load_festivals(tmp_path)
    lines = str(refused.value).splitlines()
    assert [line.split(": ", 1)[0].rpartition("/")[2] for line in lines] == ["a.toml", "b.toml", "c.toml"]
    assert "byte 11 is not UTF-8" in lines[0]
    assert "cannot be read" in lines[1]


def test_all_problems_of_all_files_are_told_at_once(tmp_path: Path) -> None:
    (tmp_path / "a.toml").write_text('id = "a"\n')
    (tmp_path / "b.toml").write_text(LEAST + "hours = 0\ncolour = 1\n")
    with pytest.raises(UsageError) as refused:
        load_festivals(tmp_path)
    for problem in ("a.toml", "`starts`", "`timezone`", "b.toml", "`hours`", "colour"):
        assert problem in str(refused.value)


def test_an_operators_file_is_added_or_replaces_a_built_in_one(tmp_path: Path) -> None:
    (tmp_path / "own.toml").write_text(LEAST)
    (tmp_path / "other.toml").write_text(LEAST.replace('"f"', '"singles-day-2019"') + "hours = 25\n")
    festivals = load_festivals(tmp_path)
    assert {"f", "singles-day-2019"} <= set(festivals)
    assert festivals["singles-day-2019"].end_ms - festivals["singles-day-2019"].start_ms == 25 * 3_600_000


def test_two_files_of_one_id_and_a_missing_directory_are_refused(tmp_path: Path) -> None:
    (tmp_path / "a.toml").write_text(LEAST)
    (tmp_path / "b.toml").write_text(LEAST)
    with pytest.raises(UsageError, match="is taken by"):
        load_festivals(tmp_path)
    with pytest.raises(UsageError, match="no such directory"):
        load_festivals(tmp_path / "missing")


@pytest.mark.parametrize("bounds", ['average_order_value = ["1", "2"]\n', 'growth = ["0", "1"]\n'])
def test_one_plausible_bound_does_not_need_the_other(bounds: str) -> None:
    plausible = parse_festival(LEAST + "[plausible]\n" + bounds, "f.toml").plausible
    assert (plausible.average_order_value_minor is None) is (plausible.growth_ratio is not None)


@pytest.mark.parametrize(
    ("curve", "sentence"),
    [
        ('[[60, "5"], [60, "6"]]', "one amount per second"),
        ('[[-1, "5"]]', "one amount per second"),
        ('[[60, "5"], [120, "4"]]', "never falls"),
        ('[[60, "-5"]]', "never falls"),
        ('[[60, "10"]]', "does not exceed the total"),
    ],
)
def test_a_curve_that_no_amount_can_have_taken_is_refused(curve: str, sentence: str) -> None:
    with pytest.raises(FestivalFileError, match=sentence):
        parse_festival(f'{LEAST}[previous]\ntotal = "9.99"\ncurve = {curve}\n', "f.toml")


def test_a_festival_is_retired_where_its_file_says_so() -> None:
    for text, is_retired in (("", False), ("retired = false\n", False), ("retired = true\n", True)):
        assert parse_festival(LEAST + text, "f.toml").retired is is_retired
