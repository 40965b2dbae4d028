"""Sends the events of some partitions to Kafka, open loop, and counts what was acknowledged.

One `Sender` runs in each process of a replay. It writes whole record batches, so that a record costs no task and no
future; the broker's acknowledgement of a batch decides what the tally holds.
"""

from __future__ import annotations

import asyncio
import logging
from collections import deque
from dataclasses import dataclass, field
from typing import TYPE_CHECKING, Protocol

import numpy as np
from aiokafka import AIOKafkaProducer
from aiokafka.errors import KafkaConnectionError, KafkaError

from streams.festivals.declared import load_declared
from streams.kafka.client import clients
from streams.kafka.client.internals import install
from streams.kafka.client.whole_batch import BATCH_BYTES, fill
from streams.mapping.hashing import load_hash
from streams.native.texts import taken
from streams.replay.drawn_events import columns
from streams.replay.load import FACTS
from streams.replay.rendering import Renderer
from streams.replay.timeline import Kind, Timeline, unpack
from streams.truth.acknowledged import Acknowledged, Counter

if TYPE_CHECKING:
    from collections.abc import Callable, Collection, Mapping, Sequence
    from fractions import Fraction

    from aiokafka.structs import RecordMetadata

    from streams.domain.curves import Int64s
    from streams.domain.festivals import Festival
    from streams.engine.clock import Clock
    from streams.native.texts import Texts
    from streams.replay.drawn_events import Events
    from streams.replay.load import Load
    from streams.settings import Settings
    from streams.truth.tally import Tally

log = logging.getLogger("festival.replay")

STEP_ORDERS = 16_384
"""Orders drawn at once: numpy's cost per call disappears, and a step's batches are about half a megabyte each."""
TICK_MS = 20
"""Shortest step of a paced replay."""
STEPS_IN_FLIGHT = 6
"""Steps that wait for acknowledgements before the next one is drawn: bounds memory."""
REQUEST_TIMEOUT_MS = 120_000
"""How long a batch is retried: longer than a broker takes to come back."""
_ONE_PER_ORDER = {
    "orders": Kind.PLACED,
    "payments": Kind.PAID,
    "parcels": Kind.DELIVERED,
    "recycling": Kind.RECYCLED,
}
"""The event by which progress is told, of the first topic that is sent."""
SLIP_LIMIT_MS = 60_000
"""Slips beyond are counted as this much in the p99, the maximum is exact."""


@dataclass(frozen=True)
class Sending:
    """How a load is sent: decides nothing about its events."""

    settings: Settings
    festivals: Sequence[Festival]
    """All that the tally counts for."""
    speed: Fraction | None = None
    """Festival time per processing time; None: as fast as the broker takes it."""
    compression: str | None = "snappy"
    after: Mapping[str, int] = field(default_factory=dict)
    """`max_event_times_ms` of the tally of what was replayed before."""


@dataclass(frozen=True, slots=True)
class Batch:
    """One record batch on its way."""

    topic: int
    partition: int
    rows: Int64s
    acknowledgement: asyncio.Future[RecordMetadata]


class Control(Protocol):
    """Who starts a sender, listens to it, and may stop it."""

    async def begin(self) -> int:
        """Return, once sending shall begin, the reading of the monotonic clock it begins at. Called once, connected."""

    def report(self, orders: int) -> None:
        """Hear that so many more orders were acknowledged."""

    def is_stopped(self) -> bool:
        """Return whether sending shall end early. Called between steps, must not block."""


class Slips:
    """How far behind its schedule each record was sent."""

    def __init__(self) -> None:
        """Begin with none."""
        self._counts = np.zeros(SLIP_LIMIT_MS + 1, dtype=np.int64)
        self.max_ms = 0

    def add(self, slips_ms: Int64s) -> None:
        """Note the slip of each record in milliseconds."""
        if len(slips_ms):
            self.max_ms = max(self.max_ms, int(slips_ms.max()))
            self._counts += np.bincount(np.clip(slips_ms, 0, SLIP_LIMIT_MS), minlength=SLIP_LIMIT_MS + 1)

    def merge(self, other: Slips) -> None:
        """Add what another process noted."""
        self.max_ms = max(self.max_ms, other.max_ms)
        self._counts += other._counts

    def p99_ms(self) -> int:
        """Return the slip that 99 % of the records did not exceed; 0 where there are none."""
        cumulative = np.cumsum(self._counts)
        return int(np.searchsorted(cumulative, -(-cumulative[-1] * 99 // 100))) if cumulative[-1] else 0


class Sender:
    """Sends the events of `partitions`. Call order: `start`, `run` once, `close`; then read `tally` and `slips`."""

    def __init__(self, load: Load, partitions: Collection[int], sending: Sending, clock: Clock) -> None:
        """Prepare; nothing is sent yet."""
        self._load = load
        self._sending = sending
        self._clock = clock
        self._timeline = Timeline(load, partitions)
        self._renderer = Renderer(
            load,
            hashing=load_hash(sending.settings.hash_key_file),
            declared=load_declared(sending.settings.declarations),
        )
        self._counter = Counter(
            load,
            sending.festivals,
            settle_ms=sending.settings.settle_ms,
            dedup_horizon_minutes=sending.settings.dedup_horizon_minutes,
            after={k: v for k, v in sending.after.items() if int(k.rpartition("/")[2]) in set(partitions)},
        )
        self._sent: dict[tuple[int, int], int] = {}
        self._steps: deque[tuple[Events, list[Batch]]] = deque()
        self._producer: AIOKafkaProducer | None = None
        self._error: BaseException | None = None
        self.slips = Slips()

    def tally(self) -> Tally:
        """Return what was acknowledged."""
        return self._counter.tally()

    @property
    def error(self) -> BaseException | None:
        """Return why sending ended early, None where it did not."""
        return self._error

    async def start(self) -> None:
        """Connect; raises `UnreachableError`."""
        install()
        producer = AIOKafkaProducer(
            **self._sending.settings.client_options(),
            enable_idempotence=True,
            acks="all",
            compression_type=self._sending.compression,
            max_batch_size=BATCH_BYTES,
            max_request_size=2 * BATCH_BYTES,
            request_timeout_ms=REQUEST_TIMEOUT_MS,
        )
        try:
            await producer.start()
        except KafkaConnectionError as error:
            await producer.stop()
            raise clients.cannot_reach(self._sending.settings, error) from error
        self._producer = producer

    async def close(self) -> None:
        """Disconnect; may be called twice."""
        producer, self._producer = self._producer, None
        if producer is not None:
            await producer.stop()

    async def run(self, started_ms: int, report: Callable[[int], None], is_stopped: Callable[[], bool]) -> None:
        """Send everything, from `started_ms` of the monotonic clock on, and wait for the acknowledgements.

        `report` is told the number of orders acknowledged since it was last told. Ends early where `is_stopped` says
        so or a batch is refused for good (`error`); what is then unknown is in the tally.
        """
        while not self._timeline.is_done and not is_stopped() and self._error is None:
            packed = await self._next_step(started_ms)
            if len(packed):
                await self._send(packed, started_ms)
            while len(self._steps) > STEPS_IN_FLIGHT or (self._steps and self._is_acknowledged(self._steps[0])):
                report(await self._settle())
            await asyncio.sleep(0)
        while self._steps:
            report(await self._settle())

    async def _next_step(self, started_ms: int) -> Int64s:
        speed = self._sending.speed
        if speed is None:
            return self._timeline.take_orders(STEP_ORDERS)
        await asyncio.sleep(TICK_MS / 1000)
        due_ms = int((self._clock.monotonic_ms() - started_ms) * speed)
        if self._load.plan.number_at(due_ms) - self._timeline.next_number > STEP_ORDERS:
            return self._timeline.take_orders(STEP_ORDERS)
        return self._timeline.take_until(due_ms)

    async def _send(self, packed: Int64s, started_ms: int) -> None:
        """Send the records of one step, each partition's in order."""
        events = columns(self._load, packed)
        keys = self._renderer.keys(events)
        values = self._renderer.values(events)
        if self._sending.speed is not None:
            sent, _, _ = unpack(self._load, packed)
            due = sent * self._sending.speed.denominator // self._sending.speed.numerator
            self.slips.add(self._clock.monotonic_ms() - started_ms - due)
        batches: list[Batch] = []
        self._steps.append((events, batches))
        places = events.topics * self._load.partitions + events.partitions
        order = np.argsort(places, kind="stable")
        for rows in np.split(order, np.flatnonzero(np.diff(places[order])) + 1):
            await self._send_rows(events, rows, taken(keys, rows), taken(values, rows), batches)

    async def _send_rows(self, events: Events, rows: Int64s, keys: Texts, values: Texts, batches: list[Batch]) -> None:
        """Send the records of one partition, in as many batches as they need."""
        assert self._producer is not None, "start first"
        topic, partition = int(events.topics[rows[0]]), int(events.partitions[rows[0]])
        name = self._sending.settings.prefix + FACTS[topic]
        now_ms = self._clock.now_ms()
        first = 0
        while first < len(rows) and self._error is None:
            builder, count = fill(
                self._producer, keys, values, first, time_ms=now_ms, compression=self._sending.compression
            )
            chosen = rows[first : first + count]
            first += count
            try:
                acknowledgement = await self._producer.send_batch(builder, name, partition=partition)
            except KafkaError as error:
                self._give_up(topic, partition, len(chosen), error)
                return
            batches.append(Batch(topic, partition, chosen, acknowledgement))

    @staticmethod
    def _is_acknowledged(step: tuple[Events, list[Batch]]) -> bool:
        return all(batch.acknowledgement.done() for batch in step[1])

    async def _settle(self) -> int:
        """Wait for the oldest step's acknowledgements and count them; return its number of orders."""
        events, batches = self._steps.popleft()
        if batches:
            await asyncio.wait([batch.acknowledgement for batch in batches])
        taken: list[Acknowledged] = []
        for batch in batches:
            error = batch.acknowledgement.exception()
            if error is not None:
                self._give_up(batch.topic, batch.partition, len(batch.rows), error)
                continue
            place = (batch.topic, batch.partition)
            self._sent[place] = self._sent.get(place, 0) + len(batch.rows)
            found = batch.acknowledgement.result()
            taken.append(Acknowledged(batch.topic, batch.partition, batch.rows, found.offset, found.timestamp or 0))
        self._counter.add(events, taken)
        is_order = (events.kinds == _ONE_PER_ORDER[self._load.facts[0]]) & ~events.is_resend
        return sum(int(is_order[batch.rows].sum()) for batch in taken)

    def _give_up(self, topic: int, partition: int, records: int, error: BaseException) -> None:
        place = (topic, partition)
        if self._error is None:
            where = {"topic": FACTS[topic], "partition": partition, "records": records, "error": repr(error)}
            log.error("records of the replay were not acknowledged", extra=where)
        self._error = self._error or error
        self._counter.add_unknown(FACTS[topic], partition, self._sent.get(place, 0), records)
        self._sent[place] = self._sent.get(place, 0) + records


async def send(
    load: Load,
    partitions: Collection[int],
    sending: Sending,
    clock: Clock,
    control: Control,
) -> Sender:
    """Run a sender from start to close and return it."""
    sender = Sender(load, partitions, sending, clock)
    await sender.start()
    try:
        await sender.run(await control.begin(), control.report, control.is_stopped)
    finally:
        await sender.close()
    return sender
