"""What the user of these settings may do on the cluster: asked of the broker, nothing is written.

`festival check` calls it before the night. The broker tells the operations it would allow on each topic and group
(KIP-430); a transactional id has no such question, so a producer of `festival-check` asks for one and leaves again.
"""

from __future__ import annotations

import asyncio
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

from aiokafka import AIOKafkaProducer
from aiokafka.errors import KafkaConnectionError, KafkaError, TransactionalIdAuthorizationFailed, for_code
from aiokafka.protocol.admin import DescribeGroupsResponse_v3
from aiokafka.protocol.api import Request, RequestStruct, Response
from aiokafka.protocol.types import Array, Boolean, Int16, Int32, Schema, String

from streams.kafka import clients
from streams.kafka.store import GROUP
from streams.kafka.topics import LEDGER, SEEN, SOURCES, open_admin, rejected_topic

if TYPE_CHECKING:
    from streams.settings import Settings

READ, WRITE, DESCRIBE, DESCRIBE_CONFIGS = 3, 4, 8, 10
"""Codes of operations, and the bits of an answer (org.apache.kafka.common.acl.AclOperation)."""
NAMES = {READ: "Read", WRITE: "Write", DESCRIBE: "Describe", DESCRIBE_CONFIGS: "DescribeConfigs"}
NOT_TOLD = -(2**31)
TRANSACTION_SECONDS = 20.0
COORDINATOR_SECONDS = 20.0
RETRY_SECONDS = 0.2


@dataclass(frozen=True, slots=True)
class Lack:
    """What the user may not do."""

    operations: tuple[str, ...]
    resource: str
    """"topic", "group" or "transactional-id", as `kafka-acls.sh` has them."""
    name: str


@dataclass(frozen=True, slots=True)
class TopicState:
    """How safely a topic's partitions are kept."""

    name: str
    replicas: int
    """Of the partition that has the fewest."""
    out_of_sync: int
    """Partitions with a replica that does not follow."""


@dataclass(frozen=True, slots=True)
class Cluster:
    """What the cluster allows, and how it keeps our topics."""

    brokers: int
    lacks: tuple[Lack, ...]
    topics: tuple[TopicState, ...]


class _MetadataResponse(Response):
    API_KEY = 3
    API_VERSION = 8
    SCHEMA = Schema(
        ("throttle_time_ms", Int32),
        ("brokers", Array(("node_id", Int32), ("host", String("utf-8")), ("port", Int32), ("rack", String("utf-8")))),
        ("cluster_id", String("utf-8")),
        ("controller_id", Int32),
        (
            "topics",
            Array(
                ("error_code", Int16),
                ("topic", String("utf-8")),
                ("is_internal", Boolean),
                (
                    "partitions",
                    Array(
                        ("error_code", Int16),
                        ("partition", Int32),
                        ("leader", Int32),
                        ("leader_epoch", Int32),
                        ("replicas", Array(Int32)),
                        ("isr", Array(Int32)),
                        ("offline_replicas", Array(Int32)),
                    ),
                ),
                ("authorized_operations", Int32),
            ),
        ),
        ("cluster_authorized_operations", Int32),
    )


class _MetadataRequestStruct(RequestStruct):
    API_KEY = 3
    API_VERSION = 8
    RESPONSE_TYPE = _MetadataResponse
    SCHEMA = Schema(
        ("topics", Array(String("utf-8"))),
        ("allow_auto_topic_creation", Boolean),
        ("include_cluster_authorized_operations", Boolean),
        ("include_topic_authorized_operations", Boolean),
    )


class _MetadataRequest(Request[_MetadataRequestStruct]):
    """Version 8 of a request that aiokafka knows up to version 5."""

    API_KEY = 3

    def __init__(self, topics: list[str]) -> None:
        self._topics = topics

    def build(self, request_struct_class: type[_MetadataRequestStruct]) -> _MetadataRequestStruct:
        return request_struct_class(self._topics, False, False, True)


class _GroupsRequestStruct(RequestStruct):
    API_KEY = 15
    API_VERSION = 3
    RESPONSE_TYPE = DescribeGroupsResponse_v3
    SCHEMA = Schema(("groups", Array(String("utf-8"))), ("include_authorized_operations", Boolean))


class _GroupsRequest(Request[_GroupsRequestStruct]):
    """That of aiokafka reads the answer as an older one, without the operations."""

    API_KEY = 15

    def __init__(self, group: str) -> None:
        self._group = group

    def build(self, request_struct_class: type[_GroupsRequestStruct]) -> _GroupsRequestStruct:
        return request_struct_class([self._group], True)


def needs(prefix: str) -> dict[str, tuple[int, ...]]:
    """Return the operations a worker needs on each topic."""
    found: dict[str, tuple[int, ...]] = {prefix + source: (READ, DESCRIBE, DESCRIBE_CONFIGS) for source in SOURCES}
    for name in (LEDGER, SEEN, *map(rejected_topic, SOURCES)):
        found[prefix + name] = (READ, WRITE, DESCRIBE, DESCRIBE_CONFIGS)
    return found


async def inspect_cluster(settings: Settings) -> Cluster:
    """Return what a worker with these settings may not do; topics that do not exist are left out.

    Raises `UnreachableError` without a broker.
    """
    needed = needs(settings.prefix)
    async with open_admin(settings) as admin:
        client: Any = admin
        answer = await client._send_request(_MetadataRequest(list(needed)))  # noqa: SLF001 - KIP-430 is not in its API
        described = answer.to_object()
        lacks, states = [], []
        for topic in described["topics"]:
            error = for_code(topic["error_code"])
            if error.__name__ == "TopicAuthorizationFailedError":
                lacks.append(Lack(tuple(NAMES[code] for code in needed[topic["topic"]]), "topic", topic["topic"]))
            elif not topic["error_code"]:
                lacks += _lacks(topic["authorized_operations"], needed[topic["topic"]], "topic", topic["topic"])
                states.append(_state(topic))
        lacks += await _group_lacks(client, settings.prefix + GROUP)
    lacks += await _transaction_lacks(settings)
    return Cluster(len(described["brokers"]), tuple(lacks), tuple(states))


def _lacks(allowed: int, needed: tuple[int, ...], resource: str, name: str) -> list[Lack]:
    if allowed == NOT_TOLD:
        return []
    missing = tuple(NAMES[code] for code in needed if not allowed & 1 << code)
    return [Lack(missing, resource, name)] if missing else []


def _state(topic: dict[str, Any]) -> TopicState:
    partitions = topic["partitions"]
    return TopicState(
        topic["topic"],
        min((len(p["replicas"]) for p in partitions), default=0),
        sum(len(p["isr"]) < len(p["replicas"]) for p in partitions),
    )


async def _group_lacks(admin: Any, group: str) -> list[Lack]:  # noqa: ANN401 - see above
    try:
        async with asyncio.timeout(COORDINATOR_SECONDS):
            coordinator = await _coordinator(admin, group)
        answer = await admin._send_request_to_node(coordinator, _GroupsRequest(group))  # noqa: SLF001
    except KafkaError as error:
        if type(error).__name__ != "GroupAuthorizationFailedError":
            raise
        return [Lack((NAMES[READ], NAMES[DESCRIBE]), "group", group)]
    described = answer.to_object()["groups"][0]
    if for_code(described["error_code"]).__name__ == "GroupAuthorizationFailedError":
        return [Lack((NAMES[READ], NAMES[DESCRIBE]), "group", group)]
    # A group that nobody has joined yet has no operations to tell of, in some versions.
    return _lacks(described.get("authorized_operations", NOT_TOLD), (READ,), "group", group)


async def _coordinator(admin: Any, group: str) -> int:  # noqa: ANN401 - see above
    """Return the broker that looks after the group; the first ever asked for makes a new cluster create its topic."""
    while True:
        try:
            found: int = await admin.find_coordinator(group)
        except KafkaError as error:
            if not error.retriable:
                raise
            await asyncio.sleep(RETRY_SECONDS)
        else:
            return found


async def _transaction_lacks(settings: Settings) -> list[Lack]:
    name = f"{settings.prefix}festival-check"
    producer = AIOKafkaProducer(**settings.client_options(), transactional_id=name)
    try:
        async with asyncio.timeout(TRANSACTION_SECONDS):
            await producer.start()
    except TransactionalIdAuthorizationFailed:
        return [Lack((NAMES[WRITE], NAMES[DESCRIBE]), "transactional-id", f"{settings.prefix}festival-")]
    except TimeoutError as error:
        raise KafkaConnectionError(f"no transaction within {TRANSACTION_SECONDS:.0f} s") from error
    except KafkaError as error:
        if not clients.is_permanent(error):
            raise
        return [Lack((NAMES[WRITE], NAMES[DESCRIBE]), "transactional-id", f"{settings.prefix}festival-")]
    finally:
        await clients.stop(producer)
    return []
