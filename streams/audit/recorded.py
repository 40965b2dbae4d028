"""The topic `festival.audits`: audits record their verdicts on it, boards and workers that show follow it.

Nothing that counts depends on it. Without the topic, or without the right to it, an audit says so and a board shows
no verdict.
"""

from __future__ import annotations

import asyncio
import logging
from typing import TYPE_CHECKING

from aiokafka import AIOKafkaProducer
from aiokafka.errors import KafkaError, OffsetOutOfRangeError
from aiokafka.structs import TopicPartition

from streams.audit.last_audit import LastAudit, record_path, write_record
from streams.audit.verdict import decode_verdict, encode_verdict, verdicts_of
from streams.engine.clock import SystemClock
from streams.engine.topic_names import AUDITS
from streams.errors import FestivalError, UsageError
from streams.kafka.client import clients
from streams.kafka.client.log_reader import LogReader
from streams.kafka.cluster.topics import partitions_of

if TYPE_CHECKING:
    from collections.abc import Callable, Iterable, Mapping

    from streams.audit.result import AuditResult
    from streams.audit.verdict import Verdict
    from streams.settings import Settings

log = logging.getLogger("festival.audits")

PLACE = TopicPartition(AUDITS, 0)
RECORD_SECONDS = 15.0
"""Longest time that an audit spends on recording its verdict."""
GATHER_MS = 1_000
"""How long the broker waits for a verdict before it answers that there is none: they are rare."""
WAIT_SECONDS = 5.0
RETRY_SECONDS = 10.0


class NotRecordedError(FestivalError):
    """The verdict could not be written; it holds all the same."""


async def record_audit(settings: Settings, result: AuditResult, say: Callable[[str], None]) -> None:
    """Record what an audit found, for the boards of the cluster and the metrics of this machine.

    Where the cluster takes no verdict, `say` is told why: what was found holds all the same.
    """
    audited_ms = SystemClock().now_ms()
    write_record(record_path(settings), LastAudit(audited_ms, result.difference_by_measure))
    try:
        await record_verdicts(settings, verdicts_of(result, audited_ms))
    except NotRecordedError as error:
        say(f"the verdict is not recorded, no board will show it: {error}")


async def record_verdicts(settings: Settings, verdicts: Iterable[Verdict]) -> None:
    """Write verdicts, each in place of the festival's former one; raises `NotRecordedError`."""
    topic = settings.prefix + AUDITS
    try:
        async with asyncio.timeout(RECORD_SECONDS):
            await _send(settings, topic, verdicts)
    except TimeoutError as error:
        raise NotRecordedError(f"topic {topic} did not take it within {RECORD_SECONDS:.0f} s") from error
    except (KafkaError, OSError) as error:
        raise NotRecordedError(f"topic {topic} did not take it: {error}") from error
    except FestivalError as error:
        raise NotRecordedError(str(error)) from error


async def _send(settings: Settings, topic: str, verdicts: Iterable[Verdict]) -> None:
    if topic not in await partitions_of(settings, [topic]):
        raise UsageError(f"topic {topic} is not there: create it with `festival topics`")
    producer = AIOKafkaProducer(**settings.client_options(), acks="all")
    try:
        await producer.start()
        for verdict in verdicts:
            key, value = encode_verdict(verdict)
            await producer.send_and_wait(topic, value, key=key, partition=PLACE.partition)
    finally:
        await clients.stop(producer)


class VerdictFollower:
    """Call order: `start`, then `verdicts` as often as liked and from any thread, `stop`.

    Survives outages of the broker, a topic that is not there yet, and one that was made again.
    """

    def __init__(self, settings: Settings) -> None:
        """Connect to nothing yet."""
        self._settings = settings
        self._task: asyncio.Task[None] | None = None
        self._verdicts: dict[str, Verdict] = {}
        """Replaced whole, never changed: readers are in other threads."""
        self._position: int | None = None
        self._has_told = False

    def start(self) -> None:
        """Begin to follow, in a task of the running loop."""
        assert self._task is None
        self._task = asyncio.create_task(self._run(), name="verdict follower")

    def verdicts(self) -> Mapping[str, Verdict]:
        """Return the newest verdict on each festival that has one."""
        return self._verdicts

    async def stop(self) -> None:
        """Stop following and release the connection. Never raises."""
        if self._task is not None:
            self._task.cancel()
            await asyncio.gather(self._task, return_exceptions=True)
            self._task = None

    async def _run(self) -> None:
        while True:
            try:
                await self._follow()
            except OffsetOutOfRangeError:
                self._position, self._verdicts = None, {}  # made again
            except Exception as error:  # noqa: BLE001 - whatever it is, the totals are shown without a verdict
                self._tell(repr(error))
            await asyncio.sleep(RETRY_SECONDS)

    async def _follow(self) -> None:
        """Follow until something goes wrong; return where there is nothing to follow yet."""
        reader = await LogReader.open(self._settings, fetch_max_wait_ms=GATHER_MS)
        try:
            if not await reader.partition_count(AUDITS):
                self._tell(f"topic {self._settings.prefix}{AUDITS} is not there, or may not be read")
                return
            if self._position is None:
                self._position = (await reader.beginning_offsets([PLACE]))[PLACE]
            reader.assign({PLACE: self._position})
            while True:
                for batch in await reader.fetch(WAIT_SECONDS):
                    self.take(zip(batch.offsets, batch.keys, batch.values, strict=True))
                    self._position = batch.next_offset
        finally:
            await reader.close()

    def take(self, records: Iterable[tuple[int, bytes | None, bytes | None]]) -> None:
        """Take over offset, key and value of records; one that is no verdict is told in the log and passed over."""
        verdicts = dict(self._verdicts)
        for offset, key, value in records:
            if value is None:
                verdicts.pop((key or b"").decode(errors="replace"), None)
                continue
            try:
                verdict = decode_verdict(key, value)
            except (ValueError, RecursionError) as error:
                log.warning("a record that is no verdict", extra={"offset": int(offset), "error": str(error)})
            else:
                verdicts[verdict.festival] = verdict
        self._verdicts = verdicts

    def _tell(self, reason: str) -> None:
        if not self._has_told:
            log.warning("no verdict of an audit is shown, trying on", extra={"reason": reason})
        self._has_told = True
