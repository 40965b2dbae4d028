"""Bridges on a simulated day: a shop's own topic, processes that translate it, and what must stand on `orders`.

The shop's records go through the product's translation, store, crew and tenures onto a topic that the workers count.
The oracle here reads JSON by itself and shares nothing with the rules of the map.
"""

from __future__ import annotations

import json
from collections import Counter
from dataclasses import replace
from pathlib import Path
from random import Random
from typing import TYPE_CHECKING, Any, NamedTuple

from streams.bridge.cluster import NO_LIMIT
from streams.bridge.map import parse_map
from streams.bridge.member import OneSource
from streams.bridge.processor import GENERATION, restore_bridge
from streams.bridge.schemas import GivenSchemas
from streams.bridge.store import BridgeStore, group_of, translating
from streams.bridge.translation import Translation
from streams.engine import crew as crews
from streams.engine.judgement import epochs_of
from streams.engine.memory import Producer, Right
from streams.engine.memory.errors import KafkaFaultError
from streams.engine.topic_names import BRIDGE, BRIDGE_REJECTED
from tests.simulation.bridge_cluster import MemoryCluster, StoreNow
from tests.simulation.process import CHECKPOINT_MS, SESSION_MS, SOURCES_MS, Process
from tests.simulation.source import NO_EPOCHS, survey

if TYPE_CHECKING:
    from collections.abc import Callable, Collection, Mapping, Sequence

    from streams.bridge.map import BridgeMap
    from streams.engine.checkpoint import Restored
    from streams.engine.judgement import Sources
    from streams.engine.memory.cluster import Kafka
    from streams.engine.memory.log import LogRecord
    from streams.engine.steps import AtStep

NAME = "sim"
FOREIGN, TARGET = "shop.events", "orders"
GROUP = group_of(NAME)
NAMES = ("bridge-1", "bridge-2")
PLAIN_DAYS = 24
"""The first days have none, so that what is wrong with the count is shown by a day without."""
GROWS = 0.005
"""How likely the shop's topic has one partition more from the next step on."""
BEFORE = 12
"""Records that lie there before the first bridge starts."""
MAP = """
name = "sim"
[[source]]
topic = "shop.events"
to = "orders"
encoding = "json"
start = "{start}"
type = {{ path = "status", values = {{ NEW = "order_placed", VOID = "order_cancelled" }}, others = "ignore" }}
[source.fields]
event_id = {{ template = "f{{id}}:{{status}}" }}
order_id = "id"
ts = {{ record = "timestamp" }}
platform = {{ constant = "web" }}
merchant = "shop"
market = "land"
currency = "cur"
amount_minor = "cents"
"""
POISON: tuple[bytes | None, ...] = (None, b"", b"{", b"\xff", b"[]", b'{"id":1}', b'{"id":2,"status":"NEW","shop":"s"}')
RIGHTS = [(Right.WRITE, BRIDGE), (Right.READ, BRIDGE), (Right.WRITE, BRIDGE_REJECTED), (Right.READ, GROUP)]


def is_bridged(seed: int, topics: Sequence[str]) -> bool:
    """Return whether a day has bridges: every second of those whose workers count what they send."""
    return seed > PLAIN_DAYS and seed % 2 == 1 and TARGET in topics


class Clock:
    """The cluster's time."""

    def __init__(self, kafka: Kafka) -> None:
        self._kafka = kafka

    def now_ms(self) -> int:
        """Return the time of day."""
        return self._kafka.now_ms

    def monotonic_ms(self) -> int:
        """Return the same."""
        return self._kafka.now_ms


class BridgeProcess(Process):
    """One process of a bridge, from its start until `is_over`."""

    def __init__(  # noqa: PLR0917 - made in one place
        self,
        name: str,
        bridge_map: BridgeMap,
        kafka: Kafka,
        draw: Random,
        at_step: AtStep,
        tell: Callable[[str], None],
    ) -> None:
        self._kafka = kafka
        (source,) = bridge_map.sources
        store = BridgeStore(translating(MemoryCluster(kafka), "", bridge_map, at_step=at_step), source)
        translation, clock = Translation(source, GivenSchemas()), Clock(kafka)

        def restore(_work: object, partition: int, _generation: str, restored: Restored) -> Any:  # noqa: ANN401
            return restore_bridge(NAME, translation, GivenSchemas(), clock, partition, restored)

        crew = crews.Crew(
            OneSource((source.topic,)),
            GENERATION,
            session_timeout_ms=SESSION_MS,
            checkpoint_interval_ms=CHECKPOINT_MS,
            restore=restore,
        )
        super(Process, self).__init__(name, crew, StoreNow(store, kafka), draw=draw, tell=tell)
        self._begin(GROUP, (source.topic,))

    def surveyed(
        self, topics: Collection[str], number: int | None = None, epochs: Mapping[tuple[str, int], int] = NO_EPOCHS
    ) -> Sources:
        """Return the topics as they are now; the progress has room for every partition."""
        return replace(survey(self._kafka, topics, number, epochs, (BRIDGE,)), ledger_partitions=NO_LIMIT)

    def _watch(self) -> None:
        if self._kafka.now_ms < self._sources_ms:
            return
        self._sources_ms = self._kafka.now_ms + SOURCES_MS
        try:
            asked = self.crew.counted()
            epochs = epochs_of({number: counted for number, (_, counted) in asked.items()})
            self.on(crews.Seen(self.surveyed(self._topics, None, epochs), asked))
        except KafkaFaultError:
            return  # there will be a next time


class Expected(NamedTuple):
    """What must become of a record."""

    outcome: str
    event: dict[str, Any] | None = None


def expected(record: LogRecord) -> Expected:
    """Return what the map makes of a record that a shop of this world can send."""
    try:
        found = json.loads((record.value or b"").decode())
    except ValueError:
        return Expected("rejected")
    if not isinstance(found, dict) or "status" not in found:
        return Expected("rejected")
    if found["status"] not in {"NEW", "VOID"}:
        return Expected("ignored")
    if not {"id", "shop", "land", "cur", "cents"} <= found.keys() or type(found["cents"]) is not int:
        return Expected("rejected")
    event = {
        "type": "order_placed" if found["status"] == "NEW" else "order_cancelled",
        "event_id": f"f{found['id']}:{found['status']}",
        "order_id": str(found["id"]),
        "ts": record.record_time_ms,
        "platform": "web",
        "merchant": found["shop"],
        "market": found["land"],
        "currency": found["cur"],
        "amount_minor": found["cents"],
    }
    return Expected("sent", event)


class Bridged:
    """The shop, its bridges' map, and the judge of what they have done. All of it raises `AssertionError`."""

    def __init__(self, seed: int, kafka: Kafka, partitions: int) -> None:
        self._kafka = kafka
        self._draw = Random(f"{seed}/foreign")  # noqa: S311 - a simulation
        self.count = self._begun_with = self._draw.choice((1, 2, 4))
        kafka.create_topic(FOREIGN, self.count)
        kafka.create_topic(BRIDGE, 1, is_compacted=True, delete_retention_ms=24 * 3_600_000)
        kafka.create_topic(BRIDGE_REJECTED, partitions)
        self.map = parse_map(MAP.format(start=self._draw.choice(("earliest", "latest"))), Path("sim.toml"))
        self.names = NAMES[: self._draw.choice((1, 2, 2))]
        self._numbers = 0
        self._sent: list[bytes] = []
        self._read: dict[tuple[str, int], int] = {}
        self._cursors: dict[int, dict[str, Any]] = {}
        self._found: Counter[str] = Counter()
        self._aside: set[tuple[int, int]] = set()
        self._known: dict[int, list[tuple[int, Expected]]] = {}
        self._known_to: dict[int, int] = {}
        for number in range(self.count):
            kafka.produce(FOREIGN, number, [self._record() for _ in range(BEFORE)])

    def started(self, name: str, draw: Random, at_step: AtStep, tell: Callable[[str], None]) -> BridgeProcess:
        """Start a bridge; raises what the broker answers."""
        return BridgeProcess(name, self.map, self._kafka, draw, at_step, tell)

    # --- what the shop does, and what befalls its topic

    def shop(self) -> str:
        """Let the shop send something."""
        draw = self._draw
        if self.count == self._begun_with and draw.random() < GROWS:
            self.count += 1
            self._kafka.add_partitions(FOREIGN, self.count)
        number = draw.randrange(self.count)
        values: list[bytes | None] = [self._record() for _ in range(draw.choice((1, 2, 8, 40)))]
        if draw.random() < 0.3:
            values.insert(draw.randrange(len(values) + 1), draw.choice(POISON))
        if self._sent and draw.random() < 0.2:
            values.append(draw.choice(self._sent[-50:]))
        if draw.random() < 0.2:
            producer = Producer(self._kafka, "shop-foreign", 20_000)
            producer.send(FOREIGN, number, values)
            is_commit = draw.random() < 0.6
            (producer.commit if is_commit else producer.abort)()
            return f"{len(values)} foreign records at {FOREIGN}/{number}, {'committed' if is_commit else 'aborted'}"
        base = self._kafka.produce(FOREIGN, number, values)
        return f"{len(values)} foreign records at {FOREIGN}/{number}/{base}"

    def fence(self, draw: Random) -> str:
        """Let somebody else become the writer of a partition."""
        number = draw.randrange(self.count)
        Producer(self._kafka, f"{GROUP}-{number}:{FOREIGN}", 10_000)
        return f"somebody fences {FOREIGN}/{number}"

    def _record(self) -> bytes:
        draw = self._draw
        self._numbers += 1
        found = {
            "id": self._numbers,
            "status": draw.choice(("NEW", "NEW", "NEW", "VOID", "PACKED")),
            "shop": f"m{int(draw.random() * 20)}",
            "land": draw.choice(("CN", "京")),
            "cur": draw.choice(("CNY", "EUR")),
            "cents": draw.choice((1, 999, 10**13)),
        }
        value = json.dumps(found, ensure_ascii=draw.random() < 0.5).encode()
        self._sent.append(value)
        return value

    # --- what is judged

    def look(self) -> None:
        """Judge what has become visible."""
        for record in self._new(BRIDGE, 0):
            _, kind, *rest = json.loads(record.key or b"")
            if kind == "cursor":
                self._judge(rest[1], json.loads(record.value or b""))
        for number in range(len(self._kafka.topics[BRIDGE_REJECTED].logs)):
            for record in self._new(BRIDGE_REJECTED, number):
                self._take_aside(dict(record.headers))
        for number in range(len(self._kafka.topics[TARGET].logs)):
            for record in self._new(TARGET, number):
                self._take_event(record)

    def is_settled(self) -> bool:
        """Return whether everything that was sent is translated."""
        return all(
            number in self._cursors and self._cursors[number]["positions"][FOREIGN] == self._end(number)
            for number in range(self.count)
        )

    def finish(self) -> None:
        """Judge the end of the day: nothing is missing."""
        self.look()
        wanted: Counter[str] = Counter()
        aside = set()
        for number in range(self.count):
            assert number in self._cursors, f"{FOREIGN}/{number} was never begun"
            position, end = self._cursors[number]["positions"][FOREIGN], self._end(number)
            assert position == end, f"{FOREIGN}/{number} is translated up to {position}, and its log ends at {end}"
            for offset, what in self._theirs(number, end):
                if what.event is not None:
                    wanted[_text(what.event)] += 1
                elif what.outcome == "rejected":
                    aside.add((number, offset))
        assert self._found == wanted, f"not sent: {wanted - self._found}; sent too often: {self._found - wanted}"
        assert self._aside == aside, f"not set aside: {aside - self._aside}; too much: {self._aside - aside}"

    def _judge(self, number: int, cursor: dict[str, Any]) -> None:
        where = f"{FOREIGN}/{number}, checkpoint {cursor['sequence']}"
        position, started = cursor["positions"][FOREIGN], cursor["started"][FOREIGN]
        before = self._cursors.get(number)
        self._cursors[number] = cursor
        if before is None:
            is_latest, is_added = self.map.sources[0].start == "latest", number >= self._begun_with
            assert cursor["sequence"] == 0, where
            assert position == started, where
            assert started >= BEFORE if is_latest and not is_added else not started, f"{where}: it begins at {started}"
        else:
            assert cursor["sequence"] == before["sequence"] + 1, f"{where}: two write, or one was lost"
            assert position >= before["positions"][FOREIGN], f"{where}: {position} goes back"
            assert started == before["started"][FOREIGN], f"{where}: it began at {started}"
        assert position <= self._end(number), f"{where}: {position} is beyond what can be read"
        outcomes = Counter(what.outcome for _, what in self._theirs(number, position))
        told = Counter({k: n for k, n in cursor["outcomes"].get(FOREIGN, {}).items() if n})
        assert told == outcomes, f"{where}, position {position}: {told}, should be {outcomes}"

    def _theirs(self, number: int, position: int) -> list[tuple[int, Expected]]:
        """Return the committed records of a partition from its start up to a position, and what must become of them."""
        known, read_to = self._known.setdefault(number, []), self._known_to.get(number, 0)
        if position > read_to:
            records = self._kafka.log(FOREIGN, number).records(start=read_to, end=position)
            known += [(record.offset, expected(record)) for record in records]
            self._known_to[number] = position
        started = self._cursors[number]["started"][FOREIGN]
        return [(offset, what) for offset, what in known if started <= offset < position]

    def _take_event(self, record: LogRecord) -> None:
        try:
            event = json.loads(record.value or b"")
        except ValueError:
            return
        if not isinstance(event, dict) or not str(event.get("event_id", "")).startswith("f"):
            return  # another shop's
        assert record.key == event["order_id"].encode()
        # What a producer sent again has a record time of its own: two that are equal are one record's.
        self._found[_text(event)] += 1

    def _take_aside(self, headers: dict[str, bytes | None]) -> None:
        place = int(headers["source_partition"] or b""), int(headers["source_offset"] or b"")
        assert place not in self._aside, f"{place} is set aside twice"
        self._aside.add(place)

    def _new(self, topic: str, number: int) -> Sequence[LogRecord]:
        log, start = self._kafka.log(topic, number), self._read.get((topic, number), 0)
        stable = log.stable_offset
        if stable <= start:
            return ()
        self._read[topic, number] = stable
        return list(log.records(start=start))

    def _end(self, number: int) -> int:
        return self._kafka.log(FOREIGN, number).stable_offset


def _text(event: dict[str, Any]) -> str:
    return json.dumps(event, sort_keys=True)
