"""What becomes of a partition reaches the worker's status, in the units it has there."""

from __future__ import annotations

import logging
from typing import TYPE_CHECKING, Any
from unittest.mock import Mock, call

import pytest

from streams.domain.pages import Cursor, decode_cursor
from streams.engine import effects as fx
from streams.engine.checkpoint import Checkpoint
from streams.engine.judgement import Verdict
from streams.engine.status import HeldReason
from streams.kafka.group.telling import tell
from tests.unit.kafka.ledger.kafka_logs import cursor

if TYPE_CHECKING:
    from collections.abc import Sequence

AT: Cursor = decode_cursor(cursor(orders=7))
VERDICT = Verdict(HeldReason.LOG_REPLACED, "orders", "why")


def told(news: fx.Telling) -> Sequence[Any]:
    """Tell of partition 3, at the time 10,000, and return what the status heard."""
    status = Mock()
    status.observe_checkpoint.return_value = set()
    tell(news, 3, status, 10_000)
    return status.mock_calls


@pytest.mark.parametrize(
    ("news", "heard"),
    [
        (fx.TellBatch(25), call.observe_batch(25)),
        (fx.TellFailed(), call.checkpoint_failed()),
        (fx.TellTaking(), call.restoring(3, 10_000)),
        (fx.TellTaken(AT, {"orders": 7}, 1_500), call.restored(3, AT, 1.5)),
        (fx.TellTaken(None, {}, 0), call.restored(3, None, 0.0)),
        (fx.TellCounting(), call.consuming(3)),
        (fx.TellWaiting("not_allowed", "why"), call.waits(3, "not_allowed", "why", 10_000)),
        (fx.TellGoesOn(), call.goes_on(3)),
        (fx.TellHeld(VERDICT), call.held(3, HeldReason.LOG_REPLACED, "why", "orders", 10_000)),
    ],
)
def test_the_status_hears_once_what_became_of_a_partition(news: fx.Telling, heard: Any) -> None:  # noqa: ANN401
    assert told(news) == [heard]


def test_of_a_checkpoint_the_status_hears_its_cursor_its_seconds_and_the_delays() -> None:
    checkpoint = Checkpoint(3, "g1", None, [], AT, [], [], {})
    heard = told(fx.TellCheckpoint(checkpoint, 250, [(8_000, 4), (9_500, 2)]))
    assert heard == [
        call.committed(3, 10_000),
        call.observe_checkpoint(3, AT, 0.25),
        call.observe_delay(2.0, 4),
        call.observe_delay(0.5, 2),
    ]


def test_a_held_partition_is_an_error_in_the_log_with_its_reason(caplog: pytest.LogCaptureFixture) -> None:
    with caplog.at_level(logging.INFO):
        told(fx.TellHeld(VERDICT))
    (record,) = caplog.records
    assert (record.levelname, vars(record)["partition"], vars(record)["reason"]) == ("ERROR", 3, "log_replaced")
    assert "why" in record.getMessage()
