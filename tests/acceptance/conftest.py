"""Fixtures of the fault tests and of the screen's."""

from __future__ import annotations

import os
import random
import secrets
from typing import TYPE_CHECKING

import pytest

from tests.acceptance.browser import Browser, lacking
from tests.acceptance.cluster import Cluster
from tests.conftest import skip

if TYPE_CHECKING:
    from collections.abc import AsyncIterator, Iterator
    from pathlib import Path

SEED_VARIABLE = "FESTIVAL_TEST_SEED"


@pytest.fixture
def chaos() -> random.Random:
    """Return the source of random instants; its seed is printed with a failure and can be set to repeat one."""
    seed = int(os.environ.get(SEED_VARIABLE) or secrets.randbits(32))
    print(f"{SEED_VARIABLE}={seed}")  # noqa: T201 - shown by pytest with the failure
    return random.Random(seed)  # noqa: S311 - a test's


@pytest.fixture
async def cluster(kafka: str, prefix: str, tmp_path: Path) -> AsyncIterator[Cluster]:
    """Return an empty cluster on the session's broker."""
    async with Cluster(kafka, prefix, tmp_path) as cluster:
        yield cluster


@pytest.fixture(scope="module")
def browser(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Browser]:
    """Return a browser that the tests of a module share."""
    if (reason := lacking()) is not None:
        skip(reason)
    browser = Browser(tmp_path_factory.mktemp("browser"))
    yield browser
    browser.close()
