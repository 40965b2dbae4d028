"""What the server asks of the system about a connection beside reading and writing.

Works on the transports of asyncio and of uvloop; a connection without a socket, as in tests, has nothing to tell.
"""

from __future__ import annotations

import socket
import struct
from contextlib import suppress
from typing import Any, NamedTuple, Protocol

SEND_BUFFER_BYTES = 16_384
"""The kernel takes twice as much, with what it needs for itself; a change has some 3 kB, the whole state 13."""
_TCP_INFO: int | None = getattr(socket, "TCP_INFO", None)
_BYTES_ACKED = struct.Struct("@120xQ")
_SND_WND = struct.Struct("@228xI")
"""Places in Linux' `struct tcp_info` (include/uapi/linux/tcp.h), which only grows at its end."""
_NO_LINGER = struct.pack("@ii", 1, 0)


class Connected(Protocol):
    """A connection (`asyncio.Transport`)."""

    def get_extra_info(self, name: str) -> Any:  # noqa: ANN401
        """Return the `socket`, None where there is none."""

    def abort(self) -> None:
        """Cut the connection."""


class Taken(NamedTuple):
    """What the other side has taken, in bytes since the connection began."""

    arrived: int
    """Acknowledged by its TCP."""
    allowed: int
    """Up to where its TCP allows to send: grows with what is read there."""


def taken_by(connected: Connected) -> Taken | None:
    """Return what the other side has taken, None where the system does not tell."""
    own = connected.get_extra_info("socket")
    if own is None or _TCP_INFO is None:
        return None
    try:
        info: bytes = own.getsockopt(socket.IPPROTO_TCP, _TCP_INFO, _SND_WND.size)
    except OSError:
        return None
    if len(info) < _SND_WND.size:
        return None
    arrived: int = _BYTES_ACKED.unpack_from(info)[0]
    return Taken(arrived, arrived + _SND_WND.unpack_from(info)[0])


def bound_sending(connected: Connected) -> None:
    """Keep the kernel from taking much more than the other side reads."""
    _set(connected, socket.SO_SNDBUF, SEND_BUFFER_BYTES)


def cut(connected: Connected) -> None:
    """End a connection at once, and drop what the kernel still holds for who does not read it."""
    _set(connected, socket.SO_LINGER, _NO_LINGER)
    connected.abort()


def _set(connected: Connected, option: int, value: int | bytes) -> None:
    own = connected.get_extra_info("socket")
    if own is not None:
        with suppress(OSError):  # it has just ended
            own.setsockopt(socket.SOL_SOCKET, option, value)
