"""Workers on real Kafka that are killed, stopped, joined by others: the committed cells are exact afterwards.

Mostly long: tests/acceptance/test_faults.py meets the same faults with the replay and the audit in every run.
"""

from __future__ import annotations

import asyncio
import json
import random
import signal
from typing import TYPE_CHECKING

import pytest

from streams.broker.embedded import EmbeddedKafka, any_free_port
from streams.engine.steps import Step
from streams.errors import UnreachableError
from streams.kafka.ledger.store import KILLED
from tests.conftest import skip
from tests.integration import worker_processes as w

if TYPE_CHECKING:
    from pathlib import Path

    from streams.settings import Settings

pytestmark = pytest.mark.kafka
LOG_LINES = 300
"""The log of a worker that lived through an outage of the broker: an operator can still read them."""


async def _exact(settings: Settings, load: w.Load) -> None:
    await w.counted_up(settings)
    counted = await w.assert_exact(settings)
    rejected = await w.assert_rejected_once(settings)
    assert 0 < counted < load.sent
    assert rejected > 0


@pytest.mark.long
@pytest.mark.parametrize("kills", [3, 10])
async def test_a_worker_killed_under_load_counts_every_event_once(
    kafka: str, prefix: str, tmp_path: Path, kills: int
) -> None:
    """SIGKILL at random instants, started again at once under its name."""
    settings = await w.prepare(kafka, prefix, tmp_path)
    worker, load = w.WorkerProcess(settings, "one"), w.Load(settings)
    instants = random.Random(kills)  # noqa: S311
    with w.ended(worker):
        worker.start()
        producing = asyncio.create_task(load.run(3_000, 30 * kills))
        for kill in range(kills):
            await worker.counting(w.PARTITIONS * (kill + 1))
            await asyncio.sleep(2 * instants.random())
            worker.kill()
            worker.start()
        await worker.counting(w.PARTITIONS * (kills + 1))
        load.end()
        await producing
        await _exact(settings, load)
        assert worker.stop() == 0


@pytest.mark.long
async def test_workers_that_join_leave_and_die_share_the_count(kafka: str, prefix: str, tmp_path: Path) -> None:
    """One, two, three workers; one leaves in order, one is killed for good."""
    settings = await w.prepare(kafka, prefix, tmp_path)
    one, two, three = (w.WorkerProcess(settings, name) for name in ("one", "two", "three"))
    load = w.Load(settings)
    with w.ended(one, two, three):
        one.start()
        producing = asyncio.create_task(load.run(2_000, 240))
        await one.counting(w.PARTITIONS)
        two.start()
        await two.counting(1)
        three.start()
        await three.counting(1)
        await asyncio.sleep(1)
        assert two.stop() == 0
        others = three.takeovers
        one.kill()
        await three.counting(others + 1)
        load.end()
        await producing
        await _exact(settings, load)


@pytest.mark.long
async def test_a_worker_that_stood_still_is_fenced_and_takes_part_again(
    kafka: str, prefix: str, tmp_path: Path
) -> None:
    """SIGSTOP past the session timeout, SIGCONT: its late writes count for nothing, then it owns partitions again."""
    settings = await w.prepare(kafka, prefix, tmp_path)
    zombie, other = w.WorkerProcess(settings, "zombie"), w.WorkerProcess(settings, "other")
    load = w.Load(settings)
    with w.ended(zombie, other):
        zombie.start()
        other.start()
        await zombie.counting(1)
        await other.counting(1)
        producing = asyncio.create_task(load.run(2_000, 240))
        await asyncio.sleep(3)
        zombies, others = zombie.takeovers, other.takeovers
        zombie.signal(signal.SIGSTOP)
        await other.counting(others + 2)
        await asyncio.sleep(1)
        zombie.signal(signal.SIGCONT)
        await zombie.counting(zombies + 1)
        load.end()
        await producing
        await _exact(settings, load)
        assert zombie.stop() == 0
        assert other.stop() == 0


async def test_a_worker_that_ends_in_order_commits_what_it_counted(kafka: str, prefix: str, tmp_path: Path) -> None:
    """SIGTERM: a final checkpoint, exit status 0, and the next worker goes on from there."""
    settings = await w.prepare(kafka, prefix, tmp_path)
    worker, load = w.WorkerProcess(settings, "one"), w.Load(settings)
    with w.ended(worker):
        worker.start("--json")
        await worker.counting(w.PARTITIONS)
        await load.run(3_000, 4)
        assert worker.stop() == 0
        report = json.loads(worker.log().splitlines()[-1])
        assert report["worker"] == "one"
        assert report["checkpoints"] >= w.PARTITIONS
        assert 0 < sum(sum(outcomes.values()) for outcomes in report["events"].values()) <= load.sent
        worker.start()
        await worker.counting(2 * w.PARTITIONS)
        await _exact(settings, load)
        restored = [line for line in worker.log().splitlines() if "partition restored" in line]
        assert len(restored) == 2 * w.PARTITIONS
        assert not any("orders:0" in line for line in restored[w.PARTITIONS :])
        assert "were not delivered" not in worker.log(), "no hole was met"


@pytest.mark.long
async def test_a_worker_that_crashes_at_any_step_of_a_checkpoint_counts_every_event_once(
    kafka: str, prefix: str, tmp_path: Path
) -> None:
    """The process dies at one step after the other, always under load."""
    settings = await w.prepare(kafka, prefix, tmp_path)
    load = w.Load(settings)
    producing = asyncio.create_task(load.run(1_000, 240))
    for step in Step:
        worker = w.WorkerProcess(settings, "one", {"FESTIVAL_CRASH_AT": f"{step}:9"})
        with w.ended(worker):
            worker.start()
            await w.eventually(f"crashed {step}", worker.has_ended)
            assert worker.process.returncode == KILLED
    worker = w.WorkerProcess(settings, "one")
    with w.ended(worker):
        worker.start()
        load.end()
        await producing
        await _exact(settings, load)


@pytest.mark.long
@pytest.mark.parametrize("is_killed", [True, False])
async def test_a_broker_that_goes_away_under_load_costs_no_event(
    prefix: str, tmp_path: Path, *, is_killed: bool
) -> None:
    """SIGKILL or SIGTERM of the only broker, back seconds later: the workers are never restarted."""
    broker = EmbeddedKafka(tmp_path / "kafka", port=any_free_port())
    try:
        broker.start()
    except UnreachableError as error:
        skip(str(error))
    try:
        settings = await w.prepare(broker.address, prefix, tmp_path)
        one, two, load = w.WorkerProcess(settings, "one"), w.WorkerProcess(settings, "two"), w.Load(settings)
        with w.ended(one, two):
            one.start()
            two.start()
            await one.counting(1)
            await two.counting(1)
            producing = asyncio.create_task(load.run(1_000, 240))
            await asyncio.sleep(4)
            await asyncio.to_thread(broker.kill if is_killed else broker.stop)
            await asyncio.sleep(4)
            await asyncio.to_thread(broker.start)
            await asyncio.sleep(3)
            load.end()
            await producing
            await w.counted_up(settings, 90)
            counted = await w.assert_exact(settings)
            assert 0 < counted <= load.sent
            assert one.stop() == 0
            assert two.stop() == 0
            assert len(one.log().splitlines()) < LOG_LINES
    finally:
        broker.stop()
