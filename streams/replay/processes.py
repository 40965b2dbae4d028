"""A replay in one process or several: each owns whole partitions, so the events are the same for any number of them."""

from __future__ import annotations

import asyncio
import contextlib
import multiprocessing
import multiprocessing.connection
import os
import signal
import threading
import time
from dataclasses import dataclass
from typing import TYPE_CHECKING

from streams.engine.clock import SystemClock
from streams.errors import FestivalError
from streams.replay.sender import Slips, send
from streams.truth.tally import merge_parts

if TYPE_CHECKING:
    from collections.abc import Callable, Sequence
    from multiprocessing.connection import Connection

    from streams.replay.load import Load
    from streams.replay.sender import Sender, Sending
    from streams.truth.tally import Tally

POLL_SECONDS = 0.2
REPORT_EVERY_MS = 200


@dataclass(frozen=True, slots=True)
class Replayed:
    """What came of a replay."""

    tally: Tally
    elapsed_ms: int
    cpu_ms: int
    """What all processes took, from the first event on."""
    slip_max_ms: int
    slip_p99_ms: int
    is_interrupted: bool
    error: str | None
    """Why it ended before its last event, None where it did not."""


class ReplayFailedError(FestivalError):
    """A process of the replay ended without a tally."""

    exit_status = 3


def replay(
    load: Load,
    sending: Sending,
    *,
    processes: int = 1,
    report: Callable[[int], None] = lambda _orders: None,
    stop: threading.Event | None = None,
) -> Replayed:
    """Send a load and return its tally; blocks until it is sent, or `stop` is set.

    `report` is told how many orders were acknowledged since it was last told. Raises `UnreachableError` where the
    broker does not answer at the start.
    """
    stop = stop or threading.Event()
    load.plan  # noqa: B018 - made once, before the clock runs
    if min(processes, load.partitions) == 1:
        return _replay_here(load, sending, report, stop)
    return _replay_in_processes(load, sending, min(processes, load.partitions), report, stop)


class _Control:
    """Controls a sender in this process."""

    def __init__(self, report: Callable[[int], None], stop: threading.Event) -> None:
        self._report = report
        self._stop = stop
        self.began_ms = 0
        self._cpu_began_ns = 0

    async def begin(self) -> int:
        self.began_ms = SystemClock().monotonic_ms()
        self._cpu_began_ns = time.process_time_ns()
        return self.began_ms

    def report(self, orders: int) -> None:
        self._report(orders)

    def is_stopped(self) -> bool:
        return self._stop.is_set()

    def cpu_ms(self) -> int:
        return (time.process_time_ns() - self._cpu_began_ns) // 1_000_000


def _replay_here(load: Load, sending: Sending, report: Callable[[int], None], stop: threading.Event) -> Replayed:
    control = _Control(report, stop)
    sender = asyncio.run(send(load, range(load.partitions), sending, SystemClock(), control))
    elapsed_ms = SystemClock().monotonic_ms() - control.began_ms
    return _replayed([_part(sender, control)], elapsed_ms, stop)


@dataclass(frozen=True)
class _Part:
    """What a process of a replay hands back."""

    tally: Tally
    slips: Slips
    cpu_ms: int
    error: str | None


def _part(sender: Sender, control: _Control) -> _Part:
    error = None if sender.error is None else repr(sender.error)
    return _Part(sender.tally(), sender.slips, control.cpu_ms(), error)


def _replayed(parts: Sequence[_Part], elapsed_ms: int, stop: threading.Event) -> Replayed:
    slips = Slips()
    for part in parts:
        slips.merge(part.slips)
    return Replayed(
        tally=merge_parts([part.tally for part in parts]),
        elapsed_ms=elapsed_ms,
        cpu_ms=sum(part.cpu_ms for part in parts),
        slip_max_ms=slips.max_ms,
        slip_p99_ms=slips.p99_ms(),
        is_interrupted=stop.is_set(),
        error=next((part.error for part in parts if part.error), None),
    )


class _PipeControl(_Control):
    """Controls a sender in another process: it begins when told, and stops when told or when the other end is gone."""

    def __init__(self, pipe: Connection, stop: threading.Event) -> None:
        super().__init__(pipe.send, stop)
        self._pipe = pipe
        self._orders = 0
        self._told_ms = 0

    async def begin(self) -> int:
        self._pipe.send("ready")
        # All processes begin at the same reading of the clock, which the machine has in common.
        began_ms = await asyncio.get_running_loop().run_in_executor(None, self._pipe.recv)
        await super().begin()
        return int(began_ms)

    def report(self, orders: int) -> None:
        self._orders += orders
        now_ms = SystemClock().monotonic_ms()
        if now_ms - self._told_ms >= REPORT_EVERY_MS:
            self._told_ms = now_ms
            self.flush()

    def flush(self) -> None:
        """Tell what was not told yet."""
        super().report(self._orders)
        self._orders = 0

    def is_stopped(self) -> bool:
        if not self._stop.is_set() and self._pipe.poll():
            self._stop.set()
        return self._stop.is_set()


def _run_part(pipe: Connection, load: Load, partitions: Sequence[int], sending: Sending) -> None:
    """Entry of a process: says "ready", waits for the start, sends; ends with a `_Part` or a text that says why not."""
    signal.signal(signal.SIGINT, signal.SIG_IGN)
    stop = threading.Event()
    signal.signal(signal.SIGTERM, lambda *_: stop.set())
    control = _PipeControl(pipe, stop)
    try:
        load.plan  # noqa: B018 - made before the clock runs
        sender = asyncio.run(send(load, partitions, sending, SystemClock(), control))
        control.flush()
        pipe.send(_part(sender, control))
    except FestivalError as error:
        pipe.send(str(error))
    except (EOFError, BrokenPipeError):
        # Who started us is gone: nobody wants the rest.
        os._exit(1)


def _replay_in_processes(
    load: Load, sending: Sending, processes: int, report: Callable[[int], None], stop: threading.Event
) -> Replayed:
    context = multiprocessing.get_context("spawn")
    pipes: list[Connection] = []
    children = []
    try:
        for number in range(processes):
            ours, theirs = context.Pipe()
            partitions = range(number, load.partitions, processes)
            child = context.Process(target=_run_part, args=(theirs, load, partitions, sending), daemon=True)
            child.start()
            theirs.close()
            pipes.append(ours)
            children.append(child)
        for pipe in pipes:
            _expect_ready(pipe)
        began_ms = SystemClock().monotonic_ms()
        for pipe in pipes:
            pipe.send(began_ms)
        parts = _collect(pipes, report, stop)
        return _replayed(parts, SystemClock().monotonic_ms() - began_ms, stop)
    finally:
        for pipe in pipes:
            pipe.close()
        for child in children:
            child.join(POLL_SECONDS * 10)
            if child.is_alive():
                child.kill()


def _expect_ready(pipe: Connection) -> None:
    message = _receive(pipe)
    if message != "ready":
        raise ReplayFailedError(str(message))


def _receive(pipe: Connection) -> object:
    try:
        return pipe.recv()
    except EOFError:
        raise ReplayFailedError("a process of the replay died; its part of the tally is lost") from None


def _collect(pipes: Sequence[Connection], report: Callable[[int], None], stop: threading.Event) -> list[_Part]:
    """Return the part of each process, passing on their progress and our stop."""
    parts: list[_Part] = []
    waiting = list(pipes)
    is_told = False
    while waiting:
        if stop.is_set() and not is_told:
            is_told = True
            for pipe in waiting:
                with contextlib.suppress(BrokenPipeError):
                    pipe.send("stop")
        for ready in multiprocessing.connection.wait(waiting, timeout=POLL_SECONDS):
            pipe = next(p for p in waiting if p is ready)
            message = _receive(pipe)
            if isinstance(message, int):
                report(message)
            elif isinstance(message, _Part):
                parts.append(message)
                waiting.remove(pipe)
            else:
                raise ReplayFailedError(str(message))
    return parts
