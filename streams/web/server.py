"""The HTTP server of a worker or a board.

In a worker it runs in a thread of its own, with its own event loop, ledger follower and view. A batch being counted
holds the worker's loop for up to a fifth of a second, and neither a scrape nor a screen should wait for that. Counting
waits for no scrape either, as nothing is shared but copies.
"""

from __future__ import annotations

import asyncio
import logging
import threading
from contextlib import suppress
from dataclasses import dataclass, field
from typing import TYPE_CHECKING

from aiohttp import web

from streams.board.view.live_board import LiveBoard
from streams.domain.declared import Declared
from streams.web.api import application
from streams.web.connections import BOARD_CONNECTIONS, WORKER_CONNECTIONS, Connections, allowed_connections
from streams.web.entrance import Entrance
from streams.web.hosts import AllowedHosts
from streams.web.placement import Placement
from streams.web.ports import url_of
from streams.web.shown import Shown
from streams.web.visitors import Budget

if TYPE_CHECKING:
    import socket
    from collections.abc import Awaitable, Callable, Coroutine, Mapping, Sequence
    from pathlib import Path

    from streams.audit.recorded import VerdictFollower
    from streams.audit.verdict import Verdict
    from streams.board.view.live_board import Follower
    from streams.board.view.sealed import SealedState
    from streams.domain.festivals import Festival
    from streams.engine.clock import BrokerClock
    from streams.engine.status import WorkerStatus

_log = logging.getLogger("festival.web")

SHUTDOWN_SECONDS = 1.0


@dataclass(frozen=True)
class Access:
    """Who may connect, as the settings say; None: what suits the address, and a worker or a board."""

    hosts: tuple[str, ...] | None = None
    connections: int | None = None
    entrance: Entrance = field(default_factory=Entrance)


class Server:
    """A server that has started; `start_server` makes it."""

    def __init__(
        self, runner: web.AppRunner, acceptor: asyncio.Server, connections: Connections, entrance: Entrance
    ) -> None:
        """Watch over `connections`, which `acceptor` makes and `runner` serves, and over the entrance's file."""
        self._runner, self._acceptor = runner, acceptor
        self._watches = [asyncio.create_task(watch) for watch in (connections.watch(), entrance.watch())]

    async def cleanup(self) -> None:
        """Stop serving and close the socket."""
        self._acceptor.close()
        for watch in self._watches:
            watch.cancel()
        await self._runner.cleanup()


async def start_server(
    listener: socket.socket, source: Shown, access: Access | None = None, placement: Placement | None = None
) -> Server:
    """Serve `source` on a listening socket; a worker's, which has a status, keeps its visitors to a budget."""
    placement = placement or Placement()
    access = access or Access()
    budget = None if source.status is None else Budget()
    app = application(source, AllowedHosts.of(access.hosts, listener), budget, placement, access.entrance)
    runner = web.AppRunner(app, shutdown_timeout=SHUTDOWN_SECONDS)
    await runner.setup()
    assert runner.server is not None
    limit = access.connections or (BOARD_CONNECTIONS if source.status is None else WORKER_CONNECTIONS)
    connections = Connections(runner.server, allowed_connections(limit), budget, placement)
    loop = asyncio.get_running_loop()
    acceptor = await loop.create_server(connections.accept, sock=listener, **access.entrance.listening())
    _log.info("serving", extra={"url": url_of(listener, placement.path, access.entrance.scheme)})
    return Server(runner, acceptor, connections, access.entrance)


async def serve_board(
    listener: socket.socket,
    follower: Follower,
    festivals: Mapping[str, Festival],
    *,
    status: WorkerStatus | None = None,
    audit_record: Path | None = None,
    verdicts: VerdictFollower | None = None,
    access: Access | None = None,
    placement: Placement | None = None,
    beside: Callable[[Shown], Coroutine[None, None, None]] | None = None,
    declared: Declared | None = None,
) -> None:
    """Follow the ledger and serve it until cancelled; `status` is a worker's own, `audit_record` may not exist yet.

    With `verdicts` those of audits are followed and shown. What `beside` returns runs meanwhile.
    """
    declared = declared or Declared()
    board = LiveBoard(follower, declared.rollups)
    source = Shown(
        festivals,
        board.snapshot,
        board.judgement,
        board.is_loaded,
        status=status,
        clock=board.clock,
        contacted_ms=board.contacted_ms,
        audit_record=audit_record,
        declared=declared,
    )
    if verdicts is not None:
        source.verdicts = verdicts.verdicts
        verdicts.start()
    server = await start_server(listener, source, access, placement)
    companion = asyncio.create_task(beside(source)) if beside is not None else None
    try:
        await board.run()
    finally:
        if companion is not None:
            companion.cancel()
            await asyncio.gather(companion, return_exceptions=True)
        await server.cleanup()
        if verdicts is not None:
            await verdicts.stop()


async def serve_worker_alone(
    listener: socket.socket,
    status: WorkerStatus,
    clock: BrokerClock,
    access: Access | None = None,
    placement: Placement | None = None,
) -> None:
    """Serve a worker's own metrics and readiness until cancelled; it follows no ledger."""
    server = await start_server(listener, Shown.worker_alone(status, clock), access, placement)
    try:
        await asyncio.get_running_loop().create_future()
    finally:
        await server.cleanup()


async def serve_sealed(
    listener: socket.socket,
    states: Sequence[SealedState],
    verdicts: Mapping[str, Verdict],
    access: Access | None = None,
    placement: Placement | None = None,
) -> None:
    """Serve sealed files until cancelled."""
    server = await start_server(listener, Shown.of_sealed(states, verdicts), access, placement)
    try:
        await asyncio.get_running_loop().create_future()
    finally:
        await server.cleanup()


class ServerThread:
    """Runs `serve_board` beside the worker's loop: `start` once, `stop` once."""

    def __init__(self, serve: Callable[[], Awaitable[None]]) -> None:
        """Prepare; `serve` is called in the thread, in its own event loop, and runs until cancelled."""
        self._serve = serve
        self._loop: asyncio.AbstractEventLoop | None = None
        self._task: asyncio.Task[None] | None = None
        self._is_started = threading.Event()
        self._thread = threading.Thread(target=self._run, name="web", daemon=True)

    def start(self) -> None:
        """Start the thread; returns once its loop runs."""
        self._thread.start()
        self._is_started.wait()

    def stop(self, timeout_seconds: float = 5.0) -> None:
        """End serving and wait for it, at most `timeout_seconds`. Blocks: from an event loop use `to_thread`."""
        if self._loop is not None and self._task is not None:
            with suppress(RuntimeError):  # the loop has closed by itself: there is nothing left to cancel
                self._loop.call_soon_threadsafe(self._task.cancel)
        self._thread.join(timeout_seconds)

    def _run(self) -> None:
        try:
            asyncio.run(self._main())
        except Exception:  # noqa: BLE001 - the end of a thread would pass unseen
            _log.exception("the web server ended; counting goes on")

    async def _main(self) -> None:
        self._loop = asyncio.get_running_loop()
        self._task = asyncio.current_task()
        self._is_started.set()
        try:
            await self._serve()
        except asyncio.CancelledError:
            return
