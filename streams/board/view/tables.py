"""Tables: the pages of one rollup, of all partitions, added up. Built by `committed_view` when somebody looks.

Everything here is exact: cells stay int64 while their sums provably fit, and become Python integers beyond.
"""

from __future__ import annotations

import threading
from collections import defaultdict
from dataclasses import dataclass, field
from typing import TYPE_CHECKING, Any

import msgspec
import numpy as np
import numpy.typing as npt

from streams.board.view.packing import unpack
from streams.domain.pages import HIGH_SHIFT, decode_page
from streams.domain.rollups import OTHER, PAGE_MS, WINDOW_MS, Window

if TYPE_CHECKING:
    from collections.abc import Iterable, Iterator, Mapping

    from streams.domain.rollups import Rollup

Group = tuple[str, ...]
"""Value of the dimension (if the rollup has one), then currency (if it has one)."""
Numbers = npt.NDArray[Any]
"""int64 where the values fit, else object (Python integers)."""
RawPages = dict[int, dict[int, bytes]]
"""Page number → partition → record value, packed. Inner dicts are never changed, only replaced."""

_SAFE = 1 << HIGH_SHIFT
"""Sums bounded by this stay int64: one bit below the limit of 63."""


class UnreadablePageError(Exception):
    """A record of the ledger is no page of this rollup."""


def _bound(cells: Numbers) -> int:
    """Return the largest absolute value."""
    if cells.size == 0:
        return 0
    return max(int(cells.max()), -int(cells.min()))


def exact_sum(cells: Numbers) -> Numbers:
    """Return the sums along the last axis, exact whatever their size."""
    if cells.dtype != object and _bound(cells) * cells.shape[-1] >= _SAFE:
        cells = cells.astype(object)
    summed: Numbers = cells.sum(axis=-1)
    return summed


def exact_cumulative(values: Numbers) -> Numbers:
    """Return the running sums of a vector, exact whatever their size."""
    if values.dtype != object and _bound(values) * len(values) >= _SAFE:
        values = values.astype(object)
    return np.cumsum(values)


@dataclass(frozen=True, slots=True)
class MergedPage:
    """One page with all partitions added: `cells` has the shape (measures, groups, slots)."""

    groups: Mapping[Group, int]
    cells: Numbers

    def sums(self) -> Iterator[tuple[Group, list[int]]]:
        """Return for each group its measures over all slots, as Python integers."""
        return zip(self.groups, exact_sum(self.cells).T.tolist(), strict=True)


def _decoded(value: bytes, rollup: Rollup, slots: int) -> tuple[tuple[Group, ...], Numbers]:
    """Return groups and cells (measures, groups, slots) of one record; raises `UnreadablePageError`."""
    try:
        page = decode_page(value).widened(len(rollup.measures))
        if page.measures != len(rollup.measures) or page.slots != slots:
            raise UnreadablePageError(f"a page of {rollup.name} has {page.measures} measures and {page.slots} slots")
        shape = (page.measures, len(page.groups), slots)
        cells: Numbers = page.cells().reshape(shape)
        high = page.high_cells()
        if high is not None:
            cells = (high.astype(object) * _SAFE).reshape(shape) + cells.astype(object)
    except (msgspec.MsgspecError, ValueError) as error:
        raise UnreadablePageError(f"a page of {rollup.name} cannot be read: {error}") from error
    names = (rollup.dimension is not None) + (rollup.currency is not None)
    if len(set(page.groups)) != len(page.groups) or any(len(group) != names for group in page.groups):
        raise UnreadablePageError(f"a page of {rollup.name} names its groups wrongly")
    return page.groups, cells


def merge_pages(values: Iterable[bytes], rollup: Rollup) -> MergedPage:
    """Return the sum of the partitions' records of one page; raises `UnreadablePageError`."""
    slots = slots_per_page(rollup)
    parts = [_decoded(value, rollup, slots) for value in values]
    if not parts:
        return MergedPage({}, np.zeros((len(rollup.measures), 0, slots), dtype=np.int64))
    if all(names == parts[0][0] for names, _ in parts):  # as nearly always: partitions see the same groups
        stacked = np.stack([cells for _, cells in parts], axis=-1)
        return MergedPage({name: i for i, name in enumerate(parts[0][0])}, exact_sum(stacked))
    groups: dict[Group, int] = {}
    for names, _ in parts:
        for name in names:
            groups.setdefault(name, len(groups))
    is_exact_in_64_bits = sum(_bound(cells) for _, cells in parts) < _SAFE
    dtype = np.int64 if is_exact_in_64_bits else object
    merged: Numbers = np.zeros((len(rollup.measures), len(groups), slots), dtype=dtype)
    for names, cells in parts:
        merged[:, [groups[name] for name in names], :] += cells.astype(dtype)
    return MergedPage(groups, merged)


def slots_per_page(rollup: Rollup) -> int:
    """Return how many windows a page of `rollup` spans."""
    return PAGE_MS[rollup.window] // WINDOW_MS[rollup.window] if rollup.window in WINDOW_MS else 1


@dataclass(frozen=True)
class Table:
    """All of one rollup and festival at one snapshot. Immutable; safe to read from any thread."""

    rollup: Rollup
    pages: Mapping[int, MergedPage]
    totals: Mapping[Group, tuple[int, ...]]
    """Measures per group over the whole festival, in the order of `rollup.measures`."""
    unreadable: frozenset[int]
    """Numbers of pages that could not be read and are missing in the totals."""
    _series: dict[tuple[int, str | None, int], Numbers] = field(default_factory=dict, repr=False)

    def totals_before(self, windows: int) -> Mapping[Group, tuple[int, ...]]:
        """Return the totals over the first `windows` windows of the festival.

        A festival-long rollup has no windows: asking it is a programmer's error.
        """
        assert self.rollup.window in WINDOW_MS, f"{self.rollup.name} keeps no windows"
        slots = slots_per_page(self.rollup)
        sums: dict[Group, tuple[int, ...]] = {}
        for number, page in self.pages.items():
            part = page
            if (number + 1) * slots > windows:
                if number * slots >= windows:
                    continue
                part = MergedPage(page.groups, page.cells[:, :, : windows - number * slots])
            for group, measures in part.sums():
                add(sums, group, measures)
        return sums

    def series(self, measure: int, windows: int, currency: str | None = None) -> Numbers:
        """Return one measure per window, `windows` values, for one currency or all added (counts only).

        The result is shared: do not write into it.
        """
        key = (measure, currency, windows)
        if key not in self._series:
            self._series[key] = self._build_series(measure, windows, currency)
        return self._series[key]

    def _build_series(self, measure: int, windows: int, currency: str | None) -> Numbers:
        assert self.rollup.window is not Window.FESTIVAL, f"{self.rollup.name} keeps no windows"
        slots = slots_per_page(self.rollup)
        parts: dict[int, Numbers] = {}
        for number, page in self.pages.items():
            wanted = [i for group, i in page.groups.items() if currency is None or group[-1] == currency]
            if wanted and number >= 0:
                parts[number] = exact_sum(page.cells[measure, wanted, :].T)
        is_exact_in_64_bits = all(part.dtype != object for part in parts.values())
        size = max([windows, *((number + 1) * slots for number in parts)])
        values: Numbers = np.zeros(size, dtype=np.int64 if is_exact_in_64_bits else object)
        for number, part in parts.items():
            values[number * slots : (number + 1) * slots] = part
        values = values[:windows]
        values.flags.writeable = False
        return values

    @property
    def is_overflowed(self) -> bool:
        """Whether the limit of groups was reached in some partition."""
        return self.rollup.dimension is not None and any(group[0] == OTHER for group in self.totals)


def add(sums: dict[Group, tuple[int, ...]], group: Group, measures: Iterable[int]) -> None:
    """Add `measures` to those of `group`."""
    before = sums.get(group)
    sums[group] = tuple(measures) if before is None else tuple(map(int.__add__, before, measures))


class TableCache:
    """Builds the tables of one rollup and festival, each from the difference to the one built before.

    May be called from any thread; a caller waits while another builds. Snapshots may be asked in any order:
    what is compared is the identity of the records, not their age.
    """

    def __init__(self, rollup: Rollup) -> None:
        """Begin with nothing read."""
        self._rollup = rollup
        self._lock = threading.Lock()
        self._sources: RawPages = {}
        self._table = Table(rollup, {}, {}, frozenset())

    def table(self, raw: RawPages) -> Table:
        """Return the table of `raw`; never raises, an unreadable page is named in `Table.unreadable`."""
        with self._lock:
            if raw is not self._sources:
                self._table = self._advance(raw)
                self._sources = raw
            return self._table

    def _advance(self, raw: RawPages) -> Table:
        """Return the table of `raw`: only the pages that differ are decoded."""
        old = self._table
        pages, unreadable = dict(old.pages), set(old.unreadable)
        difference: dict[Group, list[int]] = defaultdict(lambda: [0] * len(self._rollup.measures))
        changed = [number for number in raw if raw[number] is not self._sources.get(number)]
        for number in (*changed, *(self._sources.keys() - raw.keys())):
            unreadable.discard(number)
            if (before := pages.pop(number, None)) is not None:
                _accumulate(difference, before, -1)
            try:
                after = merge_pages(map(unpack, raw.get(number, {}).values()), self._rollup)
            except UnreadablePageError:
                unreadable.add(number)
                continue
            if number in raw:
                pages[number] = after
                _accumulate(difference, after, 1)
        totals = dict(old.totals)
        for group, measures in difference.items():
            add(totals, group, measures)
        return Table(self._rollup, pages, totals, frozenset(unreadable))


def _accumulate(difference: dict[Group, list[int]], page: MergedPage, sign: int) -> None:
    for group, measures in page.sums():
        cell = difference[group]
        for index, value in enumerate(measures):
            cell[index] += sign * value
