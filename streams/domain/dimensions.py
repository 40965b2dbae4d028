"""A dimension: a field by whose values totals are told apart, and the tables that are kept of it.

Built-in ones (`streams.domain.built_in`) and those of a shop (`streams.festivals.declared`) are tables of TOML in one
language, which `read_dimension` reads.
"""

from __future__ import annotations

import re
from dataclasses import dataclass
from typing import TYPE_CHECKING, Protocol, TypeVar

from streams.domain.facts import DERIVED
from streams.domain.limits import TEXT_LIMIT
from streams.domain.rollups import (
    KEYS_LIMIT,
    LABEL_LIMIT,
    ORDERS,
    PARCELS,
    PAYER,
    PAYMENTS,
    RECYCLING,
    Measure,
    Rollup,
    Window,
)

if TYPE_CHECKING:
    from collections.abc import Callable, Mapping

T = TypeVar("T")

DIMENSION_KEYS = ("fact", "field", "window", "limit", "label", "rank", "names")
"""Keys of a table `[[dimension]]`; built-in ones may have `payer` too."""
FIELD_NAME = re.compile(r"[a-z][a-z0-9_]{0,31}")
LANGUAGES = ("en", "de", "zh")
DIMENSION_WINDOWS = (Window.FESTIVAL, Window.MINUTE)
COUNTED: Mapping[str, tuple[str, tuple[Measure, ...], str | None]] = {
    "orders": ("orders", ORDERS, "currency"),
    "payments": ("payments", PAYMENTS, "currency"),
    "parcels": ("parcels", PARCELS, None),
    "recycling": ("boxes", RECYCLING, None),
}
"""Fact → what the metric of a dimension counts, the measures of the dimension's table, the field of its currency."""
PAYER_FACT = "payments"
"""Its dimensions have a second table: what shoppers paid, in the currency they paid in."""
Names = tuple[tuple[str, str], ...]
"""Language and what the thing is called in it."""


class Table(Protocol):
    """A table of TOML that is read key by key; it is told what is wrong, or raises it."""

    def need(self, name: str, read: Callable[[object], T], /) -> T | None:
        """Return a key that must be there; None where it is wrong."""

    def read(self, name: str, read: Callable[[object], T], default: T, /) -> T | None:
        """Return a key, or the default where it is not given; None where it is wrong."""


@dataclass(frozen=True, slots=True)
class Dimension:
    """A field of a fact by whose values totals are told apart."""

    fact: str
    field: str
    window: Window = Window.FESTIVAL
    limit: int = KEYS_LIMIT
    label: bool = False
    """Whether it is the label of a metric."""
    rank: bool = False
    """Whether the screen has bars of it."""
    names: Names = ()
    payer: bool = True
    """Whether payments also keep what shoppers paid by it."""

    @property
    def rollup(self) -> Rollup:
        """Return the table that is kept of it.

        A dimension that is derived has the measures of the event types that have it.
        """
        _, measures, currency = COUNTED[self.fact]
        if self.field in DERIVED:
            measures = tuple(m for m in measures if set(m.types) <= set(DERIVED[self.field].types))
        return self._table(self.fact, measures, currency)

    @property
    def rollups(self) -> tuple[Rollup, ...]:
        """Return all tables that are kept of it."""
        if self.fact == PAYER_FACT and self.payer:
            return self.rollup, self._table("payer", PAYER, "payer_currency")
        return (self.rollup,)

    def _table(self, of: str, measures: tuple[Measure, ...], currency: str | None) -> Rollup:
        name = f"{of}_by_{self.field}"
        return Rollup(name, self.fact, measures, self.field, self.window, currency, self.limit)

    @property
    def metric(self) -> str:
        """Return the metric that it labels."""
        return f"festival_{self.field}_{COUNTED[self.fact][0]}"


def read_dimension(table: Table) -> Dimension | None:
    """Return the dimension that a table declares, None where something is wrong with it."""
    fact = table.need("fact", lambda value: one_of(value, tuple(COUNTED)))
    field = table.need("field", field_name)
    window = table.read("window", _window, Window.FESTIVAL)
    label = table.read("label", flag, False)
    limit = table.read("limit", lambda value: _limit(value, label=bool(label)), LABEL_LIMIT if label else KEYS_LIMIT)
    rank = table.read("rank", flag, False)
    unnamed: Names = ()
    names = table.read("names", names_of, unnamed)
    payer = table.read("payer", flag, True)
    # Written out, so that the types are known from here on.
    if fact is None or field is None or window is None or limit is None or names is None:
        return None
    if label is None or rank is None or payer is None:
        return None
    return Dimension(fact, field, window, limit, label=label, rank=rank, names=names, payer=payer)


def one_of(value: object, known: tuple[str, ...]) -> str:
    """Return a text that is one of those known; raises `ValueError`."""
    if not isinstance(value, str) or value not in known:
        raise ValueError(f"{value!r} is none of {', '.join(known)}")
    return value


def field_name(value: object) -> str:
    """Return the name of a field; raises `ValueError`."""
    if not isinstance(value, str) or not FIELD_NAME.fullmatch(value):
        raise ValueError(
            f"{value!r} is no field's name: a small letter, then up to 31 small letters, digits or underscores"
        )
    return value


def flag(value: object) -> bool:
    """Return true or false; raises `TypeError`."""
    if not isinstance(value, bool):
        raise TypeError(f"{value!r} is neither true nor false")
    return value


def names_of(value: object) -> Names:
    """Return what a thing is called, in the order of the languages; raises `ValueError`."""
    if not isinstance(value, dict) or not value:
        raise ValueError('expected a table such as { en = "Channel" }')
    unknown = [language for language in value if language not in LANGUAGES]
    if unknown:
        raise ValueError(f"no language of the screen is {', '.join(unknown)}: there are {', '.join(LANGUAGES)}")
    for text in value.values():
        if not isinstance(text, str) or not text.strip() or len(text) > TEXT_LIMIT or not text.isprintable():
            raise ValueError(f"{text!r} is no name: a text of 1 to {TEXT_LIMIT} printable characters")
    return tuple((language, value[language]) for language in LANGUAGES if language in value)


def _window(value: object) -> Window:
    return Window(one_of(value, tuple(map(str, DIMENSION_WINDOWS))))


def _limit(value: object, *, label: bool) -> int:
    most = LABEL_LIMIT if label else KEYS_LIMIT
    if not isinstance(value, int) or isinstance(value, bool) or not 1 <= value <= most:
        of_labels = " where `label` is true" if label else ""
        raise ValueError(f"{value!r} is no whole number from 1 to {most}{of_labels}")
    return value
