"""What a ledger counts, as its fingerprints say: one for each partition, which differ in what was declared since."""

from __future__ import annotations

from typing import TYPE_CHECKING

import msgspec

from streams.domain.declarations import may_have_begun
from streams.domain.declared_since import widened_facts
from streams.domain.rollups import Rollup  # noqa: TC001 - msgspec reads the annotations

if TYPE_CHECKING:
    from collections.abc import Collection, Mapping

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


class Knowledge:
    """What each partition knows of all that is told: worked out once, as it is asked for every festival."""

    def __init__(self, told: Mapping[int, Fingerprint], all_told: Fingerprint, cursors: Mapping[int, Cursor]) -> None:
        """Compare the fingerprints of the partitions that have a cursor with what all of them tell."""
        self._festivals = all_told.festivals
        self._parts = [
            (partition, told[partition], cursor, _lacking(told[partition], all_told))
            for partition, cursor in sorted(cursors.items())
            if partition in told
        ]

    def late_partitions(self, festival_id: str) -> list[int]:
        """Return the partitions that may have counted records of a festival before they knew all that is told of it."""
        counted = self._festivals.get(festival_id)
        if counted is None:
            return []
        return [n for n, told, cursor, lacks in self._parts if _is_late(told, festival_id, counted, cursor, lacks)]


def _lacking(told: Fingerprint, all_told: Fingerprint) -> set[str]:
    """Return the facts of which a partition does not know all that is told."""
    return widened_facts(all_told.rollups, {rollup.name: len(rollup.measures) for rollup in told.rollups})


def _is_late(told: Fingerprint, festival_id: str, counted: CountedFestival, cursor: Cursor, lacks: set[str]) -> bool:
    if festival_id in told.late:
        return True
    if festival_id in told.festivals and lacks.isdisjoint(counted.facts):
        return False
    return may_have_begun(counted.start_ms, max(cursor.stream_times_ms.values(), default=None))
