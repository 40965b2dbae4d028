"""Requests of Kafka's protocol that aiokafka does not know, or knows only in older versions.

Used by whoever looks at topics, rights and transactions. Each is sent with `send` of an aiokafka client, or with `ask`.
"""

from __future__ import annotations

import base64
from io import BytesIO
from typing import Any

from aiokafka.protocol.abstract import AbstractType
from aiokafka.protocol.admin import DescribeGroupsResponse_v3
from aiokafka.protocol.api import Request, RequestStruct, Response
from aiokafka.protocol.types import (
    Array,
    Boolean,
    CompactArray,
    CompactString,
    Int16,
    Int32,
    Int64,
    Schema,
    String,
    TaggedFields,
)


async def ask(admin: Any, request: Any, node_id: int | None = None) -> Any:  # noqa: ANN401 - aiokafka's are untyped
    """Return the answer to a request that the client of an administrator has no method for.

    Any broker answers, or the one named. Raises `KafkaError`.
    """
    if node_id is None:
        return await admin._send_request(request)  # noqa: SLF001 - its public methods send its own requests only
    return await admin._send_request_to_node(node_id, request)  # noqa: SLF001 - the same


def connection_of(admin: Any) -> Any:  # noqa: ANN401 - aiokafka's are untyped
    """Return the client through which an administrator speaks, for who asks many brokers at once."""
    return admin._client  # noqa: SLF001 - it has no public name


class Uuid(AbstractType[str]):
    """Sixteen bytes, told as Kafka's tools print them: base64 for addresses, without padding."""

    @classmethod
    def encode(cls, value: str) -> bytes:
        """Return the bytes of an id."""
        return base64.urlsafe_b64decode(value + "==")

    @classmethod
    def decode(cls, data: BytesIO) -> str:
        """Return the id that comes next."""
        return base64.urlsafe_b64encode(data.read(16)).decode().rstrip("=")


NO_ID = Uuid.decode(BytesIO(bytes(16)))
"""What stands for "by its name" in a request, and for "has none" in an answer."""


class _MetadataResponse(Response):
    API_KEY = 3
    API_VERSION = 10
    SCHEMA = Schema(
        ("throttle_time_ms", Int32),
        (
            "brokers",
            CompactArray(
                ("node_id", Int32),
                ("host", CompactString("utf-8")),
                ("port", Int32),
                ("rack", CompactString("utf-8")),
                ("tags", TaggedFields),
            ),
        ),
        ("cluster_id", CompactString("utf-8")),
        ("controller_id", Int32),
        (
            "topics",
            CompactArray(
                ("error_code", Int16),
                ("topic", CompactString("utf-8")),
                ("topic_id", Uuid),
                ("is_internal", Boolean),
                (
                    "partitions",
                    CompactArray(
                        ("error_code", Int16),
                        ("partition", Int32),
                        ("leader", Int32),
                        ("leader_epoch", Int32),
                        ("replicas", CompactArray(Int32)),
                        ("isr", CompactArray(Int32)),
                        ("offline_replicas", CompactArray(Int32)),
                        ("tags", TaggedFields),
                    ),
                ),
                ("authorized_operations", Int32),
                ("tags", TaggedFields),
            ),
        ),
        ("cluster_authorized_operations", Int32),
        ("tags", TaggedFields),
    )


class _MetadataRequestStruct(RequestStruct):
    FLEXIBLE_VERSION = True
    API_KEY = 3
    API_VERSION = 10
    RESPONSE_TYPE = _MetadataResponse
    SCHEMA = Schema(
        ("topics", CompactArray(("topic_id", Uuid), ("topic", CompactString("utf-8")), ("tags", TaggedFields))),
        ("allow_auto_topic_creation", Boolean),
        ("include_cluster_authorized_operations", Boolean),
        ("include_topic_authorized_operations", Boolean),
        ("tags", TaggedFields),
    )


class MetadataRequest(Request[_MetadataRequestStruct]):
    """Version 10 of a request that aiokafka knows up to version 5: what topics are, and what is allowed on them.

    It creates no topic by asking for one.
    """

    API_KEY = 3

    def __init__(self, topics: list[str]) -> None:
        """Ask for `topics`."""
        self._topics: list[tuple[str, str, dict[int, bytes]]] = [(NO_ID, topic, {}) for topic in topics]

    def build(self, request_struct_class: type[_MetadataRequestStruct]) -> _MetadataRequestStruct:
        """Return what is sent."""
        return request_struct_class(self._topics, False, False, True, {})


class _EpochsResponse(Response):
    API_KEY = 23
    API_VERSION = 3
    SCHEMA = Schema(
        ("throttle_time_ms", Int32),
        (
            "topics",
            Array(
                ("topic", String("utf-8")),
                (
                    "partitions",
                    Array(("error_code", Int16), ("partition", Int32), ("leader_epoch", Int32), ("end_offset", Int64)),
                ),
            ),
        ),
    )


class _EpochsRequestStruct(RequestStruct):
    API_KEY = 23
    API_VERSION = 3
    RESPONSE_TYPE = _EpochsResponse
    SCHEMA = Schema(
        ("replica_id", Int32),
        (
            "topics",
            Array(
                ("topic", String("utf-8")),
                ("partitions", Array(("partition", Int32), ("current_leader_epoch", Int32), ("leader_epoch", Int32))),
            ),
        ),
    )


class EpochsRequest(Request[_EpochsRequestStruct]):
    """OffsetsForLeaderEpoch (KIP-320): where the records of a leader's epoch end, asked of the partition's leader."""

    API_KEY = 23

    def __init__(self, topics: list[tuple[str, list[tuple[int, int, int]]]]) -> None:
        """Ask for topics, each with its partitions: number, the leader's epoch as metadata has it, epoch asked for."""
        self._topics = topics

    def build(self, request_struct_class: type[_EpochsRequestStruct]) -> _EpochsRequestStruct:
        """Return what is sent."""
        return request_struct_class(-1, self._topics)


class _GroupsRequestStruct(RequestStruct):
    API_KEY = 15
    API_VERSION = 3
    RESPONSE_TYPE = DescribeGroupsResponse_v3
    SCHEMA = Schema(("groups", Array(String("utf-8"))), ("include_authorized_operations", Boolean))


class GroupsRequest(Request[_GroupsRequestStruct]):
    """DescribeGroups. That of aiokafka reads the answer as an older one, without the operations."""

    API_KEY = 15

    def __init__(self, group: str) -> None:
        """Ask for `group`."""
        self._group = group

    def build(self, request_struct_class: type[_GroupsRequestStruct]) -> _GroupsRequestStruct:
        """Return what is sent."""
        return request_struct_class([self._group], True)


class _ProducersResponse(Response):
    API_KEY = 61
    API_VERSION = 0
    SCHEMA = Schema(
        ("throttle_time_ms", Int32),
        (
            "topics",
            CompactArray(
                ("name", CompactString("utf-8")),
                (
                    "partitions",
                    CompactArray(
                        ("partition_index", Int32),
                        ("error_code", Int16),
                        ("error_message", CompactString("utf-8")),
                        (
                            "active_producers",
                            CompactArray(
                                ("producer_id", Int64),
                                ("producer_epoch", Int32),
                                ("last_sequence", Int32),
                                ("last_timestamp", Int64),
                                ("coordinator_epoch", Int32),
                                ("current_txn_start_offset", Int64),
                                ("tags", TaggedFields),
                            ),
                        ),
                        ("tags", TaggedFields),
                    ),
                ),
                ("tags", TaggedFields),
            ),
        ),
        ("tags", TaggedFields),
    )


class _ProducersRequestStruct(RequestStruct):
    FLEXIBLE_VERSION = True
    API_KEY = 61
    API_VERSION = 0
    RESPONSE_TYPE = _ProducersResponse
    SCHEMA = Schema(
        (
            "topics",
            CompactArray(
                ("name", CompactString("utf-8")), ("partition_indexes", CompactArray(Int32)), ("tags", TaggedFields)
            ),
        ),
        ("tags", TaggedFields),
    )


class ProducersRequest(Request[_ProducersRequestStruct]):
    """DescribeProducers (KIP-664): who writes to a partition, asked of its leader."""

    API_KEY = 61

    def __init__(self, topic: str, partition: int) -> None:
        """Ask for one partition."""
        self._topics: list[tuple[str, list[int], dict[int, bytes]]] = [(topic, [partition], {})]

    def build(self, request_struct_class: type[_ProducersRequestStruct]) -> _ProducersRequestStruct:
        """Return what is sent."""
        return request_struct_class(self._topics, {})


class _TransactionsResponse(Response):
    API_KEY = 66
    API_VERSION = 0
    SCHEMA = Schema(
        ("throttle_time_ms", Int32),
        ("error_code", Int16),
        ("unknown_state_filters", CompactArray(CompactString("utf-8"))),
        (
            "transaction_states",
            CompactArray(
                ("transactional_id", CompactString("utf-8")),
                ("producer_id", Int64),
                ("transaction_state", CompactString("utf-8")),
                ("tags", TaggedFields),
            ),
        ),
        ("tags", TaggedFields),
    )


class _TransactionsRequestStruct(RequestStruct):
    FLEXIBLE_VERSION = True
    API_KEY = 66
    API_VERSION = 0
    RESPONSE_TYPE = _TransactionsResponse
    SCHEMA = Schema(
        ("state_filters", CompactArray(CompactString("utf-8"))),
        ("producer_id_filters", CompactArray(Int64)),
        ("tags", TaggedFields),
    )


class TransactionsRequest(Request[_TransactionsRequestStruct]):
    """ListTransactions (KIP-664): the transactional ids of producers, asked of every broker."""

    API_KEY = 66

    def __init__(self, producer_ids: list[int]) -> None:
        """Ask for those of `producer_ids`."""
        self._producer_ids = producer_ids

    def build(self, request_struct_class: type[_TransactionsRequestStruct]) -> _TransactionsRequestStruct:
        """Return what is sent."""
        return request_struct_class([], self._producer_ids, {})
