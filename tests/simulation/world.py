"""A world drawn from a seed: shops that send records, and what happens to the cluster meanwhile.

`World.step` does one thing and says what. The counters under test live in the same in-memory Kafka and are driven by
somebody else, between the steps. The same seed and the same calls make the same world, on any machine.
"""

from __future__ import annotations

import random
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

from streams.engine.memory import Kafka, Producer, Right, create_topics
from streams.engine.memory.errors import ProducerFencedError
from streams.engine.topic_names import GROUP, LEDGER, SEEN
from tests.simulation.events import HOUR_MS, POISON, SPOILT, START_MS, Events
from tests.simulation.oracle import PartitionOracle, Rules, Totals

if TYPE_CHECKING:
    from collections.abc import Callable, Collection, Mapping, Sequence

RULES = Rules(START_MS, START_MS + 2 * HOUR_MS, settle_ms=HOUR_MS, horizon_minutes=3)
"""A festival of two hours; the world begins a quarter of an hour before it."""
Place = tuple[str, int]
"""Source topic and partition number."""
SHOPS = 3
"""Each has one transactional id, and now and then a process that takes it over from the one before."""
TRANSACTION_TIMEOUT_MS = 20_000
MARGIN = 20
"""Records that a log loses, at least, of what was counted."""


def rights(topics: Collection[str]) -> list[tuple[Right, str]]:
    """Return what may be taken from the counters for a while."""
    own = [(Right.WRITE, LEDGER), (Right.READ, LEDGER), (Right.WRITE, SEEN), (Right.READ, GROUP)]
    of_topics = [
        right
        for topic in topics
        for right in ((Right.READ, topic), (Right.DESCRIBE, topic), (Right.WRITE, f"{topic}.rejected"))
    ]
    return [*own, *of_topics]


@dataclass(frozen=True)
class Lost:
    """A log that lost what was counted, as it was before; `World.oracles` knows the one that stands there now."""

    oracle: PartitionOracle
    known_end: int
    from_offset: int
    """What lies before is the same in both."""
    since_epoch: int | None = None
    """Leader epoch from which on records are of the log that stands there now; None: a topic that was made again."""
    topic_id: str | None = None
    """That of the topic that was deleted."""

    def is_counted(self, topic: str, cursor: Mapping[str, Any]) -> bool:
        """Return whether a cursor is of the log as it was."""
        if self.since_epoch is None:
            return bool(cursor["identity"]["topics"][topic] == self.topic_id)
        return bool(cursor["positions"][topic] > self.from_offset and cursor["epochs"][topic] < self.since_epoch)


@dataclass
class Shop:
    """One producer of transactions."""

    name: str
    producer: Producer | None = None


class World:
    """Kafka with its shops, and the oracle of each source partition."""

    def __init__(
        self,
        seed: int,
        *,
        topics: Sequence[str] = ("orders",),
        partitions: int = 3,
        floor: Callable[[Place], int] = lambda _: 0,
        has_accidents: bool = False,
    ) -> None:
        """`floor`: the position up to which everything of a partition is committed; retention stops there.

        `has_accidents`: records are lost as well, so that partitions have to be held (`lost`).
        """
        self.seed = seed
        self.random = random.Random(seed)  # noqa: S311 - a world, not a secret
        self.kafka = Kafka(START_MS - HOUR_MS // 4, cluster_id=f"seed-{seed}")
        create_topics(self.kafka, partitions)
        self.kafka.coordinator.marker_delay_ms = self.random.choice((0, 0, 3, 200))
        for name in (LEDGER, SEEN):
            topic = self.kafka.topics[name]
            topic.min_compaction_lag_ms = self.random.choice((0, topic.min_compaction_lag_ms))
            topic.delete_retention_ms = self.random.choice((0, 60_000, topic.delete_retention_ms))
        self.counts = dict.fromkeys(topics, partitions)
        """Partitions of each source topic."""
        self.floor = floor
        self.topics = tuple(topics)
        self.oracles = {
            (topic, number): PartitionOracle(topic, RULES) for topic in self.topics for number in range(partitions)
        }
        self._archived = dict.fromkeys(self.oracles, 0)
        self._ends = dict.fromkeys(self.oracles, 0)
        """Ends of the logs when they were last looked at."""
        self.before: dict[Place, Lost] = {}
        """Logs that lost what was counted, and grow again."""
        self.lost: dict[Place, list[str]] = {place: [] for place in self.oracles}
        """What accidents did to each source partition, as the reasons of the contract."""
        self.rights = rights(self.topics)
        self._shops = [Shop(f"shop-{number}") for number in range(SHOPS)]
        self._sent: list[tuple[Place, bytes]] = []
        self._events = Events(self.random)
        self._steps = self._acts(has_accidents=has_accidents)

    @property
    def partitions(self) -> int:
        """Return how many partitions every source topic has."""
        return min(self.counts.values())

    def step(self) -> str:
        """Do one thing, as drawn; returns what, for a trace."""
        acts, weights = zip(*self._steps, strict=True)
        if self.kafka.faults.is_away:
            act = self.random.choice((self._pass_time, self._come_back))
        else:
            act = self.random.choices(acts, weights)[0]
        done = act()
        self._archive()
        return done

    def settle(self) -> None:
        """Let every fault and everything that is open end: what was committed is visible afterwards."""
        self.kafka.faults.is_away = False
        self.kafka.faults.denied.clear()
        for _ in range(2):
            self.kafka.tick(self.kafka.now_ms + TRANSACTION_TIMEOUT_MS)
        self._archive()

    def expected(self, place: Place, position: int) -> Totals:
        """Return what the committed records of a source partition below `position` come to."""
        return self.oracles[place].totals(position)

    def end(self, place: Place) -> int:
        """Return the last stable offset of a source partition, 0 where its topic is not there."""
        topic = self.kafka.topics.get(place[0])
        return 0 if topic is None else topic.logs[place[1]].stable_offset

    def known_end(self, place: Place) -> int:
        """Return up to where the oracle of a source partition knows it."""
        return self._archived[place]

    def lose_tail(self, place: Place, end: int) -> None:
        """Let a log lose what lies at `end` and behind, which was counted."""
        self._archive()
        log, oracle, known_end = self.kafka.log(*place), self.oracles[place], self._archived[place]
        log.truncate(end)
        self.before[place] = Lost(oracle, known_end, end, since_epoch=log.leader_epochs[-1][0])
        self.oracles[place] = oracle.before(end)
        self._archived[place], self._ends[place] = end, -1

    def lose_topic(self, topic: str) -> None:
        """Delete a topic; it is made again by somebody."""
        self._archive()
        topic_id = self.kafka.topics[topic].topic_id
        self.kafka.delete_topic(topic)
        for place in [place for place in self.oracles if place[0] == topic]:
            self.before[place] = Lost(self.oracles[place], self._archived[place], 0, topic_id=topic_id)
            self.oracles[place] = PartitionOracle(topic, RULES)
            self._archived[place], self._ends[place] = 0, -1

    def _archive(self) -> None:
        """Show the oracles what has become visible, before retention can take it away."""
        for place, oracle in self.oracles.items():
            if place[0] not in self.kafka.topics:
                continue
            log = self.kafka.topics[place[0]].logs[place[1]]
            if log.end == self._ends[place]:
                continue  # what becomes visible does so by a record
            self._ends[place] = log.end
            stable = log.stable_offset
            if stable > self._archived[place]:
                for record in log.records(start=self._archived[place]):
                    oracle.take(record.offset, record.value, record.record_time_ms)
                self._archived[place] = stable

    def _acts(self, *, has_accidents: bool) -> list[tuple[Callable[[], str], int]]:
        """Return what may happen, and how often."""
        acts: list[tuple[Callable[[], str], int]] = [
            (self._pass_time, 30),
            (self._send, 30),
            (self._resend, 10),
            (self._send_poison, 6),
            (self._send_in_transaction, 14),
            (self._end_transaction, 10),
            (self._take_shop_over, 2),
            (self._compact, 4),
            (self._delete_old, 2),
            (self._elect, 1),
            (self._turn_clock, 1),
            (self._go_away, 1),
            (self._take_right, 1),
        ]
        if has_accidents:
            acts += [(self._lose_tail, 1), (self._delete_too_much, 1), (self._make_again, 1), (self._damage, 1)]
        return acts

    # --- what may happen

    def _pass_time(self) -> str:
        elapsed_ms = self.random.choice((1, 50, 400, 2_000, 2_000, 15_000, 61_000, 400_000))
        self.kafka.tick(self.kafka.now_ms + elapsed_ms)
        return f"{elapsed_ms} ms pass"

    def _send(self) -> str:
        return self._sends(self.random.choice((1, 1, 2, 5, 30)))

    def _sends(self, count: int) -> str:
        return self._sends_to(self._place(), count)

    def _sends_to(self, place: Place, count: int) -> str:
        if not self._is_there(place):
            return f"nothing more is sent to {place[0]}/{place[1]}"
        values = [self._event(place[0]) for _ in range(count)]
        self._sent += [(place, value) for value in values]
        base = self.kafka.produce(*place, values)
        return f"{count} records at {place[0]}/{place[1]}/{base}"

    def _resend(self) -> str:
        if not self._sent:
            return "nothing to send again"
        reach = self.random.choice((5, 50, 5_000))
        chosen = [self.random.choice(self._sent[-reach:]) for _ in range(self.random.choice((1, 3)))]
        for place, value in chosen:
            if self._is_there(place):
                self.kafka.produce(*place, [value])
                self._sent.append((place, value))
        return f"{len(chosen)} records are sent again"

    def _send_poison(self) -> str:
        place = self._place()
        value = self.random.choice((*POISON, *SPOILT[place[0]]))
        if isinstance(value, dict):
            value = self._event(place[0], **value)
        if not self._is_there(place):
            return f"nothing more is sent to {place[0]}/{place[1]}"
        base = self.kafka.produce(*place, [value])
        return f"poison at {place[0]}/{place[1]}/{base}"

    def _send_in_transaction(self) -> str:
        shop = self.random.choice(self._shops)
        shop.producer = producer = shop.producer or Producer(self.kafka, shop.name, TRANSACTION_TIMEOUT_MS)
        place = self._place()
        values = [self._event(place[0]) for _ in range(self.random.choice((1, 3, 10)))]
        if not self._is_there(place):
            return f"nothing more is sent to {place[0]}/{place[1]}"
        try:
            base = producer.send(*place, values)
        except ProducerFencedError:
            shop.producer = None
            return f"{shop.name} finds itself fenced"
        self._sent += [(place, value) for value in values]
        return f"{shop.name} sends {len(values)} records at {place[0]}/{place[1]}/{base} in a transaction"

    def _end_transaction(self) -> str:
        shop = self.random.choice(self._shops)
        if shop.producer is None:
            return f"{shop.name} has nothing open"
        is_commit = self.random.random() < 0.7
        try:
            shop.producer.commit() if is_commit else shop.producer.abort()
        except ProducerFencedError:
            shop.producer = None
            return f"{shop.name} finds its transaction ended"
        return f"{shop.name} {'commits' if is_commit else 'aborts'}"

    def _take_shop_over(self) -> str:
        shop = self.random.choice(self._shops)
        shop.producer = Producer(self.kafka, shop.name, TRANSACTION_TIMEOUT_MS)
        return f"{shop.name} is started anew"

    def _compact(self) -> str:
        topic, partition = self.random.choice((LEDGER, SEEN)), self._partition()
        log = self.kafka.log(topic, partition)
        below = self.random.randint(log.beginning, log.end)
        self.kafka.compact(topic, partition, below=below)
        return f"{topic}/{partition} is compacted below {below}"

    def _delete_old(self) -> str:
        place = self._place()
        below = self.random.randint(0, self.floor(place))
        self.kafka.log(*place).delete_below(below)
        return f"records below {place[0]}/{place[1]}/{below} are deleted"

    def _elect(self) -> str:
        place = self._place()
        self.kafka.log(*place).elect()
        return f"{place[0]}/{place[1]} has a new leader"

    def _turn_clock(self) -> str:
        self.kafka.skew_ms = self.random.choice((0, -1, -900, -70_000))
        return f"the broker's clock is off by {self.kafka.skew_ms} ms"

    def _go_away(self) -> str:
        self.kafka.faults.is_away = True
        return "the broker goes away"

    def _come_back(self) -> str:
        self.kafka.faults.is_away = False
        return "the broker comes back"

    def _take_right(self) -> str:
        """Take a right away, or give all of them back; the shops keep theirs."""
        if self.kafka.faults.denied:
            self.kafka.faults.denied.clear()
            return "all rights are back"
        right = self.random.choice(self.rights)
        self.kafka.faults.denied.add(right)
        return f"the right to {' '.join(right)} is gone"

    # --- accidents

    def _lose_tail(self) -> str:
        place = self._place()
        log = self.kafka.log(*place)
        end = self.random.randint(max(log.beginning, log.end - 20), log.end)
        log.truncate(end)
        # A transaction whose control record is lost is open again: what it had committed is visible no more.
        self._archived[place] = min(self._archived[place], log.stable_offset)
        self._ends[place] = -1
        self.oracles[place] = self.oracles[place].before(self._archived[place])
        self.lost[place].append("log_truncated")
        return f"the log of {place[0]}/{place[1]} is lost from {end} on"

    def _delete_too_much(self) -> str:
        place = self._place()
        log = self.kafka.log(*place)
        log.delete_below(log.stable_offset)
        self.lost[place].append("log_deleted")
        return f"records below {place[0]}/{place[1]}/{log.beginning} are deleted, counted or not"

    def _make_again(self) -> str:
        topic = self.random.choice(self.topics)
        self.kafka.delete_topic(topic)
        self.kafka.create_topic(topic, self.partitions)
        for place in [place for place in self.oracles if place[0] == topic]:
            self.oracles[place] = PartitionOracle(topic, RULES)
            self._archived[place] = self._ends[place] = 0
            self.lost[place].append("log_replaced")
        for shop in self._shops:
            shop.producer = None
        return f"the topic {topic} is deleted and made again"

    def _damage(self) -> str:
        place = self._place()
        log = self.kafka.log(*place)
        log.damaged.add(log.end)
        self.lost[place].append("log_unreadable")
        return f"what comes next at {place[0]}/{place[1]}/{log.end} cannot be read"

    # --- what is sent

    def _partition(self) -> int:
        return self.random.randrange(self.partitions)

    def _place(self) -> Place:
        topic = self.random.choice(self.topics)
        return topic, self.random.randrange(self.counts[topic])

    def _is_there(self, place: Place) -> bool:
        return place[0] in self.kafka.topics

    def _event(self, topic: str, **spoilt: object) -> bytes:
        return self._events.made(topic, self.kafka.record_time_ms, **spoilt)
