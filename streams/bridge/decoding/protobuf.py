"""Protobuf payloads: read by a file of descriptors, made by `protoc --descriptor_set_out … --include_imports`.

Only those fields of a message are looked at that the map names. An unset message or optional field is absent, an unset
number is 0, an enum is its symbol.
"""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

from google.protobuf import descriptor_pb2, descriptor_pool, message_factory
from google.protobuf.message import DecodeError

from streams.bridge.decoding.framing import message_indexes
from streams.bridge.decoding.leaf import PLAIN, Leaf, Shape
from streams.bridge.outcomes import RejectedError
from streams.domain.rejections import BridgeReason

if TYPE_CHECKING:
    from collections.abc import Callable, Iterable, Sequence

    Parts = Sequence[str | int]
    Read = Callable[[Any], Any]

TIMESTAMP = "google.protobuf.Timestamp"
_NANOS = 10**9
_Tree = dict[str, Any]
"""The fields that a map names, by name; below a message those inside it, nothing where all of it is meant."""


class ProtobufDecoder:
    """Reads the payloads of one type of message, and what is known of its values."""

    def __init__(self, descriptor: bytes, message: str, paths: Iterable[Parts] = ()) -> None:
        """`descriptor` is what is in a file of descriptors, `paths` are those of the map.

        Raises `ValueError` where there is no such message, or that has no such field.
        """
        pool = _pool(descriptor)
        try:
            self._descriptor: Any = pool.FindMessageTypeByName(message)
        except KeyError:
            raise ValueError(
                f"the descriptors have no message {message!r}: name it in full, with its package"
            ) from None
        self._class: Any = message_factory.GetMessageClass(self._descriptor)
        self._index = _index_of(self._descriptor)
        tree: _Tree = {}
        for parts in paths:
            self.check(parts)
            _grow(tree, parts)
        self._read = _reader(self._descriptor, tree)

    @property
    def shape(self) -> Shape:
        """Return what is known of its objects."""
        return self

    def decode(self, payload: bytes) -> Any:  # noqa: ANN401 - whatever the record holds
        """Return the payload's fields that the map names. Raises `RejectedError`."""
        try:
            message = self._class.FromString(payload)
        except (DecodeError, RecursionError, UnicodeDecodeError) as error:
            detail = f"the bytes are no {self._descriptor.full_name}: {error}"[:200]
            raise RejectedError(BridgeReason.UNREADABLE, None, detail) from None
        return self._read(message)

    def without_indexes(self, payload: bytes, frame: bytes) -> bytes:
        """Return a framed payload as it lies behind its message indexes, which stand in `frame` if that is there.

        Raises `RejectedError` where they are those of another message.
        """
        indexes, size = message_indexes(frame or payload)
        if indexes != self._index:
            detail = (
                f"the message has the indexes {list(indexes)}, {self._descriptor.full_name} has {list(self._index)}"
            )
            raise RejectedError(BridgeReason.UNREADABLE, None, detail)
        return payload if frame else payload[size:]

    def check(self, parts: Parts) -> None:
        """Raise `ValueError` for a path that no message can have."""
        _check(self._descriptor, parts)

    def leaf(self, parts: Parts) -> Leaf:
        """Return that a timestamp is in nanoseconds, as it is handed over here."""
        descriptor = self._descriptor
        for part in parts:
            if descriptor is None:
                return PLAIN
            if isinstance(part, int):
                continue
            found = descriptor.fields_by_name.get(part)
            if found is None:
                return PLAIN
            descriptor = found.message_type
        return Leaf(unit="ns") if descriptor is not None and descriptor.full_name == TIMESTAMP else PLAIN


def _pool(descriptor: bytes) -> descriptor_pool.DescriptorPool:
    try:
        found = descriptor_pb2.FileDescriptorSet.FromString(descriptor)
        pool = descriptor_pool.DescriptorPool()
        for one in found.file:
            pool.Add(one)
    except (DecodeError, TypeError, ValueError) as error:
        how = "make it with protoc --descriptor_set_out=FILE --include_imports"
        raise ValueError(f"that is no file of descriptors ({error}): {how}") from error
    if not found.file:
        raise ValueError("that is no file of descriptors: it has no files in it")
    return pool


def _index_of(descriptor: Any) -> tuple[int, ...]:  # noqa: ANN401 - the library's own
    parent = descriptor.containing_type
    if parent is None:
        return (list(descriptor.file.message_types_by_name.values()).index(descriptor),)
    return (*_index_of(parent), list(parent.nested_types).index(descriptor))


def _check(descriptor: Any, parts: Parts) -> None:  # noqa: ANN401 - the library's own
    """Raise `ValueError` for a path that no message can have."""
    for part in parts:
        if isinstance(part, int):
            continue
        if descriptor is None:
            raise ValueError(f"{'.'.join(map(str, parts))}: nothing is inside of a number or a text")
        if descriptor.GetOptions().map_entry:
            descriptor = descriptor.fields_by_name["value"].message_type
            continue
        field = descriptor.fields_by_name.get(part)
        if field is None:
            names = ", ".join(descriptor.fields_by_name)
            raise ValueError(f"{descriptor.full_name} has no field {part}, only {names}")
        descriptor = field.message_type


def _grow(tree: _Tree, parts: Parts) -> None:
    for part in parts:
        if isinstance(part, str):
            tree = tree.setdefault(part, {})


def _reader(descriptor: Any, tree: _Tree) -> Read:  # noqa: ANN401 - the library's own
    """Return what reads the fields of `tree` off a message, all where that is empty."""
    fields = [field for field in descriptor.fields if not tree or field.name in tree]
    readers = [(field.name, field.has_presence, _field_reader(field, tree.get(field.name, {}))) for field in fields]

    def read(message: Any) -> dict[str, Any]:  # noqa: ANN401 - the library's own
        return {
            name: of(getattr(message, name))
            for name, has_presence, of in readers
            if not has_presence or message.HasField(name)
        }

    return read


def _field_reader(field: Any, tree: _Tree) -> Read:  # noqa: ANN401 - the library's own
    entry = field.message_type
    if entry is not None and entry.GetOptions().map_entry:
        of = _value_reader(entry.fields_by_name["value"], next(iter(tree.values()), {}))
        return lambda found: {_key_text(key): of(value) for key, value in found.items()}
    of = _value_reader(field, tree)
    return (lambda found: [of(value) for value in found]) if field.is_repeated else of


def _value_reader(field: Any, tree: _Tree) -> Read:  # noqa: ANN401 - the library's own
    if field.enum_type is not None:
        symbols = {number: value.name for number, value in field.enum_type.values_by_number.items()}
        return lambda number: symbols.get(number, number)
    kind = field.message_type
    if kind is None:
        return lambda value: value
    if kind.full_name == TIMESTAMP and not tree:
        return lambda stamp: stamp.seconds * _NANOS + stamp.nanos
    if tree:
        return _reader(kind, tree)
    made: list[Read] = []

    def whole(message: Any) -> Any:  # noqa: ANN401 - the library's own
        # When it is first met: a type may hold itself.
        if not made:
            made.append(_reader(kind, {}))
        return made[0](message)

    return whole


def _key_text(key: str | int | bool) -> str:  # noqa: FBT001 - a key of the library's
    return ("false", "true")[key] if isinstance(key, bool) else str(key)
