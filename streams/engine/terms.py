"""What all tenures of a worker share."""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING, Protocol

from streams.engine.checkpoint import UnreadableError
from streams.engine.processor import restore_processor

if TYPE_CHECKING:
    from collections.abc import Callable

    from streams.engine.checkpoint import Restored
    from streams.engine.processing import Processor, Restore


class Work(Protocol):
    """What a crew is made for."""

    @property
    def topics(self) -> tuple[str, ...]:
        """Return the source topics."""


@dataclass(frozen=True)
class Terms:
    """What all tenures of a worker share."""

    declarations: Work
    """Handed to `restore` with everything that is committed."""
    generation: str
    session_timeout_ms: int
    pause_ms: Callable[[], int]
    """The time between two checkpoints of a partition, as of now."""
    gives_way: bool = False
    """Whether a newer owner may keep what it took. A worker takes back what the group still deals it, a recount does
    not: nobody deals it anything."""
    tries: int | None = None
    """So many failures in a row end the process; None: it goes on for ever."""
    restore: Restore = restore_processor
    """Makes the processor of a partition."""

    def processor(self, partition: int, restored: Restored) -> Processor:
        """Return the processor of a partition; raises what `restore` raises, and `UnreadableError` for a misfit."""
        if restored.misfit is not None:
            raise UnreadableError(restored.misfit)
        return self.restore(self.declarations, partition, self.generation, restored)

    @property
    def topics(self) -> tuple[str, ...]:
        """Return the source topics that are counted."""
        return self.declarations.topics
