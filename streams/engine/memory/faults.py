"""Failures of the broker as its clients meet them: away, a right refused, a request or its answer lost.

A test or a simulation sets `Faults` of a `Kafka`. Each request asks once, before it does anything.
"""

from __future__ import annotations

from collections.abc import Callable
from enum import Enum, StrEnum

from streams.engine.memory.errors import AnswerLostError, BrokerAwayError, NotAuthorizedError


class Request(StrEnum):
    """What a client asks the broker for."""

    INIT_PRODUCER = "init_producer"
    PRODUCE = "produce"
    ADD_OFFSETS = "add_offsets"
    END_TRANSACTION = "end_transaction"
    FETCH = "fetch"
    OFFSETS = "offsets"
    METADATA = "metadata"
    JOIN = "join"
    SYNC = "sync"
    HEARTBEAT = "heartbeat"
    LEAVE = "leave"
    COMMIT_OFFSETS = "commit_offsets"
    FETCH_OFFSETS = "fetch_offsets"


class Right(StrEnum):
    """A right on a topic, a group or a transactional id."""

    READ = "read"
    WRITE = "write"
    DESCRIBE = "describe"


class Fate(Enum):
    """What becomes of one request."""

    ANSWERED = "answered"
    UNREACHED = "unreached"
    """It never reaches the broker; the client sees an error."""
    UNANSWERED = "unanswered"
    """It is carried out; the client sees an error."""


OnRequest = Callable[[Request, str], Fate]
"""Asked for the fate of each request; the text is the name of the topic, group or transactional id."""


def answered(_request: Request, _name: str) -> Fate:
    """Let every request be answered."""
    return Fate.ANSWERED


def at_request(wanted: Request, fate: Fate, nth: int = 1) -> OnRequest:
    """Return a hook that gives the `nth` request of a kind `fate`, counted from 1; all others are answered."""
    assert nth >= 1, nth
    left = nth

    def on_request(request: Request, _name: str) -> Fate:
        nonlocal left
        if request is not wanted:
            return Fate.ANSWERED
        left -= 1
        return fate if left == 0 else Fate.ANSWERED

    return on_request


class Faults:
    """The faults of one broker, all of them off in the beginning."""

    def __init__(self) -> None:
        """Begin without a fault."""
        self.is_away = False
        """While true no request reaches the broker; its clocks go on."""
        self.denied: set[tuple[Right, str]] = set()
        """Rights that are refused, each with the name of a topic, group or transactional id."""
        self.on_request: OnRequest = answered

    def admit(self, request: Request, right: Right, name: str) -> bool:
        """Return whether the answer will be lost. Raises where the request is not carried out."""
        if self.is_away:
            raise BrokerAwayError(f"{request} of {name}: the broker is away")
        if self.denied and (right, name) in self.denied:
            raise NotAuthorizedError(f"{request} of {name}: no right to {right}")
        fate = self.on_request(request, name)
        if fate is Fate.UNREACHED:
            raise BrokerAwayError(f"{request} of {name} did not reach the broker")
        return fate is Fate.UNANSWERED

    @staticmethod
    def answer(request: Request, *, is_lost: bool) -> None:
        """End a request that was carried out."""
        if is_lost:
            raise AnswerLostError(f"{request}: carried out, the answer was lost")
