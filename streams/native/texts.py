"""Many byte strings as one sequence: places in other objects where the compiled part has made them, else a list."""

from __future__ import annotations

from collections.abc import Sequence
from typing import TYPE_CHECKING

from streams.native import IS_BUILT

if IS_BUILT:
    from streams.native.records import Values

if TYPE_CHECKING:
    import numpy as np
    import numpy.typing as npt

Texts = Sequence[bytes | None]
"""Keys or values of records: None is a null value."""


def joined(parts: Sequence[Texts], *, is_compiled: bool = IS_BUILT) -> Texts:
    """Return several one after the other."""
    if is_compiled:
        return Values.joined([part if isinstance(part, Values) else Values.of(part) for part in parts])
    return [text for part in parts for text in part]


def taken(texts: Texts, rows: npt.NDArray[np.int64]) -> Texts:
    """Return those of some rows, in the order of the rows."""
    if IS_BUILT and isinstance(texts, Values):
        return texts.taken(rows)
    return [texts[row] for row in rows.tolist()]
