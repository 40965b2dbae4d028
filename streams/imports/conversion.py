"""Rows into events: filters, fields, the festival's span, and the verdict of the counter's own decoder.

What is sent would never be rejected: each event made here is decoded by `streams.domain.decoding` first, and one that
it rejects is a bad row of the file instead. Nor would it be a duplicate of another row: of rows with one `event_id` the
first is sent.
"""

from __future__ import annotations

from collections import Counter
from operator import itemgetter
from typing import TYPE_CHECKING, Any

import orjson

from streams.configuration import SETTLE_MS
from streams.domain.currencies import EXPONENTS
from streams.domain.decoding import Decoder
from streams.errors import UsageError
from streams.imports.identities import SeenIds
from streams.imports.progress import BadRow, Part
from streams.imports.sums import sums_of
from streams.mapping.fields import FIRST_TYPES, IDS, by_name, fields_of
from streams.mapping.hashing import HASHED, refuse_without_key
from streams.mapping.problems import BadValueError, Problem, shown
from streams.mapping.values import as_id, as_text

if TYPE_CHECKING:
    from collections.abc import Callable, Collection, Sequence

    from streams.domain.festivals import Festival
    from streams.imports.mapping import FileMapping
    from streams.imports.rows import Row
    from streams.mapping.fields import Source
    from streams.mapping.hashing import Hash

    _Read = tuple[str, str, Callable[..., int | str | None]]
    """A field: its name in the mapping, its name in the event, and what reads it off a row's cells."""

FILTERED = "filter"
OUTSIDE = "outside the span"
OTHER_TYPE = "type"


class _LeftOutError(Exception):
    """The mapping takes no rows with this value."""


class Conversion:
    """Turns the rows of one run of an import into parts, from the first row on: later rows depend on the ids before."""

    def __init__(  # noqa: PLR0917 - what is converted, and what it is judged by
        self,
        mapping: FileMapping,
        header: Sequence[str] | None,
        identity: str,
        festivals: Collection[Festival],
        settle_ms: int = SETTLE_MS.default,
        hashing: Hash | None = None,
    ) -> None:
        """`header`: the columns the file has, None where every row has its own; `identity`: before the ids made up.

        `settle_ms`: how long after its end a festival's events count. `hashing`
        replaces what tells a person. Raises `UsageError` where the file lacks columns, or a field asks for a hash and
        there is none.
        """
        self._settle_ms = settle_ms
        self._hashing = hashing
        self._fields = fields_of(mapping.fact)
        names = frozenset(header) if header is not None else None
        sources = mapping.sources or by_name(self._fields, names)
        refuse_without_key((s.field for s in sources if s.is_hashed), hashing, mapping.name)
        used = {column for source in sources for column in source.all_columns} | {f.column for f in mapping.filters}
        _refuse_missing(mapping, self._fields.required, sources, used, header)
        self.columns = sorted(used)
        """What `convert` expects the cells of, in this order."""
        self._places = {column: place for place, column in enumerate(self.columns)}
        self._fact = mapping.fact
        self._identity = identity
        self._filters = [(self._places[f.column], f) for f in mapping.filters]
        self._fit = mapping.fit
        fields = self._fields
        self._plain: list[_Read] = [(s.field, s.field, self._text(s)) for s in sources if s.field in fields.texts]
        self._plain += [(s.field, s.field, self._time(s)) for s in sources if s.field in fields.times]
        self._money = [self._money_field(s) for s in sources if s.field in {*fields.minor, *fields.major}]
        # Without a mapping a JSON object may name its type; where a column of types is there, each row must.
        is_typed = any(s.field == "type" for s in sources) and (bool(mapping.sources) or header is not None)
        self._first = {} if is_typed else {"type": FIRST_TYPES[mapping.to]}
        self._ids = tuple(f.name for f in self._fact.fields if f.name in IDS)
        self._partial = [(f.name, f.types) for f in self._fact.fields if f.types]
        # Ids that are made up are different by themselves.
        self._seen = SeenIds() if any(s.field == "event_id" for s in sources) else None
        self._festivals = [f for f in festivals if mapping.to in f.facts]
        currencies = ("currency", *set(fields.currencies.values()))
        self._decoder = Decoder(self._fact, currencies)

    @property
    def depends_on_earlier_rows(self) -> bool:
        """Return whether the rows before have to be converted too, for the ids in them."""
        return self._seen is not None

    def convert(self, rows: Sequence[Row], now_ms: int) -> Part:
        """Return one part: the rows as records; `now_ms` is when they are about to be sent."""
        made: list[tuple[Row, bytes, bytes]] = []
        bad: list[BadRow] = []
        left_out: Counter[str] = Counter()
        for row in rows:
            try:
                event = self._event(row)
                made.append((row, event["order_id"].encode(), orjson.dumps(event)))
            except _LeftOutError as why:
                left_out[str(why)] += 1
            except BadValueError as error:
                bad.append(BadRow(row.number, row.line, error.reason, error.detail))
            except (orjson.JSONEncodeError, UnicodeEncodeError):
                bad.append(BadRow(row.number, row.line, Problem.NOT_UTF8, "a text is not of the file's encoding"))
        columns, rejections = self._decoder.decode([value for *_, value in made], [now_ms] * len(made))
        refused = {index: (rejection.reason.value, rejection.detail) for index, rejection in rejections}
        if self._seen is not None:
            is_new = self._seen.take(columns.hashes["event_id"])
            for index in columns.indexes[~is_new].tolist():
                refused[index] = (Problem.DUPLICATE, "event_id: an earlier row of the file has it too")
            columns = columns.only(is_new)
        bad += [BadRow(made[i][0].number, made[i][0].line, *why) for i, why in refused.items()]
        records = [(key, value) for index, (_, key, value) in enumerate(made) if index not in refused]
        sums = sums_of(self._fact, columns, self._festivals, self._settle_ms)
        assert len(records) + len(bad) + left_out.total() == len(rows), "every row is sent, bad or left out"
        return Part(rows[-1].number, records, sorted(bad), dict(left_out), sums)

    def _event(self, row: Row) -> dict[str, Any]:
        """Return the event in a row. Raises `BadValueError`, `_LeftOutError`."""
        if row.problem:
            raise BadValueError(row.reason, row.problem)
        if not all(found.passes(row.cells[place]) for place, found in self._filters):
            raise _LeftOutError(FILTERED)
        made_up = f"{self._identity}-{row.number}"
        event: dict[str, Any] = {**self._first, **dict.fromkeys(self._ids, made_up)}
        _fill(event, self._plain, row.cells)
        if "type" not in event:
            raise BadValueError(Problem.MISSING_FIELD, "type: empty")
        for name, types in self._partial:
            if event["type"] not in types:
                event.pop(name, None)
        for name in self._fields.required:
            if name not in self._fields.minor and name not in event:
                raise BadValueError(Problem.MISSING_FIELD, f"{name}: empty")
        self._place_in_span(event)
        _fill(event, self._money, row.cells, event)
        for name in self._fields.required:
            if name not in event:
                raise BadValueError(Problem.MISSING_FIELD, f"{name}: empty")
        return event

    def _place_in_span(self, event: dict[str, Any]) -> None:
        """Move the times of an event onto the festival's day. Raises `_LeftOutError` for one outside the span."""
        if self._fit is None:
            return
        for name in self._fields.times:
            if name in event:
                place = self._fit.place(event[name])
                if place is None:
                    raise _LeftOutError(OUTSIDE)
                event[name] = place

    def _text(self, source: Source) -> Callable[[Sequence[Any]], str | None]:
        default = source.default
        assert default is None or isinstance(default, str)
        if source.constant is not None:
            return lambda _: str(source.constant)
        of_cell = as_id if source.field in IDS else as_text
        read = self._cell_or_template(source, of_cell)
        values, is_upper, leaves_out = source.values, source.is_upper, source.leaves_others_out

        def text(cells: Sequence[Any]) -> str | None:
            found = of_cell(read(cells))
            if found is None:
                return default
            if is_upper:
                found = found.upper()
            if values is None:
                return found
            if found not in values and default is None:
                if leaves_out:
                    raise _LeftOutError(OTHER_TYPE)
                raise BadValueError(Problem.UNKNOWN_VALUE, f"{shown(found)} is not in `values`")
            return values.get(found, default)

        hashing = self._hashing
        if hashing is None or not (source.is_hashed or source.field in HASHED):
            return text
        return lambda cells: None if (found := text(cells)) is None else hashing(found)

    def _time(self, source: Source) -> Callable[[Sequence[Any]], int | str | None]:
        if source.constant is not None:
            return lambda _: source.constant
        cell, times = self._cell_or_template(source, as_text), source.times
        assert times is not None
        read, default = times.read, source.default
        if default is None:
            return lambda cells: read(cell(cells))
        return lambda cells: default if (found := read(cell(cells))) is None else found

    def _money_field(self, source: Source) -> _Read:
        name = f"{source.field.removesuffix('_minor')}_minor"
        currency = self._fields.currencies.get(name, "currency")
        read = self._amount(source)

        def amount(cells: Sequence[Any], event: dict[str, Any]) -> int | None:
            code = event.get(currency)
            if code is not None and code not in EXPONENTS:
                raise BadValueError("unknown_currency", f"{currency}: {shown(code)} is not an ISO 4217 currency code")
            minor = read(cells, code or event["currency"])
            if minor and code is None:
                raise BadValueError(Problem.MISSING_FIELD, f"{currency} is empty")
            return minor if code is not None else None

        return source.field, name, amount

    def _amount(self, source: Source) -> Callable[[Sequence[Any], str], int | None]:
        """Return what reads an amount in minor units: the first of the columns or their sum, each exact by itself."""
        amounts, constant, default = source.amounts, source.constant, source.default
        assert amounts is not None
        read = amounts.read
        if constant is not None:
            return lambda _, currency: read(constant, currency)
        places = [self._places[column] for column in source.columns]
        is_sum = source.is_sum

        def amount(cells: Sequence[Any], currency: str) -> int | None:
            total = None
            for place in places:
                minor = read(cells[place], currency)
                if minor is not None:
                    total = minor if total is None else total + minor
                    if not is_sum:
                        break
            return total if total is not None else read(default, currency)

        return amount

    def _cell_or_template(self, source: Source, of_cell: Callable[[Any], str | None]) -> Callable[[Sequence[Any]], Any]:
        if not source.template:
            places = [self._places[column] for column in source.columns]
            if len(places) == 1:
                return itemgetter(places[0])
            return lambda cells: next((cells[place] for place in places if cells[place] not in (None, "")), None)
        parts = [(text, self._places[column] if column is not None else None) for text, column in source.template]

        def filled(cells: Sequence[Any]) -> str | None:
            text = ""
            for literal, place in parts:
                text += literal
                if place is not None:
                    cell = of_cell(cells[place])
                    if cell is None:
                        return None
                    text += cell
            return text

        return filled


def _refuse_missing(
    mapping: FileMapping,
    required: Collection[str],
    sources: Sequence[Source],
    used: Collection[str],
    header: Sequence[str] | None,
) -> None:
    if header is None:
        return
    names = {source.field for source in sources}
    missing = [n for n in required if n not in names and n.removesuffix("_minor") not in names]
    there = ", ".join(name for name in header if name)
    if not mapping.sources and missing:
        raise UsageError(
            f"no column is called {', '.join(missing)}; there are {there}. Say in a mapping file which "
            "column is which field, and give it with --map"
        )
    absent = sorted(set(used) - set(header))
    if absent:
        raise UsageError(f"there is no column {', '.join(absent)}; there are {there}")
    twice = sorted(name for name in used if header.count(name) > 1)
    if twice:
        raise UsageError(f"columns named twice: {', '.join(twice)}: give them different names, or take another column")


def _fill(
    event: dict[str, Any],
    fields: Sequence[_Read],
    cells: Sequence[Any],
    *more: object,
) -> None:
    """Write the fields into the event.

    Raises `BadValueError` that begins with the mapping's name: caught here once, and not around every cell.
    """
    field = None
    try:
        for field in fields:
            value = field[2](cells, *more)
            if value is not None:
                event[field[1]] = value
    except BadValueError as error:
        assert field is not None
        raise BadValueError(error.reason, f"{field[0]}: {error.detail}") from None
