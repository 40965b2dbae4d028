"""One log line for the first rejected record of a topic and reason: an operator learns of poison without a flood."""

from __future__ import annotations

import logging
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from streams.engine.checkpoint import Checkpoint

log = logging.getLogger("festival.worker")


def tell_first(checkpoint: Checkpoint, first_met: set[tuple[str, str]]) -> None:
    """Log the first record of each (topic, reason) in `first_met`, which the committed `checkpoint` set aside."""
    for record in checkpoint.rejected if first_met else ():
        headers = {name: value.decode() for name, value in record.headers}
        met = headers["source_topic"], headers["reason"]
        if met in first_met:
            first_met.remove(met)
            where = {"topic": met[0], "partition": headers["source_partition"], "offset": headers["source_offset"]}
            log.warning(
                "first rejected record with reason %s: %s; `festival rejected` lists them all",
                met[1],
                headers["detail"],
                extra=where,
            )
