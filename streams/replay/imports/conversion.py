"""Rows into orders: filters, fields, the festival's span, and the verdict of the counter's own decoder.

What is sent would never be rejected: each event made here is decoded by `streams.domain.decoding` first, and one that
it rejects is a bad row of the file instead.
"""

from __future__ import annotations

from collections import Counter
from operator import itemgetter
from typing import TYPE_CHECKING, Any

import numpy as np
import orjson

from streams.domain.currencies import EXPONENTS
from streams.domain.decoding import Decoder
from streams.domain.facts import FACTS
from streams.errors import UsageError
from streams.replay.imports.mapping import MAJOR, MINOR, REQUIRED, TEXTS, TIMES, by_name
from streams.replay.imports.progress import BadRow, Part
from streams.replay.imports.values import BadValueError, Problem, as_number, as_text, shown

if TYPE_CHECKING:
    from collections.abc import Callable, Collection, Sequence

    from streams.domain.columns import Columns
    from streams.domain.festivals import Festival
    from streams.replay.imports.mapping import FileMapping, Filter, Source
    from streams.replay.imports.tables import Row

    _Read = tuple[str, str, Callable[..., int | str | None]]
    """A field: its name in the mapping, its name in the event, and what reads it off a row's cells."""

FILTERED = "filter"
OUTSIDE = "outside the span"
_NEEDED = tuple(name for name in REQUIRED if name not in MINOR)
_MONEY = {"gross": "amount_minor", "coupons": "coupon_minor", "credits": "credit_minor"}


class Conversion:
    """Turns the rows of one run of an import into parts. Same rows, same parts, whatever went before."""

    def __init__(
        self, mapping: FileMapping, header: Collection[str] | None, identity: str, festivals: Collection[Festival]
    ) -> None:
        """`header`: the columns the file has, None where every row has its own; `identity`: before the ids made up.

        Raises `UsageError` where the file lacks columns.
        """
        sources = mapping.sources or by_name(frozenset(header) if header is not None else None)
        used = {column for source in sources for column in source.all_columns} | {f.column for f in mapping.filters}
        _refuse_missing(mapping, sources, used, header)
        self.columns = sorted(used)
        """What `convert` expects the cells of, in this order."""
        self._places = {column: place for place, column in enumerate(self.columns)}
        self._identity = identity
        self._filters = [(self._places[f.column], f) for f in mapping.filters]
        self._fit = mapping.fit
        self._plain: list[_Read] = [(s.field, s.field, self._text(s)) for s in sources if s.field in TEXTS]
        self._plain += [(s.field, s.field, self._time(s)) for s in sources if s.field in TIMES]
        money = [s for s in sources if s.field in {*MINOR, *MAJOR}]
        self._money: list[_Read] = [
            (s.field, f"{s.field.removesuffix('_minor')}_minor", self._amount(s)) for s in money
        ]
        self._festivals = [f for f in festivals if "orders" in f.facts]
        self._decoder = Decoder(FACTS["orders"], ("currency",))

    def convert(self, rows: Sequence[Row], now_ms: int) -> Part:
        """Return one part: the rows as records; `now_ms` is when they are about to be sent."""
        made: list[tuple[Row, bytes, bytes]] = []
        bad: list[BadRow] = []
        left_out: Counter[str] = Counter()
        for row in rows:
            try:
                event = self._order(row)
                if isinstance(event, str):
                    left_out[event] += 1
                else:
                    made.append((row, event["order_id"].encode(), orjson.dumps(event)))
            except BadValueError as error:
                bad.append(BadRow(row.number, row.line, error.reason, error.detail))
            except (orjson.JSONEncodeError, UnicodeEncodeError):
                bad.append(BadRow(row.number, row.line, Problem.NOT_UTF8, "a text is not of the file's encoding"))
        columns, rejections = self._decoder.decode([value for *_, value in made], [now_ms] * len(made))
        rejected = dict(rejections)
        for index, rejection in rejections:
            row = made[index][0]
            bad.append(BadRow(row.number, row.line, rejection.reason.value, rejection.detail))
        records = [(key, value) for index, (_, key, value) in enumerate(made) if index not in rejected]
        return Part(rows[-1].number, records, sorted(bad), dict(left_out), self._sums(columns))

    def _order(self, row: Row) -> dict[str, Any] | str:
        """Return the order in a row, or why it is left out. Raises `BadValueError`."""
        if row.problem:
            raise BadValueError(Problem.UNREADABLE, row.problem)
        if not all(_passes(found, row.cells[place]) for place, found in self._filters):
            return FILTERED
        made_up = f"{self._identity}-{row.number}"
        event: dict[str, Any] = {"type": "order_placed", "event_id": made_up, "order_id": made_up}
        _fill(event, self._plain, row.cells)
        _require(event, _NEEDED)
        if not self._place_in_span(event):
            return OUTSIDE
        currency = event["currency"]
        if currency not in EXPONENTS:
            raise BadValueError("unknown_currency", f"currency: {shown(currency)} is not an ISO 4217 currency code")
        _fill(event, self._money, row.cells, currency)
        _require(event, ("amount_minor",))
        return event

    def _place_in_span(self, event: dict[str, Any]) -> bool:
        """Move the times of an order onto the festival's day; return False for one outside the span."""
        if self._fit is None:
            return True
        for name in TIMES:
            if name in event:
                place = self._fit.place(event[name])
                if place is None:
                    return False
                event[name] = place
        return True

    def _text(self, source: Source) -> Callable[[Sequence[Any]], str | None]:
        default = source.default
        assert default is None or isinstance(default, str)
        if source.constant is not None:
            return lambda _: str(source.constant)
        read = self._cell_or_template(source)
        values = source.values

        def text(cells: Sequence[Any]) -> str | None:
            found = as_text(read(cells))
            if found is None:
                return default
            if values is None:
                return found
            if found not in values and default is None:
                raise BadValueError(Problem.UNKNOWN_VALUE, f"{shown(found)} is not in `values`")
            return values.get(found, default)

        return text

    def _time(self, source: Source) -> Callable[[Sequence[Any]], int | str | None]:
        if source.constant is not None:
            return lambda _: source.constant
        cell, times = self._cell_or_template(source), source.times
        assert times is not None
        read = times.read
        return lambda cells: read(cell(cells))

    def _amount(self, source: Source) -> Callable[[Sequence[Any], str], int | None]:
        """Return what reads an amount in minor units: the sum of the columns, each exact by itself."""
        amounts, constant, default = source.amounts, source.constant, source.default
        assert amounts is not None
        read = amounts.read
        if constant is not None:
            return lambda _, currency: read(constant, currency)
        places = [self._places[column] for column in source.columns]

        def amount(cells: Sequence[Any], currency: str) -> int | None:
            total = None
            for place in places:
                minor = read(cells[place], currency)
                if minor is not None:
                    total = minor if total is None else total + minor
            return total if total is not None else read(default, currency)

        return amount

    def _cell_or_template(self, source: Source) -> Callable[[Sequence[Any]], Any]:
        if not source.template:
            return itemgetter(self._places[source.columns[0]])
        parts = [(text, self._places[column] if column is not None else None) for text, column in source.template]

        def filled(cells: Sequence[Any]) -> str | None:
            text = ""
            for literal, place in parts:
                text += literal
                if place is not None:
                    cell = as_text(cells[place])
                    if cell is None:
                        return None
                    text += cell
            return text

        return filled

    def _sums(self, columns: Columns) -> dict[str, dict[str, Any]]:
        """Return what the orders add to each festival, by the names of `festival totals`."""
        found: dict[str, dict[str, Any]] = {}
        numbers = columns.numbers
        times = np.where(numbers["ordered_ts"] >= 0, numbers["ordered_ts"], numbers["ts"])
        coded = columns.texts["currency"]
        currencies = np.array(coded.texts, dtype="U3")[coded.codes]
        is_placed = columns.texts["type"].where("order_placed".__eq__)
        net = numbers["amount_minor"] - numbers["coupon_minor"] - numbers["credit_minor"]
        for festival in self._festivals:
            is_in = (times >= festival.start_ms) & (times < festival.end_ms)
            if not is_in.any():
                continue
            money: dict[str, dict[str, int]] = {}
            for currency in sorted(set(currencies[is_in].tolist())):
                placed, cancelled = (is_in & (currencies == currency) & kind for kind in (is_placed, ~is_placed))
                sums = {name: int(numbers[field][placed].sum()) for name, field in _MONEY.items()}
                money[currency] = {**sums, "net": int(net[placed].sum()), "cancelled_net": int(net[cancelled].sum())}
            orders = int((is_in & is_placed).sum())
            found[festival.id] = {"orders": orders, "cancelled": int(is_in.sum()) - orders, "money": money}
        return found


def _refuse_missing(
    mapping: FileMapping, sources: Sequence[Source], used: Collection[str], header: Collection[str] | None
) -> None:
    if header is None:
        return
    names = {source.field for source in sources}
    missing = [n for n in REQUIRED if n not in names and n.removesuffix("_minor") not in names]
    if not mapping.sources and missing:
        raise UsageError(
            f"no column is called {', '.join(missing)}; there are {', '.join(header)}. Say in a mapping file which "
            "column is which field, and give it with --map"
        )
    absent = sorted(set(used) - set(header))
    if absent:
        raise UsageError(f"there is no column {', '.join(absent)}; there are {', '.join(header)}")


def _fill(
    event: dict[str, Any],
    fields: Sequence[_Read],
    cells: Sequence[Any],
    *more: str,
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


def _require(event: dict[str, Any], names: Sequence[str]) -> None:
    for name in names:
        if name not in event:
            raise BadValueError(Problem.MISSING_FIELD, f"{name}: empty")


def _told(name: str, read: Callable[[Any], Any], cell: object) -> Any:  # noqa: ANN401 - what `read` returns
    """Return `read(cell)`; what is wrong with it is told with the field's name."""
    try:
        return read(cell)
    except BadValueError as error:
        raise BadValueError(error.reason, f"{name}: {error.detail}") from None


def _passes(wanted: Filter, cell: object) -> bool:
    """Return whether a row is kept; an empty cell is no text and below no bound. Raises `BadValueError`."""
    text = _told(wanted.column, as_text, cell)
    if wanted.is_empty is not None and (text is None) is not wanted.is_empty:
        return False
    if (wanted.one_of is not None and text not in wanted.one_of) or text in wanted.none_of:
        return False
    if wanted.at_least is None and wanted.below is None:
        return True
    number = _told(wanted.column, as_number, cell)
    if number is None:
        return False
    is_above = wanted.at_least is None or number >= wanted.at_least
    return bool(is_above and (wanted.below is None or number < wanted.below))
