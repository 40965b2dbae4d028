"""What the compiled translator (`streams.native.translating`) is told: slots for values, and what is made of them."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any, NamedTuple

if TYPE_CHECKING:
    from collections.abc import Mapping, Sequence

    Parts = tuple[str | int, ...]

NODES_LIMIT = 256
TYPES_LIMIT = 1024
DEPTH_LIMIT = 30
(NULLS, BOOLEANS, LONGS, FLOATS, DOUBLES, BINARIES, STRINGS, ENUMS, FIXEDS, UNIONS, RECORDS, ARRAYS, MAPS) = range(13)
_PRIMITIVES = {
    "null": (NULLS, 0),
    "boolean": (BOOLEANS, 1),
    "int": (LONGS, 0),
    "long": (LONGS, 0),
    "float": (FLOATS, 4),
    "double": (DOUBLES, 8),
    "bytes": (BINARIES, 0),
    "string": (STRINGS, 0),
}
"""Each with its size in bytes, where that is fixed."""


class UnfitError(Exception):
    """A map or a schema that the compiled part leaves to the rules as a whole."""


class Node(NamedTuple):
    """A step of a path into JSON."""

    name: bytes
    place: int = -1
    slot: int = -1
    child: int = -1
    sibling: int = -1


class AvroType(NamedTuple):
    """A type at one place of a schema."""

    kind: int
    slot: int = -1
    members: tuple[int, ...] = ()
    size: int = 0
    symbols: tuple[bytes, ...] = ()


class When(NamedTuple):
    """A kind of change of a row."""

    ops: bytes
    after: int
    before: int
    to: bytes
    event_type: int


class Field(NamedTuple):
    """A field of an event. `origins` and `choices` are where theirs begin, and how many there are."""

    kind: str
    name: bytes
    origins: tuple[int, int]
    types: int
    is_required: bool
    fallback: bytes | int | bool | None = None
    choices: tuple[int, int] = (0, -1)
    longest: tuple[bytes, ...] = ()
    is_upper: bool = False
    multiplier: int = 0
    divider: int = 1
    least: int = 0
    takes_texts: bool = False
    currency: int = -1
    table: int = 0
    scale: int = -1
    is_base64: bool = False
    point: int = ord(".")


class Program(NamedTuple):
    """All of it."""

    slot_count: int
    nodes: Sequence[Node]
    types: Sequence[AvroType]
    headers: Sequence[tuple[bytes, int]]
    heads: Sequence[bytes]
    """What an event of each type begins with."""
    origins: Sequence[int]
    parts: Sequence[tuple[bytes, int]]
    choices: Sequence[tuple[bytes, bytes, int]]
    whens: Sequence[When]
    tables: Sequence[Mapping[str, int]]
    """How many digits minor units have more than what a field holds, by currency."""
    record_slots: tuple[int, int, int, int]
    unwrap_slot: int
    op_slot: int
    fixed_type: int
    ignores_others: bool
    type_origins: tuple[int, int]
    type_choices: tuple[int, int]
    frame: bytes
    frame_size: int
    key_field: int
    prefix: bytes
    years: tuple[int, int]
    fields: Sequence[Field]


class Slots:
    """Gives each value that is asked for a place of its own."""

    def __init__(self) -> None:
        """Begin with none."""
        self.paths: dict[Parts, int] = {}
        self.others: dict[str, int] = {}
        """Headers, as `header:NAME`, and what Kafka says of a record."""

    @property
    def count(self) -> int:
        """Return how many there are."""
        return len(self.paths) + len(self.others)

    def path(self, parts: Parts) -> int:
        """Return the slot of a path from the record's root."""
        return self.paths.setdefault(parts, self.count)

    def other(self, name: str) -> int:
        """Return the slot of what lies outside of the value."""
        return self.others.setdefault(name, self.count)


def json_nodes(slots: Slots) -> list[Node]:
    """Return the paths as a tree, its root first."""
    children: dict[Parts, dict[str | int, None]] = {(): {}}
    for path in slots.paths:
        for length in range(len(path)):
            children.setdefault(path[:length], {})[path[length]] = None
    places: dict[Parts, int] = {(): 0}
    for parent, steps in sorted(children.items(), key=lambda item: len(item[0])):
        if len({type(step) for step in steps}) > 1:
            raise UnfitError("one value would be a list and an object")
        for step in steps:
            places[*parent, step] = len(places)
    if len(places) > NODES_LIMIT:
        raise UnfitError("too many paths")
    nodes = [Node(b"")] * len(places)
    for path, place in places.items():
        beside = [*children.get(path[:-1], {})] if path else []
        later = beside[beside.index(path[-1]) + 1 :] if path else []
        step = path[-1] if path else ""
        nodes[place] = Node(
            step.encode() if isinstance(step, str) else b"",
            step if isinstance(step, int) else -1,
            slots.paths.get(path, -1),
            places[*path, next(iter(children[path]))] if children.get(path) else -1,
            places[*path[:-1], later[0]] if later else -1,
        )
    return nodes


def avro_types(slots: Slots, schema: Any, names: Mapping[str, Any]) -> list[AvroType]:  # noqa: ANN401 - JSON
    """Return the types of a parsed schema, its root first. Raises `UnfitError`."""
    types: list[AvroType] = []
    _add_type(types, schema, names, slots, (), 0)
    if types[0].kind != RECORDS:
        raise UnfitError("no record")
    return types


def _add_type(  # noqa: C901, PLR0917 - one branch for each kind, one step of a recursion
    types: list[AvroType],
    schema: Any,  # noqa: ANN401 - JSON
    names: Mapping[str, Any],
    slots: Slots,
    path: Parts | None,
    depth: int,
) -> int:
    """Add a type and those inside of it; return its place. A `path` of None: nothing there is asked for."""
    if len(types) >= TYPES_LIMIT or depth > DEPTH_LIMIT:
        raise UnfitError("a schema so large, or one that holds itself")
    place = len(types)
    slot = -1 if path is None else slots.paths.get(path, -1)
    if isinstance(schema, str) and schema not in _PRIMITIVES:
        schema = names[schema]
    types.append(AvroType(NULLS))

    def inside(inner: Any, name: str | None) -> int:  # noqa: ANN401 - JSON
        below = path if name is None or path is None else (*path, name)
        return _add_type(types, inner, names, slots, below, depth + 1)

    if isinstance(schema, list):
        types[place] = AvroType(UNIONS, slot, tuple(inside(branch, None) for branch in schema))
        return place
    kind = schema if isinstance(schema, str) else schema["type"]
    if kind in ("record", "error"):
        members = tuple(inside(field["type"], field["name"]) for field in schema["fields"])
        types[place] = AvroType(RECORDS, slot, members)
    elif kind in ("array", "map"):
        if path is not None and any(len(asked) > len(path) and asked[: len(path)] == path for asked in slots.paths):
            raise UnfitError("a path leads into a list or a map")
        member = _add_type(types, schema["items" if kind == "array" else "values"], names, slots, None, depth + 1)
        types[place] = AvroType(ARRAYS if kind == "array" else MAPS, slot, (member,))
    elif kind == "enum":
        types[place] = AvroType(ENUMS, slot, symbols=tuple(symbol.encode("ascii") for symbol in schema["symbols"]))
    elif kind == "fixed":
        types[place] = AvroType(FIXEDS, slot, size=schema["size"])
    elif isinstance(kind, str) and kind in _PRIMITIVES:
        types[place] = AvroType(_PRIMITIVES[kind][0], slot, size=_PRIMITIVES[kind][1])
    else:
        types.pop()  # a type inside of a type: the same place
        return _add_type(types, kind, names, slots, path, depth + 1)
    return place
