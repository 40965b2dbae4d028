"""Who is who in the group: members told apart by their client ids, and which of two of one name may stay.

A worker's name is its group instance id. Kafka lets the newest process of a name in and puts the one before out, which
is right for a restart; two that live would put each other out for ever. So whoever is put out looks up who has the
name now: the one that started first keeps it. Used by the transport, before it joins again.

The client id says who a process is to people; a broker keeps that of the first process of a name, however often another
one takes its place. So a member says it again in the data of its subscription, which the broker takes over.
"""

from __future__ import annotations

import asyncio
import datetime as dt
import functools
import logging
import os
import re
import socket
from dataclasses import dataclass, field
from typing import TYPE_CHECKING, Any, Self

import orjson
from aiokafka.coordinator.protocol import ConsumerProtocolMemberMetadata
from aiokafka.errors import KafkaError, RebalanceInProgressError, for_code
from faust.assignor.partition_assignor import PartitionAssignor

from streams import __version__
from streams.engine.clock import SystemClock
from streams.errors import UsageError
from streams.kafka.client.requests import GroupsRequest

if TYPE_CHECKING:
    from collections.abc import Iterable

    from streams.kafka.client.raw_consumer import Join, Membership

log = logging.getLogger("festival.worker")

PROCESS = "process"
"""Key of the subscription's data."""
LOOK_UP_SECONDS = 0.5
"""Between two questions to a group that is not ready to answer."""


@dataclass(frozen=True, slots=True, order=True)
class Member:
    """A process in the group. One that started first is the smaller."""

    started_ms: int
    host: str
    process_id: int
    version: str = field(default=__version__, compare=False)

    @classmethod
    def of(cls, client_id: str, name: str) -> Self | None:
        """Return the worker of that name behind a client id, None where it is another one's."""
        found = re.fullmatch(rf"festival-{re.escape(name)}@([^:]*):(\d+):(\d+):(.*)", client_id)
        if found is None:
            return None
        host, process_id, started_ms, version = found.groups()
        return cls(int(started_ms), host, int(process_id), version)

    def client_id(self, name: str) -> str:
        """Return what it calls itself as a worker of that name."""
        return f"festival-{name}@{self.host}:{self.process_id}:{self.started_ms}:{self.version}"

    def fields(self) -> dict[str, object]:
        """Return what a log line says of it."""
        return {"host": self.host, "process_id": self.process_id, "since": self.since()}

    def since(self) -> str:
        """Return when it started, by its own clock."""
        return dt.datetime.fromtimestamp(self.started_ms / 1000, dt.UTC).strftime("%Y-%m-%d %H:%M:%S UTC")


class NameHeldError(UsageError, KafkaError):
    """A worker that started first has the name. An error of Kafka's too, so that aiokafka hands it on."""

    def __str__(self) -> str:
        """Return the sentence; the client library's errors put their class before it."""
        return str(self.args[0])


@functools.cache
def this_process() -> Member:
    """Return what this process is; its start is when it is first asked for."""
    host = re.sub(r"[^A-Za-z0-9._-]", "-", socket.gethostname())[:100]
    return Member(SystemClock().now_ms(), host, os.getpid())


def is_put_out(error: BaseException) -> bool:
    """Return whether a join may have failed because another process has the name.

    aiokafka 0.14 does not know the code of that (82, FENCED_INSTANCE_ID): it is an unknown error to it, told in a text.
    """
    return isinstance(error, KafkaError) and "UnknownError" in str(error)


class NamingAssignor(PartitionAssignor):
    """Faust's assignor; a member's subscription says which process it is."""

    def metadata(self, topics: Iterable[str]) -> ConsumerProtocolMemberMetadata:  # type: ignore[override]
        """Return what a member says when it joins."""
        said = super().metadata(set(topics))
        app: Any = self.app  # ours, which has settings
        name: str = app.settings.name
        data = {**orjson.loads(said.user_data), PROCESS: this_process().client_id(name)}
        return ConsumerProtocolMemberMetadata(said.version, said.subscription, orjson.dumps(data))


def holder_of(name: str, answer: Any, own: Member) -> Member | None:  # noqa: ANN401 - aiokafka's answer
    """Return the other process that has the name, None where nobody has.

    Raises the `KafkaError` of an answer that is none, and while the group does not tell, which it does between
    rebalances.
    """
    group = answer.to_object()["groups"][0]
    if group["error_code"]:
        problem = for_code(group["error_code"])
        raise problem
    if group["members"] and group["state"] != "Stable":
        raise RebalanceInProgressError
    return other_holder(name, (process_of(member["member_metadata"]) for member in group["members"]), own)


def process_of(subscription: bytes) -> str:
    """Return which process a member says it is, "" where it does not."""
    try:
        data = orjson.loads(ConsumerProtocolMemberMetadata.decode(subscription).user_data)
    except (ValueError, TypeError):
        return ""
    return str(data.get(PROCESS, "")) if isinstance(data, dict) else ""


def other_holder(name: str, processes: Iterable[str], own: Member) -> Member | None:
    """Return the other process of that name among the members, the first to start; None where there is none."""
    known = (Member.of(process, name) for process in processes)
    return min((member for member in known if member is not None and member != own), default=None)


def refuse(name: str, holder: Member) -> NameHeldError:
    """Return why a worker ends whose name another one has."""
    return NameHeldError(
        f"another worker has the name {name!r} and started first: on {holder.host}, process {holder.process_id}, since "
        f"{holder.since()}. Give this worker another --name, or stop that one"
    )


class NameKeeper:
    """Watches over a worker's name in the group, in the consumer's thread and out of aiokafka's own join."""

    def __init__(self, name: str) -> None:
        """Begin before the first join."""
        self._name = name
        self._was_member = False
        """Who joins for the first time asks nobody: it may be a restart, and the member there a dead one."""

    def watch(self, membership: Membership) -> None:
        """Stand between a member and its joins from now on."""
        membership.guard(lambda join: self._rejoin(membership, join))

    async def _rejoin(self, membership: Membership, join: Join) -> bool:
        """Join, unless another process has the name by right; return whether this worker is in.

        Raises `NameHeldError`, which ends the worker.
        """
        if self._was_member and not membership.is_known and not await self._may_have_it(membership):
            return False
        try:
            is_joined = await join()
        except KafkaError as error:
            if not is_put_out(error):
                raise
            log.warning("the group does not let this worker in: another process may have its name")
            await asyncio.sleep(LOOK_UP_SECONDS)
            membership.forget()
            is_joined, self._was_member = False, True
        self._was_member |= is_joined
        return is_joined

    async def _may_have_it(self, membership: Membership) -> bool:
        """Return whether nobody has the name by right, False where the group does not say yet.

        Put out of the group is also whose session was over; then nobody has the name.
        """
        own = this_process()
        try:
            answer = await membership.ask(GroupsRequest(membership.group))
            holder = holder_of(self._name, answer, own)
        except KafkaError:
            await asyncio.sleep(LOOK_UP_SECONDS)
            return False
        if holder is None:
            return True
        if holder < own:
            raise refuse(self._name, holder)
        log.warning("another worker took this name; it started later, so the name is taken back", extra=holder.fields())
        return True
