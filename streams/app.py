"""The worker's composition root: settings in, a running Faust app with all its parts out.

`run_worker` is what `festival worker` runs. The order matters: what can be refused is refused before the group is
joined (topics, name, generation), and partitions are given up before the group is left.
"""

from __future__ import annotations

import asyncio
import contextlib
import gc
import hashlib
import logging
import os
import signal
import threading
from dataclasses import dataclass, replace
from typing import TYPE_CHECKING, Any

from aiokafka.errors import KafkaConnectionError, KafkaError

from streams.domain.declarations import Declarations, FingerprintError
from streams.engine.clock import SystemClock
from streams.engine.status import WorkerStatus
from streams.errors import FestivalError, UnreachableError, UsageError
from streams.festivals import load_festivals
from streams.kafka.claim import claim_name
from streams.kafka.store import KafkaLedgerStore
from streams.kafka.topics import check_topics
from streams.kafka.transport import GROUP, BatchApp, ConsumerOnly, NoTables
from streams.kafka.worker import FailStopError, Worker
from streams.native import IS_BUILT

if TYPE_CHECKING:
    from collections.abc import Callable, Sequence
    from contextlib import AbstractAsyncContextManager
    from pathlib import Path

    from streams.domain.festivals import Festival
    from streams.kafka.worker import Store
    from streams.settings import Settings

log = logging.getLogger("festival.worker")

STOP_SECONDS = 8.0
"""Longest orderly stop: the final checkpoints may take 5 s of it. Then the process ends as it is; nothing is lost."""
QUIET = ("faust", "mode", "aiokafka", "streams")
"""Loggers of libraries, which tell every step at level info; those named after our modules are Faust's services too."""
GC_THRESHOLDS = (100_000, 20, 50)
"""Unpacked records are young and die at once: at Python's 700 the collector took a third of the time of a catch-up."""


@dataclass(frozen=True, slots=True)
class WorkerParts:
    """What services beside the counting (HTTP) may use."""

    settings: Settings
    festivals: dict[str, Festival]
    declarations: Declarations
    status: WorkerStatus


if TYPE_CHECKING:
    Service = Callable[[WorkerParts], AbstractAsyncContextManager[object]]
    """Entered before the group is joined, left after the final checkpoints."""


@dataclass(frozen=True, slots=True)
class WorkerReport:
    """What a worker did from its start to its end in order."""

    worker: str
    generation: str
    events: dict[str, dict[str, int]]
    """Committed records by topic and outcome."""
    checkpoints: int
    rebalances: int


def declare(settings: Settings) -> tuple[dict[str, Festival], Declarations]:
    """Return the festivals and what decides a count under these settings; raises `UsageError`."""
    festivals = load_festivals(settings.festivals_dir)
    return festivals, Declarations(festivals, settings.settle_ms, settings.dedup_horizon_minutes)


def build_app(settings: Settings, directory: Path) -> BatchApp:
    """Return the Faust app: group membership and agents, and nothing else of Faust."""
    assert settings.name is not None
    digest = hashlib.sha256(settings.name.encode()).hexdigest()[:16]
    app = BatchApp(
        settings.prefix + GROUP,
        broker=[f"kafka://{server}" for server in settings.bootstrap_servers.split(",")],
        # Members tell each other apart by it, so it depends on the name only; nothing listens there.
        canonical_url=f"http://{digest}.invalid",
        datadir=str(directory),
        store="memory://",
        autodiscover=False,
        web_enabled=False,
        topic_allow_declare=False,
        topic_disable_leader=True,
        table_standby_replicas=0,
        TableManager=NoTables,
        stream_wait_empty=False,
    )
    app.boot_strategy = ConsumerOnly(app)
    app.settings = settings
    return app


async def run_worker(settings: Settings, services: Sequence[Service] = ()) -> WorkerReport:
    """Count until SIGTERM or SIGINT; raises `FestivalError` for whatever ends the worker before.

    `services` run beside the counting; HTTP is one.
    """
    festivals, declarations = declare(settings)
    claim = claim_name(settings)
    settings = replace(settings, name=claim.name)
    for library in QUIET:
        logging.getLogger(library).setLevel(logging.DEBUG if settings.log_level == "debug" else logging.WARNING)
    status = WorkerStatus(declarations.topics)
    store = KafkaLedgerStore(settings)
    try:
        async with contextlib.AsyncExitStack() as stack:
            stack.push_async_callback(store.close)
            partitions = await check_topics(settings)
            generation = await _current_generation(store)
            log.info(
                "worker starts",
                extra={"worker": claim.name, "partitions": partitions, "generation": generation, "compiled": IS_BUILT},
            )
            for service in services:
                await stack.enter_async_context(service(WorkerParts(settings, festivals, declarations, status)))
            app = build_app(settings, claim.directory)
            worker = Worker(app, store, declarations, generation, status=status, clock=SystemClock())
            await _serve(app, worker)
            return _report(claim.name, worker)
    finally:
        claim.release()
        # What is frozen is never collected, not even at the end, and extensions then report it as leaked.
        gc.unfreeze()


async def _current_generation(store: Store) -> str:
    try:
        return (await store.generations()).current
    except KafkaError as error:
        raise UnreachableError(f"the ledger cannot be read: {error}; check the broker") from error


async def _serve(app: BatchApp, worker: Worker) -> None:
    """Run the app until a signal, a failure or a crash; then stop in the order that loses no work."""
    stopped = asyncio.Event()
    loop = asyncio.get_running_loop()
    loop.set_exception_handler(_told_already)
    for number in (signal.SIGTERM, signal.SIGINT):
        loop.add_signal_handler(number, stopped.set)
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
    # A thread, as the stop of Faust's consumer blocks the loop until its own thread has ended.
    limit = threading.Timer(STOP_SECONDS, _end_now, [error.exit_status if error is not None else 0, str(error or "")])
    limit.daemon = True
    limit.start()
    await _stop(app, worker, [starting, crashed, watching, signalled])
    limit.cancel()
    if error is not None:
        raise error from failure


def _report(name: str, worker: Worker) -> WorkerReport:
    snapshot = worker.status.snapshot()
    events: dict[str, dict[str, int]] = {topic: {} for topic in worker.status.topics}
    for (topic, outcome), records in snapshot.outcomes.items():
        events[topic][outcome] = records
    return WorkerReport(name, worker.generation, events, snapshot.checkpoints, snapshot.rebalances)


def _told_already(loop: asyncio.AbstractEventLoop, context: dict[str, Any]) -> None:
    """Keep aiokafka's unread copies of an error out of the log: a fenced producer leaves one per record it held."""
    if not isinstance(context.get("exception"), KafkaError):
        loop.default_exception_handler(context)


def _failure(
    app: BatchApp, worker: Worker, starting: asyncio.Task[None], crashed: asyncio.Task[None]
) -> BaseException | None:
    if worker.failure.done():
        return worker.failure.result()
    if starting.done() and not starting.cancelled() and (error := starting.exception()) is not None:
        return error
    if crashed.done():
        return app.crash_reason or FailStopError("the Faust app stopped by itself; start the worker again")
    return None


async def _stop(app: BatchApp, worker: Worker, tasks: Sequence[asyncio.Task[Any]]) -> None:
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


def _end_now(status: int, problem: str) -> None:
    """End the process without waiting for clients that a broker keeps busy."""
    log.warning("the stop took longer than %d s: ending at once, nothing is lost", STOP_SECONDS)
    if problem:
        log.error(problem)
    logging.shutdown()
    os._exit(status)
