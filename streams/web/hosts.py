"""Which `Host` a request may ask for: a page elsewhere must not reach a server on this machine by a name of its own.

A browser sends the name it looked up. A name that its owner points at 127.0.0.1 (DNS rebinding) is none of ours.
"""

from __future__ import annotations

import re
from typing import TYPE_CHECKING

from streams.configuration import ANY_HOST, WEB_ALLOWED_HOSTS
from streams.web.ports import is_loopback

if TYPE_CHECKING:
    import socket
    from collections.abc import Collection

    from aiohttp import web

LOOPBACK_HOSTS = ("localhost", "127.0.0.1", "[::1]")
_HOST = re.compile(r"(\[[^\[\]]*\]|[^\[\]:]*)(?::[0-9]*)?")


class Misdirected(Exception):  # noqa: N818 - 421 is called Misdirected Request
    """The request asks for a host that this server is not."""


class AllowedHosts:
    """Names a server answers to."""

    def __init__(self, names: Collection[str] = (ANY_HOST,)) -> None:
        """Take lower-case names without port, IPv6 addresses in brackets; `*` allows all."""
        self._names = frozenset(names)

    @classmethod
    def of(cls, names: Collection[str] | None, listener: socket.socket) -> AllowedHosts:
        """Return what the settings say; unset, a server on loopback answers to the names of loopback and its own."""
        if names is not None:
            return cls(names)
        if not is_loopback(listener):
            return cls()
        address: str = listener.getsockname()[0]
        return cls((*LOOPBACK_HOSTS, f"[{address}]" if ":" in address else address))

    def check(self, request: web.BaseRequest) -> None:
        """Raise `Misdirected` where the request asks for another host.

        A request target in absolute form counts as the header does. Where none is named, as HTTP/1.0 allows, it is the
        address that the connection came to.
        """
        if ANY_HOST in self._names:
            return
        for host in {*request.headers.getall("Host", ()), request.host}:
            if name_of(host) not in self._names:
                names = WEB_ALLOWED_HOSTS.variable
                raise Misdirected(f"this server does not answer to the host {host[:255]!r}; {names} lists its names")


def name_of(host: str) -> str:
    """Return a `Host` without port and final dot, in lower case; "" where it is none."""
    found = _HOST.fullmatch(host.strip())
    return "" if found is None else found[1].lower().removesuffix(".")
