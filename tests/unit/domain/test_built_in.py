"""The built-in dimensions: a file in the language of declarations, and the tables that are made of it."""

from __future__ import annotations

import tomllib
from importlib.resources import files

import pytest

from streams.domain.built_in import BUILT_IN, FILE, ROLLUPS, built_in
from streams.domain.declared import Declared
from streams.domain.rollups import Window
from streams.errors import UsageError
from streams.festivals.declared import parse_declared

TEXT = files("streams.domain").joinpath(FILE).read_text("utf-8")


def test_each_table_of_the_file_is_a_dimension_and_no_other_has_a_table() -> None:
    assert [(one.fact, one.field) for one in BUILT_IN] == [
        (table["fact"], table["field"]) for table in tomllib.loads(TEXT)["dimension"]
    ]
    kept = {(rollup.fact, rollup.dimension) for rollup in ROLLUPS if rollup.dimension is not None}
    assert kept == {(one.fact, one.field) for one in BUILT_IN}
    assert Declared().rollups == ROLLUPS


def test_a_shop_that_declares_them_is_told_of_their_names_alone() -> None:
    """So the file is in the language of `--declarations`, but for the one key that only it may have."""
    shops = "\n".join(line for line in TEXT.splitlines() if not line.startswith("payer"))
    with pytest.raises(UsageError) as refused:
        parse_declared(shops, "own.toml")
    told = [line for line in str(refused.value).splitlines() if "at most 8" not in line]
    assert len(told) == len(BUILT_IN)
    assert all("already" in line or "there is a table" in line for line in told)
    with pytest.raises(UsageError, match=r"`dimension\[0\].payer` is not known here"):
        parse_declared('[[dimension]]\nfact = "payments"\nfield = "channel"\npayer = false', "own.toml")


def test_what_shoppers_paid_is_kept_by_each_dimension_of_payments_but_one() -> None:
    of = {kind: {r.dimension for r in ROLLUPS if r.name.startswith(f"{kind}_by_")} for kind in ("payments", "payer")}
    assert of["payments"] - of["payer"] == {"market"}
    assert of["payer"] <= of["payments"]


def test_a_derived_dimension_has_the_measures_of_the_events_that_have_it() -> None:
    (table,) = (rollup for rollup in ROLLUPS if rollup.dimension == "transit_days")
    assert [measure.name for measure in table.measures] == ["delivered"]
    assert table.window is Window.FESTIVAL


@pytest.mark.parametrize(
    "wrong",
    [
        '[[dimension]]\nfield = "platform"',
        '[[dimension]]\nfact = "orders"\nfield = "platform"\nlimit = 0',
        '[[dimension]]\nfact = "orders"\nfield = "platform"\nlimits = 7',
        '[[amount]]\nfact = "orders"\nfield = "coupon_minor"',
    ],
)
def test_a_mistake_in_the_file_is_a_mistake_of_the_program(wrong: str) -> None:
    with pytest.raises((AssertionError, KeyError, ValueError)):
        built_in(wrong)
