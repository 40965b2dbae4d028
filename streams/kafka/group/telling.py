"""Tells what becomes of partitions: to the worker's status, which metrics and readiness read, and to the log."""

from __future__ import annotations

import logging
from typing import TYPE_CHECKING

from streams.engine import effects as fx

if TYPE_CHECKING:
    from streams.engine.checkpoint import Checkpoint
    from streams.engine.status import WorkerStatus

log = logging.getLogger("festival.worker")


def tell(news: fx.Telling, number: int, status: WorkerStatus, now_ms: int) -> None:
    """Tell the news of a partition; `now_ms` is the time of day."""
    match news:
        case fx.TellBatch():
            status.observe_batch(news.records)
        case fx.TellCheckpoint():
            _tell_checkpoint(news, number, status, now_ms)
        case fx.TellFailed():
            status.checkpoint_failed()
        case fx.TellTaking():
            status.restoring(number, now_ms)
        case fx.TellTaken():
            seconds = news.elapsed_ms / 1000
            status.restored(number, news.cursor, seconds)
            restored_at = {"partition": number, "seconds": round(seconds, 2), "positions": dict(news.positions)}
            log.log(logging.DEBUG if news.is_known else logging.INFO, "partition restored", extra=restored_at)
        case fx.TellCounting():
            status.consuming(number)
        case fx.TellWaiting():
            status.waits(number, news.reason, news.detail, now_ms)
        case fx.TellGoesOn():
            status.goes_on(number)
        case fx.TellHeld():
            _tell_held(news, number, status, now_ms)


def _tell_checkpoint(news: fx.TellCheckpoint, number: int, status: WorkerStatus, now_ms: int) -> None:
    status.committed(number, now_ms)
    first_met = status.observe_checkpoint(number, news.checkpoint.cursor, news.elapsed_ms / 1000)
    _tell_first(news.checkpoint, first_met)
    for record_time_ms, records in news.span:
        status.observe_delay((now_ms - record_time_ms) / 1000, records)


def _tell_held(news: fx.TellHeld, number: int, status: WorkerStatus, now_ms: int) -> None:
    reason, topic, detail = news.verdict
    log.error("partition held: %s", detail, extra={"partition": number, "reason": str(reason)})
    status.held(number, reason, detail, topic, now_ms)


def _tell_first(checkpoint: Checkpoint, first_met: set[tuple[str, str]]) -> None:
    """Log the first record of each (topic, reason) in `first_met`, which the committed `checkpoint` set aside."""
    for record in checkpoint.rejected if first_met else ():
        met = record.topic, str(record.rejection.reason)
        if met in first_met:
            first_met.remove(met)
            where = {"topic": record.topic, "partition": record.partition, "offset": record.offset, "reason": met[1]}
            log.warning(
                "first rejected record with reason %s: %s; `festival rejected` lists them all",
                met[1],
                record.rejection.detail,
                extra=where,
            )
