"""Where batches come from, as the owner of a partition sees it, and the error that holds it."""

from __future__ import annotations

from typing import TYPE_CHECKING, Protocol

if TYPE_CHECKING:
    from collections.abc import Collection, Mapping, Sequence

    from streams.engine.judgement import Sources, Verdict

    Epochs = Mapping[tuple[str, int], int]
    """Leader epochs by topic and partition."""


class Intake(Protocol):
    """Where batches of this worker's partitions come from. Names are without prefix."""

    async def release(self, partition: int, positions: Mapping[str, int]) -> None:
        """Let topics of a partition flow from the given positions; also rewinds one that flows already."""

    async def hold_back(self, partition: int, topics: Collection[str]) -> None:
        """Deliver nothing more of a partition."""

    async def is_member(self) -> bool:
        """Return whether the group says, asked now, that what it dealt is ours; False where it does not answer."""

    async def survey(self, partition: int | None, topics: Sequence[str], epochs: Epochs, /) -> Sources:
        """Return the topics as they are now, and which offsets they hold of one partition number, None: of all.

        `epochs`: of which is told where they end. Raises `KafkaError` while a broker does not answer.
        """


class HeldError(Exception):
    """Going on would be guessing: the partition stands still, the others go on."""

    def __init__(self, verdict: Verdict) -> None:
        """`verdict` says why, and what to do."""
        super().__init__(verdict.detail)
        self.verdict = verdict
