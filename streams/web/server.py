"""The HTTP server of a worker or a board.

In a worker it runs in a thread of its own, with its own event loop, ledger follower and view: a batch being counted
holds the worker's loop for up to a fifth of a second, and neither a scrape nor a screen should wait for that; and
counting waits for no scrape, as nothing is shared but copies.
"""

from __future__ import annotations

import asyncio
import logging
import threading
from contextlib import suppress
from typing import TYPE_CHECKING

from aiohttp import web

from streams.board.live import LiveBoard
from streams.web.api import application
from streams.web.ports import url_of
from streams.web.source import Source

if TYPE_CHECKING:
    import socket
    from collections.abc import Awaitable, Callable, Mapping
    from pathlib import Path

    from streams.board.live import Follower
    from streams.domain.festivals import Festival
    from streams.engine.status import WorkerStatus

_log = logging.getLogger("festival.web")

SHUTDOWN_SECONDS = 1.0


async def start_server(listener: socket.socket, source: Source) -> web.AppRunner:
    """Serve `source` on a listening socket; `cleanup()` of what is returned stops it and closes the socket."""
    runner = web.AppRunner(application(source), access_log=None, shutdown_timeout=SHUTDOWN_SECONDS)
    await runner.setup()
    await web.SockSite(runner, listener).start()
    _log.info("serving", extra={"url": url_of(listener)})
    return runner


async def serve_board(
    listener: socket.socket,
    follower: Follower,
    festivals: Mapping[str, Festival],
    status: WorkerStatus | None = None,
    audit_record: Path | None = None,
) -> None:
    """Follow the ledger and serve it until cancelled; `status` is a worker's own, `audit_record` may not exist yet."""
    board = LiveBoard(follower)
    source = Source(
        festivals,
        board.snapshot,
        board.end_offsets,
        board.is_loaded,
        status=status,
        contacted_ms=board.contacted_ms,
        audit_record=audit_record,
    )
    runner = await start_server(listener, source)
    try:
        await board.run()
    finally:
        await runner.cleanup()


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
