"""Records out of a file, to try a map on: `.ndjson`, a JSON value a line, or `.json` with whole records in it."""

from __future__ import annotations

from typing import TYPE_CHECKING, NamedTuple

import msgspec

from streams.bridge.decoding.avro import AvroDecoder
from streams.bridge.records import Record
from streams.bridge.schemas import Fault, GivenSchemas, NoDecoder
from streams.errors import UsageError

if TYPE_CHECKING:
    from collections.abc import Mapping
    from pathlib import Path

    from streams.bridge.map import BridgeMap

NO_SCHEMA = bytes(5)
"""The frame that is put before JSON of a source that has frames."""


class Given(NamedTuple):
    """What a file holds."""

    records: list[Record]
    schemas: GivenSchemas | None
    """In place of a registry; None where the file has none."""


class _Hex(msgspec.Struct):
    hex: str


class _Value(msgspec.Struct):
    json: msgspec.Raw | msgspec.UnsetType = msgspec.UNSET
    text: str | msgspec.UnsetType = msgspec.UNSET
    hex: str | msgspec.UnsetType = msgspec.UNSET


class _Record(msgspec.Struct):
    topic: str
    value: _Value | None
    key: str | _Hex | None = None
    headers: dict[str, str | _Hex | None] = {}
    record_time_ms: int | None = None


class _File(msgspec.Struct):
    records: list[_Record]
    schemas: dict[str, msgspec.Raw] | msgspec.UnsetType = msgspec.UNSET


def read_given(file: Path, bridge_map: BridgeMap, topic: str | None, now_ms: int) -> Given:
    """Return the records in a file; those without a time are of now. Raises `UsageError`."""
    try:
        data = file.read_bytes()
    except OSError as error:
        raise UsageError(f"{file} cannot be read: {error.strerror}") from error
    if file.suffix == ".ndjson":
        return Given(_lines(file, data, bridge_map, topic, now_ms), None)
    if file.suffix != ".json":
        raise UsageError(f"{file}: a file to check ends in .ndjson or .json")
    try:
        found = msgspec.json.decode(data, type=_File)
        records = _records(found, bridge_map, topic, now_ms)
        schemas = None if found.schemas is msgspec.UNSET else GivenSchemas(_schemas(found.schemas))
    except (msgspec.MsgspecError, UnicodeDecodeError, ValueError) as error:
        raise UsageError(f"{file}: not a file of records: {error}") from error
    return Given(records, schemas)


def _records(found: _File, bridge_map: BridgeMap, topic: str | None, now_ms: int) -> list[Record]:
    framed = {source.topic: source.is_framed for source in bridge_map.sources}
    offsets = dict.fromkeys(framed, 0)
    records = []
    for number, one in enumerate(found.records):
        if one.topic not in framed:
            raise ValueError(f"record {number}: {one.topic!r} is no source of the map ({', '.join(framed)})")
        value = None if one.value is None else _bytes(one.value, number, is_framed=framed[one.topic])
        headers = [(name, _plain(told)) for name, told in one.headers.items()]
        time_ms = now_ms if one.record_time_ms is None else one.record_time_ms
        if topic is None or one.topic == topic:
            records.append(Record(one.topic, 0, offsets[one.topic], time_ms, _plain(one.key), value, headers))
        offsets[one.topic] += 1
    return records


def _bytes(value: _Value, number: int, *, is_framed: bool) -> bytes:
    given = [told for told in (value.json, value.text, value.hex) if told is not msgspec.UNSET]
    if len(given) != 1:
        raise ValueError(f"record {number}: a value is null, or one of json, text, hex")
    if value.json is not msgspec.UNSET:
        return (NO_SCHEMA if is_framed else b"") + bytes(value.json)
    return value.text.encode() if isinstance(value.text, str) else bytes.fromhex(str(value.hex))


def _plain(told: str | _Hex | None) -> bytes | None:
    if told is None:
        return None
    return told.encode() if isinstance(told, str) else bytes.fromhex(told.hex)


def _schemas(given: Mapping[str, msgspec.Raw]) -> dict[str, AvroDecoder | NoDecoder]:
    found: dict[str, AvroDecoder | NoDecoder] = {}
    for name, schema in given.items():
        try:
            found[name] = AvroDecoder(msgspec.json.decode(schema))
        except ValueError as error:
            found[name] = NoDecoder(Fault.UNUSABLE, str(error))
    return found


def _lines(file: Path, data: bytes, bridge_map: BridgeMap, topic: str | None, now_ms: int) -> list[Record]:
    if topic is None and len(bridge_map.sources) != 1:
        raise UsageError(f"{file}: the map has several sources: say with --topic whose records these are")
    source = bridge_map.sources[0] if topic is None else bridge_map.source(topic)
    if source.encoding != "json":
        raise UsageError(f"{file}: {source.topic} is of {source.encoding}: give its records as hex in a .json file")
    frame = NO_SCHEMA if source.is_framed else b""
    lines = [line for line in data.split(b"\n") if line.strip()]
    return [Record(source.topic, 0, offset, now_ms, None, frame + line) for offset, line in enumerate(lines)]
