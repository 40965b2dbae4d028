"""Numbers, money and times as each language writes them."""

from __future__ import annotations

from dataclasses import replace

import pytest

from streams.festivals import load_festivals
from streams.handover.tongue import LOCALES, Tongue
from streams.handover.words import LANGUAGES

DAY = load_festivals()["singles-day-2019"]
EN, DE, ZH = (Tongue(language, DAY) for language in LANGUAGES)
T = "\u00a0"


def test_every_language_has_rules() -> None:
    assert set(LOCALES) == set(LANGUAGES)


@pytest.mark.parametrize(
    ("minor", "told"),
    [
        (26_840_000_000_000, ("CN¥268.4bn", f"268,4{T}Mrd.{T}CN¥", "¥2684亿")),
        (26_849_999_999_999, ("CN¥268.4bn", f"268,4{T}Mrd.{T}CN¥", "¥2684亿")),
        (91_610_099, ("CN¥916,100", f"916.100{T}CN¥", "¥91.61万")),
        (12_345, ("CN¥123.4", f"123,4{T}CN¥", "¥123.4")),
        (0, ("CN¥0", f"0{T}CN¥", "¥0")),
        (None, ("–", "–", "–")),
    ],
)
def test_amounts_in_four_digits_are_rounded_down(minor: int | None, told: tuple[str, str, str]) -> None:
    assert tuple(tongue.money(minor, "CNY") for tongue in (EN, DE, ZH)) == told


def test_amounts_are_exact_whatever_their_size() -> None:
    assert EN.exact(123_456, "EUR") == f"EUR{T}1,234.56"
    assert DE.exact(123_456, "EUR") == f"1.234,56{T}EUR"
    assert ZH.exact(1_234, "JPY") == f"1,234{T}JPY"
    assert EN.exact(10**40 + 1, "CNY").endswith(",000.01")


def test_spoken_numbers_say_their_size() -> None:
    assert DE.money(26_840_000_000_000, "CNY", is_spoken=True) == f"268,4{T}Milliarden{T}CN¥"
    assert EN.money(26_840_000_000_000, "CNY", is_spoken=True) == f"CN¥268.4{T}billion"


def test_ratios_are_per_cent() -> None:
    assert (EN.percent(0.2571, is_signed=True), DE.percent(-0.05, is_signed=True)) == ("+25.7%", f"-5,0{T}%")
    assert ZH.percent(None) == "–"


def test_times_are_those_of_the_festival() -> None:
    assert EN.clock(DAY.start_ms + 96_000) == "00:01:36"
    assert EN.clock(DAY.end_ms) == "24:00:00"
    assert (EN.hour(DAY.start_ms), EN.hour(DAY.end_ms)) == ("00:00", "24:00")
    assert EN.interval() == "11 November 2019, 00:00–24:00"
    assert DE.moment(DAY.end_ms) == f"11.11.2019{T}16:00:00{T}UTC"
    assert (EN.elapsed(96_000), EN.elapsed(3_839_000)) == ("1:36", "1:03:59")


def test_a_long_festival_says_the_day() -> None:
    long = Tongue("de", replace(DAY, end_ms=DAY.start_ms + 3 * 86_400_000))
    assert long.clock(DAY.start_ms + 90_000_000) == f"12. Nov.{T}01:00:00"
    assert long.clock(long._festival.end_ms) == f"13. Nov.{T}24:00:00"
    assert long.interval() == "11. November 2019, 00:00 – 13. November 2019, 24:00"
    assert long.hour(DAY.start_ms + 86_400_000) == "12. Nov."


def test_countries_have_names() -> None:
    assert [tongue.country("DE") for tongue in (EN, DE, ZH)] == ["Germany", "Deutschland", "德国"]
    assert EN.country("webshop") is None
