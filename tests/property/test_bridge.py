"""Records of any shape: the compiled plan and the audit's interpreter agree, and decoders with other libraries.

They share the map's parser and nothing that translates, so what one of them gets wrong the other tells.
"""

from __future__ import annotations

import io
import json
import uuid
from decimal import Decimal
from pathlib import Path
from typing import Any

import fastavro
import pytest
from confluent_kafka.schema_registry.common.protobuf import _create_index_array
from confluent_kafka.schema_registry.serde import SchemaId
from google.protobuf import descriptor_pb2, descriptor_pool, json_format, message_factory
from hypothesis import given
from hypothesis import strategies as st

from streams.bridge.audit.interpreter import Interpreter
from streams.bridge.decoding.avro import AvroDecoder
from streams.bridge.decoding.framing import message_indexes, unframed
from streams.bridge.decoding.json_values import JsonDecoder
from streams.bridge.decoding.leaf import NoSchema
from streams.bridge.decoding.protobuf import ProtobufDecoder
from streams.bridge.map import parse_map
from streams.bridge.outcomes import IgnoredError, RejectedError
from streams.bridge.plan import Changes, Plan
from streams.bridge.records import Record, read_headers
from streams.bridge.schemas import GivenSchemas
from streams.bridge.translation import Translation
from tests.property.foreign import HEADERS, LEAVES, objects

NOW_MS = 1_794_326_460_000
SAMPLES = Path(__file__).parents[1] / "unit" / "bridge" / "samples"
ROWS = """
[[source]]
topic = "t"
to = "payments"
encoding = "json"
unwrap = "payload"
timezone = "Europe/Berlin"
tombstones = "ignore"
[[source.when]]
op = ["c", "r"]
type = "payment_captured"
[[source.when]]
op = ["u"]
changed = { path = "status", to = "LOST" }
type = "payment_failed"
[[source.only]]
path = "after.n"
below = 5
[source.fields]
event_id = { template = "{after.id}-{op}" }
order_id = { path = ["after.id", "before.id"] }
payment_id = { record = "offset" }
ts = { path = "at", unit = "us" }
ordered_ts = { path = "day", format = "%Y-%m-%d" }
platform = { header = "h", default = "web" }
merchant = { path = "after.shop", values = { a = "A", b = "B" }, upper = false }
market = { path = "after.land", upper = true }
method = "after.how[0]"
currency = { path = "cur", upper = true, default = "EUR" }
amount = { path = "total", decimal = "," }
payer_currency = "payer"
payer_amount = { path = "paid", decimal = "base64" }
transport = { path = "freight", as = "units_nanos" }
duty_minor = { path = "duty", digits = { EUR = 3, JPY = 0 } }
reason = { path = "after.why" }
"""
EACH = """
[[source]]
topic = "t"
to = "orders"
encoding = "json"
each = "items[*]"
type = { path = ["[].kind", "kind"], values = { n = "order_placed", x = "order_cancelled" }, others = "ignore" }
[[source.only]]
path = "[].n"
is_not = ["void", "1"]
[source.fields]
order_id = "[].id"
ts = "at"
platform = { constant = "web" }
merchant = "[].shop"
market = { path = "land", default = "ZZ" }
currency = "cur"
amount = { sum = "[].lines[*]", of = "price", times = "n" }
coupon_minor = { path = "[].coupon", default = 0 }
credit = { path = "credit", default = "0.10" }
buyer = { path = "who", hash = false }
"""


@pytest.mark.parametrize("text", [ROWS, EACH], ids=["rows", "each"])
@given(found=objects(2), headers=HEADERS, is_past=st.booleans())
def test_the_compiled_plan_and_the_interpreter_say_the_same(
    text: str,
    found: dict[str, Any],
    headers: list[tuple[str, bytes | None]],
    is_past: bool,  # noqa: FBT001 - drawn
) -> None:
    (source,) = parse_map(text, Path("m.toml")).sources
    record = Record("t", 2, 5, NOW_MS, b"k", json.dumps(found).encode(), headers)
    translation = Translation(source, GivenSchemas(), None)
    (result,) = translation.translate([record], Changes(is_past_snapshot=is_past), 10**15).results
    interpreter = Interpreter(source, NoSchema(), lambda r: f"b-b14d9b7f0f1c1d6e-{r.partition}-{r.offset}", None)
    inner = found.get("payload", found) if source.unwrap is not None else found
    if not isinstance(inner, dict):
        assert (result.rule or result.rejection.reason) in ("tombstone", "not_an_object")  # type: ignore[union-attr]
        return
    verdict = interpreter.judge(json.loads(json.dumps(inner)), record, is_past_snapshot=is_past)
    assert verdict.outcome == result.outcome, (verdict, result)
    if result.rejection is not None:
        assert verdict.reason == result.rejection.reason
    told = [{k: v for k, v in event.fields.items() if k != "event_id"} for event in result.events]
    assert [{k: v for k, v in event.items() if k != "event_id"} for event in verdict.events] == told


SCHEMA = {
    "type": "record",
    "name": "R",
    "fields": [
        {"name": "at", "type": {"type": "long", "logicalType": "timestamp-micros"}},
        {"name": "day", "type": ["null", {"type": "int", "logicalType": "date"}]},
        {"name": "total", "type": {"type": "bytes", "logicalType": "decimal", "precision": 20, "scale": 3}},
        {
            "name": "fixed",
            "type": {"type": "fixed", "name": "F", "size": 9, "logicalType": "decimal", "precision": 20, "scale": 2},
        },
        {"name": "lines", "type": {"type": "array", "items": {"type": "map", "values": ["string", "double", "null"]}}},
    ],
}


@given(
    at=st.integers(0, 4 * 10**15),
    total=st.integers(-(10**15), 10**15),
    lines=st.lists(st.dictionaries(st.text(max_size=3), st.none() | st.text(max_size=5) | st.floats(allow_nan=False))),
)
def test_avro_decodes_as_the_library_does_by_itself_but_for_logical_types(
    at: int, total: int, lines: list[dict[str, Any]]
) -> None:
    decimal = Decimal(total).scaleb(-3)
    value = {"at": at, "day": None, "total": decimal, "fixed": Decimal(total).scaleb(-2), "lines": lines}
    stream = io.BytesIO()
    raw = {**value, "total": total.to_bytes(9, "big", signed=True), "fixed": total.to_bytes(9, "big", signed=True)}
    plain = fastavro.parse_schema(json.loads(json.dumps(SCHEMA).replace("logicalType", "ignoredType")))
    fastavro.schemaless_writer(stream, plain, raw)
    decoder = AvroDecoder(SCHEMA)
    found = decoder.decode(stream.getvalue())
    stream.seek(0)
    typed: Any = fastavro.schemaless_reader(stream, fastavro.parse_schema(SCHEMA), None)
    scales = {name: decoder.leaf((name,)).scale for name in ("total", "fixed")}
    for name, scale in scales.items():
        assert scale is not None
        assert Decimal(int.from_bytes(found[name], "big", signed=True)).scaleb(-scale) == typed[name]
    assert decoder.leaf(("at",)).unit == "us"
    assert decoder.leaf(("day",)).is_date
    assert found["at"] == at
    assert found["lines"] == typed["lines"] == lines


@given(st.recursive(LEAVES, lambda inner: st.lists(inner) | st.dictionaries(st.text(), inner), max_leaves=20))
def test_json_decodes_as_the_standard_library_does(value: Any) -> None:  # noqa: ANN401 - any JSON
    text = json.dumps(value)
    assert JsonDecoder().decode(text.encode()) == json.loads(text)


@given(st.binary(max_size=40))
def test_bytes_of_any_kind_are_json_or_rejected(value: bytes) -> None:
    try:
        assert JsonDecoder().decode(value) == json.loads(value)
    except RejectedError as error:
        reason = error.reason
    else:
        return
    assert reason in {"empty", "not_json", "not_utf8"}


def _protobuf() -> tuple[bytes, Any]:
    content = (SAMPLES / "own" / "protobuf-bare" / "shop.desc").read_bytes()
    pool = descriptor_pool.DescriptorPool()
    for file in descriptor_pb2.FileDescriptorSet.FromString(content).file:
        pool.Add(file)
    return content, message_factory.GetMessageClass(pool.FindMessageTypeByName("shop.v1.Order"))


@given(
    identity=st.text(max_size=5),
    units=st.integers(-(2**40), 2**40),
    quantities=st.lists(st.integers(-3, 9), max_size=3),
    brand=st.none() | st.text(max_size=3),
    status=st.integers(0, 2),
)
def test_protobuf_decodes_as_its_own_json_does(
    identity: str, units: int, quantities: list[int], brand: str | None, status: int
) -> None:
    content, kind = _protobuf()
    message = kind(id=identity, status=status)
    message.total.units = units
    for quantity in quantities:
        message.lines.add(quantity=quantity)
    if brand is not None:
        message.brand = brand
    found = ProtobufDecoder(content, "shop.v1.Order").decode(message.SerializeToString())
    plain = json_format.MessageToDict(
        message, preserving_proto_field_name=True, always_print_fields_with_no_presence=True
    )
    for money in (found["total"], plain["total"]):
        money["units"] = int(money["units"])
    plain["coupon_cents"] = int(plain["coupon_cents"])
    assert found == plain


def test_frames_are_those_that_confluents_library_writes() -> None:
    _, kind = _protobuf()
    others = [kind.DESCRIPTOR.nested_types[0], kind.DESCRIPTOR.file.message_types_by_name["Money"]]
    for descriptor in (kind.DESCRIPTOR, *others):
        indexes = _create_index_array(descriptor)
        guid = uuid.uuid4()
        written = SchemaId("PROTOBUF", 300, str(guid), indexes)
        found = unframed(written.id_to_bytes() + b"more", ())
        assert found.schema == "300"
        taken, size = message_indexes(found.payload)
        assert (taken, found.payload[size:]) == (tuple(indexes), b"more")
        found = unframed(b"more", [("__value_schema_id", written.guid_to_bytes())])
        assert (found.schema, found.payload) == (str(guid), b"more")
        assert message_indexes(found.frame)[0] == tuple(indexes)


@given(st.binary(max_size=30), st.binary(max_size=10))
def test_frames_of_any_kind_are_read_or_rejected(value: bytes, header: bytes) -> None:
    (source,) = parse_map(EACH.replace("each = ", 'framing = "confluent"\neach = '), Path("m.toml")).sources
    record = Record("t", 0, 0, NOW_MS, None, value, [("__value_schema_id", header)] if header else [])
    (result,) = Translation(source, GivenSchemas()).translate([record], Changes(), NOW_MS).results
    assert result.rejection is not None
    assert result.rejection.reason in {"empty", "unreadable", "not_json", "not_utf8", "not_an_object"}


def test_headers_are_read_as_they_lie_in_a_records_bytes() -> None:
    assert read_headers(None) == ()
    assert read_headers(b"\x00") == []
    assert read_headers(b"\x06\x02a\x02b\x02a\x01\x02\xff\x00") == [("a", b"b"), ("a", None), ("\\xff", b"")]
    many = b"\x02" + b"\x80\x02" + b"n" * 128 + b"\x90\x03" + b"v" * 200
    assert read_headers(many) == [("n" * 128, b"v" * 200)]


def test_a_plan_of_a_schema_that_says_two_things_cannot_be_made() -> None:
    schema = {
        "type": "record",
        "name": "R",
        "fields": [
            {
                "name": "at",
                "type": [
                    {"type": "int", "logicalType": "date"},
                    {"type": "long", "logicalType": "timestamp-millis"},
                ],
            }
        ],
    }
    (source,) = parse_map(EACH, Path("m.toml")).sources
    with pytest.raises(ValueError, match="different types of times or decimals at at"):
        Plan(source, AvroDecoder(schema))
    with pytest.raises(IgnoredError):
        Plan(source, NoSchema()).events({"items": []}, Record("t", 0, 0, 0, None, None), Changes())
