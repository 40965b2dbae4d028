"""Random numbers that are a function of (seed, purpose, number): any process can draw any event's, in any order.

The mixer is SplitMix64's (Steele, Lea, Flood 2014): a bijection of 64 bits that passes the usual test batteries.
"""

from __future__ import annotations

from enum import IntEnum
from typing import TYPE_CHECKING

import numpy as np

if TYPE_CHECKING:
    from streams.domain.curves import Int64s, UInt64s

_MASK = (1 << 64) - 1
_GOLDEN = 0x9E3779B97F4A7C15
_MIX_1 = 0xBF58476D1CE4E5B9
_MIX_2 = 0x94D049BB133111EB


class Purpose(IntEnum):
    """What a number is drawn for; equal purposes of one order give equal numbers."""

    PARTITION = 1
    TIME = 2
    AMOUNT = 3
    GOODS = 4
    PAYMENT = 5
    PAYMENT_DELAY = 6
    CANCEL = 7
    LATE = 8
    RESEND = 9
    PARCEL = 10
    BOX = 11
    PLATFORM = 12
    DECLARED = 13


def _mix(value: int) -> int:
    value = ((value ^ (value >> 30)) * _MIX_1) & _MASK
    value = ((value ^ (value >> 27)) * _MIX_2) & _MASK
    return value ^ (value >> 31)


def draw(seed: int, purpose: Purpose, numbers: Int64s, variant: int = 0) -> UInt64s:
    """Return 64 random bits for each number; `variant` tells events of one order apart."""
    origin = _mix((_mix((seed * _GOLDEN + 1) & _MASK) + purpose * _GOLDEN + variant * _MIX_1) & _MASK)
    bits = numbers.astype(np.uint64)
    bits *= np.uint64(_GOLDEN)
    bits += np.uint64(origin)
    bits ^= bits >> np.uint64(30)
    bits *= np.uint64(_MIX_1)
    bits ^= bits >> np.uint64(27)
    bits *= np.uint64(_MIX_2)
    bits ^= bits >> np.uint64(31)
    return bits


def below(bits: UInt64s, limit: int) -> Int64s:
    """Return a number from 0 to `limit` − 1 for each of the bits (`limit` at most 2^31; the bias is below 2^-32)."""
    return (((bits >> np.uint64(32)) * np.uint64(limit)) >> np.uint64(32)).astype(np.int64)
