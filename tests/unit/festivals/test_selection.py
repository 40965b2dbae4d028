"""Which festival a screen shows when nobody names one."""

from __future__ import annotations

import dataclasses
from typing import TYPE_CHECKING

import pytest

from streams.errors import UsageError
from streams.festivals import load_festivals
from streams.festivals.selection import choose_festival

if TYPE_CHECKING:
    from streams.domain.festivals import Festival

DAY = load_festivals()["singles-day-2019"]
HOUR_MS = 3_600_000


def at(festival_id: str, start_ms: int, *facts: str) -> tuple[str, Festival]:
    changed = dataclasses.replace(DAY, id=festival_id, start_ms=start_ms, end_ms=start_ms + HOUR_MS)
    return festival_id, dataclasses.replace(changed, facts=facts or DAY.facts)


KNOWN = dict([at("first", 0), at("second", 10 * HOUR_MS), at("third", 20 * HOUR_MS)])


@pytest.mark.parametrize(
    ("named", "with_data", "now_ms", "chosen"),
    [
        ("second", (), 0, "second"),
        (None, ("third",), 10 * HOUR_MS, "second"),
        (None, ("third",), 11 * HOUR_MS - 1, "second"),
        (None, ("first",), 11 * HOUR_MS, "first"),
        (None, ("first", "second"), 90 * HOUR_MS, "second"),
        (None, (), 90 * HOUR_MS, "third"),
        (None, ("elsewhere",), 90 * HOUR_MS, "third"),
        (None, (), 10 * HOUR_MS - 1, "third"),
    ],
)
def test_the_running_one_is_shown_else_the_latest_with_data_else_the_latest(
    named: str | None, with_data: tuple[str, ...], now_ms: int, chosen: str
) -> None:
    assert choose_festival(KNOWN, named, with_data, now_ms).id == chosen


def test_a_retired_one_is_meant_by_its_id_alone() -> None:
    retired = {**KNOWN, "third": dataclasses.replace(KNOWN["third"], retired=True)}
    assert choose_festival(retired, None, ("first", "third"), 90 * HOUR_MS).id == "first"
    assert choose_festival(retired, None, ("first",), 20 * HOUR_MS).id == "first"
    assert choose_festival(retired, "third", (), 0).id == "third"
    with pytest.raises(UsageError, match="all are retired; name one of third"):
        choose_festival({"third": retired["third"]}, None, ("third",), 0)


def test_of_two_that_begin_together_the_one_with_orders_is_shown() -> None:
    festivals = dict([at("b", 0, "recycling"), at("a", 0, "orders")])
    assert choose_festival(festivals, None, (), 5).id == "a"


def test_an_unknown_name_is_answered_with_the_known_ones_and_none_with_how_to_name_some() -> None:
    with pytest.raises(UsageError, match="'fourth' is not known; there are first, second, third"):
        choose_festival(KNOWN, "fourth", (), 0)
    with pytest.raises(UsageError, match="none is known; name a directory"):
        choose_festival({}, None, (), 0)
