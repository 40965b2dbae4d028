"""A member of a consumer group as a client has it: it joins, heartbeats, gives partitions back and joins again."""

from __future__ import annotations

from typing import TYPE_CHECKING, NamedTuple

from streams.engine.memory.errors import (
    AnswerLostError,
    BrokerAwayError,
    IllegalGenerationError,
    KafkaFaultError,
    RebalanceInProgressError,
    UnknownMemberError,
)

if TYPE_CHECKING:
    from collections.abc import Iterable

    from streams.engine.memory.cluster import Kafka
    from streams.engine.memory.groups import Assignment


class Revoked(NamedTuple):
    """The group wants these partition numbers back; with the next turn the member has given them back."""

    partitions: tuple[int, ...]
    is_lost: bool
    """The group had put the member out before: others may have the partitions by now."""


class Member:
    """Does one thing per `turn`. Whoever lets no turn come for longer than the session is put out of the group.

    Call order: `turn` again and again; after `Revoked` make the last commits before the next one. `join_again` where
    topics have grown. Raises `FencedInstanceError` once another member has its instance id, and must end then.
    """

    def __init__(
        self,
        kafka: Kafka,
        group: str,
        topics: Iterable[str],
        *,
        instance_id: str | None,
        session_timeout_ms: int = 6_000,
    ) -> None:
        """Begin outside of the group."""
        self._kafka, self._group, self._topics = kafka, group, tuple(topics)
        self._instance_id, self._session_timeout_ms = instance_id, session_timeout_ms
        self.member_id: str | None = None
        self._assignment: Assignment | None = None
        self._has_to_join = True

    @property
    def generation(self) -> int | None:
        """Return the generation of the group in which the member was dealt what it has; None while it has nothing."""
        return None if self._assignment is None else self._assignment.generation

    def turn(self) -> Assignment | Revoked | None:
        """Join, ask what was dealt, or heartbeat; a broker that is away is asked again in the next turn."""
        try:
            return self._turn()
        except (BrokerAwayError, AnswerLostError):
            return None
        except RebalanceInProgressError:
            return self._revoked(is_lost=False)
        except (UnknownMemberError, IllegalGenerationError):
            self.member_id = None
            return self._revoked(is_lost=True)

    def is_in(self) -> bool:
        """Return whether the group says, asked now, that what it dealt is still this member's."""
        if self._assignment is None or self.member_id is None:
            return False
        try:
            self._kafka.heartbeat(self._group, self.member_id, self._assignment.generation)
        except KafkaFaultError:
            return False
        return True

    def join_again(self) -> Revoked | None:
        """Ask for a rebalance, because a topic has other partitions now."""
        return self._revoked(is_lost=False)

    def _turn(self) -> Assignment | None:
        if self._has_to_join or self.member_id is None:
            self.member_id = self._kafka.join(
                self._group,
                self._topics,
                member_id=self.member_id,
                instance_id=self._instance_id,
                session_timeout_ms=self._session_timeout_ms,
            )
            self._has_to_join = False
        if self._assignment is not None:
            self._kafka.heartbeat(self._group, self.member_id, self._assignment.generation)
            return None
        self._assignment = self._kafka.sync(self._group, self.member_id)
        return self._assignment

    def _revoked(self, *, is_lost: bool) -> Revoked | None:
        had, self._assignment, self._has_to_join = self._assignment, None, True
        return None if had is None else Revoked(had.partitions, is_lost)
