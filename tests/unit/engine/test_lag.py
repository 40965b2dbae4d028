"""How far a count is behind its logs."""

from __future__ import annotations

import pytest

from streams.engine.judgement import Counted, LogRange, Sources, judge
from tests.unit.domain.samples import IDENTITY

TOPIC = "orders"


def lag(end: int, committed: int | None, asked: int | None, *, beginning: int = 0) -> int | None:
    """Return the lag of one partition: `asked` is what was committed before the end was looked at, None: nothing."""
    positions = {} if committed is None else {0: Counted({TOPIC: committed}, {}, None)}
    before = {} if asked is None else {0: Counted({TOPIC: asked}, {}, None)}
    sources = Sources({TOPIC: 1}, {(TOPIC, 0): LogRange(beginning, end, end)}, 1, IDENTITY)
    return judge(sources, positions, asked=before, now_ms=0).lag_records


@pytest.mark.parametrize(
    ("end", "committed", "asked", "records"),
    [
        (9, 5, 5, 4),
        (9, 9, 9, 0),
        (9, 12, 9, 0),
        (9, 12, 5, 0),
        (0, 3, None, 0),
        (9, None, None, 9),
        (9, 12, 12, -3),
    ],
)
def test_lag_is_what_lies_behind_the_position_and_negative_only_beyond_the_end(
    end: int, committed: int | None, asked: int | None, records: int
) -> None:
    """A worker that went on after the end was looked at is not beyond it."""
    assert lag(end, committed, asked) == records


def test_records_that_were_deleted_before_anything_was_counted_are_no_lag() -> None:
    assert lag(9, None, None, beginning=4) == 5
