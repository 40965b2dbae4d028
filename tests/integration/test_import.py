"""The import on real Kafka: each row once, however it is killed, crashed, doubled or started again."""

from __future__ import annotations

import asyncio
import json
import random
import signal
import sys
from collections import Counter
from typing import TYPE_CHECKING, Any

import duckdb
import pytest
from aiokafka.errors import KafkaError
from aiokafka.structs import TopicPartition

from streams.cli.main import run as command
from streams.engine.clock import SystemClock
from streams.errors import UnreachableError, UsageError
from streams.festivals import load_festivals
from streams.imports import file_import
from streams.imports.file_import import FileImport, Listener, conversion_of, import_file
from streams.imports.files import look_at
from streams.imports.mapping import NO_MAPPING
from streams.imports.part_writer import PartWriter
from streams.imports.partitioning import partitions_of
from streams.imports.tables import open_table
from streams.kafka.client.log_reader import LogReader
from streams.kafka.client.transaction import Transaction
from streams.kafka.cluster.topics import create_topics
from streams.settings import Settings

if TYPE_CHECKING:
    from pathlib import Path

pytestmark = pytest.mark.kafka
PARTITIONS = 3
FESTIVALS = tuple(load_festivals().values())
START_MS = next(f.start_ms for f in FESTIVALS if f.id == "singles-day-2019")
COLUMNS = "order_id,platform,merchant,market,currency,amount_minor,ts"


@pytest.fixture
def settings(kafka: str, prefix: str, monkeypatch: pytest.MonkeyPatch) -> Settings:
    monkeypatch.setenv("FESTIVAL_BROKER", kafka)
    monkeypatch.setenv("FESTIVAL_PREFIX", prefix)
    found = Settings(broker=kafka, prefix=prefix)
    asyncio.run(create_topics(found, PARTITIONS))
    return found


def row(number: int) -> str:
    """Return a row; every thousandth is bad."""
    amount = "free" if number % 1000 == 0 else str(number)
    return f"o{number},tmall,m{number % 7},CN,CNY,{amount},{START_MS + number}"


def write(path: Path, rows: int) -> Path:
    path.write_text("\n".join([COLUMNS, *map(row, range(1, rows + 1))]), encoding="utf-8")
    return path


def good(rows: int) -> list[int]:
    return [number for number in range(1, rows + 1) if number % 1000]


async def _read(
    settings: Settings, *, is_committed_only: bool, topic: str = "orders"
) -> list[tuple[int, bytes | None, dict[str, Any]]]:
    reader = await LogReader.open(settings, is_committed_only=is_committed_only)
    try:
        places = [TopicPartition(topic, partition) for partition in range(PARTITIONS)]
        ends = await reader.end_offsets(places)
        await reader.assign_from_beginning(places)
        found = []
        while any(reader.positions[place] < ends[place] for place in places):
            for batch in await reader.fetch(5):
                for key, value in zip(batch.keys, batch.values, strict=True):
                    found.append((batch.partition, key, json.loads(value or b"")))
    finally:
        await reader.close()
    return found


def sent(settings: Settings) -> list[int]:
    """Return the amounts on the topic, ascending: of a test's file, its row numbers."""
    return sorted(event["amount_minor"] for _, _, event in asyncio.run(_read(settings, is_committed_only=True)))


def wanted(path: Path, *, is_again: bool = False) -> FileImport:
    return FileImport(look_at(path), NO_MAPPING, FESTIVALS, is_again)


def imported(path: Path, settings: Settings, listener: Listener | None = None, *, again: bool = False) -> Any:  # noqa: ANN401
    found = wanted(path, is_again=again)
    return asyncio.run(import_file(found, settings, PARTITIONS, SystemClock(), listener or Listener()))


async def _killed_and_started_again(settings: Settings, path: Path, kills: int, seed: int) -> int:
    """Start the command, kill it soon after it has sent something more, and so on; then let it end."""
    moments = random.Random(seed)  # noqa: S311 - a seed that a failure names
    watcher = await LogReader.open(settings, is_committed_only=False)
    places = [TopicPartition("orders", partition) for partition in range(PARTITIONS)]
    try:
        for _ in range(kills):
            before = sum((await watcher.end_offsets(places)).values())
            process = await asyncio.create_subprocess_exec(
                *(sys.executable, "-m", "streams.cli", "import", str(path)),
                stdout=asyncio.subprocess.DEVNULL,
                stderr=asyncio.subprocess.DEVNULL,
            )
            while process.returncode is None and sum((await watcher.end_offsets(places)).values()) == before:
                await asyncio.sleep(0.01)
            await asyncio.sleep(moments.uniform(0, 0.25))
            if process.returncode is None:
                process.send_signal(signal.SIGKILL)
            await process.wait()
    finally:
        await watcher.close()
    process = await asyncio.create_subprocess_exec(
        *(sys.executable, "-m", "streams.cli", "import", str(path)), stdout=asyncio.subprocess.DEVNULL
    )
    return await process.wait()


@pytest.mark.parametrize(("kills", "rows"), [(5, 60_000), pytest.param(25, 250_000, marks=pytest.mark.long)])
def test_killed_at_random_points_and_started_again_each_row_is_there_once(
    settings: Settings, tmp_path: Path, capsys: pytest.CaptureFixture[str], kills: int, rows: int
) -> None:
    path = write(tmp_path / "orders.csv", rows)
    seed = random.SystemRandom().randrange(2**32)
    assert asyncio.run(_killed_and_started_again(settings, path, kills, seed)) == 1, f"bad rows, seed {seed}"
    assert sent(settings) == good(rows), f"seed {seed}"
    capsys.readouterr()
    assert command(["import", "--json", str(path)]) == 1
    document = json.loads(capsys.readouterr().out)
    (file,) = document["files"]
    assert (file["state"], file["rows"], file["sent"], file["bad"]) == (
        "done before",
        rows,
        len(good(rows)),
        {"bad_number": rows // 1000},
    )
    assert [bad["row"] for bad in file["bad_rows"]] == list(range(1000, rows + 1, 1000)), f"seed {seed}"
    assert file["festivals"]["singles-day-2019"]["money"]["CNY"]["gross"] == sum(good(rows))
    assert len(sent(settings)) == len(good(rows)), "a file that is imported is not sent again"


@pytest.mark.parametrize("is_committed", [False, True], ids=["before the commit", "after the commit"])
def test_a_crash_on_either_side_of_the_commit_loses_and_doubles_nothing(
    settings: Settings, tmp_path: Path, monkeypatch: pytest.MonkeyPatch, *, is_committed: bool
) -> None:
    monkeypatch.setattr(file_import, "PART_ROWS", 100)
    path = write(tmp_path / "orders.csv", 950)
    commit = Transaction.commit
    counts = Counter[str]()

    async def crash(self: Transaction) -> None:
        counts["commits"] += 1
        if counts["commits"] % 3 or counts["crashes"] == 3:
            await commit(self)
            return
        await (commit(self) if is_committed else self.flush())
        counts["crashes"] += 1
        raise KafkaError("the connection is gone")

    monkeypatch.setattr(Transaction, "commit", crash)
    for _ in range(3):
        with pytest.raises(UnreachableError, match="goes on where this ended"):
            imported(path, settings)
    done = imported(path, settings)
    assert (done.state, done.progress.rows, done.progress.is_done) == ("resumed", 950, True)
    assert sent(settings) == good(950)


def test_two_import_one_file_and_the_later_one_goes_on_and_the_earlier_one_is_told(
    settings: Settings, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(file_import, "PART_ROWS", 100)
    path = write(tmp_path / "orders.csv", 900)

    async def both() -> None:
        first = await PartWriter.open(settings, wanted(path).key, PARTITIONS, "orders")
        done = await import_file(wanted(path), settings, PARTITIONS, SystemClock(), Listener())
        assert done.progress.is_done
        conversion = conversion_of(wanted(path), 1)
        rows = list(open_table(path, NO_MAPPING).rows(conversion.columns, 0))[:100]
        part = conversion.convert(rows, SystemClock().now_ms())
        with pytest.raises(UsageError, match="another process"):
            await first.commit(part, done.progress.after(part))
        await first.close()

    asyncio.run(both())
    assert sent(settings) == good(900)


def test_an_interrupted_import_is_resumed_and_again_begins_a_new_run(
    settings: Settings, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(file_import, "PART_ROWS", 100)
    path = write(tmp_path / "orders.csv", 300)

    class Interrupted(Listener):
        rows = 0

        def advances(self, rows: int) -> None:
            self.rows += rows

        def is_stopped(self) -> bool:
            return self.rows >= 100

    states = []
    for again in (False, True):
        stopped = imported(path, settings, Interrupted(), again=again)
        assert (stopped.progress.run, stopped.progress.rows) == (1 + again, 100)
        # With --again too: what was not finished is finished first.
        states += [stopped.state, imported(path, settings, again=again).state, imported(path, settings).state]
    assert states == ["interrupted", "resumed", "done before"] * 2
    assert sent(settings) == sorted(good(300) * 2)
    events = asyncio.run(_read(settings, is_committed_only=True))
    assert len({event["event_id"] for *_, event in events}) == 600, "a new run's orders are not taken for resends"
    for partition, key, event in events:
        assert key is not None
        assert key == event["order_id"].encode()
        assert partitions_of([key], PARTITIONS).tolist() == [partition]


def test_all_formats_give_the_same_orders_and_other_mappings_are_noticed(
    settings: Settings, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    csv = write(tmp_path / "orders.csv", 50)
    ndjson, parquet = tmp_path / "orders.ndjson", tmp_path / "orders.parquet"
    for copy in (f"'{ndjson}' (FORMAT json)", f"'{parquet}' (FORMAT parquet)"):
        duckdb.execute(f"COPY (FROM '{csv}') TO {copy}")
    assert command(["import", str(csv), str(ndjson), str(parquet)]) == 0
    events = asyncio.run(_read(settings, is_committed_only=True))
    identities = Counter(
        json.dumps({name: value for name, value in event.items() if name != "event_id"}) for *_, event in events
    )
    assert len(identities) == 50
    assert set(identities.values()) == {3}
    mapping = tmp_path / "map.toml"
    fields = [f'{name} = "{name}"' for name in COLUMNS.split(",")]
    mapping.write_text("\n".join(["[fields]", *fields]), encoding="utf-8")
    capsys.readouterr()
    assert command(["import", "--map", str(mapping), str(csv)]) == 0
    assert "sent before, with another mapping" in capsys.readouterr().out


def test_a_file_that_changes_meanwhile_is_not_gone_on_with(
    settings: Settings, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(file_import, "PART_ROWS", 100)
    path = write(tmp_path / "orders.csv", 300)

    class Writes(Listener):
        def advances(self, rows: int) -> None:
            write(path, 300 + rows)

    with pytest.raises(UsageError, match="has changed while it was read"):
        imported(path, settings, Writes())
    assert sent(settings) == good(100)


def test_a_resumed_import_knows_the_ids_of_the_rows_before(
    settings: Settings, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(file_import, "PART_ROWS", 100)
    path = tmp_path / "orders.csv"
    lines = [f"{row(number)},e{number % 250}" for number in range(1, 301)]
    path.write_text("\n".join([f"{COLUMNS},event_id", *lines]), encoding="utf-8")

    class Interrupted(Listener):
        def is_stopped(self) -> bool:
            return bool(self.rows)

        def advances(self, rows: int) -> None:
            self.rows = rows

        rows = 0

    states = [imported(path, settings, Interrupted()).state for _ in range(3)]
    done = imported(path, settings)
    assert (states, done.state) == (["interrupted"] * 3, "resumed")
    assert (done.progress.sent, done.progress.bad) == (250, {"duplicate": 50})
    assert [bad.row for bad in done.bad_rows] == list(range(251, 301))
    assert sent(settings) == list(range(1, 251))
    assert done.progress.lines == {"header": 1, "rows": 300}


def test_two_mappings_of_one_file_are_two_imports_and_expect_each_other(
    settings: Settings, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    path = write(tmp_path / "orders.csv", 50)
    maps = {}
    for to, more in (("orders", ""), ("payments", 'method = { constant = "card" }')):
        maps[to] = tmp_path / f"{to}.toml"
        fields = [f'{name} = "{name}"' for name in COLUMNS.split(",")]
        maps[to].write_text("\n".join([f'to = "{to}"', "[fields]", *fields, more]), encoding="utf-8")
    both = [part for mapping in maps.values() for part in ("--map", str(mapping))]
    for state in ("imported", "done before"):
        assert command(["import", *both, str(path)]) == 0
        told = capsys.readouterr().out
        assert told.count(f": {state}: 50 rows: 50 sent") == 2
        assert "another mapping" not in told
    assert sent(settings) == good(50)
    payments = asyncio.run(_read(settings, is_committed_only=True, topic="payments"))
    assert {(event["type"], event["payment_id"] == event["event_id"]) for *_, event in payments} == {
        ("payment_captured", True)
    }
    assert sorted(event["amount_minor"] for *_, event in payments) == good(50)


def test_without_kafka_nothing_is_begun(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("FESTIVAL_BROKER", "127.0.0.1:1")
    assert command(["import", str(write(tmp_path / "orders.csv", 3))]) == 3
    assert command(["import", "--check", str(tmp_path / "orders.csv")]) == 0
