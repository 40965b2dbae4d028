"""Columns of texts: as codes where few different ones are expected, as 64-bit hashes where nearly all differ."""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING

import numpy as np
import numpy.typing as npt
from xxhash import xxh3_64_intdigest

from streams.domain.rollups import NONE

if TYPE_CHECKING:
    from collections.abc import Callable, Sequence

Ints = npt.NDArray[np.int64]
Bools = npt.NDArray[np.bool_]
Hashes = npt.NDArray[np.uint64]

ABSENT_HASH = 0
"""Stands for a text that was not given. A given one has this hash once in 2^64."""


@dataclass(frozen=True, slots=True)
class Coded:
    """A column of texts as codes: `texts[codes[i]]` is the text of event i.

    Texts are different, and stand in the order of their first appearance, each at least once.
    """

    codes: Ints
    texts: Sequence[str]

    def only(self, kept: Ints) -> Coded:
        """Return the entries at the positions `kept`."""
        return by_appearance(self.codes[kept], self.texts)

    def where(self, is_meant: Callable[[str], bool]) -> Bools:
        """Return for which entries a text is meant; asked once per different text."""
        return np.array([is_meant(text) for text in self.texts], dtype=np.bool_)[self.codes]


class _Codes(dict[str, int]):
    """Numbers texts in the order they are asked for."""

    def __missing__(self, text: str) -> int:
        code = self[text] = len(self)
        return code


def encode_texts(column: Sequence[str]) -> Coded:
    """Return a column of texts as codes."""
    # Types, currencies and defaults are one object each; comparing different texts would cost more than coding them.
    if column and column[0] is column[-1] and column.count(column[0]) == len(column):
        return Coded(np.zeros(len(column), dtype=np.int64), [column[0]])
    codes = _Codes()
    coded = np.fromiter(map(codes.__getitem__, column), dtype=np.int64, count=len(column))
    return Coded(coded, list(codes))


def by_appearance(codes: Ints, texts: Sequence[str]) -> Coded:
    """Return a column whose texts may stand in any order, or not appear at all, as `Coded` promises them."""
    count = len(codes)
    firsts = np.full(len(texts), count, dtype=np.int64)
    firsts[codes[::-1]] = np.arange(count - 1, -1, -1, dtype=np.int64)  # of several the last is kept: the first
    order = np.argsort(firsts, kind="stable")[: np.count_nonzero(firsts < count)]
    ranks = np.zeros(len(texts), dtype=np.int64)
    ranks[order] = np.arange(len(order), dtype=np.int64)
    return Coded(ranks[codes], [texts[code] for code in order.tolist()])


def joined(first: Coded, second: Coded) -> Coded:
    """Return the entries of both columns one after the other."""
    known = _Codes()
    codes = [np.array([known[text] for text in part.texts], dtype=np.int64)[part.codes] for part in (first, second)]
    return Coded(np.concatenate(codes), list(known))


def hash_texts(texts: Sequence[str]) -> Hashes:
    """Return the 64-bit xxh3 hash of each text, `ABSENT_HASH` for `NONE`; the same in every process and version."""
    hashes = np.fromiter(map(xxh3_64_intdigest, map(str.encode, texts)), dtype=np.uint64, count=len(texts))
    hashes[hashes == _HASH_OF_NONE] = ABSENT_HASH
    return hashes


_HASH_OF_NONE = np.uint64(xxh3_64_intdigest(NONE.encode()))
