"""What a replay's records say in the fields that a shop has declared: values by Zipf's law, and small amounts.

Drawn by the order's number, so that an order, its cancellation and its payment have the same.
"""

from __future__ import annotations

import zlib
from typing import TYPE_CHECKING

import numpy as np

from streams.replay.draws import Purpose, below, draw
from streams.replay.writing import Piece

if TYPE_CHECKING:
    from streams.domain.curves import Int64s
    from streams.domain.declared import Declared

VALUES = 20
"""A dimension has so many: `channel-1`, twice as often as `channel-2`, three times as often as `channel-3`."""
AMOUNT_LIMIT_MINOR = 1_000
_WHOLE = 1_000_000
_BOUNDS = np.cumsum([_WHOLE // rank for rank in range(1, VALUES + 1)])


class DeclaredPieces:
    """The pieces of a record's declared fields; none where nothing is declared."""

    def __init__(self, declared: Declared, seed: int) -> None:
        """Prepare the texts."""
        self._seed = seed
        self._texts = {
            (dimension.fact, dimension.field): [
                f',"{dimension.field}":"{dimension.field}-{rank}"'.encode() for rank in range(1, VALUES + 1)
            ]
            for dimension in declared.dimensions
        }
        self._amounts = [(amount.fact, amount.field) for amount in declared.amounts]

    def of(self, fact: str, numbers: Int64s) -> list[Piece]:
        """Return what the events of a topic that follow these orders say."""
        dimensions = [
            Piece(b"", _ranks(self._seed, field, numbers), texts)
            for (of, field), texts in self._texts.items()
            if of == fact
        ]
        amounts = [
            Piece(f',"{field}":'.encode(), below(_bits(self._seed, field, numbers), AMOUNT_LIMIT_MINOR))
            for of, field in self._amounts
            if of == fact
        ]
        return [*dimensions, *amounts]


def _ranks(seed: int, field: str, numbers: Int64s) -> Int64s:
    """Return the place of each event's value, from 0 on."""
    drawn = below(_bits(seed, field, numbers), int(_BOUNDS[-1]))
    return np.searchsorted(_BOUNDS, drawn, side="right").astype(np.int64)


def _bits(seed: int, field: str, numbers: Int64s) -> np.ndarray[tuple[int, ...], np.dtype[np.uint64]]:
    return draw(seed, Purpose.DECLARED, numbers, zlib.crc32(field.encode()))
