"""Avro payloads: read with the schema they were written with, logical types left as they lie on the wire."""

from __future__ import annotations

import io
from typing import TYPE_CHECKING, Any

import fastavro
from fastavro.schema import SchemaParseException

from streams.bridge.decoding.leaf import PLAIN, Leaf
from streams.bridge.outcomes import RejectedError
from streams.domain.rejections import BridgeReason

if TYPE_CHECKING:
    from collections.abc import Iterator, Mapping, Sequence

_LOGICAL = "festival-logical"
"""Under this name a logical type passes through the library, which would read it otherwise."""
_TIMES = {
    f"{local}timestamp-{name}": Leaf(unit=unit, is_local=bool(local))
    for local in ("", "local-")
    for name, unit in (("millis", "ms"), ("micros", "us"), ("nanos", "ns"))
}


class AvroDecoder:
    """Reads the payloads of one schema; also what is known of its values."""

    def __init__(self, schema: Any, references: Sequence[Any] = ()) -> None:  # noqa: ANN401 - JSON
        """Parse a schema; `references` are those that it refers to, each behind those that it needs itself.

        Raises `ValueError` where it is no Avro schema.
        """
        self._names: dict[str, Any] = {}
        try:
            for reference in references:
                fastavro.parse_schema(_renamed(reference), named_schemas=self._names)
            self._schema = fastavro.parse_schema(_renamed(schema), named_schemas=self._names)
        except (SchemaParseException, ValueError, TypeError, KeyError, AttributeError, RecursionError) as error:
            raise ValueError(f"no Avro schema: {type(error).__name__} {error}") from error

    @property
    def shape(self) -> AvroDecoder:
        """Return what is known of its objects."""
        return self

    @property
    def parsed(self) -> tuple[Any, Mapping[str, Any]]:
        """Return the schema as it is read with, and the types that have names."""
        return self._schema, self._names

    def decode(self, payload: bytes) -> Any:  # noqa: ANN401 - whatever the record holds
        """Return the payload's value. Raises `RejectedError`."""
        stream = io.BytesIO(payload)
        try:
            value = fastavro.schemaless_reader(stream, self._schema, None)
        except Exception as error:  # noqa: BLE001 - whatever damaged bytes make the library raise
            detail = f"the bytes are not of their schema: {type(error).__name__} {error}"[:200]
            raise RejectedError(BridgeReason.UNREADABLE, None, detail) from None
        if stream.tell() != len(payload):
            left = len(payload) - stream.tell()
            raise RejectedError(
                BridgeReason.UNREADABLE, None, f"{left} bytes are left behind what the schema describes"
            )
        return value

    def leaf(self, parts: Sequence[str | int]) -> Leaf:
        """Return what the schema says of the value at a path; raises `ValueError` where it says two things."""
        found = {leaf for leaf in self._leaves(self._schema, parts) if leaf != PLAIN}
        if len(found) > 1:
            path = ".".join(map(str, parts))
            raise ValueError(f"the schema has different types of times or decimals at {path}")
        return found.pop() if found else PLAIN

    def _leaves(self, schema: Any, parts: Sequence[str | int]) -> Iterator[Leaf]:  # noqa: ANN401, C901 - kinds of JSON
        if isinstance(schema, str):
            schema = self._names.get(schema, {"type": schema})
        if isinstance(schema, list):
            for branch in schema:
                yield from self._leaves(branch, parts)
            return
        kind = schema["type"]
        if isinstance(kind, (dict, list)):
            yield from self._leaves(kind, parts)
        elif not parts:
            yield _leaf(schema)
        elif kind in ("record", "error"):
            for field in schema["fields"]:
                if field["name"] == parts[0]:
                    yield from self._leaves(field["type"], parts[1:])
        elif kind == "map" and isinstance(parts[0], str):
            yield from self._leaves(schema["values"], parts[1:])
        elif kind == "array" and isinstance(parts[0], int):
            yield from self._leaves(schema["items"], parts[1:])
        elif kind in self._names:
            yield from self._leaves(self._names[kind], parts)


def _leaf(schema: Mapping[str, Any]) -> Leaf:
    kind, logical = schema["type"], schema.get(_LOGICAL)
    if logical == "decimal" and kind in ("bytes", "fixed"):
        return Leaf(scale=schema.get("scale", 0))
    if logical == "date" and kind == "int":
        return Leaf(is_date=True)
    return _TIMES.get(str(logical), PLAIN) if kind == "long" else PLAIN


def _renamed(schema: Any) -> Any:  # noqa: ANN401 - JSON
    """Return a schema in which logical types are called otherwise."""
    if isinstance(schema, dict):
        return {
            _LOGICAL if key == "logicalType" else key: value if key == "default" else _renamed(value)
            for key, value in schema.items()
        }
    return [_renamed(one) for one in schema] if isinstance(schema, list) else schema
