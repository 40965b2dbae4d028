"""What is told of settings and clocks while a process runs."""

from __future__ import annotations

import asyncio
import logging
from typing import TYPE_CHECKING

import pytest

from streams.engine.batch import RecordBatch
from streams.engine.clock import BrokerClock, ManualClock
from streams.engine.status import WorkerStatus
from streams.engine.topic_names import LEDGER
from streams.errors import UnreachableError
from streams.kafka.client.throttling import Throttling
from streams.kafka.cluster import watch
from streams.kafka.cluster.broker_time import hear, said_of
from streams.kafka.cluster.topic_settings import Deviation, deviations, specs_of
from streams.kafka.cluster.topics import TopicsError
from streams.settings import Settings

if TYPE_CHECKING:
    from collections.abc import Coroutine, Sequence

SETTINGS = Settings(broker="kafka:9092", prefix="p-")
NOW_MS = 1_600_000_000_000
SHORT = Deviation("orders", "retention.ms", "topic orders: retention.ms is 1", is_wish=False)
WISH = Deviation("festival.ledger", "message.timestamp.type", "topic festival.ledger: CreateTime", is_wish=True)


async def told_by(work: Coroutine[None, None, None], caplog: pytest.LogCaptureFixture) -> list[str]:
    """Return the lines of the log once `work` is through its looks."""
    caplog.set_level(logging.INFO)
    task = asyncio.create_task(work)
    for _ in range(20):
        await asyncio.sleep(0)
    task.cancel()
    await asyncio.gather(task, return_exceptions=True)
    return [record.message for record in caplog.records]


async def test_each_setting_that_is_not_as_it_must_be_is_told_once_and_once_when_it_is_mended(
    monkeypatch: pytest.MonkeyPatch, caplog: pytest.LogCaptureFixture
) -> None:
    looks: list[Sequence[Deviation] | Exception] = [
        [],
        [SHORT],
        UnreachableError("away"),
        [SHORT, WISH],
        TopicsError("topic orders: its settings cannot be read (DescribeConfigs): not authorized"),
        TopicsError("topic orders: its settings cannot be read (DescribeConfigs): not authorized"),
        [WISH],
    ]

    async def look(settings: Settings) -> Sequence[Deviation]:
        assert settings is SETTINGS
        found = looks.pop(0) if looks else [WISH]
        if isinstance(found, Exception):
            raise found
        return found

    monkeypatch.setattr(watch, "look_at_settings", look)
    monkeypatch.setattr(watch, "EVERY_SECONDS", 0)
    assert await told_by(watch.watch_settings(SETTINGS), caplog) == [
        SHORT.text,
        WISH.text,
        (
            "changes of the topics' settings will not be told: topic orders: its settings cannot be read "
            "(DescribeConfigs): not authorized"
        ),
        "as it must be again: topic orders: retention.ms",
        "as it must be again: the right to read the topics' settings",
    ]


async def test_a_clock_that_is_off_is_told_once_with_what_sets_it(
    monkeypatch: pytest.MonkeyPatch, caplog: pytest.LogCaptureFixture
) -> None:
    own = ManualClock(NOW_MS, off_ms=-3_600_000)
    clock = BrokerClock(own)
    offs_ms = [None, -3_600_000, -3_600_100, 100]

    async def turn(_seconds: float) -> None:
        if offs_ms and (off_ms := offs_ms.pop(0)) is not None:
            own.off_ms = off_ms
            clock.appended(NOW_MS)
        await real_sleep(0)

    real_sleep = asyncio.sleep
    monkeypatch.setattr("streams.kafka.cluster.watch.asyncio.sleep", turn)
    told = asyncio.create_task(watch.watch_clock(clock))
    caplog.set_level(logging.INFO)
    for _ in range(20):
        await real_sleep(0)
    told.cancel()
    await asyncio.gather(told, return_exceptions=True)
    first, second = [record.message for record in caplog.records]
    assert first.startswith("this machine's clock is 3,600.0 s behind the broker's; ")
    assert "timedatectl" in first
    assert second == "as it must be again: this machine's clock"


async def test_a_quota_that_holds_back_is_named_once(
    monkeypatch: pytest.MonkeyPatch, caplog: pytest.LogCaptureFixture
) -> None:
    told = Throttling()
    status = WorkerStatus()
    amounts = [0, 300, 300, 0, 0]

    async def turn(_seconds: float) -> None:
        if amounts and (amount := amounts.pop(0)):
            told.add(0, amount)
        await real_sleep(0)

    real_sleep = asyncio.sleep
    monkeypatch.setattr(watch, "throttling", told)
    monkeypatch.setattr("streams.kafka.cluster.watch.asyncio.sleep", turn)
    watching = asyncio.create_task(watch.watch_throttling(status))
    for _ in range(20):
        await real_sleep(0)
    watching.cancel()
    await asyncio.gather(watching, return_exceptions=True)
    (record,) = caplog.records
    assert record.message.startswith("the broker throttles this client: producer_byte_rate. ")
    assert status.snapshot().throttled == {"produce": 0.6, "fetch": 0.0, "other": 0.0}


@pytest.mark.parametrize(
    ("off_ms", "said"),
    [
        (2_000, None),
        (-2_000, None),
        (2_001, "this machine's clock is 2.0 s ahead of the broker's"),
        (-7_260_000, "this machine's clock is 7,260.0 s behind the broker's"),
    ],
)
def test_a_clock_is_off_by_more_than_two_seconds_in_either_direction(off_ms: int, said: str | None) -> None:
    clock = BrokerClock(ManualClock(NOW_MS, off_ms=off_ms))
    assert said_of(clock) is None
    clock.appended(NOW_MS)
    assert said_of(clock) == said


def test_only_the_times_of_the_broker_are_heard() -> None:
    clock = BrokerClock(ManualClock(NOW_MS, off_ms=9))

    def batch(time_ms: int, *, is_timed: bool) -> RecordBatch:
        return RecordBatch(LEDGER, 0, 0, 1, [0], [b""], [b""], [time_ms], (), is_timed)

    hear(clock, [batch(NOW_MS + 5_000, is_timed=False)], is_new=True)
    hear(clock, [RecordBatch(LEDGER, 0, 0, 1, [], [], [], [], (), is_timed_by_broker=True)], is_new=True)
    assert clock.offset_ms() is None
    hear(clock, [batch(NOW_MS - 30, is_timed=True), batch(NOW_MS - 20, is_timed=True)], is_new=True)
    assert clock.offset_ms() == 29


def test_a_ledger_whose_writers_give_the_times_is_counted_and_told_with_the_command() -> None:
    spec = next(spec for spec in specs_of(SETTINGS) if spec.name == "p-festival.ledger")
    assert spec.created_with["message.timestamp.type"] == "LogAppendTime"
    assert list(deviations(spec, spec.created_with, "kafka:9092")) == []
    (found,) = deviations(spec, {**spec.created_with, "message.timestamp.type": "CreateTime"}, "kafka:9092")
    assert (found.is_wish, found.topic, found.key) == (True, "p-festival.ledger", "message.timestamp.type")
    assert found.text.endswith(
        "Mend it with: kafka-configs.sh --bootstrap-server kafka:9092 --alter --entity-type topics "
        "--entity-name p-festival.ledger --add-config message.timestamp.type=LogAppendTime"
    )
