"""The ledger as it lies on its topic: pages, cursors and fingerprints taken apart for comparison."""

from __future__ import annotations

import json
from dataclasses import dataclass, field
from typing import TYPE_CHECKING, Any

import msgspec
import numpy as np

from streams.domain.pages import Cursor, Page, decode_cursor, decode_page

if TYPE_CHECKING:
    from collections.abc import Iterator, Mapping

    from streams.audit.plan import Rollup


@dataclass(frozen=True, slots=True)
class WrittenPage:
    """One page, still encoded."""

    partition: int
    number: int
    value: bytes


@dataclass(slots=True)
class WrittenLedger:
    """Everything committed of one generation."""

    generation: str
    cursors: dict[int, Cursor] = field(default_factory=dict)
    fingerprints: dict[int, bytes] = field(default_factory=dict)
    pages: dict[tuple[str, str], list[WrittenPage]] = field(default_factory=dict)
    """Pages per festival and rollup."""
    late: dict[str, set[int]] = field(default_factory=dict)
    """Festivals with the partitions that knew them only when they may have begun."""
    strange: list[tuple[int, str]] = field(default_factory=list)
    """Partition and key of records that no ledger should hold."""
    is_merged: bool = False
    """Whether its pages are the totals of all partitions, added when they were sealed."""


def read_written(
    generation: str,
    records: Mapping[tuple[int, bytes], bytes],
    cursors: Mapping[int, bytes],
    *,
    is_merged: bool = False,
) -> WrittenLedger:
    """Sort the newest committed record of every (partition, key) by what it is."""
    ledger = WrittenLedger(generation, is_merged=is_merged)
    for (partition, key), value in records.items():
        match _parsed(key):
            case [own, "page", str(festival), str(rollup), int(number)] if own == generation:
                ledger.pages.setdefault((festival, rollup), []).append(WrittenPage(partition, number, value))
            case [own, "fingerprint"] if own == generation:
                ledger.fingerprints[partition] = value
            case [own, "cursor"] if own == generation:
                _add_cursor(ledger, partition, value)
            case ["generations"] | [_, "held"]:
                pass
            case _:
                ledger.strange.append((partition, repr(key)))
    for partition, value in cursors.items():
        _add_cursor(ledger, partition, value)
    return ledger


def _parsed(key: bytes) -> Any:  # noqa: ANN401 (any JSON)
    try:
        return json.loads(key)
    except ValueError:
        return None


def _add_cursor(ledger: WrittenLedger, partition: int, value: bytes) -> None:
    try:
        ledger.cursors[partition] = decode_cursor(value)
    except msgspec.DecodeError as error:
        ledger.strange.append((partition, f"the cursor: {error}"))


class MalformedPageError(ValueError):
    """A page that cannot be read, or whose shape is not that of its rollup."""


def cell_columns(pages: list[WrittenPage], rollup: Rollup) -> Iterator[dict[str, np.ndarray[Any, Any]]]:
    """Yield the cells of pages as columns part, win, dim, cur, low0, high0, low1, …; cells of zeros are left out.

    Raises `MalformedPageError`.
    """
    for page in pages:
        columns = _page_columns(page, rollup)
        if len(columns["part"]):
            yield columns


def _page_columns(written: WrittenPage, rollup: Rollup) -> dict[str, np.ndarray[Any, Any]]:
    try:
        page = decode_page(written.value).widened(len(rollup.measures))
        low, high = page.cells(), page.high_cells()
    except (msgspec.DecodeError, ValueError, TypeError) as error:
        raise MalformedPageError(str(error)) from error
    _check_shape(page, low, high, rollup)
    used = low.any(axis=0) if high is None else low.any(axis=0) | high.any(axis=0)
    at = np.flatnonzero(used)
    dims = np.array([group[0] if rollup.dimension else "" for group in page.groups], object)
    curs = np.array([group[-1] if rollup.currency else "" for group in page.groups], object)
    groups = at // page.slots
    start = written.number * page.slots if rollup.window_ms else 0
    columns: dict[str, np.ndarray[Any, Any]] = {
        "part": np.full(len(at), written.partition, np.int32),
        "win": start + (at % page.slots).astype(np.int64),
        "dim": dims[groups],
        "cur": curs[groups],
    }
    for i in range(len(rollup.measures)):
        columns[f"low{i}"] = low[i, at].astype(np.int64)
        columns[f"high{i}"] = high[i, at].astype(np.int64) if high is not None else np.zeros(len(at), np.int64)
    return columns


def _check_shape(page: Page, low: np.ndarray[Any, Any], high: np.ndarray[Any, Any] | None, rollup: Rollup) -> None:
    parts = (rollup.dimension is not None) + (rollup.currency is not None)
    if page.slots != rollup.slots() or page.measures != len(rollup.measures):
        raise MalformedPageError(f"{page.measures} measures and {page.slots} windows are not {rollup.name}'s")
    if any(len(group) != parts for group in page.groups):
        raise MalformedPageError(f"a group of {rollup.name} has {parts} parts")
    if low.shape[1] != len(page.groups) * page.slots or (high is not None and high.shape != low.shape):
        raise MalformedPageError("the cells are not one per group and window")
