"""One partition number in this worker's hands: fence, restore, seek, resume, then a checkpoint every interval.

`Worker` makes an `Ownership` per assigned partition number and routes batches to it. It owns the ledger
(`PartitionProcessor`) and the right to write it (`PartitionStore`), and lives in one event loop. Its life is one
task: take over, count, checkpoint, until the group takes the partition back, it is held, or the worker fails.

Any checkpoint that fails means that the ledger in memory may be ahead of the committed one or behind it. It is
thrown away, never mended (docs/decisions/0003-takeover.md).
"""

from __future__ import annotations

import asyncio
import contextlib
import logging
from typing import TYPE_CHECKING, Any

from aiokafka.errors import IllegalStateError, KafkaError, OffsetOutOfRangeError

from streams.domain.pages import cursor_key, decode_cursor
from streams.engine.checkpoint import FencedError, OutcomeUnknownError, UnreadableError
from streams.engine.processor import HoleError, PartitionProcessor, restore_processor
from streams.engine.status import HeldReason
from streams.kafka.clients import is_permanent
from streams.kafka.first_rejections import tell_first
from streams.kafka.source import ADVICE, HeldError, check_position

if TYPE_CHECKING:
    from collections.abc import Coroutine

    from streams.engine.batch import RecordBatch
    from streams.engine.checkpoint import PartitionStore
    from streams.kafka.counting import Counting

log = logging.getLogger("festival.worker")

FINAL_SECONDS = 5.0
"""Longest wait for the checkpoint before a partition goes: the group waits for it, the work would only be redone."""
SLOW_CHECKPOINT_MS = 2_000
REJECTED_LIMIT_BYTES = 8_000_000
"""Rejected records wait in memory for their checkpoint; more than this force one."""
RETRY_SECONDS = 0.5
RETRY_LIMIT_SECONDS = 5.0
FAULTS_LIMIT = 3
"""Fetches of damaged bytes in a row before the log itself is taken as damaged."""
DELAY_SAMPLES = 8
"""Record times looked at per batch for the delay: a batch of a catch-up spans minutes."""
GROUP_OFFSETS_MS = 5_000
"""Between two checkpoints that carry the group's offsets, which cost as much as everything else in one."""
AWAY = "Kafka is away, or a checkpoint may or may not be committed"
NOT_ALLOWED = "the broker does not allow it (`festival check` names the right that is missing, it is tried again)"
FENCED_SESSIONS = 1.5
"""Session timeouts to wait after a fence: if the group had dealt the partition anew, it would have told us by then."""


class Ownership:
    """One partition number, from its assignment until it goes. Methods are called in the event loop only."""

    def __init__(self, partition: int, counting: Counting) -> None:
        """Make it idle; `start` takes the partition over."""
        self.partition = partition
        self.counting = counting
        self.processor: PartitionProcessor | None = None
        """The ledger while it is trusted; None before the restore and after a failure."""
        self.is_held = False
        self._is_counting = False
        self._is_leaving = False
        self._store: PartitionStore | None = None
        self._life: asyncio.Task[None] | None = None
        self._wake = asyncio.Event()
        self._chores: set[asyncio.Task[None]] = set()
        self._uncommitted: list[tuple[int, int]] = []
        """Record time and number of records applied since the last cut, sampled."""
        self._behind_ms = 0
        """How old the newest record was that was applied in this pause; 0 without one."""
        self._group_due_ms = 0
        self._attempts = 0
        self._verdict: HeldError | None = None
        self._faults: dict[str, int] = {}
        self._rewinding: set[str] = set()
        self._standing: dict[str, tuple[int, int]] = {}

    def start(self) -> None:
        """Take the partition over, or go on with a ledger that a rebalance only suspended."""
        assert self._life is None, self.partition
        self._is_leaving = False
        self.is_held = False
        self._wake.clear()
        self._life = asyncio.create_task(self._live(), name=f"partition {self.partition}")

    @property
    def is_running(self) -> bool:
        """Whether the partition is this worker's at the moment, be it held."""
        return self._life is not None

    def hold(self, error: HeldError | UnreadableError) -> None:
        """Let the partition stand still; told in the log, the status and `on_held`."""
        if isinstance(error, HeldError):
            reason, detail = error.reason, str(error)
        else:
            reason = HeldReason.LEDGER_UNREADABLE
            detail = f"{error}: {ADVICE[reason]}"
        self._discard()
        self.is_held = True
        log.error("partition held: %s", detail, extra={"partition": self.partition, "reason": str(reason)})
        self.counting.status.held(self.partition, reason, detail)
        self.counting.on_held()

    async def suspend(self) -> None:
        """Stop counting and make the final checkpoint, within `FINAL_SECONDS`; keeps the ledger if it was committed."""
        life, self._life = self._life, None
        if life is None:
            return
        was_counting = self._is_counting
        self._is_counting, self._is_leaving = False, True
        self._wake.set()
        if was_counting:
            await asyncio.wait([life], timeout=FINAL_SECONDS)
        if not life.done():
            life.cancel()
            self._discard()  # whatever it was doing, its outcome is unknown
        await asyncio.gather(life, return_exceptions=True)

    async def close(self) -> None:
        """Give the partition up for good. Never raises."""
        await self.suspend()
        self._discard()
        await asyncio.gather(*self._chores, return_exceptions=True)

    def apply(self, batch: RecordBatch) -> None:
        """Count a batch; one that comes before the release or after the end is dropped, it will be read again.

        Whatever it raises is a fault in the program: the ledger is discarded first, the worker must fail-stop.
        """
        processor = self.processor
        if processor is None or not self._is_counting:
            return
        try:
            processor.apply(batch)
        except HoleError as hole:
            self._rewind(hole.topic, hole.expected, hole.found)
            return
        except BaseException:
            self._is_counting, self._is_leaving = False, True
            self.processor = None
            raise
        self._faults.pop(batch.topic, None)
        self._note(batch)
        if processor.pending_rejected_bytes > REJECTED_LIMIT_BYTES:
            self._wake.set()

    def fault(self, topic: str, error: BaseException) -> None:
        """Take note of a fetch that failed for good: find out why, then go on or hold the partition."""
        if self._is_counting:
            self._spawn(self._examine(topic, error))

    def tick(self) -> None:
        """Compare fetch position and ledger, from time to time: a hole at the tail shows in no batch."""
        processor = self.processor
        for topic in self.counting.topics:
            fetched, end = self.counting.source.fetch_state(self.partition, topic)
            if end is not None:
                self.counting.status.end_offset(topic, self.partition, end)
            if processor is None or not self._is_counting or fetched is None:
                continue
            position = processor.positions[topic]
            is_under_way = self.counting.source.has_in_hand(self.partition, topic)
            # Twice the same picture: what was fetched between the looks has had its time to arrive.
            if fetched > position and not is_under_way and self._standing.get(topic) == (fetched, position):
                self._rewind(topic, position, fetched)
            self._standing[topic] = (fetched, position)

    async def _live(self) -> None:
        """Run the ownership; ends when the partition is left, held, or the worker must end."""
        while not self._is_leaving:
            try:
                if self.processor is None:
                    await self._take_over()
                await self._count()
            except FencedError as error:
                self._fail("fenced by a newer owner", error)
                await self._pause(self.counting.session_timeout_ms * FENCED_SESSIONS / 1000)
            except (OutcomeUnknownError, KafkaError, OSError) as error:
                self._fail(NOT_ALLOWED if is_permanent(error) else AWAY, error)
                await self._pause(min(RETRY_SECONDS * 2**self._attempts, RETRY_LIMIT_SECONDS))
                self._attempts += 1
            except (HeldError, UnreadableError) as error:
                self.hold(error)
                return
            except Exception as error:  # noqa: BLE001 - a fault in the program, or a fingerprint that differs: fail-stop
                self._discard()
                self.counting.on_failure(error)
                return

    async def _pause(self, seconds: float) -> None:
        if not self._is_leaving:
            await asyncio.sleep(seconds)

    async def _take_over(self) -> None:
        """Fence older owners and restore what is committed."""
        counting, partition = self.counting, self.partition
        counting.status.restoring(partition, counting.clock.now_ms())
        started_ms = counting.clock.monotonic_ms()
        log.info("partition assigned, taking it over", extra={"partition": partition})
        self._store = await counting.store.fence(partition, counting.generation)
        log.info("partition fenced", extra={"partition": partition, "generation": counting.generation})
        restored = await self._store.restore()
        processor = restore_processor(counting.declarations, partition, counting.generation, restored)
        await self._place(processor)
        seconds = (counting.clock.monotonic_ms() - started_ms) / 1000
        cursor = restored.pages.get(cursor_key(counting.generation))
        counting.status.restored(partition, decode_cursor(cursor) if cursor is not None else None, seconds)
        positions = " ".join(f"{topic}={offset}" for topic, offset in processor.positions.items())
        log.info("partition restored in %.2f s at %s", seconds, positions, extra={"partition": partition})
        self.processor = processor

    async def _place(self, processor: PartitionProcessor) -> None:
        """Start topics never read at the beginning of their log; raises `HeldError` where a log is not the one read."""
        ranges = await self.counting.source.log_ranges(self.partition, self.counting.topics)
        for topic, log_range in ranges.items():
            position = processor.positions.get(topic)
            if position is None:
                processor.start_at(topic, log_range.beginning)
            else:
                check_position(topic, self.partition, position, log_range)
                await self._check_identity(processor, topic, position)

    async def _check_identity(self, processor: PartitionProcessor, topic: str, position: int) -> None:
        """Raise `HeldError` where the log below the position holds records newer than any that was counted."""
        newest_ms = processor.ledger.topics[topic].stream_time_ms
        if newest_ms is None:
            return
        if await self.counting.source.has_newer(self.partition, topic, newest_ms, position):
            detail = f"{topic}[{self.partition}]: below offset {position} lie records that were never counted"
            raise HeldError(HeldReason.LOG_REPLACED, detail)

    async def _count(self) -> None:
        """Let the sources flow and make checkpoints until the partition is left; the last one ends the ledger.

        Raises what a failed fetch turned out to be, once everything counted before it is committed.
        """
        processor, store = self.processor, self._store
        assert processor is not None
        assert store is not None
        counting = self.counting
        self._verdict = None
        self._faults.clear()
        self._standing.clear()
        self._uncommitted.clear()
        await counting.source.release(self.partition, {t: processor.positions[t] for t in counting.topics})
        self._is_counting = True
        counting.status.consuming(self.partition)
        await self._checkpoint(processor, store)
        self._attempts = 0
        pauses = 0
        while self._is_counting:
            with contextlib.suppress(TimeoutError):
                await asyncio.wait_for(self._wake.wait(), counting.pause_seconds())
            pauses += 1
            # Without a batch in this pause nothing is left to catch up with.
            behind_ms, self._behind_ms = self._behind_ms, 0
            is_due = self._wake.is_set() or counting.is_due(pauses, behind_ms)
            self._wake.clear()
            if self._is_counting and is_due:
                pauses = 0
                await self._checkpoint(processor, store)
        if self.processor is None:
            return  # counting failed: nothing of it may be committed, the worker ends
        # What was counted since, or while the last checkpoint was under way.
        await self._checkpoint(processor, store)
        if self._verdict is not None:
            raise self._verdict

    async def _checkpoint(self, processor: PartitionProcessor, store: PartitionStore) -> None:
        """Make what changed durable; counting goes on meanwhile."""
        clock, status = self.counting.clock, self.counting.status
        started_ms = clock.monotonic_ms()
        tells_group = started_ms >= self._group_due_ms or not self._is_counting
        checkpoint = processor.cut(tells_group=tells_group)
        if checkpoint is None:
            return
        if tells_group:
            self._group_due_ms = started_ms + GROUP_OFFSETS_MS
        span, self._uncommitted = self._uncommitted, []
        await store.commit(checkpoint)
        elapsed_ms, now_ms = clock.monotonic_ms() - started_ms, clock.now_ms()
        cursor = decode_cursor(checkpoint.cursor[1])
        tell_first(checkpoint, status.observe_checkpoint(self.partition, cursor, elapsed_ms / 1000))
        for record_time_ms, records in span:
            status.observe_delay((now_ms - record_time_ms) / 1000, records)
        if elapsed_ms > SLOW_CHECKPOINT_MS:
            size = {"pages": len(checkpoint.pages), "rejected": len(checkpoint.rejected)}
            seconds = elapsed_ms / 1000
            log.warning("checkpoint was slow", extra={"partition": self.partition, **size, "seconds": seconds})

    def _note(self, batch: RecordBatch) -> None:
        """Remember for the delay when the records of a batch reached Kafka."""
        count = len(batch)
        self.counting.status.observe_batch(count)
        if count:
            self._behind_ms = self.counting.clock.now_ms() - int(batch.record_times_ms[-1])
        samples = min(DELAY_SAMPLES, count)
        for sample in range(samples):
            first, last = sample * count // samples, (sample + 1) * count // samples
            self._uncommitted.append((int(batch.record_times_ms[first]), last - first))

    def _rewind(self, topic: str, position: int, found: int) -> None:
        """Read a topic again from the ledger's position, once for all batches that were under way beyond it."""
        if topic in self._rewinding:
            return
        self._rewinding.add(topic)
        where = {"topic": topic, "partition": self.partition, "position": position, "found": found}
        log.warning("records between position and batch were not delivered: reading them again", extra=where)
        self._spawn(self._seek_back(topic))

    async def _seek_back(self, topic: str) -> None:
        try:
            if self.processor is not None and self._is_counting:
                # Where the ledger is now: batches that fitted may have been counted meanwhile.
                await self.counting.source.release(self.partition, {topic: self.processor.positions[topic]})
        except IllegalStateError:
            pass  # a rebalance took the partition; whoever gets it seeks
        finally:
            self._rewinding.discard(topic)

    async def _examine(self, topic: str, error: BaseException) -> None:
        """Decide on a failed fetch: hold the partition where its position is outside the log, else read again."""
        processor = self.processor
        if processor is None or not self._is_counting:
            return
        position = processor.positions[topic]
        where = {"topic": topic, "partition": self.partition, "position": position}
        log.warning("fetch failed: %s", error or type(error).__name__, extra=where)
        is_outside = isinstance(error, OffsetOutOfRangeError)
        faults = self._faults[topic] = self._faults.get(topic, 0) + 1
        try:
            if is_outside:
                ranges = await self.counting.source.log_ranges(self.partition, [topic])
                check_position(topic, self.partition, position, ranges[topic])
        except HeldError as held:
            self._stop_with(held)
        except (KafkaError, OSError) as kafka:
            log.warning("the log's range is not known: %s", kafka, extra=where)
        if faults > FAULTS_LIMIT and not is_outside:
            detail = f"{topic}[{self.partition}] at offset {position}: {error}"
            self._stop_with(HeldError(HeldReason.LOG_UNREADABLE, detail))
        await asyncio.sleep(RETRY_SECONDS)
        await self._seek_back(topic)

    def _stop_with(self, verdict: HeldError) -> None:
        """Let the ownership commit what it counted, then end with `verdict`."""
        self._verdict = verdict
        self._is_counting = False
        self._wake.set()

    def _fail(self, what: str, error: Exception) -> None:
        """Throw away the ledger in memory; `_live` takes over afresh."""
        if self.processor is not None:
            self.counting.status.checkpoint_failed()  # else it was a takeover
        detail = str(error) or type(error).__name__
        log.warning("partition given up, %s: %s", what, detail, extra={"partition": self.partition})
        self._discard()
        self.counting.status.restoring(self.partition, self.counting.clock.now_ms())

    def _discard(self) -> None:
        """Drop the ledger in memory and the right to write; what is still delivered is not wanted."""
        self._is_counting = False
        self.processor = None
        store, self._store = self._store, None
        if store is not None:
            self._spawn(store.close())
            self._spawn(self._hold_back())

    async def _hold_back(self) -> None:
        with contextlib.suppress(KafkaError, OSError):
            await self.counting.source.hold_back(self.partition, self.counting.topics)

    def _spawn(self, chore: Coroutine[Any, Any, None]) -> None:
        task = asyncio.create_task(chore)
        self._chores.add(task)
        task.add_done_callback(self._done)

    def _done(self, task: asyncio.Task[None]) -> None:
        self._chores.discard(task)
        if not task.cancelled() and (error := task.exception()) is not None:
            self.counting.on_failure(error)
