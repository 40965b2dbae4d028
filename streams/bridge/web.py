"""The HTTP interface of a bridge: `/livez`, `/readyz`, `/metrics`. In the bridge's own loop: a scrape is a page."""

from __future__ import annotations

import asyncio
import json
from contextlib import asynccontextmanager
from typing import TYPE_CHECKING

from aiohttp import web

from streams.bridge.metrics import BridgeCollector, render
from streams.web.entrance import HEALTH
from streams.web.hosts import AllowedHosts, Misdirected
from streams.web.ports import url_of

if TYPE_CHECKING:
    import socket
    from collections.abc import AsyncIterator, Awaitable, Callable, Collection, Sequence

    from streams.bridge.registry import Registry
    from streams.bridge.status import BridgeStatus
    from streams.engine.clock import Clock
    from streams.web.entrance import Entrance

    Handler = Callable[[web.Request], Awaitable[web.StreamResponse]]

_HEADERS = {"Cache-Control": "no-store"}


@asynccontextmanager
async def bridge_web(
    listener: socket.socket,
    statuses: Sequence[BridgeStatus],
    registry: Registry,
    clock: Clock,
    *,
    hosts: Collection[str] | None,
    entrance: Entrance,
) -> AsyncIterator[str]:
    """Serve while the context is open; gives the address."""
    allowed = AllowedHosts.of(hosts, listener)
    collector = BridgeCollector(statuses, registry)

    @web.middleware
    async def keep_to_hosts(request: web.Request, handler: Handler) -> web.StreamResponse:
        try:
            allowed.check(request)
        except Misdirected as error:
            return _json({"error": str(error)}, 421)
        return await handler(request)

    async def metrics(request: web.Request) -> web.Response:
        page, content_type = render(collector, request.headers.get("Accept", ""))
        return web.Response(body=page, headers={**_HEADERS, "Content-Type": content_type})

    async def livez(_: web.Request) -> web.Response:
        return _json({"alive": True})

    async def readyz(_: web.Request) -> web.Response:
        told = [(status.topics[0], *status.readiness(clock.now_ms())) for status in statuses]
        is_ready = all(ready for _, ready, _ in told)
        reason = "; ".join(f"{topic}: {sentence}" for topic, ready, sentence in told if ready is is_ready)
        return _json({"ready": is_ready, "reason": reason}, 200 if is_ready else 503)

    app = web.Application(middlewares=[entrance.guard(HEALTH), keep_to_hosts])
    app.on_response_prepare.append(entrance.tell_headers)
    app.router.add_get("/metrics", metrics)
    app.router.add_get("/livez", livez)
    app.router.add_get("/readyz", readyz)
    runner = web.AppRunner(app, shutdown_timeout=1.0, access_log=None)
    await runner.setup()
    assert runner.server is not None
    acceptor = await asyncio.get_running_loop().create_server(runner.server, sock=listener, **entrance.listening())
    watching = asyncio.create_task(entrance.watch())
    try:
        yield url_of(listener, scheme=entrance.scheme)
    finally:
        watching.cancel()
        acceptor.close()
        await runner.cleanup()


def _json(document: dict[str, object], status: int = 200) -> web.Response:
    return web.Response(text=json.dumps(document), status=status, content_type="application/json", headers=_HEADERS)
