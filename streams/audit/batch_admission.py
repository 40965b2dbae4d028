"""Judges many records of a topic at once: what is beyond doubt is admitted here, all else goes to `admission`.

Called by the workbook with what was fetched of one partition. Nothing is rejected here. A record is beyond doubt where
msgspec finds the fields of its type and no other ones, each of its kind and within its bounds, and where no rule
between fields is broken. Every other record is judged on its own.
"""

from __future__ import annotations

from dataclasses import dataclass
from functools import reduce
from itertools import repeat
from operator import attrgetter, or_
from typing import TYPE_CHECKING, Annotated, Any, Final, Literal

import msgspec
import numpy as np
import numpy.typing as npt
from msgspec import Meta

from streams.audit.admission import AHEAD_MS, LONGEST_TEXT, MOST_BYTES, OPERATORS, SHAPES, Kind, Shape, Shapes, admit
from streams.audit.currencies import CURRENCIES, LAST_YEARS

if TYPE_CHECKING:
    from collections.abc import Callable, Iterable, Mapping, Sequence

Ints = npt.NDArray[np.int64]
Column = npt.NDArray[Any]
"""Integers, or texts with None where a record gives none."""

ABSENT: Final = -1
"""Stands for an integer that a record does not give; no field may be negative."""
_RULED: Final = (
    "ts", "ordered_ts", "shipped_ts", "amount_minor", "coupon_minor", "credit_minor", "currency", "payer_currency",
    "payer_amount_minor", "transport_minor", "duty_minor",
)  # fmt: skip
"""Fields that rules between fields look at."""
_TYPES: Final[dict[Kind, Any]] = {
    Kind.TEXT: Annotated[str, Meta(min_length=1, max_length=LONGEST_TEXT)],
    Kind.CURRENCY: Literal[*sorted(CURRENCIES)],
    Kind.FLAG: bool,
    Kind.OPERATOR: Literal[*OPERATORS],
}


@dataclass(frozen=True, slots=True)
class Admitted:
    """Valid records of one type."""

    type: str
    rows: Ints
    """Where they stand among the records that were judged, ascending."""
    columns: dict[str, Column]
    """Wanted fields of the type: None or `ABSENT` where a record does not give one, flags as JSON writes them."""


class BatchJudge:
    """Judges the records of one topic."""

    def __init__(self, topic: str, wanted: Iterable[str], shapes: Shapes = SHAPES) -> None:
        """`wanted`: the fields to hand out, beside `ts`, `ordered_ts` and `event_id`."""
        self._topic, self._shapes = topic, shapes
        types = shapes[topic]
        self._event_types = {name: _event_type(name, shape, is_only=len(types) == 1) for name, shape in types.items()}
        self._decode: Callable[[Any], Any] = msgspec.json.Decoder(reduce(or_, self._event_types.values())).decode
        self._readers = [_Reader(name, shape, wanted) for name, shape in types.items()]
        self._numbers = {event_type: number for number, event_type in enumerate(self._event_types.values())}
        """Which of the readers takes an event apart."""

    def judge(self, values: Sequence[bytes | None], times_ms: Ints) -> tuple[list[Admitted], dict[int, str]]:
        """Return the valid records by type, and the others' rows with the reasons they are rejected for."""
        events = self._read(values)
        rejected: dict[int, str] = {}
        for row in [row for row, event in enumerate(events) if event is None]:
            verdict = admit(self._topic, values[row], int(times_ms[row]), self._shapes)
            if isinstance(verdict, str):
                rejected[row] = verdict
            else:
                events[row] = self._event(verdict)
        event_types = np.fromiter(map(self._numbers.get, map(type, events), repeat(-1)), np.int64, len(events))
        found = []
        for number, reader in enumerate(self._readers):
            rows = np.flatnonzero(event_types == number)
            if not len(rows):
                continue
            columns = reader.columns(events if len(rows) == len(events) else [events[row] for row in rows.tolist()])
            for row in rows[reader.doubtful(columns, times_ms[rows])].tolist():
                verdict = admit(self._topic, values[row], int(times_ms[row]), self._shapes)
                if isinstance(verdict, str):
                    rejected[row] = verdict
            found.append(reader.admitted(rows, columns, rejected))
        return found, rejected

    def _read(self, values: Sequence[bytes | None]) -> list[Any]:
        """Return the event of each value, None where there is a doubt."""
        if _may_disguise(values):
            values = [None if value is None or _may_disguise([value]) else value for value in values]
        events: list[Any] = []
        decoded = map(self._decode, values)
        while True:
            try:
                # Keeps what came before an error, and goes on behind it.
                events.extend(decoded)
            except (msgspec.MsgspecError, TypeError, UnicodeDecodeError, RecursionError):
                events.append(None)
            else:
                return events

    def _event(self, fields: Mapping[str, Any]) -> Any:  # noqa: ANN401 - one of the structs made here
        """Return the event of a valid record without what its type does not know."""
        known = {"type", *self._shapes[self._topic][fields["type"]].fields}
        return msgspec.convert(
            {name: field for name, field in fields.items() if name in known}, self._event_types[fields["type"]]
        )


class _Reader:
    """Takes events of one type apart."""

    def __init__(self, name: str, shape: Shape, wanted: Iterable[str]) -> None:
        """`name`: of the type."""
        self.type, self._shape = name, shape
        always = ("ts", "ordered_ts", "event_id")
        self._wanted = [field for field in dict.fromkeys((*always, *wanted)) if field in shape.fields]
        read = [field for field in dict.fromkeys((*self._wanted, *_RULED)) if field in shape.fields]
        self._getters = {field: attrgetter(_attribute(field)) for field in read}

    def columns(self, events: Sequence[Any]) -> dict[str, Column]:
        """Return what rules look at and what is wanted."""
        columns: dict[str, Column] = {}
        for field, getter in self._getters.items():
            kind = self._shape.fields[field]
            found = map(getter, events)
            if isinstance(kind.value, tuple):
                columns[field] = np.fromiter(found, np.int64, len(events))
            elif kind is Kind.FLAG:
                columns[field] = np.fromiter(map(_FLAGS.__getitem__, found), object, len(events))
            else:
                columns[field] = np.fromiter(found, object, len(events))
        return columns

    def doubtful(self, columns: Mapping[str, Any], times_ms: Ints) -> npt.NDArray[np.bool_]:
        """Return which events might break a rule between fields."""
        get = columns.get
        ts: Ints = columns["ts"]
        doubtful = ts > times_ms + AHEAD_MS
        for name in ("ordered_ts", "shipped_ts"):
            if (time_ms := get(name)) is not None:
                doubtful |= time_ms > ts
        for name in self._shape.currencies:
            if not LAST_YEARS.keys().isdisjoint(columns[name]):
                doubtful |= np.isin(columns[name], list(LAST_YEARS))
        if (coupon := get("coupon_minor")) is not None:
            doubtful |= np.maximum(coupon, 0) + np.maximum(columns["credit_minor"], 0) > columns["amount_minor"]
        if (payer := get("payer_currency")) is not None:
            has_payer = payer != None  # noqa: E711 - of each
            doubtful |= has_payer != (columns["payer_amount_minor"] != ABSENT)
            doubtful |= ~has_payer & ((columns["transport_minor"] > 0) | (columns["duty_minor"] > 0))
        return doubtful

    def admitted(self, rows: Ints, columns: Mapping[str, Column], rejected: Mapping[int, str]) -> Admitted:
        """Return what is wanted of the events of `rows` that were not rejected."""
        kept = ~np.isin(rows, list(rejected)) if rejected else slice(None)
        return Admitted(self.type, rows[kept], {field: columns[field][kept] for field in self._wanted})


_LINE: Final = ord("_")
_FLAGS: Final[dict[bool | None, str | None]] = {False: "false", True: "true", None: None}


def _attribute(field: str) -> str:
    """Return the attribute of a field: a declared one may be called as Python's own words are."""
    return f"f_{field}"


def _event_type(name: str, shape: Shape, *, is_only: bool) -> Any:  # noqa: ANN401 - a type made here
    """Return the struct of an event type, which admits what each field alone may be.

    The type is the struct's tag, which msgspec asks for only where it must tell several structs apart.
    """
    required: list[tuple[str, Any]] = [(_attribute("type"), Literal[name])] if is_only else []
    optional = []
    for field, kind in shape.fields.items():
        is_integer = isinstance(kind.value, tuple)
        of = Annotated[int, Meta(ge=kind.value[0], le=kind.value[1])] if is_integer else _TYPES[kind]
        if field in shape.optional:
            optional.append((_attribute(field), of, ABSENT if is_integer else None))
        else:
            required.append((_attribute(field), of))
    return msgspec.defstruct(
        name,
        [*required, *optional],
        rename={_attribute(field): field for field in ("type", *shape.fields)},
        tag_field=None if is_only else "type",
        tag=None if is_only else name,
        gc=False,
        forbid_unknown_fields=True,
    )


def _may_disguise(values: Sequence[bytes | None]) -> bool:
    """Return whether one of the values may be too large, hold an escape, or a text that only we may use."""
    whole = b"\n".join(filter(None, values))
    # As numbers the bytes are looked through faster than by a search for a text.
    is_line = np.frombuffer(whole, np.uint8) == _LINE
    return (
        b"\\" in whole
        or bool((is_line[1:] & is_line[:-1]).any())
        or max(map(len, filter(None, values)), default=0) > MOST_BYTES
    )
