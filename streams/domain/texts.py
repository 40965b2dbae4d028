"""Columns of texts: as codes where few different ones are expected, as 64-bit hashes where nearly all differ."""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING

import numpy as np
import numpy.typing as npt
from xxhash import xxh3_64_intdigest

from streams.domain.rollups import KEYS_LIMIT, NONE

if TYPE_CHECKING:
    from collections.abc import Callable, Sequence

Ints = npt.NDArray[np.int64]
Bools = npt.NDArray[np.bool_]
Hashes = npt.NDArray[np.uint64]

ABSENT_HASH = 0
"""Stands for a text that was not given. A given one has this hash once in 2^64."""
VOCABULARY_LIMIT = 65_536
"""Texts of a column that are remembered from batch to batch: more than a rollup keeps cells of (`KEYS_LIMIT`).

Producers decide how many there are, so a full vocabulary is forgotten, and begins anew.
"""
assert VOCABULARY_LIMIT > KEYS_LIMIT


@dataclass(frozen=True, slots=True)
class Coded:
    """A column of texts as codes: `texts[codes[i]]` is the text of event i.

    `texts` are different, stand in any order, and need not appear in the column: they are a vocabulary, which grows
    from batch to batch. A code means the same text in every column whose `texts` are the same object.
    """

    codes: Ints
    texts: Sequence[str]

    def only(self, kept: Ints | Bools) -> Coded:
        """Return the entries at the positions `kept`, or where it is true."""
        return Coded(self.codes[kept], self.texts)

    def where(self, is_meant: Callable[[str], bool]) -> Bools:
        """Return for which entries a text is meant; asked once per different text."""
        if len(self.texts) > len(self.codes):
            return self._among_few(is_meant)
        return np.array([is_meant(text) for text in self.texts], dtype=np.bool_)[self.codes]

    def _among_few(self, is_meant: Callable[[str], bool]) -> Bools:
        found, inverse = np.unique(self.codes, return_inverse=True)
        return np.array([is_meant(self.texts[code]) for code in found.tolist()], dtype=np.bool_)[inverse]

    def appearing(self) -> list[str]:
        """Return the texts that appear, in the order of their first appearance."""
        return [self.texts[code] for code in dict.fromkeys(self.codes.tolist())]


class Vocabulary:
    """Numbers the texts of one column in the order they are met, the same from batch to batch."""

    def __init__(self) -> None:
        """Start empty."""
        self.texts: list[str] = []
        self._codes = _Codes(self.texts)

    def encode(self, column: Sequence[str]) -> Coded:
        """Return a column of texts as codes."""
        # Types, currencies and defaults are one object each; comparing different texts costs more than coding them.
        if column and column[0] is column[-1] and column.count(column[0]) == len(column):
            return Coded(np.full(len(column), self._codes[column[0]], dtype=np.int64), self.texts)
        codes = np.fromiter(map(self._codes.__getitem__, column), dtype=np.int64, count=len(column))
        return Coded(codes, self.texts)


class _Codes(dict[str, int]):
    """Numbers texts in the order they are asked for."""

    def __init__(self, texts: list[str]) -> None:
        self._texts = texts

    def __missing__(self, text: str) -> int:
        code = self[text] = len(self._texts)
        self._texts.append(text)
        return code


def joined(first: Coded, second: Coded) -> Coded:
    """Return the entries of both columns, of one vocabulary, one after the other."""
    assert first.texts is second.texts
    return Coded(np.concatenate((first.codes, second.codes)), first.texts)


def hash_texts(texts: Sequence[str]) -> Hashes:
    """Return the 64-bit xxh3 hash of each text, `ABSENT_HASH` for `NONE`; the same in every process and version."""
    hashes = np.fromiter(map(xxh3_64_intdigest, map(str.encode, texts)), dtype=np.uint64, count=len(texts))
    hashes[hashes == _HASH_OF_NONE] = ABSENT_HASH
    return hashes


_HASH_OF_NONE = np.uint64(xxh3_64_intdigest(NONE.encode()))
