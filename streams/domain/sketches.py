"""How many different buyers, stations and participants: sketches of a fixed size, kept in the ledger beside the cells.

A sketch is Apache DataSketches' HyperLogLog. Adding a text again changes nothing, and the union of the partitions'
sketches is the sketch of their union, so a number is right after any replay, within the bounds that stand beside it.
"""

from __future__ import annotations

from collections import deque
from dataclasses import dataclass
from importlib.util import find_spec
from typing import TYPE_CHECKING

import numpy as np

from streams.domain.pages import Page, encode_page
from streams.domain.texts import ABSENT_HASH

if TYPE_CHECKING:
    from collections.abc import Iterable, Iterator

    from streams.domain.texts import Hashes

HAS_LIBRARY = find_spec("datasketches") is not None
"""Its wheels end at Python 3.13: on a newer one nothing distinct is counted, and the fingerprint says so."""
if HAS_LIBRARY:  # pragma: no branch - not where it is tested
    from datasketches import hll_sketch, hll_union, tgt_hll_type

LG_REGISTERS = 14
"""16,384 registers of a byte: three standard errors are 2.4 %."""
SIGMAS = 3
"""Standard errors between the estimate and each of its bounds: beyond them once in 370."""


@dataclass(frozen=True, slots=True)
class Distinct:
    """One number of different texts: of `field`, in events of `types` of a fact. An absent one is none."""

    name: str
    fact: str
    field: str
    types: tuple[str, ...]


DECLARED = (
    Distinct("buyers", "orders", "buyer", ("order_placed",)),
    Distinct("stations", "recycling", "station", ("box_recycled",)),
    Distinct("participants", "recycling", "user", ("box_recycled",)),
)
DISTINCTS = DECLARED if HAS_LIBRARY else ()


_FEW = 1 << LG_REGISTERS - 2
"""A sketch of more texts has registers: it holds three quarters of an eighth as many hashes at most."""
_SEED = np.uint64(9001)
"""The seed of the library's hash."""
_HIGHEST = np.uint64(2**64 - 1)


class _Registers:
    """What the registers of a sketch hold at least, so that most texts need not be added at all.

    A register is the most leading zeros of the hashes that fell on it. Once a sketch has seen some thousands of texts,
    few change any; telling that here, in columns, takes a third of the time of the library's call for each.
    """

    def __init__(self) -> None:
        self._most = np.full(1 << LG_REGISTERS, _HIGHEST)
        """Per register the largest second word of a hash that could still change it."""

    def changing(self, hashes: Hashes) -> Hashes:
        """Return those of `hashes` that may change a register; they are taken to be added."""
        first, second = _murmur3(hashes)
        places = (first & np.uint64((1 << LG_REGISTERS) - 1)).astype(np.int64)
        may_change = second <= self._most[places]
        found = second[may_change]
        for shift in (1, 2, 4, 8, 16, 32):
            found |= found >> np.uint64(shift)
        np.minimum.at(self._most, places[may_change], found >> np.uint64(1))
        return hashes[may_change]


def _murmur3(hashes: Hashes) -> tuple[Hashes, Hashes]:
    """Return the two words of the library's hash of integers: MurmurHash3 for x64, 128 bits, of 8 bytes each."""
    words = hashes * np.uint64(0x87C37B91114253D5)
    words = (words << np.uint64(31) | words >> np.uint64(33)) * np.uint64(0x4CF5AD432745937F)
    length = np.uint64(8)
    first = (words ^ _SEED ^ length) + (_SEED ^ length)
    second = first + (_SEED ^ length)
    first, second = _finished(first), _finished(second)
    first = first + second
    return first, first + second


def _finished(words: Hashes) -> Hashes:
    words = (words ^ words >> np.uint64(33)) * np.uint64(0xFF51AFD7ED558CCD)
    words = (words ^ words >> np.uint64(33)) * np.uint64(0xC4CEB9FE1A85EC53)
    mixed: Hashes = words ^ words >> np.uint64(33)
    return mixed


class SketchTable:
    """The sketch of one `Distinct` in one festival and partition: like a `CellTable`, it has pages, exactly one."""

    def __init__(self) -> None:
        """Start empty."""
        self._sketch = hll_sketch(LG_REGISTERS, tgt_hll_type.HLL_8)
        self._registers: _Registers | None = None
        """None while the sketch holds the few hashes themselves, each of which changes it."""
        self._is_changed = False

    def fold(self, hashes: Hashes) -> None:
        """Add texts by their hashes, in log order; absent ones are passed over."""
        given = hashes[hashes != ABSENT_HASH]
        if self._registers is not None:
            given = self._registers.changing(given)
        if not len(given):
            return
        deque(map(self._sketch.update, given.view(np.int64).tolist()), maxlen=0)
        self._is_changed = True
        if self._registers is None and self._sketch.get_estimate() > _FEW:
            self._registers = _Registers()

    def take_changed(self) -> Iterator[tuple[int, bytes]]:
        """Yield number and record value of the page if it changed since the last call."""
        if self._is_changed:
            self._is_changed = False
            for number, page in self.pages():
                yield number, encode_page(page)

    def pages(self) -> Iterator[tuple[int, Page]]:
        """Yield number and content of the page, nothing while it is empty."""
        if not self._sketch.is_empty():
            yield 0, Page((), 1, 1, self._sketch.serialize_compact(), None)

    def load(self, number: int, page: Page) -> None:
        """Take the page over as it was written; raises `ValueError` where it is none."""
        if number:
            raise ValueError(f"a sketch has no page {number}")
        self._sketch = _deserialized(page.low)


@dataclass(frozen=True, slots=True)
class Estimate:
    """How many different texts there are: about `count`, and almost certainly from `low` to `high`."""

    count: int
    low: int
    high: int


def estimate(sketches: Iterable[bytes]) -> Estimate:
    """Return the number of different texts in all partitions' sketches; raises `ValueError` where one is none."""
    union = hll_union(LG_REGISTERS)
    for sketch in sketches:
        union.update(_deserialized(sketch))
    return Estimate(
        round(union.get_estimate()), int(union.get_lower_bound(SIGMAS)), -int(-union.get_upper_bound(SIGMAS) // 1)
    )


def _deserialized(value: bytes) -> hll_sketch:
    try:
        sketch = hll_sketch.deserialize(value)
    except (RuntimeError, IndexError, ValueError) as error:
        raise ValueError(f"no sketch: {error}") from error
    if sketch.lg_config_k != LG_REGISTERS:
        raise ValueError(f"a sketch of 2^{sketch.lg_config_k} registers, not 2^{LG_REGISTERS}")
    return sketch
