"""A connection to one broker that does not wait for a silent one for ever, whatever the client above it is.

Made by every client of aiokafka here (`streams.kafka.client.internals`). A request whose broker says nothing is given
up, and its outcome is unknown: the leader may have moved long ago. An error of the network is one of Kafka's, and says
what happened. What the broker tells of throttling is added up (`streams.kafka.client.throttling`).

The private names stand in the contract test tests/contract/test_aiokafka_names.py.
"""

from __future__ import annotations

import weakref
from typing import TYPE_CHECKING, Any

from aiokafka.conn import AIOKafkaConnection, CloseReason
from aiokafka.errors import KafkaConnectionError

from streams.kafka.client.throttling import throttling

if TYPE_CHECKING:
    import asyncio

CONNECT_SECONDS = 4.0
"""Longest wait for a connection: a machine that is gone refuses nothing."""
FIRST_ANSWER_SECONDS = 3.0
"""Longest silence after that: a process that is stopped takes connections, and a client makes one at a time."""
SILENT_SECONDS = 5.0
"""Longest silence of a broker that owes an answer. A leader that is dead is replaced after 9 s, by Kafka's default: who
still waits for it then only stands still longer."""
LOOK_SECONDS = 0.5
PATIENT_KEYS = frozenset({11, 14, 19, 20, 37})
"""JoinGroup and SyncGroup wait for the other members, CreateTopics, DeleteTopics and CreatePartitions for all brokers:
these wait as long as aiokafka does."""

_untyped: Any = AIOKafkaConnection


class Connection(_untyped):  # type: ignore[misc]
    """aiokafka's, which waits 40 s for anything."""

    def __init__(self, *args: Any, **options: Any) -> None:  # noqa: ANN401 - aiokafka's options
        """Connect to nothing yet."""
        super().__init__(*args, **options)
        self.ended_by: BaseException | None = None
        """Why it was closed, where it was an error."""
        self._patience_s: float = self._request_timeout  # type: ignore[has-type] # aiokafka's
        self._request_timeout = min(CONNECT_SECONDS, self._patience_s)
        self._silence_limit_s = FIRST_ANSWER_SECONDS
        self._heard = 0
        self._heard_before = (0, 0)
        self._silent_looks = 0
        self._look_handle: asyncio.TimerHandle | None = None

    async def connect(self) -> Any:  # noqa: ANN401 - aiokafka's streams
        """Connect; raises `OSError`, `TimeoutError` or `KafkaError`."""
        found = await super().connect()
        self._silence_limit_s = SILENT_SECONDS
        return found

    async def _do_version_lookup(self) -> None:
        """Ask the first question: the connection stands, so the wait for it is over."""
        self._request_timeout = self._patience_s
        self._look_later()
        await super()._do_version_lookup()

    def send(self, request: Any, expect_response: bool = True) -> Any:  # noqa: ANN401, FBT001, FBT002 - aiokafka's signature
        """Send a request; raises `KafkaError`."""
        try:
            return super().send(request, expect_response)
        except RuntimeError as error:
            # uvloop says so of a connection that was reset just now; others it passes on.
            if type(error) is not RuntimeError:
                raise
            self.close(reason=CloseReason.CONNECTION_BROKEN, exc=error)
            raise KafkaConnectionError(f"connection to {self.host}:{self.port} is broken: {error}") from error

    def close(self, reason: Any = None, exc: BaseException | None = None) -> Any:  # noqa: ANN401 - aiokafka's signature
        """Close; whoever waits for an answer is told `exc`."""
        self.ended_by = self.ended_by or exc
        if self._look_handle is not None:
            self._look_handle.cancel()
        return super().close(reason=reason, exc=exc)

    def _handle_frame(self, frame: bytes) -> None:
        """Take an answer."""
        _, request, answer = self._requests[0]
        super()._handle_frame(frame)
        self._heard += 1
        if request is None or answer.cancelled() or answer.exception() is not None:
            return
        throttled_ms = getattr(answer.result(), "throttle_time_ms", 0)
        if throttled_ms:
            throttling.add(request.API_KEY, throttled_ms)

    def _look_later(self) -> None:
        myself = weakref.ref(self)

        def look() -> None:
            if (connection := myself()) is not None:
                connection._look()  # noqa: SLF001 - a timer must not keep a connection alive that nobody else has

        self._look_handle = self._loop.call_later(LOOK_SECONDS, look)

    def _look(self) -> None:
        """Close the connection where an answer is due and nothing comes; an answer that is on its way is waited for.

        Looks are counted and not seconds: after a standstill of this process the answer may lie here unread.
        """
        if self._reader is None:
            return
        heard = (self._heard, len(self._reader._buffer))  # noqa: SLF001 - how much of an answer is there
        is_waiting = bool(self._requests) and not any(_is_patient(request) for _, request, _ in self._requests)
        self._silent_looks = self._silent_looks + 1 if is_waiting and heard == self._heard_before else 0
        self._heard_before = heard
        if self._silent_looks * LOOK_SECONDS < self._silence_limit_s:
            self._look_later()
            return
        silent = TimeoutError(f"{self.host}:{self.port} has said nothing for {self._silence_limit_s:.0f} s")
        self.close(reason=CloseReason.CONNECTION_TIMEOUT, exc=silent)


def _is_patient(request: Any) -> bool:  # noqa: ANN401 - aiokafka's requests are untyped
    return request is not None and request.API_KEY in PATIENT_KEYS
