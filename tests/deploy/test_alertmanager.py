"""Who hears of what, and what silences what: asked of amtool, and of a real Alertmanager with the committed file."""

from __future__ import annotations

import json
import re
import subprocess
import time
import urllib.error
import urllib.request
from typing import TYPE_CHECKING, Any

import pytest

from streams.broker.embedded import any_free_port
from tests.deploy.monitoring import ALERTMANAGER_FILE, alerts, read, run, tool

if TYPE_CHECKING:
    from collections.abc import Iterator
    from pathlib import Path

START_SECONDS = 30.0
SILENCED = {
    ("KafkaUnreachable", "StreamsLagGrowing"),
    ("KafkaUnreachable", "FestivalFreshnessBurnsFast"),
    ("KafkaUnreachable", "FestivalFreshnessBurnsSlowly"),
    ("KafkaUnreachable", "FestivalTotalStalled"),
    ("KafkaUnreachable", "FestivalNoOrders"),
    ("KafkaUnreachable", "StreamsCheckpointsFailing"),
    ("KafkaUnreachable", "StreamsPartitionUnowned"),
    ("StreamsWorkerDown", "FestivalFreshnessBurnsFast"),
    ("StreamsPartitionUnowned", "FestivalNoOrders"),
    ("StreamsPartitionHeld", "FestivalTotalStalled"),
    ("FestivalTotalStalled", "FestivalNoOrders"),
    ("FestivalNotRunning", "FestivalNoOrders"),
}
NOT_SILENCED = {
    ("StreamsWorkerDown", "FestivalNoOrders"),  # the others have its partitions
    ("StreamsWorkerDown", "StreamsPartitionUnowned"),  # nobody has: the total stands
    ("KafkaUnreachable", "StreamsWorkerDown"),
    ("KafkaUnreachable", "FestivalAuditDifference"),
}


@pytest.mark.parametrize(("severity", "receiver"), [("critical", "page"), ("warning", "tickets"), ("info", "nobody")])
def test_severity_decides_who_hears_of_it(severity: str, receiver: str) -> None:
    amtool = tool("amtool")
    route = ("config", "routes", "test", f"--config.file={ALERTMANAGER_FILE}")
    run(amtool, *route, f"severity={severity}", f"--verify.receivers={receiver}")


def test_an_alert_without_severity_does_not_vanish() -> None:
    run(tool("amtool"), "config", "routes", "test", f"--config.file={ALERTMANAGER_FILE}", "--verify.receivers=tickets")


def test_amtool_finds_nothing_wrong() -> None:
    run(tool("amtool"), "check-config", str(ALERTMANAGER_FILE))


def test_no_alert_is_on_both_sides_of_a_rule() -> None:
    names = {alert.name for alert in alerts()}

    def matched(matchers: list[str]) -> set[str]:
        (matcher,) = matchers
        found = re.fullmatch(r'alertname=~?"(.+)"', matcher)
        assert found is not None, "by name: any label that both sides lack would match"
        return {name for name in names if re.fullmatch(found[1], name)}

    for rule in read(ALERTMANAGER_FILE)["inhibit_rules"]:
        source, target = matched(rule["source_matchers"]), matched(rule["target_matchers"])
        assert source
        assert target
        assert not source & target


@pytest.fixture(scope="module")
def alertmanager(tmp_path_factory: pytest.TempPathFactory) -> Iterator[str]:
    """Return the address of a real Alertmanager with the committed configuration; it can reach nobody."""
    program = tool("prometheus-alertmanager", "alertmanager")
    directory = tmp_path_factory.mktemp("alertmanager")
    url = f"http://127.0.0.1:{any_free_port()}"
    with (directory / "log").open("wb") as log:
        process = subprocess.Popen(
            [
                program,
                f"--config.file={ALERTMANAGER_FILE}",
                f"--storage.path={directory / 'data'}",
                f"--web.listen-address={url.removeprefix('http://')}",
                "--cluster.listen-address=",
            ],
            stdout=log,
            stderr=log,
        )
    try:
        _await_ready(url, directory / "log")
        yield url
    finally:
        process.kill()
        process.wait()


def _await_ready(url: str, log: Path) -> None:
    deadline = time.monotonic() + START_SECONDS
    while True:
        try:
            with urllib.request.urlopen(f"{url}/-/ready", timeout=5):  # noqa: S310 - our own server
                return
        except (OSError, urllib.error.URLError):
            assert time.monotonic() < deadline, log.read_text()
            time.sleep(0.1)


def suppressed(url: str, *labelled: dict[str, str]) -> set[str]:
    """Raise alerts as Prometheus does, resolve them, and return the names of those that were silenced meanwhile."""
    amtool = tool("amtool")
    for labels in labelled:
        run(amtool, "alert", "add", f"--alertmanager.url={url}", *(f"{name}={value}" for name, value in labels.items()))
    deadline = time.monotonic() + START_SECONDS
    names = {labels["alertname"] for labels in labelled}
    while True:
        with urllib.request.urlopen(f"{url}/api/v2/alerts", timeout=5) as answer:  # noqa: S310 - the same
            shown: list[dict[str, Any]] = [
                a for a in json.load(answer) if a["labels"].get("test") == labelled[0]["test"]
            ]
        states = {alert["labels"]["alertname"]: alert["status"]["state"] for alert in shown}
        if set(states) == names and "unprocessed" not in states.values():
            return {name for name, state in states.items() if state == "suppressed"}
        assert time.monotonic() < deadline, states
        time.sleep(0.1)


def end(url: str, *labelled: dict[str, str]) -> None:
    past = "2020-01-01T00:00:00Z"
    body = json.dumps([{"labels": labels, "startsAt": past, "endsAt": past} for labels in labelled]).encode()
    request = urllib.request.Request(  # noqa: S310 - our own server
        f"{url}/api/v2/alerts", data=body, headers={"Content-Type": "application/json"}
    )
    with urllib.request.urlopen(request, timeout=5):  # noqa: S310 - the same
        pass


@pytest.mark.parametrize(("cause", "consequence"), sorted(SILENCED | NOT_SILENCED))
def test_the_cause_silences_what_follows_from_it_and_nothing_else(
    alertmanager: str, cause: str, consequence: str
) -> None:
    labelled = [
        {"alertname": name, "festival": "now", "test": f"{cause}-{consequence}"} for name in (cause, consequence)
    ]
    try:
        found = suppressed(alertmanager, *labelled)
        assert found == ({consequence} if (cause, consequence) in SILENCED else set())
    finally:
        end(alertmanager, *labelled)


def test_a_festival_that_does_not_run_silences_no_other_festival(alertmanager: str) -> None:
    labelled = [
        {"alertname": "FestivalNotRunning", "festival": "then", "test": "other"},
        {"alertname": "FestivalNoOrders", "festival": "now", "test": "other"},
    ]
    try:
        assert suppressed(alertmanager, *labelled) == set()
    finally:
        end(alertmanager, *labelled)
