"""The composition of the HTTP server: settings in, a follower of the ledger, a view and a server out.

`worker_web` is the worker's service (a thread of its own, see `streams.web.server`), `run_board` is `festival board`.
"""

from __future__ import annotations

import asyncio
import logging
import signal
from contextlib import asynccontextmanager, suppress
from typing import TYPE_CHECKING

from streams.audit.record import record_path
from streams.festivals import load_festivals
from streams.kafka.follower import LedgerFollower
from streams.web.ports import listen, url_of
from streams.web.server import ServerThread, serve_board

if TYPE_CHECKING:
    import socket
    from collections.abc import AsyncIterator, Callable

    from streams.app import WorkerParts
    from streams.settings import Settings


def quiet_clients(settings: Settings, level: int = logging.WARNING) -> None:
    """Keep the Kafka client's account of each step out of the log, unless it was asked for with level debug."""
    if settings.log_level != "debug":
        logging.getLogger("aiokafka").setLevel(level)


def open_port(settings: Settings) -> socket.socket:
    """Return the listening socket the settings ask for; raises `UsageError` where it is taken."""
    return listen(settings.web_host, settings.web_port, is_explicit=settings.is_web_port_explicit)


@asynccontextmanager
async def worker_web(parts: WorkerParts) -> AsyncIterator[str]:
    """Serve a worker's HTTP interface while the context is open; gives its address."""
    listener = open_port(parts.settings)
    url = url_of(listener)
    follower, audit = LedgerFollower(parts.settings), record_path(parts.settings)
    server = ServerThread(lambda: serve_board(listener, follower, parts.festivals, parts.status, audit))
    server.start()
    try:
        yield url
    finally:
        await asyncio.to_thread(server.stop)


async def run_board(settings: Settings, announce: Callable[[str], None]) -> None:
    """Follow the ledger and serve it until SIGINT or SIGTERM; `announce` is told the address."""
    quiet_clients(settings)
    festivals = load_festivals(settings.festivals_dir)
    listener = open_port(settings)
    announce(url_of(listener))
    serving = asyncio.create_task(
        serve_board(listener, LedgerFollower(settings), festivals, audit_record=record_path(settings))
    )
    loop = asyncio.get_running_loop()
    for number in (signal.SIGINT, signal.SIGTERM):
        loop.add_signal_handler(number, serving.cancel)
    with suppress(asyncio.CancelledError):
        await serving
