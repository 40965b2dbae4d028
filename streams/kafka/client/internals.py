"""What of aiokafka works otherwise here; installed by whoever is about to make a client, not by an import.

The private names stand in the contract test tests/contract/test_aiokafka_names.py.
"""

from __future__ import annotations

import asyncio
from contextvars import ContextVar
from functools import cache, partial
from typing import TYPE_CHECKING, Any, Final
from weakref import WeakSet

import aiokafka.admin.client
import aiokafka.client
from aiokafka.client import AIOKafkaClient
from aiokafka.consumer import fetcher
from aiokafka.errors import KafkaConnectionError, KafkaError
from aiokafka.protocol.metadata import MetadataRequest
from aiokafka.record.memory_records import _MemoryRecordsPy

from streams.kafka.client.causes import Address, UnreachedError
from streams.kafka.client.connection import Connection
from streams.kafka.client.refusals import RefusedError, named, unheard
from streams.renewed import Secret

if TYPE_CHECKING:
    from collections.abc import Awaitable, Callable


@cache
def install() -> None:
    """Install what the module's docstring names. May be called again.

    Asking for a topic never makes it, a client that is closed leaves no connection open, no connection waits for a
    silent broker for ever, a first connection that fails says why, and fetched bytes are seen before they are parsed.
    """
    # By default a broker makes a topic that a client merely asks for: a source that was deleted would be back, empty.
    for module in (aiokafka.client, aiokafka.admin.client):
        module.MetadataRequest = partial(  # type: ignore[attr-defined] # it is imported there
            MetadataRequest, allow_auto_topic_creation=False
        )
    # It has two readers of record batches. The one that is written in Python leaves the bytes to us: leader epochs
    # stand in them, and the compiled part reads them where they lie.
    fetcher.MemoryRecords = _MemoryRecordsPy  # type: ignore[attr-defined] # it is imported there

    aiokafka.client.create_conn = _create_conn  # type: ignore[attr-defined] # it is imported there
    client: Any = AIOKafkaClient
    client.bootstrap = _closing_on_failure(client.bootstrap)
    client.close = _remembering(client.close)
    client._get_conn = _closing_when_late(client._get_conn)  # noqa: SLF001 - see the module's docstring


class _FirstConnections:
    """What a client opens to learn of its cluster: nobody else knows of it until the first answer is there."""

    def __init__(self) -> None:
        self.is_asking = True
        self.opened: list[Connection] = []
        self.refused: dict[Address, BaseException] = {}
        """Why an address has no connection: the client itself only logs it."""

    def problem(self) -> BaseException | None:
        """Return why nobody has answered: what the broker refuses comes before what the network does."""
        refusals = [error for error in self.refused.values() if isinstance(error, RefusedError)]
        if refusals:
            return refusals[-1]
        silent = {(c.host, c.port): c.ended_by for c in self.opened if isinstance(c.ended_by, TimeoutError)}
        closed = [connection for connection in self.opened if (connection.host, connection.port) not in silent]
        causes = {**silent, **self.refused}
        return unheard(closed) or (UnreachedError(causes) if causes else None)


_first_connections: ContextVar[_FirstConnections | None] = ContextVar("first_connections", default=None)
_closed_clients: Final[WeakSet[AIOKafkaClient]] = WeakSet()


async def _create_conn(host: str, port: int, **options: Any) -> Connection:  # noqa: ANN401 - aiokafka's options
    first = _first_connections.get()
    password = options.get("sasl_plain_password")
    if isinstance(password, Secret):
        options["sasl_plain_password"] = await asyncio.to_thread(password.current)
    connection = Connection(host, port, **options)
    try:
        await connection.connect()
    except (OSError, KafkaError) as error:
        if first is not None and first.is_asking:
            is_silent = isinstance(error, TimeoutError) or isinstance(connection.ended_by, TimeoutError)
            told = error if is_silent else await named(error, options["security_protocol"], host, port)
            first.refused[host, port] = told
        raise
    if first is not None and first.is_asking:
        first.opened.append(connection)
    return connection


def _closing_on_failure(bootstrap: Callable[[AIOKafkaClient], Awaitable[None]]) -> Callable[[Any], Awaitable[None]]:
    """Return `bootstrap`; it closes what it has opened where it is cancelled, and says why it fails."""

    async def wrapped(client: AIOKafkaClient) -> None:
        first = _FirstConnections()
        token = _first_connections.set(first)
        try:
            await bootstrap(client)
        except BaseException as error:
            problem = first.problem()
            for connection in first.opened:
                connection.close()
            if isinstance(error, KafkaConnectionError):
                if isinstance(problem, UnreachedError):
                    raise problem from error
                raise error from problem
            raise
        finally:
            first.is_asking = False  # the tasks that were begun meanwhile have the same context
            first.opened.clear()
            _first_connections.reset(token)

    return wrapped


def _remembering(close: Callable[[AIOKafkaClient], Awaitable[None]]) -> Callable[[Any], Awaitable[None]]:
    """Return `close`; it remembers that the client is closed."""

    async def wrapped(client: AIOKafkaClient) -> None:
        _closed_clients.add(client)
        await close(client)

    return wrapped


def _closing_when_late(get: Callable[..., Awaitable[Any]]) -> Callable[..., Awaitable[Any]]:
    """Return `_get_conn`; a connection that stands only after its client was closed is closed at once."""

    async def wrapped(client: AIOKafkaClient, node_id: int, **options: Any) -> Connection | None:  # noqa: ANN401 - aiokafka's options
        connection: Connection | None = await get(client, node_id, **options)
        if connection is None or client not in _closed_clients:
            return connection
        connection.close()
        return None

    return wrapped
