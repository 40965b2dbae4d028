"""A process that is started beside a ledger with totals: from its very first answer on it shows them, or nothing."""

from __future__ import annotations

import asyncio
import json
import subprocess
import sys
import time
import urllib.error
import urllib.request
from typing import TYPE_CHECKING

import pytest

from streams.broker.embedded import any_free_port
from tests.integration import worker_processes as w

if TYPE_CHECKING:
    from collections.abc import Iterator
    from pathlib import Path

pytestmark = pytest.mark.kafka
START_SECONDS = 40
FESTIVAL = "singles-day-2019"


def _answer(url: str) -> tuple[int, str]:
    """Return status and body; status 0 where nobody listens yet."""
    try:
        with urllib.request.urlopen(url, timeout=10) as answer:  # noqa: S310 - our own
            return answer.status, answer.read().decode()
    except urllib.error.HTTPError as error:
        return error.code, error.read().decode()
    except OSError:
        return 0, ""


def _orders_in(page: str) -> list[float]:
    wanted = f'festival_orders{{festival="{FESTIVAL}"}} '
    return [float(line.removeprefix(wanted)) for line in page.splitlines() if line.startswith(wanted)]


def _states(port: int) -> Iterator[tuple[int, str, str]]:
    """Yield status and body of the totals, and the metrics, from the first answer on until there are totals."""
    deadline, status = time.monotonic() + START_SECONDS, 0
    while status != 200:
        assert time.monotonic() < deadline
        page = _answer(f"http://127.0.0.1:{port}/metrics")[1]
        status, totals = _answer(f"http://127.0.0.1:{port}/api/totals?festival={FESTIVAL}")
        if status:
            yield status, totals, page


def _first_states(command: list[str], port: int) -> list[tuple[int, str, str]]:
    with subprocess.Popen([sys.executable, "-m", "streams.cli", *command], stderr=subprocess.DEVNULL) as process:
        try:
            return list(_states(port))
        finally:
            process.terminate()
            process.wait(30)


@pytest.mark.parametrize("command", [["board"], ["worker", "--name", "two"]])
async def test_no_zero_is_shown_before_the_first_state(
    kafka: str, prefix: str, tmp_path: Path, command: list[str]
) -> None:
    settings = await w.prepare(kafka, prefix, tmp_path)
    worker, load = w.WorkerProcess(settings, "one"), w.Load(settings)
    with w.ended(worker):
        worker.start()
        await worker.counting(w.PARTITIONS)
        await load.run(500, 2)
        await w.counted_up(settings)
        assert worker.stop() == 0
    port = any_free_port()
    place = ["--broker", kafka, "--prefix", prefix, "--data", str(tmp_path), "--web-port", str(port)]
    states = await asyncio.to_thread(_first_states, [*command, *place], port)
    *before, (_, totals, _) = states
    for status, told, page in before:
        assert (status, json.loads(told)["loaded"]) == (503, False)
        assert not [found for found in _orders_in(page) if found == 0]
    assert json.loads(totals)["orders"] > 0
    assert json.loads(totals)["counted"] is True
