"""Exact under every fault of the guarantee (contract 6): each test ends with difference zero, twice.

Once against the replay's tally, which knows what the broker acknowledged, by every dimension; once against the
audit, which recounts the log by other code and compares every cell, outcome and rejected record.
"""

from __future__ import annotations

import asyncio
import signal
from dataclasses import dataclass
from typing import TYPE_CHECKING

import pytest
from aiokafka import AIOKafkaProducer

from streams.broker.embedded import EmbeddedKafka, any_free_port
from streams.engine.steps import Step
from tests.acceptance.cluster import POLL_SECONDS, SESSION_MS, Cluster
from tests.unit.audit.bench import START_MS, encode, order, payment

if TYPE_CHECKING:
    import random
    from pathlib import Path

pytestmark = [pytest.mark.kafka, pytest.mark.timeout(300)]

HOSTILE = ("--duplicates", "20%", "--poison", "5%", "--late", "3%", "--cancel", "2%")
RECORDS_PER_ORDER = 6
"""About: an order, its payment, three events of its parcel, their resends and bad records."""
CRASHED = 137


async def assert_exact(cluster: Cluster, replay: str) -> None:
    """Wait for the end of a replay and of the counting; nothing may differ."""
    assert await cluster.ended(replay) == 0, cluster.log(replay)
    await cluster.until_caught_up()
    assert cluster.differences_from_tally(replay) == []
    assert await cluster.differences_from_audit() == []


async def kill_at_random_instants(cluster: Cluster, chaos: random.Random, kills: int, orders: int) -> None:
    """Kill the only worker again and again while the load comes in, and start it again under its name."""
    load = int(orders * RECORDS_PER_ORDER)
    cluster.start_worker("only")
    for _ in range(kills):
        more = cluster.counted_records() + load // (3 * kills)
        # On a slow machine one restart may count all there is: then there is no more to wait for.
        await cluster.until(
            lambda more=more: cluster.counted_records() >= more or not cluster.is_running("load"),  # type: ignore[misc]
            f"{more} records counted",
        )
        # Somewhere between two checkpoints, or within one.
        await asyncio.sleep(chaos.uniform(0, 0.6))
        cluster.kill("only")
        cluster.start_worker("only")


async def test_exact_after_three_kills_with_resends_and_poison(cluster: Cluster, chaos: random.Random) -> None:
    """SIGKILL at random instants under load, 20 % resends across the restarts, 5 % bad records."""
    cluster.start_replay("load", "--orders", "30000", "--seconds", "15", *HOSTILE)
    await kill_at_random_instants(cluster, chaos, kills=3, orders=30_000)
    await assert_exact(cluster, "load")


@pytest.mark.long
@pytest.mark.timeout(1_200)
async def test_exact_after_ten_kills_with_resends_and_poison(cluster: Cluster, chaos: random.Random) -> None:
    """The same, longer."""
    cluster.start_replay("load", "--orders", "200000", "--seconds", "60", *HOSTILE)
    await kill_at_random_instants(cluster, chaos, kills=10, orders=200_000)
    await assert_exact(cluster, "load")


async def test_exact_while_workers_join_leave_and_die(cluster: Cluster, chaos: random.Random) -> None:
    """One to three workers: one joins, one leaves in order, one is killed and replaced by a stranger."""
    cluster.start_replay("load", "--orders", "30000", "--seconds", "20", *HOSTILE)
    cluster.start_worker("first")
    await cluster.until_counted(3_000)
    cluster.start_worker("second")
    await cluster.until_counted(10_000)
    cluster.start_worker("third")
    await cluster.until_counted(cluster.counted_records() + 3_000)
    cluster.send("first", signal.SIGTERM)
    await asyncio.sleep(chaos.uniform(0, 1))
    cluster.kill("second")
    cluster.start_worker("fourth")
    assert await cluster.ended("first") == 0
    await assert_exact(cluster, "load")
    cluster.send("third", signal.SIGTERM)
    assert await cluster.ended("third") == 0


async def test_a_frozen_worker_that_thaws_is_fenced(cluster: Cluster) -> None:
    """SIGSTOP past the session timeout: another takes over; continued, the zombie's writes must not count."""
    cluster.start_replay("load", "--orders", "30000", "--seconds", "20", *HOSTILE)
    cluster.start_worker("zombie")
    await cluster.until_counted(3_000)
    cluster.start_worker("heir")
    await cluster.until(lambda: "restored" in cluster.log("heir"), "the heir has partitions")
    await cluster.until_counted(cluster.counted_records() + 2_000)
    cluster.send("zombie", signal.SIGSTOP)
    frozen = set(range(4)) - owned_by(cluster, "heir")
    assert frozen, cluster.logs()
    await cluster.until(
        lambda: frozen <= owned_by(cluster, "heir"), "the heir takes over what is frozen", SESSION_MS / 1000 + 30
    )
    cluster.send("zombie", signal.SIGCONT)
    await assert_exact(cluster, "load")
    assert cluster.is_running("zombie"), cluster.log("zombie")


def owned_by(cluster: Cluster, name: str) -> set[int]:
    """Return the partitions that a worker restored, by its log."""
    lines = [line for line in cluster.log(name).splitlines() if "partition restored" in line]
    return {int(line.partition(" partition=")[2].split()[0]) for line in lines}


async def test_exact_after_the_broker_was_killed_under_load(
    tmp_path: Path, prefix: str, chaos: random.Random, kafka: str
) -> None:
    """Kill -9 of Apache Kafka itself while two workers count; all go on by themselves when it is back."""
    del kafka  # its start has shown that this machine can run a broker
    with EmbeddedKafka(tmp_path / "kafka", port=any_free_port()) as broker:
        async with Cluster(broker.address, prefix, tmp_path) as cluster:
            cluster.start_replay("load", "--orders", "30000", "--seconds", "20", *HOSTILE)
            cluster.start_worker("one")
            cluster.start_worker("two")
            await cluster.until_counted(5_000)
            await asyncio.sleep(chaos.uniform(0, 0.6))
            broker.kill()
            await asyncio.to_thread(broker.start)
            await assert_exact(cluster, "load")
            assert cluster.is_running("one"), cluster.log("one")
            assert cluster.is_running("two"), cluster.log("two")


@dataclass
class Sent:
    """What a steady load has sent and Kafka has acknowledged."""

    orders: int = 0
    resends: int = 0
    bad: int = 0
    is_enough: bool = False


async def send_steadily(cluster: Cluster, sent: Sent) -> None:
    """Send orders to all partitions, every fifth twice and every tenth followed by a bad record, until it is enough."""
    topic = f"{cluster.settings.prefix}orders"
    async with AIOKafkaProducer(bootstrap_servers=cluster.settings.broker, acks="all", linger_ms=5) as producer:
        while not sent.is_enough:
            number = sent.orders
            value = encode(order(f"e{number}", ts=START_MS + number * 10, merchant=f"m{number % 50}"))
            values = [value, value] if number % 5 == 0 else [value]
            values += [b"{"] if number % 10 == 0 else []
            acknowledged = [await producer.send(topic, each, partition=number % 4) for each in values]
            if number % 40 == 39:
                await asyncio.gather(*acknowledged)
                await asyncio.sleep(POLL_SECONDS)
            sent.orders += 1
            sent.resends += number % 5 == 0
            sent.bad += number % 10 == 0


async def test_exact_after_a_crash_at_each_step_of_the_checkpoint(cluster: Cluster, chaos: random.Random) -> None:
    """The process dies between any two steps of a commit; its successor goes on, no matter on which side it died."""
    sent = Sent()
    load = asyncio.create_task(send_steadily(cluster, sent))
    for step in Step:
        cluster.start_worker("crashing", FESTIVAL_CRASH_AT=f"{step}:{chaos.randint(1, 8)}")
        assert await cluster.ended("crashing") == CRASHED, cluster.log("crashing")
    cluster.start_worker("crashing")
    await cluster.until_counted(sent.orders)
    sent.is_enough = True
    await load
    await cluster.until_caught_up()
    totals = cluster.totals()
    found = totals["orders"], totals["duplicates"], totals["rejected"]
    assert found == (sent.orders, sent.resends, sent.bad)
    assert await cluster.differences_from_audit() == []


async def test_records_of_aborted_transactions_do_not_count(cluster: Cluster, chaos: random.Random) -> None:
    """Source producers may be transactional: a third of their transactions abort, the worker is killed meanwhile."""
    cluster.start_worker("only")
    kept = 0
    producer = AIOKafkaProducer(
        bootstrap_servers=cluster.settings.broker, transactional_id=f"{cluster.settings.prefix}shop", linger_ms=1
    )
    async with producer:
        for number in range(120):
            await producer.begin_transaction()
            for i in range(20):
                ts = START_MS + number * 100 + i
                events = {
                    "orders": order(f"e{number}-{i}", ts=ts),
                    "payments": payment(f"p{number}-{i}", ts=ts + 1_000),
                }
                for topic, event in events.items():
                    await producer.send(cluster.settings.prefix + topic, encode(event), partition=i % 4)
            if chaos.random() < 1 / 3:
                await producer.abort_transaction()
            else:
                await producer.commit_transaction()
                kept += 20
            if number == 60:
                await cluster.until_counted(100)
                cluster.kill("only")
                cluster.start_worker("only")
    await cluster.until_caught_up()
    totals = cluster.totals()
    assert (totals["orders"], totals["payments"]["captured"]) == (kept, kept)
    assert await cluster.differences_from_audit() == []
