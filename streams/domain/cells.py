"""The cells of one rollup in one festival and partition: additive integers per group and window.

A **group** is a value of the dimension with a currency. Cells lie in columns of one array per measure, so that a
batch is added with one call per measure, whatever the number of groups. A **page** is what a checkpoint writes
and a restore reads: of a windowed rollup all groups in some minutes, of a festival-long one 16 groups in the order
they were first seen.
"""

from __future__ import annotations

from dataclasses import dataclass
from itertools import chain, compress
from typing import TYPE_CHECKING, Any, NamedTuple

import numpy as np
import numpy.typing as npt

from streams.domain.currencies import MONEY_LIMIT_MINOR
from streams.domain.pages import HIGH_SHIFT, Page
from streams.domain.rollups import GROUPS_PER_PAGE, OTHER, PAGE_MS, WINDOW_MS, Rollup, Window
from streams.domain.texts import Coded, Ints

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator, Mapping, Sequence

FOLD_LIMIT_EVENTS = (1 << HIGH_SHIFT) // MONEY_LIMIT_MINOR
"""Events in one fold, so that what it adds to one cell stays below 2^62: 461,168."""
_LOW_LIMIT = 1 << HIGH_SHIFT
_INT64_MAX = (1 << 63) - 1
assert FOLD_LIMIT_EVENTS * MONEY_LIMIT_MINOR + _LOW_LIMIT <= _INT64_MAX
_UNKNOWN = -1
_NO_VALUE = ""
"""The one value of a rollup without dimension."""


@dataclass(frozen=True, slots=True)
class Places:
    """Where in time events fall, for all rollups of one window: the page, and the window within the page."""

    pages: Ints
    slots: Ints


def places_of(window: Window, offsets_ms: Ints) -> Places | None:
    """Return the places of events by their festival time since the start; None for a festival-long rollup."""
    if window is Window.FESTIVAL:
        return None
    pages = offsets_ms // PAGE_MS[window]
    return Places(pages, (offsets_ms - pages * PAGE_MS[window]) // WINDOW_MS[window])


class _Content(NamedTuple):
    """What stands in a page: its groups as it names them, and the first row of each."""

    keys: list[tuple[str, ...]]
    bases: list[int]


class CellTable:
    """Cells of one rollup. Deterministic: equal folds in equal order give equal pages."""

    def __init__(self, rollup: Rollup, duration_ms: int) -> None:
        """Start empty; `duration_ms` is the length of the festival."""
        self.rollup = rollup
        is_festival_long = rollup.window is Window.FESTIVAL
        self._is_paged_by_group = is_festival_long
        self._slots = 1 if is_festival_long else PAGE_MS[rollup.window] // WINDOW_MS[rollup.window]
        self._windows = 1 if is_festival_long else -(-duration_ms // PAGE_MS[rollup.window])
        self._values: dict[str, int] = {}
        self._value_texts: list[str] = []
        self._currencies: dict[str, int] = {}
        self._currency_texts: list[str] = []
        self._group_of = np.full((1, 1), _UNKNOWN, dtype=np.int64)
        self._has = rollup.dimension is not None, rollup.currency is not None
        self._keys: list[tuple[str, ...]] = []
        """The groups as a page names them: without the parts that the rollup does not have."""
        self._base_of = np.full((1, self._windows), _UNKNOWN, dtype=np.int64)
        self._contents: dict[int, _Content] = {}
        self._restored: dict[int, Page] = {}
        """Pages as they were written, into which no event has fallen since."""
        self._rows = 0
        self._low = np.zeros((len(rollup.measures), 0), dtype=np.int64)
        self._high: Ints | None = None
        self._ceiling = 0
        self._is_changed = np.zeros(self._windows, dtype=np.bool_)
        """By page."""
        self._has_changed = False

    # -- folding -----------------------------------------------------------------------------------------------

    def fold(
        self,
        count: int,
        sums: Mapping[int, Ints],
        *,
        values: Coded | None,
        currencies: Coded | None,
        places: Places | None,
    ) -> None:
        """Add events to their cells.

        `sums` maps the index of a measure to what each of the `count` events adds to it (never negative). `values`
        and `currencies` are None where the rollup has no dimension or no currency, `places` where it is
        festival-long. At most `FOLD_LIMIT_EVENTS` events at a time.
        """
        assert count <= FOLD_LIMIT_EVENTS
        groups = self._groups_of(values, currencies, count)
        rows = self._rows_of(groups, places)
        self._make_room(count)
        for measure, added in sums.items():
            np.add.at(self._low[measure], rows, added)
        self._is_changed[groups // GROUPS_PER_PAGE if places is None else places.pages] = True
        self._has_changed = True

    def _groups_of(self, values: Coded | None, currencies: Coded | None, count: int) -> Ints:
        values = values or Coded(np.zeros(count, dtype=np.int64), [_NO_VALUE])
        currencies = currencies or Coded(np.zeros(count, dtype=np.int64), [_NO_VALUE])
        own_values = _codes_of(values.texts, self._values, self._value_code)
        own_currencies = _codes_of(currencies.texts, self._currencies, self._currency_code)
        codes = values.codes
        if len(currencies.texts) > 1:
            codes = codes * len(currencies.texts) + currencies.codes
        # A table of the few pairs of this batch, so that each event costs one look-up.
        pairs = self._group_of[own_values[:, None], own_currencies]
        groups: Ints = pairs.ravel()[codes]
        if groups.min() == _UNKNOWN:
            for pair in _in_order(codes[groups == _UNKNOWN]):
                value, currency = divmod(pair, len(currencies.texts))
                pairs[value, currency] = self._add_group(int(own_values[value]), int(own_currencies[currency]))
            groups = pairs.ravel()[codes]
        return groups

    def _value_code(self, text: str) -> int:
        code = self._values.get(text)
        if code is None:
            if len(self._values) - (OTHER in self._values) >= self.rollup.limit and text != OTHER:
                return self._value_code(OTHER)
            code = self._values[text] = len(self._values)
            self._value_texts.append(text)
            self._group_of = _grown(self._group_of, 0, code + 1)
        return code

    def _currency_code(self, text: str) -> int:
        code = self._currencies.get(text)
        if code is None:
            code = self._currencies[text] = len(self._currencies)
            self._currency_texts.append(text)
            self._group_of = _grown(self._group_of, 1, code + 1)
        return code

    def _add_group(self, value: int, currency: int) -> int:
        """Return the group of a value and a currency, a new one where there is none."""
        group = int(self._group_of[value, currency])
        if group == _UNKNOWN:
            group = self._group_of[value, currency] = len(self._keys)
            texts = self._value_texts[value], self._currency_texts[currency]
            self._keys.append(tuple(compress(texts, self._has)))
            self._base_of = _grown(self._base_of, 0, group + 1)
        return group

    def _rows_of(self, groups: Ints, places: Places | None) -> Ints:
        if places is not None and self._restored:
            for number in range(int(places.pages.min()), int(places.pages.max()) + 1):
                page = self._restored.pop(number, None)
                if page is not None:
                    self._take_over(page, [self._group_of_key(key) for key in page.groups], number)
        blocks = groups if places is None else groups * self._windows + places.pages
        rows: Ints = self._base_of.ravel()[blocks]
        if rows.min() == _UNKNOWN:
            self._add_blocks(np.array(_in_order(blocks[rows == _UNKNOWN]), dtype=np.int64))
            rows = self._base_of.ravel()[blocks]
        return rows if places is None else rows + places.slots

    def _add_blocks(self, blocks: Ints) -> None:
        """Give each group the rows of one page; a block is `group * windows + window`, and none is known yet."""
        groups, windows = np.divmod(blocks, self._windows)
        bases = self._rows + self._slots * np.arange(len(blocks))
        self._base_of[groups, windows] = bases
        self._rows += self._slots * len(blocks)
        self._low = _grown(self._low, 1, self._rows, fill=0)
        if self._high is not None:
            self._high = _grown(self._high, 1, self._low.shape[1], fill=0)
        pages = groups // GROUPS_PER_PAGE if self._is_paged_by_group else windows
        self._is_changed = _grown(self._is_changed, 0, int(pages.max()) + 1, fill=False)
        for group, page, base in zip(groups.tolist(), pages.tolist(), bases.tolist(), strict=True):
            content = self._contents.setdefault(page, _Content([], []))
            content.keys.append(self._keys[group])
            content.bases.append(base)

    def _make_room(self, count: int) -> None:
        """Carry into the high parts before `count` more events could lift a low part beyond 64 bits."""
        added = count * MONEY_LIMIT_MINOR
        if self._ceiling + added > _INT64_MAX:
            self._ceiling = int(self._low.max(initial=0))
            if self._ceiling + added > _INT64_MAX:
                self._high = _high_parts(self._low, self._high)
                self._low &= _LOW_LIMIT - 1
                self._ceiling = _LOW_LIMIT - 1
        self._ceiling += added

    # -- pages -------------------------------------------------------------------------------------------------

    def take_changed(self) -> Iterator[tuple[int, Page]]:
        """Yield number and content of each page changed since the last call."""
        if self._has_changed:
            changed = np.flatnonzero(self._is_changed).tolist()
            self._is_changed[:] = False
            self._has_changed = False
            yield from self._read(changed)

    def pages(self) -> Iterator[tuple[int, Page]]:
        """Yield number and content of every page."""
        found = {**self._restored, **dict(self._read(list(self._contents)))}
        for number in sorted(found):
            yield number, found[number]

    def _read(self, numbers: Sequence[int]) -> Iterator[tuple[int, Page]]:
        """Yield number and content of pages, their cells taken with one look-up for all."""
        contents = [self._contents[number] for number in numbers]
        bases = np.array(list(chain.from_iterable([content.bases for content in contents])), dtype=np.int64)
        rows = (bases[:, None] + np.arange(self._slots)).ravel()
        low = self._low[:, rows]
        # A cell has one representation, whenever the carry happened, so equal ledgers write equal bytes.
        high = _high_parts(low, None if self._high is None else self._high[:, rows])
        low &= _LOW_LIMIT - 1
        is_high = bool(high.any())
        end = 0
        for number, content in zip(numbers, contents, strict=True):
            start, end = end, end + len(content.keys) * self._slots
            has_high = is_high and bool(high[:, start:end].any())
            yield (
                number,
                Page(
                    groups=tuple(content.keys),
                    slots=self._slots,
                    measures=len(self.rollup.measures),
                    low=_little_endian(low[:, start:end]),
                    high=_little_endian(high[:, start:end]) if has_high else None,
                ),
            )

    def load(self, number: int, page: Page) -> None:
        """Take a page over as it was written. Pages of a festival-long rollup must come in ascending order.

        A page of some minutes is only kept until an event falls into them: most are over. Raises `ValueError` where the
        page does not fit the declarations.
        """
        if page.slots != self._slots or page.measures != len(self.rollup.measures):
            raise ValueError(f"page {number} of {self.rollup.name} has {page.measures} measures × {page.slots} slots")
        if not 0 <= number < self._windows and not self._is_paged_by_group:
            raise ValueError(f"page {number} of {self.rollup.name} lies outside the festival")
        cells = page.cells().shape[1]
        if cells != len(page.groups) * self._slots:
            raise ValueError(f"page {number} of {self.rollup.name} has {cells} cells per measure")
        groups = [self._group_of_key(key) for key in page.groups]
        self._ceiling = _INT64_MAX
        if not self._is_paged_by_group:
            self._restored[number] = page
            return
        first = number * GROUPS_PER_PAGE
        if groups != list(range(first, first + len(groups))):
            raise ValueError(f"page {number} of {self.rollup.name} does not continue the page before it")
        self._take_over(page, groups, 0)

    def _take_over(self, page: Page, groups: Sequence[int], window: int) -> None:
        """Put the cells of a restored page into the columns."""
        low, high = page.cells(), page.high_cells()
        if high is not None and self._high is None:
            self._high = np.zeros_like(self._low)
        first = self._rows
        self._add_blocks(np.array(groups, dtype=np.int64) * self._windows + window)
        self._low[:, first : self._rows] = low
        if high is not None and self._high is not None:
            self._high[:, first : self._rows] = high

    def _group_of_key(self, key: tuple[str, ...]) -> int:
        parts = list(key)
        value = parts.pop(0) if self.rollup.dimension is not None else _NO_VALUE
        currency = parts.pop(0) if self.rollup.currency is not None else _NO_VALUE
        return self._add_group(self._value_code(value), self._currency_code(currency))


def _codes_of(texts: Sequence[str], known: Mapping[str, int], code_of: Callable[[str], int]) -> Ints:
    """Return the codes of texts; only one that is not `known` is asked for."""
    codes = list(map(known.get, texts))
    found = codes if None not in codes else [code_of(t) if c is None else c for c, t in zip(codes, texts, strict=True)]
    return np.array(found, dtype=np.int64)


def _little_endian(cells: Ints) -> bytes:
    return cells.astype("<i8", copy=False).tobytes()


def _in_order(numbers: Ints) -> list[int]:
    """Return distinct numbers in the order of their first appearance, which does not depend on how a log is cut."""
    return list(dict.fromkeys(numbers.tolist()))


def _high_parts(low: Ints, high: Ints | None) -> Ints:
    """Return the high parts with what the low parts hold beyond 62 bits carried into them."""
    carried: Ints = low >> HIGH_SHIFT
    return carried if high is None else high + carried


def _grown(array: npt.NDArray[Any], axis: int, length: int, fill: int = _UNKNOWN) -> npt.NDArray[Any]:
    """Return `array` with at least `length` along `axis`, at least doubled if it must grow."""
    have = array.shape[axis]
    if length <= have:
        return array
    shape = list(array.shape)
    shape[axis] = max(length, 2 * have)
    grown = np.full(shape, fill, dtype=array.dtype)
    grown[tuple(slice(0, n) for n in array.shape)] = array
    return grown
