"""Progress: plain lines where nobody can watch a bar, a bar where somebody can."""

from __future__ import annotations

import io

import pytest

from streams.cli.progress import progress
from streams.engine.clock import ManualClock


def test_a_pipe_gets_a_line_every_few_seconds_and_one_at_the_end() -> None:
    stream, clock = io.StringIO(), ManualClock()
    with progress("counting", 10_000, "orders", stream=stream, clock=clock) as bar:
        bar.advance(500)
        assert stream.getvalue() == ""
        clock.advance(5_000)
        bar.advance(1_500)
        clock.advance(1_000)
        bar.advance(6_000)
        clock.advance(4_000)
        bar.advance(2_000)
    assert stream.getvalue().splitlines() == [
        "counting: 2,000 of 10,000 orders, 400/s, 0:20 left",
        "counting: 10,000 of 10,000 orders, 1,000/s",
        "counting: 10,000 of 10,000 orders, 1,000/s",
    ]


def test_without_a_total_there_is_a_rate_and_no_time_left_until_the_total_is_known() -> None:
    stream, clock = io.StringIO(), ManualClock()
    with progress("counting", stream=stream, clock=clock) as bar:
        clock.advance(10_000)
        bar.advance(1)
        bar.expect(10_001)
        clock.advance(10_000)
        bar.advance(0)
    assert stream.getvalue().splitlines()[:2] == [
        "counting: 1 records, 0/s",
        "counting: 1 of 10,001 records, 0/s, 55:33:20 left",
    ]


def test_work_that_fails_does_not_claim_to_be_done() -> None:
    stream = io.StringIO()
    with pytest.raises(ValueError, match="invalid literal"), progress("counting", 5, stream=stream) as bar:
        bar.advance(int("one"))
    assert stream.getvalue() == ""


def test_a_terminal_gets_a_bar() -> None:
    class Terminal(io.StringIO):
        def isatty(self) -> bool:
            return True

    stream = Terminal()
    with progress("counting", 3, "orders", stream=stream) as bar:
        bar.expect(4)
        bar.advance(4)
    assert "counting" in stream.getvalue()
    assert "4/4" in stream.getvalue()
    assert "orders/s" in stream.getvalue()
