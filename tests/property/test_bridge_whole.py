"""Whole batches are what the rules make of each record: the compiled part takes only what it is sure of."""

from __future__ import annotations

import base64
import io
import json
from pathlib import Path
from typing import TYPE_CHECKING, Any

import fastavro
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from xxhash import xxh3_64_hexdigest

from streams.bridge.audit.interpreter import Interpreter
from streams.bridge.decoding.avro import AvroDecoder
from streams.bridge.decoding.leaf import NoSchema
from streams.bridge.map import parse_map
from streams.bridge.outcomes import Outcome
from streams.bridge.plan import Changes
from streams.bridge.records import Record
from streams.bridge.schemas import GivenSchemas
from streams.bridge.translation import Translation
from streams.bridge.whole import translate_whole
from streams.engine.batch import RecordBatch
from streams.native import TRANSLATES
from streams.native.texts import joined
from tests.conftest import skip
from tests.property.foreign import HEADERS, INTEGERS, LEAVES, NUMBERS, TEXTS, nearly, objects

if TYPE_CHECKING:
    from collections.abc import Sequence

    from streams.bridge.sources import Source

NOW_MS = 1_794_326_460_000
ROWS = """
[[source]]
topic = "t"
to = "payments"
encoding = "json"
unwrap = "payload"
timezone = "Europe/Berlin"
tombstones = "ignore"
[[source.when]]
op = ["c", "d"]
type = "payment_captured"
[[source.when]]
op = "u"
changed = { path = "status", to = "LOST" }
type = "payment_failed"
[source.fields]
event_id = { template = "{after.id}-{op}" }
order_id = { path = ["after.id", "before.id"] }
payment_id = { record = "offset" }
ts = { path = "at", unit = "us" }
ordered_ts = { path = "day", default = 2026-11-10T11:00:00Z }
platform = { header = "h", default = "web" }
merchant = { path = "after.shop", values = { a = "A", b = "é" }, upper = false }
market = { path = "after.land", upper = true }
method = "after.how[0]"
currency = { path = "cur", upper = true, default = "EUR" }
amount = { path = "total", decimal = "," }
payer_currency = "payer"
payer_amount = { path = "paid.value", decimal = "base64", scale = 2 }
transport = { path = "freight", default = "0.50" }
duty_minor = { path = "duty", digits = { EUR = 3, JPY = 0 } }
reason = { path = "after.why" }
"""
TYPED = """
[[source]]
topic = "t"
to = "orders"
encoding = "json"
type = { path = ["kind", "op"], values = { n = "order_placed", x = "order_cancelled" }, others = "ignore" }
[source.fields]
order_id = { record = "key" }
ts = { record = "timestamp" }
ordered_ts = { path = ["at", "day"] }
platform = { header = "g", values = { shop = "web" }, default = "other" }
merchant = "after.shop"
market = { constant = "DE" }
currency = { path = "cur" }
amount = "total"
coupon_minor = { path = "n", default = 0 }
credit = { path = "price", default = "0.10" }
brand = "lines[1].shop"
category = { record = "partition" }
"""
BOXES = """
[[source]]
topic = "t"
to = "recycling"
encoding = "json"
framing = "confluent"
type = { header = "h", values = { shop = "box_recycled" } }
[source.fields]
event_id = "id"
ts = { path = "at", unit = "s" }
station = "after.id"
operator = { path = "kind", values = { n = "cainiao", x = "partner" }, default = "partner" }
city = "land"
district = { path = "shop", default = "none" }
boxes = { path = "n", default = 1 }
points = "duty"
flash = { path = "who", default = false }
user = "cur"
"""
SECTIONS = st.lists(
    st.tuples(
        st.sampled_from(["h", "g", "__value_schema_id"]),
        st.none() | st.sampled_from([b"", b"shop", b'a"', b"\xff", b"\xc3\xa9"]),
    ),
    max_size=3,
)
KEYS = st.sampled_from([b"k1", b"k1", b"k2", "京".encode(), b"", None, b"\xff", b"a\\b"])
PUT = [b"", b",", b'"', b"\\", b"1", b"e9", b"-", b"\xff", b"\xc3\xa9", b"}", b" ", b"0"]
DAMAGE = st.none() | st.none() | st.none() | st.tuples(st.integers(0, 400), st.sampled_from(PUT))


def varint(number: int) -> bytes:
    """Return a number as Kafka writes it."""
    number = (number << 1) ^ (number >> 63)
    found = b""
    while number >= 0x80:
        found += bytes([number & 0x7F | 0x80])
        number >>= 7
    return found + bytes([number])


def section(headers: Sequence[tuple[str, bytes | None]]) -> bytes:
    """Return headers as they lie in a record's bytes."""
    found = varint(len(headers))
    for name, value in headers:
        found += varint(len(name)) + name.encode()
        found += varint(-1) if value is None else varint(len(value)) + value
    return found


def damaged(value: bytes, damage: tuple[int, bytes] | None) -> bytes:
    """Return a value with something put into it or, for nothing, a byte less."""
    if damage is None:
        return value
    place, put = damage[0] % (len(value) + 1), damage[1]
    return value[:place] + put + value[place + (not put) :]


def compare(source: Source, schemas: GivenSchemas, records: Sequence[Record], *, is_past: bool) -> None:
    """Hold a batch to what the rules make of each of its records; both ways have an order of their own."""
    if not TRANSLATES:
        skip("the compiled part is not built here: no C compiler, or no headers of Python")
    translation, plain = Translation(source, schemas), Translation(source, schemas)
    if records and source.encoding == "json":
        assert translation.translators, "the map is one that is compiled"
    one_by_one = Changes(is_past_snapshot=is_past)
    expected = plain.translate(records, one_by_one, NOW_MS)
    batch = RecordBatch(
        "t",
        3,
        0,
        len(records),
        [record.offset for record in records],
        joined([[record.key for record in records]]),
        joined([[record.value for record in records]]),
        [record.record_time_ms for record in records],
        joined([[section(record.headers) for record in records]]),
    )
    for _ in range(2):  # the second time also what had no translator before has one
        changes = Changes(is_past_snapshot=is_past)
        found = translate_whole(translation, batch, changes, NOW_MS)
        assert found.needs == expected.needs
        assert (found.stop if found.stop is not None else len(records)) == len(expected.results)
        assert list(found.values) == [event.value for result in expected.results for event in result.events]
        assert list(found.keys) == [event.key for result in expected.results for event in result.events]
        assert {k: n for k, n in found.outcomes.items() if n} == _counts(r.outcome for r in expected.results)
        assert found.types == _counts(e.fields["type"] for r in expected.results for e in r.events)
        assert changes.is_past_snapshot == one_by_one.is_past_snapshot
        told = [(r, e.reason, e.path, e.detail) for r, e in found.rejected]
        rejected = [
            (r, result.rejection) for r, result in zip(records, expected.results, strict=False) if result.rejection
        ]
        assert told == [(r, e.reason, e.path, e.detail) for r, e in rejected]


def _counts(found: Any) -> dict[Any, int]:  # noqa: ANN401 - any iterable
    counts: dict[Any, int] = {}
    for one in found:
        counts[one] = counts.get(one, 0) + 1
    return counts


SHOPS = st.sampled_from(["a", "b"])


def mostly(good: list[Any], bad: list[Any]) -> st.SearchStrategy[Any]:
    """Return the good ones more often than the others."""
    return st.sampled_from([*(good * (1 + 8 * len(bad) // len(good))), *bad])


AMOUNTS = mostly(
    ["12,5", 12, 12.25, 0, 0.1, "7"], ["0,001", "12.5", "-1", 84.123, "1234567890123", 10**13, 10**14, -0.5]
)
TIMES = mostly(
    ["", None, "2026-11-10T11:00:00.123+05:30", "2024-02-29T23:59:59.123456-00:00"],
    ["2026-02-29T00:00:00Z", "2026-11-10T11:00:00.1Z", "2026-11-10T24:00:00Z"],
)
CODED = st.integers(0, 10**6).map(lambda n: base64.b64encode(n.to_bytes(5, "big", signed=True)).decode())
ROW = {
    "id": mostly(["k1", 7, "京"], ["__k", True]),
    "status": mostly(["LOST", "NEW"], [None, 3]),
    "shop": SHOPS,
    "land": mostly(["de", "DE"], ["é", "x" * 65]),
    "how": mostly([["card"], ["card", {}]], [[]]),
    "why": st.just("declined"),
}
GOOD: dict[str, Any] = {
    ROWS: {
        "payload": {
            "op": mostly(["c", "u", "d"], ["r", "", 1]),
            "after": ROW,
            "before": ROW,
            "at": st.integers(NOW_MS * 1000 - 9999, NOW_MS * 1000),
            "day": TIMES,
            "cur": mostly(["EUR", "eur", "JPY", None], ["MGA", "XAG", "XXX"]),
            "total": AMOUNTS,
            "payer": mostly(["CNY", "KWD"], [None, "EURO"]),
            "paid": {"value": CODED},
            "freight": AMOUNTS,
            "duty": mostly([0, 10, 1000], [7, 12500]),
        }
    },
    TYPED: {
        "kind": st.sampled_from(["n", "x", "draft"]),
        "at": mostly([NOW_MS, 20261110, "2026-11-10T11:00:00Z"], ["2026-11-10 11:00:00", "1999-12-31T24:00"]),
        "after": {"shop": SHOPS},
        "cur": mostly(["EUR", "EUR", "KWD"], ["JPY"]),
        "total": mostly([12, 84.25, "84.25", 100.0], ["12,5", 0.001]),
        "n": st.integers(0, 50),
        "price": mostly([0, "0.5", None], ["x"]),
        "lines": st.sampled_from([[1, {"shop": "b"}, None], [], [[], {"shop": 1.5}]]),
    },
    BOXES: {
        "id": st.sampled_from(["k1", 7]),
        "at": st.integers(NOW_MS // 1000 - 5, NOW_MS // 1000),
        "after": {"id": st.sampled_from(["s", 1])},
        "kind": st.sampled_from(["n", "x", None]),
        "land": st.just("hz"),
        "shop": st.sampled_from(["a", None]),
        "n": st.integers(0, 6),
        "duty": st.integers(0, 50),
        "who": st.booleans(),
        "cur": st.sampled_from([None, "u1"]),
    },
}


USUAL = st.just([("h", b"shop"), ("g", b"shop")])


def records_of(text: str) -> st.SearchStrategy[list[Any]]:
    """Return what records of a map are made of: most of them good, a few of any kind."""
    found = (
        nearly(GOOD[text])
        | nearly(GOOD[text])
        | nearly(GOOD[text])
        | objects(2)
        | st.fixed_dictionaries({"payload": objects(2)})
    )
    told = SECTIONS | HEADERS | USUAL | USUAL | USUAL
    return st.lists(st.tuples(found, told, KEYS, DAMAGE, st.booleans()), min_size=1, max_size=3)


@pytest.mark.parametrize("text", [ROWS, TYPED, BOXES], ids=["rows", "typed", "boxes"])
@given(data=st.data(), is_past=st.booleans(), time_ms=st.sampled_from([NOW_MS, NOW_MS, 0, 10**15]))
def test_json_in_whole_batches_is_what_the_rules_make_of_each_record(
    text: str,
    data: st.DataObject,
    is_past: bool,  # noqa: FBT001 - drawn
    time_ms: int,
) -> None:
    (source,) = parse_map(text, Path("m.toml")).sources
    frame = b"\x00\x00\x00\x00\x07" if source.is_framed else b""
    drawn = enumerate(data.draw(records_of(text)))
    records = [
        Record("t", 3, offset, time_ms, key, damaged(frame + _json(found, is_ascii=is_ascii), damage), headers)
        for offset, (found, headers, key, damage, is_ascii) in drawn
    ]
    compare(source, GivenSchemas(), records, is_past=is_past)


def _json(found: Any, *, is_ascii: bool = True) -> bytes:  # noqa: ANN401 - any JSON
    return json.dumps(found, ensure_ascii=is_ascii).encode()


@pytest.mark.parametrize("text", [ROWS, TYPED], ids=["rows", "typed"])
@given(data=st.data(), headers=HEADERS, is_past=st.booleans())
def test_json_in_whole_batches_is_what_the_audits_interpreter_makes_of_it(
    text: str,
    data: st.DataObject,
    headers: list[tuple[str, bytes | None]],
    is_past: bool,  # noqa: FBT001 - drawn
) -> None:
    if not TRANSLATES:
        skip("the compiled part is not built here: no C compiler, or no headers of Python")
    (source,) = parse_map(text, Path("m.toml")).sources
    found = data.draw(nearly(GOOD[text]) | objects(2))
    inner = found.get("payload", found) if source.unwrap is not None else found
    if not isinstance(inner, dict):
        return
    record = Record("t", 2, 5, NOW_MS, b"k", json.dumps(found).encode(), headers)
    columns = joined([[record.key]]), joined([[record.value]]), [NOW_MS], joined([[section(headers)]])
    batch = RecordBatch("t", 2, 5, 6, [5], *columns)
    whole = translate_whole(Translation(source, GivenSchemas()), batch, Changes(is_past_snapshot=is_past), 10**15)
    made = f"b-{xxh3_64_hexdigest(b't')}-2-5"
    interpreter = Interpreter(source, NoSchema(), lambda _: made, None)
    verdict = interpreter.judge(json.loads(json.dumps(inner)), record, is_past_snapshot=is_past)
    (outcome,) = (outcome for outcome, count in whole.outcomes.items() if count)
    assert outcome == verdict.outcome
    if verdict.outcome == Outcome.REJECTED:
        assert whole.rejected[0][1].reason == verdict.reason
    assert [json.loads(value or b"") for value in whole.values] == list(verdict.events)


PLAIN = st.text(max_size=4) | TEXTS | NUMBERS
MAYBE = ["null", "string"]
DECIMAL = {"logicalType": "decimal", "precision": 11}
SCHEMA = {
    "type": "record",
    "name": "R",
    "fields": [
        {"name": "id", "type": {"type": "string", "logicalType": "uuid"}},
        {"name": "kind", "type": {"type": "enum", "name": "K", "symbols": ["n", "x", "draft"]}},
        {"name": "lines", "type": {"type": "array", "items": {"type": "map", "values": ["string", "double", "null"]}}},
        {"name": "at", "type": {"type": "long", "logicalType": "timestamp-micros"}},
        {"name": "day", "type": ["null", {"type": "int", "logicalType": "date"}, "string"]},
        {"name": "total", "type": {"type": "bytes", **DECIMAL, "scale": 3}},
        {
            "name": "after",
            "type": [
                "null",
                {
                    "type": "record",
                    "name": "A",
                    "fields": [
                        {"name": "shop", "type": MAYBE},
                        {"name": "flag", "type": "boolean"},
                        {"name": "n", "type": ["int", "float", "string"]},
                    ],
                },
            ],
        },
        {"name": "before", "type": ["null", "A"]},
        {"name": "cur", "type": "string"},
        {
            "name": "coupon",
            "type": {"type": "fixed", "name": "F", "size": 5, "logicalType": "decimal", "precision": 9, "scale": 2},
        },
    ],
}
AVRO = """
[[source]]
topic = "t"
to = "orders"
encoding = "avro"
timezone = "Europe/Berlin"
type = { path = "kind", values = { n = "order_placed", x = "order_cancelled" }, others = "ignore" }
[source.fields]
event_id = { template = "{id}:{kind}" }
order_id = "id"
ts = "at"
ordered_ts = "day"
platform = { constant = "web" }
merchant = { path = ["after.shop", "before.shop"], default = "own" }
market = { path = "nowhere", default = "ZZ" }
currency = "cur"
amount = "total"
coupon = "coupon"
credit_minor = "after.n"
brand = "after.flag"
"""
SMALL = st.integers(0, 50)
TENS = st.integers(0, 10**6).map(lambda n: 10 * n)
INNER = st.fixed_dictionaries(
    {
        "shop": st.sampled_from(["a", "é", None]) | st.sampled_from(["a", "é", None]) | PLAIN,
        "flag": st.booleans(),
        "n": st.integers(0, 50)
        | st.integers(0, 50)
        | st.integers(-3, 2**31 - 1)
        | st.floats(width=32, allow_nan=False)
        | PLAIN,
    }
)
VALUES = st.fixed_dictionaries(
    {
        "id": st.sampled_from(["k1", "k2"]) | st.sampled_from(["k1", "k2"]) | PLAIN,
        "kind": st.sampled_from(["n", "x", "draft"]),
        "lines": st.lists(st.dictionaries(st.text(max_size=3), st.none() | st.text(max_size=5)), max_size=2),
        "at": st.sampled_from([*[NOW_MS * 1000 - 1] * 20, 0, -1, 2**62, -(2**63)]),
        "day": st.sampled_from([None, "2026-11-10T11:00:00.123Z"]) | st.none() | st.integers(-5, 30_000) | NUMBERS,
        "total": (TENS | TENS | TENS | st.integers(-(10**3), 10**15)).map(
            lambda number: number.to_bytes(8, "big", signed=True)
        ),
        "after": INNER | st.none(),
        "before": INNER | st.none(),
        "cur": st.sampled_from(["EUR", "EUR", "EUR", "EUR", "JPY", "eur", ""]),
        "coupon": st.integers(-1, 50).map(lambda number: number.to_bytes(5, "big", signed=True)),
    }
)
OTHER = {"type": "record", "name": "R", "fields": [{"name": name, "type": "string"} for name in ("id", "kind", "cur")]}


@given(
    drawn=st.lists(st.tuples(VALUES, st.just([]) | SECTIONS, DAMAGE, st.sampled_from([7, 7, 7, 8, 9])), max_size=4),
)
def test_avro_in_whole_batches_is_what_the_rules_make_of_each_record(drawn: list[Any]) -> None:
    (source,) = parse_map(AVRO, Path("m.toml")).sources
    plain = fastavro.parse_schema(json.loads(json.dumps(SCHEMA).replace("logicalType", "ignoredType")))
    records = []
    for offset, (value, headers, damage, schema) in enumerate(drawn):
        stream = io.BytesIO()
        if schema == 8:
            fastavro.schemaless_writer(
                stream, fastavro.parse_schema(OTHER), {"id": value["id"], "kind": "n", "cur": "EUR"}
            )
        else:
            fastavro.schemaless_writer(stream, plain, value)
        payload = damaged(bytes([0, 0, 0, 0, schema]) + stream.getvalue(), damage)
        records.append(Record("t", 3, offset, NOW_MS, b"k", payload, headers))
    schemas = Waiting({"7": AvroDecoder(SCHEMA), "8": AvroDecoder(OTHER)})
    compare(source, schemas, records, is_past=False)


class Waiting(GivenSchemas):
    """Schemas of which those that are not given are waited for."""

    def find(self, schema: str) -> Any:  # noqa: ANN401 - a decoder or None
        """Return what was given."""
        return self.decoders.get(schema)


@settings(max_examples=300)
@given(st.binary(max_size=60), LEAVES, INTEGERS)
def test_bytes_of_any_kind_are_left_to_the_rules(value: bytes, leaf: Any, number: int) -> None:  # noqa: ANN401 - any JSON
    (source,) = parse_map(TYPED, Path("m.toml")).sources
    texts = [
        value,
        json.dumps(leaf).encode(),
        json.dumps({"kind": "n", "cur": "EUR", "total": leaf, "n": number}).encode(),
    ]
    records = [Record("t", 3, n, NOW_MS, b"k", text, []) for n, text in enumerate(texts)]
    compare(source, GivenSchemas(), records, is_past=False)
