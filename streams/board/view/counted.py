"""What a ledger counts, as its fingerprints say: one for each partition, which differ in festivals declared since."""

from __future__ import annotations

from typing import TYPE_CHECKING

import msgspec

from streams.domain.declarations import may_have_begun
from streams.domain.rollups import Rollup  # noqa: TC001 - msgspec reads the annotations

if TYPE_CHECKING:
    from collections.abc import Iterable

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

    @property
    def common(self) -> Fingerprint:
        """Return all but the festivals."""
        return msgspec.structs.replace(self, festivals={}, late={})


decode_fingerprint = msgspec.json.Decoder(Fingerprint).decode


def together(fingerprints: Iterable[Fingerprint], common: Fingerprint) -> Fingerprint:
    """Return what all partitions count, by the rules of `common`."""
    known = {name: counted for one in fingerprints for name, counted in one.festivals.items()}
    return msgspec.structs.replace(common, festivals=known, late={})


def is_late(told: Fingerprint | None, festival_id: str, counted: CountedFestival, cursor: Cursor) -> bool:
    """Return whether a partition may have counted records of a festival before it knew it."""
    if told is None or festival_id in told.festivals:
        return told is not None and festival_id in told.late
    return may_have_begun(counted.start_ms, max(cursor.stream_times_ms.values(), default=None))
