"""One source of a map: a foreign topic, how its records are written, and what becomes of them. Read strictly."""

from __future__ import annotations

import datetime as dt
from dataclasses import dataclass
from functools import partial
from typing import TYPE_CHECKING, Any, NamedTuple

from streams.bridge.decoding.protobuf import ProtobufDecoder
from streams.bridge.paths import Path, parse_path
from streams.bridge.rules import Rule, read_paths, read_rules, read_text
from streams.domain.facts import FACTS
from streams.mapping.fields import instant
from streams.mapping.filters import Filter, read_filters
from streams.mapping.times import parse_zone

if TYPE_CHECKING:
    from collections.abc import Callable, Mapping

    from streams.complaints import Complaints
    from streams.complaints import Path as Place
    from streams.domain.facts import Fact

ENCODINGS = ("json", "avro", "protobuf")
OPS = ("c", "u", "d", "r")
SNAPSHOT = "r"
_KNOWN = {
    "topic",
    "to",
    "start",
    "timezone",
    "encoding",
    "framing",
    "descriptor",
    "message",
    "unwrap",
    "tombstones",
    "unknown_schema",
    "each",
    "type",
    "when",
    "only",
    "fields",
}
_HINTS = {"path": "a source's own table names `unwrap` and `each`", "columns": "fields stand under [source.fields]"}
EARLIEST, LATEST = "earliest", "latest"


@dataclass(frozen=True, slots=True)
class TypeRule:
    """Which type of event a record is. Exactly one of `paths`, `header` and `constant` is given."""

    paths: tuple[Path, ...] = ()
    header: str | None = None
    constant: str | None = None
    values: Mapping[str, str] | None = None
    ignores_others: bool = False

    @property
    def place(self) -> str:
        """Return where the text comes from, for a sentence."""
        return self.paths[0].text if self.paths else self.header or "type"


class Changed(NamedTuple):
    """A transition of a row: `after` is `to`, and `before` is not."""

    path: Path
    to: str


class When(NamedTuple):
    """A kind of change of a row, and the type of event that it is."""

    ops: tuple[str, ...]
    changed: Changed | None
    type: str


class Only(NamedTuple):
    """What a record must be like to be taken."""

    path: Path | None
    header: str | None
    filter: Filter


@dataclass(frozen=True, slots=True)
class Source:
    """One foreign topic."""

    topic: str
    fact: Fact
    """What the topic carries that it is translated onto."""
    start: str | int
    """`earliest`, `latest`, or a time in milliseconds."""
    zone: dt.tzinfo | None
    encoding: str
    is_framed: bool
    descriptor: bytes | None
    """What is in its file of descriptors."""
    message: str | None
    unwrap: Path | None
    ignores_tombstones: bool
    rejects_unknown_schema: bool
    each: Path | None
    type: TypeRule | None
    whens: tuple[When, ...]
    only: tuple[Only, ...]
    rules: tuple[Rule, ...]
    document: Mapping[str, Any]
    """As it stands in the map."""

    @property
    def to(self) -> str:
        """Return the topic that it is translated onto."""
        return self.fact.topic

    @property
    def takes_snapshots(self) -> bool:
        """Return whether snapshot rows are declared."""
        return any(SNAPSHOT in when.ops for when in self.whens)

    @property
    def names_events(self) -> bool:
        """Return whether the map says which `event_id` an event has."""
        return any(rule.target == "event_id" for rule in self.rules)

    def placed_paths(self) -> list[tuple[Place, tuple[str | int, ...]]]:
        """Return where values are looked for in a record, with 0 for each element of a list, by place in the source."""
        found: list[tuple[Place, tuple[str | int, ...]]] = []
        for rule in self.rules:
            place: Place = ("fields", rule.name)
            found += [(place, self._parts(path)) for path in rule.all_paths]
            if rule.sum is not None:
                over = self._parts(rule.sum.over)
                inside = [path for path in (rule.sum.of, rule.sum.times) if path is not None]
                found += [(place, (*over, 0, *path.parts)) for path in inside]
        for n, only in enumerate(self.only):
            found += [(("only", n), self._parts(only.path))] if only.path is not None else []
        found += [(("type",), self._parts(path)) for path in (self.type.paths if self.type is not None else ())]
        for n, when in enumerate(self.whens):
            found.append((("when", n), ("op",)))
            changed = () if when.changed is None else when.changed.path.parts
            found += [(("when", n), (side, *changed)) for side in ("before", "after") if changed]
        if self.each is not None:
            found.append((("each",), self.each.parts))
        unwrap = self.unwrap.parts if self.unwrap is not None else ()
        return [(place, (*unwrap, *parts)) for place, parts in found]

    def _parts(self, path: Path) -> tuple[str | int, ...]:
        inside = (*self.each.parts, 0) if path.is_in_element and self.each is not None else ()
        return (*inside, *path.parts)

    def place_of(self, target: str) -> str | None:
        """Return where a field of the event comes from, None for one that the map does not name."""
        return next((rule.place for rule in self.rules if rule.target == target), None)

    @property
    def needs_registry(self) -> bool:
        """Return whether its records can be read with their schemas only."""
        return self.encoding == "avro"


def read_source(
    complaints: Complaints,
    place: Place,
    table: Mapping[str, Any],
    read_file: Callable[[str], bytes],
    facts: Mapping[str, Fact] = FACTS,
) -> Source | None:
    """Return the source at `place`, None after complaining; `read_file` reads files, `facts` are of our topics."""
    complaints.only(place, table, _KNOWN, _HINTS)

    def read(name: str, reader: Any, default: Any = None) -> Any:  # noqa: ANN401 - TOML values and what is made of them
        return complaints.read((*place, name), reader, table[name]) if name in table else default

    topic = read("topic", lambda value: read_text(value, "topic", "the name of a topic"))
    to = read("to", lambda value: one_of(value, "to", tuple(facts)))
    encoding = read("encoding", lambda value: one_of(value, "encoding", ENCODINGS))
    for name in ("topic", "to", "encoding"):
        if name not in table:
            complaints.add(place, f"missing {name}")
    zone = read("timezone", parse_zone)
    if to is None or encoding is None:
        return None
    framing = read("framing", partial(_framing, encoding), "confluent" if encoding == "avro" else "none")
    each = read("each", lambda value: parse_path(value, may_be_all=True))
    if each is not None and each.is_in_element:
        complaints.add((*place, "each"), "begins in the record, so without []")
    source = Source(
        topic or "",
        facts[to],
        read("start", partial(_start, zone), EARLIEST),
        zone,
        encoding,
        framing == "confluent",
        *_protobuf(complaints, place, table, encoding, read_file),
        read("unwrap", parse_path),
        read("tombstones", lambda value: one_of(value, "tombstones", ("ignore", "reject"))) == "ignore",
        read("unknown_schema", lambda value: one_of(value, "unknown_schema", ("wait", "reject"))) == "reject",
        each,
        read("type", partial(_type, complaints, (*place, "type"), to)),
        _whens(complaints, place, table, to),
        _only(complaints, place, table),
        read_rules(complaints, (*place, "fields"), table.get("fields"), facts[to], zone),
        table,
    )
    _check_elements(complaints, place, source)
    if source.descriptor is not None and source.message is not None:
        complaints.read((*place, "message"), partial(ProtobufDecoder, source.descriptor), source.message)
        for where, path in source.placed_paths():
            complaints.read((*place, *where), partial(_refuse_unknown, source), path)
    return source


def _refuse_unknown(source: Source, path: tuple[str | int, ...]) -> None:
    """Raise `ValueError` where no message has a path; the message itself was complained of elsewhere."""
    assert source.descriptor is not None
    assert source.message is not None
    try:
        decoder = ProtobufDecoder(source.descriptor, source.message)
    except ValueError:
        return
    decoder.check(path)


def one_of(value: object, name: str, choices: tuple[str, ...]) -> str:
    """Return a text of a closed list. Raises `ValueError`."""
    if not isinstance(value, str) or value not in choices:
        raise ValueError(f"{name} is one of {', '.join(choices)}")
    return value


def _framing(encoding: str, value: object) -> str:
    found = one_of(value, "framing", ("confluent", "none"))
    if encoding == "avro" and found == "none":
        raise ValueError("Avro without a schema id cannot be read: framing is confluent")
    return found


def _start(zone: dt.tzinfo | None, value: Any) -> str | int:  # noqa: ANN401 - a TOML value
    if value in (EARLIEST, LATEST):
        return str(value)
    if isinstance(value, str):
        try:
            value = dt.datetime.fromisoformat(value)
        except ValueError:
            raise ValueError(
                f"{value!r} is neither earliest nor latest, nor a time such as 2026-11-01T00:00:00Z"
            ) from None
    return instant(value, zone)


def _protobuf(
    complaints: Complaints,
    place: Place,
    table: Mapping[str, Any],
    encoding: str,
    read_file: Callable[[str], bytes],
) -> tuple[bytes | None, str | None]:
    if encoding != "protobuf":
        for name in ("descriptor", "message"):
            if name in table:
                complaints.add((*place, name), "is for protobuf only")
        return None, None
    for name in ("descriptor", "message"):
        if name not in table:
            complaints.add(place, f"missing {name}: protobuf needs descriptor (a file) and message (its full name)")
    descriptor = table.get("descriptor")
    message = table.get("message")
    for name, value in (("descriptor", descriptor), ("message", message)):
        if value is not None and (not isinstance(value, str) or not value):
            complaints.add((*place, name), "is a text")
            return None, None
    content = complaints.read((*place, "descriptor"), partial(_content, read_file), descriptor) if descriptor else None
    return content, message


def _content(read_file: Callable[[str], bytes], name: str) -> bytes:
    try:
        return read_file(name)
    except OSError as error:
        raise ValueError(f"{name} cannot be read: {error.strerror}") from error


def _type(complaints: Complaints, place: Place, to: str, table: Any) -> TypeRule:  # noqa: ANN401 - a TOML value
    table = {"path": table} if isinstance(table, (str, list)) else table
    more = {"column": "of a record it is called `path`", "default": "a type is never guessed"}
    complaints.only(place, table, {"path", "header", "constant", "values", "others"}, more)
    ways = [way for way in ("path", "header", "constant") if way in table]
    if len(ways) != 1:
        raise ValueError("give one of path, header, constant")
    values = table.get("values")
    if ways[0] == "constant" and table.keys() & {"values", "others"}:
        raise ValueError("values and others go with path and header")
    if values is not None and not isinstance(values, dict):
        raise TypeError('values is a table of texts: values = { NEW = "order_placed" }')
    for text in [*(values or {}).values(), *([table["constant"]] if "constant" in table else [])]:
        read_type(text, to)
    return TypeRule(
        read_paths(table["path"]) if "path" in table else (),
        read_text(table["header"], "header", "the exact name of a header") if "header" in table else None,
        table.get("constant"),
        values,
        one_of(table.get("others", "reject"), "others", ("ignore", "reject")) == "ignore",
    )


def read_type(text: object, to: str) -> str:
    """Return a type that a topic carries. Raises `ValueError`."""
    types = FACTS[to].types
    if not isinstance(text, str) or text not in types:
        raise ValueError(f"{text!r} is no type of {to}, which carries {', '.join(types)}")
    return text


def _whens(complaints: Complaints, place: Place, table: Mapping[str, Any], to: str) -> tuple[When, ...]:
    value = table.get("when")
    if ("type" in table) is (value is not None):
        complaints.add(place, "give `type`, or [[source.when]] for changes of rows: one of both")
    if value is None:
        return ()
    if not isinstance(value, list) or not value or any(not isinstance(when, dict) for when in value):
        complaints.add((*place, "when"), "write it as [[source.when]], each time anew")
        return ()
    found = [
        complaints.read((*place, "when", n), partial(_when, complaints, (*place, "when", n), to), when)
        for n, when in enumerate(value)
    ]
    return tuple(when for when in found if when is not None)


def _when(complaints: Complaints, place: Place, to: str, table: Mapping[str, Any]) -> When:
    complaints.only(place, table, {"op", "changed", "type"}, {})
    missing = [name for name in ("op", "type") if name not in table]
    if missing:
        raise ValueError(f"missing {', '.join(missing)}")
    ops = table["op"] if isinstance(table["op"], list) else [table["op"]]
    if not ops or any(op not in OPS for op in ops):
        raise ValueError(f"op is a list of {', '.join(OPS)}: create, update, delete, snapshot")
    changed = None
    if "changed" in table:
        inner = table["changed"]
        complaints.only((*place, "changed"), inner, {"path", "to"}, {})
        if set(inner) != {"path", "to"} or not isinstance(inner["to"], str) or not inner["to"]:
            raise ValueError('changed names a path inside `after` and a text: { path = "status", to = "CANCELLED" }')
        path = parse_path(inner["path"])
        if path.is_in_element or path.parts[0] in ("after", "before"):
            raise ValueError("the path in changed begins inside `before` and `after`: leave that out")
        changed = Changed(path, inner["to"])
    return When(tuple(ops), changed, read_type(table["type"], to))


def _only(complaints: Complaints, place: Place, table: Mapping[str, Any]) -> tuple[Only, ...]:
    value = table.get("only", [])
    before = len(complaints)
    filters = read_filters(complaints, value, (*place, "only"), ("path", "header"))
    if len(complaints) > before:
        return ()
    found = []
    for n, (one, told) in enumerate(zip(filters, value, strict=True)):
        is_path = "path" in told
        path = complaints.read((*place, "only", n, "path"), parse_path, one.column) if is_path else None
        found.append(Only(path, None if is_path else one.column, one))
    return tuple(found)


def _check_elements(complaints: Complaints, place: Place, source: Source) -> None:
    """Complain of paths into the element where there is none, and of one `event_id` for all elements."""
    fields = (*place, "fields")
    paths = [((*fields, rule.name), path) for rule in source.rules for path in rule.all_paths]
    paths += [((*place, "type"), path) for path in (source.type.paths if source.type is not None else ())]
    paths += [((*place, "only", n), only.path) for n, only in enumerate(source.only) if only.path is not None]
    for where, path in paths:
        if path.is_in_element and source.each is None:
            complaints.add(where, f"{path.text!r} is in the element of an `each`, and there is none")
    if source.each is None:
        return
    for rule in source.rules:
        if rule.target == "event_id" and not any(path.is_in_element for path in rule.all_paths):
            complaints.add(
                (*fields, "event_id"),
                "is the same for every element: take a path that begins with [] into it, or leave it out",
            )
