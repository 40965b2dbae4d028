"""What the events of a file add to each festival, under the names of the totals document."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

import numpy as np

from streams.board.answers.sections import SECTION, by_currency
from streams.domain.built_in import ROLLUPS
from streams.domain.declared import amounts_of

if TYPE_CHECKING:
    from collections.abc import Collection

    from streams.domain.columns import Columns
    from streams.domain.facts import Fact
    from streams.domain.festivals import Festival
    from streams.domain.rollups import Measure
    from streams.domain.texts import Bools

_TABLES = {topic: [r for r in ROLLUPS if r.fact == topic and r.dimension is None] for topic in ("orders", "payments")}


def sums_of(fact: Fact, columns: Columns, festivals: Collection[Festival], settle_ms: int) -> dict[str, dict[str, Any]]:
    """Return by festival what valid events add: counts, and by currency sums of minor units, of declared amounts too.

    Events of later than `settle_ms` after a festival's end add nothing to it: to the counter they are expired.
    """
    found: dict[str, dict[str, Any]] = {}
    numbers = columns.numbers
    times = np.where(numbers["ordered_ts"] >= 0, numbers["ordered_ts"], numbers["ts"])
    for festival in festivals:
        is_in = (times >= festival.start_ms) & (times < festival.end_ms)
        is_in &= numbers["ts"] <= festival.end_ms + settle_ms
        if is_in.any():
            found[festival.id] = _added(fact, columns.only(is_in))
    return found


def _added(fact: Fact, columns: Columns) -> dict[str, Any]:
    sums = {
        measure.name: _by_currency(columns, measure, rollup.currency)
        for rollup in _TABLES[fact.topic]
        for measure in rollup.measures
    }
    own = amounts_of(fact)
    sums |= {amount.field: _by_currency(columns, amount.measure, "currency") for amount in own}
    section = SECTION[fact.topic]
    counts = {name: sum(sums[name].values()) for name in section.lines}
    money = by_currency(sums, {**section.money, **{amount.name: ((1, amount.field),) for amount in own}})
    if section.part is None:
        return {**counts, "money": money}
    return {section.name: counts, "money": money, "payer": by_currency(sums, SECTION["payer"].money)}


def _by_currency(columns: Columns, measure: Measure, currency: str | None) -> dict[str, int]:
    """Return a measure by currency; events without one do not enter, as in the counter."""
    assert currency is not None
    coded = columns.texts[currency]
    values = _values(columns, measure)
    found: dict[str, int] = {}
    for name in coded.appearing():
        if name:
            found[name] = int(values[coded.where(name.__eq__)].sum())
    return found


def _values(columns: Columns, measure: Measure) -> Any:  # noqa: ANN401 - an array of int64
    """Return what each event adds to the measure."""
    is_counted: Bools = columns.texts["type"].where(measure.types.__contains__)
    if measure.if_any:
        is_counted = is_counted & np.logical_or.reduce([columns.numbers[name] > 0 for name in measure.if_any])
    if not measure.terms:
        return is_counted.astype(np.int64)
    return sum(sign * columns.numbers[name] for sign, name in measure.terms) * is_counted
