"""Connections of the HTTP server: how many may be open, how long each may take, and what it cost.

aiohttp has a limit for idle connections only. A sweep every second ends those that take too long otherwise: a client
that sends its request byte by byte, or does not read its answer, keeps a descriptor that Kafka's clients may need.
"""

from __future__ import annotations

import asyncio
import json
import logging
import resource
import time
from enum import Enum, auto
from pathlib import Path
from typing import TYPE_CHECKING, Any

from aiohttp import web

from streams.web.placement import Placement
from streams.web.sockets import cut
from streams.web.visitors import UNSEEN_NS, timed

if TYPE_CHECKING:
    from collections.abc import Callable

    from streams.web.visitors import Budget

_log = logging.getLogger("festival.web")

SERVER = "festival"
"""The `Server` header: a name, and no versions for those who look for old ones."""
CONTINUE = "100-continue"
HEADER_SECONDS = 10.0
REQUEST_SECONDS = 30.0
"""From the first byte of a request to the last one of its answer; an event stream has rules of its own."""
IDLE_SECONDS = 60.0
LINGER_SECONDS = 1.0
"""So long the body of a request is read, which nobody here wants, so that its sender sees the answer."""
SWEEP_SECONDS = 1.0
WORKER_CONNECTIONS = 256
BOARD_CONNECTIONS = 4_096
FREE_DESCRIPTORS = 256
"""For Kafka's connections, files, and whatever else a process opens."""
FEWEST_CONNECTIONS = 16
EXTRA_CONNECTIONS = 16
"""Beyond the limit so many are open for a moment: to answer those who run the night, and to tell the others."""
EXTRA_SECONDS = 2.0


_OPTIONS: dict[str, Any] = {
    "keepalive_timeout": IDLE_SECONDS,
    "lingering_time": LINGER_SECONDS,
    "access_log": None,
}


class Phase(Enum):
    """What a connection does now."""

    HEADER = auto()
    """A request is expected, or has begun to arrive."""
    REQUEST = auto()
    STREAM = auto()
    IDLE = auto()
    """Between two requests; its last answer may still be on the way."""


def allowed_connections(wanted: int) -> int:
    """Return how many connections may be open: what is wanted, or what the limit of open files leaves room for."""
    limit, _ = resource.getrlimit(resource.RLIMIT_NOFILE)
    if limit == resource.RLIM_INFINITY:
        return wanted
    room = limit - len(list(Path("/dev/fd").iterdir())) - EXTRA_CONNECTIONS - FREE_DESCRIPTORS
    allowed = min(wanted, max(room, FEWEST_CONNECTIONS))
    if allowed < wanted:
        told = {"wanted": wanted, "allowed": allowed, "open_files": limit}
        _log.warning("fewer connections than wanted: raise the limit of open files (ulimit -n)", extra=told)
    return allowed


class Connection(web.RequestHandler):
    """One client's connection."""

    __slots__ = ("_connections", "began", "cpu_ns", "has_more", "is_extra", "phase", "since")

    def __init__(self, connections: Connections, server: web.Server, loop: asyncio.AbstractEventLoop) -> None:
        """Expect a request."""
        super().__init__(server, loop=loop, **_OPTIONS)
        self._connections = connections
        self.phase = Phase.HEADER
        self.since = self.began = connections.now()
        self.is_extra = self.has_more = False
        self.cpu_ns = 0

    def spend(self, cpu_ns: int) -> None:
        """Add to what the request under way has cost."""
        self.cpu_ns += cpu_ns

    def connection_made(self, transport: asyncio.BaseTransport) -> None:
        """Take a place."""
        super().connection_made(transport)
        self._connections.opened(self)

    def connection_lost(self, exc: BaseException | None) -> None:
        """Give the place free."""
        self._connections.closed(self)
        super().connection_lost(exc)

    def data_received(self, data: bytes) -> None:
        """Note when a request begins to arrive."""
        began_ns = time.thread_time_ns()
        if data:
            if self.phase is Phase.IDLE:
                self.phase, self.since = Phase.HEADER, self._connections.now()
            # What does not end as a header does is a part of another request, or of a body.
            self.has_more = not data.endswith(b"\r\n\r\n")
        super().data_received(data)
        self.spend(time.thread_time_ns() - began_ns)

    def begin(self, *, is_stream: bool) -> None:
        """Note that a request has arrived."""
        now = self._connections.now()
        self.began = self.since if self.phase is Phase.HEADER else now
        self.phase, self.since = Phase.STREAM if is_stream else Phase.REQUEST, now

    async def finish_response(
        self, request: web.BaseRequest, resp: web.StreamResponse, start_time: float | None
    ) -> tuple[web.StreamResponse, bool]:
        """Send the answer, and settle what the request has cost."""
        if self.phase is Phase.STREAM and not resp.prepared:
            self.phase = Phase.REQUEST  # no stream has come of it
        try:
            return await timed(super().finish_response(request, resp, start_time), self.spend)
        finally:
            self._connections.settle(request.path, self.cpu_ns)
            self.phase, self.since = Phase.HEADER if self.has_more else Phase.IDLE, self._connections.now()
            self.has_more, self.cpu_ns = False, 0

    def handle_error(
        self, request: web.BaseRequest, status: int = 500, exc: BaseException | None = None, message: str | None = None
    ) -> web.StreamResponse:
        """Answer what is no HTTP with a sentence; a failure of ours is logged."""
        if status >= 500:  # noqa: PLR2004
            _log.error("a request failed", exc_info=exc)
        if request.writer.output_size > 0:
            raise ConnectionError("a part of an answer is sent already")
        sentence = f"this is no request that can be read: {message.splitlines()[0]}" if message else "this failed"
        return _told(status, sentence)

    def is_overdue(self, now: float) -> bool:
        """Return whether it has taken too long over what it does."""
        if self.transport is None or self.phase is Phase.STREAM:
            return False
        if self.phase is Phase.HEADER:
            return now - self.since >= (EXTRA_SECONDS if self.is_extra else HEADER_SECONDS)
        if self.phase is Phase.IDLE and not self.transport.get_write_buffer_size():
            return now - self.since >= IDLE_SECONDS
        return now - self.began >= REQUEST_SECONDS


class Connections:
    """All connections of a server. Belongs to one event loop."""

    def __init__(
        self,
        server: web.Server,
        limit: int,
        budget: Budget | None = None,
        placement: Placement | None = None,
        now: Callable[[], float] = time.monotonic,
    ) -> None:
        """Prepare `server` for connections that come by `accept`; `now` is monotonic."""
        self.now = now
        self._server, self._limit, self._budget = server, limit, budget
        self._placement = placement or Placement()
        self._loop = asyncio.get_running_loop()
        self._serve = server.request_handler
        server.request_handler = self._handle
        self._open: set[Connection] = set()
        self._extra: dict[Connection, None] = {}
        """In the order they came."""
        self._is_told = False

    def __len__(self) -> int:
        """Return how many are open."""
        return len(self._open)

    def accept(self) -> Connection:
        """Return the protocol of a new connection."""
        return Connection(self, self._server, self._loop)

    def opened(self, connection: Connection) -> None:
        """Give a place; beyond the limit only for a moment, and the oldest of these makes room."""
        self._open.add(connection)
        if len(self._open) - len(self._extra) <= self._limit:
            return
        if not self._is_told:
            self._is_told = True
            _log.warning("all connections are taken, others are refused", extra={"connections": self._limit})
        connection.is_extra = True
        self._extra[connection] = None
        if len(self._extra) > EXTRA_CONNECTIONS:
            oldest = next(iter(self._extra))
            _end(oldest)
            self.closed(oldest)

    def closed(self, connection: Connection) -> None:
        """Take the place back."""
        self._open.discard(connection)
        self._extra.pop(connection, None)

    def settle(self, path: str, cpu_ns: int) -> None:
        """Spend what a request has cost, where it was a visitor's."""
        if self._budget is not None and self._placement.is_visit(path):
            self._budget.spend(cpu_ns + UNSEEN_NS)

    async def watch(self) -> None:
        """End what takes too long, until cancelled."""
        while True:
            await asyncio.sleep(SWEEP_SECONDS)
            self.sweep()

    def sweep(self) -> None:
        """End what takes too long now."""
        now = self.now()
        for connection in [connection for connection in self._open if connection.is_overdue(now)]:
            _end(connection)

    async def _handle(self, request: web.BaseRequest) -> web.StreamResponse:
        connection = request.protocol
        assert isinstance(connection, Connection)
        connection.begin(is_stream=self._placement.is_stream(request.path))
        if connection.is_extra and self._placement.is_visit(request.path):
            response: web.StreamResponse = _told(503, "all connections of this server are taken; try again in a moment")
            response.headers["Retry-After"] = "1"
        elif request.headers.get("Expect", CONTINUE).lower() != CONTINUE:
            response = _told(417, "Expect: nothing can be expected here but 100-continue")
        else:
            response = await timed(_served(self._serve, request), connection.spend)
        if connection.is_extra:
            response.force_close()
        return response


async def _served(serve: Callable[[web.BaseRequest], Any], request: web.BaseRequest) -> web.StreamResponse:
    response: web.StreamResponse = await serve(request)
    return response


def _end(connection: Connection) -> None:
    """Cut a connection, whatever waits to be sent on it."""
    if connection.transport is not None:
        cut(connection.transport)


def _told(status: int, sentence: str) -> web.Response:
    """Return an answer made before the application was asked; the connection ends with it."""
    headers = {"Server": SERVER, "Cache-Control": "no-store"}
    body = json.dumps({"error": sentence}).encode()
    response = web.Response(body=body, status=status, content_type="application/json", headers=headers)
    response.force_close()
    return response
