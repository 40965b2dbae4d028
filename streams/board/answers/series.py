"""Series: one measure of a festival over its seconds, minutes or hours (`/api/series`)."""

from __future__ import annotations

from dataclasses import dataclass
from functools import cache
from typing import TYPE_CHECKING

import numpy as np

from streams.board.answers import sections
from streams.board.answers.documents import plain
from streams.board.answers.home_amounts import home_running
from streams.board.answers.values import Series, Step
from streams.board.view.tables import exact_cumulative, exact_sum
from streams.domain.built_in import ROLLUPS
from streams.domain.rollups import WINDOW_MS, Rollup, Window
from streams.errors import UsageError

if TYPE_CHECKING:
    from collections.abc import Sequence

    from streams.board.answers.documents import Document
    from streams.board.answers.sections import Section, Terms
    from streams.board.view.committed_view import Snapshot
    from streams.board.view.tables import Numbers
    from streams.domain.festivals import Festival

STEPS_MS: dict[str, Step] = {"second": 1_000, "minute": 60_000, "hour": 3_600_000}
_WINDOW_MS = WINDOW_MS[Window.SECOND]


@dataclass(frozen=True, slots=True)
class Line:
    """What a series shows: signed measures of one rollup, added."""

    rollup: str
    terms: Terms


def _line(section: Section, terms: Terms) -> Line:
    return Line(f"{section.name}_by_second", terms)


COUNTS = {name: _line(section, ((1, name),)) for section in sections.SECTIONS for name in section.counts}
"""Measures without a currency."""


@cache
def money_lines(amounts: tuple[tuple[str, str], ...] = ()) -> dict[str, Line]:
    """Return the measures in minor units of the currency that is asked for, with the amounts that were declared."""
    return {
        # The payer's money has two names that the merchant's has too.
        name if section.counts or name not in sections.MONEY else f"{section.name}_{name}": _line(section, terms)
        for section in sections.with_amounts(amounts)
        for name, terms in section.money.items()
    }


MONEY = money_lines()
"""Those that are there without any declaration."""
HOME = {f"home_{name}": MONEY[name] for name in sections.HOME}
"""Measures in minor units of the home currency, of all currencies that have a rate."""
_ROLLUPS: dict[str, Rollup] = {rollup.name: rollup for rollup in ROLLUPS}


def line_of(measure: str, currency: str | None, amounts: tuple[tuple[str, str], ...] = ()) -> Line:
    """Return what to add up; raises `UsageError` for an unknown measure, or a currency missing or too much.

    `amounts` are those that were declared (fact, name).
    """
    money = money_lines(amounts)
    known = COUNTS | HOME if currency is None else money
    if measure in known:
        return known[measure]
    if measure in HOME:
        raise UsageError(f"currency: {measure} is in the home currency; leave it out")
    if measure in money:
        raise UsageError(f"currency: {measure} is money, so say of which currency (currency=CNY)")
    if measure in COUNTS:
        raise UsageError(f"currency: {measure} is a count and has no currency; leave it out")
    names = ", ".join(dict.fromkeys((*COUNTS, *money, *HOME)))
    raise UsageError(f"measure: {measure!r} is not kept; there are {names}")


def windows_of(festival: Festival) -> int:
    """Return how many seconds the festival has."""
    return (festival.end_ms - festival.start_ms) // _WINDOW_MS


def per_second(snapshot: Snapshot, festival: Festival, line: Line, currency: str | None = None) -> Numbers:
    """Return the line's value in each second of the festival. Shared where possible: do not write into it."""
    table = snapshot.table(festival.id, line.rollup)
    names = [measure.name for measure in table.rollup.measures]
    windows = windows_of(festival)
    parts = [(sign, table.series(names.index(name), windows, currency)) for sign, name in line.terms]
    if len(parts) == 1 and parts[0][0] == 1:
        return parts[0][1]
    total: Numbers = np.zeros(windows, dtype=parts[0][1].dtype)
    for sign, values in parts:
        total = total + sign * values
    return total


def series_of(
    snapshot: Snapshot, festival: Festival, measure: str, currency: str | None = None, step: str = "second"
) -> Series:
    """Return what `/api/series` sends: a value for each step from the festival's start to its end.

    Each value is null where the ledger does not count the festival. Raises `UsageError` for a measure or step that is
    not kept.
    """
    if step not in STEPS_MS:
        raise UsageError(f"step: {step!r} is none; there are {', '.join(STEPS_MS)}")
    festival = snapshot.as_counted(festival)
    line = line_of(measure, currency, snapshot.amounts)
    step_ms = STEPS_MS[step]
    steps: Sequence[int | None]
    if not snapshot.counts(festival.id):
        steps = [None] * (windows_of(festival) * _WINDOW_MS // step_ms)
    elif measure in HOME:
        steps = home_steps(snapshot, festival, line, step_ms)
    else:
        steps = _steps(per_second(snapshot, festival, line, currency), step_ms).tolist()
    return Series(
        festival=festival.id,
        measure=measure,
        currency=currency,
        step_ms=step_ms,
        start_ms=festival.start_ms,
        values=list(steps),
        open_from_ms=open_from_ms(snapshot, festival, _ROLLUPS[line.rollup].fact, step_ms),
    )


def series_document(
    snapshot: Snapshot, festival: Festival, measure: str, currency: str | None = None, step: str = "second"
) -> Document:
    """Return `series_of` as a document."""
    return plain(series_of(snapshot, festival, measure, currency, step))


def _steps(values: Numbers, step_ms: int) -> Numbers:
    """Return values per second added up per step."""
    return exact_sum(values.reshape(-1, step_ms // _WINDOW_MS))


def home_steps(snapshot: Snapshot, festival: Festival, line: Line, step_ms: int) -> list[int]:
    """Return a line of money per step in minor units of the home currency.

    Each step is the difference of two converted running totals, so that the steps add up to the total that is shown.
    """
    table = snapshot.table(festival.id, line.rollup)
    running = {
        currency: exact_cumulative(_steps(per_second(snapshot, festival, line, currency), step_ms)).tolist()
        for currency in sorted({group[-1] for group in table.totals})
    }
    steps = windows_of(festival) * _WINDOW_MS // step_ms
    totals = home_running(festival, running, steps)
    return [total - before for total, before in zip(totals, [0, *totals], strict=False)]


def open_from_ms(snapshot: Snapshot, festival: Festival, topic: str, step_ms: int) -> int:
    """Return the start of the first step that may still grow in the ordinary way: the one holding the watermark.

    Corrections of earlier steps (late events, refunds of an early order) can come until `settle` has passed.
    """
    watermark_ms = snapshot.watermark_ms((topic,))
    if watermark_ms is None:
        return festival.start_ms
    until_ms = min(max(watermark_ms, festival.start_ms), festival.end_ms)
    return until_ms - (until_ms - festival.start_ms) % step_ms
