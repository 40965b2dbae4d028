"""Server-Sent Events: hands a client's connection to its channel, until one of them leaves."""

from __future__ import annotations

from contextlib import suppress
from typing import TYPE_CHECKING

from aiohttp import HttpVersion11, web

from streams.web.listener import SLOW_SECONDS, Listener, ids_of
from streams.web.sockets import bound_sending

if TYPE_CHECKING:
    from collections.abc import Mapping

    from streams.web.channel import Channel

RETRY_MS = 1_000


async def stream_channel(
    request: web.Request, channel: Channel, headers: Mapping[str, str], *, slow_seconds: float = SLOW_SECONDS
) -> web.StreamResponse:
    """Send the channel's states until the client or the server leaves.

    A client that comes back with `Last-Event-ID` is sent what has changed since.
    """
    response = web.StreamResponse(headers={**headers, "Content-Type": "text/event-stream", "Cache-Control": "no-store"})
    response.headers["X-Accel-Buffering"] = "no"
    await response.prepare(request)
    with suppress(ConnectionResetError):  # the client has gone
        await response.write(b"retry: %d\n\n" % RETRY_MS)
    if request.transport is None:
        return response
    bound_sending(request.transport)
    known = ids_of(request.headers.get("Last-Event-ID", ""))
    # Past the response's own writer, which would take a task's turn and a timer for each client and tick.
    frame = as_chunk if request.version >= HttpVersion11 else bytes
    listener = Listener(request.transport, known, frame, slow_seconds)
    with channel.listening(listener):
        await listener.is_gone.wait()
    return response


def as_chunk(events: bytes) -> bytes:
    """Return events as a chunk of HTTP/1.1's chunked transfer coding."""
    return b"%x\r\n%b\r\n" % (len(events), events)
