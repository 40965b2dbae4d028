"""Conversion of totals: decimal arithmetic, one rounding, major unit to major unit."""

from __future__ import annotations

import datetime as dt
from decimal import Decimal

import pytest
from iso4217 import Currency

from streams.domain.currencies import (
    EXPONENTS,
    WITHDRAWN_MONTHS,
    convert,
    convert_from_home,
    is_good,
    major_text,
    to_minor,
)


def test_a_currency_without_a_minor_unit_is_none_of_ours() -> None:
    assert EXPONENTS["CNY"] == 2
    assert EXPONENTS["JPY"] == 0
    assert EXPONENTS["BHD"] == 3
    assert not {"XXX", "XAU", "XTS"} & set(EXPONENTS)


def test_the_active_currencies_are_those_of_the_standard() -> None:
    """Where this fails the standard was amended: add what is new, move what was withdrawn with its month, recount."""
    active = {code: digits for code, digits in EXPONENTS.items() if code not in WITHDRAWN_MONTHS}
    assert active == {c.code: c.exponent for c in Currency if c.exponent is not None}


@pytest.mark.parametrize(
    ("currency", "last"),
    [
        ("LTL", "2015-12-31T23:59:59.999"),
        ("BYR", "2018-12-31T23:59:59.999"),
        ("HRK", "2024-12-31T23:59:59.999"),
        ("BGN", "2027-12-31T23:59:59.999"),
        ("ANG", "2026-12-31T23:59:59.999"),
        ("VEF", "2019-12-31T23:59:59.999"),
        ("DEM", "2003-12-31T23:59:59.999"),
    ],
)
def test_a_withdrawn_currency_is_good_to_the_end_of_the_year_after(currency: str, last: str) -> None:
    last_ms = int(dt.datetime.fromisoformat(last + "+00:00").timestamp() * 1000)
    assert is_good(currency, last_ms)
    assert is_good(currency, 0)
    assert not is_good(currency, last_ms + 1)


def test_an_active_currency_is_always_good_and_an_unknown_one_never() -> None:
    assert is_good("CNY", 253_402_300_799_999)
    assert is_good("EUR", 0), "withdrawn in one country only"
    assert not is_good("XAU", 0)
    assert not is_good("ALK", 0), "nobody published its minor unit"


def test_withdrawn_currencies_have_digits_too() -> None:
    assert (EXPONENTS["BYR"], EXPONENTS["HRK"], EXPONENTS["ITL"]) == (0, 2, 0)
    assert convert(34_500, "LTL", "EUR", Decimal("0.28962")) == 9_992


@pytest.mark.parametrize(
    ("amount_minor", "currency", "home", "rate", "expected"),
    [
        (100, "USD", "CNY", "6.9933", 699),
        (1, "JPY", "CNY", "0.065", 6),
        (1, "JPY", "CNY", "0.075", 8),
        (3, "JPY", "CNY", "0.065", 20),
        (10**30, "USD", "CNY", "6.9933", 6_993_300_000_000_000_000_000_000_000_000),
        (1000, "BHD", "JPY", "290.5", 290),
        (0, "USD", "CNY", "7", 0),
    ],
)
def test_conversion_rounds_half_to_even_once(
    amount_minor: int, currency: str, home: str, rate: str, expected: int
) -> None:
    assert convert(amount_minor, currency, home, Decimal(rate)) == expected


@pytest.mark.parametrize(
    ("home_minor", "home", "currency", "rate", "expected"),
    [
        (26_840_000_000_000, "CNY", "USD", "6.9933", 3_837_959_189_510),
        (26_840_000_000_000, "CNY", "EUR", "7.7404", 3_467_521_058_343),
        (10**30, "CNY", "USD", "3", 10**30 // 3),
        (1, "CNY", "USD", "2", 0),
        (3, "CNY", "USD", "2", 2),
        (-1, "CNY", "USD", "2", 0),
        (-3, "CNY", "USD", "2", -2),
        (6_500, "CNY", "JPY", "0.065", 1_000),
        (1_000, "JPY", "BHD", "290.5", 3_442),
        (0, "CNY", "USD", "7", 0),
    ],
)
def test_a_home_total_is_divided_by_the_rate_and_rounded_half_to_even_once(
    home_minor: int, home: str, currency: str, rate: str, expected: int
) -> None:
    assert convert_from_home(home_minor, home, currency, Decimal(rate)) == expected


def test_an_amount_finer_than_the_minor_unit_is_refused() -> None:
    assert to_minor(Decimal("1.50"), "CNY") == 150
    with pytest.raises(ValueError, match="finer"):
        to_minor(Decimal("1.5"), "JPY")


@pytest.mark.parametrize(
    ("minor", "currency", "text"),
    [(123_450, "CNY", "1234.50"), (5, "USD", "0.05"), (7, "JPY", "7"), (1, "BHD", "0.001")],
)
def test_a_festivals_file_has_amounts_in_major_units(minor: int, currency: str, text: str) -> None:
    assert major_text(minor, currency) == text
