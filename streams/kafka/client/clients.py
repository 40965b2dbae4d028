"""aiokafka clients started and stopped with care: a start that waits for the broker, a stop that always ends.

Used by the ledger's store, its readers and the recount. Nothing here is a client of a consumer group.
"""

from __future__ import annotations

import asyncio
import logging
from typing import TYPE_CHECKING, Any, Protocol, TypeVar

from aiokafka import AIOKafkaConsumer, AIOKafkaProducer
from aiokafka.client import AIOKafkaClient
from aiokafka.errors import (
    IncompatibleBrokerVersion,
    InvalidProducerEpoch,
    KafkaConnectionError,
    KafkaError,
    ProducerFenced,
)

from streams.engine.checkpoint import FencedError
from streams.errors import UnreachableError
from streams.kafka.client.causes import cause_of, causes_of
from streams.kafka.client.denials import is_denied
from streams.kafka.client.internals import install
from streams.kafka.client.refusals import RefusedError, told_of

if TYPE_CHECKING:
    from collections.abc import Awaitable, Callable

    from streams.settings import Settings

log = logging.getLogger("festival.kafka")

RETRY_SECONDS = 0.5
REACH_SECONDS = 12.0
"""Longest wait of a command for its first answer: a broker may take connections and never speak. A command that cannot
go on has ended after 15 s, its own start included."""
START_SECONDS = 60.0
"""Longest wait of a worker or a board at its start: what it is started beside may take so long."""
TELL_SECONDS = 10.0
"""Between two log lines of an outage, of all clients together: a worker may have a hundred."""
STOP_SECONDS = 2.0
"""A producer that was fenced, or whose broker is gone, would flush for ever."""
MAX_BATCH_BYTES = 900 * 1024
"""A producer's largest batch: one checkpoint is one produce request, and stays below the broker's 1 MiB limit."""
COMPRESSION = "snappy"
"""aiokafka's lz4 works at level 9: 8 % of a catch-up's CPU, most of it on hashes, which do not compress."""
TRANSACTION_TIMEOUT_MS = 10_000
"""After a crash in mid-transaction with nobody taking over, readers wait this long for the broker to abort it."""
FETCH_BYTES = 8 * 1024 * 1024


class BrokerAwayError(UnreachableError, KafkaConnectionError):
    """The broker is not there, or does not speak. An error of Kafka's too, for those who go on without it."""

    def __str__(self) -> str:
        """Return the sentence; the client library's errors put their class before it."""
        return str(self.args[0])


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
            log.warning("waiting for the broker", extra={"for": what, "error": told_of(error)})


outage = Outage()
"""The outage that this process sees."""


class _Client(Protocol):
    async def start(self) -> None: ...

    async def stop(self) -> None: ...


C = TypeVar("C", bound=_Client)
T = TypeVar("T")


async def start_producer(settings: Settings, transactional_id: str) -> AIOKafkaProducer:
    """Return a producer that has fenced every older one of `transactional_id` and ended its transaction.

    Waits through an outage of the broker. Raises `KafkaError` only where waiting does not help.
    """

    def make() -> AIOKafkaProducer:
        install()
        return AIOKafkaProducer(
            **settings.client_options(),
            transactional_id=transactional_id,
            transaction_timeout_ms=TRANSACTION_TIMEOUT_MS,
            acks="all",
            compression_type=COMPRESSION,
            max_batch_size=MAX_BATCH_BYTES,
        )

    return await _start(settings, make, f"transactional id {transactional_id}")


async def start_consumer(
    settings: Settings,
    *,
    is_committed_only: bool = True,
    is_patient: bool = True,
    **options: Any,  # noqa: ANN401 - aiokafka's options
) -> AIOKafkaConsumer:
    """Return a consumer without a group; waits through an outage of the broker.

    Not patient, it raises `BrokerAwayError` at once, after `REACH_SECONDS` where the broker does not speak.

    It has no offset to fall back to: a position outside the log raises `OffsetOutOfRangeError` when read from.
    """

    def make() -> AIOKafkaConsumer:
        install()
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

    return await _start(settings, make, "a reader", is_patient=is_patient)


async def await_broker(settings: Settings) -> None:
    """Return once the broker has answered; raises `BrokerAwayError` after `START_SECONDS`."""
    loop = asyncio.get_running_loop()
    limit = loop.time() + START_SECONDS
    while True:
        install()
        client = AIOKafkaClient(**settings.client_options())
        try:
            async with asyncio.timeout(min(REACH_SECONDS, limit - loop.time())):
                await client.bootstrap()
        except (KafkaError, OSError, TimeoutError) as error:
            if loop.time() + RETRY_SECONDS >= limit:
                raise cannot_reach(settings, error) from error
            outage.tell("the first answer", error)
            await asyncio.sleep(RETRY_SECONDS)
        else:
            return
        finally:
            await client.close()


def cannot_reach(settings: Settings, error: BaseException) -> BrokerAwayError:
    """Return a failed connection as the operator is told of it."""
    if isinstance(error.__cause__, RefusedError):
        return BrokerAwayError(f"Kafka at {settings.bootstrap_servers}: {error.__cause__}")
    why = f" ({cause_of(error)})" if str(error) or error.__cause__ is not None else ""
    return BrokerAwayError(
        f"Kafka at {settings.bootstrap_servers} cannot be reached{why}: is it running, is that its address as seen "
        "from here, and do FESTIVAL_SECURITY_* fit it?"
    )


async def through_trouble(ask: Callable[[], Awaitable[T]]) -> T:
    """Return what `ask` does, asked again for `START_SECONDS` while a broker is away or does not allow it.

    For the start of what runs for long: an election or a right that is given just now end nobody. Raises what `ask`
    raised last.
    """
    loop = asyncio.get_running_loop()
    limit = loop.time() + START_SECONDS
    denied: BaseException | None = None
    while True:
        try:
            found = await ask()
        except (UnreachableError, KafkaError, OSError) as error:
            if loop.time() + RETRY_SECONDS >= limit:
                raise
            if not is_denied(error):
                outage.tell("the first answers", error)
            elif denied is None:
                denied = error
                log.warning("not allowed, waiting for it and trying again: %s", error)
            await asyncio.sleep(RETRY_SECONDS)
        else:
            if denied is not None:
                log.info("allowed again: %s", denied)
            return found


def is_permanent(error: BaseException) -> bool:
    """Return whether the broker refuses: another try at once does not help; who may wait tries again later."""
    return is_denied(error) or isinstance(error, IncompatibleBrokerVersion)


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
    return any(isinstance(each, ProducerFenced | InvalidProducerEpoch | FencedError) for each in causes_of(error))


def _look_at(task: asyncio.Future[None]) -> None:
    # An exception nobody looks at would be logged when the task is collected.
    if task.done() and not task.cancelled() and task.exception() is not None:
        log.debug("a Kafka client did not stop cleanly: %r", task.exception())


async def _start(settings: Settings, make: Callable[[], C], what: str, *, is_patient: bool = True) -> C:
    while True:
        client = make()
        try:
            async with asyncio.timeout(None if is_patient else REACH_SECONDS):
                await client.start()
        except (KafkaError, OSError, TimeoutError) as error:
            await stop(client)
            if is_permanent(error):
                raise
            if not is_patient:
                raise cannot_reach(settings, error) from error
            outage.tell(what, error)
            await asyncio.sleep(RETRY_SECONDS)
        except BaseException:
            await stop(client)
            raise
        else:
            return client
