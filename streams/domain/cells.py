"""The cells of one rollup in one festival and partition: additive integers per group and window.

A **group** is a value of the dimension with a currency. Cells lie in columns of one array per measure, so that a
batch is added with one call per measure, whatever the number of groups. A **page** is what a checkpoint writes
and a restore reads. A page of a windowed rollup has all groups in some minutes; one of a festival-long rollup has 32
groups, in the order they were first seen.
"""

from __future__ import annotations

from dataclasses import dataclass, field
from typing import TYPE_CHECKING

import numpy as np

from streams.domain.groups import UNKNOWN, Groups, grown, in_order
from streams.domain.limits import MONEY_LIMIT_MINOR
from streams.domain.pages import HIGH_SHIFT, Page, decode_page, page_head, page_value
from streams.domain.rollups import GROUPS_PER_PAGE, PAGE_MS, WINDOW_MS, Rollup, Window

if TYPE_CHECKING:
    from collections.abc import Iterator, Mapping, Sequence

    from streams.domain.texts import Coded, Ints

FOLD_LIMIT_EVENTS = (1 << HIGH_SHIFT) // MONEY_LIMIT_MINOR
"""Events in one fold, so that what it adds to one cell stays below 2^62: 461,168."""
_LOW_LIMIT = 1 << HIGH_SHIFT
_INT64_MAX = (1 << 63) - 1
assert FOLD_LIMIT_EVENTS * MONEY_LIMIT_MINOR + _LOW_LIMIT <= _INT64_MAX


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


@dataclass(slots=True)
class _Content:
    """What stands in a page: its groups as it names them, and the first row of each."""

    keys: list[tuple[str, ...]] = field(default_factory=list)
    bases: list[int] = field(default_factory=list)
    head: bytes = b""
    """What its record begins with (`page_head`); empty while the groups change."""


class CellTable:
    """Cells of one rollup. Deterministic: equal folds in equal order give equal pages."""

    def __init__(self, rollup: Rollup, duration_ms: int) -> None:
        """Start empty; `duration_ms` is the length of the festival."""
        self.rollup = rollup
        is_festival_long = rollup.window is Window.FESTIVAL
        self._is_paged_by_group = is_festival_long
        self._slots = 1 if is_festival_long else PAGE_MS[rollup.window] // WINDOW_MS[rollup.window]
        self._windows = 1 if is_festival_long else -(-duration_ms // PAGE_MS[rollup.window])
        self._groups = Groups(rollup)
        self._base_of = np.full((1, self._windows), UNKNOWN, dtype=np.int64)
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
        groups = self._groups.of(values, currencies, count)
        rows = self._rows_of(groups, places)
        self._make_room(count)
        for measure, added in sums.items():
            np.add.at(self._low[measure], rows, added)
        self._is_changed[groups // GROUPS_PER_PAGE if places is None else places.pages] = True
        self._has_changed = True

    def _rows_of(self, groups: Ints, places: Places | None) -> Ints:
        if places is not None and self._restored:
            for number in range(int(places.pages.min()), int(places.pages.max()) + 1):
                page = self._restored.pop(number, None)
                if page is not None:
                    self._take_over(page, [self._groups.of_key(key) for key in page.groups], number)
        self._base_of = grown(self._base_of, 0, len(self._groups.keys))
        blocks = groups if places is None else groups * self._windows + places.pages
        rows: Ints = self._base_of.ravel()[blocks]
        if rows.min() == UNKNOWN:
            self._add_blocks(np.array(in_order(blocks[rows == UNKNOWN]), dtype=np.int64))
            rows = self._base_of.ravel()[blocks]
        return rows if places is None else rows + places.slots

    def _add_blocks(self, blocks: Ints) -> None:
        """Give each group the rows of one page; a block is `group * windows + window`, and none is known yet."""
        groups, windows = np.divmod(blocks, self._windows)
        self._base_of = grown(self._base_of, 0, len(self._groups.keys))
        bases = self._rows + self._slots * np.arange(len(blocks))
        assert not self._is_paged_by_group or bool((bases == groups).all()), "rows of groups come in their order"
        self._base_of[groups, windows] = bases
        self._rows += self._slots * len(blocks)
        self._low = grown(self._low, 1, self._rows, fill=0)
        if self._high is not None:
            self._high = grown(self._high, 1, self._low.shape[1], fill=0)
        pages = groups // GROUPS_PER_PAGE if self._is_paged_by_group else windows
        self._is_changed = grown(self._is_changed, 0, int(pages.max()) + 1, fill=False)
        for group, page, base in zip(groups.tolist(), pages.tolist(), bases.tolist(), strict=True):
            content = self._contents.get(page)
            if content is None:
                content = self._contents[page] = _Content()
            content.keys.append(self._groups.keys[group])
            content.bases.append(base)
            content.head = b""

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

    def take_changed(self) -> Iterator[tuple[int, bytes]]:
        """Yield number and record value of each page changed since the last call."""
        if self._has_changed:
            changed = np.flatnonzero(self._is_changed).tolist()
            self._is_changed[:] = False
            self._has_changed = False
            yield from self._values(changed)

    def pages(self) -> Iterator[tuple[int, Page]]:
        """Yield number and content of every page."""
        read = {number: decode_page(value) for number, value in self._values(list(self._contents))}
        found = {**self._restored, **read}
        for number in sorted(found):
            yield number, found[number]

    def _values(self, numbers: Sequence[int]) -> Iterator[tuple[int, bytes]]:
        """Yield number and record value of pages, their cells taken with one look-up for all."""
        rows = self._rows_on(numbers)
        low = self._low.take(rows, axis=1)
        # A cell has one representation, whenever the carry happened, so equal ledgers write equal bytes.
        high = _high_parts(low, None if self._high is None else self._high.take(rows, axis=1))
        low &= _LOW_LIMIT - 1
        low, is_high = low.astype("<i8", copy=False), bool(high.any())
        end = 0
        for number in numbers:
            content = self._contents[number]
            if not content.head:
                content.head = page_head(content.keys, self._slots, len(self.rollup.measures))
            start, end = end, end + len(content.keys) * self._slots
            has_high = is_high and bool(high[:, start:end].any())
            high_bytes = high[:, start:end].astype("<i8", copy=False).tobytes() if has_high else None
            yield number, page_value(content.head, low[:, start:end].tobytes(), high_bytes)

    def _rows_on(self, numbers: Sequence[int]) -> Ints:
        """Return the rows of the cells on pages, page by page."""
        if self._is_paged_by_group:
            # Groups get their rows in the order of their numbers, one row each.
            rows = (np.array(numbers, dtype=np.int64)[:, None] * GROUPS_PER_PAGE + np.arange(GROUPS_PER_PAGE)).ravel()
            return rows[rows < self._rows]
        bases = np.array([base for number in numbers for base in self._contents[number].bases], dtype=np.int64)
        return (bases[:, None] + np.arange(self._slots)).ravel()

    def load(self, number: int, page: Page) -> None:
        """Take a page over as it was written. Pages of a festival-long rollup must come in ascending order.

        A page of some minutes is only kept until an event falls into them: most are over. Raises `ValueError` where the
        page does not fit the declarations.
        """
        page = page.widened(len(self.rollup.measures))
        if page.slots != self._slots or page.measures != len(self.rollup.measures):
            raise ValueError(f"page {number} of {self.rollup.name} has {page.measures} measures × {page.slots} slots")
        if not 0 <= number < self._windows and not self._is_paged_by_group:
            raise ValueError(f"page {number} of {self.rollup.name} lies outside the festival")
        cells = page.cells().shape[1]
        if cells != len(page.groups) * self._slots:
            raise ValueError(f"page {number} of {self.rollup.name} has {cells} cells per measure")
        groups = [self._groups.of_key(key) for key in page.groups]
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


def _high_parts(low: Ints, high: Ints | None) -> Ints:
    """Return the high parts with what the low parts hold beyond 62 bits carried into them."""
    carried: Ints = low >> HIGH_SHIFT
    return carried if high is None else high + carried
