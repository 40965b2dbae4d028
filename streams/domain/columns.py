"""The valid events of one batch, a column per field: what decoding gives and the ledger folds."""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING

import numpy as np

from streams.domain.texts import joined

if TYPE_CHECKING:
    from streams.domain.texts import Bools, Coded, Hashes, Ints


@dataclass(frozen=True, slots=True)
class Columns:
    """Valid events of one batch in log order, one entry per event in every column."""

    indexes: Ints
    """Position of each event's record in the batch."""
    numbers: dict[str, Ints]
    texts: dict[str, Coded]
    """Texts of which few are different, currencies, flags and `type`."""
    hashes: dict[str, Hashes]
    """Texts of which most are different."""

    def __len__(self) -> int:
        """Return the number of events."""
        return len(self.indexes)

    def only(self, mask: Bools) -> Columns:
        """Return the events where `mask` is true."""
        return self if mask.all() else self.at(np.flatnonzero(mask))

    def at(self, kept: Ints) -> Columns:
        """Return the events at the positions `kept`, in that order."""
        return Columns(
            self.indexes[kept],
            {name: column[kept] for name, column in self.numbers.items()},
            {name: column.only(kept) for name, column in self.texts.items()},
            {name: column[kept] for name, column in self.hashes.items()},
        )


def merged(first: Columns, second: Columns) -> Columns:
    """Return the events of both, whose indexes are different, in log order."""
    both = Columns(
        np.concatenate((first.indexes, second.indexes)),
        {name: np.concatenate((column, second.numbers[name])) for name, column in first.numbers.items()},
        {name: joined(column, second.texts[name]) for name, column in first.texts.items()},
        {name: np.concatenate((column, second.hashes[name])) for name, column in first.hashes.items()},
    )
    return both.at(np.argsort(both.indexes))
