"""Looks now and then at what somebody may change while a process runs, and tells it in the log.

The settings of the topics: what was refused at the start is told here, with the command that mends it, and counting
goes on. The clock of this machine.
"""

from __future__ import annotations

import asyncio
import logging
from typing import TYPE_CHECKING

from aiokafka.errors import KafkaError

from streams.engine.remarks import Remarks
from streams.errors import UnreachableError
from streams.kafka.cluster.broker_time import MEND, said_of
from streams.kafka.cluster.topics import TopicsError, look_at_settings

if TYPE_CHECKING:
    from collections.abc import Mapping

    from streams.engine.clock import BrokerClock
    from streams.settings import Settings

log = logging.getLogger("festival.watch")

EVERY_SECONDS = 30.0
CLOCK_SECONDS = 5.0
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


def _tell(remarks: Remarks, found: Mapping[str, str]) -> None:
    news = remarks.news(found)
    for sentence in news.appeared:
        log.warning(sentence)
    for subject in news.gone:
        log.info("as it must be again: %s", subject)
