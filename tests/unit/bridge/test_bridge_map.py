"""What is wrong with a map is told at once, with the line it stands in and what would be right."""

from __future__ import annotations

from pathlib import Path

import pytest

from streams.bridge.map import differences, load_map, parse_map, said
from streams.bridge.paths import parse_path, parse_template
from streams.errors import UsageError

FOLDER = Path(__file__).parent / "samples"
PLAIN = """
[[source]]
topic = "shop.orders"
to = "orders"
encoding = "json"
type = { constant = "order_placed" }
[source.fields]
event_id = "id"
order_id = "id"
ts = "at"
platform = { constant = "web" }
merchant = "shop"
market = "land"
currency = { constant = "EUR" }
amount = "total"
"""
WRONG = """
name = "no spaces"
[registry]
url = "http://user:secret@registry:8081"
password = "x"
[[source]]
topic = "a"
to = "order"
encoding = "json"
[[source]]
topic = "b"
to = "orders"
encoding = "avro"
framing = "none"
descriptor = "x.desc"
start = "yesterday"
type = { path = "t", values = { x = "order_lost" } }
[[source.when]]
op = ["x"]
type = "order_placed"
[source.fields]
order_id = "a..b"
ts = { path = "at", unit = "h" }
ordered_ts = { column = "at" }
platform = { constant = "web", path = "p" }
merchant = { constant = "m", upper = true }
market = "[].land"
currency = { constant = "EURO" }
amount = { path = "total", digits = { EUR = 2 } }
amount_minor = "cents"
coupon = { sum = "items[*]" }
credit = { path = "c", scale = 2 }
brand = { record = "value" }
colour = "red"
[[source]]
topic = "b"
to = "parcels"
encoding = "protobuf"
each = "[].items[*]"
[[source]]
topic = "c"
to = "recycling"
encoding = "json"
each = "items[*]"
type = "kind"
only = "x"
[source.fields]
event_id = "id"
"""


def refused(text: str) -> list[str]:
    with pytest.raises(UsageError) as error:
        parse_map(text, Path("shop.toml"))
    return str(error.value).splitlines()


def test_everything_that_is_wrong_is_told_with_its_line() -> None:
    told = refused(WRONG)
    for line, words in (
        (2, "is no name: up to 100 letters"),
        (4, "is no address such as http://registry:8081, without user and password"),
        (5, "who may read the registry is set by FESTIVAL_REGISTRY_*"),
        (8, "to is one of orders, payments, parcels, recycling"),
        (10, "give `type`, or [[source.when]] for changes of rows: one of both"),
        (14, "Avro without a schema id cannot be read: framing is confluent"),
        (15, "is for protobuf only"),
        (16, "is neither earliest nor latest, nor a time such as 2026-11-01T00:00:00Z"),
        (17, "'order_lost' is no type of orders, which carries order_placed, order_cancelled"),
        (18, "op is a list of c, u, d, r: create, update, delete, snapshot"),
        (22, "'a..b' is no path, such as a.b[0].c"),
        (23, "'h' is none of the units s, ms, us, ns"),
        (24, "of a record it is called `path`"),
        (25, "give one of path, header, record, constant, template"),
        (26, "upper is for path, header and record, not for constant"),
        (27, "'[].land' is in the element of an `each`, and there is none"),
        (28, "'EURO' is no ISO 4217 currency code"),
        (29, "it is for amounts in minor units"),
        (30, "amount (major units) and amount_minor exclude each other"),
        (31, "a sum needs `of`, the path of the amount in each element"),
        (32, 'goes with decimal = "base64"'),
        (33, "record is one of timestamp, key, topic, partition, offset"),
        (34, "is not known here"),
        (36, "'b' is a source of this map already"),
        (39, "begins in the record, so without []"),
        (35, "missing descriptor: protobuf needs descriptor (a file) and message (its full name)"),
        (46, "write it as [[source.only]], each time anew"),
        (47, "missing ts, station, operator, city, district, boxes, points"),
        (48, "is the same for every element: take a path that begins with [] into it, or leave it out"),
    ):
        assert any(one.startswith(f"shop.toml: line {line}: ") and words in one for one in told), (line, words, told)


def test_a_map_that_is_no_table_of_sources_is_refused() -> None:
    assert "a map has one [[source]] at least" in refused("name = 'x'")[0]
    assert "not TOML" in refused("[[source]")[0]


@pytest.mark.parametrize(
    ("change", "words"),
    [
        ('amount = { path = "m", as = "units_nanos", decimal = "," }', "units_nanos is in major units and exact"),
        ('amount_minor = { path = "m", as = "units_nanos" }', "units_nanos is in major units and exact"),
        ('amount = { path = "m", as = "minor" }', "as is one of units_nanos"),
        ('amount = { path = "m", default = 3 }', "constant and default are a decimal as text"),
        ('amount = { path = "m", default = "3 or 4" }', "is not a number"),
        ('amount = { sum = "items", of = "p" }', "this path names a list, and ends in [*]"),
        ('amount = { sum = "items[*]", of = "[].p" }', "begin in the element: leave [] out"),
        ('amount = { sum = "items[*]", of = "p", default = "1" }', "default is for path, header and record"),
        ('amount = { path = "m", thousands = "." }', "text on a topic has no separators"),
        ('amount = "items[*]"', "this path names one value, and has no [*]"),
        ("amount = { path = [] }", "name a path at least"),
        ("amount = 3", "neither a path nor a table"),
    ],
)
def test_a_rule_of_money_that_cannot_be_is_told_why(change: str, words: str) -> None:
    (told,) = refused(PLAIN.replace('amount = "total"', change))
    assert words in told


def test_the_name_is_the_files_where_the_map_says_none() -> None:
    assert parse_map(PLAIN, Path("night.toml")).name == "night"


def test_layout_comments_registry_and_start_decide_no_translation() -> None:
    before = parse_map(PLAIN, Path("a.toml"))
    changed = PLAIN.replace('order_id = "id"', 'order_id = { path = ["id"] } # the key').replace(
        'encoding = "json"', 'framing = "none"\nstart = "latest"\nencoding = "json"'
    )
    after = parse_map(f'[registry]\nurl = "http://localhost"\n{changed}', Path("a.toml"))
    assert after.digest == before.digest


def test_each_difference_between_two_maps_is_told() -> None:
    before = parse_map(PLAIN, Path("a.toml"))
    text = PLAIN.replace('amount = "total"', 'amount = { path = "sum", decimal = "," }').replace(
        'constant = "order_placed"', 'constant = "order_cancelled"'
    )
    after = parse_map(text, Path("a.toml"))
    assert before.digest != after.digest
    assert differences(said(before.sources[0]), said(after.sources[0])) == [
        'fields.amount.decimal: nothing is now ","',
        'fields.amount.path: ["total"] is now ["sum"]',
        'type.constant: "order_placed" is now "order_cancelled"',
    ]


def test_a_descriptor_is_looked_at_with_the_map(tmp_path: Path) -> None:
    own = FOLDER / "own" / "protobuf-bare"
    text = (own / "map.toml").read_text("utf-8")
    (tmp_path / "shop.desc").write_bytes((own / "shop.desc").read_bytes())
    with pytest.raises(UsageError, match=r"shop\.v1\.Order has no field land, only id, placed_at"):
        parse_map(text.replace('"country"', '"land"'), tmp_path / "map.toml")
    with pytest.raises(UsageError, match=r"no message 'Order': name it in full, with its package"):
        parse_map(text.replace('"shop.v1.Order"', '"Order"'), tmp_path / "map.toml")
    with pytest.raises(UsageError, match=r"none.desc cannot be read: No such file"):
        parse_map(text.replace("shop.desc", "none.desc"), tmp_path / "map.toml")
    (tmp_path / "shop.desc").write_bytes(b"\xff\xff")
    with pytest.raises(UsageError, match="no file of descriptors"):
        load_map(_written(tmp_path / "map.toml", text))


def _written(file: Path, text: str) -> Path:
    file.write_text(text, "utf-8")
    return file


@pytest.mark.parametrize(
    ("text", "parts"),
    [
        ("a.b[0].c", ("a", "b", 0, "c")),
        ('a."b.c"', ("a", "b.c")),
        ('"a b".c', ("a b", "c")),
        ("[0].x", (0, "x")),
        ("data[1][2]", ("data", 1, 2)),
    ],
)
def test_paths_are_keys_and_places(text: str, parts: tuple[str | int, ...]) -> None:
    assert parse_path(text).parts == parts


def test_a_path_into_an_element_begins_with_brackets() -> None:
    path = parse_path("[].x.y")
    assert (path.parts, path.is_in_element) == (("x", "y"), True)
    assert parse_path("[]").parts == ()


@pytest.mark.parametrize(
    "text", ["", ".", "a.", ".a", "a..b", "a[x]", "a[", "a b]", "a{b}", 'a."b', "a[-1]", "[].a[*].b"]
)
def test_what_is_no_path_is_refused(text: str) -> None:
    with pytest.raises(ValueError, match="path"):
        parse_path(text)


def test_templates_name_paths_in_braces() -> None:
    found = parse_template('{{x}}-{a."b}c"}:{[].n}')
    assert [(text, path and path.parts) for text, path in found] == [("{x}-", ("a", "b}c")), (":", ("n",))]
    for wrong in ("no path", "{a", "a}", "{}"):
        with pytest.raises(ValueError, match=r"brace|path"):
            parse_template(wrong)
