"""What a ledger counts, as its fingerprints say: one for each partition, which differ in what was declared since."""

from __future__ import annotations

from typing import TYPE_CHECKING

import msgspec

from streams.domain.declarations import may_have_begun
from streams.domain.declared_since import widened_facts
from streams.domain.rollups import Rollup  # noqa: TC001 - msgspec reads the annotations

if TYPE_CHECKING:
    from collections.abc import Collection

    from streams.domain.pages import Cursor


class CountedFestival(msgspec.Struct, frozen=True):
    """A festival as the fingerprint has it: what decided the count, whatever its file says today."""

    start_ms: int
    end_ms: int
    facts: tuple[str, ...]


class Fingerprint(msgspec.Struct, frozen=True):
    """The part of a generation's fingerprint that reading needs (`streams.domain.declarations`)."""

    festivals: dict[str, CountedFestival] = {}
    rollups: tuple[Rollup, ...] = ()
    late: dict[str, dict[str, int]] = {}
    """Festivals that a partition began to count when they may have begun, with the positions by topic."""


decode_fingerprint = msgspec.json.Decoder(Fingerprint).decode


def together(fingerprints: Collection[Fingerprint]) -> Fingerprint:
    """Return all that partitions count: each festival, and each table as wide as any has it."""
    festivals = {name: counted for one in fingerprints for name, counted in one.festivals.items()}
    rollups: dict[str, Rollup] = {}
    for rollup in (rollup for one in fingerprints for rollup in one.rollups):
        known = rollups.setdefault(rollup.name, rollup)
        if len(rollup.measures) > len(known.measures):
            rollups[rollup.name] = rollup
    return Fingerprint(festivals, tuple(rollups.values()))


def is_late(told: Fingerprint | None, festival_id: str, all_told: Fingerprint, cursor: Cursor) -> bool:
    """Return whether a partition may have counted records of a festival before it knew all that is told of it."""
    if told is None or festival_id in told.late:
        return told is not None
    counted = all_told.festivals[festival_id]
    widened = widened_facts(all_told.rollups, {rollup.name: len(rollup.measures) for rollup in told.rollups})
    if festival_id in told.festivals and widened.isdisjoint(counted.facts):
        return False
    return may_have_begun(counted.start_ms, max(cursor.stream_times_ms.values(), default=None))
