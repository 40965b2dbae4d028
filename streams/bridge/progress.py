"""How far a bridge has come with one partition of a source: the cursor, and its records on `festival.bridge`.

The topic is compacted. Keys are compact JSON arrays that begin with the map's name:

- `[map, "cursor", topic, partition]`: how far the partition is translated, newest last
- `[map, "map", digest]`: a map that was translated by, for the audit of its stretch
- `[map, "held", topic, partition]`: why a bridge holds the partition
"""

from __future__ import annotations

import json
from dataclasses import dataclass
from typing import TYPE_CHECKING, NamedTuple

import msgspec

from streams.domain.pages import Cursor
from streams.engine.checkpoint import Checkpoint, UnreadableError
from streams.engine.topic_names import BRIDGE

if TYPE_CHECKING:
    from collections.abc import Sequence

    from streams.bridge.records import Headers
    from streams.native.texts import Texts


class Stretch(msgspec.Struct, frozen=True, array_like=True):
    """From `start` on a partition was translated by one map."""

    start: int
    translation: str
    """Digest of what the map says of the source."""
    map: str
    """Digest under which the whole map lies on the topic."""


class Gap(msgspec.Struct, frozen=True, array_like=True):
    """Offsets that were never read, as somebody has accepted: from `start` up to, not including, `end`."""

    start: int
    end: int
    topic_id: str
    """Id of the topic from `end` on."""


class BridgeCursor(Cursor, frozen=True, kw_only=True):
    """How far one partition of a source is translated. `positions` and the like have the one topic in them.

    Its `outcomes` are those of the bridge: sent, ignored, rejected.
    """

    begun_partitions: int
    """How many the source had when this one was begun: those beyond were added later."""
    events: dict[str, int] = msgspec.field(default_factory=dict)
    """Number of events by type."""
    is_past_snapshot: bool = False
    stretches: list[Stretch] = msgspec.field(default_factory=list)
    gaps: list[Gap] = msgspec.field(default_factory=list)


@dataclass(frozen=True, slots=True)
class SetAside:
    """A record that is rejected, as it lies on `festival.bridge.rejected`."""

    partition: int
    """That of the source."""
    key: bytes | None
    value: bytes | None
    headers: Headers


class Sent(NamedTuple):
    """Events on their way: topic without prefix, keys and values."""

    topic: str
    keys: Texts
    values: Texts


@dataclass(frozen=True, slots=True)
class TranslatedCheckpoint(Checkpoint):
    """A checkpoint of a bridge: what it sends and sets aside, and how far it has come."""

    progress: BridgeCursor
    events: Sequence[Sent]
    set_aside: Sequence[SetAside]


_decode = msgspec.json.Decoder(BridgeCursor).decode


def cursor_key(bridge: str, topic: str, partition: int) -> bytes:
    """Return the record key of a cursor."""
    return _key(bridge, "cursor", topic, partition)


def map_key(bridge: str, digest: str) -> bytes:
    """Return the record key of a map."""
    return _key(bridge, "map", digest)


def note_key(bridge: str, topic: str, partition: int) -> bytes:
    """Return the record key of a note."""
    return _key(bridge, "held", topic, partition)


def _key(*parts: str | int) -> bytes:
    return json.dumps(parts, separators=(",", ":")).encode()


def encode_cursor(cursor: BridgeCursor) -> bytes:
    """Return the record value of a cursor."""
    return msgspec.json.encode(cursor)


def decode_cursor(value: bytes) -> BridgeCursor:
    """Return the cursor in a record value; raises `UnreadableError` where it is none this version knows."""
    try:
        return _decode(value)
    except msgspec.MsgspecError as error:
        raise UnreadableError(f"a cursor on {BRIDGE} cannot be read: {error}") from error


class KeptMap(msgspec.Struct, frozen=True, kw_only=True):
    """A map as it lies on the topic."""

    text: str
    descriptors: dict[str, bytes] = {}
    """The files of descriptors that it names, by name."""


class Progress:
    """What lies on the topic: of one map, or of all of them."""

    def __init__(self, bridge: str | None = None) -> None:
        """`bridge` is the name of the map; None: of all."""
        self._bridge = bridge
        self.cursors: dict[tuple[str, str, int], BridgeCursor] = {}
        """By bridge, topic and partition."""
        self.maps: dict[tuple[str, str], KeptMap] = {}
        """By bridge and digest."""

    def take(self, key: bytes | None, value: bytes | None) -> None:
        """Take a record, in log order. Raises `UnreadableError`."""
        if key is None or value is None:
            return
        try:
            bridge, kind, *rest = json.loads(key)
        except ValueError as error:
            raise UnreadableError(f"a record with the key {key!r} on {BRIDGE} is none of this program's") from error
        if self._bridge not in (None, bridge):
            return
        if kind == "cursor":
            topic, partition = rest
            self.cursors[bridge, topic, partition] = decode_cursor(value)
        elif kind == "map":
            self.maps[bridge, rest[0]] = msgspec.json.decode(value, type=KeptMap)
