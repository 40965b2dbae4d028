"""What is shown of each fact: one `Section` a fact, read by totals, rows, text, series, gauges, ranks and the screen.

A fact more is one more `Section` here, with the fields of its part in `streams.board.answers.values`.
"""

from __future__ import annotations

from collections.abc import Callable, Iterable, Mapping
from dataclasses import dataclass, field, replace
from functools import cache
from typing import TYPE_CHECKING, Any

import msgspec

from streams.board.answers.values import Parcels, Payments, Recycling
from streams.domain.declared import MINOR

if TYPE_CHECKING:
    from streams.board.answers.values import Row, Totals
    from streams.domain.festivals import Festival
    from streams.domain.rollups import Rollup

Sums = Mapping[str, Mapping[str, int]]
"""Measure (as the rollups name it) → currency, "" where there is none → sum."""
Terms = tuple[tuple[int, str], ...]
"""Signed measures of the rollups, to be added."""
MakePart = Callable[[Mapping[str, int], "Festival"], msgspec.Struct]


@dataclass(frozen=True, slots=True)
class Main:
    """What a festival is about that counts the fact: the screen's large number."""

    place: int
    """A festival is about the fact with the lowest place, out of those it counts."""
    fact: str
    measure: str
    count: str
    """The count behind the measure."""
    panels: tuple[str, ...]
    """Dimensions that have a panel with their largest values."""

    @property
    def is_money(self) -> bool:
        """Return whether the measure is money."""
        return self.measure != self.count


@dataclass(frozen=True, slots=True)
class Section:
    """One fact as it is shown."""

    name: str
    """Names its field in `Totals` and `Row`, and its rollups: `<name>_by_second`."""
    topic: str
    counts: tuple[str, ...] = ()
    """Measures that are counts. Without `part` they are fields of `Totals` and `Row` themselves."""
    part: type[msgspec.Struct] | None = None
    """The struct that holds the counts."""
    make: MakePart | None = None
    """Makes the part where it holds more than the counts."""
    money: Mapping[str, Terms] = field(default_factory=dict)
    """Names under `money` (of a section without counts: under its own name), and what they add up."""
    home: tuple[str, ...] = ()
    """The money that is told in the home currency too: the largest rows come first by it."""
    order: tuple[str, ...] = ()
    """Counts by which rows are ordered where money does not tell."""
    label: str = ""
    """Stands before the counts in the text for a terminal."""
    lines: tuple[str, ...] = ()
    """What the text tells: in a line each of the festival, in a column each of a row."""
    is_told_empty: bool = True
    """Whether the text has its lines where nothing was counted."""
    main: Main | None = None

    def is_kept_by(self, rollup: Rollup) -> bool:
        """Return whether a rollup keeps measures of the section."""
        own = {*self.counts, *(name for terms in self.money.values() for _, name in terms)}
        return any(measure.name in own for measure in rollup.measures)

    def has_some(self, sums: Sums) -> bool:
        """Return whether there is any of its money, be it zero."""
        return any(name in sums for terms in self.money.values() for _, name in terms)

    def told(self, sums: Sums, festival: Festival) -> dict[str, Any]:
        """Return its fields of `Totals` and `Row`; its money, where it has counts too, is told with that of others."""
        if not self.counts:
            return {self.name: by_currency(sums, self.money)}
        counts = {name: count(sums, name) for name in self.counts}
        if self.part is None:
            return dict(counts)
        return {self.name: self.part(**counts) if self.make is None else self.make(counts, festival)}

    def untold(self) -> dict[str, Any]:
        """Return its fields where nothing is counted, which is another thing than zero."""
        if not self.counts:
            return {self.name: {}}
        if self.part is None:
            return dict.fromkeys(self.counts)
        return {self.name: self.part(**dict.fromkeys(self.part.__struct_fields__))}

    def holder(self, shown: Totals | Row) -> Any:  # noqa: ANN401 - the value itself, or the part that it has
        """Return what has the counts as attributes; `UNSET` in a row whose dimension the fact does not have."""
        if self.part is not None:
            return getattr(shown, self.name)
        return shown if getattr(shown, self.counts[0]) is not msgspec.UNSET else msgspec.UNSET


def count(sums: Sums, measure: str) -> int:
    """Return a measure of all currencies together."""
    return sum(sums.get(measure, {}).values())


def amounts(sums: Sums, terms: Terms) -> dict[str, int]:
    """Return the sum of signed measures per currency that has one of them."""
    found: dict[str, int] = {}
    for sign, measure in terms:
        for currency, value in sums.get(measure, {}).items():
            found[currency] = found.get(currency, 0) + sign * value
    return found


def by_currency(sums: Sums, money: Mapping[str, Terms]) -> dict[str, dict[str, int]]:
    """Return currency → name → amount, 0 where a currency has none."""
    found = {name: amounts(sums, terms) for name, terms in money.items()}
    currencies = sorted({currency for cells in found.values() for currency in cells})
    return {currency: {name: cells.get(currency, 0) for name, cells in found.items()} for currency in currencies}


def _parcels(counts: Mapping[str, int], _: Festival) -> Parcels:
    # Events of the two kinds may come in any order: what was delivered before it was seen to leave is not underway.
    in_flight = max(0, counts["shipped"] - counts["delivered"])
    return Parcels(counts["shipped"], counts["cleared"], counts["delivered"], in_flight)


def _recycling(counts: Mapping[str, int], festival: Festival) -> Recycling:
    per_tree = festival.points_per_tree
    return Recycling(
        counts["boxes"],
        counts["scans"],
        counts["points"],
        trees=None if per_tree is None else counts["points"] // per_tree,
    )


SECTIONS = (
    Section(
        "orders",
        "orders",
        ("orders", "cancelled", "couponed"),
        money={
            "gross": ((1, "gross_minor"),),
            "coupons": ((1, "coupons_minor"),),
            "credits": ((1, "credits_minor"),),
            "net": ((1, "gross_minor"), (-1, "coupons_minor"), (-1, "credits_minor")),
            "cancelled_net": ((1, "cancelled_net_minor"),),
        },
        home=("gross", "net"),
        order=("orders",),
        lines=("orders", "cancelled"),
        main=Main(0, "orders", "gross", "orders", ("platform", "market", "merchant")),
    ),
    Section(
        "payments",
        "payments",
        ("captured", "failed", "refunded"),
        Payments,
        money={
            "paid": ((1, "paid_minor"),),
            "failed": ((1, "failed_minor"),),
            "refunded": ((1, "refunded_minor"),),
        },
        home=("paid",),
        order=("captured",),
        label="payments ",
        lines=("captured", "failed", "refunded"),
        main=Main(1, "payments", "paid", "captured", ("method", "platform", "market", "merchant")),
    ),
    Section(
        "payer",
        "payments",
        money={
            "paid": ((1, "payer_paid_minor"),),
            "refunded": ((1, "payer_refunded_minor"),),
            "transport": ((1, "transport_minor"),),
            "duty": ((1, "duty_minor"),),
        },
    ),
    Section(
        "parcels",
        "parcels",
        ("shipped", "cleared", "delivered"),
        Parcels,
        _parcels,
        order=("shipped", "delivered"),
        label="parcels ",
        lines=("shipped", "cleared", "delivered", "in_flight"),
        is_told_empty=False,
        main=Main(3, "parcels", "shipped", "shipped", ("carrier", "origin", "market")),
    ),
    Section(
        "recycling",
        "recycling",
        ("boxes", "scans", "points"),
        Recycling,
        _recycling,
        order=("boxes",),
        lines=("boxes", "scans", "points"),
        is_told_empty=False,
        main=Main(2, "recycling", "boxes", "boxes", ("city", "district", "operator", "station")),
    ),
)


@cache
def with_amounts(amounts: tuple[tuple[str, str], ...]) -> tuple[Section, ...]:
    """Return the sections with the amounts that were declared (fact, name) among the money of their facts."""
    return tuple(
        replace(section, money={**section.money, **{name: ((1, f"{name}{MINOR}"),) for name in own}})
        if section.counts and (own := [name for fact, name in amounts if fact == section.topic])
        else section
        for section in SECTIONS
    )


def money_of(sections: Iterable[Section]) -> dict[str, Terms]:
    """Return all that stands under `money`, and what it adds up."""
    return {name: terms for section in sections if section.counts for name, terms in section.money.items()}


SECTION = {section.name: section for section in SECTIONS}
MONEY = money_of(SECTIONS)
"""All that stands under `money` where no amount is declared."""
HOME = tuple(name for section in SECTIONS for name in section.home)
"""What is told in the home currency."""
MAINS = tuple(sorted((section.main for section in SECTIONS if section.main), key=lambda main: main.place))
"""What a festival may be about: the first whose fact it counts."""
