"""Why a connection to a broker does not come about, in the words of who has to mend it: the one place for that.

Every command and start tells it through `streams.kafka.client.clients.cannot_reach`.
"""

from __future__ import annotations

import asyncio
import socket
from typing import TYPE_CHECKING

from aiokafka.errors import KafkaConnectionError

if TYPE_CHECKING:
    from collections.abc import Mapping

Address = tuple[str, int]


class UnreachedError(KafkaConnectionError):
    """None of the addresses that were given has answered; `causes` says why, by address."""

    def __init__(self, causes: Mapping[Address, BaseException]) -> None:
        """`causes` may be empty."""
        super().__init__(said_of(causes))
        self.causes = dict(causes)

    def __str__(self) -> str:
        """Return the sentence; the client library's errors put their class before it."""
        return str(self.args[0])


def said_of(causes: Mapping[Address, BaseException]) -> str:
    """Return one sentence part for each address, those with the same cause together."""
    by_cause: dict[str, list[str]] = {}
    for (host, port), error in causes.items():
        by_cause.setdefault(cause_of(error), []).append(f"{host}:{port}")
    return "; ".join(f"{', '.join(addresses)}: {cause}" for cause, addresses in by_cause.items())


def cause_of(error: BaseException) -> str:
    """Return in plain words what went wrong: the deepest cause that has a name of its own."""
    for each in reversed(causes_of(error)):
        match each:
            case ConnectionRefusedError():
                return "nothing listens there (connection refused)"
            case socket.gaierror():
                return f"the name is not known ({each.strerror})"
            case TimeoutError():
                return f"no answer ({each})" if str(each) else "no answer in time"
            case ConnectionResetError() | BrokenPipeError() | asyncio.IncompleteReadError() | EOFError():
                return "the connection was closed by the other side, which may want TLS or none"
            case OSError() if each.errno is not None:
                return each.strerror or str(each)
    return str(error) or type(error).__name__


def causes_of(error: BaseException) -> list[BaseException]:
    """Return an error and all that lie behind it: aiokafka hides the one that matters behind others."""
    found: list[BaseException] = []
    pending: list[BaseException | None] = [error]
    for each in pending:
        if each is not None and each not in found:
            found.append(each)
            pending += [each.__cause__, each.__context__]
    return found
