"""The private names of aiokafka that the ledger stands on: an upgrade that moves one fails here."""

from __future__ import annotations

import inspect
import re
from typing import Any

import aiokafka.admin.client
import aiokafka.client
import pytest
from aiokafka import AIOKafkaConsumer, AIOKafkaProducer
from aiokafka.client import AIOKafkaClient
from aiokafka.consumer.fetcher import Fetcher, FetchResult
from aiokafka.producer.message_accumulator import BatchBuilder, MessageAccumulator
from aiokafka.producer.sender import (
    AddOffsetsToTxnHandler,
    AddPartitionsToTxnHandler,
    BaseHandler,
    EndTxnHandler,
    Sender,
    SendProduceReqHandler,
    TxnOffsetCommitHandler,
)
from aiokafka.producer.transaction_manager import TransactionManager
from aiokafka.protocol.metadata import MetadataRequest_v5

from streams.kafka.client.internals import install


@pytest.mark.parametrize(
    ("owner", "names"),
    [
        (AIOKafkaConsumer, ["_client", "_fetcher"]),
        (
            AIOKafkaClient,
            ["add_topic", "close", "send", "force_metadata_update", "get_random_node", "_wait_on_metadata"],
        ),
        (Fetcher, ["_records", "_notify", "_wait_consume_future", "_create_fetch_waiter", "_fetch_task"]),
        (FetchResult, ["_partition_records", "_update_position", "check_assignment", "has_more"]),
        (AIOKafkaProducer, ["client", "_sender", "_txn_manager"]),
        (Sender, ["sender_task", "_find_coordinator"]),
        (BatchBuilder, ["_build", "_set_producer_state", "record_count"]),
        (SendProduceReqHandler, ["_client", "_batches", "_to_reenqueue", "create_request", "handle_response"]),
        (
            TransactionManager,
            [
                "begin_transaction",
                "committing_transaction",
                "complete_transaction",
                "is_empty_transaction",
                "is_in_transaction",
                "wait_for_transaction_end",
                "partitions_to_add",
                "add_offsets_to_txn",
                "consumer_group_to_add",
                "offsets_to_commit",
                "sequence_number",
                "increment_sequence_number",
                "txn_partitions",
                "producer_id",
                "producer_epoch",
            ],
        ),
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


@pytest.mark.parametrize(
    ("handler", "arguments"),
    [
        (AddPartitionsToTxnHandler, ["sender", "topic_partitions"]),
        (AddOffsetsToTxnHandler, ["sender", "group_id"]),
        (TxnOffsetCommitHandler, ["sender", "offsets", "group_id"]),
        (EndTxnHandler, ["sender", "commit_result"]),
        (SendProduceReqHandler, ["sender", "batches"]),
    ],
)
def test_the_requests_of_a_transaction_are_made_as_a_transaction_makes_them(
    handler: type, arguments: list[str]
) -> None:
    assert list(inspect.signature(handler).parameters) == arguments


def test_a_handler_pauses_and_says_false_where_its_request_has_to_be_sent_again() -> None:
    source = inspect.getsource(BaseHandler.do)
    assert "await asyncio.sleep(retry_backoff)\n            return False" in source
    assert "return True" in source


def test_a_handler_of_produce_requests_calls_what_a_batch_of_ours_has() -> None:
    source = inspect.getsource(SendProduceReqHandler)
    calls = set(re.findall(r"\bbatch\.(\w+)\(", source)) - {"expired"}  # not asked for within transactions
    assert calls - {"done_noack"} == {"get_data_buffer", "done", "failure"}


@pytest.mark.parametrize("module", [aiokafka.client, aiokafka.admin.client])
def test_no_client_makes_a_topic_by_asking_for_it(module: Any) -> None:  # noqa: ANN401 - aiokafka's modules
    """Else a source that was deleted would be back, empty, on a broker with its default settings."""
    install()
    assert "MetadataRequest(" in inspect.getsource(module)
    built = module.MetadataRequest(["orders"]).build(MetadataRequest_v5)
    assert built.allow_auto_topic_creation is False
