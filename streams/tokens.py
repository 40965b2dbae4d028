"""Tokens that say to Kafka who we are (OAUTHBEARER): got once for all clients of a process, anew before they expire.

By client credentials at an address (RFC 6749, 4.4), out of a file, or by a provider that somebody has installed. Asked
in a thread, whenever a connection is made; a token that is still good is used on where no new one is to be had.
"""

from __future__ import annotations

import asyncio
import base64
import json
import logging
import threading
from functools import cache
from http import HTTPStatus
from importlib.metadata import entry_points
from typing import TYPE_CHECKING, Any, NamedTuple
from urllib.error import HTTPError, URLError
from urllib.parse import quote_plus, urlencode
from urllib.request import HTTPSHandler, Request, build_opener

from aiokafka.abc import AbstractTokenProvider
from aiokafka.errors import KafkaConnectionError

from streams import security_configuration as declared
from streams.engine.clock import SystemClock
from streams.renewed import ClientTls
from streams.token_source import PROVIDERS

if TYPE_CHECKING:
    from collections.abc import Callable

    from streams.engine.clock import Clock
    from streams.token_source import TokenSource

log = logging.getLogger("festival.security")

SECONDS = 5.0
"""Longest wait for an address of tokens."""
AGAIN_MS = 1_000
"""So long after a failure nobody is asked again: a worker has a hundred clients that all want to connect."""
EARLY_MS = 60_000
"""So long before it expires a token is got anew, but in the second half of its life at the earliest."""
UNTOLD_MS = 5 * 60_000
"""How long a token is taken for good whose answer does not say."""
ANSWER_BYTES = 1 << 20
_untyped: Any = AbstractTokenProvider


class TokenError(KafkaConnectionError):
    """No token is to be had; the sentence names the setting."""

    def __str__(self) -> str:
        """Return the sentence; the client library's errors put their class before it."""
        return str(self.args[0])


class Token(NamedTuple):
    """A token, and when it is to be got anew and must be."""

    text: str
    renew_ms: int
    expires_ms: int


class TokenProvider(_untyped):  # type: ignore[misc]
    """What aiokafka asks at each connection; for clients of any event loop and thread."""

    def __init__(self, fetch: Callable[[], tuple[str, int]], extensions: dict[str, str], clock: Clock) -> None:
        """`fetch` blocks, and returns a token and when it expires; it raises `TokenError`."""
        self._fetch, self._extensions, self._clock = fetch, extensions, clock
        self._lock = threading.Lock()
        self._token: Token | None = None
        self._failure: tuple[int, TokenError] | None = None
        """When a token was last not to be had, and why."""

    async def token(self) -> str:
        """Return a token that has not expired. Raises `TokenError`."""
        return await asyncio.to_thread(self._current)

    def extensions(self) -> dict[str, str]:
        """Return what the broker is told besides."""
        return self._extensions

    def _current(self) -> str:
        with self._lock:
            now_ms = self._clock.now_ms()
            if self._token is None or now_ms >= self._token.renew_ms:
                self._renew(now_ms)
            assert self._token is not None
            return self._token.text

    def _renew(self, now_ms: int) -> None:
        """Get a token; one that is still good does where none is to be had. Raises `TokenError`."""
        is_good = self._token is not None and now_ms < self._token.expires_ms
        if self._failure is not None and now_ms - self._failure[0] < AGAIN_MS:
            if is_good:
                return
            raise TokenError(str(self._failure[1]))
        try:
            text, expires_ms = self._fetch()
        except TokenError as error:
            self._failure = now_ms, error
            if not is_good:
                raise
            log.warning("no new token is to be had, the one before is used: %s", error)
            return
        self._failure = None
        life_ms = expires_ms - now_ms
        self._token = Token(text, max(expires_ms - EARLY_MS, now_ms + life_ms // 2), expires_ms)


@cache
def provider_of(source: TokenSource) -> TokenProvider:
    """Return the one provider of a source."""
    clock = SystemClock()
    extensions = dict(source.extensions)
    if source.url is not None:
        return TokenProvider(lambda: _of_address(source, clock.now_ms()), extensions, clock)
    if source.provider is not None:
        return TokenProvider(lambda: _of_provider(source.provider), extensions, clock)
    assert source.file is not None, source
    secret = source.file
    return TokenProvider(lambda: (str.__str__(secret.current()), 0), extensions, clock)  # read at each connection


def _of_address(source: TokenSource, now_ms: int) -> tuple[str, int]:
    assert source.url is not None
    assert source.client_id is not None
    assert source.client_secret is not None
    form = {"grant_type": "client_credentials"} | ({"scope": source.scope} if source.scope is not None else {})
    told = f"{quote_plus(source.client_id)}:{quote_plus(source.client_secret.current())}"
    headers = {"Authorization": f"Basic {base64.b64encode(told.encode()).decode()}", "Accept": "application/json"}
    request = Request(source.url, urlencode(form).encode(), headers)  # noqa: S310 - checked where it is set
    opener = build_opener(HTTPSHandler(context=ClientTls(source.ca_file).context()))
    where = f"{declared.TOKEN_URL.variable} ({source.url})"
    try:
        with opener.open(request, timeout=SECONDS) as answer:
            document = json.loads(answer.read(ANSWER_BYTES))
        return str(document["access_token"]), now_ms + int(document.get("expires_in", UNTOLD_MS // 1000)) * 1000
    except HTTPError as error:
        raise TokenError(f"{where} answers {error.code}{_said(error)}") from error
    except (OSError, URLError) as error:
        raise TokenError(f"{where} does not answer: {getattr(error, 'reason', None) or error}") from error
    except (ValueError, TypeError, KeyError, AttributeError) as error:
        raise TokenError(f"{where} answers with no token: access_token is due, in JSON") from error


def _said(error: HTTPError) -> str:
    """Return what an address says of a request that it refuses (RFC 6749, 5.2), and which settings that is about."""
    try:
        document = json.loads(error.read(ANSWER_BYTES))
        said = f" {document['error']}"
    except (OSError, ValueError, TypeError, KeyError):
        said = ""
    if error.code not in (HTTPStatus.BAD_REQUEST, HTTPStatus.UNAUTHORIZED, HTTPStatus.FORBIDDEN):
        return said
    return f"{said}: see {declared.TOKEN_CLIENT_ID.variable}, {declared.TOKEN_CLIENT_SECRET.variable} and scope"


def _of_provider(name: str | None) -> tuple[str, int]:
    try:
        (found,) = entry_points(group=PROVIDERS, name=name or "")
        token, expires_ms = found.load()()
        return str(token), int(expires_ms)
    except Exception as error:  # somebody else's code
        raise TokenError(f"{declared.TOKEN_PROVIDER.variable}: {name} fails: {error!r}") from error
