"""Festival files: what is read, and what is refused all at once."""

from __future__ import annotations

import datetime as dt
from decimal import Decimal
from typing import TYPE_CHECKING

import pytest

from streams.domain.festivals import FestivalFileError, parse_festival
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


def test_everything_else_is_read_into_minor_units() -> None:
    text = LEAST + (
        'milestones = ["2", "1.5"]\npoints_per_tree = 17\nfacts = ["payments", "orders"]\n'
        '[previous]\nname = "before"\ntotal = "9.99"\ncurve = [[60, "5"], [0, "0"]]\n'
        '[plausible]\naverage_order_value = ["1", "2"]\ngrowth = ["-0.5", "1"]\n'
    )
    festival = parse_festival(text, "f.toml")
    assert festival.milestones_minor == (150, 200)
    assert festival.points_per_tree == 17
    assert festival.facts == ("orders", "payments")
    assert festival.previous is not None
    assert festival.previous.curve == ((0, 0), (60, 500))
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
        (LEAST.replace("00:00:00", "00:00:00Z"), "local date-time"),
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
    ],
)
def test_a_file_that_cannot_be_used_is_refused_with_what_is_wrong(text: str, problem: str) -> None:
    with pytest.raises(FestivalFileError, match=r"f\.toml: ") as refused:
        parse_festival(text, "f.toml")
    assert problem in str(refused.value)


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
