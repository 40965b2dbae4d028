"""What is called complete is so by the source topics as they are now: workers, boards and commands on real Kafka."""

from __future__ import annotations

import asyncio
import dataclasses
import json
import re
import subprocess
import sys
import urllib.request
from contextlib import asynccontextmanager
from pathlib import Path
from typing import TYPE_CHECKING, Any

import pytest
from aiokafka import AIOKafkaProducer
from aiokafka.admin.new_partitions import NewPartitions

from streams.board.view.live_board import LiveBoard
from streams.engine.judgement import Note
from streams.engine.status import HeldReason
from streams.kafka.cluster.topics import create_topics, open_admin
from streams.kafka.ledger.follower import LedgerFollower
from streams.kafka.ledger.store import KafkaLedgerStore
from streams.settings import Settings
from tests.integration import worker_processes as w
from tests.integration.ledgers import orders, send

if TYPE_CHECKING:
    from collections.abc import AsyncIterator

pytestmark = pytest.mark.kafka
EXAMPLES = Path(__file__).parents[2] / "docs/examples"
GROWN_SECONDS = 10
"""So long, at the most, from `festival topics` to the count of new partitions, as it is promised."""


async def _command(settings: Settings, *arguments: str) -> tuple[int, str, str]:
    """Run a command as a shell does; return exit status, stdout and stderr."""
    options = ["--broker", settings.bootstrap_servers, "--prefix", settings.prefix]
    process = await asyncio.create_subprocess_exec(
        sys.executable, "-m", "streams.cli", *arguments, *options, stdout=subprocess.PIPE, stderr=subprocess.PIPE
    )
    out, err = await asyncio.wait_for(process.communicate(), 90)
    assert process.returncode is not None
    return process.returncode, out.decode(), err.decode()


async def _totals(settings: Settings) -> dict[str, Any]:
    status, out, err = await _command(settings, "totals", "--festival", "singles-day-2019", "--json")
    assert status == 0, err
    found: dict[str, Any] = json.loads(out)
    return found


def _held(totals: dict[str, Any]) -> list[tuple[int, str, str | None]]:
    return [(held["partition"], held["reason"], held["topic"]) for held in totals["held"]]


async def _grow(settings: Settings, partitions: int, *topics: str) -> None:
    async with open_admin(settings) as admin:
        names = [settings.prefix + topic for topic in topics]
        await admin.create_partitions({name: NewPartitions(partitions) for name in names})

        async def has_grown() -> bool:
            return all(len(topic["partitions"]) == partitions for topic in await admin.describe_topics(names))

        await w.eventually_async("the broker tells of the new partitions", has_grown)


async def _delete(settings: Settings, *topics: str) -> None:
    async with open_admin(settings) as admin:
        await admin.delete_topics([settings.prefix + topic for topic in topics])


async def _prepared(kafka: str, prefix: str, tmp_path: Path) -> tuple[Settings, w.WorkerProcess]:
    """Create topics with two partitions; return the settings and a worker that is not started."""
    settings = Settings(broker=kafka, prefix=prefix, data_dir=tmp_path)
    await create_topics(settings, 2)
    return settings, w.WorkerProcess(settings, "one")


async def _until(settings: Settings, what: str, wanted: dict[str, Any], timeout: float = 30) -> dict[str, Any]:  # noqa: ASYNC109 - names what is missing
    """Wait until the totals have the wanted values; return them."""
    totals: dict[str, Any] = {}

    async def has() -> bool:
        totals.update(await _totals(settings))
        return all(totals[key] == value for key, value in wanted.items())

    try:
        await w.eventually_async(what, has, timeout)
    except AssertionError as error:
        shown = {key: totals.get(key) for key in (*wanted, "held", "open_transactions", "positions", "complete")}
        raise AssertionError(f"{error}: {shown}") from None
    return totals


@asynccontextmanager
async def _board(settings: Settings) -> AsyncIterator[LiveBoard]:
    """Give a board that follows the ledger, as `festival board` has one."""
    board = LiveBoard(LedgerFollower(settings))
    running = asyncio.create_task(board.run())
    try:
        yield board
    finally:
        running.cancel()
        await asyncio.gather(running, return_exceptions=True)


def _metrics(worker: w.WorkerProcess) -> list[str]:
    """Return the lines of a worker's page of metrics; it is ready, or this fails."""
    found = re.search(r"serving url=(\S+)", worker.log())
    assert found is not None
    with urllib.request.urlopen(f"{found[1]}readyz", timeout=10) as answer:  # noqa: S310 - a worker's own address
        assert answer.status == 200
    with urllib.request.urlopen(f"{found[1]}metrics", timeout=10) as answer:  # noqa: S310 - the same
        text: str = answer.read().decode()
    return text.splitlines()


def _sorted(line: str) -> str:
    """Return a sample with its labels in order."""
    name, _, rest = line.partition("{")
    labels, _, value = rest.partition("}")
    return f"{name}{{{','.join(sorted(labels.split(',')))}}}{value}" if rest else line


async def _send_to(settings: Settings, partition: int, values: list[bytes], topic: str = "orders") -> None:
    async with AIOKafkaProducer(**settings.client_options(), acks="all") as producer:
        for value in values:
            await producer.send_and_wait(settings.prefix + topic, value, partition=partition)


async def test_an_open_transaction_is_lag_and_is_told_by_totals_and_check(
    kafka: str, prefix: str, tmp_path: Path
) -> None:
    settings, worker = await _prepared(kafka, prefix, tmp_path)
    topic = settings.prefix + "orders"
    await _send_to(settings, 0, orders(0, 3))
    producer = AIOKafkaProducer(**settings.client_options(), transactional_id=f"{prefix}hang")
    with w.ended(worker):
        worker.start()
        await worker.counting(2)
        await producer.start()
        try:
            await producer.begin_transaction()
            hanging = await producer.send_and_wait(topic, orders(900, 1)[0], partition=0)
            await _send_to(settings, 0, orders(100, 500))
            totals = await _until(settings, "the lag counts to the high watermark", {"orders": 3, "lag_records": 501})
            assert totals["complete"] is True
            await asyncio.sleep(6)
            totals = await _totals(settings)
            assert totals["complete"] is True
            (opened,) = totals["open_transactions"]
            told = {"topic": "orders", "partition": 0, "offset": hanging.offset, "transactional_id": f"{prefix}hang"}
            assert opened.items() >= {**told, "since_ms": hanging.timestamp}.items()
            assert isinstance(opened["producer_id"], int)
            status, out, _ = await _command(settings, "check")
            assert status == 1
            assert f" abort --topic {topic} --partition 0 --start-offset {hanging.offset}" in out
            _, out, _ = await _command(settings, "totals", "--festival", "singles-day-2019")
            assert "complete, 501 records behind" in out
            assert f"{prefix}hang" in out
            page = await asyncio.to_thread(_metrics, worker)
            assert 'streams_lag_records{partition="0",topic="orders"} 501.0' in [_sorted(line) for line in page]
            assert "festival_open_transactions 1.0" in page
            assert 'festival_complete{festival="singles-day-2019"} 1.0' in page
            await producer.abort_transaction()
        finally:
            await producer.stop()
        await _until(settings, "everything is counted", {"orders": 503, "lag_records": 0, "open_transactions": []})
        assert worker.stop() == 0


async def test_partitions_added_to_all_sources_are_held_until_the_ledger_has_them_and_counted_then(
    kafka: str, prefix: str, tmp_path: Path
) -> None:
    settings, worker = await _prepared(kafka, prefix, tmp_path)
    await send(settings, orders(0, 10))
    with w.ended(worker):
        async with _board(settings) as board:
            worker.start()
            await worker.counting(2)
            await w.eventually("the board has all", lambda: board.judgement().is_complete)
            await _grow(settings, 4, "orders", "payments", "parcels", "recycling")
            await _send_to(settings, 3, orders(100, 5))
            await w.eventually("the board sees them", lambda: not board.judgement().is_complete)
            assert {held.reason for held in board.judgement().held} == {HeldReason.NOT_IN_LEDGER}
            totals = await _until(settings, "the first ten are counted", {"orders": 10})
            assert (totals["complete"], totals["lag_records"]) == (False, 5)
            assert _held(totals) == [(2, "not_in_ledger", None), (3, "not_in_ledger", None)]
            status, out, _ = await _command(settings, "audit")
            assert status == 1
            assert "partition 3 is held (not_in_ledger)" in out
            assert "festival topics" in out
            await w.eventually("the worker holds them", lambda: worker.log().count("partition held") == 2)
            status, out, err = await _command(settings, "topics", "--json")
            assert status == 0, err
            report = json.loads(out)
            assert sorted(report["grown"]) == sorted(
                settings.prefix + name
                for name in ("festival.ledger", "festival.seen", *(f"{s}.rejected" for s in w.TOPICS))
            )
            assert report["counts"][f"{settings.prefix}festival.imports"] == 2
            grown = {"orders": 15, "complete": True, "lag_records": 0, "held": []}
            await _until(settings, "the new partitions are counted", grown, GROWN_SECONDS)
            await w.eventually("the board follows them", lambda: board.judgement().is_complete, GROWN_SECONDS)
            assert board.snapshot().positions()["orders"][3] == 5
            assert (await _command(settings, "audit"))[0] == 0
            assert worker.stop() == 0


async def test_a_worker_starts_on_sources_of_which_one_has_grown_and_counts_what_all_have(
    kafka: str, prefix: str, tmp_path: Path
) -> None:
    settings, worker = await _prepared(kafka, prefix, tmp_path)
    other = w.WorkerProcess(settings, "two")
    await send(settings, orders(0, 10))
    await _grow(settings, 4, "orders")
    await _send_to(settings, 3, orders(100, 5))
    with w.ended(worker, other):
        worker.start()
        other.start()
        totals = await _until(settings, "what all have is counted", {"orders": 10})
        assert (totals["complete"], totals["lag_records"]) == (False, 5)
        assert _held(totals) == [(2, "unequal_partitions", "payments"), (3, "unequal_partitions", "payments")]
        status, out, _ = await _command(settings, "audit")
        assert (status, "(unequal_partitions)" in out) == (1, True)
        status, _, err = await _command(settings, "topics")
        assert (status, "kafka-topics.sh" in err) == (2, True)
        await _grow(settings, 4, "payments", "parcels", "recycling")
        grown = {"orders": 15, "complete": True, "held": []}
        await _until(settings, "all four are counted", grown, GROWN_SECONDS)
        assert "not_colocated" not in worker.log() + other.log()


async def test_a_note_is_seen_by_all_readers_until_the_next_cursor(kafka: str, prefix: str, tmp_path: Path) -> None:
    settings, worker = await _prepared(kafka, prefix, tmp_path)
    with w.ended(worker):
        worker.start()
        await worker.counting(2)
        await _until(settings, "both are covered", {"complete": True})
        assert worker.stop() == 0
        store = KafkaLedgerStore(settings)
        partition = await store.fence(1, "g1")
        note = Note(HeldReason.LOG_UNREADABLE, "orders", 1_573_401_600_000, "orders[1] at offset 7: damaged")
        await partition.leave_note(note)
        await partition.close()
        await store.close()
        async with _board(settings) as board:
            await w.eventually("a board sees it", lambda: bool(board.judgement().held))
            assert not board.judgement().is_complete
        totals = await _totals(settings)
        assert totals["complete"] is False
        assert totals["held"] == [dataclasses.asdict(note_as_held(note))]
        assert (await _command(settings, "audit"))[0] == 1
        worker.start()
        await worker.counting(4)
        await _until(settings, "the cursor overrules it", {"complete": True, "held": []})


@dataclasses.dataclass(frozen=True)
class _Shown:
    partition: int
    reason: str
    topic: str | None
    since_ms: int
    detail: str


def note_as_held(note: Note) -> _Shown:
    """Return partition 1's note as the document has it."""
    return _Shown(1, str(note.reason), note.topic, note.since_ms, note.detail)


async def test_a_topic_that_is_deleted_under_a_worker_is_told_as_missing_and_not_made_again(
    kafka: str, prefix: str, tmp_path: Path
) -> None:
    settings, worker = await _prepared(kafka, prefix, tmp_path)
    await send(settings, orders(0, 10))
    with w.ended(worker):
        worker.start()
        await _until(settings, "ten are counted", {"orders": 10})
        await _delete(settings, "orders")
        await w.eventually("the worker ends", worker.has_ended, 60)
        assert worker.process.returncode == 3
        assert "(log_missing)" in worker.log() or "log_missing" in worker.log()
        assert "not_colocated" not in worker.log()
        totals = await _totals(settings)
        assert _held(totals) == [(0, "log_missing", "orders"), (1, "log_missing", "orders")]
        status, _, err = await _command(settings, "audit")
        assert status == 3
        assert "orders[0]" in err


async def test_an_audit_of_positions_beyond_the_log_ends_and_names_the_offsets(
    kafka: str, prefix: str, tmp_path: Path
) -> None:
    settings, worker = await _prepared(kafka, prefix, tmp_path)
    await send(settings, orders(0, 10))
    with w.ended(worker):
        worker.start()
        await _until(settings, "ten are counted", {"orders": 10})
        assert worker.stop() == 0
    await _delete(settings, "orders")
    await asyncio.sleep(1)
    await create_topics(settings)
    status, _, err = await asyncio.wait_for(_command(settings, "audit"), 60)
    assert status == 3
    assert f"{settings.prefix}orders[0] ends at offset 0, the ledger stands at 5" in err
    totals = await _totals(settings)
    assert (_held(totals)[0], totals["lag_records"]) == ((0, "log_replaced", "orders"), -10)
    with w.ended(worker):
        worker.start()
        await w.eventually("the worker ends, as everything is held", worker.has_ended, 60)
        assert worker.process.returncode == 3
    first, second = await _totals(settings), await _totals(settings)
    # Everybody sees that reason for himself, so nobody notes it: since when is when each process saw it first.
    since = [[one.pop("since_ms") for one in told["held"]] for told in (first, second)]
    assert since[0] <= since[1]
    assert first["held"] == second["held"]
    assert first["held"][0]["reason"] == "log_replaced"


async def test_the_place_of_an_import_follows_the_topic_of_imports(kafka: str, prefix: str, tmp_path: Path) -> None:
    """Else a file would be sent again once the sources have grown."""
    settings = Settings(broker=kafka, prefix=prefix, data_dir=tmp_path)
    await create_topics(settings, 1)
    arguments = ("import", str(EXAMPLES / "shop.csv"), "--map", str(EXAMPLES / "shop.toml"), "--json")
    _, out, err = await _command(settings, *arguments)
    assert json.loads(out)["files"][0]["state"] == "imported", (out, err)
    await _grow(settings, 4, "orders", "payments", "parcels", "recycling")
    await create_topics(settings)
    _, out, err = await _command(settings, *arguments)
    assert json.loads(out)["files"][0]["state"] == "done before", (out, err)
