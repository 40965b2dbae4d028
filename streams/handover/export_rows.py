"""The tables of `festival export`: one a fact, out of one committed state; `export_files` writes them.

Counts are per currency, as they are kept, so that the sum of a column is the total. Amounts are minor units here.
"""

from __future__ import annotations

from dataclasses import dataclass
from enum import Enum, auto
from typing import TYPE_CHECKING

from streams.board.answers.sections import SECTIONS, with_amounts
from streams.board.answers.totals import rollups_of
from streams.board.view.tables import exact_sum, slots_per_page
from streams.domain.rollups import WINDOW_MS
from streams.errors import UsageError

if TYPE_CHECKING:
    from collections.abc import Iterable, Iterator, Sequence

    from streams.board.answers.sections import Section, Terms
    from streams.board.view.committed_view import Snapshot
    from streams.board.view.tables import Group, Table
    from streams.domain.festivals import Festival
    from streams.domain.rollups import Rollup

FESTIVAL = "festival"
STEPS_MS = {FESTIVAL: None, "minute": 60_000, "hour": 3_600_000, "second": 1_000}
"""Width of a step; None: the whole festival is one."""
FACTS = tuple(section.name for section in SECTIONS)
LEFT_OUT = frozenset({"couponed"})
"""What is counted for a share only, and is no measure of the contract."""

Row = tuple[str | int, ...]
"""A value for each column; start in milliseconds since the epoch, amounts in minor units of the row's currency."""


class Kind(Enum):
    """What a column holds."""

    TEXT = auto()
    START = auto()
    COUNT = auto()
    MONEY = auto()


@dataclass(frozen=True, slots=True)
class Column:
    """One column."""

    name: str
    kind: Kind


@dataclass(frozen=True, slots=True)
class FactTable:
    """What is exported of one fact."""

    fact: str
    columns: tuple[Column, ...]
    rows: list[Row]
    """Sorted by the columns before the measures, in their order."""

    @property
    def currency(self) -> int | None:
        """Return the place of the column that names the currency of a row's amounts."""
        names = [column.name for column in self.columns]
        return names.index("currency") if "currency" in names else None


@dataclass(frozen=True, slots=True)
class _Measure:
    column: Column
    terms: Terms


def fact_tables(
    snapshot: Snapshot,
    festivals: Iterable[Festival],
    facts: Sequence[str] = (),
    by: str | None = None,
    step: str = FESTIVAL,
) -> list[FactTable]:
    """Return a table of each fact (`facts`, all without) of `festivals`, per value of `by` and per `step`.

    A fact that is not kept by that dimension is left out. Raises `UsageError` where none is left, and for a step finer
    than the dimension is kept in.
    """
    known = with_amounts(snapshot.amounts)
    if by is not None:
        rollups_of(snapshot, by)  # raises for what is no dimension
    sections = [section for section in known if not facts or section.name in facts]
    kept = [(section, rollup) for section in sections if (rollup := _rollup(snapshot, section, by)) is not None]
    if not kept:
        raise UsageError(f"--by: {', '.join(section.name for section in sections)}: not kept by {by}")
    for section, rollup in kept:
        _check_step(section, rollup, step)
    counted = sorted((snapshot.as_counted(festival) for festival in festivals), key=lambda festival: festival.id)
    return [_fact_table(snapshot, counted, section, rollup, STEPS_MS[step]) for section, rollup in kept]


def _rollup(snapshot: Snapshot, section: Section, by: str | None) -> Rollup | None:
    """Return the rollup that keeps the section's measures by that dimension, None where there is none."""
    own = [rollup for rollup in snapshot.rollups if rollup.dimension == by and section.is_kept_by(rollup)]
    assert len(own) <= 1, (section.name, by)
    return own[0] if own else None


def _check_step(section: Section, rollup: Rollup, step: str) -> None:
    step_ms, window_ms = STEPS_MS[step], WINDOW_MS.get(rollup.window)
    if step_ms is not None and (window_ms is None or step_ms < window_ms):
        by = "" if rollup.dimension is None else f" by {rollup.dimension}"
        raise UsageError(f"--step: {section.name}{by} is kept per {rollup.window}, not per {step}")


def _measures(section: Section, rollup: Rollup) -> list[_Measure]:
    """Return what the rollup keeps of the section; money that has a count's name is told apart from it."""
    kept = {measure.name for measure in rollup.measures}
    counts = [_Measure(Column(name, Kind.COUNT), ((1, name),)) for name in section.counts if name not in LEFT_OUT]
    money = [
        _Measure(Column(f"{name}_money" if name in section.counts else name, Kind.MONEY), terms)
        for name, terms in section.money.items()
    ]
    return [measure for measure in (*counts, *money) if all(name in kept for _, name in measure.terms)]


def _fact_table(
    snapshot: Snapshot, festivals: Iterable[Festival], section: Section, rollup: Rollup, step_ms: int | None
) -> FactTable:
    measures = _measures(section, rollup)
    places = {measure.name: place for place, measure in enumerate(rollup.measures)}
    keys = [Column("festival", Kind.TEXT)]
    keys += [Column("start", Kind.START)] if step_ms is not None else []
    keys += [Column(rollup.dimension, Kind.TEXT)] if rollup.dimension is not None else []
    keys += [Column("currency", Kind.TEXT)] if rollup.currency is not None else []
    rows: list[Row] = []
    for festival in festivals:
        table = snapshot.table(festival.id, rollup.name)
        for start, group, values in _cells(table, festival, step_ms):
            told = (sum(sign * values[places[name]] for sign, name in measure.terms) for measure in measures)
            rows.append((festival.id, *start, *group, *told))
    rows.sort(key=lambda row: row[: len(keys)])
    return FactTable(section.name, (*keys, *(measure.column for measure in measures)), rows)


def _cells(
    table: Table, festival: Festival, step_ms: int | None
) -> Iterator[tuple[tuple[int, ...], Group, Sequence[int]]]:
    """Yield start (none for the whole festival), group and measures of every step in which anything was counted."""
    if step_ms is None:
        yield from (((), group, values) for group, values in table.totals.items() if any(values))
        return
    for (step, group), values in _steps(table, step_ms).items():
        yield (festival.start_ms + step * step_ms,), group, values


def _steps(table: Table, step_ms: int) -> dict[tuple[int, Group], list[int]]:
    """Return the measures of each step, counted from the festival's start, and group that has any."""
    window_ms, slots = WINDOW_MS[table.rollup.window], slots_per_page(table.rollup)
    per_step = step_ms // window_ms
    part = min(per_step, slots)
    assert slots % part == per_step % part == 0, "pages and steps do not cut each other"
    found: dict[tuple[int, Group], list[int]] = {}
    for number, page in table.pages.items():
        if number < 0:
            continue  # no window of a festival
        measures, groups, _ = page.cells.shape
        parts = exact_sum(page.cells.reshape(measures, groups, slots // part, part))
        for group, place in page.groups.items():
            for index, values in enumerate(parts[:, place, :].T.tolist()):
                if any(values):
                    key = (number * slots // part + index) * part // per_step, group
                    before = found.get(key)
                    found[key] = values if before is None else list(map(int.__add__, before, values))
    return found
