"""Mapping files: read strictly, everything wrong told at once; two that say the same are the same import."""

from __future__ import annotations

from dataclasses import replace

import pytest

from streams.errors import UsageError
from streams.festivals import load_festivals
from streams.imports.mapping import Fit, parse_mapping

FESTIVALS = load_festivals()
FIELDS = """
[fields]
ts = "when"
platform = { constant = "tmall" }
merchant = { template = "shop-{shop}", default = "unknown" }
market = { column = "country", values = { China = "CN", Russia = "RU" } }
currency = "currency"
amount = { columns = ["price", "postage"] }
"""


def test_a_mapping_in_full() -> None:
    text = f"""
        format = "csv"
        timezone = "Asia/Shanghai"
        [csv]
        delimiter = ";"
        columns = ["when", "shop"]
        [[only]]
        column = "status"
        is = ["paid", "sent"]
        [[only]]
        column = "price"
        at_least = "0.01"
        below = 1000
        [fit]
        from = 2017-01-01
        to = 2018-01-01T00:00:00Z
        festival = "singles-day-2019"
        {FIELDS}
    """
    mapping = parse_mapping(text, "map.toml", FESTIVALS)
    assert mapping.format == "csv"
    assert mapping.layout.header == ("when", "shop")
    by_field = {source.field: source for source in mapping.sources}
    assert by_field["merchant"].template == (("shop-", "shop"),)
    assert by_field["amount"].all_columns == {"price", "postage"}
    assert [f.column for f in mapping.filters] == ["status", "price"]
    day = FESTIVALS["singles-day-2019"]
    assert mapping.fit == Fit(1_483_200_000_000, 1_514_764_800_000, day.start_ms, day.end_ms)


def test_the_digest_is_of_what_a_mapping_says_and_not_of_how() -> None:
    digest = parse_mapping(FIELDS, "a", FESTIVALS).digest
    other = FIELDS.replace('ts = "when"\n', "") + '# a comment\nts     = "when"'
    assert parse_mapping(other, "b", FESTIVALS).digest == digest
    assert parse_mapping(FIELDS.replace("tmall", "taobao"), "c", FESTIVALS).digest != digest


def test_the_digest_holds_the_day_that_times_are_moved_to() -> None:
    text = FIELDS + '[fit]\nfrom = 2017-01-01T00:00:00Z\nto = 2018-01-01T00:00:00Z\nfestival = "singles-day-2019"'
    day = FESTIVALS["singles-day-2019"]
    moved = {day.id: replace(day, end_ms=day.end_ms + 1)}
    assert parse_mapping(text, "a", FESTIVALS).digest != parse_mapping(text, "a", moved).digest


@pytest.mark.parametrize(
    ("text", "problem"),
    [
        ("= 1", "not TOML"),
        ("", "`fields` is missing"),
        ("fields = 3", "`fields` is missing"),
        ('[fields]\nts = "a"', "missing platform, merchant, market, currency, amount or amount_minor"),
        (FIELDS + 'price = "x"', "line 9: `fields.price` is not known here"),
        (FIELDS + 'amount_minor = "x"', "exclude each other"),
        (FIELDS + "brand = 3", "neither the name of a column nor a table"),
        (FIELDS + 'brand = { column = "a", constant = "b" }', "give one of column, constant, template"),
        (
            FIELDS + 'brand = { column = "a", colour = "b" }',
            "line 9: `fields.brand.colour` is not known here: did you mean `column`?",
        ),
        (FIELDS + 'brand = { column = "a", default = 3 }', "texts in quotation marks"),
        (FIELDS + 'brand = { template = "{}" }', "names columns in braces"),
        (FIELDS + 'brand = { template = "{a" }', "fields.brand"),
        (FIELDS + 'brand = { template = "{a:>5}" }', "names columns in braces"),
        (FIELDS + '[only]\ncolumn = "a"', "[[only]]"),
        ('[csv]\ncolumns = "a"' + FIELDS, "list of texts"),
        (FIELDS + 'ordered_ts = { column = "a", format = "YYYY" }', "is not a format of strptime"),
        (FIELDS + 'ordered_ts = { constant = "today" }', "not a date and time of TOML"),
        (FIELDS + "ordered_ts = { constant = 2019-11-11T00:00:00 }", "needs an offset"),
        (FIELDS + "coupon = { constant = 1.5 }", "a decimal as text"),
        (FIELDS + 'coupon = { constant = "free" }', "not a number"),
        (FIELDS + 'coupon_minor = { constant = "1" }', "an integer"),
        (FIELDS + 'coupon = { column = "a", decimal = ";" }', "decimal is . or ,"),
        (FIELDS + "coupon = { columns = [1] }", "named by texts"),
        ('format = "xls"' + FIELDS, "none of csv, ndjson, parquet, xlsx"),
        ('timezone = "Mars/Base"' + FIELDS, "no IANA time zone"),
        ('zone = "Asia/Shanghai"' + FIELDS, "`zone` is not known here: did you mean `zones`?"),
        ('[csv]\ndelimiter = "; "' + FIELDS, "not one character"),
        ('[csv]\nencoding = "klingon"' + FIELDS, "klingon"),
        ('[[only]]\nis = "a"' + FIELDS, "give a `column`"),
        ('[[only]]\ncolumn = "a"' + FIELDS, "what it must be"),
        ('[[only]]\ncolumn = "a"\nat_least = 1.5' + FIELDS, "decimals as text"),
        ('[[only]]\ncolumn = "a"\nis_empty = "no"' + FIELDS, "true or false"),
        ('[[only]]\ncolumn = "a"\nis = [1]' + FIELDS, "lists of texts"),
        (
            '[fit]\nfrom = 2017-01-01T00:00:00Z\nto = 2017-01-01T00:00:00Z\nfestival = "singles-day-2019"' + FIELDS,
            "before",
        ),
        ('[fit]\nfrom = 2017-01-01T00:00:00Z\nto = 2018-01-01T00:00:00Z\nfestival = "easter"' + FIELDS, "none of"),
        ("[fit]\nfrom = 2017-01-01T00:00:00Z" + FIELDS, "festival"),
    ],
)
def test_what_is_wrong_is_told(text: str, problem: str) -> None:
    with pytest.raises(UsageError) as error:
        parse_mapping(text, "map.toml", FESTIVALS)
    assert problem in str(error.value)
    assert str(error.value).startswith("map.toml: ")


def test_everything_wrong_is_told_at_once() -> None:
    with pytest.raises(UsageError) as error:
        parse_mapping('format = "x"\ntimezone = "y"\n[fields]\nts = 3', "map.toml", FESTIVALS)
    assert len(str(error.value).splitlines()) == 4
