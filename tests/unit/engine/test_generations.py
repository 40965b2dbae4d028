"""The festivals that stand beside the generation in the control record."""

from __future__ import annotations

import pytest

from streams.domain.declarations import FingerprintError
from streams.engine.generations import Generations, declared
from streams.engine.memory import Kafka, MemoryLedgerStore, Producer, create_topics
from streams.engine.recounting import check_festivals
from streams.engine.topic_names import LEDGER
from tests.unit.domain.samples import declarations, festival

DAY, BOTH = declarations(), declarations(festival(), festival("next"))


def test_the_first_worker_that_brings_a_festival_writes_it_and_none_is_removed() -> None:
    first = declared(Generations(), DAY)
    assert first == Generations(declared=DAY.read_back())
    assert declared(first, DAY) is first
    both = declared(first, BOTH)
    assert both.declared == BOTH.read_back()
    with pytest.raises(FingerprintError, match="festival next: the ledger counts it, and no file here declares it"):
        declared(both, DAY)


def test_a_recount_counts_every_festival_that_is_declared() -> None:
    check_festivals(Generations(), ())
    check_festivals(declared(Generations(), BOTH), ("next", "day", "more"))
    with pytest.raises(FingerprintError, match="the ledger counts next, and no file"):
        check_festivals(declared(Generations(), BOTH), ("day",))


async def test_a_store_declares_once_and_waits_for_what_is_open() -> None:
    kafka = Kafka()
    create_topics(kafka, 1)
    store = MemoryLedgerStore(kafka=kafka)
    await store.declare(DAY)
    end = kafka.end_offset(LEDGER, 0)
    await store.declare(DAY)
    assert kafka.end_offset(LEDGER, 0) == end
    opened = Producer(kafka, "other", 1_000)
    opened.send(LEDGER, 0, [b"x"], [b"x"])
    waiting = store.declare(BOTH)
    waiting.send(None)
    opened.abort()
    with pytest.raises(StopIteration):
        waiting.send(None)
    assert (await store.generations()).declared == BOTH.read_back()
