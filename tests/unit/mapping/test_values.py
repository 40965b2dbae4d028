"""Cells of files into texts and amounts: exact, or a bad row."""

from __future__ import annotations

import datetime as dt
from decimal import Decimal

import pytest
from hypothesis import given
from hypothesis import strategies as st

from streams.mapping.amounts import Amounts, as_number
from streams.mapping.problems import BadValueError
from streams.mapping.values import JsonExponent, JsonFraction, as_id, as_text

MAJOR = Amounts(is_major=True)
MINOR = Amounts(is_major=False)


@pytest.mark.parametrize(
    ("cell", "currency", "minor"),
    [
        ("12.34", "USD", 1234),
        ("12.3", "USD", 1230),
        (".5", "USD", 50),
        ("7.", "USD", 700),
        (" 100 ", "USD", 10_000),
        ("1234", "JPY", 1234),
        ("1.234", "KWD", 1234),
        ("99999999999.99", "CNY", 9_999_999_999_999),
        (12, "USD", 1200),
        (Decimal("0.10"), "USD", 10),
        (19.99, "USD", 1999),
        (0.1 + 0.2, "USD", 30),
        (0.0, "USD", 0),
        (99999999999.99, "USD", 9_999_999_999_999),
        (12.3400009, "USD", 1234),
        (JsonFraction("19.990000000000002"), "USD", 1999),
        ("", "USD", None),
        ("  ", "USD", None),
        (None, "USD", None),
        ("¥12.50", "CNY", 1250),
        ("￥ 12.50", "CNY", 1250),
        ("12.50 €", "EUR", 1250),
        ("-$5", "USD", -500),
        ("$-5", "USD", -500),
        ("-1.00", "USD", -100),  # the counter's own decoder says that it is out of range
    ],
)
def test_amounts_in_major_units_become_minor_ones(cell: object, currency: str, minor: int | None) -> None:
    assert MAJOR.read(cell, currency) == minor


@pytest.mark.parametrize(
    "cell",
    [
        "12.345",
        "12.3400001",
        Decimal("12.3400001"),
        "0.1000000000000000000000000000000000000000001",
        12.345,
        12.340002,
        JsonFraction("12.345"),
        float("nan"),
        float("inf"),
        1e300,
        "NaN",
        "1_000",
        "1,000.00",
        "USD 5",
        "$5$",
        "$",
        "$ $5",
        "1e2",
        "1.23457E+06",
        "1,23457E+06",
        "5.5e-17",
        JsonExponent("1.02e3"),
        "٣",
        "1" * 70,
        "1e999",
        True,
        [1],
        dt.datetime(2019, 11, 11, tzinfo=dt.UTC),
    ],
)
def test_what_is_no_amount_or_finer_than_the_minor_unit_is_refused(cell: object) -> None:
    with pytest.raises(BadValueError):
        MAJOR.read(cell, "USD")


@pytest.mark.parametrize(
    ("amounts", "text", "minor"),
    [
        (Amounts(is_major=True, thousands=","), "1,234,567.89", 123_456_789),
        (Amounts(is_major=True, decimal=",", thousands="."), "1.234,50", 123_450),
        (Amounts(is_major=True, decimal=",", thousands=" "), "-1 234,5", -123_450),
        (Amounts(is_major=True, decimal=","), "12,50", 1250),
        (Amounts(is_major=True, is_floating=True), "19.990000000000002", 1999),
        (Amounts(is_major=True, is_floating=True), "5.5e-17", 0),
        (Amounts(is_major=True, decimal=",", thousands="."), "1.234,50 €", 123_450),
        (MINOR, "1250", 1250),
        (MINOR, 1250.0, 1250),
        (MINOR, 1250.0000001, 1250),
    ],
)
def test_notations_of_amounts(amounts: Amounts, text: object, minor: int) -> None:
    assert amounts.read(text, "EUR") == minor


@pytest.mark.parametrize(
    ("amounts", "text"),
    [
        (Amounts(is_major=True, thousands=","), "12,34.00"),
        (Amounts(is_major=True, thousands=","), "1234,567"),
        (Amounts(is_major=True, decimal=","), "12.50"),
        (Amounts(is_major=True, is_floating=True), "19.995"),
        (MINOR, "12.5"),
        (MINOR, 12.5),
    ],
)
def test_a_notation_is_not_mistaken_for_another(amounts: Amounts, text: object) -> None:
    with pytest.raises(BadValueError):
        amounts.read(text, "EUR")


@given(st.integers(0, 10**13), st.sampled_from(["USD", "JPY", "KWD"]))
def test_every_amount_survives_as_a_decimal_text_and_as_a_float(minor: int, currency: str) -> None:
    digits = {"USD": 2, "JPY": 0, "KWD": 3}[currency]
    major = Decimal(minor).scaleb(-digits)
    assert MAJOR.read(str(major), currency) == minor
    # A float of 16 digits still tells the minor units of the largest amount admitted apart.
    assert MAJOR.read(float(str(major)), currency) == minor


@pytest.mark.parametrize(
    ("cell", "text"),
    [
        ("x", "x"),
        ("", None),
        (None, None),
        (31_198_570_044, "31198570044"),
        (330.0, "330"),
        (1.5, "1.5"),
        (float("nan"), None),
        (Decimal("1.50"), "1.50"),
        (True, "true"),
        (False, "false"),
    ],
)
def test_cells_as_texts(cell: object, text: str | None) -> None:
    assert as_text(cell) == text


def test_lists_and_objects_are_no_texts_and_no_numbers() -> None:
    for cell in ([1], {"a": 1}):
        with pytest.raises(BadValueError, match="neither"):
            as_text(cell)
        with pytest.raises(BadValueError, match="not a number"):
            as_number(cell)


@pytest.mark.parametrize(
    ("cell", "currency", "minor"),
    [
        ("50000", "UGX", 500),
        (50_000, "ISK", 500),
        ("500", "MGA", 50_000),
        ("1234", "EUR", 1234),
        (500.0, "MGA", 50_000),
    ],
)
def test_minor_units_of_a_provider_become_those_of_iso_4217(cell: object, currency: str, minor: int) -> None:
    stripe = Amounts(is_major=False, digits={"UGX": 2, "ISK": 2, "MGA": 0})
    assert stripe.read(cell, currency) == minor


def test_minor_units_of_a_provider_come_out_whole_or_the_row_is_bad() -> None:
    with pytest.raises(BadValueError, match="'50050' is finer than the minor unit of UGX"):
        Amounts(is_major=False, digits={"UGX": 2}).read("50050", "UGX")


@pytest.mark.parametrize(
    ("cell", "text"),
    [("7e10", "7e10"), ("2E17", "2E17"), ("", None), (10**17 + 1, "100000000000000001"), (Decimal(12), "12")],
)
def test_ids_are_what_the_shop_wrote(cell: object, text: str | None) -> None:
    assert as_id(cell) == text


@pytest.mark.parametrize("cell", ["2.01911E+17", "2,01911E+17", " 2E+17", 12.0, 2.01911e17, JsonFraction("12.0")])
def test_ids_that_may_have_been_rounded_are_refused(cell: object) -> None:
    with pytest.raises(BadValueError, match=r"as text"):
        as_id(cell)
