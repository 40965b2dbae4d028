"""A server with real sockets over a board in memory, and what its clients do to it byte by byte."""

from __future__ import annotations

import asyncio
import json
from contextlib import asynccontextmanager, suppress
from typing import TYPE_CHECKING, Any

from streams.board.view.committed_view import CommittedView
from streams.engine.memory import CellLedger
from streams.festivals import load_festivals
from streams.web.ports import listen
from streams.web.server import Access, start_server
from streams.web.shown import Shown

if TYPE_CHECKING:
    from collections.abc import AsyncIterator

    from streams.engine.status import WorkerStatus
    from streams.web.placement import Placement

FESTIVALS = load_festivals()
DAY = FESTIVALS["singles-day-2019"]
HEAD = b"Host: localhost\r\n\r\n"


class Visitor:
    """One connection of a client."""

    def __init__(self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        self.reader, self._writer = reader, writer
        self.bytes_read = 0

    def send(self, data: bytes) -> None:
        """Send."""
        self._writer.write(data)

    async def answer(self) -> tuple[int, dict[str, str], Any]:
        """Return status, headers and JSON of the next answer."""
        head = (await self.reader.readuntil(b"\r\n\r\n")).decode().split("\r\n")
        headers = dict(line.lower().split(": ", 1) for line in head[1:] if line)
        body = await self.reader.readexactly(int(headers["content-length"]))
        return int(head[0].split()[1]), headers, json.loads(body)

    async def is_ended(self, seconds: float = 10.0) -> bool:
        """Return whether the server ends the connection within that time; what it sent before is thrown away."""
        try:
            async with asyncio.timeout(seconds):
                while data := await self.reader.read(1 << 16):
                    self.bytes_read += len(data)
        except TimeoutError:
            return False
        except ConnectionResetError:
            pass
        return True

    async def leave(self) -> None:
        """Close the connection."""
        self._writer.close()
        with suppress(ConnectionError):
            await self._writer.wait_closed()


class Served:
    """A server, and its visitors."""

    def __init__(self, address: tuple[str, int]) -> None:
        self.address = address
        self._visitors: list[Visitor] = []

    async def visit(self, sent: bytes = b"", limit: int = 1 << 20) -> Visitor:
        """Return a visitor who has connected, and sent something."""
        visitor = Visitor(*await asyncio.open_connection(*self.address, limit=limit))
        self._visitors.append(visitor)
        visitor.send(sent)
        return visitor

    async def ask(self, path: str, head: bytes = HEAD) -> tuple[int, dict[str, str], Any]:
        """Return the answer to one request on a connection of its own."""
        visitor = await self.visit(b"GET " + path.encode() + b" HTTP/1.1\r\nConnection: close\r\n" + head)
        return await visitor.answer()

    async def empty(self) -> None:
        """Let all visitors leave."""
        for visitor in self._visitors:
            await visitor.leave()


@asynccontextmanager
async def served(
    access: Access | None = None,
    status: WorkerStatus | None = None,
    host: str = "127.0.0.1",
    placement: Placement | None = None,
) -> AsyncIterator[Served]:
    """Serve a day with three orders; a worker's server where it has a status."""
    ledger, view = CellLedger(1), CommittedView()
    ledger.add(0, DAY, "orders_by_second", ("CNY",), DAY.start_ms, orders=3)
    ledger.commit(0, {"orders": 3})
    view.feed(ledger.drain())
    listener = listen(host, 0, is_explicit=True)
    server = await start_server(listener, Shown(FESTIVALS, view.snapshot, status=status), access, placement)
    here = Served(listener.getsockname()[:2])
    try:
        yield here
    finally:
        await here.empty()
        await server.cleanup()
