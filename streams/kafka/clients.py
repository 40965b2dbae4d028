"""aiokafka clients started and stopped with care: a start that waits for the broker, a stop that always ends.

Used by the ledger's store, its readers and the recount. Nothing here is a client of a consumer group.
"""

from __future__ import annotations

import asyncio
import logging
from typing import TYPE_CHECKING, Any, Protocol, TypeVar

from aiokafka import AIOKafkaConsumer, AIOKafkaProducer
from aiokafka.errors import (
    ClusterAuthorizationFailedError,
    IncompatibleBrokerVersion,
    InvalidProducerEpoch,
    KafkaError,
    ProducerFenced,
    TopicAuthorizationFailedError,
    TransactionalIdAuthorizationFailed,
)

from streams.engine.checkpoint import FencedError
from streams.errors import UnreachableError

if TYPE_CHECKING:
    from collections.abc import Callable

    from streams.settings import Settings

log = logging.getLogger("festival.kafka")

RETRY_SECONDS = 0.5
TELL_SECONDS = 10.0
"""Between two log lines of an outage, of all clients together: a worker may have a hundred."""
STOP_SECONDS = 2.0
"""A producer that was fenced, or whose broker is gone, would flush for ever."""
MAX_BATCH_BYTES = 900 * 1024
"""Of a producer's batch: one checkpoint is one produce request, and stays below the broker's 1 MiB limit."""
TRANSACTION_TIMEOUT_MS = 10_000
"""After a crash in mid-transaction with nobody taking over, readers wait this long for the broker to abort it."""
FETCH_BYTES = 8 * 1024 * 1024

PERMANENT = (
    ClusterAuthorizationFailedError,
    IncompatibleBrokerVersion,
    TopicAuthorizationFailedError,
    TransactionalIdAuthorizationFailed,
)


class Outage:
    """Tells that somebody waits for the broker, now and then, however many wait."""

    def __init__(self) -> None:
        """Begin without having told anything."""
        self._quiet_until = 0.0

    def tell(self, what: str, error: BaseException) -> None:
        """Log that `what` is waited for, unless something was told a moment ago."""
        now = asyncio.get_running_loop().time()
        if now >= self._quiet_until:
            self._quiet_until = now + TELL_SECONDS
            log.warning("waiting for the broker", extra={"for": what, "error": repr(error)})


outage = Outage()
"""Of this process."""


class _Client(Protocol):
    async def start(self) -> None: ...

    async def stop(self) -> None: ...


C = TypeVar("C", bound=_Client)


async def start_producer(settings: Settings, transactional_id: str) -> AIOKafkaProducer:
    """Return a producer that has fenced every older one of `transactional_id` and ended its transaction.

    Waits through an outage of the broker. Raises `KafkaError` only where waiting does not help.
    """

    def make() -> AIOKafkaProducer:
        return AIOKafkaProducer(
            **settings.client_options(),
            transactional_id=transactional_id,
            transaction_timeout_ms=TRANSACTION_TIMEOUT_MS,
            acks="all",
            # aiokafka's lz4 works at level 9: 8 % of a catch-up's CPU, most of it on hashes, which do not compress.
            compression_type="snappy",
            max_batch_size=MAX_BATCH_BYTES,
        )

    return await _start(make, f"transactional id {transactional_id}")


async def start_consumer(
    settings: Settings,
    *,
    is_committed_only: bool = True,
    is_patient: bool = True,
    **options: Any,  # noqa: ANN401 - aiokafka's options
) -> AIOKafkaConsumer:
    """Return a consumer without a group; waits through an outage of the broker, or, not patient, raises at once.

    It has no offset to fall back to: a position outside the log raises `OffsetOutOfRangeError` when read from.
    """

    def make() -> AIOKafkaConsumer:
        return AIOKafkaConsumer(
            **{
                **settings.client_options(),
                "group_id": None,
                "enable_auto_commit": False,
                "auto_offset_reset": "none",
                "isolation_level": "read_committed" if is_committed_only else "read_uncommitted",
                "max_partition_fetch_bytes": FETCH_BYTES,
                "fetch_max_wait_ms": 200,
                **options,
            }
        )

    return await _start(make, "a reader", is_patient=is_patient)


def cannot_reach(settings: Settings, error: BaseException) -> UnreachableError:
    """Return a failed connection as the operator is told of it."""
    # aiokafka's own text for it lists the addresses as tuples, and says no more than this.
    why = "" if "Unable to bootstrap" in str(error) else f" ({error})"
    return UnreachableError(
        f"Kafka at {settings.bootstrap_servers} cannot be reached{why}: is it running, is that its address as seen "
        "from here, and do FESTIVAL_SECURITY_* fit it?"
    )


def is_permanent(error: BaseException) -> bool:
    """Return whether waiting does not help: the broker refuses; aiokafka may hide that in a more general error."""
    return isinstance(error, PERMANENT) or isinstance(error.__cause__, PERMANENT)


async def stop(client: _Client | None) -> None:
    """Stop a consumer or producer within a few seconds, whatever state it is in; never raises but when cancelled."""
    if client is None:
        return
    task = asyncio.ensure_future(client.stop())
    done, _ = await asyncio.wait([task], timeout=STOP_SECONDS)
    if not done:
        task.cancel()
        await asyncio.wait([task], timeout=STOP_SECONDS)
        connection = getattr(client, "client", None) or getattr(client, "_client", None)
        if connection is not None:
            closing = asyncio.ensure_future(connection.close())
            await asyncio.wait([closing], timeout=STOP_SECONDS)
            _look_at(closing)
    _look_at(task)
    await asyncio.sleep(0)  # aiokafka does not wait for its sockets to close, which takes a turn of the loop


def is_fenced(error: BaseException) -> bool:
    """Return whether a newer owner is the cause of a failed transaction, which aiokafka may hide behind others."""
    causes: list[BaseException] = []
    pending: list[BaseException | None] = [error]
    for cause in pending:
        if cause is not None and cause not in causes:
            causes.append(cause)
            pending += [cause.__cause__, cause.__context__]
    return any(isinstance(cause, ProducerFenced | InvalidProducerEpoch | FencedError) for cause in causes)


def _look_at(task: asyncio.Future[None]) -> None:
    # An exception nobody looks at would be logged when the task is collected.
    if task.done() and not task.cancelled() and task.exception() is not None:
        log.debug("a Kafka client did not stop cleanly: %r", task.exception())


async def _start(make: Callable[[], C], what: str, *, is_patient: bool = True) -> C:
    while True:
        client = make()
        try:
            await client.start()
        except (KafkaError, OSError, TimeoutError) as error:
            await stop(client)
            if not is_patient or is_permanent(error):
                raise
            outage.tell(what, error)
            await asyncio.sleep(RETRY_SECONDS)
        except BaseException:
            await stop(client)
            raise
        else:
            return client
