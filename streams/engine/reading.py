"""How the topics of one partition are being read since its ledger was placed: what failed, what is being read again."""

from __future__ import annotations

from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from collections.abc import Collection


class Reading:
    """Notes on the topics of one partition, kept by its tenure."""

    def __init__(self) -> None:
        """Nothing failed yet."""
        self._faults: dict[str, int] = {}
        self._retries_ms: dict[str, int] = {}
        self._refused: set[str] = set()
        self._rewinding: set[str] = set()
        self._standing: dict[str, tuple[int, int]] = {}

    @property
    def retry_at_ms(self) -> int | None:
        """Return when the first topic is to be read again, None where none is."""
        return min(self._retries_ms.values(), default=None)

    def is_whole(self, topic: str) -> None:
        """Note that a batch of a topic was counted."""
        self._faults.pop(topic, None)

    def faults(self, topic: str) -> int:
        """Note a fetch of damaged bytes; return how many there were in a row."""
        self._faults[topic] = self._faults.get(topic, 0) + 1
        return self._faults[topic]

    def is_refused(self, topic: str) -> None:
        """Note a fetch from outside of the log."""
        self._refused.add(topic)

    def take_refused(self) -> list[str]:
        """Return the topics whose fetch was from outside of the log, as it seemed."""
        refused, self._refused = sorted(self._refused), set()
        return refused

    def retry(self, topic: str, at_ms: int) -> None:
        """Note that a topic is to be read again at a time."""
        self._retries_ms[topic] = at_ms

    def take_retries(self, now_ms: int) -> list[str]:
        """Return the topics that are to be read again now."""
        topics = [topic for topic, at_ms in self._retries_ms.items() if at_ms <= now_ms]
        for topic in topics:
            del self._retries_ms[topic]
        return topics

    def begins_rewind(self, topic: str) -> bool:
        """Note that a topic must be read again from the ledger's position; False where it is going to be."""
        if topic in self._rewinding or topic in self._retries_ms:
            return False
        self._rewinding.add(topic)
        return True

    def is_released(self, topics: Collection[str]) -> None:
        """Note that topics flow again."""
        self._rewinding.difference_update(topics)

    def has_hole(self, topic: str, position: int, fetched: int, *, is_under_way: bool) -> bool:
        """Return whether what was fetched up to `fetched` was lost on its way; a look at the source.

        Twice the same picture: what was fetched between the looks has had its time to arrive.
        """
        before, self._standing[topic] = self._standing.get(topic), (fetched, position)
        is_lost = fetched > position and not is_under_way and topic not in self._retries_ms
        return is_lost and before == (fetched, position)
