"""What the broker does not allow: who, what, on which resource, as one sentence.

A right that is missing is waited for: somebody may be giving it just now (contract 6).
"""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

from aiokafka.errors import (
    ClusterAuthorizationFailedError,
    GroupAuthorizationFailedError,
    KafkaError,
    TopicAuthorizationFailedError,
    TransactionalIdAuthorizationFailed,
)

from streams.kafka.client.causes import causes_of

if TYPE_CHECKING:
    from collections.abc import Iterable

DENIED = (
    ClusterAuthorizationFailedError,
    GroupAuthorizationFailedError,
    TopicAuthorizationFailedError,
    TransactionalIdAuthorizationFailed,
)


def is_denied(error: BaseException) -> bool:
    """Return whether the broker says that this user may not."""
    return any(isinstance(each, DENIED) for each in causes_of(error))


def denial(error: BaseException, principal: str | None, on_topics: str) -> str | None:
    """Return what is not allowed, such as "User:ann may not Write on topic orders.rejected"; None for other errors.

    `on_topics` is the operation that was tried on topics: an answer names them, and not what for.
    """
    for each in reversed(causes_of(error)):
        if isinstance(each, DENIED):
            who = "this user" if principal is None else f"User:{principal}"
            return f"{who} may not {_operation(each, on_topics)}"
    return None


def _operation(error: KafkaError, on_topics: str) -> str:
    match error:
        case TopicAuthorizationFailedError():
            return f"{on_topics} on topic {_names(error.args)}".rstrip()
        case GroupAuthorizationFailedError():
            return f"Read on group {_names(error.args)}".rstrip()
        case TransactionalIdAuthorizationFailed():
            return f"Write on transactional-id {_names(error.args)}".rstrip()
        case _:
            return "IdempotentWrite on the cluster"


def _names(given: Iterable[Any]) -> str:
    """Return the names in an error's arguments: a text, a set of them, or nothing."""
    names: set[str] = set()
    for one in given:
        names |= {one} if isinstance(one, str) else {str(each) for each in one}
    return ", ".join(sorted(names))
