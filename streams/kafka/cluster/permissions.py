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

from streams.engine.topic_names import AUDITS, GROUP
from streams.kafka.client import clients
from streams.kafka.client.internals import install
from streams.kafka.client.requests import GroupsRequest, MetadataRequest, ask
from streams.kafka.cluster.rights import RIGHTS
from streams.kafka.cluster.topics import open_admin

if TYPE_CHECKING:
    from streams.kafka.client.administrator import Administrator
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
    """How many the partition with the fewest has."""
    out_of_sync: int
    """Partitions with a replica that does not follow."""


@dataclass(frozen=True, slots=True)
class Cluster:
    """What the cluster allows, and how it keeps our topics."""

    brokers: int
    lacks: tuple[Lack, ...]
    topics: tuple[TopicState, ...]


def needs(prefix: str) -> dict[str, tuple[int, ...]]:
    """Return the operations a worker needs on each topic, to count."""
    rights = [right for right in RIGHTS["worker"] if right.resource == "topic"]
    return {prefix + name: right.operations for right in rights for name in right.names if name != AUDITS}


async def inspect_cluster(settings: Settings) -> Cluster:
    """Return what a worker with these settings may not do; topics that do not exist are left out.

    Raises `UnreachableError` without a broker.
    """
    needed = needs(settings.prefix)
    async with open_admin(settings) as admin:
        answer = await ask(admin, MetadataRequest(list(needed)))
        described = answer.to_object()
        lacks, states = [], []
        for topic in described["topics"]:
            error = for_code(topic["error_code"])
            if error.__name__ == "TopicAuthorizationFailedError":
                lacks.append(Lack(tuple(NAMES[code] for code in needed[topic["topic"]]), "topic", topic["topic"]))
            elif not topic["error_code"]:
                lacks += _lacks(topic["authorized_operations"], needed[topic["topic"]], "topic", topic["topic"])
                states.append(_state(topic))
        lacks += await _group_lacks(admin, settings.prefix + GROUP)
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


def missing_on(allowed: int, needed: tuple[int, ...]) -> tuple[str, ...]:
    """Return the names of operations that are not among those allowed; nothing where the broker does not tell."""
    return tuple(NAMES[code] for code in needed if allowed != NOT_TOLD and not allowed & 1 << code)


async def missing_on_group(admin: Administrator, group: str) -> tuple[str, ...]:
    """Return the operations that a member of a group needs and has not."""
    return tuple(operation for lack in await _group_lacks(admin, group) for operation in lack.operations)


async def _group_lacks(admin: Administrator, group: str) -> list[Lack]:
    try:
        async with asyncio.timeout(COORDINATOR_SECONDS):
            coordinator = await _coordinator(admin, group)
        answer = await ask(admin, GroupsRequest(group), coordinator)
    except KafkaError as error:
        if type(error).__name__ != "GroupAuthorizationFailedError":
            raise
        return [Lack((NAMES[READ], NAMES[DESCRIBE]), "group", group)]
    described = answer.to_object()["groups"][0]
    if for_code(described["error_code"]).__name__ == "GroupAuthorizationFailedError":
        return [Lack((NAMES[READ], NAMES[DESCRIBE]), "group", group)]
    # A group that nobody has joined yet has no operations to tell of, in some versions.
    return _lacks(described.get("authorized_operations", NOT_TOLD), (READ,), "group", group)


async def _coordinator(admin: Administrator, group: str) -> int:
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
    install()
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
