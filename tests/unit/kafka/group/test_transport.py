"""How long a fetch waits: the transport itself is tested with real Kafka, by the workers that use it."""

from __future__ import annotations

import asyncio
from types import SimpleNamespace
from typing import Any

import pytest
from aiokafka import TopicPartition

from streams.kafka.client.raw_consumer import RawConsumer
from streams.kafka.group.transport import BatchConsumerThread, fetch_wait_ms


@pytest.mark.parametrize(("partitions", "wait_ms"), [(0, 150), (1, 150), (8, 150), (16, 176), (32, 350), (64, 350)])
def test_a_fetch_waits_longer_with_more_partitions_up_to_a_limit(partitions: int, wait_ms: int) -> None:
    assert fetch_wait_ms(partitions) == wait_ms


def test_released_partitions_decide_how_long_a_fetch_waits_whatever_the_number_of_their_topics() -> None:
    fetcher = SimpleNamespace(_fetch_max_wait_ms=None)
    consumer: Any = SimpleNamespace(_fetcher=fetcher, seek=lambda *_: None, resume=lambda *_: None)
    thread: Any = SimpleNamespace(released=set(), _ensure_consumer=lambda: consumer, _raw=lambda: RawConsumer(consumer))
    for topic in ("orders", "payments"):
        asyncio.run(BatchConsumerThread._release(thread, {TopicPartition(topic, number): 0 for number in range(20)}))
        assert fetcher._fetch_max_wait_ms == fetch_wait_ms(20)
