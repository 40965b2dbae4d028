"""Where totals as of an instant end."""

from __future__ import annotations

import pytest

from streams.board.answers.totals import Cut, cut_at
from streams.festivals import load_festivals

DAY = load_festivals()["singles-day-2019"]


@pytest.mark.parametrize(
    ("at_ms", "end_ms", "is_whole"),
    [
        (None, DAY.end_ms, True),
        (DAY.end_ms + 5_000, DAY.end_ms, True),
        (DAY.end_ms, DAY.end_ms, True),
        (DAY.end_ms - 1, DAY.end_ms, True),
        (DAY.end_ms - 500, DAY.end_ms, True),
        (DAY.end_ms - 1_001, DAY.end_ms - 1_000, False),
        (DAY.start_ms, DAY.start_ms + 1_000, False),
    ],
)
def test_totals_end_with_the_second_of_the_instant_or_with_the_festival(
    at_ms: int | None, end_ms: int, *, is_whole: bool
) -> None:
    assert cut_at(DAY, at_ms) == Cut(end_ms, is_whole=is_whole)
