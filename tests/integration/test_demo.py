"""The demo as an operator starts it: exact totals, one document, and nothing left behind."""

from __future__ import annotations

import json
import os
import signal
import subprocess
import sys
import time
from typing import TYPE_CHECKING

import psutil
import pytest

if TYPE_CHECKING:
    from collections.abc import Iterator
    from pathlib import Path

pytestmark = pytest.mark.kafka
START_SECONDS = 90


def command(data: Path, *arguments: str) -> list[str]:
    return [sys.executable, "-m", "streams.cli", "demo", "--data", str(data), "--orders", "3000", *arguments]


def processes_with(text: str) -> list[psutil.Process]:
    """Return the processes whose command line holds `text`, but for our own."""
    return [
        p
        for p in psutil.process_iter(["cmdline"])
        if text in " ".join(p.info["cmdline"] or ()) and p.pid != os.getpid()
    ]


def test_it_prints_exact_totals_as_its_last_line_and_leaves_nothing(kafka: str, tmp_path: Path) -> None:
    done = subprocess.run(
        command(tmp_path, "--broker", kafka, "--seconds", "2", "--workers", "2", "--exit", "--json"),
        capture_output=True,
        text=True,
        check=False,
        timeout=240,
    )
    assert done.returncode == 0, done.stderr
    document = json.loads(done.stdout)
    assert document["orders"] == 3000
    assert document["complete"]
    assert document["lag_records"] == 0
    # The published total, scaled from 1.3 bn orders.
    assert document["money"]["CNY"]["gross"] == 26_840_000_000_000 * 3000 // 1_300_000_000
    assert "exact" in done.stderr
    assert list((tmp_path / "demo").iterdir()) == []
    assert processes_with(str(tmp_path)) == []


@pytest.fixture
def started(tmp_path: Path) -> Iterator[subprocess.Popen[str]]:
    """Start a demo with a Kafka of its own, and wait until its worker runs."""
    with subprocess.Popen(
        command(tmp_path, "--seconds", "60"), stdout=subprocess.PIPE, stderr=subprocess.PIPE, text=True
    ) as demo:
        try:
            deadline = time.monotonic() + START_SECONDS
            while len(processes_with(str(tmp_path))) < 3:
                assert demo.poll() is None, demo.communicate()
                assert time.monotonic() < deadline
                time.sleep(0.1)
            yield demo
        finally:
            demo.kill()


@pytest.mark.parametrize("number", [signal.SIGINT, signal.SIGTERM, signal.SIGKILL])
def test_however_it_ends_kafka_and_workers_end_with_it(
    started: subprocess.Popen[str], tmp_path: Path, number: signal.Signals
) -> None:
    started.send_signal(number)
    started.communicate(timeout=60)
    assert started.returncode == (-number if number is signal.SIGKILL else 130)
    deadline = time.monotonic() + START_SECONDS
    while left := processes_with(str(tmp_path)):
        assert time.monotonic() < deadline, left
        time.sleep(0.1)
    if number is not signal.SIGKILL:
        assert list((tmp_path / "demo").iterdir()) == []
