"""Which totals are kept without any declaration: those of each fact by second, and of the dimensions in a file.

`dimensions.toml` ships with the package: reading it is part of importing this module, as reading source is.
"""

from __future__ import annotations

import tomllib
from dataclasses import dataclass
from importlib.resources import files
from typing import TYPE_CHECKING, Any, TypeVar

from streams.domain.dimensions import (
    COUNTED,
    DIMENSION_KEYS,
    PAYER_FACT,
    Dimension,
    read_dimension,
)
from streams.domain.rollups import PAYER, Rollup, Window

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator, Mapping

T = TypeVar("T")
FILE = "dimensions.toml"


@dataclass(frozen=True, slots=True)
class BuiltInTable:
    """A table of the file: what is wrong with it is a mistake of ours, and raised."""

    keys: Mapping[str, Any]

    def need(self, name: str, read: Callable[[object], T], /) -> T:
        """Return a key that must be there."""
        return read(self.keys[name])

    def read(self, name: str, read: Callable[[object], T], default: T, /) -> T:
        """Return a key, or the default where it is not given."""
        return read(self.keys[name]) if name in self.keys else default


def built_in(text: str) -> tuple[Dimension, ...]:
    """Return the dimensions of the file's text; raises where something is wrong with it."""
    document = tomllib.loads(text)
    assert document.keys() == {"dimension"}
    found = []
    for table in document["dimension"]:
        assert table.keys() <= {*DIMENSION_KEYS, "payer"}, table
        dimension = read_dimension(BuiltInTable(table))
        assert dimension is not None, table
        found.append(dimension)
    return tuple(found)


def _rollups(dimensions: tuple[Dimension, ...]) -> Iterator[Rollup]:
    """Yield the tables of each fact, and behind those of the payments what shoppers paid."""
    for fact, (_, measures, currency) in COUNTED.items():
        own = [dimension.rollups for dimension in dimensions if dimension.fact == fact]
        yield Rollup(f"{fact}_by_second", fact, measures, window=Window.SECOND, currency=currency)
        yield from (tables[0] for tables in own)
        if fact == PAYER_FACT:
            yield Rollup("payer_by_second", fact, PAYER, window=Window.SECOND, currency="payer_currency")
            yield from (table for tables in own for table in tables[1:])


BUILT_IN = built_in(files("streams.domain").joinpath(FILE).read_text("utf-8"))
ROLLUPS = tuple(_rollups(BUILT_IN))
DIMENSIONS = tuple(dict.fromkeys(dimension.field for dimension in BUILT_IN))
"""Those that are kept without any declaration."""
