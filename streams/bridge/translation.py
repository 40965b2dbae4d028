"""Records of a foreign topic into events, one outcome for each; nothing is guessed.

The events are decoded by the counter's own decoder before they are sent: what it would reject is rejected here, with
its reason.
"""

from __future__ import annotations

from dataclasses import dataclass, field
from functools import partial
from typing import TYPE_CHECKING, Any, NamedTuple

import numpy as np
import orjson

from streams.bridge.compiling import translator_of
from streams.bridge.decoding.avro import AvroDecoder
from streams.bridge.decoding.framing import ID_BYTES, unframed
from streams.bridge.decoding.json_values import JsonDecoder
from streams.bridge.decoding.protobuf import ProtobufDecoder
from streams.bridge.outcomes import IgnoredError, NeedsSchemaError, Outcome, RejectedError
from streams.bridge.paths import getter
from streams.bridge.plan import Plan
from streams.bridge.schemas import Fault
from streams.domain.decoding import Decoder
from streams.domain.rejections import BridgeReason, Reason
from streams.mapping.hashing import HASHED, refuse_without_key

if TYPE_CHECKING:
    from collections.abc import Callable, Sequence

    from streams.bridge.decoding.leaf import Shape
    from streams.bridge.plan import Changes
    from streams.bridge.records import Record
    from streams.bridge.schemas import Schemas
    from streams.bridge.sources import Source
    from streams.mapping.hashing import Hash
    from streams.native.translating import Translator

    Read = Callable[[bytes, Record], tuple[Any, Plan]]

TOMBSTONE = "tombstone"
MAGIC = b"\x00"
"""In front of a schema's number."""
TRANSLATORS_LIMIT = 8
"""Schemas at a time that have a compiled translator: of more than that the newest."""
_KEYS = {"recycling": "station"}
_MISSING = object()


class Event(NamedTuple):
    """One event as it is sent."""

    fields: dict[str, Any]
    key: bytes
    value: bytes


@dataclass(slots=True)
class Result:
    """What became of one record."""

    outcome: Outcome
    events: list[Event] = field(default_factory=list)
    rule: str = ""
    """Why it is ignored."""
    rejection: RejectedError | None = None


class Translated(NamedTuple):
    """What became of a batch, or of the records before the first that has to wait."""

    results: list[Result]
    needs: str | None
    """The schema that the next record waits for."""


class Translation:
    """Translates one source of a map."""

    def __init__(self, source: Source, schemas: Schemas, hashing: Hash | None = None) -> None:
        """`hashing` replaces what tells a person. Raises `UsageError` where a rule asks for it and there is none."""
        self.source = source
        self._schemas = schemas
        refuse_without_key((rule.name for rule in source.rules if rule.is_hashed), hashing, source.topic)
        self._hashed = HASHED if hashing is not None else ()
        self._plan = partial(Plan, source, hashing=hashing, hashed=self._hashed)
        fact = source.fact
        self._decoder = Decoder(fact, [f.name for f in fact.fields if f.name in ("currency", "payer_currency")])
        self._key = _KEYS.get(source.to, "order_id")
        self._unwrap = getter(source.unwrap.parts) if source.unwrap is not None else None
        self._by_schema: dict[str, tuple[Callable[[bytes], Any], Plan]] = {}
        self._by_frame: dict[bytes, tuple[Callable[[bytes], Any], Plan]] = {}
        """The same by the frame in front of a payload."""
        self.translators: dict[bytes, Translator] = {}
        """The compiled part, by the frame that a payload has in front of it; grows with the schemas that are met."""
        self._read = self._reader()

    def translate(self, records: Sequence[Record], changes: Changes, now_ms: int) -> Translated:
        """Return the results of `records` in order, up to the first that waits for a schema.

        `changes` are of their partition; `now_ms` is when the events are sent.
        """
        results: list[Result] = []
        needs = None
        for record in records:
            try:
                results.append(self.outcome(record, changes))
            except NeedsSchemaError as error:
                needs = error.schema
                break
        self._admit(results, now_ms)
        return Translated(results, needs)

    def outcome(self, record: Record, changes: Changes) -> Result:
        """Return what the map makes of a record, not admitted yet. Raises `NeedsSchemaError`."""
        try:
            return Result(Outcome.SENT, self._events(record, changes))
        except IgnoredError as error:
            return Result(Outcome.IGNORED, rule=error.rule)
        except RejectedError as error:
            return Result(Outcome.REJECTED, rejection=error)

    def _events(self, record: Record, changes: Changes) -> list[Event]:
        value = record.value
        if value is None:
            return self._tombstone()
        if not value:
            raise RejectedError(Reason.EMPTY, None, "the record's value has no bytes")
        found, plan = self._read(value, record)
        if not isinstance(found, dict):
            raise RejectedError(Reason.NOT_AN_OBJECT, None, "an object is due")
        if self._unwrap is not None:
            inner = self._unwrapped(found)
            if inner is None:
                return self._tombstone()
            found = inner
        key = self._key
        return [Event(event, event[key].encode(), orjson.dumps(event)) for event in plan.events(found, record, changes)]

    def _tombstone(self) -> list[Event]:
        if self.source.ignores_tombstones:
            raise IgnoredError(TOMBSTONE)
        raise RejectedError(Reason.NULL_VALUE, None, "the record has no value")

    def _unwrapped(self, found: dict[str, Any]) -> dict[str, Any] | None:
        """Return what lies under `unwrap`, None where null does; a record without it is whole."""
        assert self.source.unwrap is not None
        inner: Any = found
        for part in self.source.unwrap.parts:
            inner = _below(inner, part)
            if inner is _MISSING:
                return found
            if inner is None:
                return None
        if not isinstance(inner, dict):
            raise RejectedError(Reason.NOT_AN_OBJECT, self.source.unwrap.text, "an object is due")
        return inner

    def _admit(self, results: Sequence[Result], now_ms: int) -> None:
        """Reject what the counter would reject."""
        owners = [result for result in results for _ in result.events]
        values = [event.value for result in results for event in result.events]
        for index, rejection in self.refused(values, now_ms):
            result = owners[index]
            if result.outcome is Outcome.SENT:
                result.outcome, result.events, result.rejection = Outcome.REJECTED, [], rejection

    def refused(self, values: Sequence[bytes | None], now_ms: int) -> list[tuple[int, RejectedError]]:
        """Return which events the counter would reject, ascending, each with why."""
        if not len(values):
            return []
        _, rejections = self._decoder.decode(values, np.full(len(values), now_ms))
        return [
            (index, RejectedError(why.reason, self.source.place_of(why.detail.partition(":")[0]), why.detail))
            for index, why in rejections
        ]

    # How the bytes are read, by encoding.

    def _compile(self, shape: Shape, frame: bytes) -> None:
        """Have the compiled part for payloads that have `frame` in front, if it can take them."""
        found = translator_of(self.source, shape, frame, self._hashed)
        if found is not None:
            if len(self.translators) >= TRANSLATORS_LIMIT:
                del self.translators[next(iter(self.translators))]
            self.translators[frame] = found

    def _reader(self) -> Read:
        source = self.source
        if source.encoding == "avro":
            return self._read_avro
        if source.encoding == "json":
            decoder = JsonDecoder()
            plan, decode = self._plan(decoder.shape), decoder.decode
            self._compile(decoder.shape, MAGIC if source.is_framed else b"")
            if not source.is_framed:
                return lambda value, _: (decode(value), plan)
            return lambda value, record: (decode(unframed(value, record.headers).payload), plan)
        assert source.descriptor is not None
        assert source.message is not None
        protobuf = ProtobufDecoder(source.descriptor, source.message, [parts for _, parts in source.placed_paths()])
        plan = self._plan(protobuf.shape)
        if not source.is_framed:
            return lambda value, _: (protobuf.decode(value), plan)

        def read(value: bytes, record: Record) -> tuple[Any, Plan]:
            framed = unframed(value, record.headers)
            return protobuf.decode(protobuf.without_indexes(framed.payload, framed.frame)), plan

        return read

    def _read_avro(self, value: bytes, record: Record) -> tuple[Any, Plan]:
        if not record.headers:  # then the frame itself tells one schema from another
            known = self._by_frame.get(value[:ID_BYTES])
            if known is not None:
                return known[0](value[ID_BYTES:]), known[1]
        framed = unframed(value, record.headers)
        known = self._by_schema.get(framed.schema)
        if known is None:
            known = self._by_schema[framed.schema] = self._look_up(framed.schema)
            if framed.schema.isdigit():
                self._by_frame[_frame(framed.schema)] = known
        return known[0](framed.payload), known[1]

    def _look_up(self, schema: str) -> tuple[Callable[[bytes], Any], Plan]:
        found = self._schemas.find(schema)
        if isinstance(found, AvroDecoder):
            try:
                plan = self._plan(found.shape)
            except ValueError as error:
                raise RejectedError(BridgeReason.UNREADABLE, None, f"schema {schema}: {error}") from None
            if schema.isdigit():
                self._compile(found.shape, _frame(schema))
            return found.decode, plan
        if found is None or (found.fault is Fault.UNKNOWN and not self.source.rejects_unknown_schema):
            raise NeedsSchemaError(schema)
        reason = BridgeReason.UNKNOWN_SCHEMA if found.fault is Fault.UNKNOWN else BridgeReason.UNREADABLE
        raise RejectedError(reason, None, f"schema {schema}: {found.detail}")


def _frame(schema: str) -> bytes:
    return MAGIC + int(schema).to_bytes(ID_BYTES - 1, "big")


def _below(value: Any, part: str | int) -> Any:  # noqa: ANN401 - whatever the record holds
    if isinstance(part, str):
        return value.get(part, _MISSING) if isinstance(value, dict) else _MISSING
    return value[part] if isinstance(value, list) and part < len(value) else _MISSING
