"""Clocks."""

from __future__ import annotations

import pytest

from streams.engine.clock import ManualClock, SystemClock

YEAR_2019_MS = 1_546_300_800_000


def test_the_system_clock_knows_the_epoch_and_never_goes_back() -> None:
    clock = SystemClock()
    assert clock.now_ms() > YEAR_2019_MS
    assert clock.monotonic_ms() <= clock.monotonic_ms()


def test_a_manual_clock_stands_until_it_is_turned_and_turns_forward_only() -> None:
    clock = ManualClock(5)
    clock.advance(10)
    assert (clock.now_ms(), clock.monotonic_ms()) == (15, 15)
    with pytest.raises(AssertionError):
        clock.advance(-1)
