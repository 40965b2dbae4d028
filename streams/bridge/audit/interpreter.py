"""The map interpreted rule by rule, in decimal arithmetic: slow, and without a look at what the bridge compiles.

One record in, its events out, or why there are none.
"""

from __future__ import annotations

import json
from decimal import Decimal
from typing import TYPE_CHECKING, Any, NamedTuple

from streams.audit.admission import AHEAD_MS, admit
from streams.bridge.audit.reading import Fault, Look, amount_of, element_path, flag_of, number_of, text_of, time_of
from streams.bridge.paths import Path
from streams.domain.currencies import EXPONENTS
from streams.domain.facts import Kind
from streams.mapping.amounts import as_number
from streams.mapping.problems import BadValueError

if TYPE_CHECKING:
    from collections.abc import Callable, Sequence

    from streams.bridge.decoding.leaf import Shape
    from streams.bridge.records import Record
    from streams.bridge.rules import Rule
    from streams.bridge.sources import Only, Source, When
    from streams.mapping.filters import Filter

_FAR_MS = 10**16
Event = dict[str, Any]


class Verdict(NamedTuple):
    """What must have become of a record."""

    events: tuple[Event, ...] = ()
    reason: str | None = None
    """Why it must have been rejected."""

    @property
    def outcome(self) -> str:
        """Return the outcome's word."""
        return "rejected" if self.reason else "sent" if self.events else "ignored"

    def may_be_ahead(self, aside_ms: int) -> bool:
        """Return whether an event of it was ahead of the clock when it was set aside."""
        return any(event["ts"] > aside_ms + AHEAD_MS - 60_000 for event in self.events)


class _NotTakenError(Exception):
    """The map does not take it."""


class Interpreter:
    """Interprets one source of a map for the objects of one schema."""

    def __init__(self, source: Source, shape: Shape, id_of: Callable[[Record], str], hashing: Any) -> None:  # noqa: ANN401
        """`id_of` makes the beginning of an `event_id` that the map does not name."""
        self._source = source
        self._shape = shape
        self._id_of = id_of
        self._hashing = hashing

    def judge(self, found: Any, record: Record, *, is_past_snapshot: bool) -> Verdict:  # noqa: ANN401
        """Return what must become of the object in a record."""
        try:
            events = self._events(found, record, is_past_snapshot=is_past_snapshot)
        except _NotTakenError:
            return Verdict()
        except Fault as fault:
            return Verdict(reason=fault.reason)
        # What section 1 rejects is found only once all fields were read.
        admitted = [admit(self._source.to, json.dumps(event).encode(), _FAR_MS) for event in events]
        reasons = [reason for reason in admitted if isinstance(reason, str)]
        return Verdict(reason=reasons[0]) if reasons else Verdict(tuple(events))

    def _events(self, found: Any, record: Record, *, is_past_snapshot: bool) -> list[Event]:  # noqa: ANN401
        source = self._source
        kind = self._changed(found, is_past_snapshot=is_past_snapshot) if source.whens else None
        whole = Look(found, None, record)
        self._filter(whole, [only for only in source.only if only.path is None or not only.path.is_in_element])
        is_of_element = source.type is not None and any(path.is_in_element for path in source.type.paths)
        if source.type is not None and not is_of_element:
            kind = self._type(whole)
        if source.each is None:
            return [self._event(whole, kind, "")]
        elements = whole.at(Path("", source.each.parts))
        if elements is None:
            raise Fault("missing_field")
        if not isinstance(elements, list):
            raise Fault("wrong_type")
        events = []
        for place, element in enumerate(elements):
            look = Look(found, element, record)
            try:
                self._filter(look, [only for only in source.only if only.path is not None and only.path.is_in_element])
                if is_of_element:
                    kind = self._type(look)
            except _NotTakenError:
                continue
            events.append(self._event(look, kind, f"-{place}"))
        return events

    def _changed(self, found: Any, *, is_past_snapshot: bool) -> str:  # noqa: ANN401
        op = found.get("op") if isinstance(found, dict) else None
        if op in (None, ""):
            raise Fault("missing_field")
        if not isinstance(op, str):
            raise Fault("wrong_type")
        if op == "r" and is_past_snapshot and any("r" in when.ops for when in self._source.whens):
            raise Fault("second_snapshot")
        for when in self._source.whens:
            if op in when.ops and _is_change(when, found):
                return when.type
        raise _NotTakenError

    @staticmethod
    def _filter(look: Look, filters: Sequence[Only]) -> None:
        for only in filters:
            value = look.header(only.filter.column) if only.path is None else look.at(only.path)
            if not _passes(only.filter, value):
                raise _NotTakenError

    def _type(self, look: Look) -> str:
        rule = self._source.type
        assert rule is not None
        if rule.constant is not None:
            return rule.constant
        told = look.header(rule.header) if rule.header is not None else None
        for path in rule.paths:
            told = told or text_of(look.at(path))
        if told is None:
            raise Fault("missing_field")
        types = self._source.fact.types
        if rule.values is not None and told in rule.values:
            return rule.values[told]
        if rule.values is None and told in types:
            return told
        if rule.ignores_others:
            raise _NotTakenError
        raise Fault("unknown_type" if rule.values is None else "unknown_value")

    def _event(self, look: Look, kind: str | None, suffix: str) -> Event:  # noqa: C901 - one branch for each rule
        assert kind is not None
        source, fact = self._source, self._source.fact
        event: Event = {"type": kind}
        if not any(rule.target == "event_id" for rule in source.rules):
            event["event_id"] = self._id_of(look.record) + suffix
        needed = {field.name for field in fact.fields if field.is_required}
        for rule in (rule for rule in source.rules if rule.kind is not Kind.MONEY):
            if rule.types and kind not in rule.types:
                continue
            value = self._value(rule, look)
            if value is not None:
                event[rule.target] = value
            elif rule.target in needed:
                raise Fault("missing_field")
        for rule in (rule for rule in source.rules if rule.kind is Kind.MONEY):
            currency = event.get(rule.currency)
            if currency is not None and currency not in EXPONENTS:
                raise Fault("unknown_currency")
            minor = self._money(rule, look, currency or event["currency"])
            if currency is None:
                if minor:
                    raise Fault("missing_field")
            elif minor is not None:
                event[rule.target] = minor
            elif rule.target in needed:
                raise Fault("missing_field")
        return event

    def _value(self, rule: Rule, look: Look) -> Any:  # noqa: ANN401 - a field's
        if rule.constant is not None:
            return rule.constant
        if rule.template:
            return self._hashed(rule, self._filled(rule, look))
        value, path = self._raw(rule, look)
        leaf = self._shape.leaf(element_path(self._source.each, path) if path is not None else ())
        match rule.kind:
            case Kind.TEXT:
                return self._text(rule, value)
            case Kind.TIME:
                found = time_of(value, rule, leaf, self._source.zone)
            case Kind.COUNT:
                found = number_of(value, 10**18)
            case _:
                found = flag_of(value if rule.values is None else self._mapped(rule, text_of(value)))
        return rule.default if found is None else found

    @staticmethod
    def _raw(rule: Rule, look: Look) -> tuple[Any, Path | None]:
        """Return the value that a rule looks at, and the path it was found at."""
        if rule.header is not None:
            return look.header(rule.header), None
        if rule.record is not None:
            return look.of_record(rule.record), None
        for path in rule.paths:
            value = look.at(path)
            if value not in (None, ""):
                return value, path
        return None, rule.paths[0]

    def _text(self, rule: Rule, value: Any) -> str | None:  # noqa: ANN401
        text = text_of(value)
        if text is None:
            text = rule.default if isinstance(rule.default, str) else None
        else:
            text = text.upper() if rule.is_upper else text
            text = self._mapped(rule, text) if rule.values is not None else text
        return self._hashed(rule, text)

    @staticmethod
    def _mapped(rule: Rule, text: str | None) -> str | None:
        assert rule.values is not None
        if text is None:
            return None
        found = rule.values.get(text, rule.default)
        if found is None:
            raise Fault("unknown_value")
        return str(found)

    def _hashed(self, rule: Rule, text: str | None) -> str | None:
        is_asked = self._hashing is not None and (rule.is_hashed or rule.target in ("buyer", "user"))
        return self._hashing(text) if is_asked and text is not None else text

    @staticmethod
    def _filled(rule: Rule, look: Look) -> str:
        found = ""
        for literal, path in rule.template:
            text = "" if path is None else text_of(look.at(path))
            if text is None:
                raise Fault("missing_field")
            found += literal + text
        return found

    def _money(self, rule: Rule, look: Look, currency: str) -> int | None:
        if rule.constant is not None:
            return int(amount_of(rule.constant, rule, None, currency, is_plain=True))
        if rule.sum is not None:
            return self._sum(rule, look, currency)
        value, path = self._raw(rule, look)
        leaf = self._shape.leaf(element_path(self._source.each, path) if path is not None else ())
        if value in (None, ""):
            return None if rule.default is None else int(amount_of(rule.default, rule, None, currency, is_plain=True))
        return int(amount_of(value, rule, leaf.scale, currency))

    def _sum(self, rule: Rule, look: Look, currency: str) -> int | None:
        what = rule.sum
        assert what is not None
        elements = look.at(what.over)
        if elements in (None, []):
            return None
        if not isinstance(elements, list):
            raise Fault("wrong_type")
        scale = self._shape.leaf((*element_path(self._source.each, what.over), 0, *what.of.parts)).scale
        total = Decimal(0)
        for one in elements:
            inner = Look(one, None, look.record)
            price = inner.at(what.of)
            if price in (None, ""):
                raise Fault("missing_field")
            minor = amount_of(price, rule, scale, currency, is_exact=True)
            count = 1 if what.times is None else number_of(inner.at(what.times), 10**80)
            total += Decimal(minor) * (1 if count is None else count)
        if total != int(total):
            raise Fault("bad_amount")
        if abs(total) > 10**13:
            raise Fault("out_of_range")
        return int(total)


def _is_change(when: When, found: Any) -> bool:  # noqa: ANN401
    if when.changed is None:
        return True
    sides = [Look(found.get(side), None, None).at(when.changed.path) for side in ("after", "before")]
    after, before = map(text_of, sides)
    if after != when.changed.to:
        return False
    if before is None:
        raise Fault("missing_before")
    return before != when.changed.to


def _told(value: Any) -> str | None:  # noqa: ANN401
    """Return a value as `only` compares it: whole numbers have no fraction, whatever their type."""
    if isinstance(value, float) and value.is_integer() and abs(value) < 10**15:
        return str(int(value))
    return str(value) if type(value) in (int, float, Decimal) else text_of(value)


def _passes(asked: Filter, value: Any) -> bool:  # noqa: ANN401
    try:
        text = _told(value)
        number = as_number(value) if asked.at_least is not None or asked.below is not None else None
    except BadValueError as error:
        raise Fault("bad_amount" if error.reason == "bad_number" else error.reason) from None
    if asked.is_empty is not None and asked.is_empty is not (text is None):
        return False
    if asked.one_of is not None and text not in asked.one_of:
        return False
    if text in asked.none_of:
        return False
    if asked.at_least is None and asked.below is None:
        return True
    if number is None:
        return False
    return (asked.at_least is None or number >= asked.at_least) and (asked.below is None or number < asked.below)
