"""From record values to columns of valid events, and a rejection for each of the others.

Two ways lead to one verdict. The fast one is msgspec's strict decoder over a whole batch. It cannot see
everything the contract asks for (UTF-8 in fields it skips, `__` in front of a text, of a key given twice only
the last, nesting that exhausts the stack), so whatever looks suspicious or fails goes to `_judge`, which takes
one record apart field by field and alone names reasons.
"""

from __future__ import annotations

import json
import re
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any, NoReturn

import msgspec
import numpy as np
import numpy.typing as npt

from streams.domain.currencies import EXPONENTS
from streams.domain.facts import FLAG_TEXTS, TEXT_LIMIT, Fact, Field, Kind
from streams.domain.rejections import Reason, Rejection

if TYPE_CHECKING:
    from collections.abc import Callable, Iterable, Mapping, Sequence

VALUE_LIMIT_BYTES = 64 * 1024
DEPTH_LIMIT = 128
"""Levels of nesting. Far below the interpreter's recursion limit, so that no decoder's verdict depends on its stack."""
FUTURE_LIMIT_MS = 300_000
"""How far an event's time may be ahead of its record's time (contract 1)."""
_BRACKETS_SUSPICIOUS = 100
"""Fewer brackets than this cannot nest deeper than `DEPTH_LIMIT`."""
_CASE, _BRACKET = np.uint8(0xDF), np.uint8(ord("["))
"""`[` and `{` differ in one bit."""
_UNDERSCORES = np.uint16(0x5F5F)
_INTEGER_DIGITS = 30
_HUGE = int("9" * _INTEGER_DIGITS)
"""Integers with more digits are out of any range; Python refuses to parse very long ones."""

_NOT_BRACKETS = re.compile(r'"(?:[^"\\]|\\.)*"?|[^\[\]{}"]+', re.DOTALL)
_PAIR = re.compile(r"\\u[dD][89abAB][0-9a-fA-F]{2}\\u[dD][c-fC-F][0-9a-fA-F]{2}")
_SURROGATE = re.compile(r"\\u[dD][89a-fA-F]")

Ints = npt.NDArray[np.int64]
Bools = npt.NDArray[np.bool_]


@dataclass(frozen=True, slots=True)
class Columns:
    """Valid events of one batch in log order, one entry per event in every column."""

    indexes: Ints
    """Position of each event's record in the batch."""
    record_times_ms: Ints
    texts: dict[str, Sequence[str]]
    """Text fields, currencies and `type`."""
    numbers: dict[str, Ints]

    def __len__(self) -> int:
        """Return the number of events."""
        return len(self.indexes)

    def only(self, mask: Bools) -> Columns:
        """Return the events where `mask` is true."""
        if mask.all():
            return self
        kept = np.flatnonzero(mask)
        where = kept.tolist()
        return Columns(
            self.indexes[kept],
            self.record_times_ms[kept],
            {name: [column[i] for i in where] for name, column in self.texts.items()},
            {name: column[kept] for name, column in self.numbers.items()},
        )


class Decoder:
    """Decodes the records of one fact. Holds no state between batches."""

    def __init__(self, fact: Fact, text_fields: Iterable[str]) -> None:
        """Prepare columns for all numbers of `fact` and for `text_fields`; other texts are checked, not kept."""
        self._fact = fact
        self._decode = msgspec.json.Decoder(fact.event).decode
        relations = {name for pair in fact.needs for name in pair} | {name for _, name in fact.required_for}
        texts = {f.name: f for f in fact.fields if f.number_limits() is None}
        self._defaults = {f.name: f.default for f in fact.fields}
        kept = {"type", "event_id"} | set(text_fields) | (relations & set(texts))
        self._texts = ["type", *(name for name in texts if name in kept)]
        self._flags = {name for name in self._texts if name in texts and texts[name].kind is Kind.FLAG}
        self._numbers = list(fact.number_fields)
        # Of texts that only some types carry, none is read for the others.
        self._numbers_of_types = [(f.name, f.types) for f in fact.fields if f.types and f.name in self._numbers]
        self._take_columns = _column_taker([*self._texts, *self._numbers])

    def decode(
        self, values: Sequence[bytes | None], record_times_ms: Sequence[int]
    ) -> tuple[Columns, list[tuple[int, Rejection]]]:
        """Return the valid events as columns, and (index in the batch, rejection) of all other records, ascending."""
        events, rejections = self._events(values)
        rejected = dict(rejections)
        indexes = np.arange(len(values), dtype=np.int64)
        times = np.asarray(record_times_ms, dtype=np.int64)
        if rejected:
            indexes = np.delete(indexes, list(rejected))
            times = times[indexes]
        columns = self._columns(events, indexes, times)
        broken = self._broken_relations(columns)
        if broken:
            mask = np.ones(len(columns), dtype=np.bool_)
            for row, rejection in broken.items():
                mask[row] = False
                rejected[int(columns.indexes[row])] = rejection
            columns = columns.only(mask)
        return columns, sorted(rejected.items())

    def _events(self, values: Sequence[bytes | None]) -> tuple[list[Any], list[tuple[int, Rejection]]]:
        decode = self._decode if _looks_plain(values) else self._decode_carefully
        events: list[Any] = []
        rejections: list[tuple[int, Rejection]] = []
        records = iter(values)
        while True:
            try:
                # extend() keeps what it appended before an exception, so the count of verdicts names the record.
                events.extend(map(decode, records))  # type: ignore[arg-type] # None raises, as it should
            except (msgspec.MsgspecError, TypeError, RecursionError, UnicodeError, _SuspiciousError):
                index = len(events) + len(rejections)
                verdict = self._judge(values[index])
                if isinstance(verdict, Rejection):
                    rejections.append((index, verdict))
                else:
                    events.append(verdict)
            else:
                return events, rejections

    def _decode_carefully(self, value: bytes | None) -> msgspec.Struct:
        if value is None or _is_suspicious(value):
            raise _SuspiciousError
        return self._decode(value)

    def _columns(self, events: list[Any], indexes: Ints, record_times_ms: Ints) -> Columns:
        columns = self._take_columns(events)
        texts: dict[str, Sequence[str]] = {
            name: [FLAG_TEXTS.get(flag, flag) for flag in columns[name]] if name in self._flags else columns[name]
            for name in self._texts
        }
        numbers = {name: np.array(columns[name], dtype=np.int64) for name in self._numbers}
        for name, types in self._numbers_of_types:
            is_theirs = np.fromiter(map(types.__contains__, texts["type"]), np.bool_, len(indexes))
            numbers[name] = np.where(is_theirs, numbers[name], self._defaults[name])
        return Columns(indexes, record_times_ms, texts, numbers)

    def _broken_relations(self, columns: Columns) -> dict[int, Rejection]:
        """Return the rows whose fields contradict each other, with the first contradiction of each."""
        broken: dict[int, Rejection] = {}

        def reject(mask: Bools, reason: Reason, detail: str) -> None:
            if mask.any():
                for row in np.flatnonzero(mask).tolist():
                    broken.setdefault(row, Rejection(reason, detail))

        for event_type, name in self._fact.required_for:
            mask = ~self._is_given(columns, name)
            if mask.any():
                mask &= np.fromiter(map(event_type.__eq__, columns.texts["type"]), np.bool_, len(columns))
                reject(mask, Reason.MISSING_FIELD, f"{name}: required for {event_type}")
        for name, needed in self._fact.needs:
            mask = self._is_given(columns, name) & ~self._is_given(columns, needed)
            reject(mask, Reason.MISSING_FIELD, f"{needed}: required beside {name}")
        numbers = columns.numbers
        if self._fact.amount is not None and self._fact.discounts:
            discount = sum(numbers[name] for name in self._fact.discounts)
            detail = f"{' and '.join(self._fact.discounts)} together exceed {self._fact.amount}"
            reject(discount > numbers[self._fact.amount], Reason.DISCOUNT_EXCEEDS_AMOUNT, detail)
        for name in self._fact.not_after_ts:
            reject(numbers[name] > numbers["ts"], Reason.TIME_ORDER, f"{name} is after ts")
        ahead = numbers["ts"] > columns.record_times_ms + FUTURE_LIMIT_MS
        reject(ahead, Reason.FUTURE_EVENT, "ts is more than 5 minutes ahead of the record's Kafka timestamp")
        return broken

    def _is_given(self, columns: Columns, name: str) -> Bools:
        """Return where a field was given (a 0 that is also its default counts as not given)."""
        default = self._defaults[name]
        if name in columns.numbers:
            is_given: Bools = np.not_equal(columns.numbers[name], default)
            return is_given
        return np.fromiter(map(default.__ne__, columns.texts[name]), np.bool_, len(columns))

    def _judge(self, value: bytes | None) -> msgspec.Struct | Rejection:
        """Return the event in one record, or why there is none."""
        parsed = parse_object(value)
        if isinstance(parsed, Rejection):
            return parsed
        rejection = self._check_type(parsed)
        if rejection is not None:
            return rejection
        given: dict[str, Any] = {"type": parsed["type"]}
        for field in self._fact.fields:
            if not field.is_of(parsed["type"]):
                continue
            if field.name in parsed:
                rejection = _check(field, parsed[field.name])
                if rejection is not None:
                    return rejection
                given[field.name] = parsed[field.name]
            elif field.is_required:
                return Rejection(Reason.MISSING_FIELD, f"{field.name}: missing")
        return self._fact.event(**given)

    def _check_type(self, parsed: Mapping[str, object]) -> Rejection | None:
        if "type" not in parsed:
            return Rejection(Reason.MISSING_FIELD, "type: missing")
        event_type = parsed["type"]
        if not isinstance(event_type, str):
            return Rejection(Reason.WRONG_TYPE, f"type: expected a text, found {_found(event_type)}")
        if event_type not in self._fact.types:
            expected = ", ".join(self._fact.types)
            return Rejection(Reason.UNKNOWN_TYPE, f"type: {_found(event_type)} is not one of {expected}")
        return None


def _column_taker(names: Sequence[str]) -> Callable[[list[Any]], dict[str, list[Any]]]:
    """Return a function that turns events into a list per field.

    Written out as source, because a comprehension with the field's name in it costs 12 ns per event and field,
    and `map(attrgetter(name), events)` 28 ns.
    """
    assert all(name.isidentifier() for name in names)
    columns = ", ".join(f"{name!r}: [event.{name} for event in events]" for name in names)
    take: Callable[[list[Any]], dict[str, list[Any]]] = eval(f"lambda events: {{{columns}}}")  # noqa: S307 - declared names only
    return take


class _SuspiciousError(Exception):
    """The fast decoder must not decide this record."""


def _looks_plain(values: Sequence[bytes | None]) -> bool:
    """Return whether the fast decoder may decide every record of a batch: one look at all bytes at once."""
    try:
        # Joined by a line feed, a UTF-8 sequence cannot continue from one record into the next.
        joined = b"\n".join(values)  # type: ignore[arg-type] # None raises TypeError
    except TypeError:
        return False
    # As numbers the bytes are looked through many times faster than by a search for a text.
    found = np.frombuffer(joined, dtype=np.uint8)
    brackets = int(np.count_nonzero((found & _CASE) == _BRACKET)) - len(values)
    pairs = found[: len(found) // 2 * 2].view(np.uint16), found[1 : (len(found) - 1) // 2 * 2 + 1].view(np.uint16)
    return (
        brackets <= _BRACKETS_SUSPICIOUS
        and max(map(len, values), default=0) <= VALUE_LIMIT_BYTES  # type: ignore[arg-type] # None was seen above
        and not any(bool((pair == _UNDERSCORES).any()) for pair in pairs)
        and not _is_suspicious_text(joined, has_underscores=False)
    )


def _is_suspicious(value: bytes) -> bool:
    brackets = value.count(b"[") + value.count(b"{")
    return brackets > _BRACKETS_SUSPICIOUS or len(value) > VALUE_LIMIT_BYTES or _is_suspicious_text(value)


def _is_suspicious_text(text: bytes, *, has_underscores: bool = True) -> bool:
    r"""Return whether a text may begin with `__` (written out or as \\u005f), or some byte is not UTF-8."""
    if (has_underscores and b'"__' in text) or (b"\\" in text and b"\\u005" in text):
        return True
    if text.isascii():
        return False
    try:
        text.decode()
    except UnicodeDecodeError:
        return True
    return False


def parse_object(value: bytes | None) -> dict[str, Any] | Rejection:  # noqa: PLR0911 - one return per verdict
    """Return the JSON object of a record value; of a key given twice the last counts."""
    if value is None:
        return Rejection(Reason.NULL_VALUE, "the record has no value")
    if not value:
        return Rejection(Reason.EMPTY, "the record's value has no bytes")
    if len(value) > VALUE_LIMIT_BYTES:
        return Rejection(Reason.TOO_LARGE, f"{len(value)} bytes, at most {VALUE_LIMIT_BYTES}")
    try:
        text = value.decode()
    except UnicodeDecodeError as error:
        return Rejection(Reason.NOT_UTF8, f"byte {error.start} is not UTF-8")
    if _depth(text) > DEPTH_LIMIT:
        return Rejection(Reason.NOT_JSON, f"nested deeper than {DEPTH_LIMIT} levels")
    if _SURROGATE.search(_PAIR.sub("", text.replace("\\\\", " "))):
        return Rejection(Reason.NOT_JSON, "a lone surrogate in a text")
    try:
        parsed = _JSON.decode(text)
    except ValueError as error:
        return Rejection(Reason.NOT_JSON, f"{error}"[:200])
    if not isinstance(parsed, dict):
        return Rejection(Reason.NOT_AN_OBJECT, f"expected a JSON object, found {_found(parsed)}")
    return parsed


def _depth(text: str) -> int:
    """Return how deep brackets nest, counting those inside strings out."""
    depth = deepest = 0
    bracket: str
    for bracket in _NOT_BRACKETS.sub("", text):
        depth += 1 if bracket in "[{" else -1
        deepest = max(deepest, depth)
    return deepest


def _refuse_constant(name: str) -> NoReturn:
    raise ValueError(f"{name} is not JSON")


def _integer(digits: str) -> int:
    """Return an integer, or for one of very many digits another that is out of every range too."""
    if len(digits) > _INTEGER_DIGITS:
        return -_HUGE if digits.startswith("-") else _HUGE
    return int(digits)


class _Fraction(float):
    """A JSON number with a fraction or an exponent: never an integer here, whatever its value."""


_JSON = json.JSONDecoder(parse_constant=_refuse_constant, parse_int=_integer, parse_float=_Fraction)


def _found(value: object) -> str:
    """Return what a value is, short, for a sentence."""
    return json.dumps(value, ensure_ascii=False)[:60]


def _check(field: Field, value: object) -> Rejection | None:
    """Return why `value` is not admitted in `field`, or None."""
    limits = field.number_limits()
    sentence = f"{field.name}: expected {_expected(field)}, found {_found(value)}"
    if limits is not None:
        least, most = limits
        if type(value) is not int:
            return Rejection(Reason.WRONG_TYPE, sentence)
        return None if least <= value <= most else Rejection(Reason.OUT_OF_RANGE, sentence)
    if field.kind is Kind.FLAG:
        return None if isinstance(value, bool) else Rejection(Reason.WRONG_TYPE, sentence)
    if not isinstance(value, str):
        return Rejection(Reason.WRONG_TYPE, sentence)
    if field.kind is Kind.CURRENCY:
        return None if value in EXPONENTS else Rejection(Reason.UNKNOWN_CURRENCY, sentence)
    fits = 0 < len(value) <= TEXT_LIMIT and not value.startswith("__") and (not field.choices or value in field.choices)
    return None if fits else Rejection(Reason.OUT_OF_RANGE, sentence)


def _expected(field: Field) -> str:
    """Return what a field admits, for a sentence."""
    return f"one of {', '.join(field.choices)}" if field.choices else field.kind.value
