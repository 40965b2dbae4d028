"""`festival top`: what it makes of Kafka's answers and of the pages of workers."""

from __future__ import annotations

import json
from contextlib import asynccontextmanager
from typing import TYPE_CHECKING, Any

import pytest
from aiokafka.coordinator.protocol import ConsumerProtocolMemberAssignment
from aiokafka.errors import GroupCoordinatorNotAvailableError

from streams.cli import main
from streams.cli.scrapes import Scraper, Standstill, checked_url, quantile, samples_of
from streams.engine.judgement import LogRange
from streams.errors import UsageError
from streams.kafka.group.roster import Member, Partition, members_of, roster_of

if TYPE_CHECKING:
    from collections.abc import AsyncIterator

PAGE = """
# TYPE streams_event_delay_seconds histogram
streams_event_delay_seconds_bucket{le="0.5"} %d
streams_event_delay_seconds_bucket{le="1.0"} %d
streams_event_delay_seconds_bucket{le="+Inf"} %d
# TYPE streams_checkpoints_total counter
streams_checkpoints_total %d
# TYPE streams_checkpoint_failures_total counter
streams_checkpoint_failures_total 2
# TYPE streams_partition_held gauge
streams_partition_held{partition="3",reason="log_deleted"} 1
streams_partition_held{partition="1",reason="log_deleted"} 0
# TYPE streams_partition_waiting gauge
streams_partition_waiting{partition="2",reason="not_allowed"} 1
"""
WORKER = Member("w1", "host", 7, "1.2", [0])
ROSTER = roster_of("Stable", [WORKER], {("orders", 0): 5}, {("orders", 0): LogRange(0, 9, 9)})


def member(client_id: str, *assigned: tuple[str, list[int]]) -> dict[str, Any]:
    assignment = ConsumerProtocolMemberAssignment(0, list(assigned), b"").encode() if assigned else b""
    return {"client_id": client_id, "client_host": "/10.0.0.1", "member_metadata": b"", "member_assignment": assignment}


def test_members_are_told_by_their_names_with_their_partitions() -> None:
    found = members_of(
        [
            member("some tool"),
            member("festival-w@2@node:31:1700:0.9", ("p.orders", [2, 0]), ("p.payments", [2]), ("other", [7])),
        ],
        "p.",
    )
    assert found == [
        Member("some tool", "10.0.0.1", None, None, []),
        Member("w@2", "node", 31, "0.9", [0, 2]),
    ]


def test_lag_counts_from_the_position_or_from_the_logs_beginning() -> None:
    ranges = {("payments", 1): LogRange(4, 10, 12), ("orders", 0): LogRange(0, 9, 9)}
    roster = roster_of("Stable", [WORKER], {("orders", 0): 5, ("payments", 1): -1}, ranges)
    assert roster.partitions == [
        Partition("orders", 0, "w1", 5, 9, 4),
        Partition("payments", 1, None, None, 12, 8),
    ]
    assert roster.lag_records == 12


def test_a_worker_is_told_since_the_document_before() -> None:
    scraper = Scraper("http://w")
    first = scraper.told(samples_of(PAGE % (10, 10, 10, 100)), 1_000)
    assert (first.checkpoints, first.checkpoints_per_second, first.checkpoint_failures) == (100, None, 2)
    assert first.held == [Standstill(3, "log_deleted")]
    assert first.waiting == [Standstill(2, "not_allowed")]
    assert first.delay_seconds is not None
    assert first.delay_seconds.p50 == 0.25
    scraper._before, scraper._before_ms = samples_of(PAGE % (10, 10, 10, 100)), 1_000
    second = scraper.told(samples_of(PAGE % (10, 30, 30, 106)), 3_000)
    assert second.checkpoints_per_second == 3.0
    assert second.delay_seconds is not None
    assert second.delay_seconds.p50 == 0.75, "of the twenty since then"
    restarted = scraper.told(samples_of(PAGE % (1, 1, 1, 1)), 3_000)
    assert restarted.checkpoints_per_second == 0.0
    assert restarted.delay_seconds is not None
    assert restarted.delay_seconds.p50 == 0.25


def test_quantiles_are_those_of_prometheus() -> None:
    buckets = [(0.5, 10.0), (1.0, 30.0), (float("inf"), 40.0)]
    assert quantile(buckets, 0.25) == 0.5
    assert quantile(buckets, 0.5) == 0.75
    assert quantile(buckets, 0.99) == 1.0
    assert quantile([], 0.5) is None
    assert quantile([(1.0, 0.0)], 0.5) is None


@pytest.mark.parametrize("url", ["", "w:6066", "ftp://w", "http://"])
def test_what_is_no_address_of_a_worker_is_refused(url: str) -> None:
    with pytest.raises(UsageError, match="--worker"):
        checked_url(url)


@pytest.fixture
def _kafka(monkeypatch: pytest.MonkeyPatch) -> None:
    async def read(*_: object) -> object:
        return ROSTER

    @asynccontextmanager
    async def admin(_: object) -> AsyncIterator[object]:
        yield object()

    monkeypatch.setattr("streams.cli.top.read_roster", read)
    monkeypatch.setattr("streams.cli.top.open_admin", admin)
    monkeypatch.setattr("streams.cli.top.quiet_clients", lambda *_: None)
    monkeypatch.setenv("FESTIVAL_BROKER", "127.0.0.1:1")


@pytest.mark.usefixtures("_kafka")
def test_one_look_is_a_document_or_tables(capsys: pytest.CaptureFixture[str]) -> None:
    assert main.run(["top", "--once", "--json", "--worker", "http://127.0.0.1:9"]) == 0
    told = json.loads(capsys.readouterr().out)
    assert told.keys() == {"at_ms", "group", "workers"}
    assert told["group"]["members"] == [
        {"name": "w1", "host": "host", "process_id": 7, "version": "1.2", "partitions": [0]}
    ]
    assert told["group"]["partitions"][0]["lag_records"] == 4
    assert (told["workers"][0]["url"], told["workers"][0]["answers"]) == ("http://127.0.0.1:9", False)
    assert main.run(["top", "--once", "--worker", "http://127.0.0.1:9"]) == 0
    shown = capsys.readouterr().out
    assert "group stable, 1 members, 4 records behind" in shown
    assert "w1" in shown
    assert main.run(["top", "--once", "--worker", "here"]) == 2


@pytest.mark.usefixtures("_kafka")
def test_what_passes_by_itself_is_waited_for_and_what_does_not_ends_it(
    monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    answers: list[object] = [GroupCoordinatorNotAvailableError(), ROSTER]

    async def read(*_: object) -> object:
        answer = answers.pop(0)
        if isinstance(answer, Exception):
            raise answer
        return answer

    monkeypatch.setattr("streams.cli.top.read_roster", read)
    monkeypatch.setattr("streams.cli.top.EVERY_SECONDS", 0.0)
    assert main.run(["top", "--once", "--json"]) == 0
    assert json.loads(capsys.readouterr().out)["group"]["lag_records"] == 4
    answers[:] = [GroupCoordinatorNotAvailableError()] * 40
    assert main.run(["top", "--once"]) == 3
    assert "does not tell of the group" in capsys.readouterr().err
