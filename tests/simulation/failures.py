"""Runs days, many at a time or one by itself, and says of a failure what somebody needs to see it again."""

from __future__ import annotations

import multiprocessing
import os
import subprocess
import time
from collections import Counter
from concurrent.futures import ProcessPoolExecutor
from contextlib import nullcontext
from dataclasses import dataclass, field
from pathlib import Path
from typing import TYPE_CHECKING

from tests.simulation import bugs
from tests.simulation.day import STEPS, Day
from tests.simulation.faults import drawn

if TYPE_CHECKING:
    from collections.abc import Iterator, Sequence

ROOT = Path(__file__).parents[2]
AT_ONCE = 25
"""Days that one process is given at a time."""


@dataclass(frozen=True, slots=True)
class Failure:
    """What was found wrong on the day of a seed."""

    seed: int
    problem: str
    trace: tuple[str, ...]


@dataclass(slots=True)
class Lived:
    """What came of days."""

    days: int = 0
    records: int = 0
    checkpoints: int = 0
    faults: Counter[str] = field(default_factory=Counter)
    """By kind."""
    cpu_s: int = 0
    failures: list[Failure] = field(default_factory=list)

    def add(self, other: Lived) -> None:
        """Add other days."""
        self.days += other.days
        self.records += other.records
        self.checkpoints += other.checkpoints
        self.faults.update(other.faults)
        self.cpu_s += other.cpu_s
        self.failures += other.failures

    def __str__(self) -> str:
        """Return the numbers in a line."""
        kinds = ", ".join(f"{kind} {count}" for kind, count in self.faults.most_common())
        return (
            f"{self.days} days, {self.records} records, {self.checkpoints} checkpoints, {self.faults.total()} faults "
            f"({kinds}), {self.cpu_s / 60:.1f} minutes of CPU, {len(self.failures)} differences"
        )


def lived(seed: int, off: Sequence[int] = (), bug: str | None = None, into: Lived | None = None) -> Failure | None:
    """Live the day of a seed; returns what was wrong, None where nothing was. Its numbers are added to `into`."""
    with bugs.planted(bug) if bug is not None else nullcontext():
        day = Day(seed, off)
        failure = None
        try:
            day.run()
        except Exception as error:  # noqa: BLE001 - whatever a bug leads to is what was looked for
            failure = Failure(seed, f"{type(error).__name__}: {error}", tuple(day.trace))
    if into is not None:
        records = sum(len(oracle.offsets) for oracle in day.world.oracles.values())
        found = [] if failure is None else [failure]
        into.add(Lived(1, records, day.checker.checkpoints, day.faults.happened, 0, found))
    return failure


def first_found(bug: str, seeds: Sequence[int]) -> int | None:
    """Return the first of the seeds whose day shows a bug."""
    return next((seed for seed in seeds if lived(seed, bug=bug) is not None), None)


def several(first: int, count: int) -> Iterator[Lived]:
    """Live the days of `count` seeds in as many processes as there are CPUs; yields what came of them, part by part."""
    starts = range(first, first + count, AT_ONCE)
    spawning = multiprocessing.get_context("spawn")  # of a process with threads no fork is safe
    with ProcessPoolExecutor(
        os.process_cpu_count() if hasattr(os, "process_cpu_count") else os.cpu_count(), spawning
    ) as pool:
        yield from pool.map(_lived, [(start, min(AT_ONCE, first + count - start)) for start in starts])


def _lived(part: tuple[int, int]) -> Lived:
    found, began_s = Lived(), time.process_time()
    for seed in range(part[0], part[0] + part[1]):
        lived(seed, into=found)
    found.cpu_s = round(time.process_time() - began_s)
    return found


def shrunk(seed: int, bug: str | None = None) -> tuple[Failure, list[int]]:
    """Return the failure of a seed with as few faults as possible, and the numbers of those that it needs.

    Leaves out ever smaller parts of the list for as long as the day still fails.
    """
    failure = lived(seed, bug=bug)
    assert failure is not None, f"nothing is wrong with seed {seed}"
    needed = [fault.number for fault in drawn(seed, STEPS)]
    everything = list(needed)
    size = len(needed)
    while size:
        place = 0
        while place < len(needed):
            kept = needed[:place] + needed[place + size :]
            found = lived(seed, [number for number in everything if number not in kept], bug)
            if found is None:
                place += size
            else:
                failure, needed = found, kept
        size = min(size // 2, len(needed))
    return failure, needed


def told(failure: Failure, bug: str | None = None) -> str:
    """Return what somebody needs to see a failure again."""
    commit = subprocess.run(
        ["git", "-C", str(ROOT), "rev-parse", "--short", "HEAD"],  # noqa: S607 - of the developer's machine
        capture_output=True,
        text=True,
        check=False,
    )
    at = commit.stdout.strip() or "unknown"
    again = f"bin/test tests/simulation --seed {failure.seed}" + (f" --bug {bug}" if bug else "")
    return f"seed {failure.seed}, commit {at}: {failure.problem}\n{again}"
