"""Server-Sent Events: the totals document whenever it changed, at most every 250 ms."""

from __future__ import annotations

import asyncio
from typing import TYPE_CHECKING

from aiohttp import web

if TYPE_CHECKING:
    from collections.abc import Callable, Mapping

INTERVAL_SECONDS = 0.25
HEARTBEAT_SECONDS = 15.0
"""An event this often keeps proxies from closing a quiet connection, and tells the browser that we live."""
SLOW_SECONDS = 5.0
"""A client that does not take a document within this time is dropped; a browser connects again by itself."""
STOPPING = web.AppKey("stopping", asyncio.Event)


async def stream_totals(
    request: web.Request,
    newest: Callable[[], bytes],
    headers: Mapping[str, str],
    *,
    interval_seconds: float = INTERVAL_SECONDS,
    heartbeat_seconds: float = HEARTBEAT_SECONDS,
    slow_seconds: float = SLOW_SECONDS,
) -> web.StreamResponse:
    """Send `newest()` (JSON without line breaks) each time it is another, until the client or the server leaves.

    `newest` is called in a thread and must be safe there.
    """
    response = web.StreamResponse(headers={**headers, "Content-Type": "text/event-stream", "Cache-Control": "no-store"})
    response.headers["X-Accel-Buffering"] = "no"
    await response.prepare(request)
    stopping = request.app[STOPPING]
    sent: bytes | None = None
    quiet_seconds = 0.0
    try:
        while not stopping.is_set():
            document = await asyncio.to_thread(newest)
            if document != sent:
                await asyncio.wait_for(response.write(b"event: totals\ndata: " + document + b"\n\n"), slow_seconds)
                sent, quiet_seconds = document, 0.0
            elif quiet_seconds >= heartbeat_seconds:
                await asyncio.wait_for(response.write(b"event: alive\ndata: {}\n\n"), slow_seconds)
                quiet_seconds = 0.0
            await _pause(stopping, interval_seconds)
            quiet_seconds += interval_seconds
    except TimeoutError:
        if request.transport is not None:
            request.transport.abort()
    except ConnectionResetError:
        pass  # the client has gone
    return response


async def _pause(stopping: asyncio.Event, seconds: float) -> None:
    """Wait, but not longer than the server runs."""
    try:
        await asyncio.wait_for(stopping.wait(), seconds)
    except TimeoutError:
        return
