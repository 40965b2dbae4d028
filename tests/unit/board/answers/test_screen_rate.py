"""How fast it goes, as the screen says it."""

from __future__ import annotations

import numpy as np
import pytest

from streams.board.answers.screen import RATE_SECONDS, _rate
from streams.festivals import load_festivals

DAY = load_festivals()["singles-day-2019"]
COUNTS = np.arange(1, 101)
"""How much was sold in the first seconds: one, two, three …"""


@pytest.mark.parametrize(
    ("watermark_ms", "rate"),
    [
        (None, 0.0),
        (DAY.start_ms - 1, 0.0),
        (DAY.start_ms, 0.0),
        (DAY.start_ms + 999, 0.0),
        (DAY.start_ms + 1_000, 1.0),
        (DAY.start_ms + 3_999, 2.0),
        (DAY.start_ms + RATE_SECONDS * 1_000, 5.5),
        (DAY.start_ms + 50_000, 45.5),
        (DAY.end_ms, 0.0),
    ],
)
def test_the_rate_is_that_of_the_last_closed_seconds_within_the_festival(watermark_ms: int | None, rate: float) -> None:
    assert _rate(COUNTS, DAY, watermark_ms) == rate
