"""The log tells of poison once per topic and reason."""

from __future__ import annotations

from typing import TYPE_CHECKING

from streams.domain.pages import decode_cursor
from streams.engine.checkpoint import Checkpoint, RejectedRecord
from streams.engine.status import WorkerStatus
from streams.kafka.first_rejections import tell_first
from tests.unit.engine.test_processor import batch, cut, orders, started

if TYPE_CHECKING:
    import pytest


def rejected(reason: str, offset: int) -> RejectedRecord:
    """Return a record of orders set aside."""
    headers = {"reason": reason, "detail": "why", "source_topic": "orders", "source_partition": "3"}
    headers["source_offset"] = str(offset)
    return RejectedRecord("orders.rejected", None, b"{", [(name, text.encode()) for name, text in headers.items()])


def test_the_first_record_of_each_new_reason_is_told_with_its_place(caplog: pytest.LogCaptureFixture) -> None:
    records = [rejected("empty", 4), rejected("not_json", 5), rejected("not_json", 6), rejected("not_utf8", 7)]
    checkpoint = Checkpoint(3, [], (b"", b""), [], records, {})
    tell_first(checkpoint, {("orders", "not_json"), ("orders", "not_utf8")})
    assert [(r.offset, r.partition, r.levelname) for r in caplog.records] == [  # type: ignore[attr-defined]
        ("5", "3", "WARNING"),
        ("7", "3", "WARNING"),
    ]
    assert "first rejected record with reason not_json: why" in caplog.text


def test_a_reason_is_new_to_a_worker_only_once() -> None:
    status, processor = WorkerStatus(["orders"]), started()
    processor.apply(batch(10, [b"{", *orders("a")]))
    met = [status.observe_checkpoint(3, decode_cursor(cut(processor).cursor[1]), 0.1)]
    processor.apply(batch(12, [b"{", b""]))
    met.append(status.observe_checkpoint(3, decode_cursor(cut(processor).cursor[1]), 0.1))
    assert met == [{("orders", "not_json")}, {("orders", "empty")}]
