"""Conversion of totals: decimal arithmetic, one rounding, major unit to major unit."""

from __future__ import annotations

from decimal import Decimal

import pytest

from streams.domain.currencies import EXPONENTS, convert, to_minor


def test_a_currency_without_a_minor_unit_is_none_of_ours() -> None:
    assert EXPONENTS["CNY"] == 2
    assert EXPONENTS["JPY"] == 0
    assert EXPONENTS["BHD"] == 3
    assert not {"XXX", "XAU", "XTS"} & set(EXPONENTS)


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


def test_an_amount_finer_than_the_minor_unit_is_refused() -> None:
    assert to_minor(Decimal("1.50"), "CNY") == 150
    with pytest.raises(ValueError, match="finer"):
        to_minor(Decimal("1.5"), "JPY")
