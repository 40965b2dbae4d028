"""What befalls a ledger itself: a page or its newest checkpoint is gone, or a copy from before stands in its place."""

from __future__ import annotations

import json
from bisect import bisect_left
from typing import TYPE_CHECKING, NamedTuple

from streams.domain.pages import cursor_key
from streams.engine.memory.log import DATA
from streams.engine.topic_names import LEDGER, SEEN

if TYPE_CHECKING:
    from collections.abc import Sequence
    from random import Random

    from streams.engine.memory.cluster import Kafka
    from streams.engine.memory.log import PartitionLog


def lose_page(log: PartitionLog, generation: str, draw: Random) -> bool:
    """Lose the newest committed record of some page, as a mirror that is cut inside a checkpoint; False without one."""
    committed = bisect_left(log.offsets, log.stable_offset)
    newest = {
        key: place
        for place, key in enumerate(log.keys[:committed])
        if key is not None and log.kinds[place] == DATA and json.loads(key)[:2] == [generation, "page"]
    }
    if not newest:
        return False
    lost = newest[draw.choice(sorted(newest))]
    log.only([place for place in range(len(log.keys)) if place != lost])
    return True


def lose_checkpoint(log: PartitionLog, seen: PartitionLog, generation: str) -> bool:
    """Lose the newest checkpoint of a ledger, and not its seen ids; False where it has none, or more lies behind."""
    cursors = [place for place, key in enumerate(log.keys) if key == cursor_key(generation)]
    if not cursors or not _has_ids(seen, generation, json.loads(log.values[cursors[-1]] or b"")["sequence"]):
        return False
    ended = next((t for t in reversed(log.ended) if t.is_commit), None)
    is_newest = ended is not None and not log.open and ended.marker_offset == log.end - 1 and len(ended.spans) == 1
    if not is_newest or len(cursors) < 2 or ended is None or log.offsets[cursors[-1]] < ended.spans[0][0]:
        return False
    log.truncate(ended.spans[0][0])
    return True


def _has_ids(seen: PartitionLog, generation: str, sequence: int) -> bool:
    """Return whether a checkpoint wrote ids."""
    keys = [json.loads(record.key or b"") for record in seen.records()]
    return any(key[0] == generation and key[4] == sequence for key in keys)


class Copied(NamedTuple):
    """The committed records of one partition."""

    keys: list[bytes | None]
    values: list[bytes | None]


class Copy:
    """The ledger's topics as they are when this is made."""

    def __init__(self, kafka: Kafka) -> None:
        self._logs: dict[str, list[Copied]] = {name: _copied(kafka.topics[name].logs) for name in (LEDGER, SEEN)}

    def is_begun(self, generation: str) -> bool:
        """Return whether each partition has a cursor."""
        return all(cursor_key(generation) in keys for keys, _ in self._logs[LEDGER])

    def take_its_place(self, kafka: Kafka) -> None:
        """Delete the ledger's topics and make them again with what was copied."""
        for name, logs in self._logs.items():
            topic = kafka.topics[name]
            kafka.delete_topic(name)
            kafka.create_topic(
                name,
                len(logs),
                is_compacted=True,
                min_compaction_lag_ms=topic.min_compaction_lag_ms,
                delete_retention_ms=topic.delete_retention_ms,
            )
            for number, (keys, values) in enumerate(logs):
                kafka.log(name, number).append(values, keys, None, kafka.record_time_ms)


def _copied(logs: Sequence[PartitionLog]) -> list[Copied]:
    records = [list(log.records()) for log in logs]
    return [Copied([r.key for r in found], [r.value for r in found]) for found in records]
