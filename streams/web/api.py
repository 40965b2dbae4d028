"""The HTTP interface of contract 4, all of it read-only. Documents are made in threads from immutable snapshots."""

from __future__ import annotations

import asyncio
import json
import logging
from importlib.resources import files
from pathlib import PurePath
from typing import TYPE_CHECKING

from aiohttp import web

from streams.board.answers.documents import plain
from streams.board.answers.instants import parse_instant
from streams.board.answers.screen import festivals_of
from streams.board.answers.series import series_document
from streams.board.answers.values import Festivals
from streams.errors import UsageError
from streams.festivals.selection import in_service
from streams.web import openapi
from streams.web.answers import Answer, SharedAnswers, respond, takes_gzip
from streams.web.channel import Channel
from streams.web.connections import SERVER
from streams.web.entrance import HEALTH, Entrance
from streams.web.exposition import FestivalCollector, render
from streams.web.hosts import AllowedHosts, Misdirected
from streams.web.languages import LANGUAGES, language_of
from streams.web.messages import Error, Liveness, Readiness
from streams.web.parameters import Parameters
from streams.web.placement import ROOT, Placement
from streams.web.process import ProcessFacts
from streams.web.shown import Document, NothingReadError, Shown, to_json
from streams.web.stream import stream_channel
from streams.web.visitors import STREAM, Budget, Busy

if TYPE_CHECKING:
    from collections.abc import Awaitable, Callable
    from importlib.resources.abc import Traversable

    from streams.domain.festivals import Festival

    Handler = Callable[[web.Request], Awaitable[web.StreamResponse]]

_log = logging.getLogger("festival.web")

SOURCE = web.AppKey("source", Shown)
COLLECTOR = web.AppKey("collector", FestivalCollector)
CHANNELS = web.AppKey("channels", dict[str, Channel])
ANSWERS = web.AppKey("answers", SharedAnswers)
HOSTS = web.AppKey("hosts", AllowedHosts)
BUDGET = web.AppKey("budget", Budget)
PLACEMENT = web.AppKey("placement", Placement)
HEADERS = web.AppKey("headers", dict[str, str])
CONTENT_TYPES = {
    ".css": "text/css",
    ".html": "text/html",
    ".js": "text/javascript",
    ".json": "application/json",
    ".svg": "image/svg+xml",
}
INDEX = "index.html"
_PRIVATE = {"Cache-Control": "no-store"}


def application(
    source: Shown,
    hosts: AllowedHosts | None = None,
    budget: Budget | None = None,
    placement: Placement | None = None,
    entrance: Entrance | None = None,
) -> web.Application:
    """Return the aiohttp application that serves `source`.

    It answers to all hosts unless told which, and to everybody unless `entrance` asks who it is. `budget` is what a
    worker's visitors may cost, none on a board.
    """
    placement = placement or Placement()
    entrance = entrance or Entrance()
    guard = entrance.guard([placement.under(path) for path in HEALTH])
    app = web.Application(middlewares=[_tell_errors, guard, _keep_to_hosts])
    app.on_response_prepare.append(entrance.tell_headers)
    app[SOURCE] = source
    app[COLLECTOR] = FestivalCollector(source.scenes, source.status, ProcessFacts.of(source), source.declared)
    app[CHANNELS] = {}
    app[ANSWERS] = SharedAnswers(source, budget)
    app[HOSTS] = hosts or AllowedHosts()
    app[PLACEMENT] = placement
    app[HEADERS] = {"Server": SERVER, **placement.headers()}
    if budget is not None:
        app[BUDGET] = budget
        app.middlewares.append(_keep_to_budget)
    for path, handler in _PROBES.items():
        app.router.add_get(placement.under(path), handler)
    for path, handler in _pages().items():
        app.router.add_get(placement.under(path), handler if source.has_board else _not_shown)
    app.router.add_get(placement.under(STREAM), _stream if source.has_board else _not_shown, allow_head=False)
    if placement.path != ROOT:
        app.router.add_get(placement.path.removesuffix("/"), _to_the_page)
    app.on_shutdown.append(_stop_streams)
    return app


def _pages() -> dict[str, Handler]:
    """Return who answers about totals at which path, without the event stream."""
    pages: dict[str, Handler] = {
        "/api/totals": _totals,
        "/api/series": _series,
        "/api/festivals": _festivals,
        "/api/openapi.json": _openapi,
    }
    for file in sorted((files("streams.web") / "static").iterdir(), key=lambda file: file.name):
        pages["/" if file.name == INDEX else f"/{file.name}"] = _page(file) if file.name == INDEX else _static(file)
    return pages


async def _to_the_page(request: web.Request) -> web.Response:
    """Send a browser on to the path with its last slash, to which the page's own addresses are relative."""
    place = request.app[PLACEMENT].path
    query = f"?{request.query_string}" if request.query_string else ""
    return web.Response(status=308, headers={**_PRIVATE, "Location": f"{place}{query}"})


async def _stop_streams(app: web.Application) -> None:
    """Let the event streams end, so that a stopping server need not wait for them."""
    for channel in app[CHANNELS].values():
        channel.close()


async def _metrics(request: web.Request) -> web.Response:
    accept = request.headers.get("Accept", "")
    page, content_type = await asyncio.to_thread(render, request.app[COLLECTOR], accept)
    response = web.Response(body=page, headers={**_PRIVATE, "Content-Type": content_type})
    if takes_gzip(request):
        response.enable_compression(web.ContentCoding.gzip)
    return response


async def _livez(_: web.Request) -> web.Response:
    return _json(Liveness())


async def _readyz(request: web.Request) -> web.Response:
    is_ready, reason = request.app[SOURCE].readiness()
    return _json(Readiness(is_ready, reason), status=200 if is_ready else 503)


_PROBES: dict[str, Handler] = {"/metrics": _metrics, "/livez": _livez, "/readyz": _readyz}


async def _not_shown(_: web.Request) -> web.Response:
    return _json_error("this worker counts and shows no totals (FESTIVAL_SHOW=no): ask a board, `festival board`", 503)


async def _totals(request: web.Request) -> web.Response:
    source = request.app[SOURCE]
    given = Parameters(request, "festival", "at", "by", "top", "in")
    festival = source.festival(given.text("festival"))
    at = given.text("at")
    at_ms = None if at is None else parse_instant(at, festival)
    top = given.top()
    by = given.text("by")
    if top is not None and by is None:
        raise UsageError("top: say by which dimension, such as by=platform")
    also_in = given.currencies("in")
    key = (festival.id, at_ms, by, top, also_in)
    return await _shared(request, key, lambda: source.totals(festival, at_ms, by, top, also_in))


async def _series(request: web.Request) -> web.Response:
    source = request.app[SOURCE]
    given = Parameters(request, "festival", "measure", "currency", "step")
    festival = source.festival(given.text("festival"))
    measure = given.text("measure") or "orders"
    currency = given.currency()
    step = given.text("step") or "minute"
    key = (festival.id, measure, currency, step)
    return await _shared(request, key, lambda: _series_of(source, festival, measure, currency, step))


def _series_of(source: Shown, festival: Festival, measure: str, currency: str | None, step: str) -> Document:
    snapshot = source.snapshot_of(festival.id)
    document = series_document(snapshot, festival, measure, currency, step)
    source.check_state(snapshot)  # behind the document, which tells first what is wrong with the question
    return document


async def _festivals(request: web.Request) -> web.Response:
    source = request.app[SOURCE]
    Parameters(request)
    shown = source.festival(None).id if in_service(source.festivals.values()) else None

    def make() -> Document:
        return plain(Festivals(shown, festivals_of(source.snapshot_of, source.festivals.values())))

    return await _shared(request, (shown,), make)


async def _openapi(request: web.Request) -> web.Response:
    Parameters(request)
    snapshot = request.app[SOURCE].snapshot()
    amounts = tuple(dict.fromkeys(name for _, name in snapshot.amounts))
    key = (snapshot.dimensions, amounts)
    return await _shared(request, key, lambda: openapi.description(*key))


async def _shared(request: web.Request, key: tuple[object, ...], make: Callable[[], Document]) -> web.Response:
    """Return the answer of a path to the parameters in `key`."""
    answers = request.app[ANSWERS]
    return respond(request, await answers.get((request.path, *key), make, is_zipped=takes_gzip(request)))


async def _stream(request: web.Request) -> web.StreamResponse:
    source = request.app[SOURCE]
    named = Parameters(request, "festival").text("festival")
    source.festival(named)
    source.state()  # before it is known which festivals have totals, nobody can be shown one
    festival = source.festival(named)
    channels = request.app[CHANNELS]
    if festival.id not in channels:
        channels[festival.id] = Channel(source, festival, request.app.get(BUDGET))
    headers = request.app[HEADERS]
    return await stream_channel(request, channels[festival.id], headers)


def _static(file: Traversable) -> Handler:
    answer = Answer(file.read_bytes(), CONTENT_TYPES[PurePath(file.name).suffix])

    async def handle(request: web.Request) -> web.Response:
        return respond(request, answer)

    return handle


def _page(file: Traversable) -> Handler:
    """Serve the page, which begins in the reader's language; its address may name another."""
    text = file.read_text("utf-8")
    answers = {
        language: Answer(
            text.replace(f'<html lang="{LANGUAGES[0]}">', f'<html lang="{language}">').encode(),
            CONTENT_TYPES[PurePath(INDEX).suffix],
            "Accept-Encoding, Accept-Language",
        )
        for language in LANGUAGES
    }

    async def handle(request: web.Request) -> web.Response:
        return respond(request, answers[language_of(request)])

    return handle


def _json(message: Error | Liveness | Readiness, status: int = 200) -> web.Response:
    return web.Response(body=to_json(plain(message)), status=status, content_type="application/json", headers=_PRIVATE)


@web.middleware
async def _keep_to_hosts(request: web.Request, handler: Handler) -> web.StreamResponse:
    request.app[HOSTS].check(request)
    return await handler(request)


@web.middleware
async def _keep_to_budget(request: web.Request, handler: Handler) -> web.StreamResponse:
    if request.app[PLACEMENT].is_visit(request.path) and not request.app[BUDGET].has_for_questions():
        raise Busy
    return await handler(request)


@web.middleware
async def _tell_errors(request: web.Request, handler: Handler) -> web.StreamResponse:
    """Answer every failure with JSON and a sentence; add the headers that browsers keep to."""
    try:
        response = await handler(request)
    except UsageError as error:
        response = _json_error(str(error), 400)
    except Misdirected as error:
        response = _json_error(str(error), 421)
    except NothingReadError as error:
        response = _json(Error(str(error), loaded=False), status=503)
        response.headers["Retry-After"] = "1"
    except Busy:
        await asyncio.sleep(request.app[BUDGET].refusal_seconds())
        response = _json_error("this worker counts first, and has no time for visitors now; a board has", 503)
        response.headers["Retry-After"] = "1"
    except web.HTTPNotFound:
        place = request.app[PLACEMENT]
        known = f"look at {place.path} or {place.under('/api/totals')}"
        response = _json_error(f"there is nothing at {request.path}; {known}", 404)
    except web.HTTPMethodNotAllowed as error:
        allowed = sorted(error.allowed_methods)
        response = _json_error(f"{request.method} is not served; only {', '.join(allowed)}", 405)
        response.headers["Allow"] = ", ".join(allowed)
    except web.HTTPException as error:
        response = _json_error(error.reason, error.status)
    except Exception as error:  # noqa: BLE001 - whatever it is, the client gets an answer and the log the cause
        _log.exception("a request failed", extra={"path": request.path, "error": repr(error)})
        response = _json_error("this server failed to answer; its log says why", 500)
    if not response.prepared:
        response.headers.update(request.app[HEADERS])
    return response


def _json_error(sentence: str, status: int) -> web.Response:
    """Return a sentence as JSON in ASCII: what a client sent and it repeats may be no text that UTF-8 can hold."""
    body = json.dumps(plain(Error(sentence))).encode()
    return web.Response(body=body, status=status, content_type="application/json", headers=_PRIVATE)
