"""A crew without a group: one process takes all partitions it is told and counts them up to given offsets.

Used by the recount. Crew, tenures and driver are the worker's; what the group decides there, `LoneCount` decides here.
"""

from __future__ import annotations

import asyncio
from typing import TYPE_CHECKING, Protocol

from aiokafka.errors import KafkaConnectionError, OffsetOutOfRangeError
from aiokafka.structs import TopicPartition

from streams.engine.checkpoint import LedgerStore
from streams.engine.crew import Dealt, TakenBack, To
from streams.engine.lone_count import LoneCount
from streams.engine.signals import Delivered, FetchFailed
from streams.engine.status import WorkerStatus
from streams.kafka.client.log_reader import STALL_SECONDS, StalledError
from streams.kafka.group.driver import Driver
from streams.kafka.group.intake import HeldError
from streams.kafka.ledger.log_intake import LogIntake
from streams.kafka.ledger.store import KafkaLedgerStore

if TYPE_CHECKING:
    from collections.abc import Callable, Collection, Iterable, Mapping

    from aiokafka.errors import KafkaError

    from streams.domain.declarations import Declarations
    from streams.engine.batch import RecordBatch
    from streams.engine.clock import Clock
    from streams.engine.lifecycle import State
    from streams.settings import Settings

TAKEOVER_STALL_SECONDS = 60.0
"""Longest wait for anything to happen in a takeover: an open transaction takes up to 15 s, a restore seconds."""
TURNS = 8
"""Turns of the event loop left to checkpoints after each batch, as in a worker."""


class Store(LedgerStore, Protocol):
    """The ledger store as a lone crew needs it."""

    async def close(self) -> None:
        """Release the connections."""


class LoneCrew:
    """Call order: `take_over` once, then `count_to` as often as needed, `close`.

    A partition that a newer owner takes is `handed_over` and left alone from then on.
    """

    def __init__(
        self,
        declarations: Declarations,
        generation: str,
        *,
        store: Store,
        source: LogIntake,
        on_counted: Callable[[int], None],
        clock: Clock,
    ) -> None:
        """Made by `open_lone_crew`. `on_counted` is told how many offsets were passed."""
        self._store = store
        self._source = source
        self._on_counted = on_counted
        self._clock = clock
        self._status = WorkerStatus(declarations.topics)
        self._lone = LoneCount(declarations, generation)
        self._crew = self._lone.crew
        self._driver = Driver(
            self._crew, store=store, source=source, status=self._status, clock=clock, on_failure=self._fail
        )
        source.on_fault = self._fault
        self._failure: BaseException | None = None
        self._states: list[State] = []
        self._moved_ms = 0

    @property
    def handed_over(self) -> set[int]:
        """Return the partitions that newer owners have taken."""
        return self._lone.handed_over

    @property
    def positions(self) -> dict[TopicPartition, int]:
        """Return the committed next offset of every source partition that is still ours."""
        partitions, gone = self._status.snapshot().partitions, self.handed_over
        return {
            TopicPartition(topic, number): offset
            for number, partition in partitions.items()
            if number not in gone
            for topic, offset in partition.positions.items()
        }

    @property
    def began(self) -> dict[tuple[str, int], int]:
        """Return the first offset that is counted of every source partition, once they are taken over."""
        return self._lone.began

    async def take_over(self, partitions: Iterable[int]) -> None:
        """Fence, restore and commit a first checkpoint of each partition, so that each has a cursor.

        Raises `HeldError` where a partition cannot be counted, `FingerprintError` where its ledger was counted under
        other declarations, `OutcomeUnknownError` or `KafkaError` where the broker is away: what was committed stays.
        """
        self._tell(self._lone.take_over(partitions))
        await self._until_done()

    async def count_to(self, targets: Mapping[TopicPartition, int]) -> None:
        """Count up to, not including, the offsets of `targets`, and commit. Raises like `take_over`."""
        self._source.targets = dict(targets)
        dealt = self._lone.count_to({(tp.topic, tp.partition): end for tp, end in targets.items()})
        if dealt is not None:
            self._tell(dealt)
        await self._until_done()

    async def close(self) -> None:
        """Make the final checkpoints and release all connections. Never raises."""
        await self._driver.close()
        await self._source.close()
        await self._store.close()

    def _tell(self, signal: Dealt | TakenBack) -> None:
        if isinstance(signal, Dealt):
            self._status.assigned(sorted(signal.topics), self._clock.now_ms())
        self._driver.on(signal)

    async def _until_done(self) -> None:
        self._moved_ms = self._clock.monotonic_ms()
        while True:
            self._check()
            signal = self._lone.look({(tp.topic, tp.partition): offset for tp, offset in self.positions.items()})
            if signal is not None:
                self._tell(signal)
                if isinstance(signal, TakenBack):
                    await self._driver.until_away()
            elif self._lone.is_done:
                return
            else:
                await self._fetch()

    async def _fetch(self) -> None:
        batches = await self._source.fetch()
        for batch in batches:
            self._deliver(batch)
            for _ in range(TURNS):
                await asyncio.sleep(0)
        self._check_movement(is_moved=bool(batches))

    def _deliver(self, batch: RecordBatch) -> None:
        place = batch.topic, batch.partition
        before = self._lone.counted.get(place, 0)
        self._driver.on(To(batch.partition, Delivered(batch, age_ms=0)))
        self._on_counted(max(0, self._lone.counted.get(place, 0) - before))

    def _check(self) -> None:
        """Raise why the partitions cannot be counted."""
        held = self._lone.held
        if held is not None:
            raise HeldError(held)
        if self._failure is not None:
            raise self._failure

    def _check_movement(self, *, is_moved: bool) -> None:
        """Raise where nothing happens any more: the broker is away, or a log does not give what it should hold."""
        now_ms, states = self._clock.monotonic_ms(), [tenure.state for tenure in self._crew.tenures.values()]
        if is_moved or states != self._states:
            self._states, self._moved_ms = states, now_ms
        stood_s = (now_ms - self._moved_ms) / 1000
        counted = {TopicPartition(*place): offset for place, offset in self._lone.counted.items()}
        wanted = {tp: end for tp, end in self._source.targets.items() if tp in counted}
        if stood_s > STALL_SECONDS and wanted and self._lone.is_at_logs:
            raise StalledError(counted, wanted)
        if stood_s > TAKEOVER_STALL_SECONDS:
            raise KafkaConnectionError(f"no answer for {TAKEOVER_STALL_SECONDS:.0f} s")

    def _fail(self, error: BaseException) -> None:
        self._failure = self._failure or error

    def _fault(self, partition: TopicPartition, error: KafkaError) -> None:
        is_outside = isinstance(error, OffsetOutOfRangeError)
        failed = FetchFailed(partition.topic, is_outside, str(error) or type(error).__name__)
        self._driver.on(To(partition.partition, failed))


async def open_lone_crew(
    settings: Settings,
    declarations: Declarations,
    generation: str,
    *,
    counts_beside: bool,
    keeps: Collection[str] = (),
    on_counted: Callable[[int], None],
    clock: Clock,
) -> LoneCrew:
    """Return a crew on Kafka; `counts_beside` and `keeps`: see `KafkaLedgerStore`. Raises `KafkaConnectionError`."""
    source = await LogIntake.open(settings)
    store = KafkaLedgerStore(settings, counts_beside=counts_beside, keeps=keeps)
    return LoneCrew(declarations, generation, store=store, source=source, on_counted=on_counted, clock=clock)
