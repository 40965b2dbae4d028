"""Series: one measure of a festival over its seconds, minutes or hours (`/api/series`)."""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

import numpy as np

from streams.board.home import home_running
from streams.board.tables import exact_cumulative, exact_sum
from streams.domain.rollups import ROLLUPS, WINDOW_MS, Rollup, Window
from streams.errors import UsageError

if TYPE_CHECKING:
    from streams.board.tables import Numbers
    from streams.board.view import Snapshot
    from streams.domain.festivals import Festival

STEPS_MS = {"second": 1_000, "minute": 60_000, "hour": 3_600_000}
_WINDOW_MS = WINDOW_MS[Window.SECOND]


@dataclass(frozen=True, slots=True)
class Line:
    """What a series shows: signed measures of one rollup, added."""

    rollup: str
    terms: tuple[tuple[int, str], ...]


COUNTS = {
    "orders": Line("orders_by_second", ((1, "orders"),)),
    "cancelled": Line("orders_by_second", ((1, "cancelled"),)),
    "captured": Line("payments_by_second", ((1, "captured"),)),
    "failed": Line("payments_by_second", ((1, "failed"),)),
    "refunded": Line("payments_by_second", ((1, "refunded"),)),
    "couponed": Line("orders_by_second", ((1, "couponed"),)),
    **{name: Line("parcels_by_second", ((1, name),)) for name in ("shipped", "cleared", "delivered")},
    **{name: Line("recycling_by_second", ((1, name),)) for name in ("boxes", "scans", "points")},
}
"""Measures without a currency."""
MONEY = {
    "gross": Line("orders_by_second", ((1, "gross_minor"),)),
    "coupons": Line("orders_by_second", ((1, "coupons_minor"),)),
    "credits": Line("orders_by_second", ((1, "credits_minor"),)),
    "net": Line("orders_by_second", ((1, "gross_minor"), (-1, "coupons_minor"), (-1, "credits_minor"))),
    "cancelled_net": Line("orders_by_second", ((1, "cancelled_net_minor"),)),
    "paid": Line("payments_by_second", ((1, "paid_minor"),)),
    "failed": Line("payments_by_second", ((1, "failed_minor"),)),
    "refunded": Line("payments_by_second", ((1, "refunded_minor"),)),
    "payer_paid": Line("payer_by_second", ((1, "payer_paid_minor"),)),
    "payer_refunded": Line("payer_by_second", ((1, "payer_refunded_minor"),)),
    "transport": Line("payer_by_second", ((1, "transport_minor"),)),
    "duty": Line("payer_by_second", ((1, "duty_minor"),)),
}
"""Measures in minor units of the currency that is asked for."""
HOME = {f"home_{name}": MONEY[name] for name in ("gross", "net", "paid")}
"""Measures in minor units of the home currency, of all currencies that have a rate."""
_ROLLUPS: dict[str, Rollup] = {rollup.name: rollup for rollup in ROLLUPS}


def line_of(measure: str, currency: str | None) -> Line:
    """Return what to add up; raises `UsageError` for an unknown measure, or a currency missing or too much."""
    known = COUNTS | HOME if currency is None else MONEY
    if measure in known:
        return known[measure]
    if measure in HOME:
        raise UsageError(f"currency: {measure} is in the home currency; leave it out")
    if measure in MONEY:
        raise UsageError(f"currency: {measure} is money, so say of which currency (currency=CNY)")
    if measure in COUNTS:
        raise UsageError(f"currency: {measure} is a count and has no currency; leave it out")
    names = ", ".join(dict.fromkeys((*COUNTS, *MONEY, *HOME)))
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


def series_document(
    snapshot: Snapshot, festival: Festival, measure: str, currency: str | None = None, step: str = "second"
) -> dict[str, Any]:
    """Return the document of `/api/series`: a value for each step from the festival's start to its end.

    Raises `UsageError` for a measure or step that is not kept.
    """
    if step not in STEPS_MS:
        raise UsageError(f"step: {step!r} is none; there are {', '.join(STEPS_MS)}")
    festival = snapshot.as_counted(festival)
    line = line_of(measure, currency)
    step_ms = STEPS_MS[step]
    if measure in HOME:
        steps = home_steps(snapshot, festival, line, step_ms)
    else:
        steps = _steps(per_second(snapshot, festival, line, currency), step_ms).tolist()
    return {
        "festival": festival.id,
        "measure": measure,
        "currency": currency,
        "step_ms": step_ms,
        "start_ms": festival.start_ms,
        "values": steps,
        "open_from_ms": open_from_ms(snapshot, festival, _ROLLUPS[line.rollup].fact, step_ms),
    }


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
    if watermark_ms is None or watermark_ms < festival.start_ms:
        return festival.start_ms
    if watermark_ms >= festival.end_ms:
        return festival.end_ms
    return watermark_ms - (watermark_ms - festival.start_ms) % step_ms
