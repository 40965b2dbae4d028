"""What is not allowed is told once for all partitions, once a minute while it lasts, and once when it is over."""

from __future__ import annotations

import logging

import pytest

from streams.engine.standstill import Waiting
from streams.kafka.group.hindrances import AGAIN_MS, SETTLED_MS, Hindrances

DENIED = "User:ann may not Write on topic orders.rejected"
GROUP = "User:ann may not Read on group festival"


@pytest.fixture
def lines(caplog: pytest.LogCaptureFixture) -> pytest.LogCaptureFixture:
    caplog.set_level(logging.INFO)
    return caplog


def waiting(*partitions: int, reason: str = "not_allowed") -> dict[int, Waiting]:
    return {number: Waiting(reason, DENIED, 0) for number in partitions}


def test_many_partitions_and_many_tries_are_one_line(lines: pytest.LogCaptureFixture) -> None:
    told = Hindrances()
    for second in range(30):
        told.look(waiting(*range(32)), None, second * 1_000)
    (record,) = lines.records
    assert DENIED in record.getMessage()
    assert vars(record)["partitions"] == list(range(32))
    told.look({}, None, 30_000)
    told.look({}, None, 30_000 + SETTLED_MS)
    assert lines.messages[1:] == [f"allowed again: {DENIED}"]


def test_what_lasts_is_told_once_a_minute(lines: pytest.LogCaptureFixture) -> None:
    told = Hindrances()
    for second in range(3 * 60):
        told.look(waiting(0), None, second * 1_000)
    assert len(lines.messages) == 3
    assert AGAIN_MS == 60_000


def test_between_two_tries_it_is_not_over(lines: pytest.LogCaptureFixture) -> None:
    told = Hindrances()
    for second in range(0, 20, 2):
        told.look(waiting(0), None, second * 1_000)
        told.look({}, None, second * 1_000 + 1_000)
    assert len(lines.messages) == 1


def test_the_group_is_told_like_a_partition_and_an_outage_is_not(lines: pytest.LogCaptureFixture) -> None:
    told = Hindrances()
    told.look(waiting(0, reason="broker_away"), GROUP, 0)
    assert len(lines.messages) == 1
    assert GROUP in lines.messages[0]
