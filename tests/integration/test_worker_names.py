"""Two workers of one name, as on two machines, on real Kafka: the one that started first keeps it."""

from __future__ import annotations

import asyncio
import json
import urllib.request
from dataclasses import replace
from typing import TYPE_CHECKING

import pytest

from tests.integration import worker_processes as w

if TYPE_CHECKING:
    from pathlib import Path

pytestmark = pytest.mark.kafka
SESSION_SECONDS = 6


def _is_ready(worker: w.WorkerProcess) -> bool:
    found = [line for line in worker.log().splitlines() if "festival.web serving" in line]
    url = found[-1].partition("url=")[2].split()[0].rstrip("/")
    try:
        with urllib.request.urlopen(f"{url}/readyz", timeout=5) as answer:  # noqa: S310 - our own
            return bool(answer.status == 200)
    except OSError:
        return False


async def test_the_first_of_two_workers_of_one_name_goes_on_and_the_second_is_told(
    kafka: str, prefix: str, tmp_path: Path
) -> None:
    settings = await w.prepare(kafka, prefix, tmp_path / "here")
    first = w.WorkerProcess(settings, "one")
    second = w.WorkerProcess(replace(settings, data_dir=tmp_path / "there"), "one")
    load = w.Load(settings)
    with w.ended(first, second):
        first.start()
        await first.counting(w.PARTITIONS)
        first.kill()  # the broker goes on to tell the client id of this process, whoever takes its place
        first.start()
        await first.counting(2 * w.PARTITIONS)
        producing = asyncio.create_task(load.run(500, 60))
        second.start()
        await w.eventually("the second worker ends", second.has_ended, 30)
        assert second.process.returncode == 2
        told = [line for line in second.log().splitlines() if line.startswith("festival: ")]
        assert len(told) == 1, second.log()
        assert "another worker has the name 'one' and started first: on " in told[0]
        assert f"process {first.process.pid}, since " in told[0]
        assert "Give this worker another --name, or stop that one" in told[0]
        assert "another worker took this name" in first.log()
        await w.eventually("the first worker is ready", lambda: _is_ready(first), 2 * SESSION_SECONDS)
        load.end()
        await producing
        await w.counted_up(settings)
        await w.assert_exact(settings)
        assert first.stop() == 0


async def test_a_worker_that_was_killed_has_its_name_back_at_once(kafka: str, prefix: str, tmp_path: Path) -> None:
    settings = await w.prepare(kafka, prefix, tmp_path)
    worker = w.WorkerProcess(settings, "one")
    with w.ended(worker):
        worker.start()
        await worker.counting(w.PARTITIONS)
        worker.kill()
        worker.start()
        await worker.counting(2 * w.PARTITIONS, 20)
        assert "took this name" not in worker.log()
        assert worker.stop() == 0


async def test_each_line_of_a_json_log_has_worker_prefix_and_its_numbers(
    kafka: str, prefix: str, tmp_path: Path
) -> None:
    settings = await w.prepare(kafka, prefix, tmp_path)
    worker = w.WorkerProcess(settings, "one", {"FESTIVAL_LOG_FORMAT": "json"})
    with w.ended(worker):
        worker.start()
        await worker.counting(w.PARTITIONS)
        assert worker.stop() == 0
    lines = [json.loads(line) for line in worker.log().splitlines()]
    assert {(line["worker"], line["prefix"]) for line in lines} <= {("one", prefix), (None, prefix)}
    named = [line for line in lines if line["logger"].startswith("festival.worker")]
    assert {line["worker"] for line in named} == {"one"}
    (assigned,) = [line for line in lines if line["message"] == "partitions assigned"]
    assert assigned["partitions"] == list(range(w.PARTITIONS))
    restored = [line for line in lines if line["message"] == "partition restored"]
    assert sorted(line["partition"] for line in restored) == assigned["partitions"]
    for line in restored:
        assert line["positions"] == dict.fromkeys(w.TOPICS, 0)
        assert 0 <= line["seconds"] < 60
    assert not [line for line in named if any(letter.isdigit() for letter in line["message"])]
