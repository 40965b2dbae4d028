"""Laws of the in-memory Kafka: only differences of time count, and a group's partitions have one owner each."""

from __future__ import annotations

from dataclasses import dataclass, field
from functools import partial
from typing import TYPE_CHECKING

from hypothesis import given
from hypothesis import strategies as st

from streams.engine.memory import Kafka, Producer
from streams.engine.memory.errors import KafkaFaultError

if TYPE_CHECKING:
    from collections.abc import Callable

Step = tuple[str, int, int]
LATE = 7_000_000_000
PLACES = (("orders", 0), ("orders", 1), ("ledger", 0))
WRITING = st.lists(
    st.tuples(
        st.sampled_from(("send", "send", "send", "offsets", "commit", "abort", "begin", "tick", "tick", "hang")),
        st.integers(0, 1),
        st.integers(0, 2),
    ),
    max_size=25,
)
JOINING = st.lists(
    st.tuples(
        st.sampled_from(("join", "join", "rejoin", "rejoin", "sync", "heartbeat", "leave", "tick", "tick")),
        st.integers(0, 3),
        st.integers(0, 3),
    ),
    max_size=25,
)
PAUSES_MS = (1, 400, 999, 1_000)


@dataclass
class Cluster:
    """A Kafka that begins at some time, and what its clients saw of it, without absolute times."""

    start_ms: int
    delay_ms: int = 0
    seen: list[object] = field(default_factory=list)
    producers: dict[int, Producer] = field(default_factory=dict)
    members: list[str] = field(default_factory=list)
    generations: dict[str, int] = field(default_factory=dict)

    def open(self) -> Kafka:
        kafka = Kafka(self.start_ms)
        kafka.create_topic("orders", 2)
        kafka.create_topic("ledger", 1)
        kafka.coordinator.marker_delay_ms = self.delay_ms
        return kafka

    def attempt(self, ask: Callable[[], object]) -> object:
        """Remember what was answered, or what was raised in its place."""
        try:
            answer = ask()
        except KafkaFaultError as error:
            self.seen.append(type(error))
            return None
        self.seen.append(answer)
        return answer


def written(steps: list[Step], start_ms: int, delay_ms: int = 0) -> Cluster:
    """Let two transactional producers write, each fenced by its next self."""
    cluster = Cluster(start_ms, delay_ms)
    kafka = cluster.open()
    for what, which, more in steps:
        if what == "begin" or which not in cluster.producers:
            cluster.producers[which] = Producer(kafka, f"p{which}", timeout_ms=1_000)
            cluster.seen.append(cluster.producers[which].identity)
        producer = cluster.producers[which]
        if what == "send":
            cluster.attempt(partial(producer.send, *PLACES[more], [b"v"], [b"k"]))
        elif what == "offsets":
            cluster.attempt(partial(producer.add_offsets, "group", {PLACES[more]: more}))
        elif what == "commit":
            cluster.attempt(producer.commit)
        elif what == "abort":
            cluster.attempt(producer.abort)
        elif what == "tick":
            kafka.tick(kafka.now_ms + PAUSES_MS[more])
        elif what == "hang":
            kafka.end_hanging(*PLACES[more], producer.identity[0])
        for topic, partition in PLACES:
            log = kafka.log(topic, partition)
            times = [time_ms - start_ms for time_ms in log.times_ms]
            opened = [(o.producer_id, o.first_offset, o.record_time_ms - start_ms) for o in log.open_transactions]
            cluster.seen += [bytes(log.kinds), times, log.stable_offset, log.aborted, opened]
        pending = [(p.transactional_id, p.begun_ms - start_ms, p.places) for p in kafka.list_transactions()]
        cluster.seen += [pending, dict(kafka.committed_offsets("group"))]
    return cluster


def joined(steps: list[Step], start_ms: int) -> Cluster:
    """Let members come and go: two that have names, and any without."""
    cluster = Cluster(start_ms)
    kafka = cluster.open()
    for what, which, more in steps:
        member = cluster.members[which % len(cluster.members)] if cluster.members else "nobody"
        if what == "join":
            instance = f"i{which}" if which < 2 else None
            join = partial(kafka.join, session_timeout_ms=1_000, rebalance_timeout_ms=800 + 400 * (more % 2))
            found = cluster.attempt(partial(join, "g", ["orders"], instance_id=instance))
            cluster.members.append(str(found))
        elif what == "rejoin":
            topics = ["orders"] if more else ["orders", "ledger"]
            join = partial(kafka.join, session_timeout_ms=1_000, rebalance_timeout_ms=1_200)
            cluster.attempt(partial(join, "g", topics, member_id=member))
        elif what == "sync":
            cluster.attempt(partial(kafka.sync, "g", member))
        elif what == "heartbeat":
            cluster.attempt(partial(kafka.heartbeat, "g", member, more))
        elif what == "leave":
            cluster.attempt(partial(kafka.leave, "g", member))
        else:
            kafka.tick(kafka.now_ms + PAUSES_MS[more])
        cluster.seen.append(kafka.groups.members("g"))
        dealt(kafka)
    return cluster


def dealt(kafka: Kafka) -> None:
    """Assert that a group at rest has dealt each partition to one member, and no member many more than others."""
    found = kafka.groups._groups.get("g")
    if found is None or found.is_rebalancing or not found.members:
        return
    owned = sorted(partition for partitions in kafka.groups.members("g").values() for partition in partitions)
    assert owned == list(range(len(owned)))
    sizes = [len(partitions) for partitions in kafka.groups.members("g").values()]
    assert max(sizes) - min(sizes) <= 1


@given(WRITING, st.sampled_from((0, 0, 300)))
def test_transactions_are_the_same_whenever_they_begin(steps: list[Step], delay_ms: int) -> None:
    assert written(steps, 0, delay_ms).seen == written(steps, LATE, delay_ms).seen


@given(JOINING)
def test_rebalances_are_the_same_whenever_they_begin_and_deal_each_partition_once(steps: list[Step]) -> None:
    assert joined(steps, 0).seen == joined(steps, LATE).seen


@given(WRITING)
def test_late_control_records_come_in_the_end_and_change_nothing_that_is_read(steps: list[Step]) -> None:
    """But when; a transaction that times out meanwhile is left out of this."""
    steps = [step for step in steps if step[0] != "tick"]
    clusters = []
    for delay_ms in (0, 300):
        cluster = Cluster(LATE, delay_ms)
        kafka = cluster.open()
        producer = Producer(kafka, "p", timeout_ms=10**9)
        values: list[list[bytes | None]] = []
        for number, (what, _, more) in enumerate(steps):
            if what == "send":
                producer.send(*PLACES[more], [b"%d" % number], [b"k"])
            elif what in {"commit", "abort"}:
                cluster.attempt(producer.commit if what == "commit" else producer.abort)
        for _ in range(5):
            kafka.tick(kafka.now_ms + 300)
        values += [[record.value for record in kafka.log(*place).records()] for place in PLACES]
        clusters.append((cluster.seen, values))
    assert clusters[0] == clusters[1]
