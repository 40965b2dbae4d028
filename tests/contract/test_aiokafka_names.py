"""The private names of aiokafka and Faust that the batch transport stands on: an upgrade that moves one fails here."""

from __future__ import annotations

import inspect
import re
from importlib.metadata import version

import pytest
from aiokafka import AIOKafkaConsumer, TopicPartition
from aiokafka.admin import AIOKafkaAdminClient
from aiokafka.client import AIOKafkaClient
from aiokafka.conn import AIOKafkaConnection, OAuthAuthenticator, create_conn
from aiokafka.consumer.fetcher import Fetcher, FetchError, FetchResult, PartitionRecords
from aiokafka.consumer.group_coordinator import GroupCoordinator
from aiokafka.consumer.subscription_state import SubscriptionState, TopicPartitionState
from aiokafka.record.default_records import DefaultRecordBatch
from aiokafka.record.memory_records import _MemoryRecordsPy
from faust.app.base import App, BootStrategy
from faust.assignor.partition_assignor import PartitionAssignor
from faust.tables.manager import TableManager
from faust.tables.recovery import Recovery
from faust.topics import Topic
from faust.transport.consumer import Consumer as FaustConsumer
from faust.transport.consumer import Fetcher as FaustFetcher
from faust.transport.consumer import ThreadDelegateConsumer
from faust.transport.drivers.aiokafka import AIOKafkaConsumerThread, Consumer, ConsumerRebalanceListener
from faust.types import TP


def _source(thing: object) -> str:
    return inspect.getsource(thing)  # type: ignore[arg-type]


def test_the_versions_are_those_that_were_read() -> None:
    """The transport was written against the source of these; a newer one has to be read first."""
    assert version("aiokafka").startswith("0.14.")
    assert version("faust-streaming") == "0.15.3"


@pytest.mark.parametrize(
    ("owner", "names"),
    [
        (Fetcher, ["_records", "_notify", "_wait_consume_future", "_create_fetch_waiter", "_closed", "_fetch_task"]),
        (Fetcher, ["_fetch_max_wait_ms"]),
        (FetchResult, ["_partition_records", "_update_position", "check_assignment"]),
        (FetchError, ["_error"]),
        (
            PartitionRecords,
            [
                "_records",
                "_check_crcs",
                "_isolation_level",
                "_aborted_producers",
                "_consume_aborted_up_to",
                "_records_iterator",
                "_consumer_record",
                "next_fetch_offset",
            ],
        ),
        (AIOKafkaClient, ["_get_conn", "bootstrap", "close"]),
        (AIOKafkaConsumer, ["_fetcher", "_subscription", "_coordinator", "_closed"]),
        (GroupCoordinator, ["_coordination_task", "_pending_exception", "generation", "member_id", "group_id"]),
        (GroupCoordinator, ["_do_rejoin_group", "_send_req", "reset_generation"]),
        (GroupCoordinator, ["_rejoin_needed_fut", "check_errors", "request_rejoin"]),
        (AIOKafkaConnection, ["connect", "send", "close", "_do_version_lookup", "_handle_frame"]),
        (AIOKafkaConnection, ["_request_timeout", "_requests", "_reader", "_loop"]),
        (AIOKafkaAdminClient, ["_send_request", "_send_to_controller", "_client"]),
        (SubscriptionState, ["fetch_context", "is_assigned", "subscription"]),
        (TopicPartitionState, ["position", "has_valid_position", "highwater"]),
    ],
)
def test_aiokafka_has_the_private_names(owner: type, names: list[str]) -> None:
    """Each name is defined by the class it is used on, as a method or as an attribute of its instances."""
    source = _source(owner)
    for name in names:
        assert f"self.{name} = " in source or f"self.{name}: " in source or f"def {name}(" in source, name


def test_the_assignor_has_the_names_that_ours_overrides() -> None:
    for name in ("assign", "metadata", "_get_copartitioned_groups", "_group_co_subscribed", "_protocol_assignments"):
        assert hasattr(PartitionAssignor, name), name
    source = _source(PartitionAssignor)
    assert "self._get_copartitioned_groups(" in source
    assert "self._protocol_assignments(" in source


def test_the_parser_of_records_has_the_names_unpacking_uses() -> None:
    """The bytes of a batch are those of the parser in Python; the batch itself is C."""
    for name in ("has_next", "next_batch"):
        assert hasattr(_MemoryRecordsPy, name), name
    assert "self._next_slice = " in _source(_MemoryRecordsPy)
    for name in (
        "producer_id",
        "base_offset",
        "next_offset",
        "is_control_batch",
        "is_transactional",
        "timestamp_type",
        "max_timestamp",
        "validate_crc",
    ):
        assert hasattr(DefaultRecordBatch, name), name


def test_aiokafka_reads_a_fetch_as_the_plain_records_expect() -> None:
    """Its loop asks a batch for no more than `plain_records` hands on, and makes a record's object in one place."""
    loop = _source(PartitionRecords._unpack_records)
    assert "records = self._records\n" in loop
    assert "next_batch = records.next_batch()" in loop
    assert "for record in next_batch:" in loop
    assert set(re.findall(r"\brecord\.(\w+)", loop)) == {"offset"}
    assert "consumer_record = self._consumer_record(tp, record)" in loop


def test_faust_calls_what_the_transport_overrides() -> None:
    """An override that nobody calls any more would let Faust's own behaviour back in without a word."""
    calls = {
        "consumer._drain_messages(self)": FaustFetcher,
        "self._new_consumer_thread()": ThreadDelegateConsumer,
        "consumer.RebalanceListener(self)": AIOKafkaConsumerThread,
        "self._create_worker_consumer(transport)": AIOKafkaConsumerThread,
        "consumer.perform_seek()": Recovery,
        "self._new_transport()": App,
        "self.enable_kafka_producer": BootStrategy,
        "await self._update_channels()\n            await self.recovery.start()": TableManager,
    }
    for call, owner in calls.items():
        assert call in _source(owner), call


def test_faust_has_the_methods_the_transport_overrides() -> None:
    """Same names, and the arguments that are used."""
    assert list(inspect.signature(FaustConsumer._drain_messages).parameters) == ["self", "fetcher"]
    assert list(inspect.signature(FaustConsumer.on_partitions_revoked).parameters) == ["self", "revoked"]
    assert list(inspect.signature(FaustConsumer.on_buffer_full).parameters) == ["self", "tp"]
    assert list(inspect.signature(FaustConsumer.commit).parameters) == ["self", "topics", "start_new_transaction"]
    assert list(inspect.signature(Consumer.verify_event_path).parameters) == ["self", "now", "tp"]
    assert inspect.iscoroutinefunction(ConsumerRebalanceListener.on_partitions_assigned)
    assert "maxsize" in inspect.signature(Topic.__init__).parameters


def test_partitions_of_both_libraries_are_equal_pairs() -> None:
    """The transport keeps them in one set."""
    released: set[tuple[str, int]] = {TopicPartition("orders", 3)}
    released.discard(TP("orders", 3))
    assert not released


def test_a_connection_is_made_with_the_options_that_are_renewed_here() -> None:
    options = inspect.signature(create_conn).parameters
    assert {"host", "port", "security_protocol", "sasl_plain_password", "ssl_context"} <= options.keys()
    assert "await self._sasl_oauth_token_provider.token()" in _source(OAuthAuthenticator)
