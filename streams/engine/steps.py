"""The steps of a commit, and how tests make a process or a store fail at any of them.

Every store calls its `AtStep` at each step in this order. Nothing of a checkpoint is visible before
`Step.AFTER_COMMIT`, all of it is from then on; `Step.DURING_COMMIT` is the one where either may be true.
"""

from __future__ import annotations

from collections import Counter
from collections.abc import Callable
from enum import StrEnum


class Step(StrEnum):
    """Where in a commit a store is."""

    BEFORE_BEGIN = "before_begin"
    AFTER_BEGIN = "after_begin"
    AFTER_PAGES = "after_pages"
    AFTER_SEEN = "after_seen"
    AFTER_REJECTED = "after_rejected"
    AFTER_CURSOR = "after_cursor"
    AFTER_OFFSETS = "after_offsets"
    DURING_COMMIT = "during_commit"
    AFTER_COMMIT = "after_commit"


AtStep = Callable[[Step], None]


class InjectedCrashError(Exception):
    """A test made the store fail here."""


def nothing_at(step: Step) -> None:
    """Do nothing at `step`: the hook of a store that is not under test."""


def at_nth(step: Step, nth: int, act: Callable[[], None]) -> AtStep:
    """Return a hook that calls `act` when `step` is reached for the `nth` time, counted from 1."""
    assert nth >= 1, nth
    reached: Counter[Step] = Counter()

    def at_step(now: Step) -> None:
        reached[now] += 1
        if now is step and reached[now] == nth:
            act()

    return at_step


def crash_at(step: Step, nth: int = 1) -> AtStep:
    """Return a hook that raises `InjectedCrashError` when `step` is reached for the `nth` time."""

    def crash() -> None:
        raise InjectedCrashError(f"injected at {step}, time {nth}")

    return at_nth(step, nth, crash)


def parse_crash(text: str) -> tuple[Step, int]:
    """Return the step and its number of times in `STEP` or `STEP:N`; raises `ValueError` that lists the steps."""
    name, _, nth = text.partition(":")
    if name not in set(Step) or not (nth or "1").isdecimal() or int(nth or "1") < 1:
        raise ValueError(f"{text!r} is not STEP or STEP:N with N from 1; steps: {', '.join(Step)}")
    return Step(name), int(nth or "1")
