"""The totals of a festival: one value per committed state and question, of which everything shown is a view.

Views are the document of contract 3 (`documents`), the text for a terminal (`text`), the ranks of the screen (`screen`)
and the gauges of `/metrics` (`gauges`). What is shown of which fact is declared in `sections`.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

from msgspec import UNSET
from msgspec.structs import replace

from streams.board.answers.documents import totals_json
from streams.board.answers.home_amounts import converted, home_amount
from streams.board.answers.sections import (
    HOME,
    MONEY,
    SECTIONS,
    amounts,
    by_currency,
    count,
    money_of,
    with_amounts,
)
from streams.board.answers.story import StoryReader
from streams.board.answers.transit import TRANSIT_ROLLUP, share, transit_of
from streams.board.answers.values import Estimated, Home, Row, Shares, Story, Totals
from streams.domain.currencies import EXPONENTS
from streams.domain.ledger import Outcome
from streams.domain.pages import LATE
from streams.domain.rollups import OTHER, WINDOW_MS, Rollup, Window
from streams.domain.sketches import DISTINCTS
from streams.engine.judgement import UNKNOWN
from streams.errors import UsageError

if TYPE_CHECKING:
    from collections.abc import Iterable, Mapping, Sequence

    from streams.board.answers.documents import Document
    from streams.board.answers.sections import Section, Sums
    from streams.board.view.committed_view import Snapshot
    from streams.board.view.tables import Group, Table
    from streams.domain.festivals import Festival
    from streams.engine.judgement import Judgement

RECORD_COUNTS = {
    "duplicates": Outcome.DUPLICATE,
    "rejected": Outcome.REJECTED,
    "late": LATE,
    "expired": Outcome.EXPIRED,
    "outside": Outcome.OUTSIDE,
}
"""Fields that count records of all topics, and the outcome they count."""
_SECOND_MS = 1_000


@dataclass(frozen=True, slots=True)
class Cut:
    """Up to which festival time is counted: [start, end_ms)."""

    end_ms: int
    is_whole: bool
    """Whether the festival ends there, so that measures without windows can be told too."""


def cut_at(festival: Festival, at_ms: int | None) -> Cut:
    """Return the cut at the end of `at_ms`'s second, or of the festival: whichever comes first."""
    if at_ms is None:
        return Cut(festival.end_ms, is_whole=True)
    end_ms = min(at_ms // _SECOND_MS * _SECOND_MS + _SECOND_MS, festival.end_ms)
    return Cut(end_ms, is_whole=end_ms == festival.end_ms)


def totals_of(
    snapshot: Snapshot,
    festival: Festival,
    *,
    at_ms: int | None = None,
    by: str | None = None,
    top: int | None = None,
    also_in: Sequence[str] = (),
    judgement: Judgement = UNKNOWN,
    has_story: bool = True,
) -> Totals:
    """Return the committed totals of `festival`.

    `at_ms` counts festival time up to the end of its second. `by` adds the rows of a dimension, the `top` largest.
    `also_in` tells the home total in further currencies, beside those that the festival displays. The `judgement` is
    that of the source topics as they are now; without one nothing is complete. Without the story behind it, it is what
    was counted: for who asks often. The counts of a festival that this ledger does not count are None. Raises
    `UsageError` for what cannot be answered: a dimension unknown, an instant between windows, a currency without a
    rate.
    """
    festival = snapshot.as_counted(festival)
    cut = cut_at(festival, at_ms)
    tables = [snapshot.table(festival.id, rollup.name) for rollup in snapshot.rollups if rollup.dimension is None]
    dimension_tables = [] if by is None else _tables_by(snapshot, festival, by)
    rows = UNSET if by is None else _rows(snapshot, festival, cut, by, top)
    is_whole = _is_whole(snapshot, festival, (*tables, *dimension_tables))
    is_counted = snapshot.counts(festival.id)
    counted = _counted(snapshot, festival, cut, tables) if is_counted else _uncounted(festival)
    told_in = converted(festival, counted["home"], also_in)
    seal = snapshot.seal
    return Totals(
        festival=festival.id,
        ledger=snapshot.generation,
        counted=is_counted,
        complete=judgement.is_complete and is_whole and is_counted and (seal is None or seal.is_complete),
        lag_records=judgement.lag_records,
        as_of_ms=cut.end_ms - 1,
        committed_ms=snapshot.committed_ms,
        positions={topic: {str(p): o for p, o in at.items()} for topic, at in snapshot.positions().items()},
        held=list(judgement.held),
        open_transactions=list(judgement.open_transactions),
        **_records(snapshot),
        **counted,
        also_in=told_in,
        story=_story(snapshot, festival, cut, is_counted=is_counted) if has_story else UNSET,
        by=rows if is_counted or rows is UNSET else [],
        exponents=_exponents((*counted["money"], *counted["payer"], counted["home"].currency, *told_in)),
        sealed=UNSET if seal is None else seal.digest,
        exact=UNSET if seal is None or seal.is_exact else False,
    )


def _is_whole(snapshot: Snapshot, festival: Festival, tables: Iterable[Table]) -> bool:
    """Return whether all tables can be read, and no partition knew the festival too late."""
    return not any(table.unreadable for table in tables) and not snapshot.late_partitions(festival.id)


def totals_document(
    snapshot: Snapshot,
    festival: Festival,
    *,
    at_ms: int | None = None,
    by: str | None = None,
    top: int | None = None,
    also_in: Sequence[str] = (),
    judgement: Judgement = UNKNOWN,
    has_story: bool = True,
) -> Document:
    """Return `totals_of` as the document of contract 3, ready for JSON (integers may exceed 64 bits)."""
    totals = totals_of(
        snapshot, festival, at_ms=at_ms, by=by, top=top, also_in=also_in, judgement=judgement, has_story=has_story
    )
    return totals_json(totals)


def rows_of(snapshot: Snapshot, festival: Festival, dimension: str, top: int | None = None) -> list[Row]:
    """Return the rows of a dimension alone; none of a festival that the ledger does not count."""
    festival = snapshot.as_counted(festival)
    if not snapshot.counts(festival.id):
        return []
    return _rows(snapshot, festival, cut_at(festival, None), dimension, top)


def _tables_by(snapshot: Snapshot, festival: Festival, dimension: str) -> list[Table]:
    return [snapshot.table(festival.id, rollup.name) for rollup in rollups_of(snapshot, dimension)]


def _exponents(currencies: Iterable[str]) -> dict[str, int]:
    """Return how many digits of a major unit each currency has; those of ISO 4217."""
    return {currency: EXPONENTS[currency] for currency in sorted(set(currencies)) if currency in EXPONENTS}


def _records(snapshot: Snapshot) -> dict[str, Any]:
    """Return the fields that count records of all topics."""
    return {name: snapshot.outcome_records(outcome) for name, outcome in RECORD_COUNTS.items()}


def _counted(snapshot: Snapshot, festival: Festival, cut: Cut, tables: Iterable[Table]) -> dict[str, Any]:
    """Return the fields of what was counted up to the cut, out of the tables without a dimension."""
    sums: dict[str, dict[str, int]] = {}
    for table in tables:
        _collect(sums, table, table_totals(table, festival, cut).items())
    sections = with_amounts(snapshot.amounts)
    told = _told(sections, sums, festival)
    transit = transit_of(snapshot.table(festival.id, TRANSIT_ROLLUP)) if cut.is_whole else None
    return {
        **told,
        "counted_from": snapshot.counted_from(festival),
        "money": by_currency(sums, money_of(sections)),
        "home": _home(festival, sums, HOME),
        "shares": _shares(sums),
        "parcels": replace(told["parcels"], transit=transit),
        "distinct": _distinct(snapshot, festival) if cut.is_whole else None,
    }


def _story(snapshot: Snapshot, festival: Festival, cut: Cut, *, is_counted: bool) -> Story:
    reader = StoryReader(snapshot, festival, cut.end_ms)
    return reader.story() if is_counted else reader.untold()


def _told(sections: Iterable[Section], sums: Sums, festival: Festival) -> dict[str, Any]:
    """Return the fields that the sections tell."""
    return {name: value for section in sections for name, value in section.told(sums, festival).items()}


def _uncounted(festival: Festival) -> dict[str, Any]:
    """Return the fields of a festival that this ledger does not count: None, which is another thing than zero.

    A ledger counts the festivals that stand in its fingerprint. A board or a command may know others, from files that
    no worker has.
    """
    return {
        **{name: value for section in SECTIONS for name, value in section.untold().items()},
        "counted_from": {},
        "money": {},
        "home": Home(currency=festival.home_currency, gross=None, net=None, paid=None, missing=[]),
        "shares": Shares(None, None),
        "distinct": None,
    }


def rollups_of(snapshot: Snapshot, dimension: str) -> list[Rollup]:
    """Return the rollups that keep `dimension`; raises `UsageError` where it is none."""
    rollups = [rollup for rollup in snapshot.rollups if rollup.dimension == dimension]
    if not rollups:
        raise UsageError(f"by: no totals are kept by {dimension!r}; there are {', '.join(snapshot.dimensions)}")
    return rollups


def table_totals(table: Table, festival: Festival, cut: Cut) -> Mapping[Group, tuple[int, ...]]:
    """Return a table's totals up to the cut; raises `UsageError` where the table keeps no such instant."""
    if cut.is_whole:
        return table.totals
    window, dimension = table.rollup.window, table.rollup.dimension
    if window is Window.FESTIVAL:
        raise UsageError(f"at: totals by {dimension} are kept for the whole festival only; leave out `at`")
    counted_ms = max(0, cut.end_ms - festival.start_ms)
    windows, rest_ms = divmod(counted_ms, WINDOW_MS[window])
    if rest_ms:
        raise UsageError(
            f"at: totals by {dimension} are kept per {window}: ask for a time that ends one, such as the second "
            f"before it (hh:mm:59), or leave out `by`"
        )
    return table.totals_before(windows)


def _collect(sums: dict[str, dict[str, int]], table: Table, totals: Iterable[tuple[Group, tuple[int, ...]]]) -> None:
    """Add groups to `sums`; the currency is a group's last part, or "" where there is none."""
    for group, values in totals:
        for measure, value in zip(table.rollup.measures, values, strict=True):
            currency = group[-1] if table.rollup.currency is not None else ""
            cells = sums.setdefault(measure.name, {})
            cells[currency] = cells.get(currency, 0) + value


def _shares(sums: Sums) -> Shares:
    orders = count(sums, "orders")
    return Shares(share(count(sums, "couponed"), orders), share(count(sums, "captured"), orders))


def _distinct(snapshot: Snapshot, festival: Festival) -> dict[str, Estimated | None]:
    """Return the estimates of what the festival counts, each with its bounds; None where one cannot be read."""
    found = {d.name: snapshot.distinct(festival.id, d.name) for d in DISTINCTS if d.fact in festival.facts}
    return {name: None if e is None else Estimated(e.count, e.low, e.high) for name, e in found.items()}


def _home(festival: Festival, sums: Sums, names: Sequence[str]) -> Home:
    """Return money of `names` in the home currency, and the currencies without a rate."""
    converted = {name: home_amount(festival, amounts(sums, MONEY[name])) for name in names}
    return Home(
        currency=festival.home_currency,
        **{name: amount.amount_minor for name, amount in converted.items()},
        missing=sorted({currency for amount in converted.values() for currency in amount.missing}),
    )


def _rows(snapshot: Snapshot, festival: Festival, cut: Cut, dimension: str, top: int | None) -> list[Row]:
    """Return one row per value of the dimension, largest first.

    By money in the home currency, then by counts, both in the order of the sections, then by name.
    """
    tables = _tables_by(snapshot, festival, dimension)
    per_value = _per_value(tables, festival, cut)
    return _told_rows(snapshot, tables, festival, dimension, dict(list(per_value.items())[:top]))


def rows_with_rest(snapshot: Snapshot, festival: Festival, dimension: str, top: int) -> list[Row]:
    """Return the `top` largest rows, and all others as one more that is called `OTHER`, if there are any."""
    festival = snapshot.as_counted(festival)
    tables = _tables_by(snapshot, festival, dimension)
    per_value = _per_value(tables, festival, cut_at(festival, None))
    named = [value for value in per_value if value != OTHER][:top]
    told = {value: per_value[value] for value in named}
    rest: dict[str, dict[str, int]] = {}
    for sums in (sums for value, sums in per_value.items() if value not in told):
        for measure, amounts_of in sums.items():
            cells = rest.setdefault(measure, {})
            for currency, amount in amounts_of.items():
                cells[currency] = cells.get(currency, 0) + amount
    return _told_rows(snapshot, tables, festival, dimension, {**told, OTHER: rest} if rest else told)


def _per_value(tables: Sequence[Table], festival: Festival, cut: Cut) -> dict[str, dict[str, dict[str, int]]]:
    """Return the sums of each value of a dimension, the largest first."""
    per_value: dict[str, dict[str, dict[str, int]]] = {}
    for table in tables:
        for group, values in table_totals(table, festival, cut).items():
            _collect(per_value.setdefault(group[0], {}), table, ((group, values),))
    return {v: per_value[v] for v in sorted(per_value, key=lambda value: _rank(festival, per_value[value], value))}


def _told_rows(
    snapshot: Snapshot, tables: Sequence[Table], festival: Festival, dimension: str, sums: Mapping[str, Sums]
) -> list[Row]:
    known = with_amounts(snapshot.amounts)
    sections = [section for section in known if any(section.is_kept_by(table.rollup) for table in tables)]
    is_bound = any(table.is_overflowed for table in tables)
    return [_row(festival, sections, of, dimension, value, is_bound=is_bound) for value, of in sums.items()]


def _rank(festival: Festival, sums: Sums, value: str) -> tuple[int | str, ...]:
    money = (s.home[0] for s in SECTIONS if s.home)
    minor = (-home_amount(festival, amounts(sums, MONEY[name])).amount_minor for name in money)
    counts = (-count(sums, name) for section in SECTIONS for name in section.order)
    return (*minor, *counts, value)


def _row(
    festival: Festival, sections: Sequence[Section], sums: Sums, dimension: str, value: str, *, is_bound: bool
) -> Row:
    """Return what a row shows of the facts that keep its dimension."""
    shown = [section for section in sections if section.counts or section.has_some(sums)]
    money = money_of(shown)
    home = [name for section in shown for name in section.home]
    return Row(
        dimension=dimension,
        value=value,
        **_told(shown, sums, festival),
        money=by_currency(sums, money) if money else UNSET,
        home=_home(festival, sums, home) if home else UNSET,
        at_least=True if is_bound else UNSET,
    )
