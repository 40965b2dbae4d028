"""The metrics of what a shop has declared: dimensions that are labels, and amounts.

Beside the catalogue of `streams.metrics`, which is the same everywhere; shown by `streams.web.exposition`.
"""

from __future__ import annotations

from typing import TYPE_CHECKING

from streams.board.answers import gauges
from streams.metrics import Entry

if TYPE_CHECKING:
    from streams.domain.declared import Declared
    from streams.domain.dimensions import Dimension, Names

_TOLD = {
    "orders": ("Orders placed", ()),
    "payments": ("Payments by outcome (captured, failed, refunded)", ("outcome",)),
    "parcels": ("Parcels by stage (shipped, cleared, delivered)", ("stage",)),
    "recycling": ("Boxes recycled", ()),
}
"""Fact → what is counted, and its labels behind the dimension."""


def declared_entries(declared: Declared) -> tuple[Entry, ...]:
    """Return a metric for each dimension that is a label, and for each amount."""
    return (
        *(_of_dimension(dimension) for dimension in declared.dimensions if dimension.label),
        *(
            Entry(
                amount.metric,
                ("festival", "currency"),
                f"{_name(amount.names, amount.name)}, as it was declared, in minor units.",
                ledger=gauges.declared_money(amount),
            )
            for amount in declared.amounts
        ),
    )


def _of_dimension(dimension: Dimension) -> Entry:
    told, labels = _TOLD[dimension.fact]
    return Entry(
        dimension.metric,
        ("festival", dimension.field, *labels),
        f"{told}, by {_name(dimension.names, dimension.field)}, as it was declared: at most 200 values, the smallest "
        "together as __other__.",
        ledger=gauges.declared_counts(dimension),
    )


def _name(names: Names, default: str) -> str:
    return dict(names).get("en", default)
