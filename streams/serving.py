"""The composition of the HTTP server: settings in, a follower of the ledger, a view and a server out.

`worker_web` is the worker's service (a thread of its own, see `streams.web.server`), `run_board` is `festival board`.
"""

from __future__ import annotations

import asyncio
import logging
import signal
from contextlib import asynccontextmanager, suppress
from typing import TYPE_CHECKING

from streams.audit.last_audit import record_path
from streams.audit.recorded import VerdictFollower
from streams.engine.clock import BrokerClock, SystemClock
from streams.festivals import load_festivals
from streams.festivals.declared import load_declared
from streams.handover.publisher import TotalsPublisher
from streams.handover.verdict import sealed_verdict
from streams.kafka.client.clients import await_broker
from streams.kafka.cluster.watch import watch_clock
from streams.kafka.ledger.follower import LedgerFollower
from streams.web.entrance import entrance_of
from streams.web.placement import Placement
from streams.web.ports import listen, url_of
from streams.web.server import Access, ServerThread, serve_board, serve_sealed, serve_worker_alone

if TYPE_CHECKING:
    import socket
    from collections.abc import AsyncIterator, Callable, Sequence

    from streams.app import WorkerParts
    from streams.board.view.sealed import SealedState
    from streams.settings import Settings


def quiet_clients(settings: Settings, level: int = logging.WARNING) -> None:
    """Keep the Kafka client's account of each step out of the log, unless it was asked for with level debug."""
    if settings.log_level != "debug":
        logging.getLogger("aiokafka").setLevel(level)


def open_port(settings: Settings) -> socket.socket:
    """Return the listening socket the settings ask for; raises `UsageError` where it is taken."""
    return listen(settings.web_host, settings.web_port, is_explicit=settings.is_web_port_explicit)


def _access(settings: Settings, listener: socket.socket) -> Access:
    """Return who may connect to a listening socket. Raises `UsageError`."""
    return Access(settings.web_allowed_hosts, settings.web_connections, entrance_of(settings.web_config, listener))


def _url(settings: Settings, listener: socket.socket, access: Access) -> str:
    return url_of(listener, settings.web_path, access.entrance.scheme)


def _placement(settings: Settings) -> Placement:
    return Placement(settings.web_path, settings.web_frame_ancestors)


@asynccontextmanager
async def worker_web(parts: WorkerParts) -> AsyncIterator[str]:
    """Serve a worker's HTTP interface while the context is open; gives its address."""
    listener = open_port(parts.settings)
    access = _access(parts.settings, listener)
    server = ServerThread(lambda: _serve_worker(listener, access, parts))
    server.start()
    try:
        yield _url(parts.settings, listener, access)
    finally:
        await asyncio.to_thread(server.stop)


async def _serve_worker(listener: socket.socket, access: Access, parts: WorkerParts) -> None:
    settings = parts.settings
    if not settings.show:
        await serve_worker_alone(listener, parts.status, parts.clock, access, _placement(settings))
        return
    await serve_board(
        listener,
        LedgerFollower(settings, parts.clock),
        parts.festivals,
        status=parts.status,
        audit_record=record_path(settings),
        verdicts=VerdictFollower(settings),
        access=access,
        placement=_placement(settings),
        declared=load_declared(settings.declarations),
    )


async def run_sealed_board(settings: Settings, states: Sequence[SealedState], announce: Callable[[str], None]) -> None:
    """Serve sealed files until SIGINT or SIGTERM, without a broker; `announce` is told the address."""
    listener = open_port(settings)
    access = _access(settings, listener)
    announce(_url(settings, listener, access))
    found = {state.festival.id: sealed_verdict(state.sealed) for state in states}
    verdicts = {name: verdict for name, verdict in found.items() if verdict is not None}
    serving = asyncio.create_task(serve_sealed(listener, states, verdicts, access, _placement(settings)))
    loop = asyncio.get_running_loop()
    for number in (signal.SIGINT, signal.SIGTERM):
        loop.add_signal_handler(number, serving.cancel)
    with suppress(asyncio.CancelledError):
        await serving


async def run_board(settings: Settings, announce: Callable[[str], None]) -> None:
    """Follow the ledger and serve it until SIGINT or SIGTERM; `announce` is told the address.

    Serves from the start, while the broker is waited for. Raises `BrokerAwayError` where it does not answer in time.
    """
    quiet_clients(settings)
    festivals, declared = load_festivals(settings.festivals_dir), load_declared(settings.declarations)
    listener = open_port(settings)
    access = _access(settings, listener)
    announce(_url(settings, listener, access))
    clock = BrokerClock(SystemClock())
    watching = asyncio.create_task(watch_clock(clock))
    serving = asyncio.create_task(
        serve_board(
            listener,
            LedgerFollower(settings, clock),
            festivals,
            audit_record=record_path(settings),
            verdicts=VerdictFollower(settings),
            access=access,
            placement=_placement(settings),
            beside=(lambda shown: TotalsPublisher(settings, shown).run()) if settings.publish else None,
            declared=declared,
        )
    )
    loop = asyncio.get_running_loop()
    for number in (signal.SIGINT, signal.SIGTERM):
        loop.add_signal_handler(number, serving.cancel)
    reaching = asyncio.create_task(await_broker(settings))
    try:
        await asyncio.wait({serving, reaching}, return_when=asyncio.FIRST_COMPLETED)
        if not serving.done():
            await reaching  # raises where nobody has answered in time
        with suppress(asyncio.CancelledError):
            await serving
    finally:
        for task in (reaching, serving, watching):
            task.cancel()
        await asyncio.gather(reaching, serving, watching, return_exceptions=True)
