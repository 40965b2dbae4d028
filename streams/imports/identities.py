"""Which events of a file have the `event_id` of an earlier one: the counter would take them for resends."""

from __future__ import annotations

from typing import TYPE_CHECKING

import numpy as np

if TYPE_CHECKING:
    from streams.domain.texts import Bools, Hashes


class SeenIds:
    """The ids of the events met so far, as the counter tells them apart: 64-bit hashes, 8 bytes for each.

    Sorted runs that are merged when they are about as long, so that a file of n events has about log2(n) of them.
    """

    def __init__(self) -> None:
        """Begin with none."""
        self._runs: list[Hashes] = []

    def take(self, hashes: Hashes) -> Bools:
        """Return which ids are met for the first time, in order, and remember them."""
        found, first = np.unique(hashes, return_index=True)
        is_known = np.zeros(len(found), dtype=np.bool_)
        for run in self._runs:
            places = np.minimum(np.searchsorted(run, found), len(run) - 1)
            is_known |= run[places] == found
        is_new = np.zeros(len(hashes), dtype=np.bool_)
        is_new[first[~is_known]] = True
        self._remember(found[~is_known])
        return is_new

    def _remember(self, run: Hashes) -> None:
        while len(run) and self._runs and len(self._runs[-1]) <= 2 * len(run):
            run = np.sort(np.concatenate([self._runs.pop(), run]))
        if len(run):
            self._runs.append(run)
