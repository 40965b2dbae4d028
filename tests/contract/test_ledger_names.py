"""The private names of aiokafka that the ledger stands on: an upgrade that moves one fails here."""

from __future__ import annotations

import inspect

import pytest
from aiokafka import AIOKafkaConsumer, AIOKafkaProducer
from aiokafka.client import AIOKafkaClient
from aiokafka.consumer.fetcher import Fetcher, FetchResult
from aiokafka.producer.message_accumulator import MessageAccumulator
from aiokafka.producer.sender import Sender


@pytest.mark.parametrize(
    ("owner", "names"),
    [
        (AIOKafkaConsumer, ["_client", "_fetcher"]),
        (AIOKafkaClient, ["add_topic", "close"]),
        (Fetcher, ["_records", "_notify", "_wait_consume_future", "_create_fetch_waiter", "_fetch_task"]),
        (FetchResult, ["_partition_records", "_update_position", "check_assignment", "has_more"]),
        (AIOKafkaProducer, ["client", "_sender"]),
        (Sender, ["sender_task"]),
    ],
)
def test_aiokafka_has_the_private_names(owner: type, names: list[str]) -> None:
    source = inspect.getsource(owner)
    missing = [name for name in names if f"def {name}(" not in source and f"self.{name} " not in source]
    assert not missing


def test_a_commit_still_waits_for_failed_batches_without_looking_at_them() -> None:
    """While this holds, the store has to look at each batch before it commits (docs/decisions/0002-ledger.md)."""
    source = inspect.getsource(MessageAccumulator.flush_for_commit)
    assert "await asyncio.wait(waiters)" in source
    assert ".exception()" not in source
