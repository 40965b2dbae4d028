"""One record of a source as the audit sees it: its bytes decoded, its verdict by the map of its stretch."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any, NamedTuple

from xxhash import xxh3_64_hexdigest

from streams.bridge.audit.interpreter import Interpreter, Verdict
from streams.bridge.decoding.avro import AvroDecoder
from streams.bridge.decoding.framing import unframed
from streams.bridge.decoding.json_values import JsonDecoder
from streams.bridge.decoding.protobuf import ProtobufDecoder
from streams.bridge.outcomes import RejectedError

if TYPE_CHECKING:
    from streams.bridge.decoding.leaf import Decoder
    from streams.bridge.records import Record
    from streams.bridge.registry import Registry
    from streams.bridge.sources import Source


class Judged(NamedTuple):
    """What must have become of a record."""

    verdict: Verdict
    op: str | None
    """What change of a row it is, where it is one."""


class Judge:
    """Judges the records of one source under one map."""

    def __init__(self, source: Source, registry: Registry, hashing: Any) -> None:  # noqa: ANN401
        """`registry` is asked for schemas; `hashing` is the bridge's."""
        self._source = source
        self.to = source.to
        """Which of our topics the events go to."""
        self._registry = registry
        self._hashing = hashing
        self._decoders: dict[str, Decoder] = {}
        self._interpreters: dict[int, Interpreter] = {}

    async def judge(self, record: Record, *, is_past_snapshot: bool) -> Judged:  # noqa: PLR0911 - one for each verdict
        """Return what must have become of a record. Raises `RegistryError`."""
        tombstone = Verdict(reason=None if self._source.ignores_tombstones else "null_value")
        if record.value is None:
            return Judged(tombstone, None)
        if not record.value:
            return Judged(Verdict(reason="empty"), None)
        try:
            decoder, payload = await self._opened(record, record.value)
            found = decoder.decode(payload)
        except RejectedError as error:
            return Judged(Verdict(reason=error.reason), None)
        if not isinstance(found, dict):
            return Judged(Verdict(reason="not_an_object"), None)
        inner = self._inner(found)
        if inner is None:
            return Judged(tombstone, None)
        if not isinstance(inner, dict):
            return Judged(Verdict(reason="not_an_object"), None)
        op = inner.get("op") if self._source.whens else None
        try:
            verdict = self._interpreter(decoder).judge(inner, record, is_past_snapshot=is_past_snapshot)
        except RejectedError as error:
            verdict = Verdict(reason=error.reason)
        except ValueError:  # the schema says two things of one value
            verdict = Verdict(reason="unreadable")
        return Judged(verdict, op if isinstance(op, str) and op else None)

    def _inner(self, found: Any) -> Any:  # noqa: ANN401
        """Return what lies under `unwrap`; a record without it is whole."""
        inner = found
        for part in self._source.unwrap.parts if self._source.unwrap is not None else ():
            has_key = isinstance(inner, dict) and part in inner
            has_place = isinstance(inner, list) and isinstance(part, int) and part < len(inner)
            if inner is None:
                return None
            if not has_key and not has_place:
                return found
            inner = inner[part]
        return inner

    async def _opened(self, record: Record, value: bytes) -> tuple[Decoder, bytes]:
        source = self._source
        if not source.is_framed:
            return self._fixed(), value
        framed = unframed(value, record.headers)
        if source.encoding == "json":
            return self._fixed(), framed.payload
        if source.encoding == "protobuf":
            decoder = self._fixed()
            assert isinstance(decoder, ProtobufDecoder)
            return decoder, decoder.without_indexes(framed.payload, framed.frame)
        if framed.schema not in self._decoders:
            found = self._registry.find(framed.schema) or await self._registry.look_up(framed.schema)
            if not isinstance(found, AvroDecoder):
                known = "unknown_schema" if found.fault == "unknown" else "unreadable"
                raise RejectedError(known, None, found.detail)
            self._decoders[framed.schema] = found
        return self._decoders[framed.schema], framed.payload

    def _fixed(self) -> Decoder:
        if "" not in self._decoders:
            source = self._source
            made: Decoder = JsonDecoder()
            if source.encoding == "protobuf":
                assert source.descriptor is not None
                assert source.message is not None
                paths = [parts for _, parts in source.placed_paths()]
                made = ProtobufDecoder(source.descriptor, source.message, paths)
            self._decoders[""] = made
        return self._decoders[""]

    def _interpreter(self, decoder: Decoder) -> Interpreter:
        if id(decoder) not in self._interpreters:
            made = Interpreter(self._source, decoder.shape, _id_of, self._hashing)
            self._interpreters[id(decoder)] = made
        return self._interpreters[id(decoder)]


def _id_of(record: Record) -> str:
    return f"b-{xxh3_64_hexdigest(record.topic.encode())}-{record.partition}-{record.offset}"
