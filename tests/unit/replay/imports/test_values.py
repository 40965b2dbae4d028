"""Cells of files into texts, instants and amounts: exact, or a bad row."""

from __future__ import annotations

import datetime as dt
from decimal import Decimal
from zoneinfo import ZoneInfo

import pytest
from hypothesis import given
from hypothesis import strategies as st

from streams.replay.imports.values import (
    Amounts,
    BadValueError,
    JsonFraction,
    Times,
    as_number,
    as_text,
    is_time_format,
)

MAJOR = Amounts(is_major=True)
MINOR = Amounts(is_major=False)
NOON_MS = 1_573_444_800_000  # 2019-11-11T12:00:00+08:00


@pytest.mark.parametrize(
    ("cell", "currency", "minor"),
    [
        ("12.34", "USD", 1234),
        ("12.3", "USD", 1230),
        (".5", "USD", 50),
        ("7.", "USD", 700),
        (" 1e2 ", "USD", 10_000),
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


SHANGHAI = ZoneInfo("Asia/Shanghai")


@pytest.mark.parametrize(
    ("formats", "cell", "time_ms"),
    [
        ([], "2019-11-11T12:00:00+08:00", NOON_MS),
        ([], "2019-11-11T04:00:00Z", NOON_MS),
        ([], "2019-11-11 12:00:00", NOON_MS),
        ([], "2019-11-11T12:00:00.123999", NOON_MS + 123),
        ([], "2019-11-11", NOON_MS - 12 * 3_600_000),
        ([], str(NOON_MS), NOON_MS),
        ([], NOON_MS, NOON_MS),
        ([], float(NOON_MS), NOON_MS),
        ([], dt.datetime(2019, 11, 11, 12), NOON_MS),  # noqa: DTZ001 - as a file holds it
        ([], dt.datetime(2019, 11, 11, 4, tzinfo=dt.UTC), NOON_MS),
        (["epoch_s"], "1573444800.5", NOON_MS + 500),
        (["epoch_s"], 1_573_444_800, NOON_MS),
        (["epoch_us"], NOON_MS * 1000 + 999, NOON_MS),
        (["%d.%m.%Y", "%d.%m.%Y %H:%M"], "11.11.2019 12:00", NOON_MS),
        (["%Y%m%d"], 20_191_111, NOON_MS - 12 * 3_600_000),
        (["%Y-%m-%d %H:%M %z"], "2019-11-11 04:00 +0000", NOON_MS),
        ([], " ", None),
        ([], None, None),
    ],
)
def test_times_become_milliseconds(formats: list[str], cell: object, time_ms: int | None) -> None:
    assert Times(formats, SHANGHAI).read(cell) == time_ms


@pytest.mark.parametrize(
    ("formats", "cell"),
    [
        ([], "yesterday"),
        ([], "2019-13-01"),
        ([], True),
        ([], {"$date": 1}),
        ([], 1.5),
        (["%d.%m.%Y"], "2019-11-11"),
        (["epoch_s"], "12:00"),
        (["epoch_s"], "9" * 40),
        ([], "0001-01-01T00:00:00+23:00"),
    ],
)
def test_what_is_no_time_is_refused(formats: list[str], cell: object) -> None:
    times = Times(formats, SHANGHAI)
    if cell == "0001-01-01T00:00:00+23:00":
        assert (times.read(cell) or 0) < 0  # before 1970: out of range for the decoder
        return
    with pytest.raises(BadValueError):
        times.read(cell)


def test_a_local_time_needs_a_zone() -> None:
    with pytest.raises(BadValueError, match="timezone"):
        Times().read("2019-11-11T12:00:00")


def test_local_times_around_changes_of_the_clock() -> None:
    new_york = Times((), ZoneInfo("America/New_York"))
    assert new_york.read("2017-11-05T01:30:00") == new_york.read("2017-11-05T01:30:00-04:00"), "the first of the two"
    assert new_york.read("2017-03-12T02:30:00") == new_york.read("2017-03-12T02:30:00-05:00"), "the offset before"


@pytest.mark.parametrize(
    ("cell", "text"),
    [
        ("x", "x"),
        ("", None),
        (None, None),
        (31_198_570_044, "31198570044"),
        (330.0, "330"),
        (1.5, "1.5"),
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


def test_formats_of_times_are_told_from_other_texts() -> None:
    assert all(map(is_time_format, ["epoch_s", "epoch_ms", "epoch_us", "%Y-%m-%d", "%d/%m/%y %I:%M %p"]))
    assert not any(map(is_time_format, ["", "seconds", "YYYY-MM-DD", "%Q"]))
