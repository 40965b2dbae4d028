"""The compiled translator takes every usual record itself; what it leaves to the rules costs twenty times as much."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import pytest

from streams.bridge.given import read_given
from streams.bridge.map import load_map, parse_map
from streams.bridge.plan import Changes
from streams.bridge.schemas import GivenSchemas
from streams.bridge.translation import TRANSLATORS_LIMIT, Translation
from streams.native import TRANSLATES

if TRANSLATES:
    from streams.native.records import Values
    from streams.native.translating import partitions_of

EXAMPLES = Path(__file__).parents[3] / "docs" / "examples" / "bridge"
LEFT, IGNORED, SENT = range(3)
ORDERS = """
[[source]]
topic = "t"
to = "orders"
encoding = "json"
type = { constant = "order_placed" }
[source.fields]
order_id = "id"
ts = "at"
platform = { constant = "web" }
merchant = "shop"
market = "land"
currency = "cur"
amount = "total"
"""


def section(headers: list[tuple[str, bytes]]) -> bytes:
    """Return headers as they lie in a record's bytes; all are short."""
    found = bytes([2 * len(headers)])
    for name, value in headers:
        found += bytes([2 * len(name)]) + name.encode() + bytes([2 * len(value)]) + value
    return found


@pytest.mark.parametrize("name", ["json", "avro", "debezium", "stripe"])
def test_it_takes_every_record_of_an_example_that_is_sent_or_ignored(name: str) -> None:
    bridge_map = load_map(EXAMPLES / name / "map.toml")
    given = read_given(EXAMPLES / name / "records.json", bridge_map, None, 0)
    translation = Translation(bridge_map.sources[0], given.schemas or GivenSchemas())
    records = [record for record in given.records if record.topic == bridge_map.sources[0].topic]
    now_ms = max(record.record_time_ms for record in records)
    expected = translation.translate(records, Changes(), now_ms).results
    assert translation.translators
    (translator,) = translation.translators.values()
    headers = [section([(n, v or b"") for n, v in record.headers]) for record in records]
    outcomes, _, _, _ = translator.translate(
        Values.of([record.value for record in records]),
        Values.of(headers),
        Values.of([record.key for record in records]),
        np.array([record.offset for record in records]),
        np.array([record.record_time_ms for record in records]),
        0,
    )
    codes = {"sent": SENT, "ignored": IGNORED, "rejected": LEFT}
    told = [codes[result.outcome] if record.value else LEFT for record, result in zip(records, expected, strict=True)]
    assert outcomes.tolist() == told


@pytest.mark.parametrize(
    "change",
    [
        "",
        '[[source.only]]\npath = "id"\nis = "1"\n',
        'each = "lines[*]"\n',
        'amount = { sum = "lines[*]", of = "price" }\n',
        'amount = { path = "total", as = "units_nanos" }\n',
        'amount = { path = "total", decimal = "base64" }\n',
        'brand = { record = "topic" }\n',
        'brand = { constant = "\\u0001" }\n',
        'brand = "id[0].x"\ncategory = "id.y"\n',
    ],
)
def test_what_it_cannot_take_is_left_to_the_rules_as_a_whole(change: str) -> None:
    head, fields = ORDERS.split("[source.fields]\n")
    if change.startswith("amount"):
        fields = fields.replace('amount = "total"\n', change)
    elif change.startswith("brand"):
        fields += change
    else:
        head += change
    (source,) = parse_map(f"{head}[source.fields]\n{fields}", Path("m.toml")).sources
    assert bool(Translation(source, GivenSchemas()).translators) is (not change)


def test_of_many_schemas_the_newest_have_a_translator() -> None:
    bridge_map = load_map(EXAMPLES / "avro" / "map.toml")
    given = read_given(EXAMPLES / "avro" / "records.json", bridge_map, None, 0)
    assert given.schemas is not None
    decoder = given.schemas.find("7")
    count = TRANSLATORS_LIMIT + 3
    schemas = GivenSchemas({str(number): decoder for number in range(count)})
    translation = Translation(bridge_map.sources[0], schemas)
    for number in range(count):
        value = number.to_bytes(5, "big") + (given.records[0].value or b"")[5:]
        given.records[0].value = value
        (result,) = translation.translate([given.records[0]], Changes(), given.records[0].record_time_ms).results
        assert result.outcome == "sent"
    assert list(translation.translators) == [n.to_bytes(5, "big") for n in range(count - TRANSLATORS_LIMIT, count)]


def test_columns_of_different_lengths_are_refused() -> None:
    (source,) = parse_map(ORDERS, Path("m.toml")).sources
    (translator,) = Translation(source, GivenSchemas()).translators.values()
    with pytest.raises(ValueError, match="one length each"):
        translator.translate(Values.of([b"{}"]), None, Values.of([]), [1], [2], 0)
    with pytest.raises(ValueError, match="a key is null"):
        partitions_of(Values.of([None]), 3)
