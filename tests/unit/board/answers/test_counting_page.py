"""docs/counting.md lists the dimensions of each fact as they are declared."""

from __future__ import annotations

import re
from pathlib import Path

import pytest

from streams.domain.built_in import ROLLUPS

PAGE = Path(__file__).parents[4] / "docs" / "counting.md"


@pytest.mark.parametrize("fact", sorted({rollup.fact for rollup in ROLLUPS}))
def test_the_page_lists_the_dimensions_of_a_fact(fact: str) -> None:
    (row,) = re.findall(rf"^\| `{fact}` \|.*\| ([\w, ]+) \|$", PAGE.read_text(encoding="utf-8"), re.MULTILINE)
    assert set(row.split(", ")) == {rollup.dimension for rollup in ROLLUPS if rollup.fact == fact} - {None}
