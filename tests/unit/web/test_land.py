"""The map of the screen is made of the pinned geometry, and has a place for every country that anybody ships to."""

from __future__ import annotations

import hashlib
import json
import re
from fractions import Fraction
from typing import TYPE_CHECKING

import pytest

from deploy.world import build
from streams.replay.catalogue import catalogue_of

if TYPE_CHECKING:
    from collections.abc import Mapping

PINNED = "2516c915867c7baf18ddec727aec46c315541a07cfb3d79a6559b05d5e94eee8"
"""SHA-256 of `countries-110m.json` in world-atlas 2.0.2."""


@pytest.fixture(scope="module")
def land() -> Mapping[str, Mapping[str, str]]:
    """Return the served map's tables: shapes and places by code."""
    text = build.TARGET.read_text("utf-8")
    tables = {name: re.search(rf"{name}: {{(.*?)\n  }}", text, re.DOTALL) for name in ("shapes", "places")}
    return {
        name: dict(re.findall(r'^    (\w+|""): (.*),$', table[1], re.MULTILINE))
        for name, table in tables.items()
        if table
    }


def test_the_map_is_the_one_that_the_pinned_geometry_makes() -> None:
    assert hashlib.sha256(build.SHAPES.read_bytes()).hexdigest() == PINNED
    assert build.TARGET.read_text("utf-8") == build.page(), "run: python -m deploy.world.build"


def test_every_market_of_the_replay_has_a_place(land: Mapping[str, Mapping[str, str]]) -> None:
    for currency, is_epass in (("CNY", False), ("CNY", True), ("EUR", False)):
        sold = catalogue_of(currency, Fraction(20_000), None, is_epass=is_epass)
        assert {*sold.markets.names, *sold.origins.names} <= set(land["places"])
    assert len(land["places"]) > 230
    for code, place in land["places"].items():
        x, y = json.loads(place)
        assert 0 <= x <= build.WIDTH, code
        assert 0 <= y <= build.HEIGHT, code


def test_a_place_lies_on_the_land_of_its_country(land: Mapping[str, Mapping[str, str]]) -> None:
    """See that shapes and places are on one grid: within the box around the country's outlines."""
    for code in ("CN", "US", "DE", "AU", "RU", "BR", "ES"):
        path = land["shapes"][code]
        rings = re.findall(r"M(\d+) (\d+)l([^z]*)z", path)
        xs, ys = [], []
        for left, top, steps in rings:
            x, y = int(left), int(top)
            numbers = [int(number) for number in re.findall(r"-?\d+", steps)]
            for dx, dy in zip(numbers[::2], numbers[1::2], strict=True):
                x, y = x + dx, y + dy
                xs.append(x)
                ys.append(y)
        px, py = json.loads(land["places"][code])
        assert min(xs) <= px <= max(xs), code
        assert min(ys) <= py <= max(ys), code
        assert 0 <= min(xs) < max(xs) <= build.WIDTH, code


def test_the_edge_of_the_world_cuts_no_country() -> None:
    """East of the Bering Strait lies Alaska, at the left; west of it Russia, at the right."""
    assert build.on_map(-167, 65)[0] < build.WIDTH / 3
    assert build.on_map(-170, 66)[0] > build.WIDTH * 2 / 3
    assert build.on_map(build.MIDDLE, 0)[0] == pytest.approx(build.WIDTH / 2)
    assert build.on_map(build.MIDDLE, build.NORTH)[1] == pytest.approx(0)
