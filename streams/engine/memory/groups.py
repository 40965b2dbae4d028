"""Consumer groups: who is a member, who has which partition numbers, and the offsets that a group has committed.

The classic protocol, whose rebalances take two steps: every member joins, then asks with `sync` what it was dealt.
Pure: whoever calls hands the time in; a member that is not heard of within its session timeout is put out by `expire`.
"""

from __future__ import annotations

from dataclasses import dataclass, field
from typing import TYPE_CHECKING

from streams.engine.memory.errors import (
    FencedInstanceError,
    IllegalGenerationError,
    RebalanceInProgressError,
    UnknownMemberError,
)

if TYPE_CHECKING:
    from collections.abc import Callable, Iterable, Mapping

Place = tuple[str, int]
NO_GENERATION = -1


@dataclass(slots=True)
class _Member:
    member_id: str
    instance_id: str | None
    topics: tuple[str, ...]
    session_timeout_ms: int
    rebalance_timeout_ms: int
    heard_ms: int
    has_joined: bool = True
    """Whether it has joined the rebalance that is under way."""
    partitions: tuple[int, ...] = ()


@dataclass(slots=True)
class _Group:
    members: dict[str, _Member] = field(default_factory=dict)
    by_instance: dict[str, str] = field(default_factory=dict)
    """Member id of each group instance id."""
    fenced: set[str] = field(default_factory=set)
    """Member ids whose instance id another member has now."""
    generation: int = 0
    is_rebalancing: bool = False
    rebalancing_since_ms: int = 0
    joined: int = 0
    """How many members ever joined: the next one's number."""
    offsets: dict[Place, int] = field(default_factory=dict)


@dataclass(frozen=True, slots=True)
class Assignment:
    """What a member was dealt in one generation: these partition numbers of all topics it subscribes to."""

    generation: int
    partitions: tuple[int, ...]


class Groups:
    """All consumer groups of one cluster."""

    def __init__(self, partition_count: Callable[[str], int]) -> None:
        """`partition_count` tells how many partitions a topic has now, 0 for one that does not exist."""
        self._partition_count = partition_count
        self._groups: dict[str, _Group] = {}

    def join(
        self,
        group: str,
        topics: Iterable[str],
        now_ms: int,
        *,
        session_timeout_ms: int,
        rebalance_timeout_ms: int,
        member_id: str | None = None,
        instance_id: str | None = None,
    ) -> str:
        """Join, or join again in a rebalance; returns the member id to go on with.

        A member that joins without an id under an instance id that another one has takes its place without a rebalance
        and fences it. Raises `UnknownMemberError`, `FencedInstanceError`.
        """
        found = self._groups.setdefault(group, _Group())
        subscribed = tuple(sorted(topics))
        if member_id is not None:
            member = self._member(found, member_id)
            is_new = member.topics != subscribed or not found.is_rebalancing
            member.topics = subscribed
        elif instance_id is not None and instance_id in found.by_instance:
            member = self._take_place(found, found.by_instance[instance_id], instance_id)
            is_new = member.topics != subscribed
            member.topics = subscribed
        else:
            member_id, timeouts = self._new_id(found, instance_id), (session_timeout_ms, rebalance_timeout_ms)
            member = _Member(member_id, instance_id, subscribed, *timeouts, now_ms)
            self._enter(found, member)
            is_new = True
        member.session_timeout_ms, member.rebalance_timeout_ms = session_timeout_ms, rebalance_timeout_ms
        member.heard_ms = now_ms
        if is_new:
            self._rebalance(found, now_ms)
        member.has_joined = True
        self._settle(found)
        return member.member_id

    def sync(self, group: str, member_id: str, now_ms: int) -> Assignment | None:
        """Return what the member was dealt; None while other members have not joined yet.

        Raises `UnknownMemberError`, `FencedInstanceError`, and `RebalanceInProgressError` where it has to join first.
        """
        found = self._groups.get(group, _Group())
        member = self._member(found, member_id)
        member.heard_ms = now_ms
        if not found.is_rebalancing:
            return Assignment(found.generation, member.partitions)
        if not member.has_joined:
            raise RebalanceInProgressError(f"{member_id} has to join")
        return None

    def heartbeat(self, group: str, member_id: str, generation: int, now_ms: int) -> None:
        """Stay a member. Raises what the member has to do otherwise."""
        found = self._groups.get(group, _Group())
        member = self._member(found, member_id)
        member.heard_ms = now_ms
        if found.is_rebalancing:
            raise RebalanceInProgressError(f"{member_id} has to give its partitions back and to join")
        self._check_generation(found, generation)

    def leave(self, group: str, member_id: str, now_ms: int) -> None:
        """Leave at once, as a member without instance id does. Raises `UnknownMemberError`, `FencedInstanceError`."""
        found = self._groups.get(group, _Group())
        self._member(found, member_id)
        self._remove(found, [member_id], now_ms)

    def expire(self, now_ms: int) -> None:
        """Put out the members that were not heard of, or did not join a rebalance, within their timeouts."""
        for found in self._groups.values():
            late = [
                member.member_id
                for member in found.members.values()
                if now_ms - member.heard_ms >= member.session_timeout_ms
                or (not member.has_joined and now_ms - found.rebalancing_since_ms >= member.rebalance_timeout_ms)
            ]
            if late:
                self._remove(found, late, now_ms)

    def commit(
        self, group: str, offsets: Mapping[Place, int], member_id: str | None = None, generation: int = NO_GENERATION
    ) -> None:
        """Move offsets of the group; with `member_id` as its member, else as a tool does.

        Raises `UnknownMemberError`, `FencedInstanceError`, `IllegalGenerationError`.
        """
        found = self._groups.setdefault(group, _Group())
        if member_id is not None:
            self._member(found, member_id)
            self._check_generation(found, generation)
        found.offsets.update(offsets)

    def offsets(self, group: str) -> Mapping[Place, int]:
        """Return the committed offsets of a group."""
        return dict(self._groups.get(group, _Group()).offsets)

    def forget(self, topic: str) -> None:
        """Forget the offsets of a deleted topic."""
        for found in self._groups.values():
            for place in [place for place in found.offsets if place[0] == topic]:
                del found.offsets[place]

    def members(self, group: str) -> dict[str, tuple[int, ...]]:
        """Return the partition numbers of each member, by member id."""
        return {m.member_id: m.partitions for m in self._groups.get(group, _Group()).members.values()}

    @staticmethod
    def _new_id(found: _Group, instance_id: str | None) -> str:
        found.joined += 1
        return f"{instance_id or 'member'}-{found.joined}"

    @staticmethod
    def _enter(found: _Group, member: _Member) -> None:
        found.members[member.member_id] = member
        if member.instance_id is not None:
            found.by_instance[member.instance_id] = member.member_id

    def _take_place(self, found: _Group, older_id: str, instance_id: str) -> _Member:
        member = found.members.pop(older_id)
        found.fenced.add(older_id)
        member.member_id = self._new_id(found, instance_id)
        self._enter(found, member)
        return member

    @staticmethod
    def _member(found: _Group, member_id: str) -> _Member:
        if member_id in found.fenced:
            raise FencedInstanceError(f"{member_id}: another member has its group instance id")
        member = found.members.get(member_id)
        if member is None:
            raise UnknownMemberError(f"{member_id} is no member")
        return member

    @staticmethod
    def _check_generation(found: _Group, generation: int) -> None:
        if generation != found.generation:
            raise IllegalGenerationError(f"generation {found.generation} is current, not {generation}")

    def _remove(self, found: _Group, member_ids: Iterable[str], now_ms: int) -> None:
        for member_id in member_ids:
            member = found.members.pop(member_id)
            if member.instance_id is not None:
                del found.by_instance[member.instance_id]
        self._rebalance(found, now_ms)
        self._settle(found)

    @staticmethod
    def _rebalance(found: _Group, now_ms: int) -> None:
        """Begin a rebalance, unless one is under way: everybody has to join."""
        if not found.is_rebalancing:
            found.is_rebalancing, found.rebalancing_since_ms = True, now_ms
            for member in found.members.values():
                member.has_joined = False

    def _settle(self, found: _Group) -> None:
        """End a rebalance once everybody has joined: partition p of all topics goes to one member."""
        if not found.is_rebalancing or not all(member.has_joined for member in found.members.values()):
            return
        found.is_rebalancing = False
        found.generation += 1
        members = sorted(found.members.values(), key=lambda member: member.instance_id or member.member_id)
        topics = {topic for member in members for topic in member.topics}
        count = max((self._partition_count(topic) for topic in topics), default=0)
        for number, member in enumerate(members):
            member.partitions = tuple(range(number, count, len(members)))
