"""Which partition a key goes to: that of Kafka's default partitioner, so that other producers' records join ours.

Whole arrays at once: in plain Python a key costs 8 µs, as much as the rest of its row. The compiled
part does those whose bytes lie in its own hands.
"""

from __future__ import annotations

from collections import defaultdict
from typing import TYPE_CHECKING

import numpy as np

from streams.native import TRANSLATES

if TRANSLATES:
    from streams.native import translating as compiled
    from streams.native.records import Values

if TYPE_CHECKING:
    from collections.abc import Sequence

    import numpy.typing as npt

    Words = npt.NDArray[np.uint32]

_SEED = 0x9747B28C
_M = np.uint32(0x5BD1E995)
_POSITIVE = np.uint32(0x7FFFFFFF)


def partitions_of(keys: Sequence[bytes | None], partitions: int) -> npt.NDArray[np.int64]:
    """Return the partition of each key: murmur2 of its bytes, as `org.apache.kafka.clients.producer` has it.

    No key is None.
    """
    if TRANSLATES and isinstance(keys, Values):
        return compiled.partitions_of(keys, partitions)
    by_length: defaultdict[int, list[int]] = defaultdict(list)
    for index, key in enumerate(keys):
        assert key is not None
        by_length[len(key)].append(index)
    found = np.empty(len(keys), dtype=np.int64)
    for length, indexes in by_length.items():
        joined = b"".join([keys[index] or b"" for index in indexes])
        text = np.frombuffer(joined, dtype=np.uint8).reshape(len(indexes), length)
        found[indexes] = (_murmur2(text) & _POSITIVE) % np.uint32(partitions)
    return found


def _murmur2(text: npt.NDArray[np.uint8]) -> Words:
    """Return the hash of each row of bytes. Products wrap at 32 bits, as they must."""
    count, length = text.shape
    whole = length // 4 * 4
    words = np.ascontiguousarray(text[:, :whole]).view("<u4").astype(np.uint32)
    found = np.full(count, _SEED ^ length, dtype=np.uint32)
    for place in range(whole // 4):
        word = words[:, place] * _M
        word ^= word >> np.uint32(24)
        found = found * _M ^ word * _M
    for place in range(whole, length):
        found ^= text[:, place].astype(np.uint32) << np.uint32(8 * (place - whole))
    if whole < length:
        found *= _M
    found ^= found >> np.uint32(13)
    found *= _M
    return found ^ found >> np.uint32(15)
