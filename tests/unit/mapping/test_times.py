"""Instants out of files: as they are written, between 1990 and 2100, or a bad row that says what would fit."""

from __future__ import annotations

import datetime as dt
import os
import time
from zoneinfo import ZoneInfo

import pytest

from streams.mapping.problems import BadValueError
from streams.mapping.times import Times, is_time_format, parse_zone
from streams.mapping.values import JsonExponent

HOUR_MS = 3_600_000
NOON_MS = 1_573_444_800_000  # 2019-11-11T12:00:00+08:00

SHANGHAI = ZoneInfo("Asia/Shanghai")


@pytest.mark.parametrize(
    ("formats", "cell", "time_ms"),
    [
        ([], "2019-11-11T12:00:00+08:00", NOON_MS),
        ([], "2019-11-11T04:00:00Z", NOON_MS),
        ([], "2019-11-11 12:00:00", NOON_MS),
        ([], "2019-11-11T12:00:00.123999", NOON_MS + 123),
        ([], "2019-11-11", NOON_MS - 12 * HOUR_MS),
        ([], str(NOON_MS), NOON_MS),
        ([], NOON_MS, NOON_MS),
        ([], float(NOON_MS), NOON_MS),
        ([], "20191111", NOON_MS - 12 * HOUR_MS),
        ([], 20_191_111, NOON_MS - 12 * HOUR_MS),
        ([], 20_191_111.0, NOON_MS - 12 * HOUR_MS),
        ([], "20191111T120000", NOON_MS),
        (["%Y-%m-%d %H:%M %Z"], "2019-11-11 04:00 UTC", NOON_MS),
        (["%Y-%m-%d %H:%M %Z"], "2019-11-11 04:00 gmt", NOON_MS),
        (["%Y-%m-%d %H:%M %Z"], "2019-11-11 04:00 Z", NOON_MS),
        (["%Y-%m-%d %H:%M %Z"], "2019-11-11 12:00 +08:00", NOON_MS),
        (["%Y-%m-%d %H:%M %Z"], "2019-11-11 11:30 UTC+7:30", NOON_MS),
        (["%Y-%m-%d %H:%M%Z"], "2019-11-10 23:00GMT-5", NOON_MS),
        (["%Y-%m-%dT%H:%M:%SZ"], "2019-11-11T04:00:00Z", NOON_MS),
        (["%Y-%m-%d %H:%M UTC"], "2019-11-11 04:00 UTC", NOON_MS),
        (["%a %b %d %Y %H:%M:%S GMT%z (CST)"], "Mon Nov 11 2019 12:00:00 GMT+0800 (CST)", NOON_MS),
        (["%Y-%m-%d %H:%M %z %Z"], "2019-11-11 12:00 +0800 CST", NOON_MS),
        (["DATE %Y-%m-%dT%H:%M"], "DATE 2019-11-11T12:00", NOON_MS),
        (["%a %b %d %H:%M:%S %Z %Y"], "Mon Nov 11 04:00:00 UTC 2019", NOON_MS),
        ([], dt.datetime(2019, 11, 11, 12), NOON_MS),  # noqa: DTZ001 - as a file holds it
        ([], dt.datetime(2019, 11, 11, 4, tzinfo=dt.UTC), NOON_MS),
        (["%d.%m.%Y", "%d.%m.%Y %H:%M"], "11.11.2019 12:00", NOON_MS),
        (["%Y%m%d"], 20_191_111, NOON_MS - 12 * HOUR_MS),
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
        ([], "9" * 40),
        ([], "0001-01-01T00:00:00+23:00"),
    ],
)
def test_what_is_no_time_is_refused(formats: list[str], cell: object) -> None:
    with pytest.raises(BadValueError):
        Times(formats, SHANGHAI).read(cell)


def test_a_local_time_needs_a_zone() -> None:
    with pytest.raises(BadValueError, match="timezone"):
        Times().read("2019-11-11T12:00:00")


def test_local_times_around_changes_of_the_clock() -> None:
    new_york = Times((), ZoneInfo("America/New_York"))
    assert new_york.read("2017-11-05T01:30:00") == new_york.read("2017-11-05T01:30:00-04:00"), "the first of the two"
    assert new_york.read("2017-03-12T02:30:00") == new_york.read("2017-03-12T02:30:00-05:00"), "the offset before"


def test_formats_of_times_are_told_from_other_texts() -> None:
    assert all(map(is_time_format, ["%Y-%m-%d", "%d/%m/%y %I:%M %p", "%a %b %d %H:%M:%S %Z %Y"]))
    assert not any(map(is_time_format, ["", "seconds", "epoch_s", "YYYY-MM-DD", "%Q", "%Z %"]))


@pytest.mark.parametrize(
    ("unit", "cell"),
    [
        ("s", "1573444800"),
        ("s", 1_573_444_800),
        ("s", "1573444800.0"),
        ("ms", NOON_MS),
        ("us", NOON_MS * 1000 + 999),
        ("ns", str(NOON_MS * 1_000_000 + 1)),
        ("s", "2019-11-11T12:00:00"),
    ],
)
def test_numbers_are_in_the_unit_of_the_mapping(unit: str, cell: object) -> None:
    assert Times((), SHANGHAI, unit).read(cell) == NOON_MS


def test_a_unit_and_formats_stand_beside_each_other() -> None:
    times = Times(["%d.%m.%Y %H:%M"], SHANGHAI, "s")
    assert times.read("1573444800.5") == NOON_MS + 500
    assert times.read("11.11.2019 12:00") == NOON_MS
    with pytest.raises(BadValueError, match=r"'noon' is not a number \(unit s\) or %d"):
        times.read("noon")
    with pytest.raises(BadValueError, match=r"'noon' is not a number \(unit s\) or ISO 8601"):
        Times((), SHANGHAI, "s").read("noon")


@pytest.mark.parametrize(
    ("cell", "fits"),
    [
        ("1573444800", 'unit = "s" would fit'),
        (1_573_444_800, 'unit = "s" would fit'),
        (NOON_MS * 1000, 'unit = "us" would fit'),
        (NOON_MS * 1_000_000, 'unit = "ns" would fit'),
        ("20191111100000", 'format = "%Y%m%d%H%M%S" would fit'),
        ("201911111000", 'format = "%Y%m%d%H%M" would fit'),
        ("43780", r"a spreadsheet's date \(2019-11-11\) that is formatted and exported as one would fit"),
        ("17", "of the years 1990 to 2100$"),
        ("19891231", "of the years 1990 to 2100"),
        ("2101-01-02", "of the years 1990 to 2100$"),
    ],
)
def test_a_time_of_another_century_is_told_with_what_would_fit(cell: object, fits: str) -> None:
    with pytest.raises(BadValueError, match=fits) as error:
        Times((), SHANGHAI).read(cell)
    assert error.value.reason == "bad_time"


def test_a_day_that_is_a_number_in_the_mappings_unit_is_told_with_its_format() -> None:
    with pytest.raises(BadValueError, match='format = "%Y%m%d" would fit'):
        Times((), SHANGHAI, "s").read("20191111")


@pytest.mark.parametrize("cell", ["1.57344E+12", JsonExponent("1.57e12")])
def test_times_in_exponent_form_have_lost_digits(cell: object) -> None:
    with pytest.raises(BadValueError, match="exponent form"):
        Times((), SHANGHAI).read(cell)


def test_names_of_zones_mean_what_the_mapping_says_whatever_the_machine_does(monkeypatch: pytest.MonkeyPatch) -> None:
    name = "%Y-%m-%d %H:%M %Z"
    for text in (name, "%Y-%m-%d %H:%M CST"):
        with pytest.raises(BadValueError, match="'CST' is no time zone"):
            Times([text], SHANGHAI).read("2019-11-11 12:00 CST")
    zones = {"CST": parse_zone("Asia/Shanghai"), "EST": parse_zone("-05:00")}
    assert Times([name], None, None, zones).read("2019-11-11 12:00 CST") == NOON_MS
    assert Times([name], None, None, zones).read("2019-11-10 23:00 EST") == NOON_MS
    monkeypatch.setitem(os.environ, "TZ", "CST6CDT")
    time.tzset()
    try:
        with pytest.raises(BadValueError, match=r"'CST' is no time zone .* \[zones\] CST = "):
            Times([name], SHANGHAI).read("2019-11-11 12:00 CST")
        assert Times([name], SHANGHAI).read("2019-11-11 04:00 UTC") == NOON_MS
    finally:
        monkeypatch.undo()
        time.tzset()


@pytest.mark.parametrize("name", ["Mars/Base", "+24:00", "", 8])
def test_what_is_no_zone_is_told(name: object) -> None:
    with pytest.raises(ValueError, match="no IANA time zone"):
        parse_zone(name)
