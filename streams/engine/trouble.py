"""What stands in a partition's way, over all the takeovers that it makes: kept by its tenure until it is counted past.

The first failure is taken over at once: mostly an election was under way. From the second on the pauses grow. It is
over once a checkpoint is durable that reaches as far as what failed: a takeover commits before it comes there again.
"""

from __future__ import annotations

from typing import TYPE_CHECKING

from streams.engine import bounds
from streams.engine import effects as fx
from streams.engine.standstill import BROKER_AWAY, NOT_ALLOWED

if TYPE_CHECKING:
    from collections.abc import Mapping, Sequence

    from streams.engine.processing import Processor
    from streams.engine.signals import Failed

ENDED_BY_BROKER = "the broker ended its transaction after its timeout"


def waiting(signal: Failed) -> fx.TellWaiting:
    """Return what is told of a failure as what is waited for."""
    return fx.TellWaiting(NOT_ALLOWED if signal.is_denied else BROKER_AWAY, signal.detail)


class Trouble:
    """Begins without any."""

    def __init__(self) -> None:
        """Nothing failed yet."""
        self.attempts = 0
        """How many in a row came to no good end."""
        self.is_known = False
        """Whether everything was said of it: it is told as waiting, or is met again."""
        self._until: dict[str, int] = {}
        """Positions that the failed ones had reached."""

    def begins(self, processor: Processor | None, *, is_told: bool = False) -> int:
        """Note a failure; return the pause before the next takeover, in milliseconds.

        `processor` shows how far the ledger in memory had come; `is_told`: others say what is wrong.
        """
        self.attempts += 1
        self.is_known = is_told or self.attempts > 1
        for topic, position in processor.positions.items() if processor is not None else ():
            self._until[topic] = max(position, self._until.get(topic, 0))
        if self.attempts == 1:
            return 0
        return min(bounds.RETRY_MS << min(self.attempts - 2, 10), bounds.RETRY_LIMIT_MS)

    def past(self, positions: Mapping[str, int]) -> Sequence[fx.Effect]:
        """Note that everything up to these positions is durable; tell that it goes on, where that ends the trouble."""
        is_past = all(positions.get(topic, 0) >= position for topic, position in self._until.items())
        return self.ends() if is_past else ()

    def ends(self) -> Sequence[fx.Effect]:
        """Forget it, and tell so: it is over, or whoever has the partition from now on meets it anew."""
        had_any, self.attempts, self.is_known = self.attempts > 0, 0, False
        self._until.clear()
        return [fx.TellGoesOn()] if had_any else ()
