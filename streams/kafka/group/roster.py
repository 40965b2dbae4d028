"""Who is in the workers' group, which partitions each has, and how far they are: as Kafka tells it.

`festival top` asks once a second. The positions are the group's offsets, which workers write for tools like this one
and never read; the ledger's own are those of `festival totals`.
"""

from __future__ import annotations

import re
from typing import TYPE_CHECKING, Any

import msgspec
from aiokafka.coordinator.protocol import ConsumerProtocolMemberAssignment
from aiokafka.errors import for_code

from streams.engine.topic_names import GROUP, LEDGER, SOURCES
from streams.kafka.client.requests import GroupsRequest, ask, connection_of
from streams.kafka.cluster.survey import survey
from streams.kafka.group.members import process_of

if TYPE_CHECKING:
    from collections.abc import Iterable, Mapping

    from streams.engine.judgement import LogRange
    from streams.kafka.client.administrator import Administrator

_PROCESS = re.compile(r"festival-(?P<name>.*)@(?P<host>[^:@]*):(?P<process>\d+):\d+:(?P<version>.*)")


class Member(msgspec.Struct, frozen=True):
    """A process in the group."""

    name: str
    """A worker's; of a stranger its client id."""
    host: str
    process_id: int | None
    version: str | None
    partitions: list[int]


class Partition(msgspec.Struct, frozen=True):
    """A partition of a source topic."""

    topic: str
    partition: int
    member: str | None
    """Whose it is; null while it is nobody's."""
    position: int | None
    """The group's offset: the next record that is not counted; null where there is none yet."""
    end_offset: int
    lag_records: int
    """From the position to the end; from the log's beginning where nothing was counted."""


class Roster(msgspec.Struct, frozen=True):
    """The group at one moment."""

    state: str
    """As Kafka calls it: Stable, PreparingRebalance, CompletingRebalance, Empty, Dead."""
    members: list[Member]
    partitions: list[Partition]
    lag_records: int


async def read_roster(admin: Administrator, prefix: str) -> Roster:
    """Return the group of the workers and the source topics as they are now; raises `KafkaError`."""
    group = prefix + GROUP
    coordinator = await admin.find_coordinator(group)
    answer = await ask(admin, GroupsRequest(group), coordinator)
    described = answer.to_object()["groups"][0]
    if described["error_code"]:
        raise for_code(described["error_code"])(group)
    offsets = await admin.list_consumer_group_offsets(group, coordinator)
    sources = await survey(connection_of(admin), prefix, SOURCES, own=(LEDGER,))
    positions = {(tp.topic.removeprefix(prefix), tp.partition): told.offset for tp, told in offsets.items()}
    return roster_of(described["state"], members_of(described["members"], prefix), positions, sources.ranges)


def members_of(described: Iterable[Mapping[str, Any]], prefix: str) -> list[Member]:
    """Return the members out of a DescribeGroups answer, by name."""
    topics = {prefix + topic for topic in SOURCES}
    found = []
    for member in described:
        process = process_of(member["member_metadata"]) or member["client_id"]
        told = _PROCESS.fullmatch(process)
        numbers: set[int] = set()
        if member["member_assignment"]:
            assignment = ConsumerProtocolMemberAssignment.decode(member["member_assignment"])
            numbers = {number for topic, of_topic in assignment.assignment if topic in topics for number in of_topic}
        if told is None:
            found.append(Member(process, member["client_host"].lstrip("/"), None, None, sorted(numbers)))
        else:
            name, host, process_id, version = told["name"], told["host"], int(told["process"]), told["version"]
            found.append(Member(name, host, process_id, version, sorted(numbers)))
    return sorted(found, key=lambda member: member.name)


def roster_of(
    state: str,
    members: list[Member],
    positions: Mapping[tuple[str, int], int],
    ranges: Mapping[tuple[str, int], LogRange],
) -> Roster:
    """Return the group over the logs as they are."""
    owners = {number: member.name for member in members for number in member.partitions}
    partitions = []
    for (topic, number), log in sorted(ranges.items(), key=lambda one: (SOURCES.index(one[0][0]), one[0][1])):
        position = positions.get((topic, number), -1)
        counted = position if position >= 0 else None
        lag = log.end - (log.beginning if counted is None else counted)
        partitions.append(Partition(topic, number, owners.get(number), counted, log.end, lag))
    return Roster(state, members, partitions, sum(one.lag_records for one in partitions))
