"""What a map makes of the objects of one schema: rules compiled once, called for each record.

The order is fixed: which change of a row, `only`, `type`, then the fields. The first that does not fit decides.
"""

from __future__ import annotations

from decimal import Decimal
from typing import TYPE_CHECKING, Any

from xxhash import xxh3_64_hexdigest

from streams.bridge.outcomes import IgnoredError, RejectedError
from streams.bridge.paths import getter
from streams.bridge.readers import Readers
from streams.bridge.sources import SNAPSHOT
from streams.bridge.values import text_of
from streams.domain.currencies import EXPONENTS
from streams.domain.facts import Kind
from streams.domain.rejections import BridgeReason, Reason
from streams.mapping.problems import BadValueError, shown

if TYPE_CHECKING:
    from collections.abc import Callable, Sequence

    from streams.bridge.decoding.leaf import Shape
    from streams.bridge.records import Record
    from streams.bridge.sources import Changed, Only, Source, TypeRule
    from streams.mapping.hashing import Hash

    Event = dict[str, Any]
    _ReadType = Callable[[Any, Any, Record], str]


class Changes:
    """What was seen of the changes of one partition's rows so far."""

    __slots__ = ("is_past_snapshot",)

    def __init__(self, *, is_past_snapshot: bool = False) -> None:
        """Begin; a snapshot ends with the first record of another op."""
        self.is_past_snapshot = is_past_snapshot


class Plan:
    """Makes the events of one record."""

    def __init__(self, source: Source, shape: Shape, hashing: Hash | None = None, hashed: Sequence[str] = ()) -> None:
        """Compile the rules. Raises `ValueError` where the schema says two things of one value."""
        readers = Readers(shape, source.zone, source.each, hashing, hashed)
        fact = source.fact
        required = {field.name for field in fact.fields if field.is_required}
        self._source = source
        self._types = fact.types
        rules = sorted(source.rules, key=lambda rule: rule.kind is Kind.MONEY)
        self._fields = [
            (rule.target, readers.field(rule), rule.types, rule.place if rule.target in required else None)
            for rule in rules
            if rule.kind is not Kind.MONEY
        ]
        self._money = [
            (rule.target, readers.money(rule), rule.currency, rule.place if rule.target in required else None)
            for rule in rules
            if rule.kind is Kind.MONEY
        ]
        self._only = [(only, self._looks_at(only, shape)) for only in source.only]
        self._op, self._whens = getter(("op",)), [(when, _holds(when.changed)) for when in source.whens]
        self._type = _type_reader(source.type, self._types) if source.type is not None else None
        self._is_type_of_element = source.type is not None and any(path.is_in_element for path in source.type.paths)
        self._each = getter(source.each.parts) if source.each is not None else None
        self._names_events = source.names_events
        self._topic_hash = xxh3_64_hexdigest(source.topic.encode())

    def events(self, found: Any, record: Record, changes: Changes) -> list[Event]:  # noqa: ANN401 - whatever it holds
        """Return the events in an object. Raises `IgnoredError`, `RejectedError`."""
        event_type = self._change(found, changes) if self._whens else ""
        for only, look in self._only:
            if only.path is None or not only.path.is_in_element:
                self._pass(only, look, found, None, record)
        if self._type is not None and not self._is_type_of_element:
            event_type = self._type(found, None, record)
        if self._each is None:
            return [self._event(event_type, found, None, record, "")]
        return self._events_of_each(event_type, found, record)

    def _events_of_each(self, event_type: str, found: Any, record: Record) -> list[Event]:  # noqa: ANN401
        assert self._each is not None
        assert self._source.each is not None
        path, elements = self._source.each, self._each(found)
        if elements is None:
            raise RejectedError(Reason.MISSING_FIELD, path.text, "the list of elements is absent")
        if not isinstance(elements, list):
            raise RejectedError(Reason.WRONG_TYPE, path.text, f"{shown(elements)}, where a list is due")
        events: list[Event] = []
        ignored: IgnoredError | None = None
        for number, element in enumerate(elements):
            try:
                for only, look in self._only:
                    if only.path is not None and only.path.is_in_element:
                        self._pass(only, look, found, element, record)
                if self._type is not None and self._is_type_of_element:
                    event_type = self._type(found, element, record)
            except IgnoredError as error:
                ignored = ignored or error
                continue
            events.append(self._event(event_type, found, element, record, f"-{number}"))
        if not events:
            raise ignored or IgnoredError("each: empty")
        return events

    def _event(  # noqa: C901 - one branch for each rule, and no call between: it is the hot path
        self,
        event_type: str,
        found: Any,  # noqa: ANN401
        element: Any,  # noqa: ANN401
        record: Record,
        suffix: str,
    ) -> Event:
        event: Event = {"type": event_type}
        if not self._names_events:
            event["event_id"] = f"b-{self._topic_hash}-{record.partition}-{record.offset}{suffix}"
        for target, read, types, place in self._fields:
            if types and event_type not in types:
                continue
            value = read(found, element, record)
            if value is not None:
                event[target] = value
            elif place is not None:
                raise RejectedError(Reason.MISSING_FIELD, place, f"{target}: absent")
        for target, amount, by, place in self._money:
            currency = event.get(by)
            if currency is None:
                # Without the currency of the payer nothing but 0 can be meant, which says nothing.
                if amount(found, element, record, event["currency"]):
                    raise RejectedError(Reason.MISSING_FIELD, by, f"{by}: absent, and {target} is in it")
                continue
            if currency not in EXPONENTS:
                raise RejectedError(
                    Reason.UNKNOWN_CURRENCY, self._source.place_of(by), f"{shown(currency)} is no currency"
                )
            value = amount(found, element, record, currency)
            if value is not None:
                event[target] = value
            elif place is not None:
                raise RejectedError(Reason.MISSING_FIELD, place, f"{target}: absent")
        return event

    def _change(self, found: Any, changes: Changes) -> str:  # noqa: ANN401 - whatever the record holds
        """Return the type of event that a change of a row is."""
        op = self._op(found)
        if not isinstance(op, str) or not op:
            detail = "no change of a row: its `op` is absent" if op is None else f"op: {shown(op)} is no text"
            raise RejectedError(Reason.MISSING_FIELD if op in (None, "") else Reason.WRONG_TYPE, "op", detail)
        if op != SNAPSHOT:
            changes.is_past_snapshot = True
        elif changes.is_past_snapshot and self._source.takes_snapshots:
            detail = "a snapshot's row behind other changes: it would count again"
            raise RejectedError(BridgeReason.SECOND_SNAPSHOT, "op", detail)
        for when, holds in self._whens:
            if op in when.ops and holds(found):
                return when.type
        raise IgnoredError("when")

    @staticmethod
    def _looks_at(only: Only, shape: Shape) -> Callable[[Any], Any]:
        if only.path is None:
            return lambda value: value
        get = getter(only.path.parts)
        scale = shape.leaf(only.path.parts).scale if not only.path.is_in_element else None
        if scale is None:
            return get
        return lambda value: _decimal(get(value), scale)

    @staticmethod
    def _pass(only: Only, look: Callable[[Any], Any], found: Any, element: Any, record: Record) -> None:  # noqa: ANN401
        name = only.filter.column
        if only.path is None:
            value: Any = record.header(name)
        else:
            value = look(element if only.path.is_in_element else found)
        try:
            is_taken = only.filter.passes(value)
        except BadValueError as error:
            reason = BridgeReason.BAD_AMOUNT if error.reason == "bad_number" else error.reason
            raise RejectedError(reason, name, error.detail) from None
        if not is_taken:
            raise IgnoredError(f"only: {name}")


def _type_reader(rule: TypeRule, types: Sequence[str]) -> _ReadType:  # noqa: C901 - functions of one rule
    constant = rule.constant
    if constant is not None:
        return lambda _object, _element, _record: constant
    gets = [(path.is_in_element, getter(path.parts)) for path in rule.paths]
    values, place = rule.values, rule.place

    def text(object_: Any, element: Any, record: Record) -> str | None:  # noqa: ANN401
        if rule.header is not None:
            return record.header(rule.header)
        for is_in_element, get in gets:
            try:
                found = text_of(get(element if is_in_element else object_))
            except BadValueError as error:
                raise RejectedError(error.reason, place, error.detail) from None
            if found is not None:
                return found
        return None

    def read(object_: Any, element: Any, record: Record) -> str:  # noqa: ANN401
        told = text(object_, element, record)
        if told is None:
            raise RejectedError(Reason.MISSING_FIELD, place, "type: absent")
        found = values.get(told) if values is not None else told if told in types else None
        if found is not None:
            return found
        if rule.ignores_others:
            raise IgnoredError(f"type: {told}")
        if values is None:
            raise RejectedError(Reason.UNKNOWN_TYPE, place, f"{shown(told)} is not one of {', '.join(types)}")
        raise RejectedError(BridgeReason.UNKNOWN_VALUE, place, f"{shown(told)} is not in `values`")

    return read


def _holds(changed: Changed | None) -> Callable[[Any], bool]:
    """Return what tells whether a change is the one that is meant. It may raise `RejectedError`."""
    if changed is None:
        return lambda _: True
    after, before = (getter((name, *changed.path.parts)) for name in ("after", "before"))
    place = f"before.{changed.path.text}"

    def holds(found: Any) -> bool:  # noqa: ANN401 - whatever the record holds
        try:
            is_now, was = text_of(after(found)), text_of(before(found))
        except BadValueError as error:
            raise RejectedError(error.reason, changed.path.text, error.detail) from None
        if is_now != changed.to:
            return False
        if was is None:
            detail = f"whether it has become {shown(changed.to)} cannot be told without what it was"
            raise RejectedError(BridgeReason.MISSING_BEFORE, place, detail)
        return was != changed.to

    return holds


def _decimal(value: Any, scale: int) -> Any:  # noqa: ANN401 - whatever the record holds
    return Decimal(int.from_bytes(value, "big", signed=True)).scaleb(-scale) if isinstance(value, bytes) else value
