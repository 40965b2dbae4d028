"""Where the batches of a simulated process come from: fetches of any size, queues in hand, looks at the topics."""

from __future__ import annotations

from types import MappingProxyType
from typing import TYPE_CHECKING

from streams.domain.pages import Identity
from streams.engine.judgement import LogRange, Sources, end_of_epoch
from streams.engine.memory.errors import DamagedError, KafkaFaultError, NotAuthorizedError, OutOfRangeError
from streams.engine.signals import Fetched, FetchFailed
from streams.engine.topic_names import LEDGER, SEEN

if TYPE_CHECKING:
    from collections.abc import Collection, Iterator, Mapping, Sequence
    from random import Random

    from streams.engine.batch import RecordBatch
    from streams.engine.memory.cluster import Kafka

Place = tuple[str, int]
NO_EPOCHS: Mapping[Place, int] = MappingProxyType({})
SIZES = (1, 2, 7, 40, None, None)
"""Records in one fetch; None: all there are."""
IN_HAND = 4
"""Batches of one topic and partition that wait to be taken; more are not fetched."""


class Source:
    """What a process has fetched of its partitions, and not yet delivered."""

    def __init__(self, kafka: Kafka, draw: Random, topics: Sequence[str]) -> None:
        self._kafka, self._draw, self._topics = kafka, draw, topics
        self.positions: dict[Place, int] = {}
        """Next offset to fetch, of what flows."""
        self.in_hand: dict[Place, list[RecordBatch]] = {}
        self.breaks_next: type[KafkaFaultError] | None = None
        """What the next fetch fails with, whatever the log holds."""
        self.targets: Mapping[Place, int] | None = None
        """Up to, not including, these offsets is delivered, None: everything."""
        self.loses_next = self.repeats_next = False
        """Whether the next batch is lost on its way to the crew, or comes twice."""

    def release(self, number: int, positions: Mapping[str, int]) -> None:
        """Let topics flow from the given positions; what is in hand may still be delivered."""
        for topic, offset in positions.items():
            self.positions[topic, number] = offset
            if self._draw.random() < 0.7:
                self.in_hand.pop((topic, number), None)

    def hold_back(self, number: int) -> None:
        """Fetch nothing more of a partition; what is in hand may still be delivered."""
        for topic in self._topics:
            self.positions.pop((topic, number), None)
            if self._draw.random() < 0.5:
                self.in_hand.pop((topic, number), None)

    def take_back(self) -> None:
        """Fetch nothing more: the group wants everything back."""
        self.positions.clear()
        if self._draw.random() < 0.5:
            self.in_hand.clear()

    def places(self) -> list[Place]:
        """Return what a fetch asks for this time, in a drawn order."""
        places = [place for place in self.positions if self._draw.random() < 0.6]
        self._draw.shuffle(places)
        return places

    def fetch(self, topic: str, number: int) -> FetchFailed | None:
        """Fetch once; returns what is told where that fails for good."""
        position = self.positions.get((topic, number))
        waiting = self.in_hand.setdefault((topic, number), [])
        target = None if self.targets is None else self.targets.get((topic, number), 0)
        if position is None or len(waiting) >= IN_HAND or (target is not None and position >= target):
            return None
        size = self._draw.choice(SIZES)
        broken, self.breaks_next = self.breaks_next, None
        try:
            if broken is not None:
                raise _made(broken, topic, number, position)
            batch = self._kafka.fetch(topic, number, position, max_records=size)
        except (OutOfRangeError, DamagedError, NotAuthorizedError) as error:
            del self.positions[topic, number]
            is_denied = isinstance(error, NotAuthorizedError)
            return FetchFailed(topic, isinstance(error, OutOfRangeError), str(error), is_denied)
        except KafkaFaultError:
            return None
        if target is not None:
            batch = batch.up_to(target)
        if batch.next_offset > position:
            waiting.append(batch)
            self.positions[topic, number] = batch.next_offset
        return None

    def deliverable(self) -> Iterator[RecordBatch]:
        """Yield batches that are delivered this time, those of one topic and partition in order."""
        places = list(self.in_hand)
        self._draw.shuffle(places)
        for place in places:
            waiting = self.in_hand.get(place)
            while waiting and self._draw.random() < 0.7:
                batch = waiting.pop(0)
                if self.loses_next:
                    self.loses_next = False
                    continue
                yield batch
                if self.repeats_next:
                    self.repeats_next = False
                    yield batch

    def looked(self, number: int) -> Mapping[str, Fetched]:
        """Return how far the topics of a partition are fetched."""
        return {
            topic: Fetched(self.positions[topic, number], bool(self.in_hand.get((topic, number))))
            for topic in self._topics
            if (topic, number) in self.positions
        }


def survey(
    kafka: Kafka,
    topics: Collection[str],
    only: int | None = None,
    epochs: Mapping[Place, int] = NO_EPOCHS,
    own: Collection[str] = (LEDGER, SEEN),
) -> Sources:
    """Return the topics as they are now, with the offsets of one partition number, None: of all."""
    found = {topic: kafka.describe_topic(topic) for topic in (*topics, *own)}
    counts = {topic: 0 if known is None else known.partitions for topic, known in found.items()}
    ranges, ends, leaders = {}, {}, {}
    for topic in topics:
        numbers = range(counts[topic]) if only is None else {only} & set(range(counts[topic]))
        if numbers:
            kafka.beginning_offset(topic, min(numbers))  # a client asks for all of them at once
        for number in numbers:
            log = kafka.log(topic, number)
            ranges[topic, number] = LogRange(log.beginning, log.stable_offset, log.high_watermark)
            leaders[topic, number] = log.leader_epochs[-1][0]
            if (topic, number) in epochs:
                asked = epochs[topic, number]
                ends[topic, number] = end_of_epoch(asked, *log.end_of_epoch(asked))
    ids = {topic: known.topic_id for topic, known in found.items() if known is not None}
    ours = {topic: ids.pop(topic) for topic in own if topic in ids}
    identity = Identity(cluster=kafka.cluster_id, own=ours, topics=ids)
    room = min(counts[topic] for topic in own)
    return Sources({topic: counts[topic] for topic in topics}, ranges, room, identity, ends, leaders)


def _made(kind: type[KafkaFaultError], topic: str, number: int, position: int) -> KafkaFaultError:
    if issubclass(kind, OutOfRangeError):
        return kind(topic, number, position, position + 1, position + 2)
    return kind(f"{topic}[{number}]: offset {position} cannot be read, this time")
