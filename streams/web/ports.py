"""The port to serve HTTP on: the one asked for, or the next free one after the default."""

from __future__ import annotations

import errno
import socket
from ipaddress import ip_address

from streams.errors import UsageError

TRIES = 100


def listen(host: str, port: int, *, is_explicit: bool) -> socket.socket:
    """Return a listening socket; 0 takes any free port.

    A default port that is taken gives way to the next free one; an explicit one that is taken, and an address that is
    not this machine's, raise `UsageError`.
    """
    try:
        family, kind, protocol, _, _ = socket.getaddrinfo(host, port, type=socket.SOCK_STREAM)[0]
    except socket.gaierror as error:
        raise UsageError(f"--web-host: {host!r} is no address of this machine: {error.strerror}") from error
    for candidate in range(port, min(port + TRIES, 65_536)):
        listener = socket.socket(family, kind, protocol)
        listener.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
        try:
            listener.bind((host, candidate))
            listener.listen(128)
        except OSError as error:
            listener.close()
            if error.errno != errno.EADDRINUSE:
                raise UsageError(f"--web-host, --web-port: cannot serve on {host}:{candidate}: {error}") from error
            if is_explicit:
                taken = f"--web-port: {candidate} on {host} is taken; stop what serves there, or name another port"
                raise UsageError(taken) from error
        else:
            listener.setblocking(False)
            return listener
    raise UsageError(f"--web-port: no port from {port} on is free on {host}; name one")


def is_loopback(listener: socket.socket) -> bool:
    """Return whether only this machine can reach it."""
    address: str = listener.getsockname()[0]
    return ip_address(address.partition("%")[0]).is_loopback


def url_of(listener: socket.socket, path: str = "/", scheme: str = "http") -> str:
    """Return the address for a browser, of pages that lie under `path`."""
    host, port = listener.getsockname()[:2]
    return f"{scheme}://{f'[{host}]' if ':' in host else host}:{port}{path}"
