"""What a recount decides: which generation it counts, up to where, and when that one is made current.

Pure: `streams.kafka.ledger.recount` reads and writes, and asks here what to do; the simulation does the same.
"""

from __future__ import annotations

from typing import TYPE_CHECKING, Any, TypeVar

import msgspec

from streams.domain.declarations import FingerprintError
from streams.domain.declared_since import missing_festivals
from streams.domain.pages import decode_cursor
from streams.engine.checkpoint import FencedError
from streams.engine.generations import Generations, NextGeneration, Remade
from streams.engine.ledger_keys import Kind, parse_key
from streams.engine.losses import told_from
from streams.engine.status import HeldReason

if TYPE_CHECKING:
    from collections.abc import Container, Iterable, Mapping, Sequence

    from streams.domain.pages import Cursor
    from streams.engine.batch import RecordBatch
    from streams.engine.judgement import Verdict
    from streams.engine.losses import Loss

Place = TypeVar("Place", bound=tuple[str, int])
"""Source topic and partition number."""
CLOSE_ENOUGH = 20_000
"""Records behind the current generation at which chasing it ends: a fraction of a second of counting."""
CHASES = 20
_LEFT_BEHIND = frozenset(
    {
        *(HeldReason.FOREIGN_CLUSTER, HeldReason.LEDGER_REPLACED, HeldReason.LEDGER_UNREADABLE),
        *(HeldReason.LOG_REPLACED, HeldReason.LOG_DELETED, HeldReason.LOG_TRUNCATED, HeldReason.BEYOND_END),
    }
)


def goes_on(found: Generations, fingerprint: str) -> bool:
    """Return whether a recount of these declarations was begun: it is gone on with."""
    return found.next is not None and found.next.fingerprint == fingerprint


def check_festivals(found: Generations, known: Container[str]) -> None:
    """Raise `FingerprintError` where a festival that is declared would be counted no more."""
    if found.declared is not None and (missing := missing_festivals(found.declared, known)):
        raise FingerprintError(
            f"the ledger counts {', '.join(missing)}, and no file here declares it. A festival is never removed: put "
            "its file into the folder of --festivals"
        )


def renewed(found: Generations, fingerprint: str) -> Generations:
    """Return the generations with a new one to count."""
    following = NextGeneration(id=found.newer(), fingerprint=fingerprint)
    return msgspec.structs.replace(found, next=following)


def is_left_behind(verdict: Verdict) -> bool:
    """Return whether an unfinished generation held for this cannot be gone on with, where one that begins now can."""
    return verdict.reason in _LEFT_BEHIND


def switched(
    found: Generations,
    counted: Generations,
    remade: Mapping[tuple[str, int], int],
    lost: Iterable[Loss] = (),
    document: dict[str, Any] | None = None,
) -> Generations:
    """Return the generations with the one that was `counted` as the current one, under the fingerprint `document`.

    `remade`: the logs that are not those of the generations before, from which offset on. `lost` is what it did not
    count of the logs.

    `found` are those that nobody can change any more. Raises `FencedError` where somebody has.
    """
    if found != counted:
        raise FencedError("the generations were changed meanwhile, or a festival was declared")
    assert counted.next is not None
    made = counted.next.id
    others = (Remade(*place, offset, made) for place, offset in sorted(remade.items()))
    return Generations(
        current=made,
        previous=counted.current,
        remade=(*found.remade, *others),
        declared=document,
        counted_from=told_from(found.counted_from, lost),
    )


def behind(positions: Mapping[Place, int], targets: Mapping[Place, int]) -> int:
    """Return how many offsets lie between positions and targets, of what is counted."""
    return sum(max(0, target - positions.get(place, target)) for place, target in targets.items())


def uncounted(positions: Mapping[Place, int], ends: Mapping[Place, int]) -> list[int]:
    """Return the partition numbers that are not counted to these ends."""
    return sorted({place[1] for place, end in ends.items() if positions[place] < end})


class Chase:
    """How a generation catches up with the current one, which goes on: `aim`, count, and again until `is_over`."""

    def __init__(self) -> None:
        """Know nothing yet."""
        self.behind = 0
        """Offsets to count in this chase."""
        self.remade: dict[tuple[str, int], int] = {}
        """Logs that are not those that the current generation counted, each with the offset from which on: that is
        known, or the current generation stands beyond the end. Behind that they are counted after the switch."""
        self._chases = 0

    @property
    def is_over(self) -> bool:
        """Return whether the generation is hardly behind, or has chased for long enough."""
        return self._chases == CHASES or (self._chases > 0 and self.behind <= CLOSE_ENOUGH)

    def aim(
        self,
        reached: Mapping[Place, int],
        log_ends: Mapping[Place, int],
        positions: Mapping[Place, int],
        other_from: Mapping[tuple[str, int], int],
    ) -> dict[Place, int]:
        """Return up to where to count now.

        `reached`: the current generation's positions; `log_ends`: the ends of the logs after it stood there;
        `positions`: the next generation's; `other_from`: see `streams.engine.losses.other_from`.
        """
        self._chases += 1
        self.remade = {
            place: other_from.get(place, log_ends[place])
            for place, offset in reached.items()
            if place in log_ends and (place in other_from or offset > log_ends[place])
        }
        targets = {
            place: min(offset, self.remade.get(place, offset)) for place, offset in reached.items() if place in log_ends
        }
        self.behind = behind(positions, targets)
        return targets


class Reached:
    """Where one generation began and how far it is counted, by what was found of it and what is read of it since."""

    def __init__(self, generation: str, topics: Sequence[str]) -> None:
        """Nothing is known yet."""
        self._generation, self._topics = generation, topics
        self.positions: dict[tuple[str, int], int] = {}
        """Next offset of each source partition."""
        self.began: dict[tuple[str, int], int] = {}
        """First offset of each that was counted."""
        self.cursors: dict[int, Cursor] = {}
        """The newest readable one of each partition number."""

    def begin(self, cursors: Mapping[int, bytes]) -> None:
        """Take the newest cursor of each partition over, before anything newer is read.

        Where one cannot be read nobody knows how much was counted: all of it may have been, from offset 0 on.
        """
        assert not self.positions
        for number, value in cursors.items():
            try:
                self._take(number, value)
            except msgspec.MsgspecError:
                self.began.update({(topic, number): 0 for topic in self._topics})

    def take(self, batch: RecordBatch) -> None:
        """Read on in the ledger."""
        for key, value in zip(batch.keys, batch.values, strict=True):
            try:
                generation, kind = parse_key(key)
            except ValueError:
                continue  # the takeover of the partition tells it
            if kind is Kind.CURSOR and generation == self._generation and value is not None:
                self._take(batch.partition, value)

    def _take(self, number: int, value: bytes) -> None:
        self.cursors[number] = cursor = decode_cursor(value)
        for topic, offset in cursor.positions.items():
            self.positions[topic, number] = offset
            self.began[topic, number] = cursor.started.get(topic, 0)
