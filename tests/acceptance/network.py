"""A network that fails on purpose: proxies between clients and brokers, each connection at somebody's mercy.

They run in a thread of their own, so that a busy test delays nothing.
"""

from __future__ import annotations

import asyncio
import contextlib
import socket
import struct
import threading
from typing import TYPE_CHECKING, Self

if TYPE_CHECKING:
    from collections.abc import Mapping
    from types import TracebackType

CHUNK_BYTES = 64 * 1024
RESET = struct.pack("ii", 1, 0)
"""SO_LINGER that makes a close a reset."""


class Network:
    """One proxy before each broker. A context: leaving it ends the proxies."""

    def __init__(self, ports: Mapping[int, int]) -> None:
        """`ports`: that of each broker by that of its proxy."""
        self._ports = dict(ports)
        self._loop = asyncio.new_event_loop()
        self._thread = threading.Thread(target=self._loop.run_forever, daemon=True)
        self._writers: set[asyncio.StreamWriter] = set()
        self._tasks: set[asyncio.Task[None]] = set()
        self.delay_s = 0.0
        """By so much every answer is late."""
        self.holds_answers = self.holds_requests = False
        """Nothing is lost: what is held goes on later."""
        self._servers: list[asyncio.Server] = []

    def __enter__(self) -> Self:
        """Begin to listen."""
        self._thread.start()
        asyncio.run_coroutine_threadsafe(self._listen(), self._loop).result(10)
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        """End every connection."""
        asyncio.run_coroutine_threadsafe(self._close(), self._loop).result(10)
        self._loop.call_soon_threadsafe(self._loop.stop)
        self._thread.join(10)
        self._loop.close()

    def reset(self) -> None:
        """Reset every connection that there is, as a router does that was started again."""
        self._loop.call_soon_threadsafe(self._reset)

    def cut(self, *, is_cut: bool) -> None:
        """Let nothing through in either direction, or everything again."""
        self.holds_answers = self.holds_requests = is_cut

    def _reset(self) -> None:
        for writer in list(self._writers):
            taken: socket.socket = writer.get_extra_info("socket")
            with contextlib.suppress(OSError):
                taken.setsockopt(socket.SOL_SOCKET, socket.SO_LINGER, RESET)
            writer.transport.abort()

    async def _listen(self) -> None:
        for own, broker in self._ports.items():
            self._servers.append(await asyncio.start_server(self._taker(broker), "127.0.0.1", own))

    async def _close(self) -> None:
        for server in self._servers:
            server.close()
        self._reset()
        for task in self._tasks:
            task.cancel()
        await asyncio.gather(*self._tasks, return_exceptions=True)

    def _taker(self, broker: int):  # type: ignore[no-untyped-def] # noqa: ANN202 - a callback of asyncio
        def take(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
            task = self._loop.create_task(self._join(broker, reader, writer))
            self._tasks.add(task)
            task.add_done_callback(self._tasks.discard)

        return take

    async def _join(self, broker: int, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        try:
            answers, requests = await asyncio.open_connection("127.0.0.1", broker)
        except OSError:
            writer.transport.abort()
            return
        both = {writer, requests}
        self._writers |= both
        try:
            await asyncio.gather(
                self._pump(reader, requests, is_answer=False), self._pump(answers, writer, is_answer=True)
            )
        except OSError:
            pass
        finally:
            self._writers -= both
            for each in both:
                each.transport.abort()

    async def _pump(self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter, *, is_answer: bool) -> None:
        while content := await reader.read(CHUNK_BYTES):
            if is_answer and self.delay_s:
                await asyncio.sleep(self.delay_s)
            while self.holds_answers if is_answer else self.holds_requests:
                await asyncio.sleep(0.02)
            writer.write(content)
            await writer.drain()
        raise ConnectionResetError
