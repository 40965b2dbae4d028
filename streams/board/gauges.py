"""What `/metrics` reads out of the committed view: one function per metric, each a list of (labels, value).

`streams.metrics` names, documents and guards them. Every festival has its series from the start, at zero.
"""

from __future__ import annotations

from collections.abc import Callable, Collection, Iterator, Mapping
from dataclasses import dataclass
from typing import TYPE_CHECKING

from streams.board import highlights
from streams.board.home_curve import HomeCurve
from streams.board.story import told_ms
from streams.board.totals import PARCEL_COUNTS, PAYMENT_COUNTS, totals_document
from streams.domain.currencies import EXPONENTS
from streams.domain.facts import OPERATORS
from streams.domain.rollups import LABEL_LIMIT, OTHER

if TYPE_CHECKING:
    from streams.board.view import Snapshot
    from streams.domain.festivals import Festival

Sample = tuple[tuple[str, ...], float]
"""Values of the labels, and the value: an integer stays one up to the text that Prometheus reads."""


@dataclass(frozen=True, slots=True)
class Scene:
    """What one scrape looks at."""

    snapshot: Snapshot
    festivals: Collection[Festival]
    held: Collection[int] = ()
    """Partitions that stand still in this process."""


Read = Callable[[Scene], Iterator[Sample]]
_MILLISECONDS = 1_000


def total(key: str) -> Read:
    """Return a reader of a count at the top of the totals document."""

    def read(scene: Scene) -> Iterator[Sample]:
        for festival in scene.festivals:
            yield (festival.id,), totals_document(scene.snapshot, festival, has_story=False)[key]

    return read


def money(key: str) -> Read:
    """Return a reader of an amount per currency; the home currency is there from the start."""

    def read(scene: Scene) -> Iterator[Sample]:
        for festival in scene.festivals:
            amounts = totals_document(scene.snapshot, festival, has_story=False)["money"]
            for currency in sorted({festival.home_currency, *amounts}):
                yield (festival.id, currency), amounts.get(currency, {}).get(key, 0)

    return read


def home_gross(scene: Scene) -> Iterator[Sample]:
    """Return the gross in the home currency."""
    for festival in scene.festivals:
        yield (festival.id,), highlights.gross(scene.snapshot, festival).amount_minor


def previous_gross(scene: Scene) -> Iterator[Sample]:
    """Return the last edition's gross at the watermark's local time, where it is known."""
    for festival in scene.festivals:
        amount = highlights.previous_gross_minor(festival, scene.snapshot.watermark_ms(("orders",)))
        if amount is not None:
            yield (festival.id,), amount


def forecast(scene: Scene) -> Iterator[Sample]:
    """Return the forecast of the final gross, where there is one."""
    watermark_ms = scene.snapshot.watermark_ms(("orders",))
    for festival in map(scene.snapshot.as_counted, scene.festivals):
        if festival.previous is None or "orders" not in festival.facts:
            continue
        curve = HomeCurve(scene.snapshot, festival)
        told = told_ms(festival, watermark_ms, festival.end_ms)
        expected = highlights.forecast_of(festival, curve, told)
        if expected is not None:
            yield (festival.id, "low"), expected.low_minor
            yield (festival.id, "expected"), expected.expected_minor
            yield (festival.id, "high"), expected.high_minor


def payments(scene: Scene) -> Iterator[Sample]:
    """Return payments per method and outcome."""
    for festival in scene.festivals:
        cells = {name: _per_value(scene, festival, "payments_by_method", name) for name in PAYMENT_COUNTS}
        size = {method: sum(counts[method] for counts in cells.values()) for method in cells["captured"]}
        for name, counts in cells.items():
            for method, count in bounded(counts, size).items():
                yield (festival.id, method, name), count


def orders_by(dimension: str) -> Read:
    """Return a reader of the orders per value of a dimension."""

    def read(scene: Scene) -> Iterator[Sample]:
        for festival in scene.festivals:
            counts = _per_value(scene, festival, f"orders_by_{dimension}", "orders")
            for value, count in bounded(counts, counts).items():
                yield (festival.id, value), count

    return read


def parcels(scene: Scene) -> Iterator[Sample]:
    """Return parcels per stage."""
    for festival in scene.festivals:
        counts = totals_document(scene.snapshot, festival, has_story=False)["parcels"]
        for stage in PARCEL_COUNTS:
            yield (festival.id, stage), counts[stage]


def recycled(measure: str) -> Read:
    """Return a reader of a measure of recycling per operator; both operators are there from the start."""

    def read(scene: Scene) -> Iterator[Sample]:
        for festival in scene.festivals:
            counts = _per_value(scene, festival, "recycling_by_operator", measure)
            for operator in OPERATORS:
                yield (festival.id, operator), counts.get(operator, 0)

    return read


def peak_orders(scene: Scene) -> Iterator[Sample]:
    """Return the orders of the busiest second."""
    for festival in scene.festivals:
        yield (festival.id,), highlights.peak(scene.snapshot, festival).orders


def peak_time(scene: Scene) -> Iterator[Sample]:
    """Return the start of the busiest second, once there is an order."""
    for festival in scene.festivals:
        start_ms = highlights.peak(scene.snapshot, festival).start_ms
        if start_ms is not None:
            yield (festival.id,), start_ms / _MILLISECONDS


def milestone_times(scene: Scene) -> Iterator[Sample]:
    """Return when each milestone was reached; one that was not has no series."""
    for festival in scene.festivals:
        for milestone, time_ms in highlights.milestones_ms(scene.snapshot, festival).items():
            yield (festival.id, major_units(milestone, festival.home_currency)), time_ms / _MILLISECONDS


def starts(scene: Scene) -> Iterator[Sample]:
    """Return the festivals' first instants."""
    for festival in scene.festivals:
        yield (festival.id,), festival.start_ms / _MILLISECONDS


def ends(scene: Scene) -> Iterator[Sample]:
    """Return the first instants after the festivals."""
    for festival in scene.festivals:
        yield (festival.id,), festival.end_ms / _MILLISECONDS


def watermarks(scene: Scene) -> Iterator[Sample]:
    """Return the watermark of the topics a festival counts, once every partition is committed."""
    for festival in scene.festivals:
        watermark_ms = scene.snapshot.watermark_ms(festival.facts)
        if watermark_ms is not None:
            yield (festival.id,), watermark_ms / _MILLISECONDS


def committed_time(scene: Scene) -> Iterator[Sample]:
    """Return the record time of the newest committed record."""
    if scene.snapshot.committed_ms is not None:
        yield (), scene.snapshot.committed_ms / _MILLISECONDS


def complete(scene: Scene) -> Iterator[Sample]:
    """Return whether the totals cover every partition."""
    for festival in scene.festivals:
        yield (
            (festival.id,),
            int(totals_document(scene.snapshot, festival, held=scene.held, has_story=False)["complete"]),
        )


def implausible(scene: Scene) -> Iterator[Sample]:
    """Return for each check whether the total lies outside its bounds."""
    for festival in scene.festivals:
        watermark_ms = scene.snapshot.watermark_ms(("orders",))
        for check, is_outside in highlights.implausible(scene.snapshot, festival, watermark_ms).items():
            yield (festival.id, check), int(is_outside)


def bounded(values: Mapping[str, int], size: Mapping[str, int]) -> dict[str, int]:
    """Return `values` of the largest label values (by `size`, then by name), the rest as `OTHER`: 200 in all.

    Each partition keeps its own first 200, so all of them together may know more.
    """
    if len(values) <= LABEL_LIMIT:
        return dict(values)
    named = sorted(values.keys() - {OTHER}, key=lambda value: (-size[value], value))[: LABEL_LIMIT - 1]
    kept = {value: values[value] for value in named}
    return {**kept, OTHER: sum(values.values()) - sum(kept.values())}


def major_units(amount_minor: int, currency: str) -> str:
    """Return an amount as the festival files write it: major units, without needless zeros."""
    whole, rest = divmod(amount_minor, 10 ** EXPONENTS[currency])
    return str(whole) if not rest else f"{whole}.{rest:0{EXPONENTS[currency]}}".rstrip("0")


def _per_value(scene: Scene, festival: Festival, rollup: str, measure: str) -> dict[str, int]:
    """Return a count per value of a rollup's dimension, its currencies added."""
    table = scene.snapshot.table(festival.id, rollup)
    place = [known.name for known in table.rollup.measures].index(measure)
    counts: dict[str, int] = {}
    for group, values in table.totals.items():
        counts[group[0]] = counts.get(group[0], 0) + values[place]
    return dict(sorted(counts.items()))
