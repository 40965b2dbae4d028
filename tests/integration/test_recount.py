"""A recount brings a new generation while the old one is still shown, whatever comes in between."""

from __future__ import annotations

import asyncio
import hashlib
import json
import os
import subprocess
import sys
from typing import TYPE_CHECKING

import pytest
from aiokafka import AIOKafkaProducer
from aiokafka.admin import AIOKafkaAdminClient
from aiokafka.admin.records_to_delete import RecordsToDelete
from aiokafka.structs import TopicPartition

from streams.app import declare
from streams.broker.embedded import EmbeddedKafka, any_free_port
from streams.domain.declarations import FingerprintError
from streams.engine.checkpoint import FencedError
from streams.engine.clock import SystemClock
from streams.engine.generations import Generations
from streams.engine.recounting import renewed
from streams.engine.topic_names import LEDGER
from streams.errors import UnreachableError
from streams.kafka.cluster.topics import create_topics
from streams.kafka.group.intake import HeldError
from streams.kafka.ledger.follower import read_committed_ledger
from streams.kafka.ledger.generations import GenerationWatch, change_generations, current_generation
from streams.kafka.ledger.lone_crew import open_lone_crew
from streams.kafka.ledger.recount import LossError, Recount, RecountReport
from streams.kafka.ledger.restore import read_back
from streams.kafka.ledger.store import KILLED, KafkaLedgerStore
from streams.settings import Settings
from tests.integration.ledgers import (
    PARTITIONS,
    count,
    orders,
    pages,
    positions,
    rejected_offsets,
    send,
    source_ends,
)
from tests.unit.domain import samples

if TYPE_CHECKING:
    from pathlib import Path

    from streams.domain.declarations import Declarations

pytestmark = pytest.mark.kafka


class Bar:
    """Remembers what it was told."""

    def __init__(self) -> None:
        """Begin with nothing."""
        self.done = self.total = 0

    def advance(self, done: int) -> None:
        """Add up."""
        self.done += done

    def expect(self, total: int) -> None:
        """Take the newest."""
        self.total = total


@pytest.fixture
def declarations() -> Declarations:
    return samples.declarations()


async def recount(
    settings: Settings, declarations: Declarations, bar: Bar | None = None, *, accepts_loss: bool = False
) -> RecountReport:
    return await Recount(settings, declarations, bar or Bar(), SystemClock(), accepts_loss=accepts_loss).run()


async def begin(settings: Settings, declarations: Declarations) -> Generations:
    """Leave a recount as one that was killed before it counted anything."""
    begun = renewed(Generations(), hashlib.sha256(declarations.fingerprint).hexdigest())
    watch = GenerationWatch(settings)
    await change_generations(settings, watch, lambda _: begun)
    await watch.close()
    return begun


async def test_under_the_same_declarations_the_new_generation_equals_the_old_one(
    settings: Settings, declarations: Declarations
) -> None:
    await send(settings, orders(0, 3_000))
    await (await count(settings, declarations)).close()
    before = await read_committed_ledger(settings)
    bar = Bar()
    report = await recount(settings, declarations, bar)
    after = await read_committed_ledger(settings)
    assert (report.generation, report.previous, report.resumed) == ("g2", "g1", False)
    assert (before.generation, after.generation) == ("g1", "g2")
    assert len(pages(before)) > 20
    assert pages(after) == pages(before)
    assert positions(after) == positions(before) == await source_ends(settings, declarations)
    assert bar.done == bar.total == report.records == 3_000
    assert await current_generation(settings) == "g2"


async def test_a_changed_festival_is_refused_until_a_recount_and_the_old_declarations_after_it(
    settings: Settings, declarations: Declarations
) -> None:
    await send(settings, orders(0, 500))
    await (await count(settings, declarations)).close()
    changed = samples.declarations(samples.festival(hours=23))
    with pytest.raises(FingerprintError, match="festival day, end"):
        await count(settings, changed)
    assert (await recount(settings, changed)).generation == "g2"
    with pytest.raises(FingerprintError, match="festival day, end"):
        await count(settings, declarations, "g2")
    await (await count(settings, changed, "g2")).close()


async def test_what_no_worker_had_counted_is_counted_too_and_nothing_is_rejected_twice(
    settings: Settings, declarations: Declarations
) -> None:
    await send(settings, [*orders(0, 100), b"bad", b"{"])
    await (await count(settings, declarations)).close()
    await send(settings, [b"worse", *orders(100, 100), b"[]"])
    report = await recount(settings, declarations)
    assert await rejected_offsets(settings) == [(0, 50), (0, 51), (1, 50), (1, 101)]
    assert report.positions["orders"] == {0: 102, 1: 102}
    assert positions(await read_committed_ledger(settings)) == await source_ends(settings, declarations)


async def test_a_ledger_that_was_never_written_is_counted_from_the_beginning(
    settings: Settings, declarations: Declarations
) -> None:
    await send(settings, [*orders(0, 50), b"bad"])
    report = await recount(settings, declarations)
    assert report.records == 51
    assert await rejected_offsets(settings) == [(0, 25)]


async def test_a_worker_that_goes_on_meanwhile_is_caught_up_with_and_fenced_out_of_the_old_generation(
    settings: Settings, declarations: Declarations
) -> None:
    await send(settings, orders(0, 2_000))
    worker = await count(settings, declarations)
    is_over = asyncio.Event()

    async def go_on() -> None:
        number = 2_000
        while not is_over.is_set():
            await send(settings, [*orders(number, 20), b"bad"])
            await worker.count_to(await source_ends(settings, declarations))
            number += 20

    working = asyncio.create_task(go_on())
    assert (await recount(settings, declarations)).generation == "g2"
    is_over.set()
    await working
    await worker.close()
    successor = await count(settings, declarations, "g2")
    await successor.close()
    assert not successor.handed_over
    rejected = await rejected_offsets(settings)
    assert len(rejected) == len(set(rejected)) > 0
    after = await read_committed_ledger(settings)
    assert positions(after) == await source_ends(settings, declarations)
    # An independent count of the same log, in a generation of its own.
    assert (await recount(settings, declarations)).generation == "g3"
    assert pages(await read_committed_ledger(settings)) == pages(after)


async def test_a_takeover_of_the_old_generation_after_the_switch_is_refused(
    settings: Settings, declarations: Declarations
) -> None:
    await (await count(settings, declarations)).close()
    await recount(settings, declarations)
    store = KafkaLedgerStore(settings)
    with pytest.raises(FencedError, match="g2 is current"):
        await store.fence(0, "g1")
    assert (await store.generations()).previous == "g1"
    await store.close()


def run_command(settings: Settings, crash_at: str | None = None) -> subprocess.CompletedProcess[str]:
    environment = {**os.environ, "FESTIVAL_BROKER": settings.bootstrap_servers, "FESTIVAL_PREFIX": settings.prefix}
    if crash_at:
        environment["FESTIVAL_CRASH_AT"] = crash_at
    command = [sys.executable, "-m", "streams.cli", "recount", "--json"]
    return subprocess.run(command, env=environment, capture_output=True, text=True, check=False, timeout=120)


@pytest.mark.parametrize("crash_at", ["after_cursor:2", "during_commit:3", "after_commit:4"])
async def test_a_killed_recount_is_gone_on_with_and_the_old_generation_shown_until_the_end(
    settings: Settings, crash_at: str
) -> None:
    _, declarations = declare(settings)
    await send(settings, orders(0, 4_000))
    await (await count(settings, declarations)).close()
    before = await read_committed_ledger(settings)
    killed = await asyncio.to_thread(run_command, settings, crash_at)
    assert killed.returncode == KILLED, killed.stderr
    assert (await read_committed_ledger(settings)).generation == "g1"
    finished = await asyncio.to_thread(run_command, settings)
    assert finished.returncode == 0, finished.stderr
    report = json.loads(finished.stdout)
    assert (report["generation"], report["resumed"]) == ("g2", True)
    after = await read_committed_ledger(settings)
    assert pages(after) == pages(before)
    assert positions(after) == positions(before)


async def test_an_unfinished_recount_under_other_declarations_is_left_behind_and_its_records_removed(
    settings: Settings, declarations: Declarations
) -> None:
    await send(settings, orders(0, 300))
    await (await count(settings, declarations)).close()
    other = samples.declarations(samples.festival("morning", hours=6))
    generations = await begin(settings, other)
    beside = await open_lone_crew(
        settings, other, "g2", counts_beside=True, on_counted=lambda _: None, clock=SystemClock()
    )
    await beside.take_over(range(PARTITIONS))
    await beside.close()
    assert generations.next is not None
    assert generations.next.id == "g2"
    assert (await recount(settings, declarations)).generation == "g3"
    # g1 stays until the next recount begins, in case somebody looks for it.
    assert not (await read_back(settings, 0, "g2")).written.ledger
    assert (await read_back(settings, 0, "g1")).written.ledger
    assert (await recount(settings, declarations)).generation == "g4"
    assert not (await read_back(settings, 0, "g1")).written.ledger


async def test_a_strange_record_on_the_ledger_holds_its_partition_until_a_recount_has_removed_it(
    settings: Settings, declarations: Declarations
) -> None:
    await send(settings, orders(0, 200))
    await (await count(settings, declarations)).close()
    async with AIOKafkaProducer(**settings.client_options()) as producer:
        await producer.send_and_wait(settings.prefix + LEDGER, b"?", key=b'["v2:g1","page"]', partition=1)
    with pytest.raises(HeldError, match="v2:g1"):
        await count(settings, declarations)
    await recount(settings, declarations)
    await (await count(settings, declarations, "g2")).close()
    assert positions(await read_committed_ledger(settings)) == await source_ends(settings, declarations)


async def test_one_of_two_recounts_at_once_gives_way(settings: Settings, declarations: Declarations) -> None:
    await send(settings, orders(0, 2_000))
    await (await count(settings, declarations)).close()
    outcomes = await asyncio.gather(
        recount(settings, declarations), recount(settings, declarations), return_exceptions=True
    )
    reports = [outcome for outcome in outcomes if isinstance(outcome, RecountReport)]
    assert reports, outcomes
    delta = await read_committed_ledger(settings)
    assert delta.generation == reports[-1].generation
    assert positions(delta) == await source_ends(settings, declarations)


async def test_without_a_control_record_the_first_generation_is_current(settings: Settings) -> None:
    watch = GenerationWatch(settings)
    assert await watch.look() == await watch.confirm() == Generations()
    await watch.close()


async def test_a_topic_made_again_is_counted_and_its_bad_records_are_rejected(
    settings: Settings, declarations: Declarations
) -> None:
    await send(settings, [*orders(0, 300), b"bad"])
    await (await count(settings, declarations)).close()
    admin = AIOKafkaAdminClient(**settings.client_options())
    await admin.start()
    await admin.delete_topics([f"{settings.prefix}orders"])
    await admin.close()
    await asyncio.sleep(0.5)  # Kafka deletes in the background
    await create_topics(settings, PARTITIONS)
    await send(settings, [*orders(300, 20), b"worse"])
    with pytest.raises(LossError, match="the log holds 0 to 1"):
        await recount(settings, declarations)
    await recount(settings, declarations, accepts_loss=True)
    assert await rejected_offsets(settings) == [(0, 10), (0, 150)]
    assert positions(await read_committed_ledger(settings)) == await source_ends(settings, declarations)


async def test_a_recount_whose_log_has_lost_what_it_had_not_counted_begins_anew(
    settings: Settings, declarations: Declarations
) -> None:
    await send(settings, [*orders(0, 300), b"bad"])
    await (await count(settings, declarations)).close()
    await begin(settings, declarations)
    beside = await open_lone_crew(
        settings, declarations, "g2", counts_beside=True, on_counted=lambda _: None, clock=SystemClock()
    )
    await beside.take_over(range(PARTITIONS))
    await beside.count_to({TopicPartition("orders", p): 50 for p in range(PARTITIONS)})
    await beside.close()
    admin = AIOKafkaAdminClient(**settings.client_options())
    await admin.start()
    await admin.delete_records({TopicPartition(f"{settings.prefix}orders", 0): RecordsToDelete(100)})
    await admin.close()
    with pytest.raises(LossError, match=r"orders\[0\]: the ledger counted offsets 0 to 151, .* begins at offset 100"):
        await recount(settings, declarations)
    report = await recount(settings, declarations, accepts_loss=True)
    # 51 are left of partition 0, and partition 1 is whole.
    assert (report.generation, report.resumed, report.records) == ("g3", True, 51 + 150)
    assert not (await read_back(settings, 0, "g2")).written.ledger
    assert positions(await read_committed_ledger(settings)) == await source_ends(settings, declarations)
    assert await rejected_offsets(settings) == [(0, 150)]


async def test_a_broker_that_goes_away_ends_a_recount_and_the_next_one_goes_on(
    prefix: str, tmp_path: Path, declarations: Declarations
) -> None:
    broker = EmbeddedKafka(tmp_path / "kafka", port=any_free_port())

    class Killing(Bar):
        """Kills the broker as soon as something is counted."""

        def advance(self, done: int) -> None:
            """Add up."""
            super().advance(done)
            broker.kill()

    try:
        await asyncio.to_thread(broker.start)
        settings = Settings(broker=broker.address, prefix=prefix)
        await create_topics(settings, PARTITIONS)
        await send(settings, orders(0, 2_000))
        await (await count(settings, declarations)).close()
        async with asyncio.timeout(60):
            with pytest.raises(UnreachableError, match="Run `festival recount` again"):
                await recount(settings, declarations, Killing())
        await asyncio.to_thread(broker.start)
        report = await recount(settings, declarations)
        assert (report.generation, report.resumed) == ("g2", True)
        assert positions(await read_committed_ledger(settings)) == await source_ends(settings, declarations)
    finally:
        broker.stop()
