"""The worker's composition root: settings in, a running Faust app with all its parts out.

`run_worker` is what `festival worker` runs. The order matters: what can be refused is refused before the group is
joined (topics, name, generation), and partitions are given up before the group is left.
"""

from __future__ import annotations

import asyncio
import contextlib
import json
import logging
from dataclasses import asdict, dataclass, replace
from functools import partial
from typing import TYPE_CHECKING

from aiokafka.errors import KafkaError

from streams.domain.declarations import Declarations, FingerprintError
from streams.engine.clock import BrokerClock, SystemClock
from streams.engine.status import WorkerStatus
from streams.errors import UnreachableError, UsageError
from streams.festivals import load_festivals
from streams.festivals.declared import load_declared
from streams.kafka.client.clients import await_broker, through_trouble
from streams.kafka.client.denials import denial
from streams.kafka.cluster.topics import check_topics
from streams.kafka.cluster.watch import watch_clock, watch_settings, watch_throttling
from streams.kafka.group.claim import claim_name
from streams.kafka.group.faust_app import build_app
from streams.kafka.group.worker import Worker, declare_festivals
from streams.kafka.ledger.store import KafkaLedgerStore
from streams.log import identify
from streams.native import IS_BUILT
from streams.process import quiet_libraries, serve, stop_signal, unless_stopped

if TYPE_CHECKING:
    from collections.abc import Callable, Sequence
    from contextlib import AbstractAsyncContextManager
    from pathlib import Path

    from streams.domain.festivals import Festival
    from streams.kafka.group.worker import Store
    from streams.settings import Settings

log = logging.getLogger("festival.worker")


@dataclass(frozen=True, slots=True)
class WorkerParts:
    """What services beside the counting (HTTP, a shop's own agents) may use."""

    settings: Settings
    directory: Path
    """The worker's own."""
    festivals: dict[str, Festival]
    declarations: Declarations
    status: WorkerStatus
    clock: BrokerClock


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

    def as_json(self) -> str:
        """Return it as one document."""
        return json.dumps(asdict(self))


def declare(settings: Settings) -> tuple[dict[str, Festival], Declarations]:
    """Return the festivals and what decides a count under these settings; raises `UsageError`."""
    festivals = load_festivals(settings.festivals_dir)
    declared = load_declared(settings.declarations)
    return festivals, Declarations(
        festivals, settings.settle_ms, settings.dedup_horizon_minutes, declared.rollups, facts=declared.facts
    )


async def run_worker(settings: Settings, services: Sequence[Service] = ()) -> WorkerReport:
    """Count until SIGTERM or SIGINT; raises `FestivalError` for whatever ends the worker before.

    `services` run beside the counting: HTTP, a shop's own agents.
    """
    festivals, declarations = declare(settings)
    claim = claim_name(settings)
    settings = replace(settings, name=claim.name)
    identify(worker=claim.name)
    quiet_libraries(settings)
    status = WorkerStatus(declarations.topics)
    clock = BrokerClock(SystemClock())
    store = KafkaLedgerStore(settings, clock=clock)
    stopped = stop_signal()
    try:
        async with contextlib.AsyncExitStack() as stack:
            stack.push_async_callback(store.close)
            prepared = await unless_stopped(stopped, partial(_prepare, settings, store, declarations))
            if prepared is None:
                return WorkerReport(claim.name, "", {}, 0, 0)
            partitions, generation = prepared
            log.info(
                "worker starts",
                extra={"worker": claim.name, "partitions": partitions, "generation": generation, "compiled": IS_BUILT},
            )
            parts = WorkerParts(settings, claim.directory, festivals, declarations, status, clock)
            for service in services:
                await stack.enter_async_context(service(parts))
            for watching in (watch_settings(settings), watch_clock(clock), watch_throttling(status)):
                stack.callback(asyncio.create_task(watching).cancel)
            app = build_app(settings, claim.directory)
            worker = Worker(app, store, declarations, generation, status=status, clock=clock)
            await serve(app, worker, stopped)
            return _report(claim.name, worker)
    finally:
        claim.release()


async def _prepare(settings: Settings, store: Store, declarations: Declarations) -> tuple[int, str]:
    """Return the number of partitions and the current generation, once the cluster was seen."""
    await await_broker(settings)
    partitions = await through_trouble(partial(check_topics, settings, may_differ=True))
    current = partial(_current_generation, store, declarations, settings.security.principal)
    return partitions, await through_trouble(current)


async def _current_generation(store: Store, declarations: Declarations, principal: str) -> str:
    """Return the current generation, with every festival declared beside it, before the group is joined."""
    try:
        await declare_festivals(store, declarations)
        return (await store.generations()).current
    except FingerprintError as error:
        raise UsageError(str(error)) from error
    except KafkaError as error:
        why = denial(error, principal, "Read")
        raise UnreachableError(f"the ledger cannot be read: {why or error}; check the broker") from error


def _report(name: str, worker: Worker) -> WorkerReport:
    snapshot = worker.status.snapshot()
    events: dict[str, dict[str, int]] = {topic: {} for topic in worker.status.topics}
    for (topic, outcome), records in snapshot.outcomes.items():
        events[topic][outcome] = records
    return WorkerReport(name, worker.generation, events, snapshot.checkpoints, snapshot.rebalances)
