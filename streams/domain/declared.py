"""What a shop declares beside the built-in fields: dimensions and amounts, and the facts and rollups they make.

A dimension is an optional text of a topic's events, with a table of totals of its own. An amount is optional money of
an order or a payment, which is added up wherever coupons (of orders) or the money paid (of payments) are.
"""

from __future__ import annotations

from dataclasses import dataclass, replace
from functools import cached_property
from typing import TYPE_CHECKING

from streams.domain.built_in import ROLLUPS
from streams.domain.dimensions import COUNTED, Dimension, Names
from streams.domain.facts import FACTS, Fact, Field, Kind
from streams.domain.rollups import NONE, Measure, Rollup

if TYPE_CHECKING:
    from collections.abc import Iterable, Iterator, Mapping

DIMENSIONS_LIMIT = 8
AMOUNTS_LIMIT = 4
MINOR = "_minor"
AMOUNT_FACTS: Mapping[str, str] = {"orders": "gross_minor", "payments": "paid_minor"}
"""Fact that may have amounts → the measure beside which they are added up, and of whose events."""
TAKEN_LABELS = frozenset({"festival", "currency", "outcome", "stage", "instance", "pod", "job"})
"""Labels of metrics that mean something else."""
TAKEN_KEYS = frozenset(
    {
        *("as_of_ms", "at_least", "boxes", "by", "cancelled", "cancelled_net", "captured", "committed_ms", "complete"),
        *(
            "counted",
            "counted_from",
            "couponed",
            "coupons",
            "credits",
            "cleared",
            "delivered",
            "distinct",
            "duplicates",
        ),
        *("duty", "exact", "expired", "exponents", "failed", "festival", "forecast", "gross", "held", "home"),
        *("implausible", "in", "lag_records", "late", "ledger", "milestones", "money", "net", "open_transactions"),
        *("orders", "outside", "pace", "paid", "parcels", "payer", "payments", "peak", "points", "positions"),
        *("recycling", "refunded", "rejected", "scans", "sealed", "shares", "shipped", "start", "transport"),
    }
)
"""Keys of a totals document and of its rows, and columns of an export."""
TAKEN_METRICS = frozenset(
    {
        *("cancelled_orders", "platform_orders", "market_orders", "gross_minor", "net_minor", "coupons_minor"),
        *("paid_minor", "refunded_minor", "home_gross_minor", "display_gross_minor", "previous_gross_minor"),
        "forecast_gross_minor",
    }
)
"""Metrics that are there already, without `festival_`, and end as one of a declaration may."""


@dataclass(frozen=True, slots=True)
class Amount:
    """Money of a shop's own in an order or a payment, in the event's currency."""

    fact: str
    field: str
    names: Names = ()

    @property
    def name(self) -> str:
        """Return its name in the totals."""
        return self.field.removesuffix(MINOR)

    @property
    def metric(self) -> str:
        """Return the metric that tells it."""
        return f"festival_{self.field}"

    @property
    def measure(self) -> Measure:
        """Return what is added up."""
        beside = next(m for m in COUNTED[self.fact][1] if m.name == AMOUNT_FACTS[self.fact])
        return Measure(self.field, beside.types, ((1, self.field),))


@dataclass(frozen=True)
class Declared:
    """All that a shop has declared; nothing by default."""

    dimensions: tuple[Dimension, ...] = ()
    amounts: tuple[Amount, ...] = ()

    @cached_property
    def facts(self) -> Mapping[str, Fact]:
        """Return what each topic carries, declared fields behind the built-in ones.

        They stand in the order of their names: how a file is sorted decides no count.
        """
        added = {fact: list[Field]() for fact in FACTS}
        for dimension in self.dimensions:
            added[dimension.fact].append(Field(dimension.field, Kind.TEXT, NONE))
        for amount in self.amounts:
            added[amount.fact].append(Field(amount.field, Kind.MONEY, 0))
        return {
            topic: replace(fact, fields=(*fact.fields, *sorted(added[topic], key=lambda field: field.name)))
            for topic, fact in FACTS.items()
        }

    @cached_property
    def rollups(self) -> tuple[Rollup, ...]:
        """Return which totals are kept, those of declared dimensions behind the built-in ones."""
        own = [rollup for dimension in self.dimensions for rollup in dimension.rollups]
        own.sort(key=lambda rollup: rollup.name)
        return tuple(self._with_amounts(rollup) for rollup in (*ROLLUPS, *own))

    def _with_amounts(self, rollup: Rollup) -> Rollup:
        beside = AMOUNT_FACTS.get(rollup.fact)
        amounts = [amount for amount in self.amounts if amount.fact == rollup.fact]
        if not amounts or not any(measure.name == beside for measure in rollup.measures):
            return rollup
        added = sorted((amount.measure for amount in amounts), key=lambda measure: measure.name)
        return replace(rollup, measures=(*rollup.measures, *added))


def amounts_of(fact: Fact) -> tuple[Amount, ...]:
    """Return the amounts among the fields of a fact that are not built in."""
    built_in = FACTS[fact.topic].fields
    return tuple(Amount(fact.topic, f.name) for f in fact.fields if f.kind is Kind.MONEY and f not in built_in)


def declared_amounts(rollups: Iterable[Rollup]) -> tuple[tuple[str, str], ...]:
    """Return fact and name of each amount that the rollups without a dimension add up beside the built-in measures."""
    built_in = {measure.name for _, measures, _ in COUNTED.values() for measure in measures}
    return tuple(
        (rollup.fact, measure.name.removesuffix(MINOR))
        for rollup in rollups
        if rollup.dimension is None
        and any(measure.name == AMOUNT_FACTS.get(rollup.fact) for measure in rollup.measures)
        for measure in rollup.measures
        if measure.name not in built_in
    )


def taken(dimension: Dimension) -> str | None:
    """Return why a dimension's field cannot be declared, or None."""
    return next(_taken_by_dimension(dimension), None)


def _taken_by_dimension(dimension: Dimension) -> Iterator[str]:
    yield from _taken_field(dimension.fact, dimension.field)
    if dimension.field in TAKEN_LABELS:
        yield f"{dimension.field} is a label of other metrics: take another name"
    if dimension.field in TAKEN_KEYS:
        yield f"{dimension.field} is a key of the totals: take another name"
    names = {rollup.name for rollup in ROLLUPS}
    yield from (f"there is a table {own.name}: take another name" for own in dimension.rollups if own.name in names)


def taken_amount(amount: Amount) -> str | None:
    """Return why an amount's field cannot be declared, or None."""
    return next(_taken_by_amount(amount), None)


def _taken_by_amount(amount: Amount) -> Iterator[str]:
    yield from _taken_field(amount.fact, amount.field)
    if amount.name in TAKEN_KEYS | TAKEN_LABELS:
        yield f"{amount.name} is a key of the totals: take another name"
    if amount.field in TAKEN_METRICS:
        yield f"there is a metric {amount.metric}: take another name"
    if any(measure.name == amount.field for rollup in ROLLUPS for measure in rollup.measures):
        yield f"there is a measure {amount.field}: take another name"


def _taken_field(fact: str, field: str) -> Iterator[str]:
    if field == "type" or any(known.name == field for known in FACTS[fact].fields):
        yield f"{fact} have a field {field} already"
