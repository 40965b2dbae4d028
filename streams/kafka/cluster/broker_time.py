"""Learns the broker's time from the ledger's topic, and says so where this machine's clock is off.

The follower of the ledger listens all the time, `festival check` for a few seconds. A worker learns it from the answers
to its own checkpoints, too.
"""

from __future__ import annotations

import asyncio
from typing import TYPE_CHECKING

from aiokafka.structs import TopicPartition

from streams.engine.clock import OFF_MS
from streams.engine.topic_names import LEDGER
from streams.kafka.client.log_reader import LogReader

if TYPE_CHECKING:
    from collections.abc import Sequence

    from streams.engine.batch import RecordBatch
    from streams.engine.clock import BrokerClock
    from streams.settings import Settings

MEND = "set the clocks by NTP (`timedatectl set-ntp true`), the brokers' first"
_SECOND_MS = 1_000


def hear(clock: BrokerClock, batches: Sequence[RecordBatch], *, is_new: bool) -> None:
    """Let `clock` learn the broker's time from what has come just now; `is_new`: it was waited for."""
    for batch in batches:
        if batch.is_timed_by_broker and len(batch):
            clock.appended(int(batch.record_times_ms[-1]), ("read", batch.topic, batch.partition), is_new=is_new)


async def listen(settings: Settings, clock: BrokerClock, seconds: float) -> None:
    """Let `clock` learn from what is written to the ledger within `seconds`.

    Raises `KafkaError` where the broker does not answer or the topic may not be read.
    """
    loop = asyncio.get_running_loop()
    reader = await LogReader.open(settings, is_patient=False, is_committed_only=False)
    try:
        partitions = [TopicPartition(LEDGER, number) for number in range(await reader.partition_count(LEDGER))]
        if not partitions:
            return
        reader.assign(await reader.end_offsets(partitions))
        ends_at = loop.time() + seconds
        while (left := ends_at - loop.time()) > 0:
            hear(clock, await reader.fetch(left), is_new=True)
    finally:
        await reader.close()


def said_of(clock: BrokerClock) -> str | None:
    """Return what is to say of a clock that is off by more than 2 s; None where it is not, or nothing is known."""
    offset_ms = clock.offset_ms()
    if offset_ms is None or abs(offset_ms) <= OFF_MS:
        return None
    side = "ahead of" if offset_ms > 0 else "behind"
    return f"this machine's clock is {abs(offset_ms) / _SECOND_MS:,.1f} s {side} the broker's"
