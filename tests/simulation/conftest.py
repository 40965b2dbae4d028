"""Options of the simulation: one seed step by step, with or without a planted bug, or as many days as wanted.

bin/test tests/simulation --seed 7
bin/test tests/simulation --seed 7 --bug no_fence
bin/test tests/simulation -m long --days 10000
"""

from __future__ import annotations

from typing import TYPE_CHECKING

if TYPE_CHECKING:
    import pytest

ONE_SEED = "test_the_day_of_one_seed"
DAYS = 10_000


def pytest_addoption(parser: pytest.Parser) -> None:
    """Add the options; they are known where this folder is named on the command line."""
    parser.addoption("--seed", type=int, default=None, help="show the simulated day of this seed, step by step")
    parser.addoption("--bug", default=None, help="with --seed: plant this bug of tests/simulation/bugs.py")
    parser.addoption("--days", type=int, default=DAYS, help="simulated days of the long test")
    parser.addoption("--first-seed", type=int, default=100_000, help="seed of the first of them")


def pytest_collection_modifyitems(config: pytest.Config, items: list[pytest.Item]) -> None:
    """Run the one day alone where a seed is given, and everything but it where none is."""
    is_one = config.getoption("--seed", default=None) is not None
    ours = [item for item in items if item.path.parent.name == "simulation"]
    left = {item for item in ours if (item.name == ONE_SEED) is not is_one}
    if left:
        config.hook.pytest_deselected(items=list(left))
        items[:] = [item for item in items if item not in left]
