"""The entrance of a server: what `--web-config` asks of whoever comes, read again when the file changes.

Without a file everybody may read. A new file that is wrong is told in the log, and the old one stays.
"""

from __future__ import annotations

import asyncio
import json
import logging
import ssl
from typing import TYPE_CHECKING, Any

from aiohttp import web

from streams.errors import UsageError
from streams.renewed import RenewedContext, signature
from streams.web.credentials import Answer, Credentials
from streams.web.ports import is_loopback, url_of
from streams.web.web_config import WebConfig, read_web_config

if TYPE_CHECKING:
    import socket
    from collections.abc import Awaitable, Callable, Collection
    from pathlib import Path

    Handler = Callable[[web.Request], Awaitable[web.StreamResponse]]

_log = logging.getLogger("festival.web")

LOOK_SECONDS = 3.0
"""Between two looks at the files. What was found changed is read at the next look, if it is the same then: files are
written in steps. So a change holds after 10 s at most."""

HEALTH = ("/livez", "/readyz")
HANDSHAKE_SECONDS = 10.0
"""As long as a request's header may take."""


class Entrance:
    """What one server asks for. Belongs to the event loop that serves, once that runs."""

    def __init__(self, file: Path | None = None) -> None:
        """Read the file. Raises `UsageError` where it cannot be used."""
        self._file = file
        self._config = WebConfig() if file is None else read_web_config(file)
        self._credentials = Credentials(self._config)
        self._read = self._changed = signature(self._files())
        self._current = self._config.tls.context() if self._config.tls is not None else None

    @property
    def _context(self) -> ssl.SSLContext | None:
        """Return what to listen with; None without TLS. Connections that come later take what was read last."""
        return None if self._current is None else RenewedContext(ssl.PROTOCOL_TLS_SERVER, self._newest)

    @property
    def scheme(self) -> str:
        """Return how addresses begin."""
        return "http" if self._current is None else "https"

    def _newest(self) -> ssl.SSLContext:
        assert self._current is not None
        return self._current

    def _files(self) -> list[Path]:
        tls = self._config.tls
        return [] if self._file is None else [self._file, *(tls.files if tls is not None else ())]

    async def watch(self) -> None:
        """Read the file again when it or one that it names changes, until cancelled."""
        while self._file is not None:
            await asyncio.sleep(LOOK_SECONDS)
            await asyncio.to_thread(self.look)

    def look(self) -> None:
        """Look at the files once; reads them where they have changed, and are the same as at the look before."""
        assert self._file is not None
        found = signature(self._files())
        if found in (self._read, self._changed):
            if found != self._read:
                self._read = found
                self._renew(self._file)
            return
        self._changed = found

    def _renew(self, file: Path) -> None:
        try:
            config = read_web_config(file)
        except UsageError as error:
            _log.error("the web configuration is not read again, the one before stays: %s", error)
            return
        if (config.tls is None) is not (self._config.tls is None):
            _log.error("TLS is switched on or off by a new start only: the web configuration before stays")
            return
        self._current = config.tls.context() if config.tls is not None else None
        self._config, self._credentials = config, Credentials(config)
        self._read = self._changed = signature(self._files())
        _log.info("web configuration read again", extra={"file": str(file)})

    def listening(self) -> dict[str, Any]:
        """Return the options of the loop's `create_server`."""
        context = self._context
        return {} if context is None else {"ssl": context, "ssl_handshake_timeout": HANDSHAKE_SECONDS}

    def guard(self, health: Collection[str]) -> Any:  # noqa: ANN401 - aiohttp's middleware
        """Return the middleware that lets in whom the file names; `health` are the paths of liveness and readiness."""

        @web.middleware
        async def guarded(request: web.Request, handler: Handler) -> web.StreamResponse:
            return await self._refusal(request, health) or await handler(request)

        return guarded

    async def tell_headers(self, _: web.Request, response: web.StreamResponse) -> None:
        """Set the headers of the file on an answer, as `on_response_prepare` calls it: they stand above our own."""
        response.headers.update(self._config.headers)

    async def _refusal(self, request: web.Request, health: Collection[str]) -> web.Response | None:
        """Return the answer to who is not let in."""
        credentials = self._credentials
        if not credentials.challenges or (self._config.is_health_open and request.path in health):
            return None
        match await credentials.judge(request.headers.get("Authorization")):
            case Answer.KNOWN:
                return None
            case Answer.BUSY:
                response = _told(429, "too many passwords are being checked; try again in a second")
                response.headers["Retry-After"] = "1"
            case Answer.UNKNOWN:
                response = _told(401, "who are you? User and password, or a token, are asked for")
                for challenge in credentials.challenges:
                    response.headers.add("WWW-Authenticate", challenge)
        return response


def _told(status: int, sentence: str) -> web.Response:
    body = json.dumps({"error": sentence})
    return web.Response(
        text=body, status=status, content_type="application/json", headers={"Cache-Control": "no-store"}
    )


def entrance_of(file: Path | None, listener: socket.socket) -> Entrance:
    """Return the entrance of a server; warns where everybody beyond this machine may read. Raises `UsageError`."""
    if file is None and not is_loopback(listener):
        _log.warning(
            "HTTP is served beyond this machine, unencrypted and to everybody who can reach it: set "
            "FESTIVAL_WEB_CONFIG, or let only a proxy reach it",
            extra={"url": url_of(listener)},
        )
    return Entrance(file)
