"""How the topics of one partition are being read since its ledger was placed: what failed, what is being read again.

A batch that another leader wrote than the last one counted waits for a look at the log: an election may have cost it
records that are counted, and it may have grown beyond the position since.
"""

from __future__ import annotations

from typing import TYPE_CHECKING

from streams.engine import bounds
from streams.engine import effects as fx
from streams.engine.holding import Looks
from streams.engine.standstill import NOT_ALLOWED

if TYPE_CHECKING:
    from collections.abc import Collection, Mapping

    from streams.engine.batch import RecordBatch
    from streams.engine.judgement import Basis, Verdict
    from streams.engine.signals import FetchFailed, Unseen


class Reading:
    """Notes on the topics of one partition, kept by its tenure."""

    def __init__(self, leaders: Mapping[str, int] | None = None) -> None:
        """Nothing failed yet. `leaders`: the epochs of the topics' leaders when all was found to be there."""
        self._leaders = dict(leaders or {})
        """What leaders up to these epochs wrote follows what is counted: a look has shown it."""
        self._unlooked: dict[str, int] = {}
        """Leader epochs of the batches that wait for a look."""
        self._looks = Looks()
        self._denied_until_ms: int | None = None
        """Until when nothing may be refused before that is over; None: nothing is."""
        self._faults: dict[str, int] = {}
        self._retries_ms: dict[str, int] = {}
        self._refused: set[str] = set()
        self._rewinding: set[str] = set()
        self._standing: dict[str, tuple[int, int]] = {}

    @property
    def retry_at_ms(self) -> int | None:
        """Return when the first topic is to be read again, None where none is."""
        return min(self._retries_ms.values(), default=None)

    def may_read_again(self, now_ms: int) -> bool:
        """Return whether all topics may be read again, as it seems; once."""
        if self._denied_until_ms is None or now_ms < self._denied_until_ms:
            return False
        self._denied_until_ms = None
        return True

    def is_whole(self, topic: str) -> None:
        """Note that a batch of a topic was counted."""
        self._faults.pop(topic, None)

    def failed(self, signal: FetchFailed, position: int, now_ms: int) -> list[fx.Effect]:
        """Note a failed fetch; return what is told of it.

        The topic is read again in a moment, unless its log is to be looked at, or is damaged.
        """
        topic = signal.topic
        if signal.is_denied:
            self.retry(topic, now_ms + bounds.RETRY_MS)
            return self._deny(signal.detail, now_ms)
        if signal.is_outside:
            self._refused.add(topic)
        else:
            self._faults[topic] = self._faults.get(topic, 0) + 1
            if not self.is_damaged(topic):
                self.retry(topic, now_ms + bounds.RETRY_MS)
        return [fx.Say(f"fetch failed: {signal.detail}", {"topic": topic, "position": position}, is_warning=True)]

    def is_damaged(self, topic: str) -> bool:
        """Return whether damaged bytes came so often that they lie in the log."""
        return self._faults.get(topic, 0) > bounds.FAULTS_LIMIT

    def _deny(self, detail: str, now_ms: int) -> list[fx.Effect]:
        self._denied_until_ms = now_ms + bounds.DENIED_MS
        return [fx.TellWaiting(NOT_ALLOWED, detail)]

    def must_wait(self, batch: RecordBatch, basis: Basis) -> bool:
        """Return whether a batch may not be taken before somebody has looked at its log."""
        topic, epoch = batch.topic, batch.leader_epoch
        counted = basis.epochs.get(topic)
        if topic in self._unlooked:
            return True
        if counted is None or epoch is None or batch.next_offset <= basis.positions[topic]:
            return False  # there is nothing to be lost yet, or nothing new
        return not counted <= epoch <= max(counted, self._leaders.get(topic, counted))

    def begins_wait(self, batch: RecordBatch) -> bool:
        """Note that a batch waits for a look, and is read again after it; False where its topic waits already."""
        if batch.topic in self._unlooked:
            return False
        assert batch.leader_epoch is not None
        self._unlooked[batch.topic] = batch.leader_epoch
        self._rewinding.add(batch.topic)
        return True

    @property
    def unlooked(self) -> tuple[str, ...]:
        """Return the topics to be looked at."""
        return tuple(sorted({*self._refused, *self._unlooked}))

    def looked(self, found: Verdict | None, leaders: Mapping[str, int], now_ms: int) -> Verdict | None:
        """Take note of what a look has found, and of the leaders then; return it where it is believed.

        Else the topics are read again: what was refused, in a moment, what waited, at once.
        """
        is_believed = self._looks.believed(found) is not None or bool(self._refused)
        if found is not None and is_believed:
            return found
        for topic, epoch in self._unlooked.items():
            if found is None:
                self._leaders[topic] = max(epoch, leaders.get(topic, epoch))
            self.retry(topic, now_ms if found is None else now_ms + bounds.LOOK_MS)
        self._unlooked.clear()
        self._read_refused(now_ms)
        return None

    def unseen(self, signal: Unseen, now_ms: int) -> list[fx.Effect]:
        """Note that nobody could look: what is read again in a moment asks for another look."""
        for topic in self._unlooked:
            self.retry(topic, now_ms + bounds.RETRY_MS)
        self._unlooked.clear()
        self._read_refused(now_ms)
        if signal.is_denied:
            return self._deny(signal.detail, now_ms)
        return [fx.Say(f"the logs could not be looked at, trying again: {signal.detail}", is_warning=True)]

    def _read_refused(self, now_ms: int) -> None:
        for topic in self._refused:
            self.retry(topic, now_ms + bounds.RETRY_MS)
        self._refused.clear()

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
