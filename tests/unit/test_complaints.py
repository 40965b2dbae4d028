"""What is wrong with a mapping is told at once, with the line it stands in and what would be right."""

from __future__ import annotations

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from streams.complaints import Complaints, dotted
from streams.errors import UsageError
from streams.festivals import load_festivals
from streams.imports.mapping import parse_mapping

TEXT = """
to = "parcels"

[csv]
quote = "--"
[fields]
# a comment, and "a = b" in it
merchant = { path = "own" }
market = { constant = "DE", path = "m" }
curency = "x"
brand = [
  "a",
  2,
]
type = { column = "t", values = { x = "order_lost" } }
ts = { column = "a", unit = "h" }
ordered_ts = { column = "a", format = "epoch_s" }
amount = { column = "x", digits = { EUR = 2 } }
coupon_minor = { column = "x", digits = { EURO = 2 } }
credit_minor = { column = "x", digits = 3 }
buyer = { column = "b", upper = "yes" }
category = { column = "b", values = "no" }

[[only]]
column = "a"
is = "x"

[[only]]
colum = "x"
[zones]
CST = "China"
[[source]]
"""
TOLD = """\
map.toml: line 2: `to`: 'parcels' is none of orders, payments
map.toml: line 4: `csv`: quote is not one character, nor "" for none
map.toml: line 6: `fields`: missing platform, currency
map.toml: line 8: `fields.merchant.path` is not known here: of a file it is called `column`
map.toml: line 8: `fields.merchant`: give one of column, constant, template
map.toml: line 9: `fields.market.path` is not known here: of a file it is called `column`
map.toml: line 10: `fields.curency` is not known here: did you mean `currency`?
map.toml: line 11: `fields.brand`: columns are named by texts
map.toml: line 15: `fields.type`: 'order_lost' is no type of orders, which carries order_placed, order_cancelled
map.toml: line 16: `fields.ts`: 'h' is none of the units s, ms, us, ns
map.toml: line 17: `fields.ordered_ts`: instead of format = "epoch_s" write unit = "s"
map.toml: line 18: `fields.amount.digits` is not known here: it is for amounts in minor units, such as amount_minor
map.toml: line 19: `fields.coupon_minor`: digits: EURO: no ISO 4217 currency code
map.toml: line 20: `fields.credit_minor`: digits is a table of numbers from 0 to 9 by currency: digits = { UGX = 2 }
map.toml: line 21: `fields.buyer`: upper is true or false
map.toml: line 22: `fields.category`: values is a table of texts: values = { China = "CN" }
map.toml: line 28: `only[1]`: give a `column`, and what it must be: is, is_not, at_least, below or is_empty
map.toml: line 29: `only[1].colum` is not known here: did you mean `column`?
map.toml: line 30: `zones`: 'China' is no IANA time zone, such as Asia/Shanghai, and no offset, such as +08:00
map.toml: line 32: `source` is not known here: a file has one set of rules: [fields]"""


def test_everything_is_told_at_once_by_line() -> None:
    with pytest.raises(UsageError) as error:
        parse_mapping(TEXT, "map.toml", load_festivals())
    assert str(error.value).splitlines() == TOLD.splitlines()


def test_lines_are_those_of_tables_in_arrays_and_of_values_over_several_lines() -> None:
    text = '[[a]]\n[a.b]\nc = 1\n[[a]]\nx = """\n[[a]]\ny = 1\n"""\n[a.b]\n"c d".e = [\n1]\n[f.g]\n'
    complaints = Complaints("t", text)
    for path in [("a", 0, "b", "c"), ("a", 1, "x"), ("a", 1, "b"), ("a", 1, "b", "c d", "e"), ("f", "g"), ("h",)]:
        complaints.add(path, "x")
    with pytest.raises(UsageError) as error:
        complaints.refuse()
    assert str(error.value).splitlines() == [
        "t: `h`: x",
        "t: line 3: `a[0].b.c`: x",
        "t: line 5: `a[1].x`: x",
        "t: line 9: `a[1].b`: x",
        "t: line 10: `a[1].b.c d.e`: x",
        "t: line 12: `f.g`: x",
    ]
    assert dotted(("a", 0, "b")) == "a[0].b"


_WORDS = ["to", "format", "sheet", "timezone", "zones", "csv", "type", "fields", "only", "fit", "x"]
_INNER = ["column", "columns", "template", "constant", "default", "values", "format", "unit", "digits", "others", "is"]
_LEAVES = st.sampled_from(
    [
        "1",
        "-1",
        "1.5",
        "true",
        '""',
        '"a"',
        '"s"',
        '"{"',
        '"%Y"',
        "[]",
        "[1]",
        '["a"]',
        "[{}]",
        "{}",
        "2019-11-11",
        "07:00:00",
    ]
)
_TABLES = st.dictionaries(
    st.sampled_from(
        [*_INNER, "ts", "type", "amount", "amount_minor", "delimiter", "quote", "skip", "from", "festival"]
    ),
    st.one_of(
        _LEAVES,
        st.dictionaries(st.sampled_from(_INNER), _LEAVES, max_size=3).map(
            lambda table: "{" + ", ".join(f"{name} = {value}" for name, value in table.items()) + "}"
        ),
    ),
    max_size=4,
).map(lambda table: "{" + ", ".join(f"{name} = {value}" for name, value in table.items()) + "}")


@settings(max_examples=500)
@given(st.dictionaries(st.sampled_from(_WORDS), st.one_of(_LEAVES, _TABLES), max_size=5))
def test_whatever_a_mapping_says_it_is_refused_with_sentences(document: dict[str, str]) -> None:
    """No mapping here has all that is required: each is refused, and none ends in a defect."""
    text = "\n".join(f"{name} = {value}" for name, value in document.items())
    with pytest.raises(UsageError) as error:
        parse_mapping(text, "map.toml", {})
    for line in str(error.value).splitlines():
        assert line.startswith("map.toml: ")
        assert " object " not in line, "a sentence, and not a word of Python's"
