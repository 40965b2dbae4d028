"""After the faults, the replay and the runbooks: everything that was told is told as resolved."""

from __future__ import annotations

from typing import TYPE_CHECKING

import pytest

if TYPE_CHECKING:
    from tests.deploy.stage import Stage

pytestmark = [pytest.mark.kafka, pytest.mark.timeout(1_800)]

BUDGET = "FestivalFreshnessBurnsSlowly"
"""A ticket that may rightly come and stay once a cause is gone: part of the day's budget has been used."""

SMALL = "FestivalTotalImplausible"
"""A replay of two thousand orders lies outside the bounds of its festival's file, and stays so."""

SILENCED = {"FestivalNoOrders", "StreamsPartitionUnowned"}
"""They end while the next fault silences them, and Alertmanager tells nobody of an end that is silenced."""


def test_what_was_told_is_told_as_resolved(stage: Stage) -> None:
    told = {notified.labels["alertname"] for notified in stage.webhook.received}
    if not told:
        pytest.skip("nothing was told: the faults were not among the tests that ran")
    seconds = 600 / stage.factor + 30
    try:
        stage.until(lambda: stage.firing() <= {BUDGET, SMALL}, "nothing fires", seconds)
    except AssertionError:
        raise AssertionError(f"these still fire: {stage.firing()}") from None
    stage.until(lambda: stage.notified(0, "resolved") >= told - SILENCED - {BUDGET, SMALL}, f"{told} resolved", seconds)


def test_what_was_told_can_be_read(stage: Stage) -> None:
    for notified in stage.webhook.received:
        assert "error" not in notified.annotations["description"], "a template that could not be filled"
        assert notified.annotations["runbook_url"].endswith(f"/{notified.labels['alertname']}.md")
