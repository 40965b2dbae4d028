"""Crashes can be put at any step of a commit, the first time or a later one."""

from __future__ import annotations

import pytest

from streams.engine.steps import InjectedCrashError, Step, crash_at, nothing_at, parse_crash


def test_a_crash_comes_the_nth_time_its_step_is_reached_and_only_then() -> None:
    at_step = crash_at(Step.AFTER_SEEN, nth=2)
    for step in Step:
        at_step(step)
    for step in (Step.BEFORE_BEGIN, Step.AFTER_PAGES):
        at_step(step)
    with pytest.raises(InjectedCrashError, match="after_seen, time 2"):
        at_step(Step.AFTER_SEEN)
    at_step(Step.AFTER_SEEN)


def test_a_store_that_is_not_under_test_never_fails() -> None:
    for step in Step:
        nothing_at(step)


@pytest.mark.parametrize(
    ("text", "parsed"), [("after_commit", (Step.AFTER_COMMIT, 1)), ("before_begin:12", (Step.BEFORE_BEGIN, 12))]
)
def test_a_crash_is_written_as_its_step_and_how_often(text: str, parsed: tuple[Step, int]) -> None:
    assert parse_crash(text) == parsed


@pytest.mark.parametrize("text", ["", "never", "after_commit:0", "after_commit:x", ":1"])
def test_a_crash_that_cannot_be_is_refused_with_the_list_of_steps(text: str) -> None:
    with pytest.raises(ValueError, match="after_pages"):
        parse_crash(text)
