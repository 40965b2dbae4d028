"""What `festival check` says of the last edition in a festival's file."""

from __future__ import annotations

import dataclasses

import pytest

from streams.cli.check import check_festivals
from streams.domain.festivals import Previous
from streams.festivals import load_festivals

DAY = load_festivals()["singles-day-2019"]
CURVE = ((0, 0), (3_600, 50))


@pytest.mark.parametrize(
    ("previous", "told"),
    [
        (None, "nothing to compare with"),
        (Previous("2018", 100, before_minor=80), "no forecast"),
        (Previous("2018", 100, CURVE), "growth is not in the forecast"),
    ],
)
def test_what_the_forecast_lacks_is_told_with_what_to_add(previous: Previous | None, told: str) -> None:
    day = dataclasses.replace(DAY, previous=previous)
    found = [str(dataclasses.astuple(one)) for one in check_festivals({day.id: day}, day.id, day.start_ms)]
    assert [one for one in found if told in one] == found[-1:]


def test_a_last_edition_with_its_curve_and_the_total_before_it_lacks_nothing() -> None:
    found = [str(dataclasses.astuple(one)) for one in check_festivals({DAY.id: DAY}, DAY.id, DAY.start_ms)]
    assert not [one for one in found if "edition" in one]
