"""The HTTP interface of contract 4, all of it read-only. Documents are built in a thread from an immutable snapshot."""

from __future__ import annotations

import asyncio
import logging
from importlib.resources import files
from pathlib import PurePath
from typing import TYPE_CHECKING

from aiohttp import web

from streams.board.instants import parse_instant
from streams.board.screen import festivals_document
from streams.board.series import series_document
from streams.errors import UsageError
from streams.web.answers import answer, json_answer
from streams.web.channel import Channel
from streams.web.exposition import FestivalCollector, render
from streams.web.process import ProcessFacts
from streams.web.source import Document, Source, to_json
from streams.web.stream import stream_channel

if TYPE_CHECKING:
    from collections.abc import Awaitable, Callable, Collection
    from importlib.resources.abc import Traversable

    Handler = Callable[[web.Request], Awaitable[web.StreamResponse]]

_log = logging.getLogger("festival.web")

SOURCE = web.AppKey("source", Source)
COLLECTOR = web.AppKey("collector", FestivalCollector)
CHANNELS = web.AppKey("channels", dict[str, Channel])
HEADERS = {
    "X-Content-Type-Options": "nosniff",
    "Referrer-Policy": "no-referrer",
    "Content-Security-Policy": "default-src 'none'; script-src 'self'; style-src 'self'; connect-src 'self'; "
    "img-src 'self' data:; base-uri 'none'; form-action 'none'; frame-ancestors 'none'",
}
CONTENT_TYPES = {
    ".css": "text/css",
    ".html": "text/html",
    ".js": "text/javascript",
    ".json": "application/json",
    ".svg": "image/svg+xml",
}
INDEX, OPENAPI = "index.html", "openapi.json"
_PRIVATE = {"Cache-Control": "no-store"}


def application(source: Source) -> web.Application:
    """Return the aiohttp application that serves `source`."""
    app = web.Application(middlewares=[_tell_errors])
    app[SOURCE] = source
    app[COLLECTOR] = FestivalCollector(source.snapshot, source.festivals, source.status, ProcessFacts.of(source))
    app[CHANNELS] = {}
    app.router.add_get("/metrics", _metrics)
    app.router.add_get("/livez", _livez)
    app.router.add_get("/readyz", _readyz)
    app.router.add_get("/api/totals", _totals)
    app.router.add_get("/api/series", _series)
    app.router.add_get("/api/stream", _stream, allow_head=False)
    app.router.add_get("/api/festivals", _festivals)
    for file in sorted((files("streams.web") / "static").iterdir(), key=lambda file: file.name):
        path = {INDEX: "", OPENAPI: f"api/{OPENAPI}"}.get(file.name, file.name)
        app.router.add_get(f"/{path}", _static(file))
    app.on_shutdown.append(_stop_streams)
    return app


async def _stop_streams(app: web.Application) -> None:
    """Let the event streams end, so that a stopping server need not wait for them."""
    for channel in app[CHANNELS].values():
        channel.close()


async def _metrics(request: web.Request) -> web.Response:
    accept = request.headers.get("Accept", "")
    page, content_type = await asyncio.to_thread(render, request.app[COLLECTOR], accept)
    response = web.Response(body=page, headers={**_PRIVATE, "Content-Type": content_type})
    response.enable_compression()
    return response


async def _livez(_: web.Request) -> web.Response:
    return _json({"status": "up"})


async def _readyz(request: web.Request) -> web.Response:
    is_ready, reason = request.app[SOURCE].readiness()
    return _json({"ready": is_ready, "reason": reason}, status=200 if is_ready else 503)


async def _totals(request: web.Request) -> web.Response:
    source = request.app[SOURCE]
    _refuse_others(request, ("festival", "at", "by", "top"))
    festival = source.festival(_parameter(request, "festival"))
    at = _parameter(request, "at")
    at_ms = None if at is None else parse_instant(at, festival)
    top = _top(_parameter(request, "top"))
    by = _parameter(request, "by")
    if top is not None and by is None:
        raise UsageError("top: say by which dimension, such as by=platform")
    return json_answer(request, await asyncio.to_thread(source.totals, festival, at_ms, by, top))


async def _series(request: web.Request) -> web.Response:
    source = request.app[SOURCE]
    _refuse_others(request, ("festival", "measure", "currency", "step"))
    festival = source.festival(_parameter(request, "festival"))
    measure = _parameter(request, "measure") or "orders"
    currency = _parameter(request, "currency")
    step = _parameter(request, "step") or "minute"
    document = await asyncio.to_thread(series_document, source.snapshot(), festival, measure, currency, step)
    return json_answer(request, document)


async def _festivals(request: web.Request) -> web.Response:
    source = request.app[SOURCE]
    _refuse_others(request, ())
    shown = source.festival(None).id if source.festivals else None
    festivals = festivals_document(source.snapshot(), source.festivals.values())
    return json_answer(request, {"shown": shown, "festivals": festivals})


async def _stream(request: web.Request) -> web.StreamResponse:
    source = request.app[SOURCE]
    _refuse_others(request, ("festival",))
    festival = source.festival(_parameter(request, "festival"))
    channels = request.app[CHANNELS]
    if festival.id not in channels:
        channels[festival.id] = Channel(source, festival)
    return await stream_channel(request, channels[festival.id], HEADERS)


def _static(file: Traversable) -> Handler:
    body = file.read_bytes()
    content_type = CONTENT_TYPES[PurePath(file.name).suffix]

    async def handle(request: web.Request) -> web.Response:
        return answer(request, body, content_type, is_text=True)

    return handle


def _parameter(request: web.Request, name: str) -> str | None:
    """Return a query parameter, None where it is not given; raises `UsageError` for one given twice or empty."""
    given = request.query.getall(name, [])
    if not given:
        return None
    if len(given) > 1 or not given[0]:
        raise UsageError(f"{name}: give one value")
    return given[0]


def _top(text: str | None) -> int | None:
    if text is None:
        return None
    if not (text.isascii() and text.isdigit() and int(text) > 0):
        raise UsageError(f"top: {text!r} is no number of rows, such as 10")
    return int(text)


def _refuse_others(request: web.Request, known: Collection[str]) -> None:
    others = sorted(set(request.query) - set(known))
    if others:
        raise UsageError(f"{others[0]}: no such parameter; {request.path} takes {', '.join(known)}")


def _json(document: Document, status: int = 200) -> web.Response:
    return web.Response(body=to_json(document), status=status, content_type="application/json", headers=_PRIVATE)


@web.middleware
async def _tell_errors(request: web.Request, handler: Handler) -> web.StreamResponse:
    """Answer every failure with JSON and a sentence; add the headers that browsers keep to."""
    try:
        response = await handler(request)
    except UsageError as error:
        response = _json({"error": str(error)}, status=400)
    except web.HTTPNotFound:
        response = _json({"error": f"there is nothing at {request.path}; look at / or /api/totals"}, status=404)
    except web.HTTPMethodNotAllowed as error:
        allowed = sorted(error.allowed_methods)
        response = _json({"error": f"{request.method} is not served; only {', '.join(allowed)}"}, status=405)
        response.headers["Allow"] = ", ".join(allowed)
    except web.HTTPException as error:
        response = _json({"error": error.reason}, status=error.status)
    except Exception as error:  # noqa: BLE001 - whatever it is, the client gets an answer and the log the cause
        _log.exception("a request failed", extra={"path": request.path, "error": repr(error)})
        response = _json({"error": "this server failed to answer; its log says why"}, status=500)
    if not response.prepared:
        response.headers.update(HEADERS)
    return response
