"""Looks now and then at what somebody may change while a process runs, and tells it in the log.

The settings of the topics: what was refused at the start is told here, with the command that mends it, and counting
goes on. The clock of this machine. A quota that holds it back.
"""

from __future__ import annotations

import asyncio
import logging
from typing import TYPE_CHECKING

from aiokafka.errors import KafkaError

from streams.engine.remarks import Remarks
from streams.errors import UnreachableError
from streams.kafka.client.throttling import QUOTAS, throttling
from streams.kafka.cluster.broker_time import MEND, said_of
from streams.kafka.cluster.topics import TopicsError, look_at_settings

if TYPE_CHECKING:
    from collections.abc import Mapping

    from streams.engine.clock import BrokerClock
    from streams.engine.status import WorkerStatus
    from streams.settings import Settings

log = logging.getLogger("festival.watch")

EVERY_SECONDS = 30.0
CLOCK_SECONDS = 5.0
THROTTLED_SECONDS = 60.0
"""So long after the last answer that told of it a quota is told as over."""
CLOCK = "this machine's clock"
UNREADABLE = "the right to read the topics' settings"


async def watch_settings(settings: Settings) -> None:
    """Tell of each setting of a source or of the ledger's topics that is not as it must be, until cancelled."""
    remarks = Remarks()
    found: dict[str, str] = {}
    while True:
        try:
            deviations = await look_at_settings(settings)
            found = {f"topic {one.topic}: {one.key}": one.text for one in deviations}
        except TopicsError as error:
            # What was seen before may be so still.
            found = {**found, UNREADABLE: f"changes of the topics' settings will not be told: {error}"}
        except (UnreachableError, KafkaError, OSError):
            pass  # whoever counts tells of it
        _tell(remarks, found)
        await asyncio.sleep(EVERY_SECONDS)


async def watch_clock(clock: BrokerClock) -> None:
    """Tell where this machine's clock is off by more than 2 s, until cancelled."""
    remarks = Remarks()
    while True:
        said = said_of(clock)
        _tell(remarks, {} if said is None else {CLOCK: f"{said}; ages are told by the broker's. Mend it: {MEND}"})
        await asyncio.sleep(CLOCK_SECONDS)


async def watch_throttling(status: WorkerStatus) -> None:
    """Tell the status how long brokers held this process back, and the log which quota it is, until cancelled."""
    remarks = Remarks()
    loop = asyncio.get_running_loop()
    before: dict[str, float] = {}
    until: dict[str, float] = {}
    while True:
        seconds = throttling.seconds()
        status.throttled(seconds)
        now = loop.time()
        until |= {kind: now + THROTTLED_SECONDS for kind, each in seconds.items() if each > before.get(kind, 0.0)}
        before = seconds
        found = {
            f"the quota {QUOTAS[kind]}": f"the broker throttles this client: {QUOTAS[kind]}. Raise it with "
            "kafka-configs.sh --alter --entity-type users (or clients)"
            for kind, end in until.items()
            if now < end
        }
        _tell(remarks, found)
        await asyncio.sleep(CLOCK_SECONDS)


def _tell(remarks: Remarks, found: Mapping[str, str]) -> None:
    news = remarks.news(found)
    for sentence in news.appeared:
        log.warning(sentence)
    for subject in news.gone:
        log.info("as it must be again: %s", subject)
