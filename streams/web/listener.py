"""One listener of the event stream: what it has, and whether it takes what it is sent.

A server sees no reader, only what the other side's TCP takes. Left to themselves the two kernels take megabytes for a
client that reads nothing. So a listener's socket has a small buffer, and the next state is sent when the one before has
arrived. A client whose window does not open again as it was sent something is in doubt, but may read all the same: the
kernel over there may be changing its mind about the window. It is sent comments, which a reader passes over, and which
fill the buffer of who does not read; who then takes nothing is dropped.
"""

from __future__ import annotations

import asyncio
from dataclasses import dataclass, field
from typing import TYPE_CHECKING, Any, Protocol

from streams.web.sockets import Taken, cut, taken_by

if TYPE_CHECKING:
    from collections.abc import Callable

SLOW_SECONDS = 5.0
"""A client that takes nothing of what waits for it in this time is dropped; the screen connects again by itself."""
UNREAD_BYTES = 8_192
DOUBT_SECONDS = 1.0
"""So much was sent in this time, and the window has opened by less than half of it: does it read?"""
COMMENT = b":" + b" " * 16_384 + b"\n\n"
"""A buffer of Linux takes some 136 kB, nine of these; a slow line has taken one in a few seconds."""

Ids = tuple[str, ...]
NOTHING: Ids = ("", "", "")


def ids_of(last_event_id: str) -> Ids:
    """Return what a listener says it has; nothing where that is none of our ids."""
    ids = tuple(last_event_id.split("."))
    return ids if len(ids) == len(NOTHING) else NOTHING


class Pipe(Protocol):
    """Where a listener's bytes go (`asyncio.Transport`)."""

    def write(self, data: bytes) -> None:
        """Send, or keep until it can be sent. Never blocks."""

    def get_write_buffer_size(self) -> int:
        """Return how many bytes wait here."""

    def is_closing(self) -> bool:
        """Return whether the connection is at its end."""

    def abort(self) -> None:
        """Cut the connection."""

    def get_extra_info(self, name: str) -> Any:  # noqa: ANN401
        """Return the `socket`, None where there is none."""


class State(Protocol):
    """What a tick has to say (`streams.web.channel`)."""

    @property
    def ids(self) -> Ids:
        """Return the ids of its sections."""

    def framed(self, known: Ids, frame: Callable[[bytes], bytes]) -> bytes:
        """Return the events that bring a listener from `known` to this state, framed."""


@dataclass(eq=False)
class Listener:
    """One client: what it has, and where to send what it lacks."""

    pipe: Pipe
    known: Ids
    frame: Callable[[bytes], bytes] = bytes
    """Wraps events for the connection, such as into an HTTP chunk."""
    slow_seconds: float = SLOW_SECONDS
    is_gone: asyncio.Event = field(default_factory=asyncio.Event)
    _sent: int = 0
    _base: Taken | None = None
    """What was taken when this began."""
    _arrived: tuple[float, int] = (0.0, 0)
    """When something arrived last, and what had arrived by then."""
    _opened: tuple[float, int, int] = (0.0, 0, 0)
    """When the window was last seen to open with what was sent; sent and allowed by then."""

    def take(self, state: State, now: float) -> None:
        """Send what it lacks of `state`; a slow one is passed over, and cut off in the end."""
        if self.pipe.is_closing():
            self.is_gone.set()
            return
        is_waiting = self._look(now)
        if is_waiting and now - self._arrived[0] >= self.slow_seconds:
            cut(self.pipe)
            self.is_gone.set()
        elif not is_waiting:
            self._send(state.framed(self.known, self.frame))
            self.known = state.ids
            opened_at, sent, _ = self._opened
            if self._sent - sent >= UNREAD_BYTES and now - opened_at >= DOUBT_SECONDS:
                self._send(self.frame(COMMENT))

    def _send(self, framed: bytes) -> None:
        if framed:
            self._sent += len(framed)
            self.pipe.write(framed)

    def _look(self, now: float) -> bool:
        """Return whether something that was sent has not arrived."""
        taken = taken_by(self.pipe)
        if taken is None:
            arrived = self._sent - self.pipe.get_write_buffer_size()
            taken = Taken(arrived, arrived)
        if self._base is None:
            self._base, self._arrived, self._opened = taken, (now, taken.arrived), (now, 0, taken.allowed)
        is_waiting = taken.arrived - self._base.arrived < self._sent
        if not is_waiting or taken.arrived > self._arrived[1]:
            self._arrived = (now, taken.arrived)
        _, sent, allowed = self._opened
        if (taken.allowed - allowed) * 2 >= self._sent - sent:
            self._opened = (now, self._sent, taken.allowed)
        return is_waiting
