"""Faults on a real night: the named alert reaches its webhook within its bound, what follows from it stays silent."""

from __future__ import annotations

import time
from typing import TYPE_CHECKING

import pytest

if TYPE_CHECKING:
    from tests.deploy.stage import Stage

pytestmark = [pytest.mark.kafka, pytest.mark.timeout(1_800)]

BOUND_SECONDS = {
    "FestivalRejectedShareHigh": 100,
    "FestivalNoOrders": 185,
    "StreamsWorkerDown": 60,
    "KafkaUnreachable": 65,
}
"""From the fault to the webhook: window and `for`, a scrape, an evaluation, Alertmanager's `group_wait`, and some."""
SLACK_SECONDS = 10
"""What a busy machine needs; not divided."""
CLEAN_SECONDS = 75
EARLIER = {"FestivalRejectedShareHigh", "FestivalNoOrders"}
"""Alerts of the first fault: still firing, or told once more, while the next ones happen."""
CONSEQUENCES = {
    "FestivalFreshnessBurnsFast",
    "FestivalFreshnessBurnsSlowly",
    "FestivalTotalStalled",
    "StreamsLagGrowing",
}


def reaches(stage: Stage, alert: str, path: str, since: float) -> None:
    """Wait until an alert has reached a webhook, and check that it did in time."""

    def has_reached() -> bool:
        return any(
            n.labels["alertname"] == alert and n.path == path and n.status == "firing" and n.at >= since
            for n in list(stage.webhook.received)
        )

    stage.until(has_reached, f"{alert} at {path}", BOUND_SECONDS[alert] / stage.factor + SLACK_SECONDS)
    print(f"{alert} after {time.monotonic() - since:.1f} s, durations divided by {stage.factor}")  # noqa: T201 - a figure for the docs


def test_a_clean_run_fires_nothing(stage: Stage) -> None:
    deadline = time.monotonic() + CLEAN_SECONDS / stage.factor
    while time.monotonic() < deadline:
        assert stage.firing() == set()
        time.sleep(0.5)
    assert stage.webhook.received == []


def test_a_stalled_producer_and_a_flood_of_poison_are_told_and_nothing_else(stage: Stage) -> None:
    assert stage.shop is not None
    since = time.monotonic()
    stage.shop.is_open, stage.shop.is_poisoned = False, True
    reaches(stage, "FestivalRejectedShareHigh", "/tickets", since)
    stage.shop.is_poisoned = False
    reaches(stage, "FestivalNoOrders", "/page", since)
    # A quiet topic is no stale total.
    assert not stage.firing() & CONSEQUENCES
    stage.shop.is_open = True
    assert stage.notified(since) == {"FestivalRejectedShareHigh", "FestivalNoOrders"}


def test_a_worker_that_is_killed_is_told_and_what_follows_from_it_is_not(stage: Stage) -> None:
    since = time.monotonic()
    stage.kill_worker()
    reaches(stage, "StreamsWorkerDown", "/page", since)
    stage.until(lambda: "FestivalFreshnessBurnsFast" in stage.silenced_by("StreamsWorkerDown"), "a silenced alert")
    stage.start_worker()
    stage.until(lambda: bool(stage.query("topic:streams_events:rate1m > 0")), "orders are counted again")
    # It was the only worker: that nobody counted its partitions is told too.
    assert stage.notified(since) - EARLIER == {"StreamsWorkerDown", "StreamsPartitionUnowned"}


def test_a_broker_that_is_gone_is_told_and_what_follows_from_it_is_not(stage: Stage) -> None:
    since = time.monotonic()
    stage.kafka.kill()
    reaches(stage, "KafkaUnreachable", "/page", since)
    stage.until(lambda: "FestivalFreshnessBurnsFast" in stage.silenced_by("KafkaUnreachable"), "a silenced alert")
    stage.kafka.start()
    stage.until(lambda: bool(stage.query("topic:streams_events:rate1m > 0")), "orders are counted again")
    told = stage.notified(since) - EARLIER - {"StreamsWorkerDown", "StreamsPartitionUnowned"}
    assert told == {"KafkaUnreachable"}
