"""Server-Sent Events: each listener is sent what it lacks of its channel's newest state; a slow one is dropped."""

from __future__ import annotations

import asyncio
from typing import TYPE_CHECKING

from aiohttp import web

from streams.web.channel import ids_of

if TYPE_CHECKING:
    from collections.abc import Mapping

    from streams.web.channel import Channel

SLOW_SECONDS = 5.0
"""A client that does not take a state within this time is dropped; the screen connects again by itself."""
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
    known, turn = ids_of(request.headers.get("Last-Event-ID", "")), 0
    try:
        with channel.listening():
            await response.write(b"retry: %d\n\n" % RETRY_MS)
            while (state := await channel.after(turn)) is not None:
                events = state.since(known)
                known, turn = state.ids, state.turn
                if events:
                    async with asyncio.timeout(slow_seconds):
                        await response.write(events)
    except TimeoutError:
        if request.transport is not None:
            request.transport.abort()
    except ConnectionResetError:
        pass  # the client has gone
    return response
