"""From record values to columns of valid events, and a rejection for each of the others.

Three ways lead to one verdict. The compiled reader (`streams.native`), where it is built, takes what is well-formed
beyond doubt straight from the bytes. The rest, or everything where it is not built, goes through msgspec's strict
decoder, a whole batch at a time. That decoder cannot see everything the contract asks for: UTF-8 in fields it skips,
`__` in front of a text, all but the last of a key given twice, nesting that exhausts the stack. So whatever looks
suspicious or fails is judged field by field (`streams.domain.judging`), which alone names reasons.
"""

from __future__ import annotations

from functools import cache
from keyword import iskeyword
from typing import TYPE_CHECKING, Any

import msgspec
import numpy as np

from streams.domain.columns import Columns, merged
from streams.domain.currencies import END_MS, EXPONENTS, WITHDRAWN_MONTHS
from streams.domain.facts import FLAG_TEXTS, Fact, Field, Kind
from streams.domain.judging import judge
from streams.domain.limits import DEPTH_LIMIT, FUTURE_LIMIT_MS, TEXT_LIMIT, VALUE_LIMIT_BYTES, WITHDRAWN_YEARS
from streams.domain.rejections import Reason, Rejection
from streams.domain.texts import VOCABULARY_LIMIT, Coded, Vocabulary, hash_texts
from streams.native import IS_BUILT

if IS_BUILT:
    from streams.native.events import EventReader
    from streams.native.records import Values

if TYPE_CHECKING:
    from collections.abc import Callable, Iterable, Sequence

    from streams.domain.texts import Bools, Ints

_BRACKETS_SUSPICIOUS = 100
"""Fewer brackets than this cannot nest deeper than `DEPTH_LIMIT`."""
assert _BRACKETS_SUSPICIOUS < DEPTH_LIMIT
_CASE, _BRACKET = np.uint8(0xDF), np.uint8(ord("["))
"""`[` and `{` differ in one bit."""
_UNDERSCORES = np.uint16(0x5F5F)

Rejections = dict[int, Rejection]
"""By the record's position in its batch."""


class Decoder:
    """Decodes the records of one fact. Between batches it holds nothing but which code stands for which text."""

    def __init__(
        self,
        fact: Fact,
        coded: Iterable[str],
        hashed: Iterable[str] = ("event_id",),
        *,
        is_compiled: bool = IS_BUILT,
        vocabulary_limit: int = VOCABULARY_LIMIT,
    ) -> None:
        """Prepare columns of all numbers, of the texts to code (always those of closed lists), and of those to hash."""
        self._fact = fact
        self._decode = msgspec.json.Decoder(fact.event).decode
        relations = {name for pair in fact.needs for name in pair} | {name for _, name in fact.required_for}
        texts = [f for f in fact.fields if f.number_limits() is None]
        closed = {f.name for f in texts if f.choices or f.kind in {Kind.CURRENCY, Kind.FLAG}}
        kept = set(coded) | relations | closed
        self._coded = ["type", *(f.name for f in texts if f.name in kept)]
        self._hashed = [f.name for f in texts if f.name in set(hashed) - kept]
        self._flags = {f.name for f in texts if f.kind is Kind.FLAG}
        self._currencies = [f.name for f in texts if f.kind is Kind.CURRENCY]
        self._numbers = list(fact.number_fields)
        self._defaults = {f.name: f.default for f in fact.fields}
        # Fields that only some types carry are not read for the others.
        self._numbers_of_types = [(f.name, f.types) for f in fact.fields if f.types and f.name in self._numbers]
        self._take_columns = _column_taker((*self._coded, *self._hashed, *self._numbers))
        self._vocabulary_limit = vocabulary_limit
        self._vocabularies = {name: Vocabulary() for name in self._coded}
        """For the way through msgspec alone: where there is a reader, its numbers go for both ways."""
        self._reader = self._make_reader() if is_compiled else None

    def _make_reader(self) -> EventReader:
        return EventReader(
            [("type", "choice", "coded", None, self._fact.types), *map(self._field, self._fact.fields)],
            text_limit=TEXT_LIMIT,
            value_limit=VALUE_LIMIT_BYTES,
            vocabulary_limit=self._vocabulary_limit,
        )

    def _field(self, field: Field) -> tuple[str, str, str, Any, Any]:
        """Return a field as the compiled reader takes it."""
        default = None if field.is_required else field.default
        limits = field.number_limits()
        if limits is not None:
            return field.name, "number", "coded", default, limits
        choices = EXPONENTS if field.kind is Kind.CURRENCY else field.choices
        kind = "flag" if field.kind is Kind.FLAG else "choice" if choices else "text"
        keep = "coded" if field.name in self._coded else "hashed" if field.name in self._hashed else "checked"
        return field.name, kind, keep, default, choices

    def decode(
        self, values: Sequence[bytes | None], record_times_ms: Sequence[int] | Ints
    ) -> tuple[Columns, list[tuple[int, Rejection]]]:
        """Return the valid events as columns, and (index in the batch, rejection) of all other records, ascending."""
        if self._reader is None:
            self._forget_full()
            columns, rejected = self._interpret(values)
        else:
            columns, rejected = self._read(self._reader, values)
        for name, types in self._numbers_of_types:
            is_theirs = columns.texts["type"].where(types.__contains__)
            columns.numbers[name] = np.where(is_theirs, columns.numbers[name], self._defaults[name])
        record_times = np.asarray(record_times_ms, dtype=np.int64)[columns.indexes]
        broken = self._broken_relations(columns, record_times)
        if broken:
            mask = np.ones(len(columns), dtype=np.bool_)
            for row, rejection in broken.items():
                mask[row] = False
                rejected[int(columns.indexes[row])] = rejection
            columns = columns.only(mask)
        return columns, sorted(rejected.items())

    def _read(self, reader: EventReader, values: Sequence[bytes | None]) -> tuple[Columns, Rejections]:
        """Decode by the compiled reader, and what it leaves over by `_interpret`."""
        places = values if isinstance(values, Values) else Values.of(values)
        is_read, numbers, texts, hashes = reader.read(places)
        coded = {name: Coded(*column) for name, column in texts.items()}
        columns = Columns(np.arange(len(values), dtype=np.int64), numbers, coded, hashes)
        if is_read.all():
            return columns, {}
        left = np.flatnonzero(~is_read)
        others, rejected = self._interpret([values[index] for index in left.tolist()])
        others = Columns(left[others.indexes], others.numbers, others.texts, others.hashes)
        return merged(columns.only(is_read), others), {int(left[row]): why for row, why in rejected.items()}

    def _forget_full(self) -> None:
        for name, vocabulary in self._vocabularies.items():
            if len(vocabulary.texts) >= self._vocabulary_limit:
                self._vocabularies[name] = Vocabulary()

    def _encode(self, name: str, column: Sequence[str]) -> Coded:
        if self._reader is None:
            return self._vocabularies[name].encode(column)
        return Coded(*self._reader.encode(name, column))

    def _interpret(self, values: Sequence[bytes | None]) -> tuple[Columns, Rejections]:
        events, rejected = self._events(values)
        indexes = np.arange(len(values), dtype=np.int64)
        if rejected:
            indexes = np.delete(indexes, list(rejected))
        taken = self._take_columns(events)
        texts = {
            name: [FLAG_TEXTS.get(flag, flag) for flag in taken[name]] if name in self._flags else taken[name]
            for name in self._coded
        }
        return Columns(
            indexes,
            {name: np.array(taken[name], dtype=np.int64) for name in self._numbers},
            {name: self._encode(name, column) for name, column in texts.items()},
            {name: hash_texts(taken[name]) for name in self._hashed},
        ), rejected

    def _events(self, values: Sequence[bytes | None]) -> tuple[list[Any], Rejections]:
        decode = self._decode if _looks_plain(values) else self._decode_carefully
        events: list[Any] = []
        rejected: Rejections = {}
        records = iter(values)
        while True:
            try:
                # extend() keeps what it appended before an exception, so the count of verdicts names the record.
                events.extend(map(decode, records))  # type: ignore[arg-type] # None raises, as it should
            except (msgspec.MsgspecError, TypeError, RecursionError, UnicodeError, _SuspiciousError):
                index = len(events) + len(rejected)
                verdict = judge(self._fact, values[index])
                if isinstance(verdict, Rejection):
                    rejected[index] = verdict
                else:
                    events.append(verdict)
            else:
                return events, rejected

    def _decode_carefully(self, value: bytes | None) -> msgspec.Struct:
        if value is None or _is_suspicious(value):
            raise _SuspiciousError
        return self._decode(value)

    def _broken_relations(self, columns: Columns, record_times_ms: Ints) -> Rejections:
        """Return the rows whose fields contradict each other, with the first contradiction of each."""
        broken: Rejections = {}

        def reject(mask: Bools, reason: Reason, detail: str) -> None:
            if mask.any():
                for row in np.flatnonzero(mask).tolist():
                    broken.setdefault(row, Rejection(reason, detail))

        for name in self._currencies:
            # Nearly always none of them was ever met, and the look at the few texts of the column is all it costs.
            for code in END_MS.keys() & columns.texts[name].texts:
                mask = columns.texts[name].where(code.__eq__) & (columns.numbers["ts"] >= END_MS[code])
                reject(mask, Reason.UNKNOWN_CURRENCY, _told_withdrawn(name, code))
        for event_type, name in self._fact.required_for:
            mask = ~self._is_given(columns, name) & columns.texts["type"].where(event_type.__eq__)
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
        ahead = numbers["ts"] > record_times_ms + FUTURE_LIMIT_MS
        reject(ahead, Reason.FUTURE_EVENT, "ts is more than 5 minutes ahead of the record's Kafka timestamp")
        return broken

    def _is_given(self, columns: Columns, name: str) -> Bools:
        """Return where a field was given (a 0 that is also its default counts as not given)."""
        default = self._defaults[name]
        if name in columns.numbers:
            is_given: Bools = np.not_equal(columns.numbers[name], default)
            return is_given
        return columns.texts[name].where(default.__ne__)


def _told_withdrawn(name: str, code: str) -> str:
    month = WITHDRAWN_MONTHS[code]
    return f"{name}: {code} was withdrawn in {month}, so it is good up to the end of {int(month[:4]) + WITHDRAWN_YEARS}"


@cache
def _column_taker(names: tuple[str, ...]) -> Callable[[list[Any]], dict[str, list[Any]]]:
    """Return a function that turns events into a list per field.

    Kept, because each takeover makes decoders anew.

    Written out as source, because a comprehension with the field's name in it costs 12 ns per event and field,
    and `map(attrgetter(name), events)` 28 ns.
    """
    assert all(name.isidentifier() for name in names)
    read = {name: f"getattr(event, {name!r})" if iskeyword(name) else f"event.{name}" for name in names}
    columns = ", ".join(f"{name!r}: [{read[name]} for event in events]" for name in names)
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
        and not _may_hide_underscores(joined)
        and _is_utf8(joined)
    )


def _is_suspicious(value: bytes) -> bool:
    brackets = value.count(b"[") + value.count(b"{")
    return (
        brackets > _BRACKETS_SUSPICIOUS
        or len(value) > VALUE_LIMIT_BYTES
        or b'"__' in value
        or _may_hide_underscores(value)
        or not _is_utf8(value)
    )


def _may_hide_underscores(text: bytes) -> bool:
    r"""Return whether a text may begin with an underscore written as \u005f."""
    return b"\\" in text and b"\\u005" in text


def _is_utf8(text: bytes) -> bool:
    if text.isascii():
        return True
    try:
        text.decode()
    except UnicodeDecodeError:
        return False
    return True
