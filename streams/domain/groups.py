"""The groups of one rollup: values of its dimension with a currency, numbered in the order of their first event.

That order is the log's and not the batch's, so the same log gives the same groups however it is cut.
"""

from __future__ import annotations

from itertools import compress
from typing import TYPE_CHECKING, Any

import numpy as np
import numpy.typing as npt

from streams.domain.rollups import OTHER
from streams.domain.texts import Coded

if TYPE_CHECKING:
    from collections.abc import Sequence

    from streams.domain.rollups import Rollup
    from streams.domain.texts import Ints

UNKNOWN = -1
_NO_TEXTS = ("",)
"""The one value of a rollup without dimension, the one currency of a rollup without money."""


class Groups:
    """Deterministic: equal texts asked for in equal order have equal numbers."""

    def __init__(self, rollup: Rollup) -> None:
        """Start empty."""
        self._limit = rollup.limit
        self._has = rollup.dimension is not None, rollup.currency is not None
        self.keys: list[tuple[str, ...]] = []
        """The groups as a page names them: without the parts that the rollup does not have."""
        self._numbers: dict[tuple[str, ...], int] = {}
        self._values: set[str] = set()
        """Those with cells of their own, in whatever currency."""
        # By code of the value and code of the currency, so that an event costs one look-up and a known text none.
        self._known = np.full((1, 1), UNKNOWN, dtype=np.int64)
        self._texts: tuple[Sequence[str], Sequence[str]] = ((), ())
        """What those codes mean: while a column's texts are the same object, its codes mean what they meant."""

    def of(self, values: Coded | None, currencies: Coded | None, count: int) -> Ints:
        """Return the group of each event; values or currencies are None where the rollup has none."""
        values = values or Coded(np.zeros(count, dtype=np.int64), _NO_TEXTS)
        currencies = currencies or Coded(np.zeros(count, dtype=np.int64), _NO_TEXTS)
        self._fit(values.texts, currencies.texts)
        width = self._known.shape[1]
        codes = values.codes if width == 1 else values.codes * width + currencies.codes
        groups: Ints = self._known.ravel()[codes]
        if groups.min() == UNKNOWN:
            pairs = in_order(codes[groups == UNKNOWN])
            self._known.ravel()[pairs] = [
                self.number(values.texts[pair // width], currencies.texts[pair % width]) for pair in pairs
            ]
            groups = self._known.ravel()[codes]
        return groups

    def _fit(self, values: Sequence[str], currencies: Sequence[str]) -> None:
        if self._texts[0] is not values or self._texts[1] is not currencies:
            self._texts = values, currencies
            self._known = np.full((1, 1), UNKNOWN, dtype=np.int64)
        self._known = grown(grown(self._known, 0, len(values)), 1, len(currencies))

    def of_key(self, key: tuple[str, ...]) -> int:
        """Return the group that a page names so."""
        parts = iter(key)
        value, currency = (next(parts) if has else "" for has in self._has)
        return self.number(value, currency)

    def number(self, value: str, currency: str) -> int:
        """Return the group of a value and a currency, new where there is none; that of `OTHER` beyond the limit."""
        if value not in self._values and value != OTHER:
            if len(self._values) < self._limit:
                self._values.add(value)
            else:
                value = OTHER
        key = tuple(compress((value, currency), self._has))
        group = self._numbers.setdefault(key, len(self.keys))
        if group == len(self.keys):
            self.keys.append(key)
        return group


def in_order(numbers: Ints) -> list[int]:
    """Return distinct numbers in the order of their first appearance, which does not depend on how a log is cut."""
    return list(dict.fromkeys(numbers.tolist()))


def grown(array: npt.NDArray[Any], axis: int, length: int, fill: int = UNKNOWN) -> npt.NDArray[Any]:
    """Return `array` with at least `length` along `axis`, at least doubled if it must grow."""
    have = array.shape[axis]
    if length <= have:
        return array
    shape = list(array.shape)
    shape[axis] = max(length, 2 * have)
    larger = np.full(shape, fill, dtype=array.dtype)
    larger[tuple(slice(0, n) for n in array.shape)] = array
    return larger
