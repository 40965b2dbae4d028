"""A reader of the simulated cluster: the product's follower and board on the in-memory Kafka."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any, TypeVar

from aiokafka.errors import KafkaConnectionError
from aiokafka.structs import TopicPartition

from streams.board.view.live_board import LiveBoard
from streams.engine.clock import BrokerClock, ManualClock
from streams.engine.ledger_view import LedgerView
from streams.engine.memory.errors import KafkaFaultError
from streams.engine.topic_names import LEDGER
from streams.kafka.ledger.follower import LedgerFollower
from streams.settings import Settings
from tests.simulation.source import SIZES, survey

if TYPE_CHECKING:
    from collections.abc import Collection, Coroutine, Iterable, Mapping, Sequence
    from random import Random

    from streams.engine.batch import RecordBatch
    from streams.engine.judgement import OpenTransaction, Sources, Standing
    from streams.engine.memory.cluster import Kafka

T = TypeVar("T")


def at_once(work: Coroutine[Any, Any, T]) -> T:
    """Return what a coroutine returns that waits for nothing."""
    try:
        work.send(None)
    except StopIteration as done:
        found: T = done.value
        return found
    raise AssertionError("it waits, and nothing here makes anybody wait")


class Log:
    """What the follower reads with: `streams.kafka.client.log_reader.LogReader` on the in-memory Kafka."""

    def __init__(self, kafka: Kafka, draw: Random) -> None:
        self._kafka, self._draw = kafka, draw
        self.positions: dict[TopicPartition, int] = {}
        self.newest_ms: int | None = None
        """Record time of the newest record that was read."""

    def assign(self, positions: Mapping[TopicPartition, int]) -> None:
        self.positions = dict(positions)

    def is_at_end(self) -> bool:
        return all(offset >= self._kafka.log(*tp).stable_offset for tp, offset in self.positions.items())

    async def end_offsets(self, partitions: Iterable[TopicPartition]) -> dict[TopicPartition, int]:
        return {tp: self._kafka.end_offset(*tp) for tp in partitions}

    async def fetch(self, _timeout_seconds: float) -> list[RecordBatch]:
        """Return a piece of some of the logs, which may end amid a committed transaction."""
        batches = []
        for (topic, number), offset in self.positions.items():
            if self._draw.random() < 0.7:
                size = self._draw.choice(SIZES)
                try:
                    batch = self._kafka.fetch(topic, number, offset, max_records=size)
                except KafkaFaultError:
                    continue
                if batch.next_offset > offset:
                    batches.append(batch)
        for batch in batches:
            self.positions[TopicPartition(batch.topic, batch.partition)] = batch.next_offset
            for time_ms in batch.record_times_ms:
                self.newest_ms = max(int(time_ms), self.newest_ms or 0)
        return batches


class Following(LedgerFollower):
    """The product's follower with its reader, its clock and its looks replaced."""

    def __init__(self, kafka: Kafka, draw: Random, clock: ManualClock) -> None:
        """Raise `KafkaFaultError` where the broker is away."""
        super().__init__(Settings(), BrokerClock(clock))
        self._kafka, self._log = kafka, Log(kafka, draw)
        partitions = [TopicPartition(LEDGER, number) for number in range(len(kafka.topics[LEDGER].logs))]
        self._ends = at_once(self._log.end_offsets(partitions))
        self._positions = {tp: kafka.beginning_offset(*tp) for tp in partitions}
        self._view = LedgerView(len(partitions))
        self._log.assign(self._positions)

    def turn(self) -> None:
        """Read on."""
        reader: Any = self._log
        assert self._view is not None
        try:
            self._grow(reader, self._view)
            at_once(self._look(reader, self._view))
        except (KafkaFaultError, KafkaConnectionError):
            self._log.assign(self._positions)  # as with the connection that the product makes anew
            self._is_awaiting = False

    @property
    def newest_ms(self) -> int | None:
        """Return the record time of the newest record that was read."""
        return self._log.newest_ms

    @property
    def is_read(self) -> bool:
        """Return whether all that can be read is."""
        return self._log.is_at_end()

    async def survey(self, topics: Sequence[str], epochs: Mapping[tuple[str, int], int]) -> Sources:
        sources = survey(self._kafka, topics, None, epochs)
        self._ledger_partitions = sources.ledger_partitions
        return sources

    async def open_transactions(self, _places: Collection[Standing], _now_ms: int) -> tuple[OpenTransaction, ...]:
        return ()


class Reader:
    """A process that shows the totals, one `turn` after the other."""

    def __init__(self, kafka: Kafka, draw: Random, off_ms: int) -> None:
        """Raise `KafkaFaultError` where the broker is away. The machine's clock is ahead by `off_ms`."""
        self._draw = draw
        self._kafka = kafka
        self.clock = ManualClock(kafka.now_ms, off_ms)
        self.follower = Following(kafka, draw, self.clock)
        self.board = LiveBoard(self.follower)
        self.is_steady = kafka.skew_ms == 0
        """Whether the broker's clock was not turned back meanwhile: then what was read before is from its future."""

    def turn(self) -> None:
        """Read on; look at the topics now and then."""
        self.clock.time_ms = self._kafka.now_ms
        try:
            self.follower.turn()
            if self._draw.random() < 0.3:
                self.look()
        except (KafkaFaultError, KafkaConnectionError):
            pass
        self._check_clock()

    def _check_clock(self) -> None:
        """Assert that the time by which it tells ages is neither behind what it has read nor ahead of the broker."""
        clock, newest_ms = self.follower.clock, self.follower.newest_ms
        if not self.is_steady or newest_ms is None:
            return
        shown_ms = clock.now_ms()
        assert shown_ms >= newest_ms, f"a reader says it is {shown_ms}, and has read a record of {newest_ms}"
        is_known = clock.offset_ms() is not None
        assert not is_known or shown_ms <= self._kafka.record_time_ms, (
            f"a reader says it is {shown_ms}, the broker {self._kafka.record_time_ms}"
        )

    def look(self) -> None:
        """Look at the topics, as the board does every few seconds. Raises what the broker answers."""
        at_once(self.board._look())
