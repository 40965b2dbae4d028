"""How one contender went: its committed position, CPU time and memory, seen from outside, in the same way for all."""

from __future__ import annotations

import asyncio
import time
from dataclasses import dataclass
from typing import TYPE_CHECKING

from bench.measures import Sampler

if TYPE_CHECKING:
    import subprocess
    from collections.abc import Callable
    from pathlib import Path

POLL_SECONDS = 0.1
DEADLINE_SECONDS = 300
TAIL_CHARACTERS = 2_000


@dataclass(frozen=True, slots=True)
class Course:
    """One contender's round. All CPU time is of the whole process: every thread, compiler and garbage collector."""

    records: int
    start_cpu_seconds: float
    """Before its first record."""
    cpu_seconds: float
    """From its first record to the commit of the last one."""
    warm_per_cpu_second: float
    """Records per CPU second of the second half."""
    wall_seconds: float
    peak_rss_mb: float

    @property
    def per_cpu_second(self) -> float:
        """Return records per CPU second of all records, a cold JVM's included."""
        return self.records / self.cpu_seconds

    @property
    def per_second(self) -> float:
        """Return records per second by the clock on the wall."""
        return self.records / self.wall_seconds


async def follow(
    process: subprocess.Popen[bytes],
    log: Path,
    records: int,
    position: Callable[[], int],
    began_ms: Callable[[Path], int],
) -> Course:
    """Watch a process until `position`, its committed records, has reached `records`.

    `began_ms` finds in its log when it had its first record.
    """
    deadline = time.monotonic() + DEADLINE_SECONDS
    half = None
    with Sampler([process.pid]) as sampler:
        committed = 0
        while committed < records:
            assert process.poll() is None, _end_of(log)
            assert time.monotonic() < deadline, f"only {committed} of {records} records: {_end_of(log)}"
            await asyncio.sleep(POLL_SECONDS)
            committed = position()
            if half is None and committed >= records // 2:
                half = sampler.samples[-1], committed
        end = sampler.samples[-1]
    assert half is not None
    middle, counted = half
    assert counted < records, "too few records to tell a second half from the first: all were in one commit"
    began = sampler.at(began_ms(log))
    return Course(
        records,
        began.cpu_seconds,
        end.cpu_seconds - began.cpu_seconds,
        (records - counted) / (end.cpu_seconds - middle.cpu_seconds),
        (end.time_ms - began.time_ms) / 1000,
        max(sample.rss_mb for sample in sampler.samples if sample.time_ms <= end.time_ms),
    )


def _end_of(log: Path) -> str:
    return log.read_text("utf-8")[-TAIL_CHARACTERS:]
