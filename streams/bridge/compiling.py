"""A source of a map, for one schema, as a program of the compiled part: None where it cannot take the source.

What it makes of a record is what `streams.bridge.plan` makes of it, byte for byte; tests/property/test_bridge.py holds
it to that. Records that it is not sure of it leaves to the plan, so there is one place that names reasons.
"""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

import orjson
from xxhash import xxh3_64_hexdigest

from streams.bridge.decoding.avro import AvroDecoder
from streams.bridge.decoding.framing import ID_BYTES, SCHEMA_HEADER
from streams.bridge.program import Field, Program, Slots, UnfitError, When, avro_types, json_nodes
from streams.bridge.rules import BASE64
from streams.domain.currencies import EXPONENTS
from streams.domain.facts import Kind
from streams.mapping.times import EARLIEST_MS, LATEST_MS
from streams.native import TRANSLATES

if TRANSLATES:
    from streams.native.translating import Translator

if TYPE_CHECKING:
    from collections.abc import Mapping, Sequence

    from streams.bridge.decoding.leaf import Leaf, Shape
    from streams.bridge.program import Parts
    from streams.bridge.rules import Rule
    from streams.bridge.sources import Source

SHIFT_LIMIT = 18
CHOICES_LIMIT = 1_000
_PER_MS = {"s": (1_000, 1), "ms": (1, 1), "us": (1, 1_000), "ns": (1, 1_000_000)}
"""What makes milliseconds of a number: times the first, by the second."""
_NO_DAY = 10**9
"""From here on a number without a unit is no date written in eight digits."""
_RECORD_SLOTS = ("key", "timestamp", "offset", "partition")


def translator_of(source: Source, shape: Shape, frame: bytes, hashed: Sequence[str]) -> Translator | None:
    """Return what translates the payloads of one schema, None where that is left to the rules.

    `frame` is what stands in front of them for certain; `hashed` are the fields whose texts are hashed.
    """
    if not TRANSLATES:
        return None
    try:
        return Translator(_Compiler(source, shape, hashed).program(frame))
    except UnfitError:
        return None


class _Compiler:
    def __init__(self, source: Source, shape: Shape, hashing: Sequence[str]) -> None:
        self._source = source
        self._shape = shape
        self._hashing = hashing
        self._fact = source.fact
        self._slots = Slots()
        self._origins: list[int] = []
        self._parts: list[tuple[bytes, int]] = []
        self._choices: list[tuple[bytes, bytes, int]] = []
        self._tables: list[Mapping[str, int]] = []
        self._places: dict[str, int] = {}
        """Where a field of the event stands among its fields."""

    def program(self, frame: bytes) -> Program:
        source = self._source
        if source.each is not None or source.only or source.encoding == "protobuf":
            raise UnfitError("rules that are not compiled")
        unwrap = self._slots.path(()) if source.unwrap is None else self._slots.path(source.unwrap.parts)
        fields = self._fields()
        whens = [self._when(when) for when in source.whens]
        op = self._path(("op",)) if whens else -1
        type_origins, type_choices, fixed = self._type()
        return Program(
            slot_count=self._slots.count,
            fields=fields,
            whens=whens,
            op_slot=op,
            unwrap_slot=unwrap,
            type_origins=type_origins,
            type_choices=type_choices,
            fixed_type=fixed,
            ignores_others=source.type is not None and source.type.ignores_others,
            key_field=self._places["station" if source.to == "recycling" else "order_id"],
            prefix=b"b-" + xxh3_64_hexdigest(source.topic.encode()).encode() + b"-",
            years=(EARLIEST_MS, LATEST_MS),
            heads=[b'{"type":' + orjson.dumps(name) for name in self._fact.types],
            origins=self._origins,
            parts=self._parts,
            choices=self._choices,
            tables=self._tables,
            headers=self._headers(),
            record_slots=self._record_slots(),
            frame=frame,
            frame_size=ID_BYTES if source.is_framed else 0,
            **self._payload(),
        )

    def _payload(self) -> dict[str, Any]:
        if isinstance(self._shape, AvroDecoder):
            return {"nodes": (), "types": avro_types(self._slots, *self._shape.parsed)}
        return {"nodes": json_nodes(self._slots), "types": ()}

    def _headers(self) -> list[tuple[bytes, int]]:
        found = []
        for name, slot in self._slots.others.items():
            if name.startswith("header:"):
                header = name.removeprefix("header:")
                if "\\" in header or (self._source.is_framed and header == SCHEMA_HEADER):
                    raise UnfitError("a header's name that may be another one's")
                found.append((header.encode(), slot))
        return [*found, (SCHEMA_HEADER.encode(), -1)] if self._source.is_framed else found

    def _record_slots(self) -> tuple[int, int, int, int]:
        key, timestamp, offset, partition = (self._slots.others.get(name, -1) for name in _RECORD_SLOTS)
        return key, timestamp, offset, partition

    def _path(self, parts: Parts) -> int:
        unwrap = self._source.unwrap
        return self._slots.path(parts if unwrap is None else (*unwrap.parts, *parts))

    def _type(self) -> tuple[tuple[int, int], tuple[int, int], int]:
        rule, types = self._source.type, self._fact.types
        if rule is None:
            return (0, 0), (0, 0), -1
        if rule.constant is not None:
            return (0, 0), (0, 0), types.index(rule.constant)
        slots = [self._path(path.parts) for path in rule.paths]
        if rule.header is not None:
            slots = [self._slots.other(f"header:{rule.header}")]
        values = rule.values if rule.values is not None else {name: name for name in types}
        first = len(self._choices)
        self._choices += [(text.encode(), b"", types.index(name)) for text, name in values.items()]
        return self._origin(slots), (first, len(values)), -1

    def _when(self, when: Any) -> When:  # noqa: ANN401 - sources.When
        event_type, ops = self._fact.types.index(when.type), "".join(when.ops).encode()
        if when.changed is None:
            return When(ops, -1, -1, b"", event_type)
        after, before = (self._path((side, *when.changed.path.parts)) for side in ("after", "before"))
        return When(ops, after, before, _plain(when.changed.to), event_type)

    def _origin(self, slots: Sequence[int]) -> tuple[int, int]:
        first = len(self._origins)
        self._origins += slots
        return first, len(slots)

    def _fields(self) -> list[Field]:
        required = {field.name for field in self._fact.fields if field.is_required}
        every = (1 << len(self._fact.types)) - 1
        fields = []
        if not self._source.names_events:
            fields.append(Field("made", b',"event_id":"', (0, 0), every, is_required=True))
        for rule in sorted(self._source.rules, key=lambda rule: rule.kind is Kind.MONEY):
            self._places[rule.target] = len(fields)
            types = sum(1 << self._fact.types.index(name) for name in rule.types) if rule.types else every
            # A money field is read whatever the type of its event.
            types = every if rule.kind is Kind.MONEY else types
            fields.append(self._field(rule, types, is_required=rule.target in required))
        return fields

    def _field(self, rule: Rule, types: int, *, is_required: bool) -> Field:
        if rule.is_hashed or rule.target in self._hashing or rule.sum is not None:
            raise UnfitError("rules that are not compiled")
        name = b"," + orjson.dumps(rule.target) + b":"
        if rule.template:
            first = len(self._parts)
            for text, path in rule.template:
                self._parts.append((_plain(text), -1 if path is None else self._path(path.parts)))
            return Field("template", name + b'"', (first, len(rule.template)), types, is_required)
        origins = self._origin(self._sources_of(rule))
        fallback = rule.constant if rule.constant is not None else rule.default
        match rule.kind:
            case Kind.TEXT:
                return self._text(rule, Field("text", name + b'"', origins, types, is_required, _fitting(fallback)))
            case Kind.TIME:
                return self._time(rule, Field("time", name, origins, types, is_required, _fitting(fallback)))
            case Kind.MONEY:
                return self._money(rule, Field("amount", name, origins, types, is_required, _fitting(fallback)))
            case Kind.COUNT:
                return Field("count", name, origins, types, is_required, _fitting(fallback))
        if rule.values is not None:
            raise UnfitError("a flag by its values")
        return Field("flag", name, origins, types, is_required, _fitting(fallback))

    def _sources_of(self, rule: Rule) -> list[int]:
        if rule.header is not None:
            return [self._slots.other(f"header:{rule.header}")]
        if rule.record is not None:
            if rule.record not in _RECORD_SLOTS:
                raise UnfitError("the name of a topic")
            return [self._slots.other(rule.record)]
        return [self._path(path.parts) for path in rule.paths]

    def _text(self, rule: Rule, field: Field) -> Field:
        if rule.values is None:
            return field._replace(is_upper=rule.is_upper)
        if len(rule.values) > CHOICES_LIMIT:
            raise UnfitError("too many values")
        first = len(self._choices)
        longest = tuple(_plain(text) for text in rule.values.values())
        self._choices += [(text.encode(), _plain(meant), 0) for text, meant in rule.values.items()]
        return field._replace(choices=(first, len(rule.values)), longest=longest, is_upper=rule.is_upper)

    def _leaf(self, rule: Rule) -> Leaf:
        """Return what the schema says of a field's values; paths of which it says different things are left."""
        leaves = {self._shape.leaf(path.parts) for path in rule.paths} or {self._shape.leaf(())}
        if len(leaves) > 1:
            raise UnfitError("two paths of different types")
        return leaves.pop()

    def _time(self, rule: Rule, field: Field) -> Field:
        leaf = self._leaf(rule)
        has_formats = rule.times is not None and rule.times.has_formats
        field = field._replace(takes_texts=not has_formats)
        if leaf.is_date or leaf.is_local or (has_formats and leaf.unit is None):
            return field
        unit = leaf.unit or rule.unit
        multiplier, divider = _PER_MS[unit or "ms"]
        return field._replace(multiplier=multiplier, divider=divider, least=0 if unit else _NO_DAY)

    def _money(self, rule: Rule, field: Field) -> Field:
        if rule.form == "units_nanos":
            raise UnfitError("rules that are not compiled")
        leaf, is_base64 = self._leaf(rule), rule.decimal == BASE64
        scale = leaf.scale if leaf.scale is not None else rule.scale
        if is_base64 and scale is None:
            raise UnfitError("a decimal with its scale beside it")
        if rule.form == "minor":
            shifts = {code: EXPONENTS[code] - rule.digits.get(code, EXPONENTS[code]) for code in EXPONENTS}
        else:
            shifts = dict(EXPONENTS)
        if any(abs(shift) > SHIFT_LIMIT for shift in shifts.values()):
            raise UnfitError("too many digits")
        if shifts not in self._tables:
            self._tables.append(shifts)
        return field._replace(
            currency=self._places.get(rule.currency, -1),
            table=self._tables.index(shifts),
            scale=-1 if scale is None else scale,
            is_base64=is_base64,
            point=ord("," if rule.decimal == "," else "."),
        )


def _plain(text: str) -> bytes:
    """Return a text as it stands in JSON, without quotes, where it stands there as it is."""
    found = text.encode()
    if orjson.dumps(text)[1:-1] != found:
        raise UnfitError("a text that JSON writes otherwise")
    return found


def _fitting(value: str | int | bool | None) -> bytes | int | bool | None:  # noqa: FBT001 - a value of a map
    return _plain(value) if isinstance(value, str) else value
