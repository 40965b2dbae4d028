"""The replay against real Kafka: what the tally says was acknowledged is what lies on the topics."""

from __future__ import annotations

import asyncio
import threading
from collections import Counter
from decimal import Decimal
from fractions import Fraction
from typing import TYPE_CHECKING

import orjson
import pytest
from aiokafka.structs import TopicPartition
from click.testing import CliRunner

from streams.broker.embedded import EmbeddedKafka, any_free_port
from streams.cli.main import festival as commands
from streams.engine.clock import SystemClock
from streams.errors import UnreachableError
from streams.festivals import load_festivals
from streams.kafka.client.log_reader import LogReader
from streams.kafka.cluster.topics import create_topics
from streams.replay.load import Load, festival_load
from streams.replay.processes import replay
from streams.replay.sender import Sending
from streams.settings import Settings
from streams.truth.tally import compare, merge_tallies
from tests.unit.replay.memory import Log
from tests.unit.replay.test_tally_and_ledger import documents

if TYPE_CHECKING:
    from pathlib import Path

    from streams.truth.tally import Tally

pytestmark = pytest.mark.kafka
PARTITIONS = 3
DAY = load_festivals()["singles-day-2019"]
SHARES = {"duplicates": "0.1", "late": "0.05", "poison": "0.05", "cancel": "0.05"}


@pytest.fixture
def settings(kafka: str, prefix: str) -> Settings:
    """Return settings with topics of their own."""
    found = Settings(broker=kafka, prefix=prefix)
    asyncio.run(create_topics(found, PARTITIONS))
    return found


def load_of(orders: int, seed: int = 1) -> Load:
    shares = {name: Decimal(share) for name, share in SHARES.items()}
    now_ms = SystemClock().now_ms()
    return festival_load(DAY, now_ms, orders=orders, partitions=PARTITIONS, seed=seed, shares=shares)


async def _read(settings: Settings, tally: Tally) -> Log:
    reader = await LogReader.open(settings)
    ends = {
        TopicPartition(topic, int(partition)): end
        for topic, found in tally["end_offsets"].items()
        for partition, end in found.items()
    }
    log = Log({(tp.topic, tp.partition): [] for tp in ends}, {}, {})
    await reader.assign_from_beginning(ends)
    while any(reader.positions[tp] < end for tp, end in ends.items()):
        for batch in await reader.fetch(5):
            place = (batch.topic, batch.partition)
            log.values.setdefault(place, []).extend(batch.values)
            log.record_times_ms.setdefault(place, []).extend(batch.record_times_ms)
    await reader.close()
    return log


def read(settings: Settings, tally: Tally) -> Log:
    return asyncio.run(_read(settings, tally))


def acknowledged(tally: Tally) -> dict[tuple[str, int], int]:
    return {(t, int(p)): n for t, found in tally["acknowledged"].items() for p, n in found.items()}


@pytest.mark.parametrize("processes", [1, 2])
def test_the_topics_hold_what_the_tally_says_and_count_to_its_totals(settings: Settings, processes: int) -> None:
    reported: list[int] = []
    sending = Sending(settings, tuple(load_festivals().values()))
    done = replay(load_of(5_000), sending, processes=processes, report=reported.append)
    assert done.error is None
    assert sum(reported) == done.tally["festivals"][DAY.id]["orders"] == 5_000
    log = read(settings, done.tally)
    assert {place: len(values) for place, values in log.values.items()} == acknowledged(done.tally)
    for document in documents(log):
        assert compare(done.tally, document) == []


def test_a_replay_after_another_adds_up(settings: Settings) -> None:
    festivals = tuple(load_festivals().values())
    first = replay(load_of(2_000), Sending(settings, festivals), processes=2).tally
    after = Sending(settings, festivals, after=first["max_event_times_ms"], compression="lz4")
    second = replay(load_of(1_000, seed=2), after).tally
    merged = merge_tallies([first, second])
    assert merged["festivals"][DAY.id]["orders"] == 3_000
    for document in documents(read(settings, merged)):
        assert compare(merged, document) == []


def test_a_paced_replay_takes_the_time_it_should_and_reports_its_slip(settings: Settings) -> None:
    done = replay(load_of(1_000), Sending(settings, (DAY,), speed=Fraction(86_400, 2)), processes=2)
    assert 2_000 <= done.elapsed_ms < 20_000
    assert 0 <= done.slip_p99_ms <= done.slip_max_ms
    assert done.tally["festivals"][DAY.id]["orders"] == 1_000


@pytest.mark.parametrize("processes", [1, 2])
def test_a_replay_that_is_stopped_has_the_tally_of_what_it_sent(settings: Settings, processes: int) -> None:
    stop = threading.Event()
    sending = Sending(settings, tuple(load_festivals().values()), speed=Fraction(86_400, 20))
    done = replay(load_of(20_000), sending, processes=processes, report=lambda n: stop.set() if n else None, stop=stop)
    assert done.is_interrupted
    assert 0 < done.tally["festivals"][DAY.id]["orders"] < 20_000
    log = read(settings, done.tally)
    assert Counter({place: len(values) for place, values in log.values.items()}) == acknowledged(done.tally)
    for document in documents(log):
        assert compare(done.tally, document) == []


def test_without_a_broker_it_says_so() -> None:
    settings = Settings(broker=f"127.0.0.1:{any_free_port()}")
    for processes in (1, 2):
        with pytest.raises(Exception, match=r"cannot be reached") as failed:
            replay(load_of(10), Sending(settings, ()), processes=processes)
        assert getattr(failed.value, "exit_status", None) == UnreachableError.exit_status


def test_the_command_writes_the_tally_and_prints_one_document(settings: Settings, tmp_path: Path) -> None:
    arguments = ["replay", "--broker", settings.bootstrap_servers, "--prefix", settings.prefix, "--orders", "500"]
    arguments += ["--duplicates", "5%", "--poison", "0.1", "--processes", "1", "--json"]
    result = CliRunner().invoke(commands, [*arguments, "--tally", str(tmp_path / "tally.json")])
    assert result.exit_code == 0, result.output
    document = orjson.loads(result.stdout)
    assert document["run"]["records"] == sum(acknowledged(document).values())
    del document["run"]
    assert document == orjson.loads((tmp_path / "tally.json").read_bytes())
    assert document["outcomes"]["orders"]["duplicate"] > 0


def test_the_tally_holds_through_the_death_of_the_broker(tmp_path: Path) -> None:
    with EmbeddedKafka(tmp_path / "kafka", port=any_free_port()) as broker:
        settings = Settings(broker=broker.address)
        asyncio.run(create_topics(settings, PARTITIONS))
        killed = threading.Event()
        sent = 0

        def report(orders: int) -> None:
            nonlocal sent
            sent += orders
            if sent > 15_000 and not killed.is_set():
                killed.set()
                broker.kill()
                threading.Thread(target=broker.start).start()

        sending = Sending(settings, tuple(load_festivals().values()), speed=Fraction(86_400, 15))
        done = replay(load_of(40_000), sending, report=report)
        assert killed.is_set()
        assert done.error is None
        assert done.tally["festivals"][DAY.id]["orders"] == 40_000
        log = read(settings, done.tally)
        assert {place: len(values) for place, values in log.values.items()} == acknowledged(done.tally)
        for document in documents(log):
            assert compare(done.tally, document) == []
