"""A recount brings a new generation while the old one is still shown, whatever comes in between."""

from __future__ import annotations

import asyncio
import json
import os
import subprocess
import sys
from typing import TYPE_CHECKING

import pytest
from aiokafka import AIOKafkaProducer
from aiokafka.admin import AIOKafkaAdminClient

from streams.app import declare
from streams.domain.declarations import FingerprintError
from streams.engine.checkpoint import FencedError, UnreadableError
from streams.engine.clock import SystemClock
from streams.kafka.catch_up import CatchUp, up_to
from streams.kafka.follower import read_committed_ledger
from streams.kafka.generations import Generations, GenerationWatch, current_generation
from streams.kafka.recount import Recount, RecountReport
from streams.kafka.restore import read_back
from streams.kafka.store import KILLED, KafkaLedgerStore
from streams.kafka.topics import LEDGER, create_topics
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
    from streams.domain.declarations import Declarations
    from streams.settings import Settings

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


async def recount(settings: Settings, declarations: Declarations, bar: Bar | None = None) -> RecountReport:
    return await Recount(settings, declarations, bar or Bar(), SystemClock()).run()


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
    changed = samples.declarations(samples.festival(), samples.festival("morning", hours=6))
    with pytest.raises(FingerprintError, match="morning"):
        await count(settings, changed)
    assert (await recount(settings, changed)).generation == "g2"
    with pytest.raises(FingerprintError, match="morning"):
        await count(settings, declarations, "g2")
    await (await count(settings, changed, "g2")).close()
    assert any("morning" in key for key in pages(await read_committed_ledger(settings)))


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
    unfinished = Recount(settings, other, Bar(), SystemClock())
    watch = GenerationWatch(settings)
    generations, _ = await unfinished._begin(watch)
    await watch.close()
    beside = CatchUp(settings, other, "g2", counts_beside=True, on_counted=lambda _: None, clock=SystemClock())
    await beside.take_over(range(PARTITIONS))
    await beside.close()
    assert generations.next is not None
    assert generations.next.id == "g2"
    assert (await recount(settings, declarations)).generation == "g3"
    # g1 stays until the next recount begins, in case somebody looks for it.
    assert not (await read_back(settings, 0, "g2")).restored.pages
    assert (await read_back(settings, 0, "g1")).restored.pages
    assert (await recount(settings, declarations)).generation == "g4"
    assert not (await read_back(settings, 0, "g1")).restored.pages


async def test_a_strange_record_on_the_ledger_holds_its_partition_until_a_recount_has_removed_it(
    settings: Settings, declarations: Declarations
) -> None:
    await send(settings, orders(0, 200))
    await (await count(settings, declarations)).close()
    async with AIOKafkaProducer(**settings.client_options()) as producer:
        await producer.send_and_wait(settings.prefix + LEDGER, b"?", key=b'["v2:g1","page"]', partition=1)
    with pytest.raises(UnreadableError, match="v2:g1"):
        await count(settings, declarations)
    await recount(settings, declarations)
    await (await count(settings, declarations, "g2")).close()
    assert positions(await read_committed_ledger(settings)) == await source_ends(settings, declarations)


async def test_of_two_recounts_at_once_one_gives_way(settings: Settings, declarations: Declarations) -> None:
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


def test_a_batch_is_cut_below_an_offset_also_where_records_are_missing() -> None:
    from streams.engine.batch import RecordBatch  # noqa: PLC0415

    batch = RecordBatch("orders", 0, 10, 20, [11, 12, 17], [None] * 3, [b"a", b"b", b"c"], [1, 2, 3])
    assert up_to(batch, 20) is batch
    cut = up_to(batch, 15)
    assert (cut.start, cut.next_offset, list(cut.values), list(cut.record_times_ms)) == (10, 15, [b"a", b"b"], [1, 2])
    assert (len(up_to(batch, 11)), up_to(batch, 11).next_offset) == (0, 11)


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
    await recount(settings, declarations)
    assert await rejected_offsets(settings) == [(0, 10), (0, 150)]
    assert positions(await read_committed_ledger(settings)) == await source_ends(settings, declarations)
