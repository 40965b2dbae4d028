"""The frame around a payload: which schema it was written with, in front of it or in a header (Confluent's format)."""

from __future__ import annotations

import uuid
from typing import TYPE_CHECKING, NamedTuple

from streams.bridge.outcomes import RejectedError
from streams.domain.rejections import BridgeReason

if TYPE_CHECKING:
    from collections.abc import Sequence

SCHEMA_HEADER = "__value_schema_id"
BY_ID, BY_GUID = 0, 1
"""The first byte: what follows is a number of 4 bytes, or a GUID of 16."""
ID_BYTES, GUID_BYTES = 5, 17
_VARINT_BITS = 7
_VARINT_LIMIT = 5


class Framed(NamedTuple):
    """A payload and the schema that it names."""

    schema: str
    """A number in decimal, or a GUID."""
    frame: bytes
    """What follows the schema where that stands in a header: the indexes of a Protobuf message."""
    payload: bytes


def unframed(value: bytes, headers: Sequence[tuple[str, bytes | None]]) -> Framed:
    """Return what a framed value holds. Raises `RejectedError` where it has no frame."""
    for name, told in reversed(headers):
        if name == SCHEMA_HEADER and told is not None:
            schema, rest = _schema(told, f"the header {SCHEMA_HEADER}")
            return Framed(schema, rest, value)
    schema, payload = _schema(value, "the value")
    return Framed(schema, b"", payload)


def _schema(data: bytes, where: str) -> tuple[str, bytes]:
    if data[:1] == b"\x00" and len(data) >= ID_BYTES:
        return str(int.from_bytes(data[1:ID_BYTES], "big")), data[ID_BYTES:]
    if data[:1] == b"\x01" and len(data) >= GUID_BYTES:
        return str(uuid.UUID(bytes=data[1:GUID_BYTES])), data[GUID_BYTES:]
    begins = data[:8].hex() or "nothing"
    raise RejectedError(BridgeReason.UNREADABLE, None, f"{where} has no schema id in front: it begins with {begins}")


def message_indexes(data: bytes) -> tuple[tuple[int, ...], int]:
    """Return the indexes of a Protobuf message in its file, and how many bytes they take. Raises `RejectedError`.

    A single zero stands for the first message of the file.
    """
    count, at = _zigzag(data, 0)
    if count == 0:
        return (0,), at
    if not 0 < count <= len(data):
        raise RejectedError(BridgeReason.UNREADABLE, None, f"{count} message indexes cannot be")
    found = []
    for _ in range(count):
        index, at = _zigzag(data, at)
        found.append(index)
    return tuple(found), at


def _zigzag(data: bytes, at: int) -> tuple[int, int]:
    number = 0
    for place in range(_VARINT_LIMIT):
        if at >= len(data):
            break
        byte = data[at]
        number |= (byte & 0x7F) << (_VARINT_BITS * place)
        at += 1
        if byte < 0x80:  # noqa: PLR2004 - the bit that says whether more follows
            return (number >> 1) ^ -(number & 1), at
    raise RejectedError(BridgeReason.UNREADABLE, None, "the message indexes in the frame end too early")
