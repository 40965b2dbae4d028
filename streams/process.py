"""The process of a worker or a bridge, from its first signal to its exit status.

What is composed around the Faust app is in `streams.app` and `streams.bridge_app`.
"""

from __future__ import annotations

import asyncio
import gc
import logging
import os
import signal
import threading
from contextlib import contextmanager
from typing import TYPE_CHECKING, Any, TypeVar

import uvloop
from aiokafka.errors import KafkaConnectionError, KafkaError

from streams.domain.declarations import FingerprintError
from streams.errors import FestivalError, UnreachableError, UsageError
from streams.kafka.group.worker import FailStopError

if TYPE_CHECKING:
    from collections.abc import Callable, Coroutine, Iterator, Sequence

    from streams.kafka.group.membership import Member
    from streams.kafka.group.transport import BatchApp
    from streams.settings import Settings

log = logging.getLogger("festival.worker")

T = TypeVar("T")

STOP_SECONDS = 8.0
"""Longest orderly stop: the final checkpoints may take 5 s of it. Then the process ends as it is; nothing is lost."""
QUIET = ("faust", "mode", "aiokafka", "streams")
"""Loggers of libraries, which tell every step at level info; those named after our modules are Faust's services too."""
GC_THRESHOLDS = (100_000, 20, 50)
"""Unpacked records are young and die at once: at Python's 700 the collector took a third of the time of a catch-up."""


def use_uvloop() -> None:
    """Let all event loops that are made from now on be uvloop's."""
    # The policy, not a runner's loop: the consumer's thread makes a loop of its own.
    asyncio.set_event_loop_policy(uvloop.EventLoopPolicy())


def quiet_libraries(settings: Settings) -> None:
    """Keep the libraries' account of each step out of the log, unless it was asked for with level debug."""
    for library in QUIET:
        logging.getLogger(library).setLevel(logging.DEBUG if settings.log_level == "debug" else logging.WARNING)


def stop_signal() -> asyncio.Event:
    """Return what SIGTERM and SIGINT set from now on, as long as the loop runs."""
    stopped = asyncio.Event()
    for number in (signal.SIGTERM, signal.SIGINT):
        asyncio.get_running_loop().add_signal_handler(number, stopped.set)
    return stopped


async def unless_stopped(stopped: asyncio.Event, prepare: Callable[[], Coroutine[Any, Any, T]]) -> T | None:
    """Return what `prepare` does, None where a signal comes first; raises what it raises."""
    answering, stopping = asyncio.create_task(prepare()), asyncio.create_task(stopped.wait())
    try:
        await asyncio.wait({answering, stopping}, return_when=asyncio.FIRST_COMPLETED)
        return answering.result() if answering.done() else None
    finally:
        for task in (answering, stopping):
            task.cancel()
        await asyncio.gather(answering, stopping, return_exceptions=True)


async def serve(app: BatchApp, worker: Member, stopped: asyncio.Event) -> None:
    """Run the app until `stopped`, a failure or a crash; then stop in the order that loses no work."""
    asyncio.get_running_loop().set_exception_handler(_told_already)
    starting = asyncio.create_task(app.start())
    crashed = asyncio.create_task(app.wait_until_stopped())
    watching = asyncio.create_task(worker.watch())
    signalled = asyncio.create_task(stopped.wait())
    gc.freeze()
    gc.set_threshold(*GC_THRESHOLDS)
    failure: BaseException | None = None
    waiting: set[asyncio.Future[Any]] = {worker.failure, crashed, signalled, starting}
    while failure is None and not stopped.is_set():
        await asyncio.wait(waiting, return_when=asyncio.FIRST_COMPLETED)
        failure = _failure(app, worker, starting, crashed)
        waiting.discard(starting)
    log.info("worker stops", extra={"reason": "signal" if failure is None else repr(failure)})
    error = _as_error(failure) if failure is not None else None
    with stop_limit(STOP_SECONDS, error):
        await _stop(app, worker, [starting, crashed, watching, signalled])
    gc.unfreeze()  # else it is not even collected at the end, and extensions then report it as leaked
    if error is not None:
        raise error from failure


@contextmanager
def stop_limit(seconds: float, error: BaseException | None) -> Iterator[None]:
    """End the process as it is where the block takes longer, with the exit status that `error` (None: none) has."""
    # A thread, as the stop of Faust's consumer blocks the loop until its own thread has ended.
    limit = threading.Timer(seconds, _end_now, [seconds, _as_error(error) if error is not None else None])
    limit.daemon = True
    limit.start()
    try:
        yield
    finally:
        limit.cancel()


def _told_already(loop: asyncio.AbstractEventLoop, context: dict[str, Any]) -> None:
    """Keep aiokafka's unread copies of an error out of the log: a fenced producer leaves one per record it held."""
    if not isinstance(context.get("exception"), KafkaError):
        loop.default_exception_handler(context)


def _failure(
    app: BatchApp, worker: Member, starting: asyncio.Task[None], crashed: asyncio.Task[None]
) -> BaseException | None:
    if worker.failure.done():
        return worker.failure.result()
    if starting.done() and not starting.cancelled() and (error := starting.exception()) is not None:
        return error
    if crashed.done():
        return app.crash_reason or FailStopError("the Faust app stopped by itself; start the worker again")
    return None


async def _stop(app: BatchApp, worker: Member, tasks: Sequence[asyncio.Task[Any]]) -> None:
    """Make the final checkpoints, then stop the app, which takes the consumer away."""
    await worker.stop()
    for task in tasks:
        task.cancel()
    await asyncio.gather(*tasks, return_exceptions=True)
    await app.stop()


def _as_error(failure: BaseException) -> FestivalError:
    """Return what ends the worker as an error with an exit status and a sentence."""
    if isinstance(failure, FestivalError):
        return failure
    if isinstance(failure, FingerprintError):
        return UsageError(str(failure))
    if isinstance(failure, KafkaConnectionError):
        return UnreachableError(f"Kafka is not reachable: {failure}; check --broker")
    if isinstance(failure, KafkaError):
        return UsageError(
            f"Kafka refuses this worker: {failure or type(failure).__name__}. Check its access rights, and "
            f"FESTIVAL_SESSION_TIMEOUT_MS against the broker's group.min.session.timeout.ms"
        )
    return FailStopError(f"the worker cannot go on: {failure!r}; start it again")


def _end_now(seconds: float, error: FestivalError | None) -> None:
    """End the process without waiting for clients that a broker keeps busy."""
    log.warning("the stop took too long: ending at once, nothing is lost", extra={"seconds": seconds})
    if error is not None:
        log.error(str(error))
    logging.shutdown()
    os._exit(error.exit_status if error is not None else 0)
