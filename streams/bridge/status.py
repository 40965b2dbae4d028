"""What a bridge knows of one source: as a worker's status, and why partitions wait, and which events were sent."""

from __future__ import annotations

import logging
from collections import Counter
from typing import TYPE_CHECKING

from streams.bridge.outcomes import WaitReason
from streams.bridge.progress import BridgeCursor, TranslatedCheckpoint
from streams.engine import effects as fx
from streams.engine.standstill import BROKER_AWAY, NOT_ALLOWED
from streams.engine.status import ADVICE, HeldReason, WorkerStatus
from streams.kafka.group.telling import tell

if TYPE_CHECKING:
    from streams.domain.pages import Cursor

log = logging.getLogger("festival.bridge")

_GO_ON = "restore the topic, or start the bridge with --accept-loss to go on at the log's beginning"
BRIDGE_ADVICE = {
    HeldReason.LEDGER_MISSING: "create festival.bridge with `festival topics`",
    HeldReason.LOG_MISSING: "it was deleted, or made again with fewer partitions; restore it, or take it out of "
    "the map",
    HeldReason.LOG_REPLACED: f"the topic was deleted and made again; {_GO_ON}",
    HeldReason.LEDGER_UNREADABLE: "see what else writes to festival.bridge; restore that topic",
    HeldReason.LOG_DELETED: f"records not translated yet were deleted; {_GO_ON}",
    HeldReason.BEYOND_END: f"the log ends before the position, it was truncated or made again; {_GO_ON}",
    HeldReason.LOG_UNREADABLE: f"the log cannot be read there; {_GO_ON}",
}
"""What to do, where it is not what a worker's operator does."""


TOLD_ELSEWHERE = frozenset({NOT_ALLOWED, BROKER_AWAY})
"""Reasons that are not of one partition: who looks after the group tells them (`streams.kafka.group.hindrances`)."""
OF_RECORDS = frozenset({WaitReason.REGISTRY_AWAY, WaitReason.UNKNOWN_SCHEMA, WaitReason.NOT_ALLOWED})
"""Reasons that a record which was translated ends."""


class BridgeStatus(WorkerStatus):
    """The status of one source. One writer, any number of readers."""

    def __init__(self, topic: str) -> None:
        """Start before the group is joined."""
        super().__init__((topic,))
        self._events: Counter[str] = Counter()

    def observe_checkpoint(self, partition: int, cursor: Cursor, seconds: float) -> set[tuple[str, str]]:
        """Note a committed checkpoint; return (topic, reason) of rejections not met before."""
        assert isinstance(cursor, BridgeCursor), cursor
        with self._lock:
            before = self._cursors.get(partition)
            known = before.events if isinstance(before, BridgeCursor) else {}
            for kind, number in cursor.events.items():
                self._events[kind] += number - known.get(kind, 0)
        return super().observe_checkpoint(partition, cursor, seconds)

    def events(self) -> dict[str, int]:
        """Return how many events of each type were sent by this process."""
        with self._lock:
            return dict(self._events)

    def readiness(self, now_ms: int) -> tuple[bool, str]:
        """Return whether the source is read, and a sentence for the operator."""
        waiting = {number: why for number, why in self.waiting().items() if why.reason != BROKER_AWAY}
        if waiting:
            told = "; ".join(f"partition {n} waits ({why.reason}): {why.detail}" for n, why in waiting.items())
            return False, told
        return super().readiness(now_ms)


def tell_bridge(news: fx.Telling, number: int, status: BridgeStatus, now_ms: int) -> None:
    """Tell the news of a partition; `now_ms` is the time of day."""
    (topic,) = status.topics
    where = {"topic": topic, "partition": number}
    match news:
        case fx.TellWaiting():
            is_new = status.waits(number, news.reason, news.detail, now_ms)
            if is_new and news.reason not in TOLD_ELSEWHERE:
                log.warning("partition waits: %s", news.detail, extra={**where, "reason": news.reason})
            return
        case fx.TellBatch():
            waiting = status.waiting().get(number)
            if waiting is not None and waiting.reason in OF_RECORDS:
                status.goes_on(number)
                log.info("partition goes on", extra=where)
        case fx.TellHeld():
            reason, of_topic, detail = news.verdict
            detail = detail.replace(ADVICE[reason], BRIDGE_ADVICE.get(reason, ADVICE[reason]))
            log.error("partition held: %s", detail, extra={**where, "reason": str(reason)})
            status.held(number, reason, detail, of_topic, now_ms)
            return
        case fx.TellCheckpoint():
            assert isinstance(news.checkpoint, TranslatedCheckpoint)
            status.committed(number, now_ms)
            first_met = status.observe_checkpoint(number, news.checkpoint.cursor, news.elapsed_ms / 1000)
            _tell_first(news.checkpoint, first_met)
            for record_time_ms, records in news.span:
                status.observe_delay((now_ms - record_time_ms) / 1000, records)
            return
    tell(news, number, status, now_ms)


def _tell_first(checkpoint: TranslatedCheckpoint, first_met: set[tuple[str, str]]) -> None:
    """Log the first record of each reason that was set aside."""
    reasons = {reason for _, reason in first_met}
    for aside in checkpoint.set_aside if reasons else ():
        headers = {name: (value or b"").decode("utf-8", "replace") for name, value in aside.headers}
        if headers["reason"] in reasons:
            reasons.remove(headers["reason"])
            where = {name: headers[f"source_{name}"] for name in ("topic", "partition", "offset")}
            log.warning(
                "first rejected record with reason %s: %s; `festival rejected --bridge` lists them all",
                headers["reason"],
                headers["detail"],
                extra={**where, "reason": headers["reason"]},
            )
