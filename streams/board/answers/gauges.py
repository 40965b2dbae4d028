"""What `/metrics` reads out of the committed view: one function per metric, each a list of (labels, value).

`streams.metrics` names, documents and guards them. Every festival that the ledger counts has its series once a
committed state was read; another one has its start, its end, and that it is not complete.
"""

from __future__ import annotations

from collections.abc import Callable, Collection, Iterator, Mapping
from dataclasses import dataclass
from functools import cached_property
from typing import TYPE_CHECKING

from streams.board.answers.highlights import previous_gross_minor
from streams.board.answers.sections import SECTION
from streams.board.answers.story import StoryReader
from streams.board.answers.totals import totals_of
from streams.board.answers.values import known
from streams.domain.currencies import EXPONENTS
from streams.domain.facts import OPERATORS
from streams.domain.rollups import LABEL_LIMIT, OTHER
from streams.engine.judgement import UNKNOWN

if TYPE_CHECKING:
    from streams.board.answers.values import Totals
    from streams.board.view.committed_view import Snapshot
    from streams.domain.declared import Amount
    from streams.domain.dimensions import Dimension
    from streams.domain.festivals import Festival
    from streams.engine.judgement import Judgement

Sample = tuple[tuple[str, ...], float]
"""Values of the labels, and the value: an integer stays one up to the text that Prometheus reads."""


@dataclass(frozen=True)
class Scene:
    """What one scrape looks at."""

    snapshot: Snapshot
    festivals: Collection[Festival]
    judgement: Judgement = UNKNOWN
    """What may be called complete, by the source topics as they are now."""

    @cached_property
    def totals(self) -> dict[str, Totals]:
        """Return the totals of each festival by its id, made once a scrape."""
        return {
            festival.id: totals_of(self.snapshot, festival, judgement=self.judgement, has_story=False)
            for festival in self.festivals
        }

    @cached_property
    def counted(self) -> tuple[Festival, ...]:
        """Return the festivals that the ledger counts; of another one there is nothing to measure."""
        return tuple(
            self.snapshot.as_counted(festival) for festival in self.festivals if self.snapshot.counts(festival.id)
        )

    @cached_property
    def stories(self) -> dict[str, StoryReader]:
        """Return the story of each festival that is counted by its id; a part is read once a scrape."""
        return {festival.id: StoryReader(self.snapshot, festival, festival.end_ms) for festival in self.counted}


Read = Callable[[Scene], Iterator[Sample]]
COUNTS = {
    "orders": ("orders",),
    "payments": SECTION["payments"].counts,
    "parcels": SECTION["parcels"].counts,
    "recycling": ("boxes",),
}
"""Fact → what the metric of a declared dimension counts; where it is several, each has a label."""
_MILLISECONDS = 1_000


def total(read_count: Callable[[Totals], int | None]) -> Read:
    """Return a reader of a count of the totals."""

    def read(scene: Scene) -> Iterator[Sample]:
        for festival in scene.counted:
            yield (festival.id,), known(read_count(scene.totals[festival.id]))

    return read


def money(name: str) -> Read:
    """Return a reader of an amount per currency; the home currency is there from the start."""

    def read(scene: Scene) -> Iterator[Sample]:
        for festival in scene.counted:
            amounts = scene.totals[festival.id].money
            for currency in sorted({festival.home_currency, *amounts}):
                yield (festival.id, currency), amounts.get(currency, {}).get(name, 0)

    return read


def home_gross(scene: Scene) -> Iterator[Sample]:
    """Return the gross in the home currency."""
    for festival in scene.counted:
        minor = scene.totals[festival.id].home.gross
        assert isinstance(minor, int), "a counted festival has a gross"
        yield (festival.id,), minor


def display_gross(scene: Scene) -> Iterator[Sample]:
    """Return the gross in each currency that the festival displays."""
    for festival in scene.counted:
        for currency, told in scene.totals[festival.id].also_in.items():
            yield (festival.id, currency), known(told.gross)


def previous_gross(scene: Scene) -> Iterator[Sample]:
    """Return the last edition's gross at the watermark's local time, where it is known."""
    for festival in scene.counted:
        amount = previous_gross_minor(festival, scene.snapshot.watermark_ms(("orders",)))
        if amount is not None:
            yield (festival.id,), amount


def forecast(scene: Scene) -> Iterator[Sample]:
    """Return the forecast of the final gross, where there is one."""
    for festival, story in scene.stories.items():
        found = story.forecast
        if found is not None and found.expected_minor is not None:
            yield (festival, "low"), known(found.low_minor)
            yield (festival, "expected"), found.expected_minor
            yield (festival, "high"), known(found.high_minor)


def payments(scene: Scene) -> Iterator[Sample]:
    """Return payments per method and outcome."""
    for festival in scene.counted:
        cells = {name: _per_value(scene, festival, "payments_by_method", name) for name in SECTION["payments"].counts}
        size = {method: sum(counts[method] for counts in cells.values()) for method in cells["captured"]}
        for name, counts in cells.items():
            for method, count in bounded(counts, size).items():
                yield (festival.id, method, name), count


def declared_counts(dimension: Dimension) -> Read:
    """Return a reader of what a declared dimension tells apart; none where the ledger does not keep it."""
    table, kinds = dimension.rollup.name, COUNTS[dimension.fact]

    def read(scene: Scene) -> Iterator[Sample]:
        kept = {rollup.name for rollup in scene.snapshot.rollups}
        for festival in scene.counted if table in kept else ():
            cells = {kind: _per_value(scene, festival, table, kind) for kind in kinds}
            size = {value: sum(counts[value] for counts in cells.values()) for value in cells[kinds[0]]}
            for kind, counts in cells.items():
                for value, count in bounded(counts, size).items():
                    yield (festival.id, value, *((kind,) if len(kinds) > 1 else ())), count

    return read


def declared_money(amount: Amount) -> Read:
    """Return a reader of a declared amount per currency; none where the ledger does not add it up."""
    tell = money(amount.name)

    def read(scene: Scene) -> Iterator[Sample]:
        if (amount.fact, amount.name) in scene.snapshot.amounts:
            yield from tell(scene)

    return read


def orders_by(dimension: str) -> Read:
    """Return a reader of the orders per value of a dimension."""

    def read(scene: Scene) -> Iterator[Sample]:
        for festival in scene.counted:
            counts = _per_value(scene, festival, f"orders_by_{dimension}", "orders")
            for value, count in bounded(counts, counts).items():
                yield (festival.id, value), count

    return read


def parcels(scene: Scene) -> Iterator[Sample]:
    """Return parcels per stage."""
    for festival in scene.counted:
        for stage in SECTION["parcels"].counts:
            yield (festival.id, stage), getattr(scene.totals[festival.id].parcels, stage)


def recycled(measure: str) -> Read:
    """Return a reader of a measure of recycling per operator; both operators are there from the start."""

    def read(scene: Scene) -> Iterator[Sample]:
        for festival in scene.counted:
            counts = _per_value(scene, festival, "recycling_by_operator", measure)
            for operator in OPERATORS:
                yield (festival.id, operator), counts.get(operator, 0)

    return read


def peak_orders(scene: Scene) -> Iterator[Sample]:
    """Return the orders of the busiest second."""
    for festival, story in scene.stories.items():
        yield (festival,), known(story.peak.second.orders)


def peak_time(scene: Scene) -> Iterator[Sample]:
    """Return the start of the busiest second, once there is an order."""
    for festival, story in scene.stories.items():
        start_ms = story.peak.second.start_ms
        if start_ms is not None:
            yield (festival,), start_ms / _MILLISECONDS


def milestone_times(scene: Scene) -> Iterator[Sample]:
    """Return when each milestone was reached; one that was not has no series."""
    for festival in scene.counted:
        for milestone in scene.stories[festival.id].milestones:
            if milestone.time_ms is not None:
                label = major_units(milestone.minor, festival.home_currency)
                yield (festival.id, label), milestone.time_ms / _MILLISECONDS


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
    for festival in scene.counted:
        watermark_ms = scene.snapshot.watermark_ms(festival.facts)
        if watermark_ms is not None:
            yield (festival.id,), watermark_ms / _MILLISECONDS


def committed_time(scene: Scene) -> Iterator[Sample]:
    """Return the record time of the newest committed record."""
    if scene.snapshot.committed_ms is not None:
        yield (), scene.snapshot.committed_ms / _MILLISECONDS


def complete(scene: Scene) -> Iterator[Sample]:
    """Return whether the festival is counted, its totals cover every partition of the sources, and none is held."""
    for festival in scene.festivals:
        yield (festival.id,), int(scene.totals[festival.id].complete)


def ledger(scene: Scene) -> Iterator[Sample]:
    """Return 1 under the name of the generation that each festival is counted in."""
    for festival in scene.counted:
        yield (festival.id, scene.totals[festival.id].ledger), 1


def counted_from(scene: Scene) -> Iterator[Sample]:
    """Return whether the count of each festival begins later than its log did."""
    for festival in scene.counted:
        yield (festival.id,), int(bool(scene.totals[festival.id].counted_from))


def sealed(scene: Scene) -> Iterator[Sample]:
    """Return 1 under the digest of the sealed file that each festival is told of."""
    seal = scene.snapshot.seal
    if seal is not None:
        for festival in scene.counted:
            yield (festival.id, seal.digest), 1


def held_partitions(scene: Scene) -> Iterator[Sample]:
    """Return how many partitions are held, of whichever worker."""
    for festival in scene.counted:
        yield (festival.id,), len(scene.judgement.held)


def open_transactions(scene: Scene) -> Iterator[Sample]:
    """Return how many partitions wait for a producer's transaction to end."""
    yield (), len(scene.judgement.open_transactions)


def implausible(scene: Scene) -> Iterator[Sample]:
    """Return for each check whether the total lies outside its bounds."""
    for festival, story in scene.stories.items():
        for check, is_outside in story.implausible.items():
            yield (festival, check), int(is_outside)


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
