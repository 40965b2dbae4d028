"""`[replay]` of a festival file: what it may say, and that all that is wrong is told."""

from __future__ import annotations

import pytest

from streams.domain.festivals import Festival, FestivalFileError, parse_festival
from streams.domain.sales import KEYS, Sales

HEAD = 'id = "f"\nstarts = 2026-05-01T00:00:00\ntimezone = "Europe/Berlin"\nhome_currency = "EUR"\n[replay]\n'
EXAMPLE = """
platforms = { webshop = 7, app = 3 }
markets = { DE = 8, AT = 1, CH = 1 }
currencies = { DE = "EUR", AT = "EUR", CH = "CHF" }
methods = { card = 6, paypal = 3, invoice = 1 }
merchants = 40
average_order = { EUR = "64.90", CHF = "71" }
origins = { DE = 1 }
carriers = { dhl = 3, dpd = 1 }
"""


def parse(text: str) -> Festival:
    return parse_festival(HEAD + text, "f.toml")


def test_every_key_is_read() -> None:
    assert parse(EXAMPLE).sales == Sales(
        platforms=(("webshop", 7), ("app", 3)),
        markets=(("DE", 8), ("AT", 1), ("CH", 1)),
        currencies=(("DE", "EUR"), ("AT", "EUR"), ("CH", "CHF")),
        methods=(("card", 6), ("paypal", 3), ("invoice", 1)),
        merchants=40,
        average_order_minor=(("EUR", 6_490), ("CHF", 7_100)),
        origins=(("DE", 1),),
        carriers=(("dhl", 3), ("dpd", 1)),
    )
    assert parse("").sales == Sales()
    assert parse('merchants = { "Müller & Söhne" = 3, b = 1 }').sales == Sales(
        merchants=(("Müller & Söhne", 3), ("b", 1))
    )
    assert {line.partition(" ")[0] for line in EXAMPLE.splitlines() if line} == set(KEYS)


@pytest.mark.parametrize(
    ("text", "sentence"),
    [
        ("shops = 3", "unknown keys shops; known are platforms"),
        ("platforms = 3", "platforms: expected a table"),
        ("platforms = {}", "platforms: expected a table of 1 to"),
        ("platforms = { a = 0 }", "a share is a whole number"),
        ("platforms = { a = true }", "a share is a whole number"),
        ('platforms = { a = "1" }', "a share is a whole number"),
        ("platforms = { a = 1000000001 }", "a share is a whole number"),
        ("platforms = { __a = 1 }", "does not begin with `__`"),
        ('platforms = { "" = 1 }', "1 to 64 characters"),
        (f"platforms = {{ {'a' * 65} = 1 }}", "1 to 64 characters"),
        ("merchants = 0", "expected how many, from 1 to 5000"),
        ("merchants = 5001", "expected how many"),
        ("merchants = true", "expected how many"),
        ('merchants = "40"', "expected how many"),
        ("currencies = 3", "currencies: expected a table"),
        ('currencies = { DE = "EURO" }', "'EURO' is no ISO 4217 currency"),
        ('markets = { DE = 1 }\ncurrencies = { AT = "EUR" }', "currencies: AT is none of the markets"),
        ("average_order = 3", "average_order: expected a table"),
        ('average_order = { EURO = "3" }', "'EURO' is no ISO 4217 currency"),
        ("average_order = { EUR = 6.5 }", "expected a decimal in quotes"),
        ("average_order = { EUR = true }", "expected a decimal in quotes"),
        ('average_order = { EUR = "much" }', "expected a decimal, found 'much'"),
        ('average_order = { EUR = "0" }', "above 0 and at most 10000000"),
        ('average_order = { EUR = "NaN" }', "above 0 and at most 10000000"),
        ('average_order = { EUR = "10000000.01" }', "above 0 and at most 10000000"),
        ('average_order = { JPY = "0.5" }', "finer than the minor unit of JPY"),
    ],
)
def test_what_cannot_be_sold_is_refused(text: str, sentence: str) -> None:
    with pytest.raises(FestivalFileError, match="`replay`") as refused:
        parse(text)
    assert sentence in str(refused.value)


def test_all_that_is_wrong_is_told_at_once() -> None:
    with pytest.raises(FestivalFileError) as refused:
        parse("shops = 3\nmerchants = 0\nmethods = 1")
    assert all(name in str(refused.value) for name in ("shops", "merchants", "methods"))
    with pytest.raises(FestivalFileError, match="expected a table, found 3"):
        parse_festival(HEAD.replace("[replay]", "replay = 3"), "f.toml")
