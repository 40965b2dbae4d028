"""The audit's own reading of festival files and its own arithmetic with rates."""

from __future__ import annotations

import datetime as dt
from decimal import Decimal
from typing import TYPE_CHECKING

import pytest
from hypothesis import given
from hypothesis import strategies as st

from streams.audit.calendar import Edition, read_calendar
from streams.audit.currencies import CURRENCIES
from streams.domain.currencies import convert
from streams.errors import UsageError
from streams.festivals import load_festivals

if TYPE_CHECKING:
    from pathlib import Path

FESTIVAL = """
id = "leap"
name = "A day with 23 hours of its own"
starts = 2024-03-31T00:00:00
timezone = "Europe/Berlin"
hours = 24
home_currency = "EUR"
facts = ["orders"]
[rates.USD]
2024-03-01 = "0.90"
2024-03-31 = "0.92"
2024-04-01 = "0.95"
[[rates.JPY]]
date = 2024-03-30
rate = "0.0061"
"""


def test_the_built_in_festivals_are_read_as_the_counter_reads_them() -> None:
    """Two readers, one set of files."""
    theirs = load_festivals()
    ours = read_calendar(None)
    assert ours.keys() == theirs.keys()
    for name, edition in ours.items():
        other = theirs[name]
        assert (edition.start_ms, edition.end_ms) == (other.start_ms, other.end_ms)
        assert (edition.facts, edition.home_currency) == (frozenset(other.facts), other.home_currency)
        for currency in CURRENCIES:
            assert edition.rates.get(currency) == other.rate_of(currency), (name, currency)


def test_a_start_near_a_change_of_the_clock_is_one_instant_for_both(tmp_path: Path) -> None:
    """Each reads the same instant, or refuses."""
    text = FESTIVAL.replace("2024-03-31T00:00:00", "{}")
    for starts, utc in {
        "2026-10-25T02:30:00+02:00": "2026-10-25T00:30:00",
        "2026-10-25T02:30:00+01:00": "2026-10-25T01:30:00",
        "2026-10-25T03:00:00": "2026-10-25T02:00:00",
        "2026-03-29T03:00:00": "2026-03-29T01:00:00",
        "2026-03-29T02:30:00": None,
        "2026-10-25T02:30:00": None,
        "2026-10-25T02:30:00+03:00": None,
        "2026-03-29T02:30:00+01:00": None,
    }.items():
        (tmp_path / "leap.toml").write_text(text.format(starts), encoding="utf-8")
        if utc is None:
            with pytest.raises(UsageError, match="the clock of Europe/Berlin shows"):
                read_calendar(tmp_path)
            with pytest.raises(UsageError, match="`starts`"):
                load_festivals(tmp_path)
        else:
            start_ms = dt.datetime.fromisoformat(f"{utc}+00:00").timestamp() * 1000
            assert read_calendar(tmp_path)["leap"].start_ms == load_festivals(tmp_path)["leap"].start_ms == start_ms


def test_hours_are_hours_that_pass_and_rates_are_the_latest_before_the_start(tmp_path: Path) -> None:
    """Clocks in Berlin go forward on that day: 24 hours end at 01:00 of the next."""
    (tmp_path / "leap.toml").write_text(FESTIVAL, encoding="utf-8")
    edition = read_calendar(tmp_path)["leap"]
    assert edition.start_ms == dt.datetime(2024, 3, 30, 23, tzinfo=dt.UTC).timestamp() * 1000
    assert edition.end_ms - edition.start_ms == 24 * 3_600_000
    assert edition.rates == {"EUR": 1, "USD": Decimal("0.92"), "JPY": Decimal("0.0061")}
    assert edition == read_calendar(tmp_path)["leap"]
    theirs = load_festivals(tmp_path)["leap"]
    assert (theirs.start_ms, theirs.end_ms) == (edition.start_ms, edition.end_ms)
    assert all(theirs.rate_of(currency) == edition.rates.get(currency) for currency in CURRENCIES)


@pytest.mark.parametrize("text", ["id =", 'id = "x"', FESTIVAL.replace("Berlin", "Atlantis")])
def test_a_file_that_cannot_be_read_is_named(tmp_path: Path, text: str) -> None:
    """Not TOML, fields missing, no such zone."""
    (tmp_path / "bad.toml").write_text(text, encoding="utf-8")
    with pytest.raises(UsageError, match=r"bad\.toml"):
        read_calendar(tmp_path)


@given(
    st.integers(0, 10**25),
    st.sampled_from(["JPY", "USD", "KWD", "CLF"]),
    st.sampled_from(["CNY", "JPY", "TND"]),
    st.decimals("0.0001", "10000", places=6),
)
def test_conversion_rounds_as_the_board_does(minor: int, currency: str, home: str, rate: Decimal) -> None:
    """Half-even, once per currency, with any exponents."""
    rate = Decimal(1) if currency == home else rate
    edition = Edition("x", 0, 1, frozenset(), home, {home: Decimal(1), currency: rate})
    assert edition.home_minor({currency: minor}) == (convert(minor, currency, home, rate), [])


def test_a_currency_without_a_rate_is_named_and_left_out() -> None:
    """A lower bound is shown as one."""
    edition = Edition("x", 0, 1, frozenset(), "CNY", {"CNY": Decimal(1)})
    assert edition.home_minor({"CNY": 7, "USD": 1, "EUR": 2}) == (7, ["EUR", "USD"])
