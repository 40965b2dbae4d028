"""What becomes of a partition is told: the log tells of poison once per topic and reason."""

from __future__ import annotations

from typing import TYPE_CHECKING

import pytest

from streams.engine import effects as fx
from streams.engine.clock import BrokerClock, ManualClock
from streams.engine.status import WorkerStatus
from streams.kafka.group.telling import tell
from tests.unit.engine.test_processor import batch, cut, orders, started

if TYPE_CHECKING:
    from streams.engine.checkpoint import Checkpoint


def told(checkpoint: Checkpoint, status: WorkerStatus) -> None:
    tell(fx.TellCheckpoint(checkpoint, 10, ()), 3, status, 0)


def test_the_first_record_of_each_new_reason_is_told_with_its_place(caplog: pytest.LogCaptureFixture) -> None:
    status, processor = WorkerStatus(["orders"]), started()
    processor.apply(batch(10, [b"", b"{", b"{", *orders("a"), b"{"]))
    told(cut(processor), status)
    processor.apply(batch(15, [b"{", b"[]"]))
    told(cut(processor), status)
    assert [(r.offset, r.partition, r.reason, r.levelname) for r in caplog.records] == [  # type: ignore[attr-defined]
        (10, 3, "empty", "WARNING"),
        (11, 3, "not_json", "WARNING"),
        (16, 3, "not_an_object", "WARNING"),
    ]
    assert "first rejected record with reason not_json: " in caplog.text


def test_a_reason_is_new_to_a_worker_only_once() -> None:
    status, processor = WorkerStatus(["orders"]), started()
    processor.apply(batch(10, [b"{", *orders("a")]))
    met = [status.observe_checkpoint(3, cut(processor).cursor, 0.1)]
    processor.apply(batch(12, [b"{", b""]))
    met.append(status.observe_checkpoint(3, cut(processor).cursor, 0.1))
    assert met == [{("orders", "not_json")}, {("orders", "empty")}]


@pytest.mark.parametrize("off_ms", [-3_600_000, 0, 3_600_000])
def test_delays_are_measured_by_the_brokers_time_whatever_the_clock_says(off_ms: int) -> None:
    clock = BrokerClock(ManualClock(1_600_000_000_000, off_ms=off_ms))
    status, processor = WorkerStatus(["orders"]), started()
    processor.apply(batch(10, orders("a", "b")))
    clock.appended(1_600_000_000_000)  # the answer to the checkpoint's own records
    tell(fx.TellCheckpoint(cut(processor), 10, ((1_600_000_000_000 - 250, 2),)), 3, status, clock.now_ms())
    delays = status.snapshot().delay_seconds
    assert (delays.count, delays.total) == (2, 0.5)
